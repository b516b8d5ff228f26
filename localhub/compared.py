"""Two states of a repository -> what changed between them, for a person to read.

in   {path: File} before and after
out  one entry a path, with the lines that changed where both sides are short texts
     https://docs.python.org/3/library/difflib.html
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from localhub.records import File

_LARGEST_TEXT = 100_000  # bytes; difflib takes quadratic time
_MOST_LINES = 400
_MOST_TEXTS = 30  # of one comparison


@dataclass(frozen=True)
class Difference:
    path: str
    word: str  # "added", "deleted" or "changed"
    before: int  # bytes
    after: int
    lines: list[str]  # a unified diff without its head


def differences(
    before: dict[str, File], after: dict[str, File], blob: Callable[[str], Path]
) -> list[Difference]:
    found: list[Difference] = []
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path), after.get(path)
        if old == new:
            continue
        word = "added" if old is None else "deleted" if new is None else "changed"
        lines = _lines(old, new, blob) if len(found) < _MOST_TEXTS else []
        found.append(Difference(path, word, old.size if old else 0, new.size if new else 0, lines))
    return found


def _lines(old: File | None, new: File | None, blob: Callable[[str], Path]) -> list[str]:
    texts = [[] if file is None else _text(file, blob) for file in (old, new)]
    if texts[0] is None or texts[1] is None:
        return []
    lines = list(difflib.unified_diff(texts[0], texts[1], n=2, lineterm=""))[2:]
    return lines if len(lines) <= _MOST_LINES else [*lines[:_MOST_LINES], "..."]


def _text(file: File, blob: Callable[[str], Path]) -> list[str] | None:
    if file.lfs or file.size > _LARGEST_TEXT:
        return None
    try:
        return blob(file.sha256).read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        return None
