"""A data set on a real Hub -> the rows of all its splits, or its files stored for a run."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import CommitOperationAdd, HfApi

from tasks.core.blocks import Broken, read_blocks, values_of
from tasks.core.check_files import Told, read
from tasks.core.errors import InputError
from tasks.core.hub_data import load_hub_splits, resolve_data, store_hub, stored_files
from tasks.core.settings import Data, Reading

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


TWO = {"part-00000.parquet", "part-00001.parquet"}


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
        "broken/train.jsonl": as_lines([PAIR]) + b"{broken\n" + as_lines([PAIR]),
        "two/a.jsonl": as_lines([PAIR]),
        "two/b.jsonl": as_lines([{"instruction": "Who?", "output": "I."}]),
        "lists.jsonl": as_lines([MIXED[0]["messages"]] * 2),
        "numbered/rows.csv": b"prompt,score\nWho?,007\n",
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


def parted(repo: str, said: dict[str, Any]) -> tuple[Data, Reading]:
    of_reading = said.keys() & Reading.model_fields.keys()
    reading = Reading(**{name: said[name] for name in of_reading})
    return Data(path=repo, **{name: said[name] for name in said.keys() - of_reading}), reading


def stored(published: tuple[str, str], folder: Path, **said: Any) -> list[Any]:
    repo, sha = published
    data, reading = parted(repo, said)
    store_hub(data, reading, sha, folder)
    assert {part.name for part in folder.iterdir()} in ({"files"}, {"part-00000.parquet"}, TWO)
    return [
        row
        for _, path in stored_files(folder)
        for b in read_blocks(path)
        for _, row in values_of(b)
    ]


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
    rows = stored(published, tmp_path, max_rows=1_203, **said)
    if not streaming:
        assert len(rows) == 2_500  # whole files; whoever reads them stops
    assert rows[:1_203] == helpful("train", 1_203) and (not streaming or len(rows) == 1_203)


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
        (
            {"name": "harmless"},
            r"configurations helpful, mixed, and no 'harmless'. Set data.name to one",
        ),
        ({}, r"has the configurations helpful, mixed. Set data.name to one of them"),
        (
            {"name": "helpful", "split": "validation"},
            r"has no split 'validation', but train, test. Set data\.split to one",
        ),
        ({"data_files": "missing/*.jsonl"}, r"No.*files.*data\.data_files \(missing/\*\.jsonl\)"),
        ({"name": "helpful", "split": "train[:5]+none"}, r"has no split 'none', but train, test"),
    ],
)
def test_what_the_data_set_does_not_have_is_told_with_what_it_has(
    published: tuple[str, str], tmp_path: Path, said: Any, told: str, streaming: bool
) -> None:
    repo, sha = published
    with pytest.raises(InputError, match=told) as refused:
        store_hub(Data(path=repo, **said), Reading(streaming=streaming), sha, tmp_path)
    assert str(refused.value).startswith(f"{repo}@{sha[:8]}: ") and len(str(refused.value)) < 600


def test_a_row_is_the_same_from_the_hub_and_from_this_disk(
    published: tuple[str, str], tmp_path: Path
) -> None:
    expected: dict[str, list[Any]] = {
        "two/*.jsonl": [PAIR, {"instruction": "Who?", "output": "I."}],
        "lists.jsonl": [MIXED[0]["messages"]] * 2,
        "numbered/*.csv": [{"prompt": "Who?", "score": "007"}],
    }
    for number, (files, rows) in enumerate(expected.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert stored(published, folder, data_files=files) == rows
    folder = tmp_path / "broken"
    folder.mkdir()
    first, broken, last = stored(published, folder, data_files="broken/*")
    assert (first, last) == (PAIR, PAIR) and isinstance(broken, Broken)
    assert [name for name, _ in stored_files(folder)] == ["broken/train.jsonl"]


def test_files_that_the_card_says_how_to_read_come_as_columns(hub: object, tmp_path: Path) -> None:
    card = b"---\nconfigs:\n- {config_name: one, data_files: '*.csv', sep: ';'}\n---\n"
    files: dict[str, bytes | Path] = {"README.md": card, "rows.csv": b"prompt;score\nWho?;007\n"}
    published = publish("pairpress/semicolons", files)
    assert stored(published, tmp_path) == [{"prompt": "Who?", "score": 7}]
    assert [name for name, _ in stored_files(tmp_path)] == ["part-00000.parquet"]


def test_a_part_of_a_split_and_several_splits_can_be_asked_for(
    published: tuple[str, str], tmp_path: Path
) -> None:
    for split, rows in (
        ("train[2:4]", helpful("train", 4)[2:]),
        ("test+test[:1]", helpful("test", 3) + helpful("test", 1)),
    ):
        folder = tmp_path / split
        folder.mkdir()
        assert stored(published, folder, name="helpful", split=split) == rows


@pytest.mark.parametrize("streaming", [False, True])
def test_a_damaged_file_is_told(
    published: tuple[str, str], tmp_path: Path, streaming: bool
) -> None:
    told = "the files: one may be damaged" if streaming else "train.jsonl.gz: damaged or truncated"
    with pytest.raises(InputError, match=told):
        stored(published, tmp_path, data_files="cut/*", streaming=streaming)


@pytest.mark.parametrize("streaming", [False, True])
def test_what_was_read_of_one_commit_never_stands_in_for_another(
    hub: object, tmp_path: Path, streaming: bool
) -> None:
    files: dict[str, bytes | Path] = {"train.jsonl": as_lines([PAIR])}
    repo, sha = publish(f"pairpress/emptied-{streaming}", files)
    first = tmp_path / "first"
    first.mkdir()
    assert stored((repo, sha), first) == [PAIR]
    later = str(HfApi().delete_file("train.jsonl", repo, repo_type="dataset").oid)
    with pytest.raises(InputError, match="cannot be read"):
        store_hub(Data(path=repo), Reading(streaming=streaming), later, tmp_path)
    assert [*tmp_path.iterdir()] == [first]


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
    with pytest.raises(InputError, match=r"splits\[validation\]: .*no rows"):
        load_hub_splits(repo, sha)


def test_the_check_reads_one_configuration_of_several(published: tuple[str, str]) -> None:
    repo, sha = published
    splits = load_hub_splits(repo, sha, name="helpful")
    assert {split: len(one.rows) for split, one in splits.items()} == {"train": 2_500, "test": 3}
    with pytest.raises(InputError, match=r"has the configurations .* Set --name to one of them"):
        load_hub_splits(repo, sha)


def test_the_check_tells_a_broken_line_by_its_name_on_the_hub(hub: object) -> None:
    files: dict[str, bytes | Path] = {"train.jsonl": as_lines([PAIR, PAIR]) + b"{broken\n"}
    repo, sha = publish("pairpress/broken-line", files)
    with pytest.raises(InputError, match=f"^{repo}@{sha[:8]}/train.jsonl:3: not JSON"):
        load_hub_splits(repo, sha)


def test_a_configuration_is_of_the_hub_and_not_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(as_lines([PAIR]))
    with pytest.raises(InputError, match=r"--name helpful: .* all sources are local"):
        read([str(path)], Told(name="helpful"))
