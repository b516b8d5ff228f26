"""Who am I, and the life of a repository: create, describe, copy, set, move, delete.

in   the calls of huggingface_hub.HfApi    https://huggingface.co/docs/huggingface_hub/package_reference/hf_api
out  the JSON replies it reads             https://huggingface.co/docs/hub/api
"""

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localhub.access import Gate, User
from localhub.card import complaints, front_matter
from localhub.describe import describe
from localhub.errors import HubError
from localhub.lfs import gitattributes
from localhub.records import File, RepoId
from localhub.store import Store
from localhub.wire import field, flag, json_body, optional, page_url, parameter


class Repositories:
    def __init__(self, store: Store, gate: Gate) -> None:
        self._store, self._gate = store, gate

    def routes(self) -> list[Route]:
        routes = [
            Route("/api/whoami-v2", self.whoami),
            Route("/api/repos/create", self.create, methods=["POST"]),
            Route("/api/repos/delete", self.delete, methods=["DELETE"]),
            Route("/api/repos/move", self.move, methods=["POST"]),
            Route("/api/validate-yaml", self.validate_yaml, methods=["POST"]),
        ]
        for kind in ("models", "datasets"):
            repo = f"/api/{kind}/{{owner}}/{{name}}"
            routes += [
                Route(repo, self.info),
                Route(f"{repo}/revision/{{revision}}", self.info),
                Route(f"{repo}/auth-check", self.auth_check),
                Route(f"{repo}/auth-check/write", self.auth_check_write),
                Route(f"{repo}/duplicate", self.duplicate, methods=["POST"]),
                Route(f"{repo}/settings", self.settings, methods=["PUT"]),
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
        private = bool(_private(body))
        files = {".gitattributes": self._store.keep(gitattributes())}
        return self._made(request, repo, private, user, files)

    def _made(
        self, request: Request, repo: RepoId, private: bool, user: User, files: dict[str, File]
    ) -> Response:
        url = page_url(request, repo)
        try:
            self._store.create(repo, private, user.name, files)
        except HubError as error:
            if error.status != 409:
                raise
            # exist_ok=True reads the URL from the refusal
            return JSONResponse({"error": error.message, "url": url}, 409)
        return JSONResponse({"url": url, "name": repo.short, "private": private})

    async def duplicate(self, request: Request) -> Response:
        body = await json_body(request)
        return await run_in_threadpool(self._duplicate, request, body)

    def _duplicate(self, request: Request, body: dict[str, Any]) -> Response:
        """The files of main, in a repository of their own. No content is copied: it is here."""
        source = self._gate.downloadable(request)
        user = self._gate.known_user(request)
        target = _named_repo(_parted(body | {"type": source.id.kind[:-1]}, "repository"), "")
        self._gate.check_may_write(user, target)
        private = _private(body)
        files = self._store.resolve(source, "refs/heads/main").files
        return self._made(
            request, target, source.private if private is None else private, user, files
        )

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

    async def move(self, request: Request) -> Response:
        body = await json_body(request)
        return await run_in_threadpool(self._move, request, body)

    def _move(self, request: Request, body: dict[str, Any]) -> Response:
        user = self._gate.known_user(request)
        source, target = (_named_repo(_parted(body, name), "") for name in ("fromRepo", "toRepo"))
        self._gate.check_may_read(user, self._store.repository(source))
        for repo in (source, target):
            self._gate.check_may_write(user, repo)
        self._store.move(source, target)
        return JSONResponse({"url": page_url(request, target)})

    async def settings(self, request: Request) -> Response:
        body = await json_body(request)
        return await run_in_threadpool(self._settings, request, body)

    def _settings(self, request: Request, body: dict[str, Any]) -> Response:
        repository, _ = self._gate.writable(request)
        gated = body.get("gated")
        if gated not in (None, False, "auto", "manual"):
            raise HubError(400, f"gated {gated!r}: use 'auto', 'manual' or false.")
        changed = self._store.change_settings(repository.id, _private(body), gated)
        return JSONResponse({"private": changed.private, "gated": changed.gated})

    async def validate_yaml(self, request: Request) -> Response:
        content = field(await json_body(request), "content", str)
        return await run_in_threadpool(_validated, content)

    def info(self, request: Request) -> Response:
        repository = self._gate.readable(request)
        revision = parameter(request, "revision") if "revision" in request.path_params else "main"
        commit = self._store.resolve(repository, revision)
        described = describe(self._store, repository, commit, blobs=flag(request, "blobs"))
        if wanted := request.query_params.getlist("expand"):
            described = {key: described[key] for key in ("id", *wanted) if key in described}
        return JSONResponse(described)

    def auth_check(self, request: Request) -> Response:
        self._gate.readable(request)
        return JSONResponse({})

    def auth_check_write(self, request: Request) -> Response:
        self._gate.writable(request)
        return JSONResponse({})


def _validated(content: str) -> Response:
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


def _named_repo(body: dict[str, Any], user: str) -> RepoId:
    kind = optional(body, "type", str) or "model"
    if kind not in ("model", "dataset"):
        raise HubError(
            400, f"type {kind!r}: localhub keeps repositories of type 'model' and 'dataset'."
        )
    owner = optional(body, "organization", str) or user
    return RepoId(f"{kind}s", owner, field(body, "name", str))


def _parted(body: dict[str, Any], name: str) -> dict[str, Any]:
    owner, _, rest = field(body, name, str).partition("/")
    return {"organization": owner, "name": rest, "type": body.get("type")}


def _private(body: dict[str, Any]) -> bool | None:
    """None where nothing is said. "visibility" since huggingface_hub 2, "private" before."""
    visibility = optional(body, "visibility", str)
    if visibility not in (None, "public", "private"):
        raise HubError(400, f"visibility {visibility!r}: use 'public' or 'private'.")
    return optional(body, "private", bool) if visibility is None else visibility == "private"
