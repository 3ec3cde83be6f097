"""Whether the fuzzer finds what is wrong: faults are planted into copies of vfiolab, one at a time.

Each patch in planted/ must be noticed within a few hundred traces and shrunk to under ten lines.
"""
import pathlib
import shutil
import subprocess

import compare
from fuzz import BATCH, Campaign

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MOST_BATCHES = 10
MOST_LINES = 9


class OneFound(Exception):
    """The campaign has what it needs."""


class FirstOnly(Campaign):
    """Ends with the first difference, made small."""

    def look(self, seed, trace, ours, theirs, small):
        super().look(seed, trace, ours, theirs, small)
        if self.found:
            raise OneFound


class PlantedSides:
    """The kernel's answers are the same for each fault, and asked for once."""

    def __init__(self, sides):
        self.sides, self.answers, self.machine = sides, {}, sides.machine

    def name(self):
        return self.sides.name()

    def play(self, traces):
        new = {name: text for name, text in traces.items() if text not in self.answers}
        if new:
            played = self.sides.ask_kernel(new)
            self.answers.update({new[name]: result for name, result in played.items()})
        ours = {name: self.answers[text] for name, text in traces.items() if text in self.answers}
        return ours, self.sides.ask_vfiolab(traces)


def build(patch, directory):
    """A vfiolab with the fault; the copy of the sources is made anew."""
    sources = directory / "src"
    shutil.rmtree(sources, ignore_errors=True)
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in files.stdout.splitlines():
        (sources / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, sources / name)
    subprocess.run(["patch", "-sp1", "-i", patch], cwd=sources, check=True)
    # One build directory for all: the compiler's cache knows what is the same.
    subprocess.run(["cmake", "-S", sources, "-B", directory / "build", "-G", "Ninja",
                    "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"],
                   check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", directory / "build", "--target", "vfiolab"],
                   check=True, stdout=subprocess.DEVNULL)
    return directory / "build/vfiolab"


def catch(patch, sides, known, first_seed, directory):
    """The smallest trace that shows the fault, or None."""
    sides.sides.vfiolab = build(patch, directory)
    campaign = FirstOnly(sides, known, say=lambda text: None)
    try:
        campaign.run(first_seed, MOST_BATCHES * BATCH, operations=60)
    except OneFound:
        pass
    return next(iter(campaign.found.values()), None)


def run(sides, known, first_seed, directory):
    """True when each fault is caught."""
    sides = PlantedSides(sides)
    good = True
    for patch in sorted((HERE / "planted").glob("*.patch")):
        fault = patch.read_text().splitlines()[0]
        found = catch(patch, sides, known, first_seed, directory)
        if found is None:
            print(f"{patch.stem}: {fault} NOT NOTICED")
            good = False
            continue
        seed, difference, trace = found
        lines = len(compare.operations(trace))
        print(f"{patch.stem}: {fault} Caught with seed {seed}, {lines} lines:\n{trace}"
              f"# kernel:  {difference.ours}\n# vfiolab: {difference.theirs}\n")
        good = good and lines <= MOST_LINES
    return good
