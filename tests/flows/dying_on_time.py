"""Puts a death into a flow's process: kill -9 in the middle of whatever stage a file names.

in   the stage's name in the file that PAIRPRESS_TEST_KILL names; removed as the process dies
out  PYTHONPATH for a run: a folder whose sitecustomize.py listens to Python's audit events

A stage makes its folder, works, and writes done.json last. A timer kills it on the way; where the
work is quicker than the timer, opening done.json does. So it dies within the stage in any case.
"""

from pathlib import Path

LISTENER = """
import os, re, signal, sys, threading, time
from pathlib import Path

ORDER = Path(os.environ["PAIRPRESS_TEST_KILL"])
WORK = os.environ["PAIRPRESS_HOME"]
doomed = []  # the folder in whose making this process dies, by the timer or by done.json

def die():
    while not os.path.isdir(doomed[0]):  # the event comes before its folder
        time.sleep(0.001)
    ORDER.unlink(missing_ok=True)
    os.kill(os.getpid(), signal.SIGKILL)

def listen(event, told):
    if event not in ("os.mkdir", "open") or WORK not in str(told[0]):
        return
    path = str(told[0])
    found = re.search(r"/stages/\\.([\\w-]+)-[0-9a-f]{16}\\.unfinished(.*)", path)
    if found is None:
        return
    if doomed and found[2] == "/done.json":
        die()
    if doomed or event != "os.mkdir" or found[2] or not ORDER.exists():
        return
    stage, _, seconds = ORDER.read_text().partition(" ")
    if found[1] == stage:
        doomed.append(path)
        timer = threading.Timer(max(float(seconds), 0.01), die)
        timer.daemon = True
        timer.start()

sys.addaudithook(listen)
"""


def listening_in(folder: Path) -> str:
    """PYTHONPATH with which every Python listens; `folder` is new."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(LISTENER)
    return str(folder)
