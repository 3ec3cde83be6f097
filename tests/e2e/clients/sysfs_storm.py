"""Writes whatever it likes into all of /sys that can be written, then expects the machine to be whole.

usage: sysfs_storm.py SEED WRITES
"""
import glob
import os
import random
import subprocess
import sys

WORDS = [b"", b"\n", b"\0", b"0", b"1", b"-1", b"65536", b"x" * 5000, b"none", b"default", b"flr bus",
         b"vfio-pci", b"pci-stub", b"pvpanic-pci", b"1234 11e8", b"1b36 0011", b"ffff", b"0000:00:1c.0"]


def write(path, text, flags=0):
    """False when the kernel would not have it."""
    try:
        file = os.open(path, os.O_WRONLY | flags)
    except OSError:
        return False
    try:
        return os.write(file, text) >= 0
    except OSError:
        return False
    finally:
        os.close(file)


def writable():
    for pattern in ("bus/pci/*", "bus/pci/devices/*/*", "bus/pci/drivers/*/*", "module/vfio*/parameters/*"):
        for path in glob.glob(f"/sys/{pattern}"):
            plain = os.path.isfile(path) and not os.path.basename(path).startswith(("config", "resource"))
            if plain and os.stat(path).st_mode & 0o200:
                yield path


def bind_to_vfio(name):
    device = f"/sys/bus/pci/devices/{name}"
    if os.path.exists(f"{device}/driver/unbind"):
        assert write(f"{device}/driver/unbind", name.encode()), name
    assert write(f"{device}/driver_override", b"vfio-pci"), name
    assert write("/sys/bus/pci/drivers/vfio-pci/bind", name.encode()), name


def make_virtual_functions(name):
    """All that there may be, of a physical function."""
    device = f"/sys/bus/pci/devices/{name}"
    if not os.path.exists(f"{device}/sriov_totalvfs"):
        return
    assert write("/sys/module/vfio_pci/parameters/enable_sriov", b"1")
    bind_to_vfio(name)
    with open(f"{device}/sriov_totalvfs", "rb") as file:
        assert write(f"{device}/sriov_numvfs", file.read()), name


def main():
    dice, writes = random.Random(int(sys.argv[1])), int(sys.argv[2])
    devices = sorted(os.listdir("/sys/bus/pci/devices"))
    files = sorted(writable())
    words = WORDS + [name.encode() for name in devices]
    done = 0
    for _ in range(writes):
        text = dice.choice(words) if dice.random() < 0.9 else dice.randbytes(dice.randrange(1, 300))
        done += write(dice.choice(files), text + dice.choice([b"", b"\n"]), dice.choice([0, os.O_TRUNC]))
        if dice.random() < 0.02:
            write("/sys/bus/pci/rescan", b"1")
    assert write("/sys/bus/pci/rescan", b"1")
    for name in devices:
        make_virtual_functions(name)
    assert sorted(os.listdir("/sys/bus/pci/devices")) == devices, "a device is missing"
    listed = subprocess.run(["lspci"], capture_output=True, text=True, check=True).stdout
    assert len(listed.splitlines()) == len(devices), listed
    for name in devices:
        device = f"/sys/bus/pci/devices/{name}"
        virtual = os.path.exists(f"{device}/physfn")
        if os.path.exists(f"{device}/remove") and not os.path.exists(f"{device}/sriov_totalvfs") or virtual:
            bind_to_vfio(name)
    groups = len(os.listdir("/dev/vfio")) - 1
    print(f"checked {done} of {writes} writes taken, {len(files)} files, {groups} groups")


main()
