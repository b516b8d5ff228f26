"""A large content that comes in parts, each of which can be sent again alone.

in   an upload's file in tmp/, a part's number and its bytes; the ETags the client was told
out  the whole content under its name, once all of it has the sha256 that was announced
     https://huggingface.co/docs/hub/xet/legacy-git-lfs
"""

import hashlib
import math
import os
from pathlib import Path
from types import TracebackType

from localhub.disk import make_folder, sync_folder
from localhub.errors import HubError

PART_SIZE = 16 * 1024 * 1024  # bytes: what a dropped connection makes the client send again
OFFERED_ABOVE = 2 * PART_SIZE  # below, a second request for each file costs more than it saves


def part_count(size: int) -> int:
    return math.ceil(size / PART_SIZE)


class IncomingPart:
    """Written in its place in the upload's file: nothing has to be put together afterwards."""

    def __init__(self, upload: Path, number: int, whole_size: int) -> None:
        self._upload, self._number = upload, number
        self._at = (number - 1) * PART_SIZE
        self._missing = min(PART_SIZE, whole_size - self._at)

    def __enter__(self) -> "IncomingPart":
        self._file = os.open(self._upload, os.O_WRONLY | os.O_CREAT, 0o600)
        return self

    def write(self, chunk: bytes) -> None:
        if len(chunk) > self._missing:
            raise HubError(400, f"part {self._number}: more bytes came than it has.")
        rest = memoryview(chunk)
        while rest:
            written = os.pwrite(self._file, rest, self._at)
            self._at += written
            rest = rest[written:]
        self._missing -= len(chunk)

    def finish(self) -> str:
        """Its ETag, which says that it came whole. Its bytes are checked with all others."""
        if self._missing:
            raise HubError(400, f"part {self._number}: {self._missing} bytes are missing.")
        return str(self._number)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)
        if isinstance(error, OSError):  # a full disk: what came so far must not fill it further
            self._upload.unlink(missing_ok=True)


def keep_whole(upload: Path, target: Path, sha256: str, size: int, etags: list[str]) -> None:
    """Reads it once, for its sha256, and gives it its name."""
    if target.is_file():  # completed before, and the answer was lost
        return
    if not upload.is_file():
        raise HubError(404, f"{sha256}: no part of this upload is here. Begin it anew.")
    if etags != [str(number) for number in range(1, part_count(size) + 1)]:
        raise HubError(400, f"{sha256}: the parts that are named are not all of its parts.")
    with upload.open("r+b") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256 or file.tell() != size:
            raise HubError(
                400,
                f"{sha256} ({size} bytes) was announced, {found} ({file.tell()} bytes) came in "
                "parts: the file changed or was damaged on the way. Upload it again.",
            )
        try:
            os.fsync(file.fileno())
            make_folder(target.parent)
        except OSError:
            upload.unlink()
            raise
    upload.rename(target)
    sync_folder(target.parent)
