"""What went wrong -> the reply that makes the client raise the right exception.

out  status, X-Error-Code (picks the exception class), X-Error-Message and JSON `error` (its text)
     https://github.com/huggingface/huggingface_hub/blob/main/src/huggingface_hub/errors.py
"""


class HubError(Exception):
    """A refusal, as the client is told. `code` is the Hub's X-Error-Code, where it has one."""

    def __init__(
        self, status: int, message: str, code: str | None = None, commit: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.commit = (
            commit  # X-Repo-Commit: lets a client remember that this commit lacks the file
        )


def repository_missing(repository: str) -> HubError:
    return HubError(
        404,
        f"{repository}: no such repository here, or it is private and this token may not read it. "
        "Create it first, or check the name and the token.",
        code="RepoNotFound",
    )


def revision_missing(repository: str, revision: str) -> HubError:
    return HubError(
        404,
        f"{repository}: no branch, tag or commit is called {revision!r}. "
        "Its /refs list the names there are.",
        code="RevisionNotFound",
    )


def entry_missing(repository: str, path: str, commit: str) -> HubError:
    return HubError(
        404,
        f"{repository}@{commit[:7]}: there is no {path!r}.",
        code="EntryNotFound",
        commit=commit,
    )


def stale_parent() -> HubError:
    return HubError(412, "A commit has happened since. Please refresh and try again.")
