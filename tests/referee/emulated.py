"""vfiolab's side of the referee: plays each trace in an emulated machine of its own, which has the kernel
that is asked for.

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


def play_one(vfiolab, player, machine_dir, name, text, timeout):
    with tempfile.TemporaryDirectory() as scratch:
        trace = pathlib.Path(scratch, "in", "trace")
        out = pathlib.Path(scratch, "out")
        trace.parent.mkdir()
        out.mkdir()
        trace.write_text(text)
        command = [str(vfiolab), "run", "-t", str(machine_dir / "topology.json"), "--", str(player),
                   "-m", str(machine_dir / "devices"), "-o", str(out), str(trace)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
        try:
            said, _ = process.communicate(timeout=timeout)
            fate = f"status {process.returncode}"
        except subprocess.TimeoutExpired:
            stop(process)
            said, fate = "", f"not done after {timeout} s"
        result = out / "trace"
        if process.returncode == 0 and result.exists():
            return result.read_text(errors="replace")
    print(f"emulated: {name}: {fate}: {said.strip()[-2000:]}", file=sys.stderr)
    return text.rstrip("\n") + "\nhang\n"


def play(vfiolab, player, machine_dir, traces, version, timeout=TIMEOUT):
    """Plays the traces (name -> text), each from the start, on the machine with a kernel of this version;
    gives name -> text with results."""
    vfiolab, player = pathlib.Path(vfiolab).resolve(), pathlib.Path(player).resolve()
    with machine_with(machine_dir, version) as machine, \
            concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        runs = {name: pool.submit(play_one, vfiolab, player, machine, name, text, timeout)
                for name, text in traces.items()}
        return {name: run.result() for name, run in runs.items()}
