"""Who am I, and the life of a repository: create, describe, branch, tag, list, delete.

in   the calls of huggingface_hub.HfApi    https://huggingface.co/docs/huggingface_hub/package_reference/hf_api
out  the JSON replies it reads             https://huggingface.co/docs/hub/api
"""

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localhub.access import Gate
from localhub.card import card_tags, complaints, front_matter
from localhub.errors import HubError
from localhub.gitids import lfs_pointer
from localhub.lfs import gitattributes
from localhub.records import Commit, File, RepoId, Repository
from localhub.store import Store
from localhub.wire import field, flag, json_body, limit, optional, page_of, page_url, parameter

_COMMITS_A_PAGE = 50


class Repositories:
    def __init__(self, store: Store, gate: Gate) -> None:
        self._store, self._gate = store, gate

    def routes(self) -> list[Route]:
        routes = [
            Route("/api/whoami-v2", self.whoami),
            Route("/api/repos/create", self.create, methods=["POST"]),
            Route("/api/repos/delete", self.delete, methods=["DELETE"]),
            Route("/api/validate-yaml", self.validate_yaml, methods=["POST"]),
        ]
        for kind in ("models", "datasets"):
            repo = f"/api/{kind}/{{owner}}/{{name}}"
            routes += [
                Route(repo, self.info),
                Route(f"{repo}/revision/{{revision}}", self.info),
                Route(f"{repo}/auth-check", self.auth_check),
                Route(f"{repo}/auth-check/write", self.auth_check_write),
                Route(f"{repo}/refs", self.refs),
                Route(f"{repo}/commits/{{revision}}", self.commits),
                Route(f"{repo}/branch/{{branch}}", self.add_branch, methods=["POST"]),
                Route(f"{repo}/branch/{{branch}}", self.delete_branch, methods=["DELETE"]),
                Route(f"{repo}/tag/{{revision}}", self.add_tag, methods=["POST"]),
                Route(f"{repo}/tag/{{tag}}", self.delete_tag, methods=["DELETE"]),
            ]
        return routes

    def whoami(self, request: Request) -> Response:
        user = self._gate.known_user(request)
        return JSONResponse(
            {
                "type": "user",
                "name": user.name,
                "fullname": user.name,
                "orgs": [{"type": "org", "name": org} for org in user.orgs],
                "auth": {
                    "type": "access_token",
                    "accessToken": {"displayName": f"{user.name} ({user.role})", "role": user.role},
                },
            }
        )

    async def create(self, request: Request) -> Response:
        body = await json_body(request)
        return await run_in_threadpool(self._create, request, body)

    def _create(self, request: Request, body: dict[str, Any]) -> Response:
        user = self._gate.known_user(request)
        repo = _named_repo(body, user.name)
        self._gate.check_may_write(user, repo)
        # "visibility" since huggingface_hub 2, the flag "private" before
        visibility = optional(body, "visibility", str)
        if visibility not in (None, "public", "private"):
            raise HubError(400, f"visibility {visibility!r}: use 'public' or 'private'.")
        private = visibility == "private" or body.get("private") is True
        url = page_url(request, repo)
        files = {".gitattributes": self._store.keep(gitattributes())}
        try:
            self._store.create(repo, private, user.name, files)
        except HubError as error:
            if error.status != 409:
                raise
            # exist_ok=True reads the URL from the refusal
            return JSONResponse({"error": error.message, "url": url}, 409)
        return JSONResponse({"url": url, "name": repo.short, "private": private})

    async def delete(self, request: Request) -> Response:
        body = await json_body(request)
        return await run_in_threadpool(self._delete, request, body)

    def _delete(self, request: Request, body: dict[str, Any]) -> Response:
        user = self._gate.known_user(request)
        repo = _named_repo(body, user.name)
        repository = self._store.repository(repo)
        self._gate.check_may_read(user, repository)
        self._gate.check_may_write(user, repo)
        self._store.delete(repo)
        return JSONResponse({})

    async def validate_yaml(self, request: Request) -> Response:
        content = field(await json_body(request), "content", str)
        try:
            metadata = front_matter(content)
            errors = complaints(metadata)
        except ValueError as error:
            metadata, errors = {}, [str(error)]
        warnings = [] if metadata or errors else ["empty or missing yaml metadata in repo card"]
        reply = {
            "errors": [{"message": message} for message in errors],
            "warnings": [{"message": message} for message in warnings],
        }
        return JSONResponse(reply, 400 if errors else 200)

    def info(self, request: Request) -> Response:
        repository = self._gate.readable(request)
        revision = parameter(request, "revision") if "revision" in request.path_params else "main"
        commit = self._store.resolve(repository, revision)
        described = self._describe(repository, commit, blobs=flag(request, "blobs"))
        if wanted := request.query_params.getlist("expand"):
            described = {key: described[key] for key in ("id", *wanted) if key in described}
        return JSONResponse(described)

    def _describe(self, repository: Repository, commit: Commit, blobs: bool) -> dict[str, Any]:
        metadata: dict[str, Any] = {}
        if (readme := commit.files.get("README.md")) is not None:
            try:
                metadata = front_matter(self._store.blob(readme.sha256).read_text(errors="replace"))
            except ValueError:
                metadata = {}  # a card that slipped past validate-yaml describes nothing
        described = {
            "id": repository.id.short,
            "author": repository.id.owner,
            "sha": commit.id,
            "private": repository.private,
            "gated": False,
            "disabled": False,
            "createdAt": repository.created,
            "lastModified": commit.date,
            "cardData": metadata,
            "tags": card_tags(metadata),
            "siblings": [
                _sibling(path, file, blobs) for path, file in sorted(commit.files.items())
            ],
        }
        if repository.id.kind == "models":
            described["modelId"] = repository.id.short
            described |= {
                key: metadata[key] for key in ("library_name", "pipeline_tag") if key in metadata
            }
        return described

    def auth_check(self, request: Request) -> Response:
        self._gate.readable(request)
        return JSONResponse({})

    def auth_check_write(self, request: Request) -> Response:
        self._gate.writable(request)
        return JSONResponse({})

    def refs(self, request: Request) -> Response:
        repository = self._gate.readable(request)
        branches, tags = (
            [
                {"name": name, "ref": f"refs/{sort}/{name}", "targetCommit": commit}
                for name, commit in sorted(names.items())
            ]
            for sort, names in (("heads", repository.branches), ("tags", repository.tags))
        )
        return JSONResponse(
            {"branches": branches, "tags": tags, "converts": [], "pullRequests": []}
        )

    def commits(self, request: Request) -> Response:
        repository = self._gate.readable(request)
        head = self._store.resolve(repository, parameter(request, "revision"))
        asked = request.query_params.get("p", "0")
        page, size = int(asked) if asked.isdecimal() else 0, limit(request, _COMMITS_A_PAGE)
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
        body = await json_body(request) if await request.body() else {}
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


def _named_repo(body: dict[str, Any], user: str) -> RepoId:
    kind = optional(body, "type", str) or "model"
    if kind not in ("model", "dataset"):
        raise HubError(
            400, f"type {kind!r}: localhub keeps repositories of type 'model' and 'dataset'."
        )
    owner = optional(body, "organization", str) or user
    return RepoId(f"{kind}s", owner, field(body, "name", str))


def _sibling(path: str, file: File, blobs: bool) -> dict[str, Any]:
    sibling: dict[str, Any] = {"rfilename": path}
    if blobs:
        sibling |= {"size": file.size, "blobId": file.oid}
        if file.lfs:
            pointer = len(lfs_pointer(file.sha256, file.size))
            sibling["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": pointer}
    return sibling
