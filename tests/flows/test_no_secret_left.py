"""A whole release with known tokens, one to read and one to write: neither is left anywhere.

in   everything that the run left: its folder, Prefect's, the caches, the Hub's store, what it said
out  where a token stands, plain or as base64, also in pieces across the pages of a database
"""

import base64
import secrets
import shutil
import sqlite3
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from ground import pairpress

from localhub.access import add_user
from localhub.client_env import running


@dataclass(frozen=True)
class Ran:
    root: Path  # work folder, Prefect's home, caches, Hub
    tokens: dict[str, str]
    done: subprocess.CompletedProcess[str]


def needles(token: str) -> list[bytes]:
    """The token, and what base64 makes of it at each of the three places in a group."""
    shifted = [base64.b64encode(b"\0" * n + token.encode())[4:-4] for n in range(3)]
    return [token.encode(), *shifted]


def found_in(folder: Path, token: str) -> list[str]:
    """Files that hold it, and tables of SQLite databases."""
    found = []
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        content = path.read_bytes()
        name = path.relative_to(folder).as_posix()
        if any(needle in content for needle in needles(token)):
            found.append(name)
        if content.startswith(b"SQLite format 3"):
            found += [f"{name}: {table}" for table in tables_with(path, needles(token))]
    return found


def tables_with(database: Path, sought: list[bytes]) -> list[str]:
    """A value that is longer than a page lies in pieces: SQLite puts it together again."""
    with sqlite3.connect(database) as opened:
        names = opened.execute("select name from sqlite_master where type = 'table'").fetchall()
        return [
            name
            for (name,) in names
            for row in opened.execute(f'select * from "{name}"')
            if any(one in repr(row).encode() for one in sought)
        ]


def test_the_search_finds_a_token_in_a_text_a_pickle_as_base64_and_a_long_value(tmp_path):
    token = f"hf_{secrets.token_hex(16)}"
    (tmp_path / "run.log").write_text(f"told {token} to everybody")
    for shift in range(3):
        packed = base64.b64encode(b"x" * shift + token.encode() + b"end")
        (tmp_path / f"result-{shift}").write_bytes(packed)
    with sqlite3.connect(tmp_path / "prefect.db") as opened:
        opened.execute("create table log (message text)")
        for n in range(4096):  # wherever a page ends, one of them lies across it
            opened.execute("insert into log values (?)", ("-" * (5000 + n) + token + "-" * 5000,))
    (tmp_path / "innocent").write_text(token[:-1])
    assert set(found_in(tmp_path, token)) == {
        "run.log",
        *(f"result-{shift}" for shift in range(3)),
        "prefect.db",
        "prefect.db: log",
    }


def run_with_tokens(root: Path, *arguments: str, line_end: str = "", writes: str = "write") -> Ran:
    """Both tokens from the environment. `writes`: what the second is allowed to do."""
    hub = root / "hub"
    hub.mkdir(mode=0o700)
    tokens = {kind: f"hf_{secrets.token_hex(17)}" for kind in ("read", "write")}
    add_user(hub, tokens["read"], "reader", ["pairpress"], "read")
    add_user(hub, tokens["write"], "writer", ["pairpress"], writes)
    with running(hub) as server:
        done = pairpress(
            *arguments,
            HF_ENDPOINT=server.url,
            HF_TOKEN=tokens["read"] + line_end,
            HF_WRITE_TOKEN=tokens["write"] + line_end,
            HF_HOME=str(root / "hf"),
            PREFECT_HOME=str(root / "prefect"),
            PAIRPRESS_HOME=str(root / "work"),
        )
        owner = server.token
    return Ran(root, tokens | {"owner": owner}, done)


@pytest.fixture(scope="module")
def ran(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Everything but the training of the base is done here."""
    root = tmp_path_factory.mktemp("secrets")
    shutil.copytree(tiny_base, root / "work" / "stages" / tiny_base.name)
    ran = run_with_tokens(root, "run", "demo", line_end="\n")
    assert ran.done.returncode == 0, ran.done.stderr[-3000:]
    return ran


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["read", "write"])
def test_a_token_is_left_nowhere_after_a_whole_release(ran: Ran, kind: str) -> None:
    assert ran.tokens[kind] not in ran.done.stdout + ran.done.stderr
    assert found_in(ran.root, ran.tokens[kind]) == []


@pytest.mark.slow
def test_the_search_saw_all_that_a_release_leaves(ran: Ran) -> None:
    names = {path.relative_to(ran.root).as_posix() for path in ran.root.rglob("*")}
    assert "prefect/prefect.db" in names
    for place in ("work/stages/*/model/release.json", "work/runs/*/release.json", "hub/blobs/*/*"):
        assert any(Path(name).match(place) for name in names), place
    assert any(Path(name).match("work/stages/*/dataset/README.md") for name in names)
    # The Hub's own token is the client's credential: one file, for its owner's eyes.
    assert found_in(ran.root, ran.tokens["owner"]) == ["hub/token"]
    assert (ran.root / "hub" / "token").stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_a_token_that_may_not_write_is_refused_and_never_shown(tmp_path: Path) -> None:
    ran = run_with_tokens(tmp_path, "run", "demo", writes="read")
    assert ran.done.returncode == 2, ran.done.stderr[-3000:]
    for kind in ("read", "write"):
        assert ran.tokens[kind] not in ran.done.stdout + ran.done.stderr
        assert found_in(tmp_path, ran.tokens[kind]) == []
