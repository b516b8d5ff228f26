"""Reading a repository at a revision: its tree, facts about paths, the bytes of a file.

in   tree/{rev}/{path}?recursive&expand&cursor, paths-info/{rev}, {id}/resolve|raw/{rev}/{path}
out  the entries and headers huggingface_hub reads; Range gives 206   https://huggingface.co/docs/hub/api
"""

from typing import Any
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from localhub.access import Gate
from localhub.errors import entry_missing
from localhub.gitids import lfs_pointer
from localhub.records import Commit, File, Repository
from localhub.store import Store
from localhub.wire import field, flag, json_body, limit, page_of, parameter, repo_id, small_body

_ENTRIES_A_PAGE, _EXPANDED_A_PAGE = 1000, 50


class BlobResponse(FileResponse):
    chunk_size = 1 << 20  # each chunk is a hop to a thread: 64 KiB would spend the time on hops


class Downloads:
    def __init__(self, store: Store, gate: Gate) -> None:
        self._store, self._gate = store, gate

    def routes(self) -> list[Route]:
        routes = []
        for kind, prefix in (("datasets", "/datasets"), ("models", "")):
            api, files = f"/api/{kind}/{{owner}}/{{name}}", f"{prefix}/{{owner}}/{{name}}"
            routes += [
                Route(f"{api}/tree/{{revision}}", self.tree),
                Route(f"{api}/tree/{{revision}}/{{path:path}}", self.tree),
                Route(f"{api}/paths-info/{{revision}}", self.paths_info, methods=["POST"]),
                Route(f"{files}/resolve/{{revision}}/{{path:path}}", self.resolve),
                Route(f"{files}/raw/{{revision}}/{{path:path}}", self.raw),
            ]
        return routes

    def tree(self, request: Request) -> Response:
        repository = self._gate.readable(request)
        commit = self._store.resolve(repository, parameter(request, "revision"))
        folder = parameter(request, "path").strip("/") if "path" in request.path_params else ""
        if folder not in commit.folders:
            raise entry_missing(str(repository.id), folder, commit.id)
        recursive, expand = flag(request, "recursive"), flag(request, "expand")
        below = f"{folder}/" if folder else ""
        cursor = request.query_params.get("cursor", "")
        paths = sorted(
            path
            for path in (*commit.files, *commit.folders)
            if path.startswith(below)
            and path > max(below, cursor)
            and (recursive or "/" not in path[len(below) :])
        )
        size = limit(request, _EXPANDED_A_PAGE if expand else _ENTRIES_A_PAGE)
        more = {"cursor": paths[size - 1]} if len(paths) > size else {}
        return page_of(request, self._entries(repository, commit, paths[:size], expand), **more)

    async def paths_info(self, request: Request) -> Response:
        """The Python client asks with a form, the JavaScript client with JSON."""
        if request.headers.get("content-type", "").startswith("application/json"):
            body = await json_body(request)
            paths, expand = field(body, "paths", list), body.get("expand") is True
        else:
            text = (await small_body(request)).decode(errors="replace")
            form = parse_qs(text, keep_blank_values=True)
            paths = form.get("paths", [])
            expand = form.get("expand", [""])[-1].lower() in ("true", "1")
        return await run_in_threadpool(self._paths_info, request, paths, expand)

    def _paths_info(self, request: Request, paths: list[Any], expand: bool) -> Response:
        repository = self._gate.readable(request)
        commit = self._store.resolve(repository, parameter(request, "revision"))
        asked = [str(path).strip("/") for path in paths]
        known = [
            path for path in asked if path and (path in commit.files or path in commit.folders)
        ]
        return JSONResponse(self._entries(repository, commit, known, expand))

    def resolve(self, request: Request) -> Response:
        # The links of a page carry a signature: a browser has no token to show.
        if self._gate.is_signed(request, f"GET {request.scope['path']}"):
            repository = self._store.repository(repo_id(request))
        else:
            repository = self._gate.downloadable(request)
        commit, file = self._asked(request, repository)
        headers = {
            "ETag": f'"{file.etag}"',
            "X-Repo-Commit": commit.id,
            # Somebody's HTML must not run as a page of this server.
            "X-Content-Type-Options": "nosniff",
        }
        media_type = "application/octet-stream" if file.lfs else "text/plain"
        return BlobResponse(self._store.blob(file.sha256), headers=headers, media_type=media_type)

    def _asked(self, request: Request, repository: Repository) -> tuple[Commit, File]:
        commit = self._store.resolve(repository, parameter(request, "revision"))
        path = parameter(request, "path")
        file = commit.files.get(path)
        if file is None:
            raise entry_missing(str(repository.id), path, commit.id)
        return commit, file

    def raw(self, request: Request) -> Response:
        """What git itself keeps: of a file in LFS its pointer."""
        repository = self._gate.downloadable(request)
        commit, file = self._asked(request, repository)
        if not file.lfs:
            return self.resolve(request)
        headers = {"ETag": f'"{file.oid}"', "X-Repo-Commit": commit.id}
        # Kept as a content of its own, so that Range means here what it means elsewhere.
        pointer = self._store.keep(lfs_pointer(file.sha256, file.size))
        blob = self._store.blob(pointer.sha256)
        return BlobResponse(blob, headers=headers, media_type="text/plain")

    def _entries(
        self, repository: Repository, commit: Commit, paths: list[str], expand: bool
    ) -> list[dict[str, Any]]:
        last = self._last_changes(repository, commit, paths) if expand else {}
        return [_entry(commit, path, last.get(path)) for path in paths]

    def _last_changes(
        self, repository: Repository, commit: Commit, paths: list[str]
    ) -> dict[str, Commit]:
        """For each path the newest commit that gave it the content it has."""
        found: dict[str, Commit] = {}
        newer, waiting = commit, set(paths)
        for older in self._store.history(repository, commit):
            changed = {path for path in waiting if _oid(older, path) != _oid(commit, path)}
            found |= dict.fromkeys(changed, newer)
            newer, waiting = older, waiting - changed
            if not waiting:
                break
        return found | dict.fromkeys(waiting, newer)


def _oid(commit: Commit, path: str) -> str | None:
    return commit.files[path].oid if path in commit.files else commit.folders.get(path)


def _entry(commit: Commit, path: str, last: Commit | None) -> dict[str, Any]:
    if path in commit.files:
        file = commit.files[path]
        entry = {"type": "file", "path": path, "oid": file.oid, "size": file.size}
        if file.lfs:
            pointer = len(lfs_pointer(file.sha256, file.size))
            entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": pointer}
    else:
        entry = {"type": "directory", "path": path, "oid": commit.folders[path], "size": 0}
    if last is not None:
        entry["lastCommit"] = {"id": last.id, "title": last.title, "date": last.date}
    return entry
