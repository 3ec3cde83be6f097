#!/usr/bin/env python3
"""processes.py TEST: several processes at the machine of topologies/edu.json, each with a part of it.
Ends with 0 when all is as with one kernel."""
import array
import ctypes
import fcntl
import mmap
import os
import signal
import socket
import struct
import sys
import time

API_VERSION, SET_IOMMU, GROUP_STATUS, SET_CONTAINER, DEVICE_FD = 0x3b64, 0x3b66, 0x3b67, 0x3b68, 0x3b6a
MAP_DMA, BDF, CONFIG = 0x3b71, b"0000:01:00.0", 7 << 40
DRIVER = "/sys/bus/pci/drivers/vfio-pci/"
libc = ctypes.CDLL(None, use_errno=True)


def expect(holds, what):
    if not holds:
        print("does not hold:", what, flush=True)
        os._exit(1)


def open_device():
    container = os.open("/dev/vfio/vfio", os.O_RDWR)
    group = os.open("/dev/vfio/1", os.O_RDWR)
    fcntl.ioctl(group, SET_CONTAINER, struct.pack("i", container))
    fcntl.ioctl(container, SET_IOMMU, 1)
    device = libc.ioctl(group, DEVICE_FD, BDF + b"\0")
    expect(device >= 0, "the device's descriptor")
    return container, group, device


def is_edu(device):
    return os.pread(device, 4, CONFIG) == b"\x34\x12\xe8\x11"


def error_of(act, *arguments):
    try:
        act(*arguments)
        return 0
    except OSError as error:
        return error.errno


def child(act):
    """The act in a child, which ends with it."""
    pid = os.fork()
    if pid != 0:
        return pid
    try:
        act()
    except BaseException as error:  # noqa: whatever it is
        print("child:", repr(error), flush=True)
        os._exit(1)
    os._exit(0)


def ended_well(pid):
    return os.waitpid(pid, 0)[1] == 0


def write_to(path, text):
    file = os.open(path, os.O_WRONLY)
    try:
        os.write(file, text)
    finally:
        os.close(file)


def liveness(device, question):
    """What edu answers to a number at offset 4 of its registers."""
    os.pwrite(device, struct.pack("I", question), 4)
    return struct.unpack("I", os.pread(device, 4, 4))[0] == ~question & 0xffffffff


def test_inherit():
    container, group, device = open_device()

    def act():
        expect(is_edu(device) and liveness(device, 77), "the parent's device")
        memory = mmap.mmap(-1, 4096)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        fcntl.ioctl(container, MAP_DMA, struct.pack("IIQQQ", 32, 3, address, 0x10000, 4096))
        another = libc.ioctl(group, DEVICE_FD, BDF + b"\0")
        expect(another >= 0 and is_edu(another), "one that the child has opened")
        os.close(another)
    expect(ended_well(child(act)), "the child")
    expect(is_edu(device), "the parent's, when the child has gone")
    first = child(lambda: time.sleep(0.3))
    for fd in (device, group, container):
        os.close(fd)
    expect(error_of(os.open, "/dev/vfio/1", os.O_RDWR) == 16, "a child keeps the group busy")
    expect(ended_well(first), "the child that sleeps")
    os.close(os.open("/dev/vfio/1", os.O_RDWR))


def test_mapped():
    device = open_device()[2]
    registers = mmap.mmap(device, 4096)
    words = (ctypes.c_uint32 * 1024).from_buffer(registers)

    def act():
        words[1] = 0x1234
        expect(words[1] == ~0x1234 & 0xffffffff, "what the child's store comes to")
        expect(words[0] == 0x010000ed, "what the child loads")
    expect(ended_well(child(act)), "the child")
    expect(words[1] == ~0x1234 & 0xffffffff, "the parent sees the child's store")


def test_moved():
    """A mapping of registers goes where mremap puts it, and does not grow (mm/mremap.c)."""
    device = open_device()[2]
    libc.mmap.restype = libc.mremap.restype = ctypes.c_void_p
    first = libc.mmap(None, 8192, 3, mmap.MAP_SHARED, device, ctypes.c_long(0))
    there = libc.mmap(None, 8192, 0, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, ctypes.c_long(0))
    move, fixed = 1, 2
    failed = ctypes.c_void_p(-1).value
    expect(libc.mremap(ctypes.c_void_p(first), 8192, 12288, move) == failed and ctypes.get_errno() == 14,
           "it does not grow")
    expect(libc.mremap(ctypes.c_void_p(first), 8192, 8192, move | fixed, ctypes.c_void_p(there)) == there, "it moves")
    word = ctypes.c_uint32.from_address(there + 4)
    word.value = 0x55
    expect(word.value == ~0x55 & 0xffffffff, "the registers are there")
    expect(libc.mremap(ctypes.c_void_p(there), 8192, 4096, 0) == there, "it shrinks")
    expect(ctypes.c_uint32.from_address(there).value == 0x010000ed, "to its first page")


def test_unbind():
    device = open_device()[2]
    start = time.time()

    def unbind():
        os.close(device)  # else it would wait for itself
        write_to(DRIVER + "unbind", BDF)
    writer = child(unbind)
    time.sleep(0.3)
    expect(os.waitpid(writer, os.WNOHANG) == (0, 0), "it waits")
    os.close(device)
    expect(ended_well(writer) and time.time() - start >= 0.3, "until the device is closed")
    expect(not os.path.exists(DRIVER + BDF.decode()), "and the device is unbound")


