"""Random traces (docs/trace.md) that mostly succeed: `generate(seed, operations, machine)`.

Moves append operations to a `Writer`; a model of the machine (fuzz_state.py) tells them what would
succeed. About a third of the operations is made wrong on purpose.
"""
import random
import sys
import uuid

import fuzz_containers
import fuzz_devices
import fuzz_interrupts
import fuzz_memory
import fuzz_processes
import fuzz_sysfs
from fuzz_state import Machine

WRONG = 0.45        # of the operations that could succeed
HOSTILE_ARGSZ = (0, 1, 0x7fffffff, 0xffffffff)


class Writer:
    """The trace that is being written, its random numbers, and what exists after it."""

    def __init__(self, seed, machine):
        self.random = random.Random(seed)
        self.machine = Machine(machine, str(uuid.UUID(int=self.random.getrandbits(128))))
        self.lines, self.numbers = [], {}

    def chance(self, probability):
        return self.random.random() < probability

    def wrong(self):
        return self.chance(WRONG)

    def pick(self, values):
        values = list(values)
        return values[self.random.randrange(len(values))] if values else None

    def weighted(self, pairs):
        """One of (value, weight)."""
        pairs = list(pairs)
        left = self.random.random() * sum(weight for _, weight in pairs)
        for value, weight in pairs:
            left -= weight
            if left < 0:
                return value
        return pairs[-1][0]

    def name(self, letter):
        self.numbers[letter] = self.numbers.get(letter, 0) + 1
        return f"{letter}{self.numbers[letter]}"

    def say(self, process, text):
        prefix = "" if process.name == "main" else f"{process.name}: "
        self.lines.append(prefix + text)

    def keep(self, process, name, thing):
        process.files[name] = thing
        thing.refs += 1

    def spoiled(self, size, writes_back=False):
        """Words that make a struct of `size` bytes wrong, or "" (most of the time)."""
        if not self.chance(0.22):
            return ""
        words = [f" argsz={size - 1}", f" room={size - 1}", " at=bad", " at=null", f" room=4",
                 f" argsz={self.pick(HOSTILE_ARGSZ[:2])}"]
        if writes_back:
            words.append(" readonly")
        return self.pick(words)

    def file_of(self, kind):
        """(process, name, thing) of any kind of file, or None."""
        return self.pick(self.machine.every(kind))

    def number_of_wrong_file(self, process, kinds):
        """A descriptor that is none of `kinds`: closed, never opened, or something else."""
        others = [name for name, thing in process.files.items() if thing.kind not in kinds]
        return self.pick(others + process.closed[-2:] + ["-1", "999"])


def moves():
    """(move, weight). A move returns False when it has nothing to work on."""
    return (fuzz_containers.MOVES + fuzz_memory.MOVES + fuzz_devices.MOVES
            + fuzz_interrupts.MOVES + fuzz_processes.MOVES + fuzz_sysfs.MOVES)


def generate(seed, operations, machine="referee"):
    """A trace of about `operations` operations, without results. The same arguments always give
    the same text."""
    writer = Writer(seed, machine)
    for _ in range(writer.pick((1, 1, 2, 2, 3))):
        fuzz_containers.set_up(writer)
    choices, fruitless = moves(), 0
    while len(writer.lines) < operations and fruitless < 1000:
        fruitless = fruitless + 1 if writer.weighted(choices)(writer) is False else 0
    fuzz_processes.finish(writer)
    return "\n".join(["trace 1", f"machine {machine}", *writer.lines]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(generate(int(sys.argv[1]), 60, *sys.argv[2:3]))
