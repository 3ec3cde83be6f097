#!/usr/bin/env python3
"""The kernel's side of the referee: plays traces in a guest with real vfio (QEMU, TCG, no KVM needed).

usage: guest.py --kernel DIR_OR_FILE --player PLAYER [--machine DIR] --out OUTDIR TRACE...

KERNEL is a bzImage with everything built in, or what kernel.sh leaves: vmlinuz and modules/. PLAYER is
linked statically. A directory in TRACE stands for the *.trace files below it. DIR is one of machines/:
qemu.args, and devices with lines "NAME ADDRESS [DRIVER [VFS]]": the driver is vfio-pci when none is said, and
VFS virtual functions are made of the device.
"""
import argparse
import gzip
import io
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
QEMU = "qemu-system-x86_64"
OPTIONS = ["-machine", "q35,kernel-irqchip=split", "-accel", "tcg", "-cpu", "max", "-m", "1G",
           "-nographic", "-nodefaults", "-no-reboot"]
# no_timer_check: on a busy machine the clock test at boot fails though the clock is fine.
APPEND = "console=ttyS0 intel_iommu=on no_timer_check loglevel=1 panic=-1"
PLAY = "/bin/player -m /machine/devices -o /out /traces"
APPLETS = ("basename cat echo gzip insmod ls mkdir mount poweroff sh stty tar timeout uname").split()

INIT = r"""#!/bin/sh
export PATH=/bin HOME=/tmp
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm
for place in /dev/shm /tmp /out; do mount -t tmpfs tmpfs $place; done
stty -F /dev/console -onlcr
stage() { read -r now rest </proc/uptime; echo "@@$1 $now"; }
stage up
while read -r module; do insmod "/modules/$module"; done </modules/order
uname -r >/machine/recorded
# For `map huge`.
echo 16 >/proc/sys/vm/nr_hugepages
while read -r name bdf driver vfs; do
    device=/sys/bus/pci/devices/$bdf
    if [ -e $device/driver ]; then echo $bdf >$device/driver/unbind; fi
    echo ${driver:-vfio-pci} >$device/driver_override
    echo $bdf >/sys/bus/pci/drivers_probe
    if [ ! -e $device/driver ]; then echo "@@unbound $name $bdf"; fi
    if [ "$vfs" ]; then
        echo 1 >/sys/module/vfio_pci/parameters/enable_sriov
        echo $vfs >$device/sriov_numvfs
        # QEMU's virtual functions go with a reset of their physical one, and the kernel does not bring them back.
        echo >$device/reset_method
    fi
done </machine/devices
stage bound
cd /tmp
timeout -s KILL @@PATIENCE @@COMMAND </dev/null
echo "@@player $?"
stage played
stty -F /dev/ttyS1 raw -echo
tar -C /out -cf - . | gzip -1 >/dev/ttyS1
stage sent
poweroff -f
"""


class GuestError(Exception):
    """The guest brought no results; the message has the end of its console."""


def locate(kernel, machine_dir):
    """The image for this machine and the directory of modules or None."""
    kernel = pathlib.Path(kernel)
    if not kernel.is_dir():
        return kernel, None
    own = kernel / f"vmlinuz-{pathlib.Path(machine_dir).name}"
    return own if own.exists() else kernel / "vmlinuz", kernel / "modules"


def release(image):
    """What `uname -r` says in a guest with this bzImage (Documentation/arch/x86/boot.rst, kernel_version)."""
    data = pathlib.Path(image).read_bytes()
    start = int.from_bytes(data[0x20e:0x210], "little") + 0x200
    return data[start:data.index(b"\0", start)].decode().split()[0]


def machine_options(machine_dir):
    words = []
    for line in (pathlib.Path(machine_dir) / "qemu.args").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            words += line.split(None, 1)
    return words


def describe(kernel, machine_dir):
    """One line that says where results come from."""
    version = subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=True).stdout
    version = version.split("version ", 1)[1].split()[0]
    command = " ".join([QEMU, *OPTIONS, *machine_options(machine_dir)])
    return f"Linux {release(locate(kernel, machine_dir)[0])}, QEMU {version}: {command} -append '{APPEND}'"


class Archive:
    """An initramfs: the newc format of cpio, which needs no program to write."""

    def __init__(self):
        self.out = io.BytesIO()
        self.count = 0

    def add(self, name, mode, data=b"", device=(0, 0)):
        self.count += 1
        raw = name.encode() + b"\0"
        fields = (self.count, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(raw), 0)
        self.out.write(b"070701" + b"".join(b"%08X" % field for field in fields) + raw)
        self._align()
        self.out.write(data)
        self._align()

    def _align(self):
        self.out.write(bytes(-self.out.tell() % 4))

    def directory(self, name):
        self.add(name, 0o040755)

    def file(self, name, data, mode=0o644):
        self.add(name, 0o100000 | mode, data)

    def link(self, name, target):
        self.add(name, 0o120777, target.encode())

    def bytes(self):
        self.add("TRAILER!!!", 0)
        return self.out.getvalue()


