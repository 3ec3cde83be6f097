"""Which names of a trace's operations exist where: for generating and shrinking traces."""
import re
from dataclasses import dataclass

WORD = re.compile(r'"[^"]*"|[^\s"\[]*\[[^\]]*\]|[^\s"]+')
NAME = re.compile(r"(?<![\w{.:/])[A-Za-z_]\w*(?![\w=:.])")
# Words of the grammar that are never names of descriptors or memory.
GRAMMAR = set("""ro wo rw r w none cloexec private shared memfd huge readonly bad null set cur end
    in out x zero ones seq u8 u16 u32 u64""".split())
# Operations whose arguments are no names, and those whose first argument is a process.
NO_NAMES = {"open", "echo", "cat", "link", "settle", "exit", "exec", "drop", "limit", "eventfd"}
PROCESS_FIRST = {"fork", "kill", "finish"}


@dataclass(frozen=True)
class Operation:
    process: str
    makes: str      # the name it keeps, or empty
    verb: str
    words: tuple    # the arguments as written


def parse(text):
    """One operation without its result."""
    words = WORD.findall(text)
    process = "main"
    if words and words[0].endswith(":"):
        process = words.pop(0)[:-1]
    makes = ""
    if len(words) > 1 and words[1] == "=":
        makes, words = words[0], words[2:]
    if words[:1] == ["later"]:
        words = words[1:]
    return Operation(process, makes, words[0] if words else "", tuple(words[1:]))


def names_in(word):
    """Names that a word may use: c, fd=c, vaddr=m+0x10, data=[a -1]."""
    if word.startswith('"'):
        return set()
    value = word.partition("=")[2] or word
    return {name for name in NAME.findall(value)
            if name not in GRAMMAR and not name.startswith("VFIO_")}


def used_names(operation):
    """Descriptors and memory of its own process that the operation uses."""
    words = operation.words
    if operation.verb in NO_NAMES or operation.verb in PROCESS_FIRST:
        return set()
    if operation.verb == "pass":
        words = words[:1]
    names = set()
    for word in words:
        names |= names_in(word)
    return names


class Scope:
    """Who exists and what has been named, while one walks through a trace."""

    def __init__(self):
        self.names = {"main": set()}

    def missing(self, operation):
        """Processes and names that the operation needs and that do not exist."""
        if operation.process not in self.names:
            return {operation.process}
        missing = used_names(operation) - self.names[operation.process]
        other = self.other_process(operation)
        if other and operation.verb != "fork" and other not in self.names:
            missing.add(other)
        return missing

    @staticmethod
    def other_process(operation):
        if operation.verb in PROCESS_FIRST and operation.words:
            return operation.words[0]
        return operation.words[1] if operation.verb == "pass" and len(operation.words) > 2 else ""

    def follow(self, operation):
        """What exists after the operation, if it succeeds."""
        mine = self.names.setdefault(operation.process, set())
        if operation.makes:
            mine.add(operation.makes)
        if operation.verb == "fork":
            self.names[operation.words[0]] = set(mine)
        elif operation.verb == "pass" and len(operation.words) > 2:
            self.names.setdefault(operation.words[1], set()).add(operation.words[2])
        elif operation.verb == "kill":
            self.names.pop(operation.words[0], None)
        elif operation.verb == "exit":
            self.names.pop(operation.process, None)


def consistent_positions(texts, positions):
    """Those of `positions` whose operations use only what others of them have made before."""
    scope, kept = Scope(), []
    for at in positions:
        operation = parse(texts[at])
        if not scope.missing(operation):
            scope.follow(operation)
            kept.append(at)
    return kept
