"""Requests that are meant to do harm: each is refused in words, and the server answers the next."""

import base64
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from localhub.card import front_matter
from localhub.client_env import Server, running
from localhub.gitignore import ignored

Connect = Callable[..., httpx.Client]
ROOT = Path(__file__).parents[2]
SURROGATE = b'"\\ud800 half of a letter"'
# Nine of nine of nine ..: 400 bytes that stand for 43 million texts.
BOMB = "---\na: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{after}: &{after} [{','.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefg", "bcdefgh", strict=True)
)


def create(client: httpx.Client, name: str) -> str:
    client.post("/api/repos/create", json={"name": name}).raise_for_status()
    return f"/api/models/pairpress/{name}"


def commit(client: httpx.Client, api: str, *files: tuple[str, bytes], title: bytes = b'"t"') -> int:
    lines = [b'{"key": "header", "value": {"summary": %s}}' % title]
    for path, content in files:
        value = {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"}
        lines.append(json.dumps({"key": "file", "value": value}).encode())
    return client.post(f"{api}/commit/main", content=b"\n".join(lines)).status_code


def words(reply: httpx.Response) -> str:
    told: str = reply.json()["error"]
    return told


@pytest.mark.parametrize(
    ("rules", "path"),
    [
        ("*a" * 20 + "b", "a" * 60),
        ("*" * 60 + "b", "a" * 60),
        ("**/" * 100 + "b", "a/" * 200 + "c"),
        ("**/*a*/" * 100 + "b", "aa/" * 200 + "c"),
    ],
)
def test_no_gitignore_makes_a_comparison_take_long(rules: str, path: str) -> None:
    begun = time.monotonic()
    assert ignored(rules, [path]) == set()
    assert time.monotonic() - begun < 2


def test_a_gitignore_that_is_too_long_for_so_many_paths_is_refused(owner: httpx.Client) -> None:
    api = create(owner, "ignoring")

    def asked(rules: str, paths: int) -> httpx.Response:
        files = [{"path": f"{n}/" * 50 + "c", "sample": "", "size": 1} for n in range(paths)]
        return owner.post(f"{api}/preupload/main", json={"gitIgnore": rules, "files": files})

    assert asked("*.log\n" * 300, 256).is_success
    assert asked("*.log\n" * 20_000, 1).status_code == 400
    refused = asked("*.log\n" * 15_000, 256)
    assert refused.status_code == 400
    assert "90000 characters cannot be compared with 256 paths" in words(refused)


@pytest.mark.parametrize("size", [-1, True, 2**42, 10**30, 10**400])
def test_a_content_whose_size_no_disk_has_is_not_signed_for(owner: httpx.Client, size: int) -> None:
    owner.post("/api/repos/create", json={"name": "sized"})
    body = {
        "operation": "upload",
        "transfers": ["basic", "multipart"],
        "objects": [{"oid": "a" * 64, "size": size}],
    }
    assert owner.post("/pairpress/sized.git/info/lfs/objects/batch", json=body).status_code == 400
    body["objects"] = [{"oid": "a" * 64, "size": 2**40}] * 3  # each would do, not all at once
    assert owner.post("/pairpress/sized.git/info/lfs/objects/batch", json=body).status_code == 400


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (BOMB, "values, aliases included"),
        (BOMB.replace("[*", "{<<: [*").replace("]\n", "]}\n"), "not valid YAML|aliases included"),
        ("---\na: &a [*a]\n", "aliases included"),
        ("---\na: " + "[" * 50_000 + "\n", "nested too deep"),
        ("---\na: " + "x" * 200_000 + "\n", "over 131072 bytes"),
        ('---\na: "\\ud800"\n', "not UTF-8"),
    ],
    ids=["aliases", "merged", "in itself", "deep", "long", "half of a letter"],
)
def test_a_card_that_would_fill_the_memory_or_break_every_list_is_told_so(
    owner: httpx.Client, block: str, reason: str
) -> None:
    card = f"{block}---\n# A card\n"
    with pytest.raises(ValueError, match=reason):
        front_matter(card)
    validated = owner.post("/api/validate-yaml", json={"content": card, "repoType": "model"})
    assert validated.status_code == 400

    owner.post("/api/repos/create", json={"name": "bomb"})
    assert commit(owner, "/api/models/pairpress/bomb", ("README.md", card.encode())) == 200
    begun = time.monotonic()
    assert owner.get("/api/models/pairpress/bomb").json()["cardData"] == {}
    assert owner.get("/api/models?limit=1").is_success
    assert owner.get("/pairpress/bomb").is_success
    assert time.monotonic() - begun < 20  # a hang has no end at all


def test_an_alias_in_a_card_is_read_as_ever() -> None:
    assert front_matter("---\na: &x [1, 2]\nb: *x\n---\n") == {"a": [1, 2], "b": [1, 2]}


