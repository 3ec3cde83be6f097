"""Inside a session whose clients have all ended: mends what they did in /sys, then opens every group and device.

usage: whole.py WORLD
"""
import fcntl
import os
import struct
import sys

SET_IOMMU, SET_CONTAINER, GET_DEVICE_FD, DEVICE_GET_INFO = 0x3B66, 0x3B68, 0x3B6A, 0x3B6B
TYPE1_V2 = 3


def write(path, text):
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    except OSError:
        pass  # what matters is how it is afterwards


def mend(addresses):
    write("/sys/bus/pci/rescan", "1")
    for address in addresses:
        device = f"/sys/bus/pci/devices/{address}"
        if not os.path.exists(device):
            sys.exit(f"{address} is missing")
        driver = os.path.basename(os.path.realpath(f"{device}/driver"))
        write(f"{device}/driver_override", "vfio-pci")
        if driver != "vfio-pci":
            write(f"{device}/driver/unbind", address)
            write("/sys/bus/pci/drivers/vfio-pci/bind", address)


def drive(group_number, addresses):
    """Opens the group and its devices as a driver does."""
    container = os.open("/dev/vfio/vfio", os.O_RDWR)
    group = os.open(f"/dev/vfio/{group_number}", os.O_RDWR)
    fcntl.ioctl(group, SET_CONTAINER, struct.pack("i", container))
    fcntl.ioctl(container, SET_IOMMU, TYPE1_V2)
    devices = []
    for address in addresses:
        device = fcntl.ioctl(group, GET_DEVICE_FD, address.encode() + b"\0")
        fcntl.ioctl(device, DEVICE_GET_INFO, bytearray(struct.pack("6I", 24, 0, 0, 0, 0, 0)))
        devices.append(device)
    for fd in devices + [group, container]:
        os.close(fd)


def main():
    groups = {}
    with open(sys.argv[1], encoding="ascii") as world:
        for line in world:
            group, address, _model = line.split()
            groups.setdefault(group, []).append(address)
    mend([address for members in groups.values() for address in members])
    failed = 0
    for group, addresses in groups.items():
        try:
            drive(group, addresses)
        except OSError as error:
            print(f"group {group} with {' '.join(addresses)}: {error}")
            failed += 1
    if failed:
        sys.exit(f"{failed} groups cannot be driven")
    print(f"{len(groups)} groups driven")


main()
