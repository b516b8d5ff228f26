"""Repositories -> pages for people: what is here, its cards, files, commits, tags, discussions.

in   /, /{owner}/{name}, /datasets/{owner}/{name}, and below these tree/{rev}/{folder},
     blob/{rev}/{file}, commits/{rev}, commit/{id}, refs, discussions/{n}
out  HTML without a script, templates/*.html. What is private or gated shows on this machine only,
     with links that carry a signature, since a browser has no token.
"""

import itertools
import posixpath
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from localhub.access import Gate, asked_on_this_machine
from localhub.card import front_matter, without_front_matter
from localhub.compared import differences
from localhub.errors import HubError, entry_missing, repository_missing
from localhub.pulls import Pulls, discussion
from localhub.records import Commit, File, RepoId, Repository
from localhub.store import Store
from localhub.wire import number, number_in_path, parameter, repo_id
from localhub.written import reply, written

_COMMITS_A_PAGE = 50
_TEXT_SHOWN = 300_000  # bytes of a file, of a card
_IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp")


class Pages:
    def __init__(self, store: Store, gate: Gate) -> None:
        self._store, self._gate, self._pulls = store, gate, Pulls(store)

    def routes(self) -> list[Route]:
        routes = [
            Route("/", self._shown(self.front)),
            Route("/favicon.ico", lambda request: Response(status_code=204)),  # browsers ask for it
        ]
        for prefix in ("/datasets", ""):
            repo = f"{prefix}/{{owner}}/{{name}}"
            for path, page in (
                ("/tree/{revision}/{path:path}", self.files),
                ("/tree/{revision}", self.files),
                ("/blob/{revision}/{path:path}", self.file),
                ("/commits/{revision}", self.commits),
                ("/commit/{revision}", self.commit),
                ("/refs", self.refs),
                ("/discussions/{number}", self.discussion),
                ("/discussions", self.discussions),
                ("", self.card),
            ):
                routes.append(Route(f"{repo}{path}", self._shown(page)))
        return routes

    def _shown(self, page: Callable[[Request], str]) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            try:
                return reply(page(request))
            except HubError as error:
                told = written("error.html", message=error.message, status=error.status)
                return reply(told, error.status)

        return answer

    # The pages

    def front(self, request: Request) -> str:
        shown: list[dict[str, Any]] = []
        for repository in self._store.repositories():
            if not self._is_visible(request, repository):
                continue
            with suppress(HubError):  # deleted meanwhile
                head = self._store.resolve(repository, "refs/heads/main")
                size = sum(file.size for file in head.files.values())
                shown.append({"repository": repository, "head": head, "size": size})
        shown.sort(key=lambda each: each["head"].date, reverse=True)
        return written("front.html", shown=shown, address=str(request.base_url))

    def card(self, request: Request) -> str:
        repository = self._visible(request)
        commit = self._store.resolve(repository, "refs/heads/main")
        readme = commit.files.get("README.md")
        text, metadata, problem, body = "", {}, "", ""
        if readme is not None:
            text = self._text(readme)
            try:
                metadata = front_matter(text)
            except ValueError as error:
                problem = str(error)
            body = self._rendered(repository, commit, without_front_matter(text))
        return self._repository_page(
            "card.html",
            repository,
            commit=commit,
            has_card=readme is not None,
            metadata=self._facts(request, metadata),
            problem=problem,
            body=body,
            size=sum(file.size for file in commit.files.values()),
        )

    def files(self, request: Request) -> str:
        repository, commit, revision = self._asked(request)
        folder = parameter(request, "path").strip("/") if "path" in request.path_params else ""
        if folder not in commit.folders:
            raise entry_missing(str(repository.id), folder, commit.id)
        below = f"{folder}/" if folder else ""
        files = {
            path: (file, self._download(repository, commit, path))
            for path, file in sorted(commit.files.items())
            if posixpath.dirname(path) == folder
        }
        folders = {
            path: sum(
                file.size for name, file in commit.files.items() if name.startswith(path + "/")
            )
            for path in sorted(commit.folders)
            if path and posixpath.dirname(path) == folder
        }
        return self._repository_page(
            "files.html",
            repository,
            commit=commit,
            revision=revision,
            folder=folder,
            below=below,
            files=files,
            folders=folders,
        )

    def file(self, request: Request) -> str:
        repository, commit, revision = self._asked(request)
        path = parameter(request, "path")
        file = commit.files.get(path)
        if file is None:
            raise entry_missing(str(repository.id), path, commit.id)
        is_image = path.lower().endswith(_IMAGES)
        return self._repository_page(
            "file.html",
            repository,
            commit=commit,
            revision=revision,
            path=path,
            file=file,
            is_image=is_image,
            text=None if is_image else self._short_text(file),
            download=self._download(repository, commit, path),
        )

    def commits(self, request: Request) -> str:
        repository, commit, revision = self._asked(request)
        skip = number(request, "skip")
        history = self._store.history(repository, commit)
        shown = list(itertools.islice(history, skip, skip + _COMMITS_A_PAGE + 1))
        names: dict[str, list[str]] = {}
        for refs in (repository.branches, repository.tags):
            for name, oid in refs.items():
                names.setdefault(oid, []).append(name)
        return self._repository_page(
            "commits.html",
            repository,
            revision=revision,
            commits=shown[:_COMMITS_A_PAGE],
            older=skip + _COMMITS_A_PAGE if len(shown) > _COMMITS_A_PAGE else None,
            names=names,
        )

    def commit(self, request: Request) -> str:
        repository, commit, _ = self._asked(request)
        before = self._store.resolve(repository, commit.parent).files if commit.parent else {}
        changes = differences(before, commit.files, self._store.blob)
        return self._repository_page("commit.html", repository, commit=commit, changes=changes)

    def refs(self, request: Request) -> str:
        repository = self._visible(request)
        sorts = [
            (sort, [(name, self._store.resolve(repository, oid)) for name, oid in refs.items()])
            for sort, refs in (("Branches", repository.branches), ("Tags", repository.tags))
        ]
        return self._repository_page("refs.html", repository, sorts=sorts)

    def discussions(self, request: Request) -> str:
        return self._repository_page("discussions.html", self._visible(request))

    def discussion(self, request: Request) -> str:
        repository = self._visible(request)
        talk = discussion(repository, number_in_path(request))
        changes = []
        if talk.base is not None and talk.head is not None:
            before, after = (self._store.resolve(repository, at) for at in (talk.base, talk.head))
            changes = differences(before.files, after.files, self._store.blob)
        events = [
            {**event, "body": self._comment(event)}
            for event in self._pulls.events(repository, talk)
        ]
        return self._repository_page(
            "discussion.html", repository, talk=talk, events=events, changes=changes
        )

    # What they are made of

    def _is_visible(self, request: Request, repository: Repository) -> bool:
        closed = repository.private or bool(repository.gated)
        return not closed or asked_on_this_machine(request)

    def _visible(self, request: Request) -> Repository:
        repository = self._store.repository(repo_id(request))
        if not self._is_visible(request, repository):
            raise repository_missing(str(repository.id))
        return repository

    def _asked(self, request: Request) -> tuple[Repository, Commit, str]:
        repository, revision = self._visible(request), parameter(request, "revision")
        return repository, self._store.resolve(repository, revision), revision

    def _repository_page(self, template: str, repository: Repository, **values: Any) -> str:
        return written(template, repository=repository, page=repository.id.page, **values)

    def _download(self, repository: Repository, commit: Commit, path: str) -> str:
        href = f"{repository.id.page}/resolve/{commit.id}/{quote(path)}"
        return f"{href}?{self._gate.sign(f'GET {href}')}"

    def _text(self, file: File) -> str:
        with self._store.blob(file.sha256).open("rb") as text:
            return text.read(_TEXT_SHOWN).decode(errors="replace")

    def _short_text(self, file: File) -> str | None:
        if file.lfs or file.size > _TEXT_SHOWN:
            return None
        text = self._text(file)
        return None if "\0" in text else text

    def _rendered(self, repository: Repository, commit: Commit, text: str) -> str:
        from localhub.rendered import render

        def within(url: str) -> str | None:
            """The path in the repository that a relative URL means."""
            parts = urlsplit(url)
            if parts.scheme or parts.netloc or not parts.path or parts.path.startswith("/"):
                return None
            path = posixpath.normpath(unquote(parts.path))
            return path if path in commit.files or path in commit.folders else None

        def link(url: str) -> str | None:
            path = within(url)
            if path is None:
                return url
            sort = "blob" if path in commit.files else "tree"
            return f"{repository.id.page}/{sort}/main/{quote(path)}"

        def image(url: str) -> str | None:
            path = within(url)  # one from elsewhere would tell its server who reads what
            return self._download(repository, commit, path) if path in commit.files else None

        return render(text, link, image)

    def _comment(self, event: dict[str, Any]) -> str:
        from localhub.rendered import render

        if event["type"] != "comment" or event["data"]["hidden"]:
            return ""
        text = event["data"]["latest"]["raw"][:_TEXT_SHOWN]
        return render(text, link=lambda url: url, image=lambda url: None)

    def _facts(self, request: Request, metadata: dict[str, Any]) -> list[tuple[str, list[Any]]]:
        """Each field with its values; a repository of this Hub becomes a link to it."""
        kinds = {"base_model": "models", "datasets": "datasets"}
        facts: list[tuple[str, list[Any]]] = []
        for field, value in metadata.items():
            values = value if isinstance(value, list) else [value]
            if any(isinstance(each, dict | list) for each in values):
                facts.append((field, [_yaml(value)]))
                continue
            texts = [str(each) for each in values]
            pages = [self._page_of(request, kinds.get(field), text) for text in texts]
            facts.append((field, list(zip(texts, pages, strict=True))))
        return facts

    def _page_of(self, request: Request, kind: str | None, name: str) -> str | None:
        if kind is None or name.count("/") != 1:
            return None
        try:
            repository = self._store.repository(RepoId(kind, *name.split("/")))
        except HubError:
            return None
        return repository.id.page if self._is_visible(request, repository) else None


def _yaml(value: object) -> str:
    import yaml

    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True).rstrip()
