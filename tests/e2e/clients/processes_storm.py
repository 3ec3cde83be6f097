#!/usr/bin/env python3
"""processes_storm.py SECONDS SEED: processes that open, share, inherit and close files of the machine of
topologies/two-groups.json, change /sys, run other programs and are killed, at random. Ends with 0 when all can then end,
and the machine is as good as before."""
import fcntl
import os
import random
import signal
import sys
import time

API_VERSION, AT_ONCE, MOST_FILES = 0x3b64, 10, 12
NODES = ["/dev/vfio/vfio", "/dev/vfio/1", "/dev/vfio/2"]


class Worker:
    def __init__(self, seed, end):
        self.dice, self.end, self.files = random.Random(seed), end, []

    def run(self):
        steps = [self.open, self.open, self.open, self.close, self.ask, self.read, self.write, self.fork, self.share,
                 self.list, self.die, self.execute]
        while time.time() < self.end:
            try:
                self.dice.choice(steps)()
            except OSError:
                pass
            if len(self.files) > MOST_FILES:
                self.close_all()

    def any(self):
        if not self.files:
            raise OSError
        return self.dice.choice(self.files)

    def open(self):
        self.files.append(os.open(self.dice.choice(NODES), os.O_RDWR))

    def close(self):
        os.close(self.files.pop(self.files.index(self.any())))

    def close_all(self):
        while self.files:
            try:
                os.close(self.files.pop())
            except OSError:
                pass

    def ask(self):
        fcntl.ioctl(self.any(), API_VERSION)

    def read(self):
        with open("/sys/bus/pci/devices/0000:01:00.0/vendor", encoding="ascii") as file:
            file.read()

    def write(self):
        with open("/sys/bus/pci/drivers/vfio-pci/new_id", "w", encoding="ascii") as file:
            file.write(f"{self.dice.randrange(65536):x} {self.dice.randrange(65536):x}")

    def list(self):
        os.listdir("/dev/vfio")

    def share(self):
        self.files.append(os.dup2(self.any(), 200 + self.dice.randrange(50)))

    def fork(self):
        file = self.any()
        child = os.fork()
        if child == 0:
            try:
                fcntl.ioctl(file, API_VERSION)
            except OSError:
                pass
            if self.dice.random() < 0.3:
                os.kill(os.getpid(), signal.SIGKILL)
            os._exit(0)
        os.waitpid(child, 0)

    def die(self):
        if self.dice.random() < 0.05:
            os.kill(os.getpid(), signal.SIGKILL)

    def execute(self):
        if self.dice.random() > 0.05:
            return
        for file in self.files:
            os.set_inheritable(file, True)
        left, seed = str(max(0, self.end - time.time())), str(self.dice.randrange(1 << 30))
        os.execv(sys.executable, [sys.executable, __file__, left, seed, "worker"])


def start(seed, end):
    child = os.fork()
    if child == 0:
        Worker(seed, end).run()
        os._exit(0)
    return child


def main():
    end, seed = time.time() + float(sys.argv[1]), int(sys.argv[2])
    if len(sys.argv) > 3:
        Worker(seed, end).run()
        return
    children = set()
    while time.time() < end or children:
        while time.time() < end and len(children) < AT_ONCE:
            seed += 1
            children.add(start(seed, end))
        child, _ = os.waitpid(-1, os.WNOHANG)
        children.discard(child)
        if child == 0:
            time.sleep(0.01)
        if time.time() > end + 20:
            sys.exit(f"do not end: {children}")
    for node in NODES:
        os.close(os.open(node, os.O_RDWR))


main()
