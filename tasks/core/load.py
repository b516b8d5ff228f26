"""A file or a Hub data set -> raw rows of one known form, each with its source row number.

in   conversations  {"conversations": [{"from": "human", "value": ...}, ...]}   ShareGPT
     hh             {"chosen": "\\n\\nHuman: ...", "rejected": ...}   https://github.com/anthropics/hh-rlhf
     pairs          {"prompt", "chosen", "rejected"}   https://huggingface.co/docs/trl/dataset_formats
out  the same rows, checked: `row` counts from 1 and is the line number in a JSONL file

A file that is not what it says (broken JSON, a missing column, a wrong type, an unknown role) is
refused whole, with its line; a row that is well formed but useless is set aside later, in reformat.
"""

import gzip
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from tasks.core.errors import InputError
from tasks.core.hub import hub_errors

Row = dict[str, Any]

Form = Literal["conversations", "hh", "pairs"]
FORMS = (
    "`conversations` of {from, value} (ShareGPT), HH-RLHF transcripts in `chosen` and `rejected`, "
    "or `prompt`, `chosen`, `rejected`"
)
ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "system": "system",
}
FILE_ENDINGS = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")


def is_file(path: str) -> bool:
    """Whether `data.path` means a local file rather than a Hub repository (owner/name)."""
    return path.endswith(FILE_ENDINGS) or Path(path).exists() or path.startswith(("/", ".", "~"))


def require_file(name: str) -> Path:
    """The path of a local file that can be read. Raises InputError."""
    path = Path(name).expanduser()
    if not path.exists():
        raise InputError(f"{path}: no such file. Set data.path to an existing file or owner/name.")
    if not path.is_file() or not path.name.endswith(FILE_ENDINGS):
        raise InputError(f"{path}: not a file that can be read; known: {', '.join(FILE_ENDINGS)}.")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: cannot be read (permission denied). Change its rights.")
    return path


def load_file(name: str) -> tuple[Form, list[Row]]:
    """Read and check a local file. Raises InputError with file and line."""
    path = require_file(name)
    rows = _read_parquet(path) if path.suffix == ".parquet" else _read_json(path)
    return checked(rows, str(path))


def checked(rows: Iterable[tuple[int, Any]], name: str) -> tuple[Form, list[Row]]:
    """Detect the form from the first row and hold every row to it. Raises InputError."""
    form: Form | None = None
    kept = []
    for number, row in rows:
        where = f"{name}:{number}"
        if not isinstance(row, dict):
            raise InputError(
                f"{where}: {_short(row)} is {_kind(row)}, not an object. Each row must be {FORMS}."
            )
        form = form or _detect(row, where)
        kept.append({"row": number} | _check_row(form, row, where))
    if form is None:
        raise InputError(f"{name}: empty, no rows. Each row must be {FORMS}.")
    return form, kept


def _detect(row: dict[str, Any], where: str) -> Form:
    if "conversations" in row and "chosen" not in row:
        return "conversations"
    if "prompt" in row:
        return "pairs"
    for column, other in (("chosen", "rejected"), ("rejected", "chosen")):
        if column in row and other not in row:
            raise InputError(
                f"{where}: no column `{other}` beside `{column}`; found {', '.join(row)}. "
                f"Rows must be {FORMS}."
            )
    if "chosen" in row and (not isinstance(row["chosen"], str) or "\n\nHuman:" in row["chosen"]):
        return "hh"
    raise InputError(
        f"{where}: of no known form; found {', '.join(row) or 'no columns'}. Rows must be {FORMS}."
    )


def _check_row(form: Form, row: dict[str, Any], where: str) -> dict[str, Any]:
    columns = {
        "conversations": ("conversations",),
        "hh": ("chosen", "rejected"),
        "pairs": ("prompt", "chosen", "rejected"),
    }[form]
    for column in columns:
        if column not in row:
            raise InputError(
                f"{where}: no column `{column}`; found {', '.join(row) or 'none'}. "
                "Add it, or remove the row."
            )
    if form == "hh":
        return {column: _text(row[column], column, where) for column in columns}
    role, text = ("from", "value") if form == "conversations" else ("role", "content")
    checked_row = {}
    for column in columns:
        value = row[column]
        if form == "pairs" and isinstance(value, str):
            value = [{"role": "user" if column == "prompt" else "assistant", "content": value}]
        checked_row[column] = _messages(value, column, role, text, where)
    return checked_row


