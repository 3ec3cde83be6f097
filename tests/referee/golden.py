"""The golden traces, with what each version of the kernel answered.

traces/ has the newest kernel's answers. traces-VERSION/ has, under the same names, those traces that an
older one answers otherwise; the list `older` says why. Not every machine can be asked on an older kernel.
"""
import pathlib

import compare

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE.parent / "golden"
TRACES = GOLDEN / "traces"
MACHINES = HERE / "machines"
NEWEST, OLDER = "7.3", "6.12"
# What kernel.sh calls them.
KERNELS = {NEWEST: "built", OLDER: "debian"}


def directory(version):
    return TRACES if version == NEWEST else GOLDEN / f"traces-{version}"


def read(place):
    """name -> text; the name is the path below `place`."""
    return {str(path.relative_to(place)): path.read_text() for path in sorted(place.rglob("*.trace"))}


def machine_of(text):
    return MACHINES / next(line.split()[1] for line in text.splitlines() if line.startswith("machine "))


def is_asked(machine, version):
    """A machine with a configuration of its own has only a kernel that was built for it."""
    return version == NEWEST or not (machine / "kernel.config").exists()


def traces(version=NEWEST):
    """name -> text with the answers of this version, of all traces that it is asked."""
    newest = read(TRACES)
    if version == NEWEST:
        return newest
    own = read(directory(version))
    return {name: own.get(name, text) for name, text in newest.items() if is_asked(machine_of(text), version)}


def by_machine(golden):
    """(the machine's directory, its traces), for each machine that the traces name."""
    parts = {}
    for name, text in golden.items():
        parts.setdefault(machine_of(text), {})[name] = text
    return parts.items()


def named_list(path):
    """Lines "TRACE ROW,ROW... REASON" -> {trace: [row]}."""
    lines = (line.split(None, 2) for line in path.read_text().splitlines()
             if line.strip() and not line.startswith("#"))
    return {trace: rows.split(",") for trace, rows, _ in lines}


def rows_of(text):
    return [row for line in text.splitlines() if line.startswith("row ") for row in line.split()[1:]]


def bare(text):
    """A trace without what `write` put in."""
    lines = []
    for line in text.splitlines():
        if line.startswith("recorded "):
            continue
        split = compare.split(line)
        lines.append(split.operation or line)
    return "\n".join(lines) + "\n"


def write(name, played, source, version):
    """Keeps a trace with the results of this version, and where they come from. Of an older version
    only what differs is kept."""
    path = directory(version) / name
    if version != NEWEST and next(compare.differences((TRACES / name).read_text(), played), None) is None:
        path.unlink(missing_ok=True)
        return
    lines = played.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("machine ")) + 1
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines[:at], f"recorded {source}", *lines[at:]]) + "\n")
