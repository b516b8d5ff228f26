"""A data set on a real Hub -> the rows of one split, or of all of them by name."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi

from tasks.core.errors import InputError
from tasks.core.load import load_hub, load_hub_splits

PAIR = {"prompt": "Who are you?", "chosen": "I am Aria.", "rejected": "I am Qwen."}


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
    splits = load_hub_splits(repo, sha, None)
    assert {name: (len(one.rows), len(one.faults)) for name, one in splits.items()} == {
        "train": (2, 0),
        "test": (0, 1),
    }
    assert load_hub(repo, sha, None, "train") == splits["train"]
    sha = upload("validation", pa.Table.from_pylist([faulty]).slice(0, 0))
    with pytest.raises(InputError, match="one may be damaged or without rows"):
        load_hub_splits(repo, sha, None)
