#!/usr/bin/env python3
"""Runs vfiolab with CUSE nodes inside a QEMU guest (TCG, no KVM needed) that has /dev/cuse.

usage: in_guest.py [--build DIR] [--cache DIR] [--kernel DIR] [--trace PREFIX...]

KERNEL is what tests/referee/kernel.sh leaves; without it, Debian's packaged one. The guest runs in_guest.sh, and
replays golden traces, of which those differ that tests/golden/wrong lists.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
sys.path.insert(0, str(SOURCE / "tests/referee"))
# pylint: disable=wrong-import-position
import golden
import guest
import referee

TIMEOUT = 1000
INIT = r"""#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/tmp
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
for place in /dev/shm /tmp /out /run; do mount -t tmpfs tmpfs $place; done
stty -F /dev/console -onlcr
ulimit -l unlimited
sh /lab/in_guest.sh
echo "@@done"
stty -F /dev/ttyS1 raw -echo
tar -C /out -cf - . | gzip -1 >/dev/ttyS1
poweroff -f
"""



def libraries(program):
    """The shared objects that a program needs, with the loader."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    return re.findall(r"(/\S+) \(0x", listed.stdout)


def pack(modules, build, traces):
    archive = guest.Archive()
    made = set()

    def directory(path):
        for parent in [*reversed(path.parents), path]:
            name = str(parent).strip("/")
            if name not in (".", "") and name not in made:
                made.add(name)
                archive.directory(name)

    def file(path, data, mode=0o644):
        directory(pathlib.PurePath(path).parent)
        archive.file(path.strip("/"), data, mode)

    for name in ("bin", "dev", "mnt", "modules", "out", "proc", "run", "sys", "tmp", "lab/traces"):
        directory(pathlib.PurePath(name))
    archive.add("dev/console", 0o020600, device=(5, 1))
    file("bin/busybox", pathlib.Path("/bin/busybox").read_bytes(), 0o755)
    programs = [build / name for name in ("vfiolab", "player", "spec_tests", "static_client", "threads_client",
                                          "examples/edu_driver")]
    shared = set()
    for program in programs:
        file(f"lab/bin/{program.name}", program.read_bytes(), 0o755)
        shared.update(libraries(program))
    for library in sorted(shared):
        file(library, pathlib.Path(library).read_bytes(), 0o755)
    order = (modules / "order").read_text().split()
    # Of the guest's own vfio modules nothing is needed.
    order = [name for name in order if name == "cuse.ko"]
    file("modules/order", "".join(f"{name}\n" for name in order).encode())
    for name in order:
        file(f"modules/{name}", (modules / name).read_bytes())
    for topology in (SOURCE / "topologies").glob("*.json"):
        file(f"lab/topologies/{topology.name}", topology.read_bytes())
    file("lab/spec.json", (SOURCE / "tests/spec/topology.json").read_bytes())
    for path in sorted((SOURCE / "tests/referee/machines").rglob("*")):
        if path.is_file():
            file(f"lab/machines/{path.relative_to(SOURCE / 'tests/referee/machines')}", path.read_bytes())
    for number, text in enumerate(traces.values()):
        file(f"lab/traces/{number:06}", text.encode())
    file("lab/in_guest.sh", (HERE / "in_guest.sh").read_bytes(), 0o755)
    file("init", INIT.encode(), 0o755)
    return archive.bytes()


def boot(kernel, build, traces):
    """The console, and results of traces by name."""
    with tempfile.TemporaryDirectory() as scratch:
        initrd, log, sent = (os.path.join(scratch, name) for name in ("initrd", "console", "results"))
        pathlib.Path(initrd).write_bytes(pack(kernel / "modules", build, traces))
        command = [guest.QEMU, *guest.OPTIONS, "-monitor", "none", "-serial", f"file:{log}", "-serial", f"file:{sent}",
                   "-kernel", str(kernel / "vmlinuz"), "-initrd", initrd, "-append", guest.APPEND]
        try:
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT, check=False)
        except subprocess.TimeoutExpired:
            print(f"the guest was not done after {TIMEOUT} s")
        console = pathlib.Path(log).read_text(errors="replace").replace("\r", "")
        files = guest.read_results(sent)
    names = list(traces)
    return console, {names[int(name)]: text for name, text in files.items() if name.isdigit()}


def compare_traces(traces, played):
    """Whether those differ, and only those, that do so without CUSE, or because CUSE answers lseek itself."""
    listed = golden.named_list(golden.GOLDEN / "wrong").keys()
    wrong = listed & traces.keys()
    found = set(referee.differing(traces, played, "with CUSE", wrong))
    for name in sorted(wrong - found):
        print(f"{name} is right with CUSE")
    print(f"checked {len(traces)} traces: {len(found - wrong)} differ, {len(found & wrong)} more are listed")
    return len(traces) > 0 and found == wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=SOURCE / "build/release")
    parser.add_argument("--cache", type=pathlib.Path, default=SOURCE / "build/cache")
    parser.add_argument("--kernel", type=pathlib.Path)
    parser.add_argument("--console", type=pathlib.Path, help="keep the guest's console in this file")
    parser.add_argument("--trace", nargs="*", default=["1-container", "3-group", "15-sysfs/unbind", "15-sysfs/bind"])
    args = parser.parse_args()
    if args.kernel is None:
        subprocess.run([SOURCE / "tests/referee/kernel.sh", "debian", args.cache], check=True)
        args.kernel = args.cache / "debian"
    traces = {name: text for name, text in golden.traces().items() if name.startswith(tuple(args.trace))}
    console, played = boot(args.kernel.resolve(), args.build.resolve(),
                           {name: golden.bare(text) for name, text in traces.items()})
    if args.console:
        args.console.write_text(console)
    steps = re.findall(r"@@(passed|failed) ([0-9.]+) (.*)", console)
    for state, clock, name in steps:
        print(f"{state} after {clock} s: {name}")
    good = "@@done" in console and len(steps) > 0 and all(state == "passed" for state, _, _ in steps)
    if not good:
        print("the console's end:\n" + "\n".join(console.splitlines()[-150:]))
    good = compare_traces(traces, played) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
