#!/usr/bin/env python3
"""Hostile clients against a sanitized emulator: is it as it was when they are gone?

usage: campaign.py RELEASE_DIR ASAN_DIR [--minutes N] [--seed S] [--clients N] [--round SECONDS] [--patience SECONDS]

Rounds of clients; after each the emulator must be alive and silent, with the descriptors and threads that it
had, every group must open and a driver must work. Ends with 1 when something does not hold.
"""
import argparse
import json
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

import topology
from emulator import Emulator

SOURCE = pathlib.Path(__file__).resolve().parents[2]
LAUNCHERS = 4  # beside one siege that comes to the mount without `vfiolab run`
GROWTH_KIB = 64 * 1024
EDU = "0000:00:04.0"


class Broken(Exception):
    """Something that clients must not be able to do has happened."""


def expect(holds, what):
    if not holds:
        raise Broken(what)


def wait_until(seconds, condition):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


class Campaign:
    def __init__(self, options, scratch):
        self.options, self.scratch = options, scratch
        self.dice = random.Random(options.seed)
        self.client = options.release / "hostile"
        machine = topology.make(SOURCE)
        (scratch / "topology.json").write_text(json.dumps(machine))
        self.world, self.ledger = scratch / "world", scratch / "ledger"
        self.world.write_text("".join(f"{group} {bdf} {role}\n" for group, bdf, role in topology.functions(machine)))
        self.emulator = Emulator(options.asan / "vfiolab", scratch / "topology.json", scratch,
                                 f"hostile-{options.seed}")
        self.before = None
        self.sizes = []
        self.sieges = []
        self.rounds = 0
        self.launchers_killed = 0

    def run_inside(self, what, *command):
        """One well-behaved client."""
        try:
            done = subprocess.run(self.emulator.run(*command), stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, timeout=4 * self.options.patience, check=False)
        except subprocess.TimeoutExpired:
            raise Broken(f"{what} does not end") from None
        expect(done.returncode == 0, f"{what} fails: {done.stdout}{done.stderr}")
        return done.stdout

    def start_siege(self, clients, outside):
        command = [self.client, "siege", "--world", self.world, "--ledger", self.ledger, "--seed",
                   self.dice.getrandbits(63), "--clients", clients, "--seconds", self.options.round, "--patience",
                   self.options.patience, "--root", self.emulator.mount if outside else ""]
        exact = self.dice.random() < 0.5
        command = [str(word) for word in command] if outside else self.emulator.run(*command, exact=exact)
        log = open(self.scratch / f"siege.{self.rounds}.{time.monotonic_ns()}", "w+b")
        process = subprocess.Popen(["nice", "-n", "5", *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.sieges.append(process)
        return process, log

    def besiege(self):
        """One round. A launcher that is killed takes its clients with it."""
        outside = self.options.clients // 8
        share, rest = divmod(self.options.clients - outside, LAUNCHERS)
        sieges = [self.start_siege(outside, True)]
        sieges += [self.start_siege(share + (i < rest), False) for i in range(LAUNCHERS)]
        victim = self.dice.choice([None, sieges[-1][0]])
        if victim:
            time.sleep(self.dice.uniform(0.2, 0.9) * self.options.round)
            victim.kill()
            self.launchers_killed += 1
        end = time.monotonic() + self.options.round + 4 * self.options.patience
        for process, log in sieges:
            try:
                status = process.wait(max(1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise Broken("a siege does not end") from None
            log.seek(0)
            said = log.read().decode(errors="replace")
            log.close()
            self.sieges.remove(process)
            expect(self.emulator.alive(), "the emulator has ended")
            expect(process is victim or status == 0, f"a siege ended with {status}: {said[-6000:]}")

    def whole(self):
        """The emulator after its clients have gone."""
        expect(self.emulator.alive(), "the emulator has ended")
        self.run_inside("opening every group", sys.executable, SOURCE / "tests/hostile/whole.py", self.world)
        self.run_inside("the driver of edu", self.options.release / "examples/edu_driver", EDU)
        if self.before is None:
            self.before = self.emulator.descriptors(), self.emulator.threads()
        descriptors, threads = self.before
        # The core's first thread stays until the end when a client has once held it up.
        as_before = lambda: self.emulator.descriptors() == descriptors and self.emulator.threads() <= threads + 1
        expect(wait_until(self.options.patience, as_before),
               f"descriptors {dict(self.emulator.descriptors() - descriptors)} too many, "
               f"{dict(descriptors - self.emulator.descriptors())} missing; "
               f"{self.emulator.threads()} threads, before {threads}")
        cpu = self.emulator.cpu_seconds()
        time.sleep(1)
        expect(self.emulator.cpu_seconds() - cpu < 0.3, "the emulator is busy without clients")
        expect(not self.emulator.reports(), "a sanitizer reports")
        self.sizes.append(self.emulator.resident_kib())

    def check_growth(self):
        """What is learned once is kept: the first tenth of the rounds may make it grow."""
        early = max(self.sizes[:2 + len(self.sizes) // 10])
        expect(self.sizes[-1] < early + GROWTH_KIB, f"it has grown, KiB after each round: {self.sizes}")

    def run(self):
        end = time.monotonic() + self.options.minutes * 60
        self.whole()
        while time.monotonic() < end:
            self.options.round = max(5, min(self.options.round, int(end - time.monotonic())))
            self.besiege()
            self.rounds += 1
            self.whole()
            if self.rounds % 10 == 0:
                print(f"round {self.rounds}: {self.sizes[-1]} KiB", flush=True)
        self.check_growth()
        status = self.emulator.stop()
        expect(status == 0, f"the emulator ends with {status} after SIGTERM: {self.emulator.said()[-2000:]}")
        expect(not self.emulator.reports(), "a sanitizer reports at the end")

    def end(self):
        """Leaves nothing running, whatever has happened."""
        for process in self.sieges:
            process.kill()  # its clients go with it
        if self.emulator.alive():
            self.emulator.stop(30)

    def totals(self):
        report = subprocess.run([self.client, "report", "--ledger", self.ledger], capture_output=True, text=True,
                                check=True).stdout
        print(report)
        return {line.split()[1]: int(line.split()[2]) for line in report.splitlines() if line.startswith("total ")}


def commit():
    try:
        said = subprocess.run(["git", "-C", SOURCE, "describe", "--always", "--dirty", "--abbrev=7"],
                              capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        said = ""
    return said or "unknown"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("release", type=pathlib.Path)
    parser.add_argument("asan", type=pathlib.Path)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--round", type=int, default=50, metavar="SECONDS")
    parser.add_argument("--patience", type=int, default=60, metavar="SECONDS")
    options = parser.parse_args()
    options.release, options.asan = options.release.resolve(), options.asan.resolve()
    tested = commit()
    print(f"seed {options.seed}, commit {tested}, {options.clients} clients, {options.minutes} minutes", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="vfiolab-hostile."))
    campaign = Campaign(options, scratch)
    verdict = "nothing found"
    try:
        campaign.run()
    except Broken as broken:
        verdict = f"BROKEN: {broken}"
        print(f"{verdict}\n{campaign.emulator.reports()}\n{campaign.emulator.said()[-3000:]}\nkept: {scratch}")
        if campaign.emulator.alive():
            (scratch / "stacks").write_text(campaign.emulator.stacks())
    finally:
        campaign.end()
    totals = campaign.totals()
    sizes = campaign.sizes or [0]
    print(f"| {time.strftime('%Y-%m-%d', time.gmtime())} | {tested} | {options.seed} | {options.minutes:g} min | "
          f"{totals['clients']} | {totals['killed']} | {totals['calls']} | "
          f"{100 * totals['succeeded'] / max(1, totals['calls']):.1f} % | {sizes[0] // 1024} to {sizes[-1] // 1024} MiB | "
          f"{verdict.splitlines()[0]} |")
    print(f"checked {totals['calls']} calls, seed {options.seed}")
    if verdict != "nothing found":
        sys.exit(1)
    subprocess.run(["rm", "-rf", "--one-file-system", scratch], check=False)


if __name__ == "__main__":
    main()
