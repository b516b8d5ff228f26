"""Repositories -> plain HTML for people: what is here, its files, its commits, its README.

in   /, /{owner}/{name}, /datasets/{owner}/{name}, their /tree/{rev} and /commit/{rev}
out  one page without scripts. Private repositories show on this machine only, with links that
     carry a signature, since a browser has no token.
"""

import itertools
from html import escape
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from localhub.access import Gate, asked_on_this_machine
from localhub.errors import repository_missing
from localhub.records import Commit, Repository
from localhub.store import Store
from localhub.wire import parameter, repo_id

_COMMITS_SHOWN = 20
_README_SHOWN = 200_000  # characters
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td{padding:.2rem .8rem .2rem 0;vertical-align:top}"
    "td.size{text-align:right;white-space:nowrap}tr+tr{border-top:1px solid #8884}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid #8884;padding:1rem}"
    "h2{font-size:1.1rem;margin-top:2rem}small{opacity:.7}:root{color-scheme:light dark}"
)


class Pages:
    def __init__(self, store: Store, gate: Gate) -> None:
        self._store, self._gate = store, gate

    def routes(self) -> list[Route]:
        routes = [Route("/", self.front)]
        for prefix in ("/datasets", ""):
            repo = f"{prefix}/{{owner}}/{{name}}"
            routes += [
                Route(f"{repo}/tree/{{revision}}", self.repository),
                Route(f"{repo}/commit/{{revision}}", self.repository),
                Route(repo, self.repository),
            ]
        return routes

    def front(self, request: Request) -> Response:
        shown = [
            repository
            for repository in self._store.repositories()
            if not repository.private or asked_on_this_machine(request)
        ]
        rows = [
            [_link(repository.id.page, repository.id.short), repository.id.kind, _marks(repository)]
            for repository in shown
        ]
        body = _table(rows) if rows else "<p>No repository yet.</p>"
        return _page("localhub", f"<h1>localhub</h1><p>{escape(str(request.base_url))}</p>{body}")

    def repository(self, request: Request) -> Response:
        repository = self._store.repository(repo_id(request))
        if repository.private and not asked_on_this_machine(request):
            raise repository_missing(str(repository.id))
        revision = parameter(request, "revision") if "revision" in request.path_params else "main"
        commit = self._store.resolve(repository, revision)
        page = repository.id.page
        branches = [
            _link(f"{page}/tree/{quote(name, safe='')}", name) for name in repository.branches
        ]
        tags = [_link(f"{page}/tree/{quote(name, safe='')}", name) for name in repository.tags]
        files = [
            [_link(self._download(page, commit, path), path), f"{file.size:,} B"]
            for path, file in sorted(commit.files.items())
        ]
        history = itertools.islice(self._store.history(repository, commit), _COMMITS_SHOWN)
        commits = [
            [_link(f"{page}/commit/{past.id}", past.id[:7]), escape(past.title), past.date[:16]]
            for past in history
        ]
        readme = ""
        if (card := commit.files.get("README.md")) is not None:
            text = self._store.blob(card.sha256).read_text(errors="replace")[:_README_SHOWN]
            readme = f"<h2>README.md</h2><pre>{escape(text)}</pre>"
        return _page(
            repository.id.short,
            f"<p>{_link('/', 'localhub')}</p>"
            f"<h1>{escape(repository.id.short)}</h1>"
            f"<p>{repository.id.kind[:-1]} {_marks(repository)}<br>"
            f"at {escape(revision)} = <code>{commit.id}</code></p>"
            f"<p>Branches: {', '.join(branches)}<br>Tags: {', '.join(tags) or 'none'}</p>"
            f"<h2>Files</h2>{_table(files)}"
            f"<h2>Commits</h2>{_table(commits)}"
            f"{readme}",
        )

    def _download(self, page: str, commit: Commit, path: str) -> str:
        href = f"{page}/resolve/{commit.id}/{quote(path)}"
        return f"{href}?{self._gate.sign(f'GET {href}')}"


def _marks(repository: Repository) -> str:
    return "<small>private</small>" if repository.private else ""


def _link(href: str, text: str) -> str:
    return f'<a href="{escape(href)}">{escape(text)}</a>'


def _table(rows: list[list[str]]) -> str:
    lines = ("".join(f"<td>{cell}</td>" for cell in row) for row in rows)
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _page(title: str, body: str) -> HTMLResponse:
    return HTMLResponse(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title>"
        f"<style>{_STYLE}</style><body>{body}</body></html>",
        headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"},
    )
