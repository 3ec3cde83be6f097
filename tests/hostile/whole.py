"""Inside a session whose clients have all ended: mends what they did in /sys, then opens every group and device.

usage: whole.py WORLD
"""
import contextlib
import errno
import fcntl
import os
import struct
import sys
import time

# A virtual function opens with the token that was set through its physical function.
TOKEN = bytes.fromhex("2ab74924c33545f49b168569e5b08258")
NAMED_TOKEN = " vf_token=2ab74924-c335-45f4-9b16-8569e5b08258"
FEATURE_SET_VF_TOKEN = 1 << 17
SET_IOMMU, SET_CONTAINER, GET_DEVICE_FD, DEVICE_GET_INFO = 0x3B66, 0x3B68, 0x3B6A, 0x3B6B
DEVICE_FEATURE = 0x3B75
TYPE1_V2 = 3
PATIENCE = 60  # seconds for clients that were killed to be gone


def write(path, text):
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    except OSError:
        pass  # what matters is how it is afterwards


def mend(addresses):
    write("/sys/bus/pci/rescan", "1")
    write("/sys/module/vfio_pci/parameters/enable_sriov", "1")
    for address in sorted(addresses):  # virtual functions after their physical one, which makes them
        device = f"/sys/bus/pci/devices/{address}"
        if not os.path.exists(device):
            sys.exit(f"{address} is missing")
        driver = os.path.basename(os.path.realpath(f"{device}/driver"))
        write(f"{device}/driver_override", "vfio-pci")
        if driver != "vfio-pci":
            write(f"{device}/driver/unbind", address)
            write("/sys/bus/pci/drivers/vfio-pci/bind", address)
        with contextlib.suppress(OSError), open(f"{device}/sriov_totalvfs", encoding="ascii") as file:
            write(f"{device}/sriov_numvfs", "0")
            write(f"{device}/sriov_numvfs", file.read())


def opened(stack, fd):
    stack.callback(os.close, fd)
    return fd


def open_group(stack, number):
    container = opened(stack, os.open("/dev/vfio/vfio", os.O_RDWR))
    group = opened(stack, os.open(f"/dev/vfio/{number}", os.O_RDWR))
    fcntl.ioctl(group, SET_CONTAINER, struct.pack("i", container))
    fcntl.ioctl(container, SET_IOMMU, TYPE1_V2)
    return group


def open_device(stack, group, name):
    device = opened(stack, fcntl.ioctl(group, GET_DEVICE_FD, bytearray(name.encode() + b"\0")))
    fcntl.ioctl(device, DEVICE_GET_INFO, bytearray(struct.pack("6I", 24, 0, 0, 0, 0, 0)))
    return device


def drive(stack, number, addresses):
    """Opens the group and its devices as a driver does."""
    group = open_group(stack, number)
    for address in addresses:
        open_device(stack, group, address)


def drive_function(stack, number, address, physical_group):
    """The same for a virtual function."""
    physical = open_device(stack, open_group(stack, physical_group), address[:-1] + "0")
    fcntl.ioctl(physical, DEVICE_FEATURE, bytearray(struct.pack("II", 24, FEATURE_SET_VF_TOKEN) + TOKEN))
    drive(stack, number, [address + NAMED_TOKEN])


def main():
    with open(sys.argv[1], encoding="ascii") as world:
        functions = [line.split() for line in world]
    mend([address for _, address, _ in functions])
    group_of = {address: group for group, address, _ in functions}
    plain, virtual = {}, []
    for group, address, role in functions:
        if role == "plain":
            plain.setdefault(group, []).append(address)
        elif role == "vf":
            virtual.append((group, address, group_of[address[:-1] + "0"]))
    failed, end = 0, time.monotonic() + PATIENCE
    for attempt, arguments in [(drive, item) for item in plain.items()] + [(drive_function, item) for item in virtual]:
        while True:
            try:
                with contextlib.ExitStack() as stack:
                    attempt(stack, *arguments)
            except OSError as error:
                # Of a physical function EACCES, too, says that a client has not quite gone: it has a virtual one.
                if error.errno in (errno.EBUSY, errno.EACCES) and time.monotonic() < end:
                    time.sleep(0.2)
                    continue
                print(f"group {arguments}: {error}")
                failed += 1
            break
    if failed:
        sys.exit(f"{failed} groups cannot be driven")
    print(f"{len(plain) + len(virtual)} groups driven")


main()
