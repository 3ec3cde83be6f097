#!/usr/bin/env python3
"""The referee: golden traces, real kernels and vfiolab.

usage: referee.py [--build DIR] [--cache DIR] [--kernel VERSION] [--machine NAME] [WHAT]
  (nothing)            play all golden traces again on every kernel, and on vfiolab as each of them
  --sample N           the same with N random ones
  --check              replay the golden traces on vfiolab as each kernel; needs no guest
  --check-in-process   replay them on vfiolab with --in-process
  --record [TRACE...]  write results of a kernel into traces: those that lack some, or these. Of 6.12 all
                       are asked where none are named, and those are kept that 7.3 answers otherwise
  --fuzz SEED COUNT    compare COUNT random traces, and make smaller what differs
  --modes SEED COUNT   the same of vfiolab with --exact and with --in-process; needs no guest
  --planted            plant faults into vfiolab and see that the fuzzer finds them
VERSION is 7.3 (the default) or 6.12. NAME is what random traces are played on: referee (the default), or
variety on 7.3.
"""
import argparse
import pathlib
import random
import subprocess
import sys

import compare
import emulated
import fuzz
import fuzz_facts
import golden
import guest
import planted
from golden import GOLDEN, KERNELS, MACHINES, NEWEST, OLDER, TRACES, by_machine

HERE = pathlib.Path(__file__).resolve().parent
TOGETHER = 20       # traces in one machine


def play_vfiolab(args, traces, version, options=("--exact",)):
    player = args.build / ("player_dynamic" if "--in-process" in options else "player")
    played = {}
    for machine, part in by_machine(traces):
        # In a machine of its own each trace is played once; the other way is quicker.
        together = 1 if version == NEWEST else TOGETHER
        played |= emulated.play(args.build / "vfiolab", player, machine, part, version, together, options=options)
    return played


def tell(name, difference, ours, theirs):
    print(f"{name}: operation {difference.index + 1}: {difference.operation}")
    print(f"    {ours:10} {difference.ours}\n    {theirs:10} {difference.theirs}")


def differing(traces, played, theirs, expected=()):
    """Names of traces whose results are not the golden ones; those not expected are told."""
    found = []
    for name, text in traces.items():
        difference = next(compare.differences(text, played.get(name, "")), None)
        if difference is None:
            continue
        found.append(name)
        if name not in expected:
            tell(name, difference, "golden", theirs)
    return found


def against_list(traces, played, theirs, listed=(), strict=True):
    """Compares. Traces that are listed may differ, and must where it is strict."""
    found = differing(traces, played, theirs, listed)
    stale = [name for name in listed if strict and name in traces and name not in found]
    for name in stale:
        print(f"wrong: {name} is right now: remove its line")
    operations = sum(len(compare.operations(text)) for text in traces.values())
    unexpected = [name for name in found if name not in listed]
    rows = {row for name in found for row in golden.rows_of(traces[name])}
    print(f"{theirs}: checked {len(traces)} traces, {operations} operations: {len(unexpected)} differ, "
          f"{len(found) - len(unexpected)} more are listed ({len(rows)} rows differ)")
    return not unexpected and not stale


def check_version(args, version, traces):
    """As the newest with --exact; as the older one without."""
    listed, exact = golden.named_list(GOLDEN / "wrong"), version == NEWEST
    if not exact:
        listed |= golden.named_list(GOLDEN / "exact")
    played = play_vfiolab(args, traces, version, ["--exact"] * exact)
    # What is wrong as the newest may be right as another.
    return against_list(traces, played, f"vfiolab as Linux {version}", listed, exact)


def check_in_process(args):
    """The machine in the player's own processes."""
    wrong = golden.named_list(GOLDEN / "wrong")
    traces = {name: text for name, text in golden.traces(NEWEST).items() if name not in wrong}
    played = play_vfiolab(args, traces, NEWEST, ["--in-process"])
    return against_list(traces, played, "vfiolab in process", golden.named_list(GOLDEN / "in-process"))


def check(args, names=None):
    all_traces, good = golden.traces(), True
    for kind in ("wrong", "exact"):
        for name, rows in golden.named_list(GOLDEN / kind).items():
            if name not in all_traces or rows != golden.rows_of(all_traces[name]):
                print(f"{kind}: there is no trace {name}, or it has other rows")
                good = False
    for version in KERNELS:
        traces = chosen(golden.traces(version), names)
        good = check_version(args, version, traces) and good
    return good


def chosen(traces, names):
    return traces if names is None else {name: traces[name] for name in names if name in traces}


def kernel(args, version):
    kind = KERNELS[version]
    subprocess.run([HERE / "kernel.sh", kind, args.cache], check=True)
    return args.cache / kind


