"""python benchmarks/publish.py [--gib 1] [--files 4] [--repeat 5] [--folder DIR] [--json FILE]

Bytes that are new in each turn, published to a localhub that is new as well, and whose server is a
process of its own, in three ways, in turn: sha256 and copy in one pass, which is the baseline,
without and with fsync; `create_commit` as a user calls it; and pairpress's own path, from the
digest of the folder to the tag. Then pairpress publishes the unchanged folder again, against one
sha256 of it.

Each client is a process of its own, with everything imported before its clock starts, and what was
written before is on the disk by then. A ratio is that of one turn; shown are the median and range.
"""

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from page import Goal, Section, ratios, told

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
GIB, BLOCK = 2**30, 2**22
MOST, CHEAPER = 1.5, 20  # the goals: times sha256 + copy; how many times cheaper than sha256
COPY, ON_DISK, HASH = "sha256 + copy", "sha256 + copy + fsync", "sha256"
USER, OURS, AGAIN = "create_commit", "pairpress", "pairpress again"

Cost = dict[str, float]  # seconds; CPU seconds of client, server, and of both in the kernel


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[1])
    options.add_argument("--gib", type=float, default=1)
    options.add_argument("--files", type=int, default=4, help="of equal size, %(default)s")
    options.add_argument("--repeat", type=int, default=5)
    options.add_argument("--folder", type=Path, default=ROOT.parent, help="on the disk to measure")
    options.add_argument("--json", type=Path)
    options.add_argument("--client", nargs=2, help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.client:
        way, folder = asked.client
        print(json.dumps(in_client(way, Path(folder))))
        return
    turns = []
    for number in range(asked.repeat):
        with tempfile.TemporaryDirectory(prefix="publish-", dir=asked.folder) as name:
            turns.append(turn(Path(name), round(asked.gib * GIB / asked.files), asked.files))
        print(f"turn {number + 1} of {asked.repeat}: {shown(turns[-1])}", flush=True)
    report(turns, asked.gib, asked.files).write(asked.json)


def turn(work: Path, size: int, files: int) -> dict[str, Cost]:
    folder = work / "files"
    write_new(folder, size, files)
    ways: dict[str, Callable[[], dict[str, Cost]]] = {
        COPY: lambda: {COPY: timed(lambda: copy(folder, work / "copy", fsync=False))},
        ON_DISK: lambda: {ON_DISK: timed(lambda: copy(folder, work / "copy", fsync=True))},
        HASH: lambda: {HASH: timed(lambda: [digest(path) for path in folder.iterdir()])},
        USER: lambda: client(USER, folder, work / "theirs"),
        OURS: lambda: client(OURS, folder, work / "ours"),
    }
    costs: dict[str, Cost] = {}
    for way in ways.values():
        copy(folder, work / "copy", fsync=False)  # the first to take memory waits for it longest
        costs |= way()
    return costs


def write_new(folder: Path, size: int, files: int) -> None:
    """Neither side looks at what the bytes are: random ones, some of each block new."""
    folder.mkdir()
    block = os.urandom(BLOCK)
    for number in range(files):
        with (folder / f"model-{number + 1}-of-{files}.safetensors").open("wb") as file:
            for at in range(0, size, BLOCK):
                file.write((os.urandom(32) + block[32:])[: size - at])


def timed(work: Callable[[], object]) -> Cost:
    os.sync()
    began, cpu = time.perf_counter(), time.process_time()
    work()
    return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}


def copy(source: Path, target: Path, fsync: bool) -> None:
    target.mkdir()
    for path in source.iterdir():
        hashed = hashlib.sha256()
        with path.open("rb") as read, (target / path.name).open("wb") as written:
            while block := read.read(2**20):
                hashed.update(block)
                written.write(block)
            if fsync:
                written.flush()
                os.fsync(written.fileno())
    shutil.rmtree(target)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def client(way: str, folder: Path, work: Path) -> dict[str, Cost]:
    """A new server, and a process that publishes the folder to it."""
    from localhub.client_env import client_environment, running

    with running(work / "hub") as server:
        env = os.environ | client_environment(server.url, server.token, work / "home")
        env |= {"PAIRPRESS_HOME": str(work / "pairpress"), "PYTHONPATH": str(ROOT)}
        env["SERVER_PID"] = str(json.loads((work / "hub" / "server.json").read_text())["pid"])
        (work / "pairpress").mkdir()
        command = [sys.executable, __file__, "--client", way, str(folder)]
        costs = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True).stdout
    shutil.rmtree(work)
    return dict(json.loads(costs))


def in_client(way: str, folder: Path) -> dict[str, Cost]:
    if way == USER:
        return {USER: with_server(create_commit(folder))}
    publish = pairpress(folder)
    return {OURS: with_server(publish), AGAIN: with_server(publish)}


