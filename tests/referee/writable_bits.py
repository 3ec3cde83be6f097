#!/usr/bin/env python3
"""Finds which bits of config space software can write, on a machine of the referee: for `writable` of replicas.

usage: writable_bits.py --kernel DIR_OR_FILE --player PLAYER --machine DIR NAME...

Writes ones and zeros into each byte of the devices NAME, in a guest, and prints what followed to NAME.writable in
the machine's directory, in the format of `lspci -xxxx`: a 1 is a bit that keeps what is written.
"""
import argparse
import pathlib

import compare
import guest

SIZE = 4096     # where there is less, nothing is read behind its end


def trace(name):
    """For each byte: what it is, after ones, after zeros."""
    lines = ["trace 1", "machine any", f"c = open /sys/bus/pci/devices/{{{name}}}/config rw"]
    for at in range(SIZE):
        lines += [f"pread c {at} 1", f"pwrite c {at} x:ff", f"pread c {at} 1", f"pwrite c {at} x:00", f"pread c {at} 1"]
    return "\n".join(lines) + "\n"


def bits(text):
    """The mask, as bytes, from the trace's results."""
    reads = [line.result.split()[1] for line in compare.operations(text)
             if line.operation.startswith("pread") and line.result.startswith("1 ")]
    reads = [int(value, 16) for value in reads]
    return bytes(ones & ~zeros for ones, zeros in zip(reads[1::3], reads[2::3]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("--kernel", "--player", "--machine"):
        parser.add_argument(option, required=True, type=pathlib.Path)
    parser.add_argument("names", nargs="+", metavar="NAME")
    args = parser.parse_args()
    for name in args.names:  # a boot each: a device that was written to is of no use any more
        mask = bits(guest.play(args.kernel, args.player, args.machine, {name: trace(name)})[name])
        lines = [f"{at:02x}: {mask[at:at + 16].hex(' ')}" for at in range(0, len(mask), 16)]
        (args.machine / f"{name}.writable").write_text("\n".join([f"{name}: writable bits", *lines]) + "\n")


if __name__ == "__main__":
    main()
