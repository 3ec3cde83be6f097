"""Traces with results (docs/trace.md): taking lines apart, and comparing what two sides answered."""
import re
from collections import Counter
from dataclasses import dataclass

ARROW = " -> "
HEADERS = ("trace", "machine", "row", "recorded")
# Results that are no success, beside the names of errnos.
FAILURES = {"timeout", "nonsense", "hang", "SIGBUS", "SIGSEGV", "missing"}
ERRNO = re.compile(r"E[A-Z0-9]+$")
BARS, REGIONS = set("012345"), {"6": "rom", "7": "config", "8": "vga"}
NUMBER = re.compile(r"-?\b(0x[0-9a-fA-F]+|[0-9]+|[0-9a-f]{8,})\b")


@dataclass(frozen=True)
class Line:
    """One line of a trace; `operation` is empty for comments and headers."""
    operation: str
    result: str


@dataclass(frozen=True)
class Difference:
    """The first operation that two sides answered differently."""
    index: int      # among the operations
    operation: str
    ours: str
    theirs: str

    @property
    def kind(self):
        """What must stay while a trace is made smaller: the command and what both sides said, in one word."""
        words = (command(self.operation), shape(self.ours), shape(self.theirs))
        return ":".join(word.replace(" ", ",") for word in words)


    @property
    def signature(self):
        """By what a difference that is known is known again. Where both sides succeed that is the
        values: the same command may well differ for another reason."""
        if outcome(self.ours) == outcome(self.theirs) == "ok":
            return f"{command(self.operation)} {self.ours} | {self.theirs}"
        return self.kind


def split(line):
    """The result is behind the last arrow, as for the player."""
    text = line.strip()
    if not text or text.startswith("#") or text.split()[0] in HEADERS:
        return Line("", "")
    operation, arrow, result = text.rpartition(ARROW)
    return Line(operation.strip(), result.strip()) if arrow else Line(text, "")


def operations(text):
    return [line for line in map(split, text.splitlines()) if line.operation]


def command(operation):
    """The operation's name; of an ioctl its command's, of pread and pwrite with the kind of region."""
    words = operation.split()
    if words and words[0].endswith(":"):
        words = words[1:]
    if len(words) > 1 and words[1] == "=":
        words = words[2:]
    if words[:1] == ["ioctl"] and len(words) > 2:
        return words[2]
    if len(words) > 2 and words[0] in ("pread", "pwrite") and ":" in words[2]:
        region = words[2].partition(":")[0]
        return f"{words[0]}-{'bar' if region in BARS else REGIONS.get(region, region)}"
    return words[0] if words else ""


def outcome(result):
    """"ok", or the errno or other word that says how it failed."""
    first = result.split()[0] if result else "missing"
    return first if first in FAILURES or ERRNO.match(first) else "ok"


def shape(result):
    """The result without its numbers: EINVAL stays, "0 flags=0x3" becomes "N flags=N"."""
    if outcome(result) != "ok":
        return outcome(result)
    return re.sub(r"[0-9a-fx]{3,}", "N", NUMBER.sub("N", result))[:80]


def same(ours, theirs):
    """Whether two results say the same; blanks do not count."""
    return ours.split() == theirs.split()


def differences(ours, theirs):
    """All operations that were answered differently. A side that stopped is "missing" there."""
    mine, other = operations(ours), operations(theirs)
    for index in range(max(len(mine), len(other))):
        left = mine[index] if index < len(mine) else Line(other[index].operation, "missing")
        right = other[index] if index < len(other) else Line(left.operation, "missing")
        if not same(left.result, right.result):
            yield Difference(index, left.operation, left.result or "missing",
                             right.result or "missing")


def first_difference(ours, theirs, known=()):
    """The first difference whose signature is not known. Behind a known one that changed what exists
    on one side only, nothing is comparable."""
    for difference in differences(ours, theirs):
        if difference.signature not in known:
            return difference
        if (outcome(difference.ours) == "ok") != (outcome(difference.theirs) == "ok"):
            return None
    return None


def histogram(texts):
    """Counter of (command, outcome) over result traces."""
    return Counter((command(line.operation), outcome(line.result))
                   for text in texts for line in operations(text))


def succeeded(counts):
    """How many of a histogram's operations, in percent."""
    total = sum(counts.values())
    return 100 * sum(n for (_, how), n in counts.items() if how == "ok") / total if total else 0.0


def table(counts):
    """A histogram as text: a command a line, successes first, then errnos by their frequency."""
    by_command = {}
    for (name, how), number in counts.items():
        by_command.setdefault(name, Counter())[how] = number
    width = max(map(len, by_command), default=0)
    lines = []
    for name, outcomes in sorted(by_command.items()):
        failures = sorted(((-n, how) for how, n in outcomes.items() if how != "ok"))
        told = " ".join(f"{how}:{-n}" for n, how in failures)
        lines.append(f"{name:{width}} {outcomes['ok']:6} ok  {told}".rstrip())
    return "\n".join(lines)
