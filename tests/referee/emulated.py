"""vfiolab's side of the referee: plays traces in emulated machines that have the kernel that is asked for.

A run that fails or takes too long gives the trace as it was, with a last line `hang`.
"""
import concurrent.futures
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

AT_ONCE = 2
TIMEOUT = 60


def stop(process):
    """Ends vfiolab and all it started: first politely, so that it takes its mounts away."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.communicate(timeout=5)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            pass


@contextlib.contextmanager
def machine_with(machine_dir, version):
    """The machine's directory, copied, with this kernel in its topology."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = pathlib.Path(shutil.copytree(machine_dir, pathlib.Path(scratch, "machine")))
        topology = copy / "topology.json"
        told = json.loads(topology.read_text())
        told.setdefault("kernel", {})["version"] = version
        topology.write_text(json.dumps(told))
        yield copy


def play_together(vfiolab, player, machine_dir, traces, timeout, options):
    """Plays traces (name -> text) one after the other in one run (with these options), as a guest does."""
    with tempfile.TemporaryDirectory() as scratch:
        given = pathlib.Path(scratch, "in")
        out = pathlib.Path(scratch, "out")
        given.mkdir()
        out.mkdir()
        for number, text in enumerate(traces.values()):
            (given / f"{number:06}").write_text(text)
        command = [str(vfiolab), "run", *options, "-t", str(machine_dir / "topology.json"), "--",
                   str(player), "-m", str(machine_dir / "devices"), "-o", str(out), str(given)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
        try:
            said, _ = process.communicate(timeout=timeout)
            fate = f"status {process.returncode}"
        except subprocess.TimeoutExpired:
            stop(process)
            said, fate = "", f"not done after {timeout} s"
        results = {name: out / f"{number:06}" for number, name in enumerate(traces)}
        if process.returncode == 0 and all(result.exists() for result in results.values()):
            return {name: result.read_text(errors="replace") for name, result in results.items()}
    if len(traces) > 1:     # one is to blame: it is found alone
        alone = ({name: text} for name, text in traces.items())
        return {name: played for trace in alone
                for name, played in play_together(vfiolab, player, machine_dir, trace, timeout, options).items()}
    name, text = next(iter(traces.items()))
    print(f"emulated: {name}: {fate}: {said.strip()[-2000:]}", file=sys.stderr)
    return {name: text.rstrip("\n") + "\nhang\n"}


def play(vfiolab, player, machine_dir, traces, version, together=1, timeout=TIMEOUT, options=("--exact",)):
    """Plays the traces (name -> text) on the machine with a kernel of this version, so many in one run; gives
    name -> text with results."""
    vfiolab, player = pathlib.Path(vfiolab).resolve(), pathlib.Path(player).resolve()
    names = list(traces)
    parts = [{name: traces[name] for name in names[at:at + together]} for at in range(0, len(names), together)]
    with machine_with(machine_dir, version) as machine, \
            concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        results = {}
        for played in pool.map(lambda part: play_together(vfiolab, player, machine, part, timeout, options), parts):
            results |= played
        return results
