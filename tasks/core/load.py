"""A file or a Hub data set -> its rows, each with its source row number, and its faulty rows.

in   .jsonl, .json (an array, or one object a line), .parquet; a repository on the Hub
out  Loaded (tasks.core.forms); `row` counts from 1 and is the line number in a JSONL file

What cannot be read at all (broken JSON, not UTF-8, no rows, no known form) raises InputError with
its lines; a row with a defect is one of `faults`; a row that is well formed but useless is set
aside later, in reformat.
"""

import gzip
import json
import os
import re
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from expectations.measures.tokens_in_text import without_tokens
from tasks.core.errors import InputError
from tasks.core.fields import Twice, short
from tasks.core.forms import Loaded as Loaded
from tasks.core.forms import checked, require_columns
from tasks.core.hub import hub_errors

FILE_ENDINGS = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")
LINES_SHOWN = 10

GAP = re.compile(r"[\s,]*")

Numbered = list[tuple[int, Any]]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    return made if len(made) == len(pairs) else Twice(pairs)


DECODER = json.JSONDecoder(object_pairs_hook=_object)


def is_file(path: str) -> bool:
    """Whether `data.path` means a local file rather than a Hub repository (owner/name)."""
    return path.endswith(FILE_ENDINGS) or Path(path).exists() or path.startswith(("/", ".", "~"))


def require_file(name: str) -> Path:
    """The path of a local file that can be read. Raises InputError."""
    path = Path(name).expanduser()
    if not path.exists():
        raise InputError(
            f"{path}: no such file. Name one that there is, or a Hub data set as owner/name."
        )
    if not path.is_file() or not path.name.endswith(FILE_ENDINGS):
        raise InputError(f"{path}: not a file that can be read; known: {', '.join(FILE_ENDINGS)}.")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: cannot be read (permission denied). Change its rights.")
    return path


def load_file(name: str) -> Loaded:
    """Read and check a local file. Raises InputError with file and line."""
    path = require_file(name)
    rows = _read_parquet(path, every=False) if path.suffix == ".parquet" else _read_json(path)
    return checked(rows, str(path))


def raw_rows(name: str) -> Numbered:
    """(row number, value) as the file holds them, with every column. Raises InputError."""
    path = require_file(name)
    return _read_parquet(path, every=True) if path.suffix == ".parquet" else _read_json(path)


def line_of(name: str, rows: Iterable[int]) -> dict[int, int]:
    """Row -> line of the file on which it begins; nothing for parquet, which has no lines."""
    path = require_file(name)
    wanted = set(rows)
    if path.suffix == ".parquet" or not wanted:
        return {}
    data = read_bytes(path)
    if not is_array(path, data):
        return {row: row for row in sorted(wanted)}
    text, at, line, lines = data.decode(), 0, 1, {}
    for row, (begin, _) in enumerate(elements(text), start=1):
        line += text.count("\n", at, begin)
        at = begin
        if row in wanted:
            lines[row] = line
        if len(lines) == len(wanted):
            break
    return lines


def elements(text: str) -> Iterator[tuple[int, int]]:
    """(begin, end) of each element of a JSON array."""
    at = text.index("[") + 1
    while True:
        gap = GAP.match(text, at)
        assert gap is not None
        if text[gap.end()] == "]":
            return
        _, at = DECODER.raw_decode(text, gap.end())
        yield gap.end(), at


def _read_json(path: Path) -> Numbered:
    """(line number, value) of JSONL, or (row number, value) of one JSON array."""
    data = read_bytes(path)
    if is_array(path, data):
        return _parse_array(path, data)
    rows: Numbered = []
    bad: list[tuple[int, str]] = []
    for number, line in enumerate(data.split(b"\n"), start=1):  # \n only: U+2028 is data
        if line.strip():
            try:
                rows.append((number, DECODER.decode(line.decode())))
            except (RecursionError, ValueError) as error:
                bad.append((number, _why(error)))
    if not bad:
        return rows
    if ".jsonl" not in path.name:
        try:
            return [(1, DECODER.decode(data.decode()))]  # one object over many lines
        except (RecursionError, ValueError):
            pass  # the lines say more
    raise _unreadable(path, bad)


def is_array(path: Path, data: bytes) -> bool:
    return ".jsonl" not in path.name and data.lstrip()[:1] == b"["


