"""Plays random traces on a real kernel and on vfiolab, or on vfiolab in two ways, and compares what they say."""
import concurrent.futures
import pathlib
import sys
from collections import Counter
from dataclasses import dataclass

import compare
import emulated
import guest
from generate import generate
from shrink import shrink

BATCH = 40          # traces in a boot


@dataclass
class Sides:
    """A real kernel and vfiolab as that version: play(traces by name) gives results by name, for both."""
    kernel: pathlib.Path    # what kernel.sh left
    version: str            # its version, as a topology names it
    vfiolab: pathlib.Path
    player: pathlib.Path
    machine: pathlib.Path
    labels = ("kernel", "vfiolab")

    def name(self):
        return f"Linux {guest.release(guest.locate(self.kernel, self.machine)[0])}"

    def ask_kernel(self, traces):
        """A guest that a busy machine keeps from finishing is booted a second time, for what is missing."""
        results = {}
        for _ in range(2):
            missing = {name: text for name, text in traces.items() if name not in results}
            if not missing:
                break
            try:
                results |= guest.play(self.kernel, self.player, self.machine, missing)
            except guest.GuestError as error:
                print(f"fuzz: {error}", file=sys.stderr)
        return results

    def ask_vfiolab(self, traces):
        return emulated.play(self.vfiolab, self.player, self.machine, traces, self.version)

    def play(self, traces):
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            ours = pool.submit(self.ask_kernel, traces)
            theirs = self.ask_vfiolab(traces)
            return ours.result(), theirs


@dataclass
class Modes:
    """vfiolab as a daemon, and in the player's own processes, as that version."""
    version: str
    vfiolab: pathlib.Path
    players: tuple          # one for each
    machine: pathlib.Path
    labels = ("with --exact", "--in-process")

    def name(self):
        return f"as Linux {self.version}, with --exact and with --in-process"

    def play(self, traces):
        return tuple(emulated.play(self.vfiolab, player, self.machine, traces, self.version, options=(option,))
                     for player, option in zip(self.players, ("--exact", "--in-process")))


class Campaign:
    """What was compared and found. `known` are signatures of differences that are not looked at."""

    def __init__(self, sides, known=(), say=print):
        self.sides, self.known, self.say = sides, set(known), say
        self.found = {}             # kind: (seed, difference, smallest trace)
        self.counted = Counter()    # kind: how many traces begin to differ so
        self.outcomes = Counter()
        self.compared = self.lost = 0
        self.seeds = ""

    def run(self, first, count, operations, small=True):
        self.seeds = f"{first}-{first + count - 1}"
        for start in range(first, first + count, BATCH):
            seeds = range(start, min(start + BATCH, first + count))
            traces = {f"{seed:08}": generate(seed, operations, self.sides.machine.name) for seed in seeds}
            self.batch(traces, small)

    def batch(self, traces, small):
        ours, theirs = self.sides.play(traces)
        self.outcomes += compare.histogram(ours.values())
        for name, trace in traces.items():
            if name not in ours or name not in theirs:
                self.lost += 1
                self.say(f"seed {int(name)}: no results of {self.sides.labels[name in ours]}")
                continue
            self.compared += len(compare.operations(ours[name]))
            self.look(int(name), trace, ours[name], theirs[name], small)

    def look(self, seed, trace, ours, theirs, small):
        """Takes down all first differences of the trace, of which only new kinds are shrunk."""
        difference = compare.first_difference(ours, theirs, self.known)
        if difference is None:
            return
        self.counted[difference.kind] += 1
        if difference.kind in self.found:
            return
        kind = difference.kind
        if small:
            trace = shrink(trace, lambda texts: self.differ(texts, kind))
            ours, theirs = self.sides.play({"smallest": trace})  # where values may be others
            difference = compare.first_difference(ours.get("smallest", ""), theirs.get("smallest", ""),
                                                  self.known) or difference
        self.found[kind] = (seed, difference, trace)
        self.say(f"seed {seed}: {difference.operation}\n{self.both(difference, '  ')}")

    def both(self, difference, indent):
        """What each side said."""
        return "\n".join(f"{indent}{label + ':':13} {said}" for label, said in
                         zip(self.sides.labels, (difference.ours, difference.theirs)))

    def differ(self, texts, kind):
        """Whether each trace still differs in this kind first."""
        traces = {f"{at:06}": text for at, text in enumerate(texts)}
        ours, theirs = self.sides.play(traces)
        answers = []
        for name in traces:
            first = compare.first_difference(ours.get(name, ""), theirs.get(name, ""), self.known)
            answers.append(first is not None and first.kind == kind)
        return answers

    def report(self):
        self.say(f"\n{compare.table(self.outcomes)}\n")
        for kind, (seed, difference, trace) in self.found.items():
            self.say(f"# {kind}: {self.counted[kind]} times, first with seed {seed}\n"
                     f"{self.both(difference, '# ')}\n{trace}")
        self.say(f"seeds {self.seeds}, {self.sides.name()}: {self.compared} operations compared, "
                 f"{compare.succeeded(self.outcomes):.1f} % succeeded, "
                 f"{len(self.found)} kinds of differences, {self.lost} traces lost")
        return 1 if self.found or self.lost or not self.compared else 0
