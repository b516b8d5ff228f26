"""Large files are hashed once: by us, through renames and links, and never by the Hub's client."""

import hashlib
import os
import shutil
import threading
from collections.abc import Iterator
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest

from tasks.core import digests

BYTES = os.urandom(digests.LARGE + 1)
EXPECTED = hashlib.sha256(BYTES).hexdigest()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """Names of the files whose bytes were hashed, in turn; a work folder of its own."""
    monkeypatch.setenv("PAIRPRESS_HOME", str(tmp_path / "work"))
    hashed: list[str] = []
    real = hashlib.file_digest

    def counted(file: object, *args: object) -> object:
        hashed.append(Path(file.name).name)  # type: ignore[attr-defined]
        return real(file, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(hashlib, "file_digest", counted)
    yield hashed


def weights(folder: Path, content: bytes = BYTES) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "model.safetensors"
    path.write_bytes(content)
    return path


def test_a_large_file_is_read_once_however_often_it_is_asked_for(
    reads: list[str], tmp_path: Path
) -> None:
    path = weights(tmp_path / "a")
    assert [digests.file_digest(path) for _ in range(3)] == [EXPECTED] * 3
    assert reads == ["model.safetensors"]


def test_the_files_of_a_folder_are_hashed_side_by_side(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    both = threading.Barrier(2, timeout=20)  # raises where one waits for the other to be done
    monkeypatch.setattr(digests, "file_digest", lambda path: f"{path.name} {both.wait() < 2}")
    for name in ("b", "a"):
        (tmp_path / name).touch()
    expected = hashlib.sha256(b"a a True\nb b True\n").hexdigest()
    assert digests.content_digest(tmp_path) == expected  # and in order


def test_it_stays_known_when_its_folder_is_renamed_and_under_a_second_name(
    reads: list[str], tmp_path: Path
) -> None:
    digests.content_digest(weights(tmp_path / "unfinished").parent)
    (tmp_path / "unfinished").rename(tmp_path / "done")
    digests.link(tmp_path / "done" / "model.safetensors", tmp_path / "published")
    assert digests.file_digest(tmp_path / "published") == EXPECTED
    assert digests.file_digest(tmp_path / "done" / "model.safetensors") == EXPECTED
    assert reads == ["model.safetensors"]
    assert (tmp_path / "published").stat().st_nlink == 2  # no second copy on the disk


def test_other_bytes_are_seen_even_with_size_inode_and_time_of_before(
    reads: list[str], tmp_path: Path
) -> None:
    path = weights(tmp_path / "a")
    digests.file_digest(path)
    before = path.stat()
    with path.open("r+b") as file:
        file.write(bytes(8))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (
        before.st_ino,
        before.st_size,
        before.st_mtime_ns,
    )
    assert digests.file_digest(path) == hashlib.sha256(bytes(8) + BYTES[8:]).hexdigest()
    assert len(reads) == 2


def test_bytes_written_in_the_same_tick_as_the_first_ones_are_seen(
    reads: list[str], tmp_path: Path
) -> None:
    path = weights(tmp_path / "a")
    for n in range(20):
        content = bytes([n]) * len(BYTES)
        with path.open("r+b") as file:
            file.write(content)
        assert digests.file_digest(path) == hashlib.sha256(content).hexdigest()


def test_the_hub_s_client_is_given_the_digest_and_reads_no_byte_for_it(
    reads: list[str], tmp_path: Path
) -> None:
    path = weights(tmp_path / "a")
    digests.file_digest(path)
    for _ in range(2):  # an operation is spent once used: a second try has another
        operation = digests.add_operation("model.safetensors", path)
        assert operation.upload_info.is_hashed
        assert operation.upload_info.sha256.hex() == EXPECTED
    assert reads == ["model.safetensors"]


def test_a_small_file_is_simply_read_and_not_kept(reads: list[str], tmp_path: Path) -> None:
    path = weights(tmp_path / "a", b"{}")
    assert digests.file_digest(path) == hashlib.sha256(b"{}").hexdigest()
    assert not (tmp_path / "work" / "digests.sqlite").exists()


def test_what_is_kept_may_be_deleted(reads: list[str], tmp_path: Path) -> None:
    path = weights(tmp_path / "a")
    digests.file_digest(path)
    shutil.rmtree(tmp_path / "work")
    assert digests.file_digest(path) == EXPECTED


def test_many_threads_ask_at_once(reads: list[str], tmp_path: Path) -> None:
    paths = [weights(tmp_path / str(n), BYTES + bytes([n])) for n in range(8)]
    with ThreadPool(8) as pool:
        found = pool.map(digests.file_digest, paths * 4)
    assert found == [hashlib.sha256(BYTES + bytes([n])).hexdigest() for n in range(8)] * 4
