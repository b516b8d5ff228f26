"""What became of a data set since its last release: rows added, removed, changed.

in   the folders of both, as release.py writes them: data/SPLIT.parquet
out  Changed, with a sentence for the commit message and the card

A row is known by its prompt: with the same prompt and other answers it is changed. A row that moved
to another split is none of these, since its pair is the same.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict

BATCH = 4096  # rows held at once
SIDES = ("chosen", "rejected")


class Changed(BaseModel):
    model_config = ConfigDict(frozen=True)

    added: int
    removed: int
    changed: int
    same: int
    since: str | None = None  # the version compared with; None: there was none

    @property
    def sentence(self) -> str:
        if self.since is None:
            return f"First release: {_rows(self.added)}"
        if not (self.added or self.removed or self.changed):
            return f"The same {_rows(self.same)} as {self.since}"
        told = f"{self.added:,} added, {self.removed:,} removed, {self.changed:,} changed"
        return f"Rows since {self.since}: {told}, {self.same:,} as they were"


def compare(old: Path | None, new: Path, since: str | None = None) -> Changed:
    """`since`: the version of `old`. Only hashes are kept, so a large data set fits in memory."""
    before = _answers(old) if old is not None else {}
    after = _answers(new)
    counts: Counter[str] = Counter()
    for prompt in before.keys() | after.keys():
        was, now = before.get(prompt, Counter()), after.get(prompt, Counter())
        same = (was & now).total()
        lost, come = was.total() - same, now.total() - same
        counts += Counter(
            same=same,
            changed=min(lost, come),
            removed=max(lost - come, 0),
            added=max(come - lost, 0),
        )
    told = {name: counts[name] for name in ("added", "removed", "changed", "same")}
    return Changed(**told, since=since if old is not None else None)


def _answers(folder: Path) -> dict[bytes, Counter[bytes]]:
    """Hash of a prompt -> hashes of its pairs: one prompt may have several, or one twice."""
    found: dict[bytes, Counter[bytes]] = {}
    for prompt, answers in _rows_of(folder):
        found.setdefault(prompt, Counter())[answers] += 1
    return found


def _rows_of(folder: Path) -> Iterator[tuple[bytes, bytes]]:
    import pyarrow.parquet as pq

    for path in sorted((folder / "data").glob("*.parquet")):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH, columns=["prompt", *SIDES]):
                for row in batch.to_pylist():
                    yield _hash(row["prompt"]), _hash([row[side] for side in SIDES])


def _hash(value: object) -> bytes:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]


def _rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"
