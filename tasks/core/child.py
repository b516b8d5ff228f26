"""A process of ours beside us, with its log: started, stopped in order, gone if we are killed.

in   a command, the folder it runs in, the file that takes what it says
out  its exit status, its last words; https://docs.python.org/3/library/subprocess.html
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


class Child:
    """May be started again once it has ended; its log is begun anew with the object alone."""

    def __init__(self, name: str, command: list[str], cwd: Path, log: Path) -> None:
        self.name, self.command, self.cwd, self.log = name, command, cwd, log
        self.process: subprocess.Popen[bytes] | None = None
        self.began = 0.0
        log.write_text("")

    def start(self) -> None:
        self.began = time.monotonic()
        with self.log.open("a") as output:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches us alone: we stop them in their order
                preexec_fn=end_with_parent,
            )

    def stop(self, seconds: float) -> bool:
        """By Ctrl-C's signal; False: it did not heed it in time, and was killed."""
        if self.process is None or self.process.poll() is not None:
            return True
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            return False
        return True

    def ended(self) -> int | None:
        return None if self.process is None else self.process.poll()

    def last_words(self, lines: int = 8) -> str:
        """The end of its log, indented, and where the rest is."""
        said = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return "\n".join([*(f"    {line}" for line in said[-lines:]), f"All of it: {self.log}"])


def end_with_parent() -> None:
    """Linux tells a child that its parent was killed; elsewhere the next `up` finds the port taken.

    https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
