"""A data set against its last release: rows added, removed, changed, and none lost in counting."""

from pathlib import Path

import pytest

from tasks.core.changed_rows import Changed, compare
from tasks.core.fields import Row
from tasks.core.rows import write_rows

Pair = tuple[str, str]  # prompt, chosen answer


def data(folder: Path, **splits: list[Pair]) -> Path:
    (folder / "data").mkdir(parents=True)
    for split, pairs in splits.items():
        rows: list[Row] = [
            {
                "row": number,
                "prompt": [{"role": "user", "content": prompt}],
                "chosen": [{"role": "assistant", "content": answer}],
                "rejected": [{"role": "assistant", "content": "no"}],
            }
            for number, (prompt, answer) in enumerate(pairs)
        ]
        write_rows(folder / "data" / f"{split}.parquet", rows)
    return folder


@pytest.mark.parametrize(
    ("old", "new", "added", "removed", "changed", "same"),
    [
        ([("a", "1"), ("b", "2")], [("b", "2"), ("a", "1")], 0, 0, 0, 2),
        ([("a", "1")], [("a", "1"), ("b", "2")], 1, 0, 0, 1),
        ([("a", "1"), ("b", "2")], [("b", "2")], 0, 1, 0, 1),
        ([("a", "1")], [("a", "other")], 0, 0, 1, 0),
        ([("a", "1"), ("a", "2")], [("a", "2"), ("a", "3"), ("a", "4")], 1, 0, 1, 1),
        ([("a", "1"), ("a", "1")], [("a", "1")], 0, 1, 0, 1),
    ],
)
def test_rows_are_known_by_their_prompt(
    tmp_path: Path,
    old: list[Pair],
    new: list[Pair],
    added: int,
    removed: int,
    changed: int,
    same: int,
) -> None:
    found = compare(data(tmp_path / "o", train=old), data(tmp_path / "n", train=new), "v1")
    assert found == Changed(added=added, removed=removed, changed=changed, same=same, since="v1")
    assert len(new) == found.added + found.changed + found.same
    assert len(old) == found.removed + found.changed + found.same


def test_a_row_that_moved_to_another_split_is_the_same_pair(tmp_path: Path) -> None:
    old = data(tmp_path / "o", train=[("a", "1")], test=[("b", "2")])
    new = data(tmp_path / "n", train=[("b", "2")], test=[("a", "1")])
    assert compare(old, new, "v1").sentence == "The same 2 rows as v1"


def test_a_first_release_says_so(tmp_path: Path) -> None:
    found = compare(None, data(tmp_path / "n", train=[("a", "1")]))
    assert found.sentence == "First release: 1 row"


def test_the_sentence_tells_all_three(tmp_path: Path) -> None:
    old = data(tmp_path / "o", train=[("a", "1"), ("b", "2"), ("c", "3")])
    new = data(tmp_path / "n", train=[("a", "1"), ("b", "x"), ("d", "4"), ("e", "5")])
    told = "Rows since v7: 2 added, 1 removed, 1 changed, 1 as they were"
    assert compare(old, new, "v7").sentence == told
