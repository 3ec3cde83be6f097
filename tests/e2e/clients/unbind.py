"""Inside a view: writes to `unbind` that wait, and what must go on meanwhile. usage:

unbind.py waits DEVICE OTHER
unbind.py alone DEVICE
unbind.py functions PHYSICAL VIRTUAL
"""
import fcntl
import os
import signal
import struct
import sys
import time

SET_IOMMU, SET_CONTAINER, GET_DEVICE_FD = 0x3B66, 0x3B68, 0x3B6A


def group_of(address):
    return os.path.basename(os.path.realpath(f"/sys/bus/pci/devices/{address}/iommu_group"))


def open_device(address):
    container = os.open("/dev/vfio/vfio", os.O_RDWR)
    group = os.open(f"/dev/vfio/{group_of(address)}", os.O_RDWR)
    fcntl.ioctl(group, SET_CONTAINER, struct.pack("i", container))
    fcntl.ioctl(container, SET_IOMMU, 1)
    return fcntl.ioctl(group, GET_DEVICE_FD, bytearray(address.encode() + b"\0"))


def write(path, text):
    with open(f"/sys/bus/pci/{path}", "w", encoding="ascii") as file:
        file.write(text)


def unbind(address):
    write("drivers/vfio-pci/unbind", address)


def start(work):
    """A process of its own that does the work."""
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    return child


def ends(process, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if os.waitpid(process, os.WNOHANG)[0]:
            return True
        time.sleep(0.02)
    return False


def has_node(address):
    return os.path.exists(f"/dev/vfio/{group_of(address)}")


def check(holds, sentence):
    print(("ok: " if holds else "FAILED: ") + sentence, flush=True)
    if not holds:
        os._exit(1)  # whoever waits is killed with the view


def waits(address, other):
    device = open_device(address)
    waiting = start(lambda: (os.closerange(3, 64), unbind(address)))
    time.sleep(0.3)
    check(not ends(waiting, 0.5), "unbind waits while the device is open")
    check(ends(start(lambda: (os.closerange(3, 64), unbind(other)))), "another unbind does not wait for it")
    check(not has_node(other), "the other group has no node now")
    os.kill(waiting, signal.SIGKILL)
    check(ends(waiting), "who is killed while it waits goes away")
    check(has_node(address), "the device's group keeps its node until it is closed")
    os.close(device)
    deadline = time.monotonic() + 10
    while has_node(address) and time.monotonic() < deadline:
        time.sleep(0.02)
    check(not has_node(address), "then it loses it")


def alone(address):
    """The one that waits has the device open itself, so that nothing but its death ends that."""
    def wait_for_itself():
        signal.signal(signal.SIGUSR1, lambda *_: None)
        os.dup(open_device(address))
        unbind(address)

    waiting = start(wait_for_itself)
    check(not ends(waiting, 1), "unbind by who has the device open waits")
    os.kill(waiting, signal.SIGUSR1)
    check(not ends(waiting, 0.5), "a signal does not end it")
    os.kill(waiting, signal.SIGKILL)
    check(ends(waiting), "SIGKILL does, though it came after the signal")


def functions(physical, virtual):
    """A virtual function is open while vfio-pci gets its physical one from a driver of the host."""
    write("drivers/nvme/unbind", physical)
    device = open_device(virtual)
    write(f"devices/{physical}/driver_override", "vfio-pci")
    write("drivers/vfio-pci/bind", physical)
    os.close(device)
    device = open_device(physical)
    check(device >= 0, "the physical function opens without a token when no virtual one is open")


{"waits": waits, "alone": alone, "functions": functions}[sys.argv[1]](*sys.argv[2:])
