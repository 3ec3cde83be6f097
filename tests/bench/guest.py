#!/usr/bin/env python3
"""guest.py KERNEL CLIENT: what calls of VFIO cost on a real kernel in a guest (QEMU, TCG). Prints lines "WHAT NANOSECONDS".

KERNEL is what tests/referee/kernel.sh leaves; CLIENT is bench_client, linked statically."""
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "referee"))
import guest  # noqa: E402

MACHINE = HERE.parent / "referee/machines/referee"
WHAT = {"info": "info @", "config": "config @", "map": "map @ 1 4096"}


def main():
    kernel, client = sys.argv[1:]
    lines = (MACHINE / "devices").read_text().splitlines()
    bdf = next(line.split()[1] for line in lines if line.startswith("edu "))
    calls = "; ".join(f"/bin/player {words.replace('@', bdf)} >/out/{number:06}"
                      for number, words in enumerate(WHAT.values()))
    results, _ = guest.boot(kernel, client, MACHINE, {name: "" for name in WHAT}, timeout=300,
                            play=f"sh -c '{calls}'")
    for name, text in results.items():
        print(name, text.strip())


main()
