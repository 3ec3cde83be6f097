"""Makes a trace that two sides answer differently as small as it can be.

Delta debugging, in rounds: all candidates of a round are judged at once, because judging means to
boot a machine.
"""
import re

from compare import HEADERS, split
from trace_names import WORD, consistent_positions, parse

BATCH = 150         # candidates in a round
MAX_ROUNDS = 60
OPTIONAL = re.compile(r"[\w.]+=\S*$|readonly$|cloexec$|private$|shared$|memfd$")
HEX = re.compile(r"0x[0-9a-fA-F]+")
# The size that greater ones are replaced by.
SMALL = 0x1000


def headers(trace):
    return [line for line in trace.splitlines() if line.split() and line.split()[0] in HEADERS]


def joined(head, operations):
    return "\n".join([*head, *operations]) + "\n"


def shrink(trace, differs):
    """The smallest trace found of which `differs` still says yes. `differs` takes a list of traces
    and answers for each."""
    head = headers(trace)
    lines = [split(line).operation for line in trace.splitlines()]

    def judge(candidates):
        return differs([joined(head, lines) for lines in candidates]) if candidates else []

    current = _fewer([line for line in lines if line], judge)
    for _ in range(MAX_ROUNDS):
        simpler = _simpler(current, judge)
        if simpler is None:
            break
        current = simpler
    return joined(head, _fewer(current, judge))


def _fewer(current, judge):
    """Takes operations away until each that is left is needed."""
    for _ in range(MAX_ROUNDS):
        good = _good(current, _cuts(current), judge)
        if not good:
            break
        good = _good(current, _overlaps(current, good), judge) or good
        current = _texts(current, min(good, key=len))
    return current


def _texts(current, positions):
    return [current[at] for at in positions]


def _good(current, cuts, judge):
    """Those of `cuts` (positions of the operations that stay) that still differ."""
    answers = judge([_texts(current, cut) for cut in cuts])
    return [cut for cut, yes in zip(cuts, answers) if yes]


def _cuts(current):
    """Every way to leave neighbours out, from half of the operations to a single one, with what
    depends on them; the shortest first."""
    size, cuts = max(1, len(current) // 2), {}
    while True:
        for start in range(0, len(current), size):
            stay = [at for at in range(len(current)) if not start <= at < start + size]
            stay = tuple(consistent_positions(current, stay))
            if stay and len(stay) < len(current):
                cuts[stay] = None
        if size == 1:
            return sorted(cuts, key=len)[:BATCH]
        size //= 2


def _overlaps(current, good):
    """What is left when the first two cuts are made at once, the first three, and so on."""
    overlaps, stay = {}, set(good[0])
    for cut in good[1:]:
        stay &= set(cut)
        overlap = tuple(consistent_positions(current, sorted(stay)))
        if not overlap:
            break
        overlaps[overlap] = None
    return list(overlaps)[:BATCH]


def _simpler(current, judge):
    """`current` with every argument made simpler that can be, or None."""
    variants = [(at, text) for at, line in enumerate(current) for text in _variants(line)][:BATCH]
    answers = judge([_with(current, {at: text}) for at, text in variants])
    chosen = {}
    for (at, text), yes in zip(variants, answers):
        if yes:
            chosen.setdefault(at, text)
    if not chosen:
        return _merged(current, judge)
    if len(chosen) > 1 and judge([_with(current, chosen)])[0]:
        return _with(current, chosen)
    return _with(current, dict([next(iter(chosen.items()))]))


def _merged(current, judge):
    """`current` with a forked process or a duplicate replaced by what it is a copy of, or None."""
    candidates = []
    for at, line in enumerate(current):
        operation, rest = parse(line), current[:at] + current[at + 1:]
        if operation.verb == "fork":
            child, parent = f"{operation.words[0]}: ", operation.process
            prefix = "" if parent == "main" else f"{parent}: "
            candidates.append([prefix + text[len(child):] if text.startswith(child) else text
                               for text in rest])
        elif operation.verb == "dup" and operation.makes:
            copy = re.compile(rf"\b{operation.makes}\b")
            candidates.append([copy.sub(operation.words[0], text) for text in rest])
    candidates = [c for c in candidates if len(consistent_positions(c, range(len(c)))) == len(c)]
    return next((c for c, yes in zip(candidates, judge(candidates)) if yes), None)


def _with(current, changed):
    return [changed.get(at, line) for at, line in enumerate(current)]


def _variants(text):
    """One line with one argument left out or made smaller. What an edu device is told stays: a
    transfer beyond its buffer ends QEMU."""
    words = WORD.findall(text)
    if "ioctl" not in words and "map" not in words:
        return
    for at, word in enumerate(words):
        if at > 1 and OPTIONAL.match(word) and not word.startswith("fd="):
            yield " ".join(words[:at] + words[at + 1:])
    for match in HEX.finditer(text):
        if int(match.group(), 16) > SMALL:
            yield f"{text[:match.start()]}{SMALL:#x}{text[match.end():]}"
