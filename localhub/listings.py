"""Which repositories there are: all models or data sets a token may see, and one's own with sizes.

in   /api/models and /api/datasets ?author&search&filter&sort&limit, /api/settings/repositories
out  the entries that `hf models ls`, `hf datasets ls` and `hf repos ls` show
     https://huggingface.co/docs/hub/api
"""

from contextlib import suppress
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localhub.access import Gate
from localhub.describe import describe
from localhub.errors import HubError
from localhub.records import Repository
from localhub.store import Store
from localhub.wire import flag, limit, number, page_of

_REPOSITORIES_A_PAGE = 1000


class Listings:
    def __init__(self, store: Store, gate: Gate) -> None:
        self._store, self._gate = store, gate

    def routes(self) -> list[Route]:
        return [
            Route("/api/models", self.found),
            Route("/api/datasets", self.found),
            Route("/api/settings/repositories", self.own),
            Route("/api/organizations/{owner}/settings/repositories", self.own),
        ]

    def found(self, request: Request) -> Response:
        user, asked = self._gate.user(request), request.query_params
        kind = request.scope["path"].rpartition("/")[2]
        search, author = asked.get("search", "").lower(), asked.get("author")
        entries = []
        for repository in self._store.repositories():
            repo = repository.id
            if (
                repo.kind == kind
                and self._gate.may_read(user, repository)
                and author in (None, repo.owner)
                and search in repo.short.lower()
            ):
                with suppress(HubError):  # deleted meanwhile
                    described = describe(self._store, repository)
                    if set(asked.getlist("filter")) <= set(described["tags"]):
                        entries.append(described)
        sort = asked.get("sort", "lastModified")
        if sort not in ("lastModified", "createdAt"):
            sort = "lastModified"  # likes, downloads and trends are not counted here
        entries.sort(key=lambda entry: str(entry[sort]), reverse=True)
        if wanted := asked.getlist("expand"):
            entries = [{key: e[key] for key in ("id", *wanted) if key in e} for e in entries]
        elif not flag(request, "full"):
            entries = [{key: e[key] for key in e if key != "siblings"} for e in entries]
        return _page(request, entries)

    def own(self, request: Request) -> Response:
        user = self._gate.known_user(request)
        owner = unquote(request.path_params.get("owner", user.name))
        if not user.belongs_to(owner):
            raise HubError(403, f"{owner!r}: the user {user.name!r} does not belong to it.")
        entries = []
        for repository in self._store.repositories():
            if repository.id.owner == owner:
                with suppress(HubError):  # deleted meanwhile
                    entries.append(self._stored(repository))
        whole = sum(entry["storage"] for entry in entries) or 1
        for entry in entries:
            entry["storagePercent"] = 100 * entry["storage"] / whole
        return _page(request, entries)

    def _stored(self, repository: Repository) -> dict[str, Any]:
        return {
            "id": repository.id.short,
            "type": repository.id.kind[:-1],
            "updatedAt": self._store.resolve(repository, "refs/heads/main").date,
            "visibility": "private" if repository.private else "public",
            "storage": self._size(repository),
        }

    def _size(self, repository: Repository) -> int:
        """Bytes of all contents of all its branches, tags and pull requests, each counted once."""
        ends = {*repository.branches.values(), *repository.tags.values()}
        ends |= set(repository.pulls.values())
        contents = {
            file.sha256: file.size
            for end in ends
            for commit in self._store.history(repository, self._store.resolve(repository, end))
            for file in commit.files.values()
        }
        return sum(contents.values())


def _page(request: Request, entries: list[dict[str, Any]]) -> JSONResponse:
    page, size = number(request, "p"), limit(request, _REPOSITORIES_A_PAGE)
    more = {"p": str(page + 1)} if len(entries) > (page + 1) * size else {}
    return page_of(request, entries[page * size : (page + 1) * size], **more)
