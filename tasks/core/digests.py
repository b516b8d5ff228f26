"""sha256 of files, of large ones kept: nothing is hashed twice, here or by the Hub's client.

in   a file
out  its sha256, as the Hub gives for LFS files; digests.sqlite in the work folder, which may be
     deleted at any time; the client's add operation, which would hash the file again by itself

A large file is known by its inode, size, and times of its content and of its inode. So it stays
known when its folder is renamed, as a finished stage's is, and not when its bytes change.
"""

import hashlib
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd

LARGE = 2**20  # bytes: a smaller file is hashed in a millisecond
TICK = 20_000_000  # nanoseconds; a second write within one tick of the clock leaves the times alike
TABLE = "CREATE TABLE IF NOT EXISTS digests (inode TEXT PRIMARY KEY, state TEXT, sha256 TEXT)"


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes, read only where it is small or not yet known."""
    if path.stat().st_size < LARGE:
        return _hashed(path)
    with _kept() as kept:
        found = kept.execute(
            "SELECT sha256 FROM digests WHERE inode = ? AND state = ?", _stamp(path)
        ).fetchone()
        return str(found[0]) if found else _learn(kept, path)


def content_digest(folder: Path) -> str:
    """sha256 over the sorted (relative path, sha256) of every file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with ThreadPoolExecutor() as pool:  # several at once: hashing leaves Python to the others
        try:
            digests = list(pool.map(file_digest, files))
        except BaseException:  # Ctrl-C does not wait for what has not begun
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    pairs = zip(files, digests, strict=True)
    lines = [f"{path.relative_to(folder).as_posix()} {digest}\n" for path, digest in pairs]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def link(source: Path, target: Path) -> None:
    """The same file under another name, without its bytes a second time and with its digest.

    A copy where the disk cannot link. Only for files that nobody writes to again.
    """
    digest = file_digest(source)
    try:
        os.link(source, target)
    except OSError:  # another disk, or a file system without links
        shutil.copyfile(source, target)
        return
    if target.stat().st_size >= LARGE:
        with _kept() as kept:  # a link changes the inode's time
            _keep(kept, _stamp(target), digest)


def add_operation(path_in_repo: str, path: Path) -> "CommitOperationAdd":
    """A file for `create_commit`, spent once used; the client need not hash it for LFS."""
    from huggingface_hub import CommitOperationAdd

    operation = CommitOperationAdd(path_in_repo=path_in_repo, path_or_fileobj=path)
    if operation.upload_info.size >= LARGE:
        operation.upload_info.sha256 = bytes.fromhex(file_digest(path))
    return operation


def _learn(kept: sqlite3.Connection, path: Path) -> str:
    at = path.stat()
    age = time.time_ns() - max(at.st_mtime_ns, at.st_ctime_ns)
    if 0 <= age < TICK:
        time.sleep((TICK - age) / 1e9)
    stamp = _stamp(path)
    digest = _hashed(path)
    if _stamp(path) == stamp:  # else somebody writes to it
        _keep(kept, stamp, digest)
    return digest


def _hashed(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stamp(path: Path) -> tuple[str, str]:
    """(which file, its state), in text: an inode's number may be too large for SQLite."""
    at = path.stat()
    return f"{at.st_dev} {at.st_ino}", f"{at.st_size} {at.st_mtime_ns} {at.st_ctime_ns}"


def _keep(kept: sqlite3.Connection, stamp: tuple[str, str], digest: str) -> None:
    with kept:
        kept.execute("INSERT OR REPLACE INTO digests VALUES (?, ?, ?)", (*stamp, digest))


@contextmanager
def _kept() -> Iterator[sqlite3.Connection]:
    """A connection of its own for each call: threads and processes share the file."""
    from tasks.core.stage import work_folder  # which itself digests files

    kept = sqlite3.connect(work_folder() / "digests.sqlite", timeout=60)
    try:
        kept.execute(TABLE)
        yield kept
    finally:
        kept.close()
