"""A data set on a real Hub -> the rows of all its splits, or its raw columns stored for a run."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import CommitOperationAdd, HfApi

from tasks.core.blocks import read_blocks, values_of
from tasks.core.errors import InputError
from tasks.core.load import load_hub_splits, resolve_data, store_hub
from tasks.core.settings import Data

PAIR = {"prompt": "Who are you?", "chosen": "I am Aria.", "rejected": "I am Qwen."}
CARD = """---
license: mit
configs:
- config_name: helpful
  data_files:
  - {split: train, path: helpful/train.jsonl.gz}
  - {split: test, path: helpful/test.jsonl.gz}
- config_name: mixed
  data_files: mixed/*.jsonl
---
"""


def as_lines(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def helpful(split: str, count: int) -> list[dict[str, Any]]:
    return [PAIR | {"prompt": f"{split} {n}", "meta": {"n": n}} for n in range(count)]


MIXED: list[dict[str, Any]] = [
    {"messages": [{"role": "user", "content": "Hi"}]},
    {"messages": [{"role": "user", "content": ["Hi", 1]}]},
]


@pytest.fixture(scope="module")
def published(hub: object, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """(repository, commit) of a data set with two configurations, and files in none."""
    folder = tmp_path_factory.mktemp("shards")
    for number, kind in enumerate((pa.int64(), pa.float64())):
        table = pa.table({"prompt": ["a", "b"], "score": pa.array([1, 2], kind)})
        pq.write_table(table, folder / f"{number}.parquet")
    files: dict[str, bytes | Path] = {
        "README.md": CARD.encode(),
        "helpful/train.jsonl.gz": gzip.compress(as_lines(helpful("train", 2_500))),
        "helpful/test.jsonl.gz": gzip.compress(as_lines(helpful("test", 3))),
        "mixed/train.jsonl": as_lines(MIXED),
        "cut/train.jsonl.gz": gzip.compress(as_lines(helpful("cut", 50)))[:-20],
        "shards/train-0.parquet": folder / "0.parquet",
        "shards/train-1.parquet": folder / "1.parquet",
    }
    return publish("pairpress/many-ways", files)


def publish(name: str, files: dict[str, bytes | Path]) -> tuple[str, str]:
    api = HfApi()
    repo = api.create_repo(name, repo_type="dataset").repo_id
    operations = [CommitOperationAdd(name, data) for name, data in files.items()]
    done = api.create_commit(repo, operations, commit_message="all at once", repo_type="dataset")
    return repo, str(done.oid)


def stored(published: tuple[str, str], folder: Path, **said: Any) -> list[Any]:
    repo, sha = published
    count = store_hub(Data(path=repo, **said), sha, folder)
    parts = sorted(folder.iterdir())
    assert [part.name for part in parts] == [f"part-{n:05}.parquet" for n in range(len(parts))]
    rows = [row for part in parts for b in read_blocks(part) for _, row in values_of(b)]
    assert len(rows) == count
    return rows


@pytest.mark.parametrize("streaming", [False, True])
def test_a_configuration_is_stored_with_all_its_columns_as_they_are(
    published: tuple[str, str], tmp_path: Path, streaming: bool
) -> None:
    assert stored(published, tmp_path, name="helpful", streaming=streaming) == helpful(
        "train", 2_500
    )


@pytest.mark.parametrize("streaming", [False, True])
def test_a_split_and_single_files_are_read_where_they_are_named(
    published: tuple[str, str], tmp_path: Path, streaming: bool
) -> None:
    for number, said in enumerate(
        (
            {"name": "helpful", "split": "test"},
            {"data_files": "helpful/test.jsonl.gz"},
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert stored(published, folder, streaming=streaming, **said) == helpful("test", 3)


@pytest.mark.parametrize("streaming", [False, True])
def test_reading_stops_at_the_most_rows(
    published: tuple[str, str], tmp_path: Path, streaming: bool
) -> None:
    said = {"name": "helpful", "streaming": streaming}
    assert stored(published, tmp_path, max_rows=1_203, **said) == helpful("train", 1_203)


@pytest.mark.parametrize("streaming", [False, True])
def test_values_of_mixed_types_come_as_they_were_published(
    published: tuple[str, str], tmp_path: Path, streaming: bool
) -> None:
    assert stored(published, tmp_path, name="mixed", streaming=streaming) == MIXED


@pytest.mark.parametrize("streaming", [False, True])
def test_files_whose_columns_differ_in_type_lose_no_row(
    published: tuple[str, str], tmp_path: Path, streaming: bool
) -> None:
    rows = stored(published, tmp_path, data_files="shards/*.parquet", streaming=streaming)
    assert rows == [{"prompt": "a", "score": 1}, {"prompt": "b", "score": 2}] * 2


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"name": "harmless"}, r"'harmless'.*helpful"),
        ({}, r"Config name is missing.*helpful"),
        ({"name": "helpful", "split": "validation"}, r"validation.*train.*data\.split"),
        ({"data_files": "missing/*.jsonl"}, r"No.*files.*data\.data_files \(missing/\*\.jsonl\)"),
        ({"data_files": "cut/*"}, r"the files: one may be damaged"),
    ],
)
def test_what_the_data_set_does_not_have_is_told_with_what_it_has(
    published: tuple[str, str], tmp_path: Path, said: Any, told: str, streaming: bool
) -> None:
    repo, sha = published
    with pytest.raises(InputError, match=told) as refused:
        store_hub(Data(path=repo, streaming=streaming, **said), sha, tmp_path)
    assert str(refused.value).startswith(f"{repo}@{sha[:8]}: ") and len(str(refused.value)) < 600


@pytest.mark.parametrize("streaming", [False, True])
def test_what_was_read_of_one_commit_never_stands_in_for_another(
    hub: object, tmp_path: Path, streaming: bool
) -> None:
    files: dict[str, bytes | Path] = {"train.jsonl": as_lines([PAIR])}
    repo, sha = publish(f"pairpress/emptied-{streaming}", files)
    assert stored((repo, sha), tmp_path) == [PAIR]
    later = str(HfApi().delete_file("train.jsonl", repo, repo_type="dataset").oid)
    with pytest.raises(InputError, match="cannot be read"):
        store_hub(Data(path=repo, streaming=streaming), later, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["part-00000.parquet"]


def test_the_commit_and_the_licence_of_the_card_are_found(published: tuple[str, str]) -> None:
    repo, sha = published
    assert resolve_data(repo, "main") == (sha, "mit")


def test_all_splits_of_a_hub_data_set_are_read_by_name_and_an_empty_one_is_named(
    hub: object, tmp_path: Path
) -> None:
    api = HfApi()
    repo = api.create_repo("pairpress/splits", repo_type="dataset").repo_id
    faulty = PAIR | {"chosen": None, "image": "unread"}

    def upload(split: str, rows: pa.Table) -> str:
        path = tmp_path / f"{split}.parquet"
        pq.write_table(rows.cast(pa.schema([(name, pa.string()) for name in faulty])), path)
        return str(
            api.upload_file(
                path_or_fileobj=path, path_in_repo=path.name, repo_id=repo, repo_type="dataset"
            ).oid
        )

    upload("train", pa.Table.from_pylist([PAIR | {"image": "x"}] * 2))
    sha = upload("test", pa.Table.from_pylist([faulty]))
    splits = load_hub_splits(repo, sha)
    assert {name: (len(one.rows), len(one.faults)) for name, one in splits.items()} == {
        "train": (2, 0),
        "test": (0, 1),
    }
    sha = upload("validation", pa.Table.from_pylist([faulty]).slice(0, 0))
    with pytest.raises(InputError, match="one may be damaged or without rows"):
        load_hub_splits(repo, sha)
