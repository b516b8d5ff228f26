"""Branches, tags, pull requests' heads and the commits they lead to.

in   refs, commits/{rev}, branch/{name}, tag/{name}, super-squash/{branch}
out  the JSON that huggingface_hub.HfApi reads
     https://huggingface.co/docs/huggingface_hub/guides/repository
"""

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localhub.access import Gate
from localhub.store import Store
from localhub.wire import field, flag, json_body, limit, number, optional, page_of, parameter

_COMMITS_A_PAGE = 50


class Refs:
    def __init__(self, store: Store, gate: Gate) -> None:
        self._store, self._gate = store, gate

    def routes(self) -> list[Route]:
        routes = []
        for kind in ("models", "datasets"):
            repo = f"/api/{kind}/{{owner}}/{{name}}"
            routes += [
                Route(f"{repo}/refs", self.refs),
                Route(f"{repo}/commits/{{revision}}", self.commits),
                Route(f"{repo}/branch/{{branch}}", self.add_branch, methods=["POST"]),
                Route(f"{repo}/branch/{{branch}}", self.delete_branch, methods=["DELETE"]),
                Route(f"{repo}/tag/{{revision}}", self.add_tag, methods=["POST"]),
                Route(f"{repo}/tag/{{tag}}", self.delete_tag, methods=["DELETE"]),
                Route(f"{repo}/super-squash/{{branch}}", self.squash, methods=["POST"]),
            ]
        return routes

    def refs(self, request: Request) -> Response:
        repository = self._gate.readable(request)
        kinds = {"branches": "heads", "tags": "tags"}
        names = {"branches": repository.branches, "tags": repository.tags}
        told: dict[str, Any] = {
            kind: [
                {"name": name, "ref": f"refs/{kinds[kind]}/{name}", "targetCommit": commit}
                for name, commit in sorted(names[kind].items())
            ]
            for kind in kinds
        }
        told["converts"] = []
        if flag(request, "include_prs"):
            told["pullRequests"] = [
                {"name": ref.removeprefix("refs/"), "ref": ref, "targetCommit": commit}
                for ref, commit in repository.pulls.items()
            ]
        return JSONResponse(told)

    def commits(self, request: Request) -> Response:
        repository = self._gate.readable(request)
        head = self._store.resolve(repository, parameter(request, "revision"))
        page, size = number(request, "p"), limit(request, _COMMITS_A_PAGE)
        history = list(self._store.history(repository, head))
        shown = [
            {
                "id": commit.id,
                "title": commit.title,
                "message": commit.message,
                "date": commit.date,
                "authors": [{"user": commit.user}],
            }
            for commit in history[page * size : (page + 1) * size]
        ]
        more = {"p": str(page + 1)} if len(history) > (page + 1) * size else {}
        return page_of(request, shown, **more)

    async def add_branch(self, request: Request) -> Response:
        # The body may be missing: a branch then starts where main is.
        body = await json_body(request, missing=True)
        start = optional(body, "startingPoint", str) or "main"
        branch = parameter(request, "branch")
        return await run_in_threadpool(self._add_ref, request, "branch", branch, start)

    async def add_tag(self, request: Request) -> Response:
        tag = field(await json_body(request), "tag", str)
        start = parameter(request, "revision")
        return await run_in_threadpool(self._add_ref, request, "tag", tag, start)

    def _add_ref(self, request: Request, sort: str, name: str, start: str) -> Response:
        repository, _ = self._gate.writable(request)
        add = self._store.add_branch if sort == "branch" else self._store.add_tag
        add(repository.id, name, start)
        return JSONResponse({}, 201)

    def delete_branch(self, request: Request) -> Response:
        repository, _ = self._gate.writable(request)
        self._store.delete_branch(repository.id, parameter(request, "branch"))
        return JSONResponse({})

    def delete_tag(self, request: Request) -> Response:
        repository, _ = self._gate.writable(request)
        self._store.delete_tag(repository.id, parameter(request, "tag"))
        return JSONResponse({})

    async def squash(self, request: Request) -> Response:
        body = await json_body(request)
        return await run_in_threadpool(self._squash, request, body)

    def _squash(self, request: Request, body: dict[str, Any]) -> Response:
        repository, user = self._gate.writable(request)
        branch = parameter(request, "branch")
        message = optional(body, "message", str) or f"Super-squash branch '{branch}'"
        made = self._store.squash(repository.id, branch, message, user.name)
        return JSONResponse({"commitOid": made.id})