def test_a_text_that_utf_8_cannot_write_is_not_kept(owner: httpx.Client) -> None:
    api = create(owner, "halves")
    for body in (
        b'{"title": %s, "description": "d"}' % SURROGATE,
        b'{"title": "title", "description": %s}' % SURROGATE,
        b'{"title": "title", "description": "\xed\xa0\x80"}',
    ):
        refused = owner.post(f"{api}/discussions", content=body)
        assert (refused.status_code, "not UTF-8" in words(refused)) == (400, True)
    assert commit(owner, api, ("a.txt", b"1"), title=SURROGATE) == 400
    assert owner.post(f"{api}/tag/main", content=b'{"tag": %s}' % SURROGATE).status_code == 400
    whole = {"title": "a whole letter: \U0001f600", "description": ""}
    assert owner.post(f"{api}/discussions", content=json.dumps(whole)).status_code == 201
    assert owner.get(f"{api}/discussions").json()["discussions"][0]["title"] == whole["title"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/models?limit={long}", 400),
        ("GET", "/api/models?p={long}", 400),
        ("GET", "/api/models/pairpress/numbers/commits/main?p={long}", 400),
        ("GET", "/pairpress/numbers/commits/main?skip={thirty}", 400),
        ("GET", "/pairpress/numbers/commits/main?skip={long}", 400),
        ("GET", "/pairpress/numbers/discussions/{long}", 404),
        ("GET", "/api/models/pairpress/numbers/discussions/{long}", 404),
        ("POST", "/api/models/pairpress/numbers/discussions/{long}/comment", 404),
        ("GET", "/pairpress/numbers/resolve/main/none?expires={long}&signature=x", 404),
        ("PUT", "/lfs/{sha}?size={long}&expires={long}&signature=x", 403),
        ("PUT", "/lfs/{sha}/{sha}/{long}?size=1&expires=1&signature=x", 403),
    ],
)
def test_a_number_that_nothing_has_is_refused(
    owner: httpx.Client, method: str, path: str, status: int
) -> None:
    owner.post("/api/repos/create", json={"name": "numbers"})
    asked = path.format(long="9" * 5000, thirty="9" * 30, sha="a" * 64)
    assert owner.request(method, asked, json={}).status_code == status


def test_json_that_is_nested_without_end_is_refused(owner: httpx.Client) -> None:
    api = create(owner, "nested")
    deep = b'{"a":' + b"[" * 100_000
    for url in ("/api/repos/create", f"{api}/commit/main"):
        refused = owner.post(url, content=deep)
        assert (refused.status_code, "too deep" in words(refused)) == (400, True)


@pytest.mark.parametrize("path", [".GIT/hooks/x", "a/.Git", "x" * 256, f"a/{'é' * 128}/b"])
def test_a_path_that_a_disk_or_git_takes_for_something_else_is_refused(
    owner: httpx.Client, path: str
) -> None:
    owner.post("/api/repos/create", json={"name": "paths"})
    assert commit(owner, "/api/models/pairpress/paths", (path, b"1")) == 400
    assert commit(owner, "/api/models/pairpress/paths", ("x" * 255, b"1")) == 200


def test_a_head_is_refused_by_its_size_however_it_comes(
    hub: Server, connect: Connect, owner: httpx.Client
) -> None:
    """Sent at once, a head is never an unfinished one, and the server below bounds only those."""
    for size in (17_000, 40_000, 60_000):
        assert owner.get("/api/models", headers={"X-Long": "y" * size}).status_code == 431
        many = {f"X-{n}": "y" * 92 for n in range(size // 100)}
        assert owner.get("/api/models", headers=many).status_code == 431
    assert owner.get("/api/models", headers={"X-Long": "y" * 15_000}).is_success
    assert owner.get("/api/models?search=" + "y" * 17_000).status_code == 431


def test_the_scheme_of_a_token_may_be_written_in_any_case(hub: Server, connect: Connect) -> None:
    for scheme in ("Bearer", "bearer", "BEARER"):
        headers = {"Authorization": f"{scheme} {hub.token}"}
        assert connect(hub).get("/api/whoami-v2", headers=headers).is_success


def test_a_title_cannot_turn_round_what_stands_beside_it(owner: httpx.Client) -> None:
    api, turned = create(owner, "turned"), "\u202eevil"
    assert commit(owner, api, ("a.txt", b"1"), title=json.dumps(turned).encode()) == 200
    head = owner.get(f"{api}/commits/main").json()[0]["id"]
    owner.post(f"{api}/discussions", json={"title": turned, "description": ""}).raise_for_status()
    owner.post(f"{api}/discussions/1/title", json={"title": "calm"}).raise_for_status()
    for page in ("commits/main", f"commit/{head}", "refs", "discussions/1"):
        shown = owner.get(f"/pairpress/turned/{page}").text
        assert shown.count(turned) == shown.count(f"<bdi>{turned}</bdi>") == 1
    assert "<bdi>calm</bdi>" in owner.get("/pairpress/turned/discussions").text


# The start


def started(*arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "localhub", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_mistake_at_the_start_is_told_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "'99999' is no number from 0 to 65535" in started("--root", tmp_path, "--port", "99999")
    for place in ("file", "file/below"):
        assert f"--root {tmp_path}/{place}" in started("--root", tmp_path / place)


@pytest.mark.parametrize(
    "damaged",
    ["{", "[]", '{"a": {}}', json.dumps({"a" * 64: {"name": "ann", "orgs": []}}), '{"a": "ann"}'],
)
def test_damaged_tokens_are_told_by_the_name_of_their_file(tmp_path: Path, damaged: str) -> None:
    (tmp_path / "tokens.json").write_text(damaged)
    for more in ((), ("--add-token", "bob")):
        assert f"{tmp_path}/tokens.json: " in started("--root", tmp_path, *more)
    assert (tmp_path / "tokens.json").read_text() == damaged


@pytest.mark.parametrize(
    "damaged",
    ["{", "[]", '{"url": 3, "pid": 3}', '{"url": "http://127.0.0.1:999999", "pid": 3}'],
)
def test_a_damaged_note_on_the_last_run_is_written_anew(
    tmp_path: Path, connect: Callable[..., Any], damaged: str
) -> None:
    (tmp_path / "server.json").write_text(damaged)
    with running(tmp_path) as server:
        noted = json.loads((tmp_path / "server.json").read_text())
        assert noted["url"] == server.url
        assert urlsplit(server.url).port
