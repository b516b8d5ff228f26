"""Replies as they stand on the wire: who may do what, headers, refusals. Plain HTTP, no client.

Longer than 300 lines because every refusal of the protocol stands here, one below the other.
"""

import base64
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from localhub.client_env import Server

Connect = Callable[..., httpx.Client]


def create(client: httpx.Client, name: str, private: bool = False, kind: str = "model") -> str:
    visibility = "private" if private else "public"
    body = {"name": name, "organization": None, "type": kind, "visibility": visibility}
    client.post("/api/repos/create", json=body).raise_for_status()
    return f"pairpress/{name}"


def commit(
    client: httpx.Client, repo: str, files: dict[str, bytes], kind: str = "models", **header: str
) -> httpx.Response:
    entries = [{"key": "header", "value": {"summary": "a commit", **header}}]
    for path, content in files.items():
        value = {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"}
        entries.append({"key": "file", "value": value})
    return client.post(
        f"/api/{kind}/{repo}/commit/main", content="\n".join(json.dumps(e) for e in entries)
    )


def batch(client: httpx.Client, repo: str, content: bytes) -> dict[str, str]:
    oid = hashlib.sha256(content).hexdigest()
    body = {"operation": "upload", "objects": [{"oid": oid, "size": len(content)}]}
    reply = client.post(f"/{repo}.git/info/lfs/objects/batch", json=body).raise_for_status().json()
    return {name: action["href"] for name, action in reply["objects"][0].get("actions", {}).items()}


def test_a_token_says_who_it_is_and_a_bad_one_is_told_so(
    hub: Server, connect: Connect, alice: httpx.Client
) -> None:
    reply = alice.get("/api/whoami-v2").json()
    assert (reply["type"], reply["name"], reply["orgs"][0]["name"]) == ("user", "alice", "acme")
    assert reply["auth"]["accessToken"]["role"] == "write"

    for token in ("hf_nobody", None):
        refused = connect(hub, token).get("/api/whoami-v2")
        assert refused.status_code == 401
        assert "HF_TOKEN" in refused.json()["error"]
    bad = connect(hub, "hf_nobody").get("/api/models/pairpress/whatever")
    assert bad.status_code == 401
    assert bad.headers["X-Error-Message"] == "Invalid credentials in Authorization header"


def test_the_pointer_of_a_large_file_is_read_in_parts_as_any_file(owner: httpx.Client) -> None:
    """The JavaScript client asks for the first byte to learn the size, also with `raw: true`."""
    repo, content = create(owner, "pointed"), b"\0weights"
    owner.put(batch(owner, repo, content)["upload"], content=content).raise_for_status()
    oid = hashlib.sha256(content).hexdigest()
    value = {"path": "m.bin", "algo": "sha256", "oid": oid, "size": len(content)}
    lines = [{"key": "header", "value": {"summary": "m"}}, {"key": "lfsFile", "value": value}]
    body = "\n".join(json.dumps(line) for line in lines)
    owner.post(f"/api/models/{repo}/commit/main", content=body).raise_for_status()

    whole = owner.get(f"/{repo}/raw/main/m.bin")
    part = owner.get(f"/{repo}/raw/main/m.bin", headers={"Range": "bytes=8-11"})

    assert whole.text == f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 8\n"
    assert (part.status_code, part.content) == (206, whole.content[8:12])
    assert part.headers["Content-Range"] == f"bytes 8-11/{len(whole.content)}"


def test_reading_and_writing_follow_namespace_role_and_privacy(
    owner: httpx.Client, alice: httpx.Client, reader: httpx.Client, nobody: httpx.Client
) -> None:
    repo = create(owner, "rights")
    secret = create(owner, "rights-private", private=True)

    def codes(client: httpx.Client, name: str) -> list[int]:
        paths = ("", "/auth-check", "/auth-check/write")
        return [client.get(f"/api/models/{name}{path}").status_code for path in paths]

    assert codes(owner, repo) == codes(owner, secret) == [200, 200, 200]
    assert codes(reader, secret) == [200, 200, 403]
    assert codes(alice, repo) == [200, 200, 403]
    assert codes(nobody, repo) == [200, 200, 401]
    assert codes(alice, secret) == codes(nobody, secret) == [404, 404, 404]
    assert nobody.get(f"/{secret}/resolve/main/.gitattributes").status_code == 404

    for client in (reader, alice):
        assert commit(client, repo, {"a": b"x"}).status_code == 403
        assert client.post(f"/api/models/{repo}/tag/main", json={"tag": "v"}).status_code == 403
        gone = {"name": "rights", "organization": "pairpress", "type": "model"}
        assert client.request("DELETE", "/api/repos/delete", json=gone).status_code == 403
    other = {"name": "x", "organization": "pairpress", "type": "model"}
    assert alice.post("/api/repos/create", json=other).status_code == 403
    assert reader.post("/api/repos/create", json=other).status_code == 403
    assert alice.post("/api/repos/create", json={**other, "organization": "acme"}).is_success


def test_a_private_repository_cannot_be_deleted_or_found_out_by_others(
    owner: httpx.Client, alice: httpx.Client
) -> None:
    create(owner, "hidden", private=True)
    named = {"name": "hidden", "organization": "pairpress", "type": "model"}
    assert alice.request("DELETE", "/api/repos/delete", json=named).status_code == 404
    assert owner.request("DELETE", "/api/repos/delete", json=named).is_success
    again = owner.request("DELETE", "/api/repos/delete", json=named)
    assert (again.status_code, again.headers["X-Error-Code"]) == (404, "RepoNotFound")


def test_each_missing_thing_has_its_own_code(owner: httpx.Client) -> None:
    repo = create(owner, "missing")
    head = owner.get(f"/api/models/{repo}").json()["sha"]
    for path, code in [
        ("/api/models/pairpress/none", "RepoNotFound"),
        (f"/api/datasets/{repo}", "RepoNotFound"),  # the model is no data set
        ("/api/models/no-owner", "RepoNotFound"),
        ("/no-owner/resolve/main/config.json", "RepoNotFound"),
        (f"/api/models/{repo}/revision/v9", "RevisionNotFound"),
        (f"/api/models/{repo}/revision/refs%2Fpr%2F1", "RevisionNotFound"),
        (f"/{repo}/resolve/v9/.gitattributes", "RevisionNotFound"),
        (f"/{repo}/resolve/main/none.txt", "EntryNotFound"),
        (f"/api/models/{repo}/tree/main/none", "EntryNotFound"),
    ]:
        reply = owner.get(path)
        assert (reply.status_code, reply.headers.get("X-Error-Code")) == (404, code), path
        assert reply.json()["error"]
        if code == "EntryNotFound":
            assert reply.headers["X-Repo-Commit"] == head


def test_what_is_not_spoken_says_so(owner: httpx.Client) -> None:
    repo = create(owner, "unspoken")
    for method, path in [
        ("POST", f"/api/models/{repo}/lfs-files/batch"),
        ("GET", f"/api/models/{repo}/likers"),
        ("GET", "/api/spaces/pairpress/any"),
        ("GET", f"/api/models/{repo}/xet-write-token/main"),
    ]:
        reply = owner.request(method, path, json={})
        assert reply.status_code == 404, path
        assert "does not speak" in reply.json()["error"]
        assert "X-Error-Code" not in reply.headers


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", "a\\..\\b", ".git/hooks/x"])
def test_a_commit_cannot_write_outside_its_repository(owner: httpx.Client, path: str) -> None:
    repo = "pairpress/traversal"
    owner.post("/api/repos/create", json={"name": "traversal"})
    refused = commit(owner, repo, {path: b"x"})
    assert refused.status_code == 400
    assert "cannot be a file" in refused.json()["error"]


@pytest.mark.parametrize(
    "path",
    [
        "/pairpress/..%2F..%2Ftoken/resolve/main/x",
        "/%2E%2E/%2E%2E/resolve/main/token",
        "/datasets/..%2Fx/y/resolve/main/..%2F..%2Ftoken",
        "/api/models/..%2F../token",
        "/pairpress/readable/resolve/main/..%2F..%2F..%2F..%2F..%2Ftoken",
        "/pairpress/readable/resolve/..%2F..%2F..%2F..%2Ftoken/x",
    ],
)
def test_no_quoted_path_reaches_the_files_of_the_server(
    hub: Server, owner: httpx.Client, path: str
) -> None:
    owner.post("/api/repos/create", json={"name": "readable"})
    reply = owner.get(path)
    assert reply.status_code == 404
    assert hub.token not in reply.text


def test_a_range_of_a_file_comes_with_its_ids(owner: httpx.Client) -> None:
    repo = create(owner, "ranges")
    content = bytes(range(256)) * 8
    made = commit(owner, repo, {"data/x y.txt": content}).json()["commitOid"]
    url = f"/{repo}/resolve/main/{quote('data/x y.txt')}"

    whole, head = owner.get(url), owner.head(url)
    part = owner.get(url, headers={"Range": "bytes=100-299"})
    tail = owner.get(url, headers={"Range": "bytes=2040-"})

    assert whole.content == content
    assert (part.status_code, part.content) == (206, content[100:300])
    assert part.headers["Content-Range"] == "bytes 100-299/2048"
    assert tail.content == content[2040:]
    assert owner.get(url, headers={"Range": "bytes=4000-"}).status_code == 416
    git_id = hashlib.sha1(b"blob 2048\0" + content).hexdigest()
    for reply in (whole, head, part):
        assert reply.headers["ETag"] == f'"{git_id}"'
        assert reply.headers["X-Repo-Commit"] == made
    assert head.headers["Content-Length"] == "2048"


def test_an_upload_url_takes_only_the_content_it_was_signed_for(
    owner: httpx.Client, nobody: httpx.Client
) -> None:
    repo, content = create(owner, "large"), b"weights" * 1000
    oid = hashlib.sha256(content).hexdigest()
    entry = {"path": "m.safetensors", "algo": "sha256", "oid": oid, "size": len(content)}
    body = "\n".join(
        json.dumps({"key": key, "value": value})
        for key, value in (("header", {"summary": "large"}), ("lfsFile", entry))
    )
    early = owner.post(f"/api/models/{repo}/commit/main", content=body)
    assert early.status_code == 400
    assert oid in early.json()["error"]

    hrefs = batch(owner, repo, content)
    assert (
        nobody.put(hrefs["upload"].replace("size=7000", "size=9"), content=b"x").status_code == 403
    )
    assert nobody.put(f"/lfs/{oid}?size=7000", content=content).status_code == 403
    assert nobody.put(hrefs["upload"], content=content[::-1]).status_code == 400
    verify = {"oid": oid, "size": len(content)}
    assert owner.post(hrefs["verify"], json=verify).status_code == 404
    assert nobody.put(hrefs["upload"], content=content).is_success
    assert owner.post(hrefs["verify"], json=verify).is_success

    assert batch(owner, repo, content) == {}  # it is there: nothing to send
    assert owner.post(f"/api/models/{repo}/commit/main", content=body).is_success
    reply = owner.get(f"/{repo}/resolve/main/m.safetensors")
    assert (reply.content, reply.headers["ETag"]) == (content, f'"{oid}"')


def test_a_stale_parent_and_a_missing_branch_stop_a_commit(owner: httpx.Client) -> None:
    repo = create(owner, "stale")
    head = owner.get(f"/api/models/{repo}").json()["sha"]
    assert commit(owner, repo, {"a": b"1"}, parentCommit=head).is_success
    stale = commit(owner, repo, {"a": b"2"}, parentCommit=head)
    assert stale.status_code == 412
    expected = "A commit has happened since. Please refresh and try again."
    assert stale.json()["error"] == stale.headers["X-Error-Message"] == expected
    for revision in ("none", head):
        line = json.dumps({"key": "header", "value": {"summary": "s"}})
        lost = owner.post(f"/api/models/{repo}/commit/{revision}", content=line)
        assert lost.headers["X-Error-Code"] == "RevisionNotFound"


def test_long_trees_and_histories_come_in_pages(owner: httpx.Client) -> None:
    repo = create(owner, "pages", kind="dataset")
    files = {f"part/{number:03}.txt": b"%d" % number for number in range(25)}
    commit(owner, repo, files, kind="datasets")
    for number in range(4):
        commit(owner, repo, {"log.txt": b"%d" % number}, kind="datasets")

    def pages(url: str) -> list[list[dict[str, str]]]:
        found = []
        while url:
            reply = owner.get(url)
            found.append(reply.json())
            url = reply.links["next"]["url"] if "next" in reply.links else ""
        return found

    tree = pages(f"/api/datasets/{repo}/tree/main?recursive=true&limit=10")
    assert [len(page) for page in tree] == [10, 10, 8]  # 25 parts, log, .gitattributes and a folder
    names = [entry["path"] for page in tree for entry in page if entry["type"] == "file"]
    assert names == sorted([".gitattributes", "log.txt", *files])
    below = pages(f"/api/datasets/{repo}/tree/main/part?limit=20")
    assert [entry["path"] for page in below for entry in page] == sorted(files)
    history = pages(f"/api/datasets/{repo}/commits/main?limit=2")
    assert [len(page) for page in history] == [2, 2, 2]
    assert history[-1][-1]["title"] == "initial commit"


def test_replies_are_not_held_back_by_the_network_stack(owner: httpx.Client) -> None:
    repo = create(owner, "prompt")
    taken = []
    for _ in range(20):
        begun = time.perf_counter()
        owner.get(f"/api/models/{repo}").raise_for_status()
        taken.append(time.perf_counter() - begun)
    assert min(taken) < 0.03  # seconds; with Nagle's algorithm on, each waits 0.04 for an answer


def test_a_half_sent_or_malformed_request_changes_nothing(owner: httpx.Client) -> None:
    repo = create(owner, "malformed")
    url, head = f"/api/models/{repo}", owner.get(f"/api/models/{repo}").json()["sha"]
    header = json.dumps({"key": "header", "value": {"summary": "s"}})
    for body in (
        f'{header}\n{{"key": "file", "value": {{"path": "a", "content": "YWJ',  # cut off
        f'{header}\n{{"key": "file", "value": {{"path": "a", "encoding": "base64"}}}}',
        f'{header}\n{{"key": "surprise", "value": {{"path": "a"}}}}',
        '{"key": "header", "value": {}}',
    ):
        assert owner.post(f"{url}/commit/main", content=body).status_code == 400
    assert owner.post(f"{url}/preupload/main", json={"files": [{}]}).status_code == 400
    assert owner.post(f"{url}/tag/main", content=b"not json").status_code == 400
    assert owner.get(url).json()["sha"] == head


def test_pages_show_private_repositories_on_this_machine_only(
    owner: httpx.Client, nobody: httpx.Client
) -> None:
    secret = create(owner, "page-private", private=True, kind="dataset")
    card = "---\nlicense: mit\n---\n<script>alert('é')</script>".encode()
    commit(owner, secret, {"README.md": card, "a b.txt": b"text"}, kind="datasets")

    page = nobody.get(f"/datasets/{secret}")

    assert page.status_code == 200
    assert "<script>" not in page.text
    assert secret in nobody.get("/").text
    page = nobody.get(f"/datasets/{secret}/tree/main")
    link = page.text.split("a%20b.txt?", 1)[1].split('"', 1)[0].replace("&amp;", "&")
    head = owner.get(f"/api/datasets/{secret}").json()["sha"]
    signed = f"/datasets/{secret}/resolve/{head}/a%20b.txt?{link}"
    assert nobody.get(signed).text == "text"
    assert nobody.get(signed.replace("a%20b.txt", "README.md")).status_code == 404
    elsewhere = {"Host": "rebound.example.com"}  # a foreign name that points at 127.0.0.1
    assert nobody.get(f"/datasets/{secret}", headers=elsewhere).status_code == 404
    assert secret not in nobody.get("/", headers=elsewhere).text


def test_tokens_and_signatures_are_never_logged_and_the_token_is_the_owners_alone(
    hub: Server, owner: httpx.Client
) -> None:
    batch(owner, create(owner, "logs"), b"never sent")
    log = (hub.root / "server.log").read_text()
    assert log.startswith(f"localhub: {hub.url} (store {hub.root})\n")
    assert hub.token not in log
    assert "signature" not in log
    assert "Traceback" not in log
    assert (hub.root / "token").stat().st_mode & 0o777 == 0o600
    assert Path(hub.root / "server.json").read_text().count(hub.url) == 1
