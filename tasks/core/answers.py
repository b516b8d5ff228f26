"""Answers of a model, and the journal that keeps them as they come.

in   answers one by one, each under a key that says what was asked and how
out  a JSONL file; a run that was killed reads it and asks only what is missing
"""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from tasks.core.stage import source_digest, work_folder


@dataclass(frozen=True)
class Answer:
    text: str
    finished: bool  # False: cut off at max_new_tokens, or failed
    error: str | None = None  # why there is no whole answer, where it is not the limit
    tokens: int = 0  # under a limit of so many it is this answer, and if finished under any larger

    def holds(self, most: int) -> bool:
        """Whether it is the answer under a limit of `most` tokens too."""
        return self.tokens <= most if self.finished else self.tokens == most


class Journal:
    """What was answered before, and where to write the next answer. Any thread may write."""

    def __init__(self, file: BinaryIO | None, known: dict[str, list[Answer]]) -> None:
        self._file, self._known = file, known
        self._writing = threading.Lock()

    def find(self, key: str, most: int) -> Answer | None:
        """What was answered before, where it is the answer under this limit of tokens."""
        return next((one for one in self._known.get(key, ()) if one.holds(most)), None)

    def write(self, key: str, answer: Answer) -> None:
        """A failed answer is not kept: the next run asks again, perhaps with more memory."""
        if self._file is None or answer.error is not None:
            return
        line = json.dumps({"key": key} | asdict(answer))
        with self._writing:
            self._file.write(line.encode() + b"\n")
            self._file.flush()  # a killed process loses nothing; the next line is minutes of work


@contextmanager
def journal_at(path: Path | None) -> Iterator[Journal]:
    """The journal in a file, made where it is missing. None: nothing is kept."""
    if path is None:
        yield Journal(None, {})
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        file.seek(0)
        known: dict[str, list[Answer]] = {}
        whole = 0
        for line in file:
            entry = _entry(line)
            if entry is None:
                break
            known.setdefault(entry.pop("key"), []).append(Answer(**entry))
            whole += len(line)
        file.truncate(whole)  # the line that a killed run tore, and whatever stands after it
        yield Journal(file, known)


def _entry(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        entry: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    return entry


def journal_path(
    kind: str, made_from: Mapping[str, Any], source: ModuleType, packages: Sequence[str] = ()
) -> Path:
    """Where the answers to the same questions, of the same model and by the same code, are kept.

    `made_from` names the model at its commit and all that is not in the prompts or the settings of
    the call; those are part of every answer's key. `source` is the module that asks.
    """
    key = {
        "made_from": made_from,
        "source": source_digest(source),
        "packages": {name: version(name) for name in packages},
    }
    text = json.dumps(key, sort_keys=True, ensure_ascii=False, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return work_folder() / "answers" / f"{kind}-{digest}.jsonl"
