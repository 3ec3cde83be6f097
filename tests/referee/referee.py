#!/usr/bin/env python3
"""The referee: golden traces, the real kernel and vfiolab.

usage: referee.py [--build DIR] [--cache DIR] [WHAT]
  (nothing)            record all golden traces again on every kernel, and replay them on vfiolab
  --sample N           the same with N random ones
  --check              replay the golden traces on vfiolab; needs no guest
  --record [TRACE...]  write results of the newest kernel into traces: those that lack some, or these
  --fuzz SEED COUNT    compare COUNT random traces, and make smaller what differs
  --planted            plant faults into vfiolab and see that the fuzzer finds them
"""
import argparse
import pathlib
import random
import subprocess
import sys

import compare
import emulated
import fuzz
import guest
import planted

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE.parent / "golden"
TRACES = GOLDEN / "traces"
MACHINES = HERE / "machines"
NEWEST = "built"
KERNELS = (NEWEST, "debian")


def golden_traces():
    """name -> text; the name is the path below traces/."""
    return {str(path.relative_to(TRACES)): path.read_text() for path in sorted(TRACES.rglob("*.trace"))}


def by_machine(traces):
    """(the machine's directory, its traces), for each machine that the traces name."""
    parts = {}
    for name, text in traces.items():
        machine = next(line.split()[1] for line in text.splitlines() if line.startswith("machine "))
        parts.setdefault(MACHINES / machine, {})[name] = text
    return parts.items()


def play_vfiolab(args, traces):
    played = {}
    for machine, part in by_machine(traces):
        played |= emulated.play(args.build / "vfiolab", args.build / "player", machine, part)
    return played


def named_list(path):
    """Lines "TRACE ROW,ROW... REASON" -> {trace: [row]}."""
    if path is None:
        return {}
    lines = (line.split(None, 2) for line in path.read_text().splitlines()
             if line.strip() and not line.startswith("#"))
    return {trace: rows.split(",") for trace, rows, _ in lines}


def rows_of(text):
    return [row for line in text.splitlines() if line.startswith("row ") for row in line.split()[1:]]


def bare(text):
    """A trace without what `record` put in."""
    lines = []
    for line in text.splitlines():
        if line.startswith("recorded "):
            continue
        split = compare.split(line)
        lines.append(split.operation or line)
    return "\n".join(lines) + "\n"


def tell(name, difference, ours, theirs):
    print(f"{name}: operation {difference.index + 1}: {difference.operation}")
    print(f"    {ours:10} {difference.ours}\n    {theirs:10} {difference.theirs}")


def differing(golden, played, ours, theirs, expected=()):
    """Names of traces whose results are not the golden ones; those not expected are told."""
    found = {}
    for name, text in golden.items():
        difference = next(compare.differences(text, played.get(name, "")), None)
        if difference is None:
            continue
        found[name] = difference
        if name not in expected:
            tell(name, difference, ours, theirs)
    return found


def against_list(golden, played, path, theirs):
    """Compares; the list at `path` names the traces that may differ, and must: it only ever gets
    shorter. Without a path none may."""
    listed = named_list(path)
    found = differing(golden, played, "golden", theirs, listed)
    stale = [name for name in listed if name in golden and name not in found]
    for name in stale:
        print(f"{path.name}: {name} is right now: remove its line")
    unknown = [name for name, rows in listed.items()
               if not (TRACES / name).exists() or rows != rows_of((TRACES / name).read_text())]
    for name in unknown:
        print(f"{path.name}: there is no trace {name}, or it has other rows")
    operations = sum(len(compare.operations(text)) for text in golden.values())
    unexpected = len(found.keys() - listed.keys())
    rows = sorted({row for name in found if name in golden for row in rows_of(golden[name])})
    print(f"{theirs}: checked {len(golden)} traces, {operations} operations: {unexpected} differ, "
          f"{len(found) - unexpected} more are listed ({len(rows)} rows differ)")
    return unexpected == 0 and not stale and not unknown


def check(args, golden=None):
    golden = golden or golden_traces()
    return against_list(golden, play_vfiolab(args, golden), GOLDEN / "wrong", "vfiolab")


def kernel(args, kind):
    subprocess.run([HERE / "kernel.sh", kind, args.cache], check=True)
    return args.cache / kind