def lacking(version):
    """Traces that must be asked. One that an older kernel answers as the newest does has no file."""
    return [name for name, text in golden.traces(version).items()
            if version != NEWEST or any(not line.result for line in compare.operations(text))]


def record(args, version, names):
    traces = golden.traces(version)
    wanted = {name: golden.bare(traces[name]) for name in names if name in traces}
    recorded = 0
    for machine, part in by_machine(wanted):
        image = kernel(args, version)
        source = guest.describe(image, machine)
        played = guest.play(image, args.build / "player", machine, part)
        for name, text in played.items():
            golden.write(name, text, source, version)
        recorded += len(played)
        print(f"recorded {len(played)} of {len(part)} traces on {source.split(':')[0]}")
    return recorded == len(wanted)


def run_record(args):
    return record(args, args.kernel, args.record or lacking(args.kernel))


def compare_kernels(args):
    names = None
    if args.sample:
        seed = args.seed if args.seed is not None else random.randrange(1 << 32)
        print(f"a sample of {args.sample} traces, seed {seed}")
        known = sorted(golden.traces())
        names = random.Random(seed).sample(known, min(args.sample, len(known)))
    good = True
    for version in KERNELS:
        image = kernel(args, version)
        for machine, part in by_machine(chosen(golden.traces(version), names)):
            played = guest.play(image, args.build / "player", machine, part)
            release = guest.describe(image, machine).split(",")[0]
            good = against_list(part, played, f"{release}, {machine.name}") and good
    return check(args, names) and good


def fuzzing(args):
    """Both sides, and the signatures of differences that the golden traces know already."""
    sides = fuzz.Sides(kernel=kernel(args, args.kernel), version=args.kernel,
                       vfiolab=args.build / "vfiolab", player=args.build / "player",
                       machine=MACHINES / args.machine)
    listed = chosen(golden.traces(args.kernel), golden.named_list(GOLDEN / "wrong"))
    played = play_vfiolab(args, listed, args.kernel)
    # What comes after the first difference of a trace may follow from it.
    firsts = (next(compare.differences(text, played[name]), None) for name, text in listed.items())
    return sides, {difference.signature for difference in firsts if difference}


def keep(args, campaign):
    """Writes what was found among the golden traces, with the answers of both kernels."""
    names = []
    for seed, difference, trace in campaign.found.values():
        name = f"found/seed_{seed}.trace"
        (TRACES / name).parent.mkdir(exist_ok=True)
        comment = (f"# Found by the fuzzer, as Linux {args.kernel}: vfiolab said {difference.theirs}, "
                   f"not {difference.ours}.\n")
        lines = trace.splitlines(keepends=True)
        at = sum(line.split()[0] in compare.HEADERS for line in lines)
        (TRACES / name).write_text("".join([*lines[:at], comment, *lines[at:]]))
        names.append(name)
    return not names or (record(args, NEWEST, names) and record(args, OLDER, names))


def run_fuzzer(args):
    sides, known = fuzzing(args)
    campaign = fuzz.Campaign(sides, known)
    campaign.run(*args.fuzz, operations=60)
    clean = campaign.report() == 0
    return keep(args, campaign) and clean


def run_modes(args):
    sides = fuzz.Modes(version=args.kernel, vfiolab=args.build / "vfiolab",
                       players=(args.build / "player", args.build / "player_dynamic"),
                       machine=MACHINES / args.machine)
    campaign = fuzz.Campaign(sides)
    campaign.run(*args.modes, operations=60)
    return campaign.report() == 0


def run_planted(args):
    sides, known = fuzzing(args)
    return planted.run(sides, known, args.seed or 1, args.cache / "planted")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--cache", type=pathlib.Path, default=pathlib.Path("build/cache"))
    parser.add_argument("--kernel", choices=KERNELS, default=NEWEST)
    parser.add_argument("--machine", choices=fuzz_facts.MACHINES, default="referee")
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--check-in-process", action="store_true")
    parser.add_argument("--record", nargs="*", metavar="TRACE")
    parser.add_argument("--fuzz", nargs=2, type=int, metavar=("SEED", "COUNT"))
    parser.add_argument("--modes", nargs=2, type=int, metavar=("SEED", "COUNT"))
    parser.add_argument("--planted", action="store_true")
    args = parser.parse_args()
    if not golden.is_asked(MACHINES / args.machine, args.kernel):
        parser.error(f"machine {args.machine} has no kernel {args.kernel}")
    args.build, args.cache = args.build.resolve(), args.cache.resolve()
    if args.check_in_process:
        return 0 if check_in_process(args) else 1
    if args.check:
        run = check
    elif args.record is not None:
        run = run_record
    elif args.fuzz:
        run = run_fuzzer
    elif args.modes:
        run = run_modes
    else:
        run = run_planted if args.planted else compare_kernels
    return 0 if run(args) else 1


if __name__ == "__main__":
    sys.exit(main())
