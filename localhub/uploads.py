"""Writing: which files go to LFS, receiving large ones, one commit of all changes.

in   preupload/{rev}, {id}.git/info/lfs/objects/batch, PUT of a content or its parts,
     commit/{rev} as NDJSON, on a branch, on refs/pr/N or as a new pull request (?create_pr=1)
     https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md   https://github.com/ndjson/ndjson-spec
out  upload modes, signed upload URLs, the commit id
"""

import base64
import secrets
from collections.abc import AsyncIterator
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localhub.access import Gate, User
from localhub.errors import HubError
from localhub.gitignore import LONGEST, ignored
from localhub.lfs import REGULAR_LIMIT, belongs_in_lfs
from localhub.parts import OFFERED_ABOVE, PART_SIZE, part_count
from localhub.pulls import Pulls
from localhub.records import Change, Commit, Discussion, RepoId, Repository
from localhub.store import Store
from localhub.wire import (
    field,
    flag,
    json_body,
    json_value,
    number_in_path,
    optional,
    page_url,
    parameter,
)

_PULL = "refs/pr/"
_BLOCK = 1024 * 1024
_ASKED_AT_ONCE = 2 * 1024**4  # bytes of the contents of one batch: each part's URL is signed
_LINE_LIMIT = REGULAR_LIMIT * 3 // 2  # base64 makes four bytes of three