def pack(modules, player, machine_dir, traces, patience, command):
    archive = Archive()
    for name in ("bin", "dev", "machine", "modules", "out", "proc", "sys", "tmp", "traces"):
        archive.directory(name)
    archive.add("dev/console", 0o020600, device=(5, 1))
    busybox = shutil.which("busybox")
    if busybox is None:
        raise GuestError("busybox is missing (package busybox-static)")
    archive.file("bin/busybox", pathlib.Path(busybox).read_bytes(), 0o755)
    for applet in APPLETS:
        archive.link(f"bin/{applet}", "busybox")
    archive.file("bin/player", pathlib.Path(player).read_bytes(), 0o755)
    archive.file("machine/devices", (pathlib.Path(machine_dir) / "devices").read_bytes())
    order = (modules / "order").read_text().split() if modules else []
    archive.file("modules/order", "".join(f"{name}\n" for name in order).encode())
    for name in order:
        archive.file(f"modules/{name}", (modules / name).read_bytes())
    # Numbers for names: the player keeps their order, and no two are the same without their directories.
    for number, text in enumerate(traces.values()):
        archive.file(f"traces/{number:06}", text.encode())
    init = INIT.replace("@@PATIENCE", str(patience)).replace("@@COMMAND", command)
    archive.file("init", init.encode(), 0o755)
    return archive.bytes()


def read_results(path):
    """What the guest sent: file name -> text. A stream that broke off gives the files before the break."""
    results = {}
    try:
        with gzip.open(path) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                if member.isfile():
                    results[os.path.basename(member.name)] = tar.extractfile(member).read().decode(errors="replace")
    except (EOFError, OSError, tarfile.TarError):
        pass
    return results


def stages(console):
    """The guest's clock at each of its stages."""
    # The BIOS leaves no newline before the first.
    found = re.findall(r"@@(up|bound|played|sent) ([0-9.]+)$", console, re.M)
    return {name: float(clock) for name, clock in found}


def boot(kernel, player, machine_dir, traces, timeout=None, play=PLAY):
    """Results (name -> text) and the console. Traces that the player did not get to are missing. `play` is
    what leaves them in /out."""
    image, modules = locate(kernel, machine_dir)
    timeout = timeout or 180 + 2 * len(traces)
    patience = max(timeout - 60, timeout // 2)
    with tempfile.TemporaryDirectory() as scratch:
        initrd, log, sent = (os.path.join(scratch, name) for name in ("initrd", "console", "results"))
        with open(initrd, "wb") as file:
            file.write(pack(modules, player, machine_dir, traces, patience, play))
        command = [QEMU, *OPTIONS, *machine_options(machine_dir), "-monitor", "none",
                   "-serial", f"file:{log}", "-serial", f"file:{sent}",
                   "-kernel", str(image.resolve()), "-initrd", initrd, "-append", APPEND]
        try:
            # In the machine's directory: qemu.args may name files there.
            qemu = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=timeout, check=False, cwd=machine_dir)
            fate = f"QEMU ended with status {qemu.returncode} {qemu.stderr.strip()}".strip()
        except subprocess.TimeoutExpired:
            fate = f"the guest was not done after {timeout} s"
        except FileNotFoundError:
            raise GuestError(f"{QEMU} is missing (package qemu-system-x86)") from None
        console = pathlib.Path(log).read_text(errors="replace").replace("\r", "") if os.path.exists(log) else ""
        files = read_results(sent) if os.path.exists(sent) else {}
    names = list(traces)
    results = {names[int(file)]: text for file, text in files.items() if file.isdigit() and int(file) < len(names)}
    tail = "\n".join(console.splitlines()[-30:])
    if "@@unbound" in console:
        raise GuestError(f"a device could not be bound to its driver; the console:\n{tail}")
    if traces and not results:
        raise GuestError(f"no results: {fate}; the console's end:\n{tail}")
    if len(results) < len(traces):
        print(f"guest: {len(traces) - len(results)} of {len(traces)} traces have no results: {fate}; "
              f"the console's end:\n{tail}", file=sys.stderr)
    return results, console


def play(kernel, player, machine_dir, traces, timeout=None):
    """Plays the traces (name -> text) in one boot, in their order; gives name -> text with results."""
    return boot(kernel, player, machine_dir, traces, timeout)[0]


def gather(paths):
    """name -> text of trace files; a directory stands for the traces below it, named by their way from it."""
    traces = {}
    for path in map(pathlib.Path, paths):
        for file in sorted(path.rglob("*.trace")) if path.is_dir() else [path]:
            name = str(file.relative_to(path)) if path.is_dir() else file.name
            if name in traces:
                sys.exit(f"two traces are called {name}")
            traces[name] = file.read_text()
    return traces


def scatter(out, results):
    """Writes the files that `gather` would read."""
    for name, text in results.items():
        file = pathlib.Path(out, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--player", required=True)
    parser.add_argument("--machine", default=HERE / "machines/referee")
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--timeout", type=int)
    parser.add_argument("--console", help="keep the guest's console in this file")
    parser.add_argument("traces", nargs="+", metavar="TRACE")
    args = parser.parse_args()
    traces = gather(args.traces)
    began = time.monotonic()
    try:
        results, console = boot(args.kernel, args.player, args.machine, traces, args.timeout)
    except GuestError as error:
        sys.exit(f"guest.py: {error}")
    if args.console:
        pathlib.Path(args.console).write_text(console)
    scatter(args.out, results)
    times = " ".join(f"{stage} {clock}" for stage, clock in stages(console).items())
    print(f"guest.py: {len(results)} of {len(traces)} traces in {time.monotonic() - began:.1f} s ({times})")
    return 0 if len(results) == len(traces) else 1


if __name__ == "__main__":
    sys.exit(main())
