"""Bytes of files, each kept once under its sha256, whatever repositories and paths name it.

in   streams of bytes
out  blobs/ab/cdef... below the root; tmp/ holds what is still being received
"""

import hashlib
import re
import secrets
import shutil
import time
from pathlib import Path

from localhub import gitids
from localhub.disk import Incoming, make_folder
from localhub.errors import HubError
from localhub.parts import IncomingPart, keep_whole
from localhub.records import File

_ABANDONED_S = 24 * 3600  # what a killed server was receiving is cleared away a day later


class Contents:
    def __init__(self, root: Path) -> None:
        self.root = root
        make_folder(root / "tmp")
        for left in (root / "tmp").iterdir():
            if time.time() - left.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(left) if left.is_dir() else left.unlink()

    def blob(self, sha256: str) -> Path:
        if not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise HubError(400, f"{sha256!r} is no sha256: 64 lower case hexadecimal digits.")
        return self.root / "blobs" / sha256[:2] / sha256[2:]

    def has_blob(self, sha256: str, size: int | None = None) -> bool:
        path = self.blob(sha256)
        return path.is_file() and (size is None or path.stat().st_size == size)

    def receive(self, sha256: str, size: int) -> Incoming:
        return Incoming(self.root / "tmp" / secrets.token_hex(16), self.blob(sha256), sha256, size)

    def receive_part(self, upload: str, number: int, size: int) -> IncomingPart:
        """`upload` is 32 random hexadecimal digits: the URL of a part names it, signed."""
        return IncomingPart(self._upload(upload), number, size)

    def finish_upload(self, upload: str, sha256: str, size: int, etags: list[str]) -> None:
        keep_whole(self._upload(upload), self.blob(sha256), sha256, size, etags)

    def _upload(self, upload: str) -> Path:
        if not re.fullmatch(r"[0-9a-f]{32}", upload):
            raise HubError(400, f"{upload!r} is no upload.")
        return self.root / "tmp" / upload

    def keep(self, content: bytes) -> File:
        """A content small enough to be handed over whole, as a regular file."""
        sha256 = hashlib.sha256(content).hexdigest()
        if not self.has_blob(sha256):
            with self.receive(sha256, len(content)) as incoming:
                incoming.write(content)
                incoming.finish()
        return File(gitids.blob_id(content), len(content), sha256, lfs=False)

    def large_file(self, sha256: str, size: int | None) -> File:
        if not self.has_blob(sha256, size):
            raise HubError(
                400, f"LFS object {sha256} ({size} bytes) is not here: upload it before the commit."
            )
        size = self.blob(sha256).stat().st_size
        pointer = gitids.lfs_pointer(sha256, size)
        return File(gitids.blob_id(pointer), size, sha256, lfs=True)
