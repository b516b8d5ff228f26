"""Writing: which files go to LFS, receiving large ones, one commit of all changes.

in   preupload/{rev}, {id}.git/info/lfs/objects/batch, PUT of a content, commit/{rev} as NDJSON
     https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md   https://github.com/ndjson/ndjson-spec
out  upload modes, signed upload URLs, the commit id
"""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localhub.access import Gate
from localhub.errors import HubError
from localhub.gitignore import ignored
from localhub.lfs import REGULAR_LIMIT, belongs_in_lfs
from localhub.records import Change
from localhub.store import Store
from localhub.wire import field, flag, json_body, optional, page_url, parameter

_LINE_LIMIT = REGULAR_LIMIT * 3 // 2  # base64 makes four bytes of three


class Uploads:
    def __init__(self, store: Store, gate: Gate) -> None:
        self._store, self._gate = store, gate

    def routes(self) -> list[Route]:
        routes = [Route("/lfs/{sha256}", self.receive, methods=["PUT"])]
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
        _refuse_pull_request(request)
        repository, _ = self._gate.writable(request)
        branch = parameter(request, "revision")
        present = self._store.resolve(repository, f"refs/heads/{branch}").files
        rules = optional(body, "gitIgnore", str)
        if rules is None and ".gitignore" in present:
            rules = self._store.blob(present[".gitignore"].sha256).read_text(errors="replace")
        replies = []
        for asked in field(body, "files", list):
            path, size = field(asked, "path", str), field(asked, "size", int)
            sample = _decoded(field(asked, "sample", str), path)
            reply = {
                "path": path,
                "uploadMode": "lfs" if belongs_in_lfs(path, size, sample) else "regular",
                "shouldIgnore": rules is not None and ignored(rules, path),
            }
            if path in present:  # lets the client leave out what has not changed
                reply["oid"] = present[path].etag
            replies.append(reply)
        return JSONResponse({"files": replies})

    async def batch(self, request: Request) -> Response:
        body = await json_body(request)
        return await run_in_threadpool(self._batch, request, body)

    def _batch(self, request: Request, body: dict[str, Any]) -> Response:
        self._gate.writable(request)
        if body.get("operation") != "upload":
            raise HubError(
                404, f"localhub does not speak the LFS operation {body.get('operation')!r} yet."
            )
        objects = []
        for asked in field(body, "objects", list):
            oid, size = field(asked, "oid", str), field(asked, "size", int)
            reply: dict[str, Any] = {"oid": oid, "size": size}
            if not self._store.has_blob(oid, size):
                query = f"size={size}&{self._gate.sign(f'PUT {oid} {size}')}"
                verify = str(request.url).replace("/objects/batch", "/verify")
                reply["actions"] = {
                    "upload": {"href": f"{request.base_url}lfs/{oid}?{query}"},
                    "verify": {"href": verify},
                }
            objects.append(reply)
        return JSONResponse(
            {"transfer": "basic", "objects": objects}, media_type="application/vnd.git-lfs+json"
        )

    async def receive(self, request: Request) -> Response:
        oid, size = parameter(request, "sha256"), request.query_params.get("size", "")
        if not self._gate.is_signed(request, f"PUT {oid} {size}"):
            raise HubError(
                403, f"{oid}: this upload URL is not signed here or is over an hour old. Ask anew."
            )
        with self._store.receive(oid, int(size)) as incoming:
            async for chunk in request.stream():
                incoming.write(chunk)
            await run_in_threadpool(incoming.finish)
        return Response()

    async def verify(self, request: Request) -> Response:
        body = await json_body(request)
        await run_in_threadpool(self._gate.writable, request)
        oid, size = field(body, "oid", str), field(body, "size", int)
        if not self._store.has_blob(oid, size):
            raise HubError(404, f"LFS object {oid} ({size} bytes) is not here: upload it again.")
        return JSONResponse({})

    async def commit(self, request: Request) -> Response:
        _refuse_pull_request(request)
        repository, user = await run_in_threadpool(self._gate.writable, request)
        header: dict[str, Any] = {}
        changes: list[Change] = []
        async for line in _lines(request):
            try:
                entry = json.loads(line)
            except ValueError as error:
                raise HubError(400, f"a line of the commit is not JSON: {error}") from error
            value = field(entry, "value", dict)
            if field(entry, "key", str) == "header":
                header = value
            else:
                changes.append(await run_in_threadpool(self._change, entry["key"], value))
        made = await run_in_threadpool(
            self._store.commit,
            repository.id,
            parameter(request, "revision"),
            changes,
            parent=optional(header, "parentCommit", str),
            title=field(header, "summary", str),
            message=optional(header, "description", str) or "",
            user=user.name,
        )
        url = f"{page_url(request, repository.id)}/commit/{made.id}"
        return JSONResponse({"success": True, "commitOid": made.id, "commitUrl": url})

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


def _refuse_pull_request(request: Request) -> None:
    if flag(request, "create_pr"):
        raise HubError(
            404, "localhub does not speak pull requests yet. Commit to a branch instead."
        )
