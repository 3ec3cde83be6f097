"""vfiolab's side of the referee: plays each trace in an emulated machine of its own.

A run that fails or takes too long gives the trace as it was, with a last line `hang`.
"""
import concurrent.futures
import os
import pathlib
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


def play_one(vfiolab, player, machine_dir, name, text, timeout):
    machine_dir = pathlib.Path(machine_dir).resolve()
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


def play(vfiolab, player, machine_dir, traces, timeout=TIMEOUT):
    """Plays the traces (name -> text), each from the start; gives name -> text with results."""
    vfiolab, player = pathlib.Path(vfiolab).resolve(), pathlib.Path(player).resolve()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        runs = {name: pool.submit(play_one, vfiolab, player, machine_dir, name, text, timeout)
                for name, text in traces.items()}
        return {name: run.result() for name, run in runs.items()}
