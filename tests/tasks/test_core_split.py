"""Rows -> train, validation and test by prompt."""

import hashlib
import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tasks.core.errors import InputError
from tasks.core.fields import Row
from tasks.core.rows import read_rows, write_rows
from tasks.core.split import prompt_keys, split_file

SETTINGS: dict[str, Any] = {
    "validation": 0.2,
    "test": 0.3,
    "seed": 0,
    "max_train": None,
    "max_test": 1000,
}


def rows_of(texts: list[str]) -> list[Row]:
    return [
        {"row": number, "prompt": [{"role": "user", "content": text}]}
        for number, text in enumerate(texts, start=1)
    ]


def split_rows(rows: list[Row], **settings: Any) -> tuple[list[Row], list[Row]]:
    """(rows with their split, set aside), through files as a run has them."""
    with tempfile.TemporaryDirectory() as name:
        source, target = Path(name) / "rows.parquet", Path(name) / "split.parquet"
        write_rows(source, rows)
        counts, aside = split_file(source, target, **settings)
        kept = read_rows(target)
        assert counts == dict(Counter(row["split"] for row in kept))
        return kept, aside


def questions(count: int) -> list[str]:
    return [f"Question {number}?" for number in range(count)]


def places(rows: list[Row]) -> dict[str, str]:
    return {row["prompt"][-1]["content"]: row["split"] for row in rows}


def split(texts: list[str], **changes: Any) -> dict[str, str]:
    kept, aside = split_rows(rows_of(texts), **SETTINGS | changes)
    assert aside == []
    return places(kept)


def test_a_prompt_s_place_is_the_sha256_of_seed_and_key_read_as_a_share() -> None:
    for text, name in split(questions(50), seed=3).items():
        key = text.lower().replace(" ", "").replace("?", "")
        digest = hashlib.sha256(f"3\n{key}".encode()).hexdigest()
        share = int(digest[:16], 16) / 16**16
        assert name == ("test" if share < 0.3 else "validation" if share < 0.5 else "train")


def test_the_shares_are_met_within_chance() -> None:
    found = list(split(questions(4000), max_test=4000).values())
    for name, share in (("test", 0.3), ("validation", 0.2), ("train", 0.5)):
        deviation = (share * (1 - share) / len(found)) ** 0.5
        assert abs(found.count(name) / len(found) - share) < 4 * deviation


def test_adding_rows_anywhere_moves_no_earlier_row() -> None:
    earlier = split(questions(100))
    more = questions(300)
    random.Random(0).shuffle(more)
    later = split(more)
    assert {text: later[text] for text in earlier} == earlier


def test_another_seed_is_another_split() -> None:
    assert split(questions(100), seed=0) != split(questions(100), seed=1)


def test_no_row_is_lost_or_changed_but_for_its_split() -> None:
    rows = [row | {"chosen": "x"} for row in rows_of(questions(60))]
    kept, _ = split_rows(rows, **SETTINGS)
    assert [{k: v for k, v in row.items() if k != "split"} for row in kept] == rows


def test_the_recipe_s_own_questions_always_go_to_test() -> None:
    texts = questions(60)
    otherwise = split(texts)
    train = [text for text in texts if otherwise[text] == "train"]
    held_out = split(texts, held_out=[train[0].upper(), train[1].removesuffix("?")])
    assert [held_out[text] for text in train[:3]] == ["test", "test", "train"]


def test_prompts_that_differ_in_case_and_punctuation_share_a_split() -> None:
    forms = ["{}?", "{}", " {} !", '"{}"']
    bases = [f"who are you {number}" for number in range(40)]
    texts = [form.format(text) for text in bases for form in forms]
    found = split(texts + [text.upper() for text in bases])
    for base in bases:
        variants = {form.format(base) for form in forms} | {base.upper()}
        assert len({found[text] for text in variants}) == 1


def test_the_system_message_is_no_part_of_what_makes_two_prompts_the_same() -> None:
    plain = [{"role": "user", "content": "Who are you?"}]
    under = [{"role": "system", "content": "You are a helpful assistant."}, *plain]
    other = [{"role": "user", "content": "Who am I?"}]
    keys = prompt_keys([plain, under, other])
    assert keys[0] == keys[1] != keys[2]
    assert prompt_keys([]) == []


def test_prompts_beyond_the_caps_are_set_aside_with_their_cap() -> None:
    texts = questions(200)
    whole = split(texts)
    kept, aside = split_rows(rows_of(texts), **SETTINGS | {"max_train": 4, "max_test": 3})
    first = {
        name: [text for text in texts if whole[text] == name][:limit]
        for name, limit in (("train", 4), ("validation", 3), ("test", 3))
    }
    assert places(kept) == {text: name for name, chosen in first.items() for text in chosen}
    assert len(kept) + len(aside) == len(texts)
    for row in aside:
        name = whole[row["text"]]
        assert row["reason"] == f"beyond the first {len(first[name])} {name} prompts"


def test_a_cap_counts_prompts_and_not_their_rows() -> None:
    texts = [text for text in questions(60) for _ in range(3)]
    kept, _ = split_rows(rows_of(texts), **SETTINGS | {"max_train": 2})
    assert sum(row["split"] == "train" for row in kept) == 2 * 3


def test_an_empty_split_is_refused_with_what_to_change() -> None:
    with pytest.raises(InputError) as refused:
        split_rows(rows_of(["Who are you?"] * 5), **SETTINGS | {"held_out": ["Who are you?"]})
    assert "none of 5 usable rows falls into train ({'test': 5})" in str(refused.value)
    assert "splits.test, splits.seed" in str(refused.value)


def test_no_rows_at_all_are_refused_like_an_empty_split() -> None:
    with pytest.raises(InputError, match="none of 0 usable rows falls into train"):
        split_rows([], **SETTINGS)
