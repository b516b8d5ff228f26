"""What gets through to a localhub and what does not: tokens, signatures, raw bytes."""

import hashlib
import hmac
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from localhub.client_env import Server, running

Connect = Callable[..., httpx.Client]
ROOT = Path(__file__).parents[2]


def localhub(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "localhub", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    )


def batch(client: httpx.Client, repo: str, content: bytes, *transfers: str) -> dict[str, Any]:
    oid = hashlib.sha256(content).hexdigest()
    body = {
        "operation": "upload",
        "transfers": transfers,
        "objects": [{"oid": oid, "size": len(content)}],
    }
    reply = client.post(f"/{repo}.git/info/lfs/objects/batch", json=body).raise_for_status()
    return reply.json()["objects"][0]["actions"]


# Tokens


def test_a_token_is_added_while_the_server_runs_and_kept_hashed_only(
    tmp_path: Path, connect: Connect
) -> None:
    with running(tmp_path) as server:
        added = localhub(
            "--root", tmp_path, "--add-token", "ann", "--role", "write", "--org", "acme"
        )
        token = added.stdout.strip()
        assert token.startswith("hf_") and len(token) == len(server.token)
        ann = connect(server, token)
        assert ann.get("/api/whoami-v2").json()["orgs"] == [{"type": "org", "name": "acme"}]
        created = ann.post("/api/repos/create", json={"name": "m", "organization": "acme"})
        assert created.is_success

    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in kept if token in path.read_text(errors="replace")] == []
    digest = hashlib.sha256(token.encode()).hexdigest()
    assert list(json.loads((tmp_path / "tokens.json").read_text())) == [digest]
    holding_the_owners = [p.name for p in kept if server.token in p.read_text(errors="replace")]
    assert holding_the_owners == ["token"]  # what its clients show; the server's is the hash of it
    for secret in ("token", "signing.key"):
        assert (tmp_path / secret).stat().st_mode & 0o777 == 0o600


def test_a_token_for_a_name_that_no_user_can_have_is_refused(tmp_path: Path) -> None:
    for name in ("../x", "datasets", ""):
        refused = localhub("--root", tmp_path, "--add-token", name)
        assert refused.returncode == 2
        assert "no user can be called" in refused.stderr
    assert not (tmp_path / "tokens.json").exists()


# Signed URLs


def test_an_upload_url_expires_and_its_time_cannot_be_moved(
    hub: Server, owner: httpx.Client, nobody: httpx.Client
) -> None:
    owner.post("/api/repos/create", json={"name": "expiring"})
    content = b"signed weights"
    href = urlsplit(batch(owner, "pairpress/expiring", content)["upload"]["href"])
    query = dict(pair.split("=") for pair in href.query.split("&"))
    key = (hub.root / "signing.key").read_text().encode()

    def put(expires: int, signed_for: int) -> int:
        text = f"{signed_for} PUT {href.path} {len(content)}".encode()
        signature = hmac.new(key, text, hashlib.sha256).hexdigest()
        url = f"{href.path}?size={len(content)}&expires={expires}&signature={signature}"
        return nobody.put(url, content=content).status_code

    now = int(time.time())
    assert 3500 < int(query["expires"]) - now <= 3600
    assert put(now - 1, now - 1) == 403  # rightly signed, and over
    assert put(now + 60, now - 1) == 403  # what is signed is the time as well
    assert put(now + 60, now + 60) == 200