def record(args):
    golden = golden_traces()
    names = args.record or [name for name, text in golden.items()
                            if any(not line.result for line in compare.operations(text))]
    newest = kernel(args, NEWEST)
    wanted = {name: bare(golden[name]) for name in names}
    if not wanted:
        return True
    recorded = 0
    for machine, part in by_machine(wanted):
        source = f"recorded {guest.describe(newest, machine)}"
        played = guest.play(newest, args.build / "player", machine, part)
        for name, text in played.items():
            lines = text.splitlines()
            at = next(i for i, line in enumerate(lines) if line.startswith("machine ")) + 1
            (TRACES / name).write_text("\n".join([*lines[:at], source, *lines[at:]]) + "\n")
        recorded += len(played)
        print(f"recorded {len(played)} of {len(part)} traces on {source.split(':')[0][9:]}")
    return recorded == len(wanted)


def compare_kernels(args):
    golden = golden_traces()
    if args.sample:
        seed = args.seed if args.seed is not None else random.randrange(1 << 32)
        print(f"a sample of {args.sample} traces, seed {seed}")
        names = random.Random(seed).sample(sorted(golden), min(args.sample, len(golden)))
        golden = {name: golden[name] for name in names}
    good = True
    for kind in KERNELS:
        image = kernel(args, kind)
        for machine, part in by_machine(golden):
            # Debian's kernel is as Debian configured it.
            if kind != NEWEST and (machine / "kernel.config").exists():
                continue
            played = guest.play(image, args.build / "player", machine, part)
            version = guest.describe(image, machine).split(",")[0]
            listed = None if kind == NEWEST else GOLDEN / "older"
            good = against_list(part, played, listed, f"{version}, {machine.name}") and good
    return check(args, golden) and good


def fuzzing(args):
    """Both sides, and the signatures of differences that the golden traces know already."""
    newest = kernel(args, NEWEST)
    sides = fuzz.Sides(argparse.Namespace(kernel=newest, player=args.build / "player",
                                          vfiolab=args.build / "vfiolab",
                                          machine=MACHINES / "referee"))
    golden = golden_traces()
    listed = {name: golden[name] for name in named_list(GOLDEN / "wrong") if name in golden}
    played = play_vfiolab(args, listed)
    # What comes after the first difference of a trace may follow from it.
    firsts = (next(compare.differences(text, played[name]), None) for name, text in listed.items())
    return sides, {difference.signature for difference in firsts if difference}


def keep(args, campaign):
    """Writes what was found among the golden traces, with the kernel's answers."""
    args.record = []
    for seed, difference, trace in campaign.found.values():
        name = f"found/seed_{seed}.trace"
        (TRACES / name).parent.mkdir(exist_ok=True)
        comment = f"# Found by the fuzzer: vfiolab said {difference.theirs}, not {difference.ours}.\n"
        lines = trace.splitlines(keepends=True)
        at = sum(line.split()[0] in compare.HEADERS for line in lines)
        (TRACES / name).write_text("".join([*lines[:at], comment, *lines[at:]]))
        args.record.append(name)
    return record(args) if args.record else True


def run_fuzzer(args):
    sides, known = fuzzing(args)
    campaign = fuzz.Campaign(sides, known)
    campaign.run(*args.fuzz, operations=60)
    clean = campaign.report() == 0
    return keep(args, campaign) and clean


def run_planted(args):
    sides, known = fuzzing(args)
    return planted.run(sides, known, args.seed or 1, args.cache / "planted")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--cache", type=pathlib.Path, default=pathlib.Path("build/cache"))
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--record", nargs="*", metavar="TRACE")
    parser.add_argument("--fuzz", nargs=2, type=int, metavar=("SEED", "COUNT"))
    parser.add_argument("--planted", action="store_true")
    args = parser.parse_args()
    args.build, args.cache = args.build.resolve(), args.cache.resolve()
    if args.check:
        run = check
    elif args.record is not None:
        run = record
    elif args.fuzz:
        run = run_fuzzer
    else:
        run = run_planted if args.planted else compare_kernels
    return 0 if run(args) else 1


if __name__ == "__main__":
    sys.exit(main())
