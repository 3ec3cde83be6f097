#!/usr/bin/env python3
"""Random calls on the nodes of 2010 to 2012: whatever they come to, the emulator goes on.

usage: early_storm.py SECONDS [SEED]

Two processes make them, with descriptors in common, while a third takes a device from its driver and gives it back. Ends
with 0 when the nodes can still be opened afterwards.
"""
import ctypes
import mmap
import os
import random
import signal
import struct
import sys
import time

UIOMMU = os.path.exists("/dev/vfio0")
NODES = ([("/dev/vfio0", os.O_RDWR), ("/dev/vfio1", os.O_RDWR)] if UIOMMU else
         [("/dev/vfio/" + name, os.O_RDWR) for name in sorted(os.listdir("/dev/vfio"))])
if os.path.exists("/dev/uiommu"):
    NODES.append(("/dev/uiommu", os.O_RDONLY))
# Of all revisions, and some that none has.
COMMANDS = [0xc0203b65, 0x40203b66, 0xc0203b66, 0x40043b67, 0x40043b68, 0x40043b69, 0xc0043ba7, 0xc0083b6a,
            0x40043b6b, 0x3b6c, 0x3b6d, 0x40043b6e, 0x40043b6d, 0x3b6f, 0x3b6e, 0x3b64, 0x3b70]
if not UIOMMU:
    COMMANDS = [0x80083b64, 0x40043b65, 0x40043b66, 0x3b66, 0x80083b69, 0xc0283b69, 0xc0283b6a, 0xc0283b6b,
                0xc0283b6d, 0xc0283b6e, 0xc0183b6f, 0xc0103b70, 0x40043b70, 0x40043b71, 0x40043b72, 0x40043b73,
                ] + list(range(0x3b64, 0x3b77))
    # Of August 2011.
    COMMANDS += [0x80083b20, 0x40203b21, 0x40203b22, 0x40043b23, 0x40043b24, 0x3b25, 0x80103b30, 0xc0183b31, 0xc0103b32,
                 0x40043b33, 0x40043b34, 0x3b35, 0x40043b36, 0x40043b37, 0x40203b38, 0x40203b39]
# These make descriptors: of devices, which are named, and of the IOMMU.
OPENING = [] if UIOMMU else [0x40083b68, 0x40013b68, 0x3b67, 0x40013b26, 0x3b3b]
NAMES = [b"0000:01:00.0\0", b"0000:02:00.0\0", b"0000:09:00.0\0"]
MOST_FILES = 12
BOUNDARIES = [0, 1, 2, 8, 31, 32, 33, 4095, 4096, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 40,
              (1 << 63) - 1, 1 << 63, (1 << 64) - 4096, (1 << 64) - 1]
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
PAGES = 256