def test_a_part_of_an_upload_is_taken_only_where_and_as_it_was_signed(
    owner: httpx.Client, nobody: httpx.Client
) -> None:
    owner.post("/api/repos/create", json={"name": "in-parts"})
    content = os.urandom(33 * 2**20)
    upload = batch(owner, "pairpress/in-parts", content, "basic", "multipart")["upload"]
    size, href = int(upload["header"].pop("chunk_size")), upload["href"]
    parts = [content[at : at + size] for at in range(0, len(content), size)]
    assert list(upload["header"]) == [str(number + 1) for number in range(len(parts))]
    urls = list(upload["header"].values())

    def complete(etags: list[str]) -> int:
        told = [{"partNumber": n + 1, "etag": etag} for n, etag in enumerate(etags)]
        return nobody.post(href, json={"oid": "x", "parts": told}).status_code

    assert complete(["x"] * len(parts)) == 404  # no part is here yet
    assert nobody.put(urls[0].replace("/1?", "/2?"), content=parts[0]).status_code == 403
    assert nobody.put(urls[0], content=parts[0][:-1]).status_code == 400
    assert nobody.put(urls[0], content=parts[0] + b"x").status_code == 400
    sent = zip(urls, parts, strict=True)
    etags = [nobody.put(url, content=part).headers["ETag"] for url, part in sent]
    nobody.put(urls[1], content=bytes(size))
    assert complete(etags) == 400  # the second part is another one now
    nobody.put(urls[1], content=parts[1])
    assert complete(etags[:2]) == 400
    assert complete(etags) == 200
    assert complete(etags) == 200  # the answer was lost: nothing is wrong
    assert (
        not owner.post(
            "/pairpress/in-parts.git/info/lfs/objects/batch",
            json={
                "operation": "upload",
                "objects": [{"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}],
            },
        )
        .json()["objects"][0]
        .get("actions")
    )


# Raw bytes


def ask(hub: Server, request: bytes) -> bytes:
    """What comes back until the connection ends, b"" where it was cut."""
    at = urlsplit(hub.url)
    with socket.create_connection((at.hostname, at.port), timeout=10) as connection:
        try:
            connection.sendall(request)
        except ConnectionError:
            return b""
        answer = b""
        try:
            while chunk := connection.recv(65536):
                answer += chunk
        except ConnectionError:
            pass
        return answer


CLOSE = b"Host: localhost\r\nConnection: close\r\n"


@pytest.mark.parametrize(
    "path",
    [
        b"/../../token",
        b"/..%2f..%2ftoken",
        b"/%2e%2e/%2e%2e/token",
        b"//etc/passwd",
        b"/pairpress/raw/resolve/main/../../../../token",
        b"/pairpress/raw/resolve/main/..%2f..%2f..%2f..%2ftoken",
        b"/pairpress/raw/resolve/main/%2e%2e/%2e%2e/%2e%2e/token",
        b"/pairpress/raw/resolve/main//etc/passwd",
        b"/pairpress/raw/resolve/%2e%2e%2f%2e%2e/token",
        b"/pairpress/..%2f..%2f..%2ftoken%00/resolve/main/a",
        b"/api/models/pairpress/raw/tree/main/..%2f..",
        b"/api/models/..%2f..%2f..%2f/token",
        b"/lfs/..%2f..%2ftoken?size=1&expires=9999999999&signature=0",
        "/pairpress/räw/resolve/main/ä".encode(),
        b"/pairpress/raw/resolve/main/%ff%fe%00",
    ],
)
def test_no_path_as_raw_bytes_leads_out_of_the_repositories(
    hub: Server, owner: httpx.Client, path: bytes
) -> None:
    owner.post("/api/repos/create", json={"name": "raw"})
    secrets = [(hub.root / name).read_bytes() for name in ("token", "signing.key")]
    for method in (b"GET", b"PUT", b"DELETE"):
        token = b"Authorization: Bearer " + hub.token.encode() + b"\r\n"
        answer = ask(hub, method + b" " + path + b" HTTP/1.1\r\n" + token + CLOSE + b"\r\n")
        assert answer.split(b" ")[1][:1] == b"4", answer[:200]
        assert not any(secret in answer for secret in secrets)
        assert b"root:" not in answer
    assert owner.get("/api/whoami-v2").is_success


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nX-Long: " + b"a" * 2**20,  # a header line without an end
        b"GET /" + b"a" * 2**20 + b" HTTP/1.1\r\n" + CLOSE + b"\r\n",
        b"GET / HTTP/1.1\r\n" + b"X-Many: aaaaaaaa\r\n" * 50_000 + CLOSE + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00" + os.urandom(512),  # TLS spoken to a plain server
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"POST /api/validate-yaml HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
    ],
    ids=["endless header", "long path", "many headers", "tls", "two lengths", "negative length"],
)
def test_a_head_that_is_too_large_or_no_http_is_refused(
    hub: Server, owner: httpx.Client, head: bytes
) -> None:
    answer = ask(hub, head)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431")), answer[:100]
    assert owner.get("/api/whoami-v2").is_success


def test_a_body_and_a_line_of_a_commit_may_not_be_large(owner: httpx.Client) -> None:
    owner.post("/api/repos/create", json={"name": "huge"})
    for url in ("/api/validate-yaml", "/api/models/pairpress/huge/commit/main"):
        huge = (b"x" * 2**20 for _ in range(20))
        assert owner.post(url, content=huge).status_code == 413
    assert owner.get("/api/whoami-v2").is_success


def test_nothing_but_this_machine_reaches_it_unless_told(hub: Server) -> None:
    assert urlsplit(hub.url).hostname == "127.0.0.1"
    port = urlsplit(hub.url).port
    listening = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    bound = [
        line.split()[1].split(":")[0]
        for line in listening.splitlines()
        if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
    ]
    assert bound == ["0100007F"]  # 127.0.0.1, in the kernel's order of bytes


def test_the_parts_of_an_upload_may_come_in_any_order_and_twice(
    owner: httpx.Client, nobody: httpx.Client
) -> None:
    owner.post("/api/repos/create", json={"name": "any-order"})
    content = os.urandom(33 * 2**20)
    upload = batch(owner, "pairpress/any-order", content, "basic", "multipart")["upload"]
    size = int(upload["header"].pop("chunk_size"))
    urls = list(upload["header"].values())

    def send(number: int) -> str:
        part = content[number * size : (number + 1) * size]
        return nobody.put(urls[number], content=part).headers["ETag"]

    etags = {number: send(number) for number in (2, 0, 1, 0)}
    told = [{"partNumber": number + 1, "etag": etags[number]} for number in sorted(etags)]
    assert nobody.post(upload["href"], json={"oid": "x", "parts": told}).status_code == 200
    entry = {"algo": "sha256", "oid": hashlib.sha256(content).hexdigest(), "size": len(content)}
    lines = [
        {"key": "header", "value": {"summary": "in parts"}},
        {"key": "lfsFile", "value": {"path": "m.bin"} | entry},
    ]
    body = "\n".join(json.dumps(line) for line in lines)
    owner.post("/api/models/pairpress/any-order/commit/main", content=body).raise_for_status()
    assert owner.get("/pairpress/any-order/resolve/main/m.bin").content == content
