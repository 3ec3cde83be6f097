"""Inside a session: uses up the descriptors of the emulator. usage: descriptors.py (fit|exhaust)"""
import fcntl
import os
import struct
import sys

SET_IOMMU, SET_CONTAINER, GET_DEVICE_FD, SET_IRQS, IOEVENTFD = 0x3B66, 0x3B68, 0x3B6A, 0x3B6E, 0x3B74
EVENTFD_TRIGGER, MSIX = 0x24, 2
BAR0_MEMORY = 0


def open_device(group_number, address):
    container = os.open("/dev/vfio/vfio", os.O_RDWR)
    group = os.open(f"/dev/vfio/{group_number}", os.O_RDWR)
    fcntl.ioctl(group, SET_CONTAINER, struct.pack("i", container))
    fcntl.ioctl(container, SET_IOMMU, 1)
    return fcntl.ioctl(group, GET_DEVICE_FD, bytearray(address.encode() + b"\0"))


def errno_of(fd, command, request):
    try:
        fcntl.ioctl(fd, command, bytearray(request))
        return "ok"
    except OSError as error:
        return os.strerror(error.errno)


def main():
    event = os.eventfd(0)
    device = open_device(4, "0000:04:00.0")
    request = struct.pack("5I", 20 + 4 * 2048, EVENTFD_TRIGGER, MSIX, 0, 2048) + 2048 * struct.pack("i", event)
    print("2048 triggers:", errno_of(device, SET_IRQS, request))
    if sys.argv[1] == "fit":
        return
    # Another client of the machine takes what is left, one by one.
    said = set()
    for at in range(1000):
        said.add(errno_of(device, IOEVENTFD, struct.pack("IIQQiI", 40, 1, at, 0, event, 0)))
    print("ioeventfds:", " ".join(sorted(said)))


main()