def _messages(value: Any, column: str, role: str, text: str, where: str) -> list[dict[str, str]]:
    if not isinstance(value, list):
        raise InputError(
            f"{where}: `{column}` is {_kind(value)}, not a list of {{{role}, {text}}}: "
            f"{_short(value)}."
        )
    messages = []
    for turn in value:
        if not isinstance(turn, dict) or role not in turn or text not in turn:
            raise InputError(
                f"{where}: a turn of `{column}` is not {{{role}, {text}}}: {_short(turn)}."
            )
        if not isinstance(turn[role], str) or turn[role] not in ROLES:
            raise InputError(
                f"{where}: unknown role {turn[role]!r} in `{column}`; known: {', '.join(ROLES)}. "
                "Rename the role, or remove the row."
            )
        content = _text(turn[text], f"{column}.{text}", where)
        messages.append({"role": ROLES[turn[role]], "content": content})
    return messages


def _text(value: Any, column: str, where: str) -> str:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"{where}: `{column}` holds half a character (\\u{ord(value[error.start]):x}, a "
                "surrogate without its other half). Mend or remove the row."
            ) from error
        return value
    raise InputError(f"{where}: `{column}` is {_kind(value)}, not text: {_short(value)}.")


def _read_json(path: Path) -> Iterator[tuple[int, Any]]:
    """(line number, value) of JSONL, or (row number, value) of one JSON array."""
    data = _read_bytes(path)
    first = data.lstrip()[:1]
    if first == b"[" and ".jsonl" not in path.name:
        yield from enumerate(_parse(_decode(data, path, 1), path, 1), start=1)
        return
    for number, line in enumerate(data.split(b"\n"), start=1):  # \n only: U+2028 is data
        if line.strip():
            yield number, _parse(_decode(line, path, number), path, number)


def _read_bytes(path: Path) -> bytes:
    data = path.read_bytes()
    try:
        return gzip.decompress(data) if path.suffix == ".gz" and data else data
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"{path}: damaged or truncated gzip ({error}). Fetch the file again."
        ) from error


def _decode(data: bytes, path: Path, number: int) -> str:
    try:
        return data.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        line = number + data.count(b"\n", 0, error.start)
        raise InputError(
            f"{path}:{line}: byte 0x{data[error.start]:02x} is not UTF-8. Save the file as UTF-8."
        ) from error


def _parse(text: str, path: Path, number: int) -> Any:
    try:
        return json.loads(text)
    except (RecursionError, ValueError) as error:
        if not isinstance(error, json.JSONDecodeError):  # too deep, or a number of 4,300 digits
            raise InputError(f"{path}:{number}: JSON that cannot be read ({error}).") from error
        raise InputError(
            f"{path}:{number + error.lineno - 1}: not JSON ({error.msg}, column {error.colno}): "
            f"{_short(text[max(0, error.pos - 20) : error.pos + 40])}. Mend or remove the line."
        ) from error


def _read_parquet(path: Path) -> Iterator[tuple[int, Any]]:
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    try:
        rows = pq.read_table(path).to_pylist()
    except (ArrowException, OSError) as error:
        raise InputError(
            f"{path}: not a readable parquet file ({error}). Fetch it again."
        ) from error
    yield from enumerate(rows, start=1)


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def load_hub(repo: str, sha: str, data_dir: str | None, split: str) -> tuple[Form, list[Row]]:
    """Read and check one split of a Hub data set at a commit, through `datasets`."""
    try:
        from datasets import load_dataset
        from datasets.exceptions import DatasetsError
    except ImportError as error:
        raise InputError(
            f"{repo}: reading a Hub data set needs `datasets`. Install pairpress[pipeline]."
        ) from error
    try:
        with hub_errors(f"data.path {repo}@{sha[:8]}"):
            data = load_dataset(repo, data_dir=data_dir, revision=sha, split=split)
    except (DatasetsError, ValueError, FileNotFoundError) as error:
        if isinstance(error, InputError):
            raise
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{repo}@{sha[:8]}: cannot be read ({reason}). Check data.data_dir and data.split."
        ) from error
    return checked(enumerate(data, start=1), f"{repo}[{split}]")


def resolve_data(repo: str, revision: str) -> tuple[str, str | None]:
    """(commit sha, licence as the card names it) of a data set repository."""
    from huggingface_hub import HfApi

    with hub_errors(f"data.path {repo}@{revision}"):
        info = HfApi().dataset_info(repo, revision=revision)
    licence = info.card_data.get("license") if info.card_data else None
    return str(info.sha), licence
