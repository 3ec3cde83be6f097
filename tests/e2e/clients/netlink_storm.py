#!/usr/bin/env python3
"""netlink_storm.py SECONDS: processes that send whatever there is to the family "VFIO" and to the
controller, receive in all ways, hand sockets on, close them while others wait, and are killed. Ends
with 0 when an orderly client then finds the family and hears of a sleep."""
import os
import random
import select
import signal
import socket
import struct
import sys
import threading
import time

GENERIC, CONTROLLER, GETFAMILY, REQUEST, ACK, DUMP = 16, 16, 3, 1, 4, 0x300


def attribute(kind, data):
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def message(kind, command, attributes=b"", flags=REQUEST, sequence=1):
    body = struct.pack("=BBH", command, 1, 0) + attributes
    return struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, 0) + body


def find_family(sock):
    sock.send(message(CONTROLLER, GETFAMILY, attribute(2, b"VFIO\0")))
    answer = sock.recv(65536)
    at = answer.index(struct.pack("=HH", 6, 1))
    return struct.unpack_from("=H", answer, at + 4)[0]


def address():
    return (attribute(2, struct.pack("=I", 0)) + attribute(3, struct.pack("=H", 1)) +
            attribute(4, b"\0") + attribute(5, b"\0"))


def new_socket(patience=10.0):
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, GENERIC)
    # Of the kernel: with one of Python's, no receive would wait.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO,
                    struct.pack("=qq", int(patience), int(patience % 1 * 1000000)))
    return sock


def random_message(dice, family):
    kind = dice.choice([family, family, CONTROLLER, dice.randrange(65536)])
    attributes = b"".join(attribute(dice.randrange(12), os.urandom(dice.choice([0, 1, 2, 4, 8, 300])))
                          for _ in range(dice.randrange(6)))
    if dice.random() < 0.5:
        attributes += address() + attribute(dice.choice([1, 7, 8]), os.urandom(8))
    flags = dice.choice([REQUEST, REQUEST | ACK, REQUEST | DUMP, dice.randrange(65536)])
    made = bytearray(message(kind, dice.choice([1, 3, 9, 10, 11, dice.randrange(256)]), attributes, flags,
                             dice.randrange(64)))
    if dice.random() < 0.2:
        made[dice.randrange(len(made))] = dice.randrange(256)
    return bytes(made[:dice.randrange(len(made))] if dice.random() < 0.1 else made)


def storm(seed, end):
    dice = random.Random(seed)
    device = os.open("/dev/vfio0", os.O_RDWR)
    family = find_family(new_socket())
    sockets = [new_socket(0.05)]
    signal.signal(signal.SIGALRM, lambda *_: None)
    while time.time() < end:
        sock = dice.choice(sockets)
        step = dice.randrange(9)
        try:
            if step == 0 and len(sockets) < 20:
                sockets.append(new_socket(0.05))
            elif step == 1 and len(sockets) > 1:
                sockets.remove(sock)
                sock.close()
            elif step == 2:
                sock.setblocking(dice.random() < 0.8)
            elif step == 3:
                signal.setitimer(signal.ITIMER_REAL, 0.001)
                sock.recvmsg(dice.choice([0, 10, 100, 100000]), 100, dice.choice([0, 2, 0x20, 0x40]))
            elif step == 4:
                sock.recv(dice.choice([0, 16, 4096]), socket.MSG_DONTWAIT)
            elif step == 5:
                threading.Thread(target=lambda s=sock: quietly(s.recv, 100), daemon=True).start()
            elif step == 6 and seed == 5 and dice.random() < 0.2:
                with open("/sys/power/state", "w") as state:
                    state.write("mem")
            else:
                batch = b"".join(random_message(dice, family) for _ in range(dice.randrange(1, 4)))
                sock.send(batch)
        except (OSError, ValueError):
            pass
    os.close(device)


def quietly(act, *arguments):
    try:
        act(*arguments)
    except (OSError, ValueError):
        pass


def is_fine():
    device = os.open("/dev/vfio0", os.O_RDWR)
    sock = new_socket()
    family = find_family(sock)
    sock.send(message(family, 9, address() + attribute(1, struct.pack("=Q", 0x1fe)), REQUEST | ACK))
    if struct.unpack_from("=i", sock.recv(4096), 16)[0] != 0:
        return False
    slept = []

    def sleep():
        with open("/sys/power/state", "w") as state:
            state.write("mem")
        slept.append(True)

    sleeper = threading.Thread(target=sleep)
    sleeper.start()
    ready, _, _ = select.select([sock], [], [], 10)
    heard = ready and sock.recv(4096)[16] == 7
    sock.send(message(family, 11, address() + attribute(8, struct.pack("=I", 0))))
    sleeper.join()
    os.close(device)
    return heard and slept


def main():
    end = time.time() + float(sys.argv[1])
    children = []
    for seed in range(6):
        child = os.fork()
        if child == 0:
            storm(seed, end)
            os._exit(0)
        children.append(child)
    time.sleep(max(0, end - time.time()) / 2)
    for child in children[:2]:
        os.kill(child, signal.SIGKILL)
    for child in children:
        os.waitpid(child, 0)
    sys.exit(0 if is_fine() else 1)


main()