class Uploads:
    def __init__(self, store: Store, gate: Gate) -> None:
        self._store, self._gate, self._pulls = store, gate, Pulls(store)

    def routes(self) -> list[Route]:
        routes = [
            Route("/lfs/{sha256}", self.receive, methods=["PUT"]),
            Route("/lfs/{sha256}/{upload}", self.finish_upload, methods=["POST"]),
            Route("/lfs/{sha256}/{upload}/{number}", self.receive_part, methods=["PUT"]),
        ]
        for kind, prefix in (("datasets", "/datasets"), ("models", "")):
            api = f"/api/{kind}/{{owner}}/{{name}}"
            lfs = f"{prefix}/{{owner}}/{{name}}.git/info/lfs"
            routes += [
                Route(f"{api}/preupload/{{revision}}", self.preupload, methods=["POST"]),
                Route(f"{api}/commit/{{revision}}", self.commit, methods=["POST"]),
                Route(f"{lfs}/objects/batch", self.batch, methods=["POST"]),
                Route(f"{lfs}/verify", self.verify, methods=["POST"]),
            ]
        return routes

    async def preupload(self, request: Request) -> Response:
        body = await json_body(request)
        return await run_in_threadpool(self._preupload, request, body)

    def _preupload(self, request: Request, body: dict[str, Any]) -> Response:
        revision = parameter(request, "revision")
        if flag(request, "create_pr"):
            _check_from_main(revision)
        if flag(request, "create_pr") or revision.startswith(_PULL):
            repository, _ = self._gate.contributable(request)
        else:
            repository, _ = self._gate.writable(request)
        ref = revision if revision.startswith(_PULL) else f"refs/heads/{revision}"
        present = self._store.resolve(repository, ref).files
        rules = optional(body, "gitIgnore", str)
        if rules is None and ".gitignore" in present:
            with self._store.blob(present[".gitignore"].sha256).open("rb") as text:
                rules = text.read(4 * LONGEST + 4).decode(errors="replace")
        replies, files = [], field(body, "files", list)
        try:
            left_out = ignored(rules or "", [field(asked, "path", str) for asked in files])
        except ValueError as error:
            raise HubError(400, str(error)) from error
        for asked in files:
            path, size = field(asked, "path", str), field(asked, "size", int)
            sample = _decoded(field(asked, "sample", str), path)
            reply = {
                "path": path,
                "uploadMode": "lfs" if belongs_in_lfs(path, size, sample) else "regular",
                "shouldIgnore": path in left_out,
            }
            if path in present:  # lets the client leave out what has not changed
                reply["oid"] = present[path].etag
            replies.append(reply)
        return JSONResponse({"files": replies})

    async def batch(self, request: Request) -> Response:
        body = await json_body(request)
        return await run_in_threadpool(self._batch, request, body)

    def _batch(self, request: Request, body: dict[str, Any]) -> Response:
        self._gate.contributable(request)
        if body.get("operation") != "upload":
            raise HubError(
                404, f"localhub does not speak the LFS operation {body.get('operation')!r} yet."
            )
        in_parts = "multipart" in (optional(body, "transfers", list) or [])
        transfer, objects, room = "basic", [], _ASKED_AT_ONCE
        for asked in field(body, "objects", list):
            oid, size = field(asked, "oid", str), field(asked, "size", int)
            reply: dict[str, Any] = {"oid": oid, "size": size}
            if not self._store.has_blob(oid, size):
                room -= size
                if size < 0 or room < 0:
                    raise HubError(
                        400,
                        f"{oid}: {size!s:.30} bytes: 0 to {_ASKED_AT_ONCE} are taken, of all "
                        "contents that are asked about at once.",
                    )
                if in_parts and size > OFFERED_ABOVE:
                    transfer, upload = "multipart", self._multipart(request, oid, size)
                else:
                    upload = {"href": self._signed(request, f"/lfs/{oid}", "PUT", size)}
                verify = str(request.url).replace("/objects/batch", "/verify")
                reply["actions"] = {"upload": upload, "verify": {"href": verify}}
            objects.append(reply)
        return JSONResponse(
            {"transfer": transfer, "objects": objects}, media_type="application/vnd.git-lfs+json"
        )

    def _multipart(self, request: Request, oid: str, size: int) -> dict[str, Any]:
        upload = f"/lfs/{oid}/{secrets.token_hex(16)}"
        parts = {
            str(number): self._signed(request, f"{upload}/{number}", "PUT", size)
            for number in range(1, part_count(size) + 1)
        }
        href = self._signed(request, upload, "POST", size)
        return {"href": href, "header": {"chunk_size": str(PART_SIZE), **parts}}

    def _signed(self, request: Request, path: str, method: str, size: int) -> str:
        signature = self._gate.sign(f"{method} {path} {size}")
        return f"{str(request.base_url).rstrip('/')}{path}?size={size}&{signature}"

    def _signed_size(self, request: Request) -> int:
        path, size = request.scope["path"], request.query_params.get("size", "")
        if not self._gate.is_signed(request, f"{request.method} {path} {size}"):
            raise HubError(
                403, f"{path}: this upload URL is not signed here or is over an hour old. Ask anew."
            )
        return int(size)

    async def receive(self, request: Request) -> Response:
        size = self._signed_size(request)
        with self._store.receive(parameter(request, "sha256"), size) as incoming:
            async for block in _blocks(request):
                await run_in_threadpool(incoming.write, block)
            await run_in_threadpool(incoming.finish)
        return Response()

    async def receive_part(self, request: Request) -> Response:
        size = self._signed_size(request)
        upload, number = parameter(request, "upload"), number_in_path(request)
        with self._store.receive_part(upload, number, size) as incoming:
            async for block in _blocks(request):
                await run_in_threadpool(incoming.write, block)
            etag = incoming.finish()
        return Response(headers={"ETag": f'"{etag}"'})

    async def finish_upload(self, request: Request) -> Response:
        size = self._signed_size(request)
        parts = field(await json_body(request), "parts", list)
        told = {field(p, "partNumber", int): field(p, "etag", str).strip('"') for p in parts}
        etags = [told[number] for number in sorted(told)]
        oid, upload = parameter(request, "sha256"), parameter(request, "upload")
        await run_in_threadpool(self._store.finish_upload, upload, oid, size, etags)
        return JSONResponse({})

    async def verify(self, request: Request) -> Response:
        body = await json_body(request)
        await run_in_threadpool(self._gate.contributable, request)
        oid, size = field(body, "oid", str), field(body, "size", int)
        if not self._store.has_blob(oid, size):
            raise HubError(404, f"LFS object {oid} ({size} bytes) is not here: upload it again.")
        return JSONResponse({})

    async def commit(self, request: Request) -> Response:
        repository, user = await run_in_threadpool(self._may_commit, request)
        header: dict[str, Any] = {}
        changes: list[Change] = []
        async for line in _lines(request):
            entry = json_value(line, "a line of the commit")
            value = field(entry, "value", dict)
            if field(entry, "key", str) == "header":
                header = value
            else:
                changes.append(await run_in_threadpool(self._change, entry["key"], value))
        made, talk = await run_in_threadpool(
            self._committed, request, repository.id, user, header, changes
        )
        page = page_url(request, repository.id)
        reply = {"success": True, "commitOid": made.id, "commitUrl": f"{page}/commit/{made.id}"}
        if talk is not None:
            reply["pullRequestUrl"] = f"{page}/discussions/{talk.num}"
        return JSONResponse(reply)

    def _may_commit(self, request: Request) -> tuple[Repository, User]:
        revision = parameter(request, "revision")
        if flag(request, "create_pr"):
            _check_from_main(revision)
            return self._gate.contributable(request)
        if revision.startswith(_PULL):
            return self._gate.author_or_writer(request, revision)
        return self._gate.writable(request)

    def _committed(
        self,
        request: Request,
        repo: RepoId,
        user: User,
        header: dict[str, Any],
        changes: list[Change],
    ) -> tuple[Commit, Discussion | None]:
        parent = optional(header, "parentCommit", str)
        title = field(header, "summary", str)
        message = optional(header, "description", str) or ""
        revision = parameter(request, "revision")
        if flag(request, "create_pr"):
            talk, made = self._pulls.propose(
                repo, changes, parent=parent, title=title, message=message, user=user.name
            )
            return made, talk
        commit = self._pulls.commit if revision.startswith(_PULL) else self._store.commit
        made = commit(
            repo, revision, changes, parent=parent, title=title, message=message, user=user.name
        )
        return made, None

    def _change(self, key: str, value: dict[str, Any]) -> Change:
        path = field(value, "path", str)
        if key == "file":
            if value.get("encoding") != "base64":
                raise HubError(400, f"{path!r}: encoding {value.get('encoding')!r}, not 'base64'")
            return Change(path, self._store.keep(_decoded(field(value, "content", str), path)))
        if key == "lfsFile":
            if value.get("algo") != "sha256":
                raise HubError(400, f"{path!r}: algo {value.get('algo')!r}, not 'sha256'")
            oid, size = field(value, "oid", str), optional(value, "size", int)
            return Change(path, self._store.large_file(oid, size))
        if key in ("deletedFile", "deletedFolder"):
            return Change(path, None, folder=key == "deletedFolder")
        raise HubError(400, f"{path!r}: localhub does not speak the commit entry {key!r} yet.")


async def _blocks(request: Request) -> AsyncIterator[bytes]:
    """The body in pieces that are worth a hop to a thread, where disk and digest hold up nobody."""
    block = bytearray()
    async for chunk in request.stream():
        block += chunk
        if len(block) >= _BLOCK:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)


async def _lines(request: Request) -> AsyncIterator[bytes]:
    """The body line by line: memory holds one file of the commit, not all of them."""
    pending = bytearray()
    async for chunk in request.stream():
        start = len(pending)
        pending += chunk
        while (end := pending.find(b"\n", start)) >= 0:
            if end:
                yield bytes(pending[:end])
            del pending[: end + 1]
            start = 0
        if len(pending) > _LINE_LIMIT:
            raise HubError(
                413, f"a regular file of the commit is over {REGULAR_LIMIT} bytes: send it by LFS."
            )
    if pending:
        yield bytes(pending)


def _decoded(text: str, path: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise HubError(400, f"{path!r}: not base64 ({error})") from error


def _check_from_main(revision: str) -> None:
    if revision != "main":
        raise HubError(400, f"a pull request is made from main, not from {revision!r}.")
