"""Two versions of a repository's files -> what changed, as git shows it.

in   {path: File} before and after
out  the text of a unified diff    https://git-scm.com/docs/diff-format#generate_patch_text_with_p
"""

import difflib
from collections.abc import Iterator, Mapping

from localhub.contents import Contents
from localhub.gitids import lfs_pointer
from localhub.lfs import is_text
from localhub.records import File

_COMPARED = 256 * 1024  # bytes: difflib takes quadratic time, and the client always asks for this


def git_diff(contents: Contents, before: Mapping[str, File], after: Mapping[str, File]) -> str:
    paths = sorted(
        path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
    )
    return "".join(
        line for path in paths for line in _file(contents, path, before.get(path), after.get(path))
    )


def _file(contents: Contents, path: str, old: File | None, new: File | None) -> Iterator[str]:
    yield f"diff --git a/{path} b/{path}\n"
    if old is None:
        yield "new file mode 100644\n"
    if new is None:
        yield "deleted file mode 100644\n"
    yield f"index {old.oid if old else '0' * 40}..{new.oid if new else '0' * 40}\n"
    texts = _lines(contents, old), _lines(contents, new)
    names = f"a/{path}" if old else "/dev/null", f"b/{path}" if new else "/dev/null"
    if texts[0] is None or texts[1] is None:
        yield f"Binary files {names[0]} and {names[1]} differ\n"
        return
    for line in difflib.unified_diff(texts[0], texts[1], *names):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _lines(contents: Contents, file: File | None) -> list[str] | None:
    """Of a large file its pointer, as git has it. None where there are no lines to compare."""
    if file is None:
        return []
    if file.lfs:
        return lfs_pointer(file.sha256, file.size).decode().splitlines(keepends=True)
    if file.size > _COMPARED:
        return None
    content = contents.blob(file.sha256).read_bytes()
    return content.decode().splitlines(keepends=True) if is_text(content) else None
