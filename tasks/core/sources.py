"""`data.path` -> the files that it means, and the bytes of each, unpacked as they are read.

in   a file, a folder or a glob; gzip and zstd are told by .gz and .zst behind the kind
out  paths in order; what is not there, of unknown kind or damaged raises InputError
"""

import gzip
import os
import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from tasks.core.errors import InputError

Kind = Literal["jsonl", "json", "csv", "parquet"]

PACKED = {".gz": "gzip", ".zst": "zstd"}
TEXTS: dict[str, Kind] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
}
# In any case; with .gz or .zst behind them they are packed.
FILE_ENDINGS = (*(kind + packed for kind in TEXTS for packed in ("", *PACKED)), ".parquet")
WILD = re.compile(r"[*?\[]")


def is_file(path: str) -> bool:
    """Whether `data.path` means local files rather than a Hub repository (owner/name)."""
    return (
        is_known(path)
        or Path(path).exists()
        or path.startswith(("/", ".", "~"))
        or WILD.search(path) is not None
    )


def is_known(name: str) -> bool:
    """Whether a file so named is of a kind that is read."""
    return name.lower().endswith(FILE_ENDINGS)


def require_file(name: str) -> Path:
    """The path of a local file that can be read. Raises InputError."""
    path = Path(name).expanduser()
    if not path.exists():
        raise InputError(
            f"{path}: no such file. Name one that there is, or a Hub data set as owner/name."
        )
    if not path.is_file() or not is_known(path.name):
        raise InputError(f"{path}: not a file that can be read; known: {', '.join(FILE_ENDINGS)}.")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: cannot be read (permission denied). Change its rights.")
    return path


def files_of(name: str) -> list[Path]:
    """A file, or all files of known kinds below a folder, or that a glob finds; sorted by path.

    Hidden files and folders are none of them. Raises InputError where there is nothing to read.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        found = _below(path, "**/*")
    elif not path.exists() and WILD.search(str(path)):
        at = next(n for n, part in enumerate(path.parts) if WILD.search(part))
        found = _below(Path(*path.parts[:at]), str(Path(*path.parts[at:])))
    else:
        return [require_file(name)]
    if not found:
        raise InputError(f"{path}: no file to read there; known: {', '.join(FILE_ENDINGS)}.")
    return [require_file(str(file)) for file in found]


def _below(folder: Path, pattern: str) -> list[Path]:
    """Beside data stand files of other kinds, such as a licence."""
    found = {path for path in folder.glob(pattern) if path.is_file() and is_known(path.name)}
    hidden = {path for path in found if _is_hidden(path.relative_to(folder))}
    return sorted(found - hidden)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def kind_of(path: Path) -> Kind:
    """By the name, without .gz or .zst."""
    bare = Path(path.stem if packing_of(path) else path.name)
    return TEXTS.get(bare.suffix.lower(), "parquet")


def packing_of(path: Path) -> str | None:
    return PACKED.get(path.suffix.lower())


def read_chunks(path: Path, size: int) -> Iterator[tuple[bytes, int]]:
    """(unpacked bytes, how many bytes of the file they took), without a byte order mark."""
    with path.open("rb") as file:
        stream = _unpacked(path, file)
        mark, at = BOM_UTF8, 0
        while data := _next(path, stream, size):
            was, at = at, file.tell()
            yield data.removeprefix(mark), at - was
            mark = b""


def read_bytes(path: Path) -> bytes:
    """All of it, unpacked, without a byte order mark."""
    with path.open("rb") as file:
        return bytes(_next(path, _unpacked(path, file), None)).removeprefix(BOM_UTF8)


def packed(path: Path, data: bytes) -> bytes:
    """As the name of the file says; the same data give the same bytes."""
    packing = packing_of(path)
    if packing == "gzip":
        return gzip.compress(data, mtime=0)
    if packing == "zstd":
        import pyarrow as pa

        return bytes(pa.Codec("zstd").compress(data))
    return data


def _unpacked(path: Path, file: Any) -> Any:
    packing = packing_of(path)
    if packing is None:
        return file
    import pyarrow as pa

    return pa.CompressedInputStream(pa.PythonFile(file, "r"), packing)


def _next(path: Path, stream: Any, size: int | None) -> bytes:
    try:
        data: bytes = stream.read(size)
    except OSError as error:
        packing = packing_of(path)
        if packing is None:
            raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
        raise InputError(
            f"{path}: damaged or truncated {packing} ({error}). Fetch the file again."
        ) from error
    return data
