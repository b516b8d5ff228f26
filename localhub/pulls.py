"""Discussions and pull requests in the store: opened, proposed, commented on, merged.

in   a repository, who does what to which number
out  Discussion, kept in the repository's own file: a merge and its new main are one os.replace
     https://huggingface.co/docs/hub/repositories-pull-requests-discussions
"""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from localhub.changes import changed_files
from localhub.errors import HubError, stale_parent
from localhub.records import Change, Commit, Discussion, File, RepoId, Repository
from localhub.store import Store, now

Events = list[dict[str, Any]]


class Pulls:
    def __init__(self, store: Store) -> None:
        self._store = store

    def open(self, repo: RepoId, user: str, title: str, description: str, pull: bool) -> Discussion:
        """A pull request without commits yet is a draft, until somebody opens it."""
        with self._store.locked(repo):
            repository = self._store.repository(repo)
            main = repository.branches["main"] if pull else None
            status = "draft" if pull else "open"
            return self._add(repository, user, title, description, status, main, main)

    def propose(
        self,
        repo: RepoId,
        changes: Iterable[Change],
        *,
        parent: str | None,
        title: str,
        message: str,
        user: str,
    ) -> tuple[Discussion, Commit]:
        """A pull request and its first commit, from `parent` or from where main is."""
        with self._store.locked(repo):
            repository = self._store.repository(repo)
            base = self._store.resolve(repository, parent or "refs/heads/main")
            files = changed_files(repo, base, changes)
            made = self._store.write_commit(repo, base.id, title, message, user, files)
            talk = self._add(repository, user, title, message, "open", base.id, made.id)
            return talk, made

    def commit(
        self,
        repo: RepoId,
        ref: str,
        changes: Iterable[Change],
        *,
        parent: str | None,
        title: str,
        message: str,
        user: str,
    ) -> Commit:
        """One more commit on refs/pr/N."""
        with self._store.locked(repo):
            repository = self._store.repository(repo)
            head = self._store.resolve(repository, ref)
            talk = next(talk for talk in repository.discussions if talk.ref == ref)
            if talk.status not in ("open", "draft"):
                raise HubError(403, f"{repo}: {ref} is {talk.status}: it takes no more commits.")
            if parent is not None and not head.id.startswith(parent):
                raise stale_parent()
            files = changed_files(repo, head, changes)
            if files == head.files:
                return head
            made = self._store.write_commit(repo, head.id, title, message, user, files)
            self._put(repository, replace(talk, head=made.id))
            return made

    def _add(
        self,
        repository: Repository,
        user: str,
        title: str,
        description: str,
        status: str,
        base: str | None,
        head: str | None,
    ) -> Discussion:
        number, created = len(repository.discussions) + 1, now()
        first = _event("comment", user, created, _comment(user, description, created))
        talk = Discussion(number, title, user, created, status, [first], base, head)
        repository.discussions.append(talk)
        self._store.publish(repository)
        return talk

    def _put(self, repository: Repository, talk: Discussion) -> None:
        repository.discussions[talk.num - 1] = talk
        self._store.publish(repository)

    def _change(
        self, repo: RepoId, number: int, change: Callable[[Repository, Discussion], Discussion]
    ) -> Discussion:
        with self._store.locked(repo):
            repository = self._store.repository(repo)
            talk = change(repository, discussion(repository, number))
            self._put(repository, talk)
            return talk

    def comment(self, repo: RepoId, number: int, user: str, text: str) -> dict[str, Any]:
        made = now()
        event = _event("comment", user, made, _comment(user, text, made))
        self._change(repo, number, lambda _, talk: _with(talk, event))
        return event

    def edit_comment(
        self, repo: RepoId, number: int, comment: str, user: str, text: str | None
    ) -> dict[str, Any]:
        """`text` None hides it, which keeps nothing of what it said."""
        edited: dict[str, Any] = {}

        def change(_: Repository, talk: Discussion) -> Discussion:
            events = [dict(event) for event in talk.events]
            for event in events:
                if event["id"] == comment and event["type"] == "comment":
                    data, moment = event["data"], now()
                    latest = _comment(user, text or "", moment)["latest"]
                    history = [] if text is None else [*data["history"], data["latest"]]
                    event["data"] = {
                        "edited": True,
                        "hidden": text is None,
                        "latest": latest,
                        "history": history,
                    }
                    edited.update(event)
            if not edited:
                raise HubError(404, f"{repo}: {number} has no comment {comment!r}.")
            return replace(talk, events=events)

        self._change(repo, number, change)
        return edited

    def retitle(self, repo: RepoId, number: int, user: str, title: str) -> dict[str, Any]:
        made: Events = []

        def change(_: Repository, talk: Discussion) -> Discussion:
            told = {"from": talk.title, "to": title}
            made.append(_event("title-change", user, now(), told))
            return replace(_with(talk, made[0]), title=title)

        self._change(repo, number, change)
        return made[0]

    def set_status(
        self, repo: RepoId, number: int, user: str, status: str, comment: str | None
    ) -> dict[str, Any]:
        event = _event("status-change", user, now(), {"status": status})

        def change(_: Repository, talk: Discussion) -> Discussion:
            if talk.status == "merged":
                raise HubError(400, f"{repo}: {talk.ref} is merged: it stays so.")
            return replace(_with(talk, *_said(user, comment), event), status=status)

        self._change(repo, number, change)
        return event

    def merge(self, repo: RepoId, number: int, user: str, comment: str | None) -> Discussion:
        """All its changes as one commit on main, whatever commits it had."""

        def change(repository: Repository, talk: Discussion) -> Discussion:
            if talk.head is None:
                raise HubError(400, f"{repo}: {number} is a discussion, no pull request.")
            if talk.status != "open":
                way = " Set its status to 'open' first." if talk.status != "merged" else ""
                raise HubError(400, f"{repo}: {talk.ref} is {talk.status}, not open.{way}")
            changed, conflicts = self._changes(repository, talk)
            if conflicts:
                raise HubError(
                    409,
                    f"{repo}: {talk.ref} cannot be merged, main has changed meanwhile: "
                    f"{', '.join(conflicts[:5])}. Close it and propose the change anew.",
                )
            main = self._store.resolve(repository, "refs/heads/main")
            edits = [Change(path, file) for path, file in changed.items()]
            edits.sort(key=lambda edit: edit.file is not None)  # a file may become a folder
            files = changed_files(repo, main, [e for e in edits if e.file or e.path in main.files])
            title = f"{talk.title} (#{talk.num})"
            made = self._store.write_commit(repo, main.id, title, "", user, files)
            repository.branches["main"] = made.id
            event = _event("status-change", user, now(), {"status": "merged"})
            talk = _with(talk, *_said(user, comment), event)
            return replace(talk, status="merged", merged=made.id)

        return self._change(repo, number, change)

    def conflicts(self, repository: Repository, talk: Discussion) -> list[str]:
        """The paths that both main and the pull request have changed, each in its way."""
        return self._changes(repository, talk)[1] if talk.status != "merged" else []

    def _changes(
        self, repository: Repository, talk: Discussion
    ) -> tuple[dict[str, File | None], list[str]]:
        assert talk.base is not None and talk.head is not None
        base = self._store.resolve(repository, talk.base).files
        theirs = self._store.resolve(repository, talk.head).files
        main = self._store.resolve(repository, "refs/heads/main").files
        changed = {
            path: theirs.get(path)
            for path in sorted(base.keys() | theirs.keys())
            if base.get(path) != theirs.get(path)
        }
        conflicts = [
            path
            for path, file in changed.items()
            if main.get(path) != base.get(path) and main.get(path) != file
        ]
        return changed, conflicts

    def commits(self, repository: Repository, talk: Discussion) -> list[Commit]:
        """Of a pull request, oldest first."""
        if talk.head is None:
            return []
        made = []
        for commit in self._store.history(repository, self._store.resolve(repository, talk.head)):
            if commit.id == talk.base:
                break
            made.append(commit)
        return made[::-1]

    def events(self, repository: Repository, talk: Discussion) -> Events:
        """What was said, done and committed in the order it happened, its description first."""
        commits = [
            {
                **_event("commit", made.user, made.date, {"subject": made.title, "oid": made.id}),
                "id": made.id[:24],
            }
            for made in self.commits(repository, talk)
        ]
        description, *later = talk.events
        later = sorted([*later, *commits], key=lambda event: str(event["createdAt"]))
        return [description, *later]


def discussion(repository: Repository, number: int) -> Discussion:
    if not 1 <= number <= len(repository.discussions):
        raise HubError(404, f"{repository.id}: no discussion or pull request {number}.")
    return repository.discussions[number - 1]


def _with(talk: Discussion, *events: dict[str, Any]) -> Discussion:
    return replace(talk, events=[*talk.events, *events])


def _said(user: str, comment: str | None) -> Events:
    moment = now()
    return [_event("comment", user, moment, _comment(user, comment, moment))] if comment else []


def _event(sort: str, user: str, moment: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": secrets.token_hex(12),
        "type": sort,
        "createdAt": moment,
        "author": {"name": user},
        "data": data,
    }


def _comment(user: str, text: str, moment: str) -> dict[str, Any]:
    latest = {"raw": text, "updatedAt": moment, "author": {"name": user}}
    return {"edited": False, "hidden": False, "latest": latest, "history": []}
