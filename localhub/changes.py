"""The files of a commit and changes to them -> the files of the next commit, all changes or none.

in   {path: File} of the head, changes in the order they came
out  {path: File}, or the refusal for a path that must not be or is not there
"""

from collections.abc import Iterable

from localhub.errors import HubError, entry_missing
from localhub.records import Change, Commit, File, RepoId, check_path


def changed_files(repo: RepoId, head: Commit, changes: Iterable[Change]) -> dict[str, File]:
    files = dict(head.files)
    for change in changes:
        _apply(change, files, repo, head.id)
    _check_folders(files, repo)
    return files


def _apply(change: Change, files: dict[str, File], repo: RepoId, head: str) -> None:
    path = change.path
    if change.file is not None:
        try:
            check_path(path)
        except ValueError as error:
            raise HubError(400, str(error)) from error
        files[path] = change.file
    elif change.folder:
        below = [name for name in files if name.startswith(f"{path.rstrip('/')}/")]
        if not below:
            raise entry_missing(str(repo), path, head)
        for name in below:
            del files[name]
    elif files.pop(path, None) is None:
        # The client looks for these words to explain how it tells files from folders.
        raise HubError(404, f"A file with this name doesn't exist: {path}", "EntryNotFound", head)


def _check_folders(files: dict[str, File], repo: RepoId) -> None:
    for path in files:
        folder = path
        while folder := folder.rpartition("/")[0]:
            if folder in files:
                raise HubError(
                    400, f"{repo}: {folder!r} would be a file and the folder of {path!r}."
                )