def with_server(work: Callable[[], object]) -> Cost:
    began, kernel = server_cpu(), os.times().system
    cost = timed(work)
    user, system = (now - then for now, then in zip(server_cpu(), began, strict=True))
    return cost | {"server": user + system, "kernel": os.times().system - kernel + system}


def server_cpu() -> tuple[float, float]:
    """utime and stime: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html"""
    fields = Path(f"/proc/{os.environ['SERVER_PID']}/stat").read_text().rpartition(") ")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / ticks, int(fields[12]) / ticks


def create_commit(folder: Path) -> Callable[[], object]:
    from huggingface_hub import CommitOperationAdd, HfApi

    def publish() -> None:
        api = HfApi()
        api.create_repo("theirs", private=True)
        adding = [CommitOperationAdd(path.name, path) for path in sorted(folder.iterdir())]
        api.create_commit("pairpress/theirs", adding, commit_message="v1")

    return publish


def pairpress(folder: Path) -> Callable[[], object]:
    """What a release does with one of its repositories, but for reading it back."""
    import huggingface_hub.hf_api  # noqa: F401

    from tasks.core import promoting, publish, staging
    from tasks.core.digests import content_digest

    name = "pairpress/ours"
    target = publish.repositories(name)[-1]
    place = folder.parent / "ours" / "release" / target.part
    place.parent.mkdir()
    place.symlink_to(folder)

    def release() -> None:
        content = content_digest(folder)
        messages = {target.part: "Release v1"}
        placed = staging.stage([target], place.parent, "v1", content, True, messages)
        promoting.promote_all(placed, "v1", messages)

    return release


def shown(costs: dict[str, Cost]) -> str:
    return ", ".join(
        f"{way} {cost['seconds']:.2f} s ({cost['cpu']:.2f}+{cost.get('server', 0):.2f} s CPU)"
        for way, cost in costs.items()
    )


def where_it_goes(turns: list[dict[str, Cost]]) -> str:
    def median(way: str, whose: str) -> float:
        return statistics.median(turn[way][whose] for turn in turns)

    client, server = median(OURS, "cpu"), median(OURS, "server")
    hashing, kernel = 2 * median(HASH, "cpu"), median(OURS, "kernel")
    alone = ratios(*([turn[way]["seconds"] for turn in turns] for way in (USER, COPY)))
    return (
        f"{client + server:.1f} s of CPU, {client:.1f} of the client and {server:.1f} of the "
        f"server, against {median(COPY, 'cpu'):.1f} of {COPY}. {hashing:.1f} of them are sha256: "
        "the client must name it before it may send, and the server computes it of what came. "
        f"{kernel:.1f} are the kernel's, for sockets and files, and "
        f"{client + server - hashing - kernel:.1f} the way through HTTP in Python. create_commit "
        f"alone takes {told(alone)} times {COPY}."
    )


def report(turns: list[dict[str, Cost]], gib: float, files: int) -> Section:
    seconds = {way: [turn[way]["seconds"] for turn in turns] for way in turns[0]}
    rows = []
    for way, taken in seconds.items():
        cpu = statistics.median(turn[way]["cpu"] for turn in turns)
        server = statistics.median(turn[way].get("server", 0) for turn in turns)
        times = told(ratios(taken, seconds[COPY]), 2 if way != AGAIN else 3)
        rows.append((way, told(taken, unit=" s"), times, f"{cpu:.2f} s", f"{server:.2f} s"))
    new = ratios(seconds[OURS], seconds[COPY])
    again = ratios(seconds[HASH], seconds[AGAIN])
    section = Section(
        title="Publishing",
        text=(
            f"{gib:g} GiB of new bytes in {files} files to a new localhub on the same disk, from "
            "the digest of the folder to the tag on main; then the same folder again. "
            f"{len(turns)} turns, all ways in each; median and range."
        ),
        columns=("", "seconds", f"times {COPY}", "CPU of the client", "CPU of the server"),
        rows=rows,
        goals=[
            Goal(
                what=f"publishing within {MOST} times sha256 + copy in one pass",
                got=f"{told(new)} times",
                met=statistics.median(new) <= MOST,
                why=where_it_goes(turns),
            ),
            Goal(
                what=f"publishing the same again at least {CHEAPER} times cheaper than its sha256",
                got=f"{told(again, 0)} times",
                met=statistics.median(again) >= CHEAPER,
                why="what is left are the requests that look at the Hub, whatever the size.",
            ),
        ],
        ratios={
            "publishing, against create_commit": ratios(seconds[USER], seconds[OURS]),
            "publishing the same again, against its sha256": again,
        },
        after="Reading the release back, which follows in a run, is not in it.",
    )
    print()
    for row in (section.columns, *section.rows):
        print("{:24}{:>26}{:>28}{:>20}{:>20}".format(*row))
    for goal in section.goals:
        print(f"{goal.what}: {goal.got}, {'met' if goal.met else 'missed'}")
    return section


if __name__ == "__main__":
    main()