class Storm:
    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.memory = mmap.mmap(-1, PAGES * mmap.PAGESIZE)
        self.base = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self.nodes = [os.open(*node) for node in NODES]
        self.opened = []
        self.eventfds = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(6)]

    @property
    def files(self):
        return self.nodes + self.opened

    def word(self):
        if self.dice.random() < 0.4:
            return self.dice.choice(BOUNDARIES)
        return self.dice.choice([self.base + self.dice.randrange(PAGES) * mmap.PAGESIZE,
                                 0x100000 + self.dice.randrange(64) * mmap.PAGESIZE,
                                 self.dice.choice(self.eventfds), self.dice.choice(self.files), 1])

    def ioctl(self):
        width = self.dice.choice("QI")
        mask = (1 << (8 * struct.calcsize(width))) - 1
        argument = b"".join(struct.pack(width, self.word() & mask) for _ in range(9))
        if self.dice.random() < 0.3:
            count = self.dice.choice([0, 1, 2, 4, 5, 8, 32, 33, 2048, -1])
            argument = struct.pack("9i", count, *(self.dice.choice(self.eventfds + [-1]) for _ in range(8)))
        ctypes.memmove(self.base, argument, len(argument))
        at = self.base if self.dice.random() < 0.9 else self.dice.choice(BOUNDARIES)
        LIBC.ioctl(self.dice.choice(self.files), ctypes.c_ulong(self.dice.choice(COMMANDS)), ctypes.c_ulong(at))

    def open_by_ioctl(self):
        name = self.dice.choice(NAMES)
        ctypes.memmove(self.base, name, len(name))
        fd = LIBC.ioctl(self.dice.choice(self.files), ctypes.c_ulong(self.dice.choice(OPENING)),
                        ctypes.c_ulong(self.base))
        if fd >= 0:
            self.opened.append(fd)
        if len(self.opened) > MOST_FILES:
            os.close(self.opened.pop(self.dice.randrange(MOST_FILES)))

    def offset(self):
        shift = self.dice.choice([32, 40, 48])
        at = self.dice.choice([self.dice.randrange(4200), self.dice.choice(BOUNDARIES) & ((1 << shift) - 1)])
        return min(self.dice.randrange(16) << shift | at, (1 << 63) - 1)

    def read(self):
        os.pread(self.dice.choice(self.files), self.dice.choice([1, 2, 4, 8, 64, 5000]), self.offset())

    def write(self):
        os.pwrite(self.dice.choice(self.files), os.urandom(self.dice.choice([1, 2, 4, 8, 64])), self.offset())

    def map(self):
        region = self.dice.randrange(4) << self.dice.choice([32, 40, 48])
        size = ctypes.c_size_t(self.dice.choice([4096, 65536]))
        at = LIBC.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, self.dice.choice(self.files),
                       ctypes.c_long(region))
        if at != ctypes.c_void_p(-1).value:
            LIBC.munmap(ctypes.c_void_p(at), size)

    def open_again(self):
        which = self.dice.randrange(len(NODES))
        os.close(self.nodes[which])
        try:
            self.nodes[which] = os.open(*NODES[which])
        except OSError:  # it has no driver just now
            self.nodes[which] = os.open("/dev/null", os.O_RDWR)

    def renew_eventfd(self):
        which = self.dice.randrange(len(self.eventfds))
        os.close(self.eventfds[which])
        self.eventfds[which] = os.eventfd(0, os.EFD_NONBLOCK)

    def lose_memory(self):
        # Pages behind those that the arguments are in.
        at = self.base + self.dice.randrange(1, PAGES) * mmap.PAGESIZE
        LIBC.madvise(ctypes.c_void_p(at), ctypes.c_size_t(mmap.PAGESIZE), 4)  # MADV_DONTNEED

    def run(self, seconds):
        steps = [self.ioctl] * 10 + [self.read, self.write] * 3 + [self.map, self.open_again, self.renew_eventfd,
                                                                   self.lose_memory]
        steps += [self.open_by_ioctl] * 2 if OPENING else []
        end = time.monotonic() + seconds
        count = 0
        while time.monotonic() < end:
            count += 1
            try:
                self.dice.choice(steps)()
            except OSError:
                pass
        return count


DRIVER = "/sys/bus/pci/drivers/vfio/"
MOVED = "0000:02:00.0"


def write(path, text):
    try:
        with open(path, "w") as file:
            file.write(text)
    except OSError:
        pass


def move_device():
    """Each unbind waits until the storms happen to have the device closed."""
    while True:
        write(DRIVER + "unbind", MOVED)
        write(DRIVER + "bind", MOVED)


def fork(act):
    child = os.fork()
    if child == 0:
        act()
        os._exit(0)
    return child


def open_all(patience):
    end = time.monotonic() + patience
    while True:
        write(DRIVER + "bind", MOVED)  # an unbind that nobody waits for any more may still have come to pass
        try:
            for node in NODES:
                os.close(os.open(*node))
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def main():
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().getrandbits(32)
    print(f"seed {seed}", flush=True)
    seconds = float(sys.argv[1])
    mover = fork(move_device)
    storm = Storm(seed)
    other = fork(lambda: (storm.dice.seed(seed + 1), storm.run(seconds)))
    print(f"checked {storm.run(seconds)} calls")
    assert os.waitpid(other, 0)[1] == 0
    os.kill(mover, signal.SIGKILL)
    os.waitpid(mover, 0)
    for file in storm.files:
        os.close(file)
    open_all(5)


if __name__ == "__main__":
    main()