def test_server():
    def alone():
        device = open_device()[2]
        expect(is_edu(device) and liveness(device, os.getpid()), "a child's own")
    for _ in range(20):
        expect(ended_well(child(alone)), "one after the other")
    container, group, device = open_device()

    def together():
        for i in range(50):
            expect(is_edu(device), "the server's device")
            status = fcntl.ioctl(group, GROUP_STATUS, struct.pack("II", 8, 0))
            expect(struct.unpack("II", status)[1] & 1, "the group is viable")
            mine = os.open("/dev/vfio/vfio", os.O_RDWR)
            expect(fcntl.ioctl(mine, API_VERSION) == 0, "one more container")
            os.close(mine)
    children = [child(together) for _ in range(8)]
    expect(all([ended_well(pid) for pid in children]), "all at once")


def test_daemon():
    reads, writes = os.pipe()

    def parent():
        expect(is_edu(open_device()[2]), "before it becomes a daemon")
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        for fd in range(256):
            if fd != writes:
                try:
                    os.close(fd)
                except OSError:
                    pass
        time.sleep(0.1)
        device = open_device()[2]
        os.write(writes, b"good" if is_edu(device) and liveness(device, 5) else b"bad")
    expect(ended_well(child(parent)), "the parent of the daemon")
    os.close(writes)
    expect(os.read(reads, 10) == b"good", "the daemon")


def test_leaving():
    """Whoever has the machine ends, or becomes another program, while others have files of it."""
    reads, writes = os.pipe()

    def parent():
        container, group, device = open_device()
        memory = mmap.mmap(-1, 4096)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        fcntl.ioctl(container, MAP_DMA, struct.pack("IIQQQ", 32, 3, address, 0x10000, 4096))
        expect(liveness(device, 1), "the parent's device")
        if os.fork() != 0:
            os._exit(0)
        os.setsid()
        time.sleep(0.2)
        expect(liveness(device, 77), "the device of a parent that has gone")
        expect(fcntl.ioctl(container, API_VERSION) == 0, "and its container")
        expect(libc.ioctl(container, MAP_DMA, struct.pack("IIQQQ", 32, 3, address, 0x10000, 4096)) < 0,
               "its mapping is still there")
        for fd in (container, group, device):
            os.set_inheritable(fd, True)
        os.write(writes, b"good")
        os.execv(sys.executable, [sys.executable, __file__, "heir", str(device), str(writes)])
    os.set_inheritable(writes, True)
    expect(ended_well(child(parent)), "the parent")
    os.close(writes)
    answer = b""
    while len(answer) < 8:
        part = os.read(reads, 8)
        expect(part, "an answer of the next program, after " + repr(answer))
        answer += part
    expect(answer == b"goodgood", "both")
    time.sleep(0.2)
    device = open_device()
    expect(is_edu(device[2]), "when all have gone the group is free")
    for fd in device:
        os.set_inheritable(fd, True)
    os.execv(sys.executable, [sys.executable, __file__, "heir", str(device[2]), "1"])


def test_heir():
    device, output = int(sys.argv[2]), int(sys.argv[3])
    expect(is_edu(device) and liveness(device, 99), "the device of the program before")
    os.write(output, b"good")


def test_passed():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)

    def receive():
        ours.close()
        rights = array.array("i")
        _, control, _, _ = theirs.recvmsg(10, socket.CMSG_LEN(2 * rights.itemsize))
        rights.frombytes(control[0][2])
        container, device = rights
        expect(is_edu(device) and fcntl.ioctl(container, API_VERSION) == 0, "what was passed")
        os.dup2(device, 100)
        os.close(device)
        expect(is_edu(100), "under another number")
        theirs.send(b"done")
        theirs.recv(1)
        expect(liveness(100, 9), "when the sender has closed its own")
    receiver = child(receive)
    theirs.close()
    container, group, device = open_device()
    ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [container, device]))])
    expect(ours.recv(10) == b"done", "it has them")
    os.close(device)
    ours.send(b"x")
    expect(ended_well(receiver), "the receiver")


def test_orphan():
    reads, writes = os.pipe()

    def owner():
        container, _, device = open_device()

        def heir():
            expect(is_edu(device), "while the owner is there")
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(0.1)
            expect(error_of(os.pread, device, 4, CONFIG) == 19, "the device is ENODEV")
            expect(error_of(fcntl.ioctl, container, API_VERSION) == 19, "so is the container")
            for fd in (device, container):
                os.close(fd)
            expect(is_edu(open_device()[2]), "a machine of its own")
            os.write(writes, b"good")
        expect(ended_well(child(heir)), "the heir")
    os.waitpid(child(owner), 0)
    os.close(writes)
    expect(os.read(reads, 10) == b"good", "the heir")


def test_returned():
    device = open_device()
    for fd in device:
        os.close(fd)
    # Who had it all is now as good as any other.
    expect(ended_well(child(lambda: write_to(DRIVER + "unbind", BDF))), "a child unbinds")
    expect(not os.path.exists("/dev/vfio/1"), "its parent sees that")
    write_to(DRIVER + "bind", BDF)
    expect(ended_well(child(lambda: expect(is_edu(open_device()[2]), "the device"))), "a child binds")


def test_closing():
    device = open_device()[2]
    os.closerange(3, device)
    os.closerange(device + 1, 4096)
    libc.close_range(device + 1, 0xffffffff, 0)
    expect(is_edu(device) and liveness(device, 3), "the machine is still there")
    expect(ended_well(child(lambda: expect(is_edu(device), "the parent's"))), "a child")
    expect(os.path.exists("/dev/vfio/vfio"), "and its paths")
    write_to(DRIVER + "new_id", b"8086 1234")


globals()["test_" + sys.argv[1]]()
