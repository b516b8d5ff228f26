"""A real `pairpress up` as a child process, with the Hub on its own disk.

in   a book of deployments, a work folder
out  Up, when it says that it is ready; whoever starts it ends it
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ground import ROOT
from real_server import until


@dataclass
class Up:
    process: subprocess.Popen[bytes]
    api: str
    work: Path
    said: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"PREFECT_API_URL": self.api}


def start(book: Path, work: Path, *more: str, cwd: Path = ROOT) -> Up:
    """A `pairpress up` that is ready. `work` is told to it where it is not `cwd`/.pairpress."""
    said = work.with_suffix(".out")
    ours = ("PREFECT_", "HF_", "PAIRPRESS_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    if work != cwd / ".pairpress":
        environment["PAIRPRESS_HOME"] = str(work)
    tree = book.parent if (book.parent / "tasks").is_dir() else ROOT
    command = [sys.executable, "-m", "flows", "up", "--local", "--recipe", str(book), *more]
    with said.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment | {"PYTHONPATH": str(tree), "DO_NOT_TRACK": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    def ready() -> bool:
        assert process.poll() is None, said.read_text()
        return "Ctrl-C stops all of it" in said.read_text()

    try:
        until(ready, 800)
    except AssertionError:
        process.kill()
        raise
    return Up(process, json.loads((work / "up.json").read_text())["api"], work, said)


def processes_of(work: Path) -> list[int]:
    """All that run with this work folder, whoever started them."""
    mark, found = f"PAIRPRESS_HOME={work}\0".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes() + b"\0":
                found.append(int(folder.name))
        except OSError:  # ended, or of another user
            continue
    return found