def _parse_array(path: Path, data: bytes) -> Numbered:
    try:
        return list(enumerate(DECODER.decode(data.decode()), start=1))
    except UnicodeDecodeError as error:
        lines = enumerate(data.split(b"\n"), start=1)
        raise _unreadable(
            path, [(n, why) for n, line in lines if (why := _not_utf8(line))]
        ) from error
    except (RecursionError, ValueError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        raise _unreadable(path, [(line, _why(error))]) from error


def read_bytes(path: Path) -> bytes:
    data = path.read_bytes()
    try:
        data = gzip.decompress(data) if path.suffix == ".gz" and data else data
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"{path}: damaged or truncated gzip ({error}). Fetch the file again."
        ) from error
    return data.removeprefix(BOM_UTF8)


def _not_utf8(line: bytes) -> str:
    try:
        line.decode()
    except UnicodeDecodeError as error:
        return _why(error)
    return ""


def _why(error: RecursionError | ValueError) -> str:
    """What is wrong with one line, with its column."""
    if isinstance(error, UnicodeDecodeError):
        return f"byte 0x{error.object[error.start]:02x} is not UTF-8 (column {error.start + 1})"
    if isinstance(error, json.JSONDecodeError):
        near = without_tokens(error.doc, max(0, error.pos - 20), error.pos + 40)
        return f"not JSON ({error.msg}, column {error.colno}): {short(near)}"
    if isinstance(error, RecursionError):
        return "JSON that is nested too deep to be read"
    return "JSON with a number too long to be read"


def _unreadable(path: Path, bad: list[tuple[int, str]]) -> InputError:
    first, *others = [f"{line}: {why}" for line, why in bad[:LINES_SHOWN]]
    told = "; ".join([f"{path}:{first}", *(f"line {other}" for other in others)])
    left = len(bad) - LINES_SHOWN
    more = f"; and {left:,} more line{'s' if left > 1 else ''}" if left > 0 else ""
    way_out = "Save the file as UTF-8" if "not UTF-8" in bad[0][1] else "Mend or remove the line"
    return InputError(f"{told}{more}. {way_out}{'s' if others and way_out[0] == 'M' else ''}.")


def _read_parquet(path: Path, *, every: bool) -> Numbered:
    """`every` column, or those that a form needs: others may be many, and large."""
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    try:
        file = pq.ParquetFile(path)
        if not file.metadata.num_rows:
            return []
        names = file.schema_arrow.names
        rows = file.read(names if every else require_columns(names, str(path))).to_pylist()
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path}: not a readable parquet file ({reason}). Fetch it again."
        ) from error
    return list(enumerate(rows, start=1))


def load_hub(repo: str, sha: str, data_dir: str | None, split: str) -> Loaded:
    """Read and check one split of a Hub data set at a commit, through `datasets`."""
    return _check_split(_hub_data(repo, sha, data_dir, split), f"{repo}[{split}]")


def load_hub_splits(repo: str, sha: str, data_dir: str | None) -> dict[str, Loaded]:
    """The same for every split of the data set."""
    data = _hub_data(repo, sha, data_dir, None)
    return {split: _check_split(rows, f"{repo}[{split}]") for split, rows in data.items()}


def _check_split(data: Any, name: str) -> Loaded:
    if not len(data):
        return checked([], name)
    columns = require_columns(data.column_names, name)
    return checked(enumerate(data.select_columns(columns), start=1), name)


def _hub_data(repo: str, sha: str, data_dir: str | None, split: str | None) -> Any:
    try:
        from datasets import load_dataset
        from datasets.exceptions import DatasetsError
    except ImportError as error:
        raise InputError(
            f"{repo}: reading a Hub data set needs `datasets`. Install pairpress[pipeline]."
        ) from error
    try:
        with hub_errors(f"data.path {repo}@{sha[:8]}"):
            return load_dataset(repo, data_dir=data_dir, revision=sha, split=split)
    except (DatasetsError, ValueError, FileNotFoundError) as error:
        if isinstance(error, InputError):
            raise
        named = str(error.__cause__ or "") or str(error)  # the cause says what it was
        raise InputError(
            f"{repo}@{sha[:8]}: cannot be read ({named.splitlines()[0]}). Check data.data_dir and "
            "data.split, and the files: one may be damaged or without rows."
        ) from error


def resolve_data(repo: str, revision: str) -> tuple[str, str | None]:
    """(commit sha, licence as the card names it) of a data set repository."""
    from huggingface_hub import HfApi

    with hub_errors(f"data.path {repo}@{revision}"):
        info = HfApi().dataset_info(repo, revision=revision)
    licence = info.card_data.get("license") if info.card_data else None
    return str(info.sha), licence
