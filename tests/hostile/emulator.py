"""A sanitized emulator that serves a session, and what can be seen of it from outside."""
import collections
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

SANITIZER = "log_path={log}:log_exe_name=1:detect_stack_use_after_return=1:quarantine_size_mb=16:malloc_context_size=12"


class Emulator:
    def __init__(self, vfiolab, topology, scratch, session):
        self.vfiolab, self.session = str(vfiolab), session
        self.log, self.mount = scratch / "serve.log", scratch / "mount"
        self.sanitizer_log = scratch / "sanitizer"
        self.mount.mkdir()
        environment = dict(os.environ)
        environment["ASAN_OPTIONS"] = SANITIZER.format(log=self.sanitizer_log)
        environment["UBSAN_OPTIONS"] = f"log_path={self.sanitizer_log}:print_stacktrace=1"
        with open(self.log, "wb") as log:
            # Few descriptors, so that clients can use them all up. In the session of its clients: the kernel shares
            # out the CPU among sessions first, and at times has left a session of one process without for a minute.
            self.process = subprocess.Popen(
                ["prlimit", "--nofile=1024:2500", self.vfiolab, "serve", "-t", str(topology), "--mount",
                 str(self.mount), "--session", session],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, process_group=0)
        deadline = time.monotonic() + 60
        while "serving" not in self.said():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the emulator does not start: {self.said()}")
            time.sleep(0.1)

    def said(self):
        return self.log.read_text(errors="replace")

    def run(self, *command, exact=False):
        return [self.vfiolab, "run", *["--exact"] * exact, "--session", self.session, "--", *map(str, command)]

    def alive(self):
        return self.process.poll() is None

    def reports(self):
        """What the sanitizers wrote."""
        return "".join(path.read_text(errors="replace")
                       for path in sorted(self.sanitizer_log.parent.glob(self.sanitizer_log.name + "*")))

    def _proc(self, name):
        return pathlib.Path("/proc", str(self.process.pid), name)

    def descriptors(self):
        """How many descriptors of each kind it has."""
        kinds = collections.Counter()
        for entry in os.listdir(self._proc("fd")):
            try:
                target = os.readlink(self._proc("fd") / entry)
            except OSError:
                continue
            kinds[re.sub(r"[0-9]+", "N", target)] += 1
        return kinds

    def threads(self):
        return len(os.listdir(self._proc("task")))

    def resident_kib(self):
        return int(re.search(r"VmRSS:\s*(\d+)", self._proc("status").read_text()).group(1))

    def cpu_seconds(self):
        fields = self._proc("stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stacks(self):
        """What each of its threads is doing: where in the program, when gdb is there, and where in the kernel."""
        said = ""
        if shutil.which("gdb"):
            said = subprocess.run(["gdb", "-p", str(self.process.pid), "-batch", "-ex", "thread apply all bt 40"],
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False).stdout
        for task in sorted(self._proc("task").glob("*")):
            for name in ("wchan", "syscall", "stack"):
                try:
                    said += f"{task.name} {name}: {(task / name).read_text()}\n"
                except OSError:
                    pass
        return said

    def stop(self, patience=120):
        """Its exit status after SIGTERM; None when it had to be killed."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None
        finally:
            subprocess.run(["umount", "-l", self.mount], stderr=subprocess.DEVNULL, check=False)
