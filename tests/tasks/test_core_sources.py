"""`data.path` -> files: one, a folder, a glob; what is packed is unpacked as it is read."""

import gzip
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.core.errors import InputError
from tasks.core.sources import FILE_ENDINGS, files_of, is_file, kind_of, packed, read_bytes
from tasks.core.sources import read_chunks as read

TEXT = "".join(f'{{"n": {n}, "text": "Grüße"}}\n' for n in range(5_000)).encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of every kind in two folders, others between them, and hidden ones."""
    names = [f"b/rows{ending}" for ending in FILE_ENDINGS]
    names += ["a/first.jsonl", "a/README.md", "a/.hidden.jsonl", ".cache/rows.jsonl", "LICENSE"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_a_folder_means_all_known_files_below_it_in_order_and_none_that_is_hidden(
    folder: Path,
) -> None:
    expected = [folder / "a/first.jsonl", *(folder / f"b/rows{ending}" for ending in FILE_ENDINGS)]
    assert files_of(str(folder)) == sorted(expected)


def test_a_glob_means_what_it_finds(folder: Path) -> None:
    gzipped = [folder / f"b/rows{ending}" for ending in FILE_ENDINGS if ending.endswith(".gz")]
    assert files_of(f"{folder}/*/rows.*.gz") == sorted(gzipped)
    assert files_of(f"{folder}/**/*.jsonl") == [folder / "a/first.jsonl", folder / "b/rows.jsonl"]
    assert files_of(f"{folder}/[a]/f????.jsonl") == [folder / "a/first.jsonl"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "rows[1].jsonl").touch()
    (tmp_path / "rows1.jsonl").touch()
    assert files_of(f"{tmp_path}/rows[1].jsonl") == [tmp_path / "rows[1].jsonl"]


def test_home_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert files_of("~/a") == files_of("~/a/*.jsonl") == [folder / "a/first.jsonl"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("missing.jsonl", "no such file"),
        ("LICENSE", "not a file that can be read"),
        ("a/README*", "no file to read there"),
        ("*.jsonl", "no file to read there"),
        ("empty", "no file to read there; known: .jsonl"),
    ],
)
def test_what_holds_nothing_to_read_is_told(folder: Path, name: str, told: str) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match=told):
        files_of(f"{folder}/{name}")


def test_a_name_with_a_slash_is_a_repository_unless_a_file_says_otherwise(tmp_path: Path) -> None:
    assert not is_file("Anthropic/hh-rlhf")
    assert is_file("data/missing.jsonl") and is_file("./folder") and is_file("~/rows")
    assert is_file("data/*") and is_file(str(tmp_path))


@pytest.mark.parametrize("ending", [*FILE_ENDINGS])
def test_the_kind_is_told_by_the_name_also_of_a_packed_file(ending: str) -> None:
    kinds = {"ndjson": "jsonl", "tsv": "csv"}
    kind = ending.split(".")[1]
    for name in (f"some.parquet.json.rows{ending}", f"ROWS{ending.upper()}"):
        assert kind_of(Path(name)) == kinds.get(kind, kind)


def test_a_glob_passes_over_what_it_finds_of_other_kinds_as_a_folder_does(folder: Path) -> None:
    assert files_of(f"{folder}/a/*") == files_of(f"{folder}/a") == [folder / "a/first.jsonl"]


def test_endings_count_in_any_case(tmp_path: Path) -> None:
    path = tmp_path / "Rows.JSONL.GZ"
    path.write_bytes(packed(path, TEXT))
    assert path.read_bytes() == gzip.compress(TEXT, mtime=0)
    assert files_of(str(tmp_path)) == files_of(str(path)) == [path]
    assert read_bytes(path) == TEXT and is_file("Rows.CSV")


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
def test_chunks_are_the_whole_file_unpacked_and_their_sizes_make_up_its_own(
    tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"rows.jsonl{ending}"
    path.write_bytes(packed(path, b"\xef\xbb\xbf" + TEXT))
    chunks = list(read(path, 10_000))
    assert len(chunks) > 2 and b"".join(data for data, _ in chunks) == TEXT == read_bytes(path)
    assert sum(size for _, size in chunks) == path.stat().st_size


def test_a_file_of_several_packed_parts_is_read_to_its_end(tmp_path: Path) -> None:
    for ending, pack in ((".gz", gzip.compress), (".zst", pa.Codec("zstd").compress)):
        path = tmp_path / f"rows.jsonl{ending}"
        path.write_bytes(bytes(pack(TEXT)) + bytes(pack(TEXT)))
        assert read_bytes(path) == b"".join(data for data, _ in read(path, 7_000)) == TEXT * 2


@pytest.mark.parametrize("ending", [".gz", ".zst"])
@pytest.mark.parametrize("cut", [5, 100, -1])  # in the header, in the data, at the end
def test_a_truncated_file_is_called_so(tmp_path: Path, ending: str, cut: int) -> None:
    path = tmp_path / f"rows.jsonl{ending}"
    path.write_bytes(packed(path, TEXT)[:cut])
    with pytest.raises(InputError, match=f"{path}: damaged or truncated (gzip|zstd)"):
        list(read(path, 10_000))
