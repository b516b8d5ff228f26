"""Bytes -> files that are whole or absent, whatever is killed and whenever.

in   a value for JSON, or chunks of a content whose sha256 and size were announced
out  a file that got its name after it was on the disk    https://man7.org/linux/man-pages/man2/fsync.2.html
"""

import hashlib
import json
import os
import secrets
from pathlib import Path
from types import TracebackType

from localhub.errors import HubError


def write_json(path: Path, value: object, temporary_folder: Path) -> None:
    temporary = temporary_folder / secrets.token_hex(16)
    try:
        with temporary.open("w") as file:
            json.dump(value, file)
            file.flush()
            os.fsync(file.fileno())
        make_folder(path.parent)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)  # a full disk must not keep what it could not take
    sync_folder(path.parent)


class Incoming:
    """A content on its way in: hashed as it comes, never whole in memory, kept only when right."""

    def __init__(self, temporary: Path, target: Path, sha256: str, size: int) -> None:
        self._temporary, self._target = temporary, target
        self._sha256, self._size = sha256, size
        self._hash, self._received = hashlib.sha256(), 0

    def __enter__(self) -> "Incoming":
        self._file = self._temporary.open("wb")
        return self

    def write(self, chunk: bytes) -> None:
        self._received += len(chunk)
        if self._received > self._size:
            raise HubError(400, f"{self._sha256}: more than the {self._size} bytes announced came.")
        self._hash.update(chunk)
        self._file.write(chunk)

    def finish(self) -> None:
        if (found := self._hash.hexdigest()) != self._sha256 or self._received != self._size:
            raise HubError(
                400,
                f"{self._sha256} ({self._size} bytes) was announced, {found} ({self._received} "
                "bytes) came: the file changed or was damaged on the way. Upload it again.",
            )
        self._file.flush()
        os.fsync(self._file.fileno())
        make_folder(self._target.parent)
        self._temporary.rename(self._target)
        sync_folder(self._target.parent)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """A new folder survives a power cut only once its parent is on the disk."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
