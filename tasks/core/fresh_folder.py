"""An empty folder below the work folder, for as long as it is needed.

in   what it is for
out  a folder that is gone afterwards; one that a killed run left behind goes with the next call

Not in the system's folder for temporary files, which may be small: a second copy of a model and of
its base lies here while a release is verified.
"""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.core.stage import locked, work_folder


@contextmanager
def fresh_folder(purpose: str) -> Iterator[Path]:
    parent = work_folder() / purpose
    parent.mkdir(exist_ok=True)
    with locked(parent / f".a folder for {purpose}.lock"):
        for left in parent.glob("run-*"):
            _remove_unheld(left)
        folder = Path(tempfile.mkdtemp(prefix="run-", dir=parent))
        held = (folder / "held").open("w")
        fcntl.flock(held, fcntl.LOCK_EX)  # goes with this process, also when it is killed
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        held.close()


def _remove_unheld(folder: Path) -> None:
    with (folder / "held").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # of a run that goes on
        shutil.rmtree(folder)
