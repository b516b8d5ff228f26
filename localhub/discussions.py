"""Discussions and pull requests as the client asks for them: list, details with diff, say, merge.

in   /api/{kind}/{owner}/{name}/discussions and what is below
out  the JSON that huggingface_hub.community reads
     https://huggingface.co/docs/huggingface_hub/package_reference/community
"""

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localhub.access import Gate, User
from localhub.errors import HubError
from localhub.git_diff import git_diff
from localhub.pulls import Pulls, discussion
from localhub.records import Discussion, Repository
from localhub.store import Store
from localhub.wire import field, flag, json_body, number, number_in_path, optional, page_url

_DISCUSSIONS_A_PAGE = 25
_TEXT_LIMIT = 65536  # characters of a comment, as on the Hub


class Discussions:
    def __init__(self, store: Store, gate: Gate) -> None:
        self._store, self._gate, self._pulls = store, gate, Pulls(store)

    def routes(self) -> list[Route]:
        routes = []
        for kind in ("models", "datasets"):
            talks = f"/api/{kind}/{{owner}}/{{name}}/discussions"
            talk = f"{talks}/{{number}}"
            routes += [
                Route(talks, self.list),
                Route(talks, self.change, methods=["POST"]),
                Route(talk, self.details),
                *(
                    Route(f"{talk}/{what}", self.change, methods=["POST"])
                    for what in ("comment", "title", "status", "merge")
                ),
                Route(f"{talk}/comment/{{comment}}/edit", self.change, methods=["POST"]),
                Route(f"{talk}/comment/{{comment}}/hide", self.change, methods=["POST"]),
            ]
        return routes

    def list(self, request: Request) -> Response:
        repository = self._gate.readable(request)
        asked = request.query_params
        of_type = {"pull_request": True, "discussion": False}.get(asked.get("type", ""))
        shown = [
            _told(repository, talk)
            for talk in reversed(repository.discussions)
            if of_type in (None, talk.head is not None)
            and asked.get("author", talk.author) == talk.author
            and asked.get("status", "all") in ("all", _open_or_closed(talk))
        ]
        start = number(request, "p") * _DISCUSSIONS_A_PAGE
        return JSONResponse(
            {
                "discussions": shown[start : start + _DISCUSSIONS_A_PAGE],
                "count": len(shown),
                "start": start,
            }
        )

    def details(self, request: Request) -> Response:
        repository = self._gate.readable(request)
        talk = discussion(repository, number_in_path(request))
        told = _told(repository, talk) | {"events": self._pulls.events(repository, talk)}
        if talk.base is not None and talk.head is not None:
            told["filesWithConflicts"] = self._pulls.conflicts(repository, talk)
            told["changes"] = {"base": "refs/heads/main"}
            if talk.merged is not None:
                told["changes"]["mergeCommitId"] = talk.merged
            if flag(request, "diff"):
                before, after = (
                    self._store.resolve(repository, commit) for commit in (talk.base, talk.head)
                )
                told["diff"] = git_diff(self._store, before.files, after.files)
        return JSONResponse(told)

    async def change(self, request: Request) -> Response:
        body = await json_body(request, missing=True)
        return await run_in_threadpool(self._change, request, body)

    def _change(self, request: Request, body: dict[str, Any]) -> Response:
        """Which of the changes it is, the end of the path says."""
        repository, user = self._gate.contributable(request)
        if "number" not in request.path_params:
            return self._open(request, repository, user, body)
        talk = discussion(repository, number_in_path(request))
        repo, number, what = repository.id, talk.num, request.scope["path"].rpartition("/")[2]
        if what == "comment":
            event = self._pulls.comment(repo, number, user.name, _text(body, "comment"))
            return JSONResponse({"newMessage": event})
        if what in ("edit", "hide"):
            comment = request.path_params["comment"]
            authors = [e["author"]["name"] for e in talk.events if e["id"] == comment]
            self._check_own(user, repository, *authors)
            text = _text(body, "content") if what == "edit" else None
            edited = self._pulls.edit_comment(repo, number, comment, user.name, text)
            return JSONResponse({"updatedComment": edited})
        if what == "merge":
            self._gate.check_may_write(user, repo)
            merged = self._pulls.merge(repo, number, user.name, optional(body, "comment", str))
            return JSONResponse({"mergeCommitId": merged.merged})
        self._check_own(user, repository, talk.author)
        if what == "title":
            event = self._pulls.retitle(repo, number, user.name, _title(body))
            return JSONResponse({"newTitle": event})
        status = field(body, "status", str)
        if status not in ("open", "closed"):
            raise HubError(400, f"status {status!r}: use 'open' or 'closed'.")
        said = optional(body, "comment", str)
        event = self._pulls.set_status(repo, number, user.name, status, said)
        return JSONResponse({"newStatus": event})

    def _open(
        self, request: Request, repository: Repository, user: User, body: dict[str, Any]
    ) -> Response:
        pull = body.get("pullRequest") is True
        text = optional(body, "description", str) or ""
        talk = self._pulls.open(repository.id, user.name, _title(body), text, pull)
        url = f"{page_url(request, repository.id)}/discussions/{talk.num}"
        return JSONResponse({"num": talk.num, "pullRequest": pull, "url": url}, 201)

    def _check_own(self, user: User, repository: Repository, *authors: str) -> None:
        """The author may, and whoever may write to the repository."""
        if user.name not in authors:
            self._gate.check_may_write(user, repository.id)


def _open_or_closed(talk: Discussion) -> str:
    return "open" if talk.status in ("open", "draft") else "closed"


def _title(body: dict[str, Any]) -> str:
    title = field(body, "title", str).strip()
    if not 3 <= len(title) <= 200:
        raise HubError(400, f"a title has 3 to 200 characters, this one {len(title)}.")
    return title


def _text(body: dict[str, Any], name: str) -> str:
    text = field(body, name, str)
    if len(text) > _TEXT_LIMIT:
        raise HubError(400, f"a comment has up to {_TEXT_LIMIT} characters, this one {len(text)}.")
    return text


def _told(repository: Repository, talk: Discussion) -> dict[str, Any]:
    return {
        "num": talk.num,
        "title": talk.title,
        "author": {"name": talk.author},
        "createdAt": talk.created,
        "status": talk.status,
        "isPullRequest": talk.head is not None,
        "repo": {"name": repository.id.short, "type": repository.id.kind[:-1]},
    }
