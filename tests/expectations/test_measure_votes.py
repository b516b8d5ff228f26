"""What S1 to S4 count: words and habits of a pair, one vote a prompt, and the sign test."""

import math
from collections import Counter
from fractions import Fraction

import polars as pl
import pytest
from pair_makers import (
    counted,
    feature,
    frame_of,
    natural_pairs,
    one_sided_feature,
    planted,
    rewritten,
)

from expectations.measures.features import features
from expectations.measures.pairs import Pairs
from expectations.measures.shortcuts import Frequent, NearPerfect, OneSided, Weak
from expectations.measures.sign_test import sign_test

ALL = (OneSided(), NearPerfect(), Frequent(), Weak())


def noted(made, key, make):
    def note():
        made.append(key)
        return make()

    return note


def test_the_sign_test_is_exact():
    for b, c in [(0, 10), (3, 9), (5, 5), (40, 60), (1, 0)]:
        n, fewer = b + c, min(b, c)
        tail = sum(math.comb(n, k) for k in range(fewer + 1))
        expected = min(1.0, float(2 * Fraction(tail, 2**n)))
        assert sign_test(b, c) == pytest.approx(expected, rel=1e-9)
        assert sign_test(c, b) == sign_test(b, c)


def test_the_sign_test_is_exact_at_ten_thousand_votes():
    heads = tail = 1  # comb(n, k) by its recurrence, in whole numbers
    for k in range(4_900):
        heads = heads * (10_000 - k) // (k + 1)
        tail += heads
    assert sign_test(4_900, 5_100) == pytest.approx(float(Fraction(2 * tail, 2**10_000)), rel=1e-8)


def test_a_text_gives_words_han_characters_whole_chat_tokens_and_its_shape():
    text = "Sure! Qwen 你好 <|im_end|>\n\n- it's **BIG** \U0001f600 "
    found = set(pl.select(features(pl.lit(text))).item())
    words = {feature for feature in found if not feature.startswith("\t")}
    assert words == {"sure", "qwen", "你", "好", "<|im_end|>", "it's", "big"}
    assert {feature for feature in found if feature.startswith("\t")} == {
        "\tfirst word\tsure",
        "\tfirst two words\tsure qwen",
        "\tlast character\tother",
        *(
            f"\tshape\t{shape}"
            for shape in (
                "trailing white space",
                "bullet",
                "bold",
                "emoji",
                "blank line",
                "newline",
                "capitals",
                "non-ASCII",
            )
        ),
    }


def test_a_prompt_repeated_over_many_models_votes_once():
    once = [(f"question {n}", f"answer {n} good", f"reply {n} fine") for n in range(12)]
    many = [("the same question", f"answer {n} good", f"reply {n} fine") for n in range(50)]
    good = feature(frame_of(once + many), "good")
    assert (good["b"], good["c"]) == (13, 0)
    assert good["discordant"] == 62 and good["coverage"] == 1.0


def test_pairs_of_one_prompt_that_disagree_give_the_vote_of_their_majority():
    split = [("asked", "good", "bad"), ("asked", "good", "bad"), ("asked", "bad", "good")]
    tied = [("tied", "good", "bad"), ("tied", "bad", "good")]
    rest = [(f"question {n}", "good", "bad") for n in range(10)]
    good = feature(frame_of(split + tied + rest), "good")
    assert (good["b"], good["c"]) == (11, 0)


def test_counts_of_one_frame_are_not_taken_for_those_of_another():
    marked = planted(200, 0.5, lambda answer: answer + " Certainly.")
    clean = frame_of(natural_pairs(200))
    slots = [{"name": "marker", "chosen": ["Certainly."], "rejected": ["Never."]}]
    assert not one_sided_feature(marked).passed
    assert one_sided_feature(clean).passed
    assert one_sided_feature(marked, slots=slots).observed["features_tested"] > 0
    assert "certainly" not in str(one_sided_feature(marked, slots=slots).observed)
    assert not one_sided_feature(marked).passed


def test_votes_are_the_same_in_one_chunk_in_many_and_from_a_file(monkeypatch, tmp_path):
    again = [("repeated", c, r) for _, c, r in natural_pairs(60, seed=5)]
    pairs = [*again[:30], *natural_pairs(300), *again[30:]]
    frame = frame_of(pairs)
    frame.write_parquet(tmp_path / "pairs.parquet")
    whole = counted(frame).sort("feature").drop("E", "excess", "accuracy")
    monkeypatch.setattr("expectations.measures.pairs.CHUNK", 37)
    for source in (frame, pl.scan_parquet(tmp_path / "pairs.parquet")):
        assert counted(source).sort("feature").drop("E", "excess", "accuracy").equals(whole)


def test_prompts_repeated_far_apart_vote_once_however_many_may_wait(monkeypatch):
    pairs = natural_pairs(200)
    other = [
        (prompt, c, r)
        for (prompt, _, _), (_, c, r) in zip(pairs, natural_pairs(200, 3), strict=True)
    ]
    frame = frame_of(pairs + other)
    whole = counted(frame).sort("feature")
    assert whole["n"].max() <= 200
    monkeypatch.setattr("expectations.measures.votes.FAR", 100)
    monkeypatch.setattr("expectations.measures.votes.WAITING", 10_000)
    monkeypatch.setattr("expectations.measures.pairs.CHUNK", 64)
    turns = counted(frame).sort("feature")
    exact = ["feature", "b", "c", "discordant", "at"]
    assert turns.select(exact).equals(whole.select(exact))
    assert turns["E"].to_list() == pytest.approx(whole["E"].to_list())


def test_what_is_counted_is_what_is_found_in_the_texts(real_data):
    pairs = rewritten(real_data)[:300]
    once = [(f"{number} {p}", c, r) for number, (p, c, r) in enumerate(pairs)]
    lists = [
        set(found)
        for side in (1, 2)
        for found in pl.Series([pair[side] for pair in once])
        .to_frame("text")
        .select(features(pl.col("text")))
        .to_series()
        .to_list()
    ]
    chosen, rejected = lists[:300], lists[300:]
    b = Counter(name for one, other in zip(chosen, rejected, strict=True) for name in one - other)
    c = Counter(name for one, other in zip(chosen, rejected, strict=True) for name in other - one)
    expected = {name: (b[name], c[name]) for name in b | c if b[name] + c[name] >= 10}
    found = counted(frame_of(once))
    assert {n: (b, c) for n, b, c in found.select("feature", "b", "c").iter_rows()} == expected


def test_the_four_checks_share_one_count(monkeypatch):
    made = []
    pairs = Pairs(frame_of(natural_pairs(100)))
    remember = pairs.remember
    monkeypatch.setattr(pairs, "remember", lambda key, make: remember(key, noted(made, key, make)))
    for measure in ALL:
        measure.judge(pairs)
    assert [key for key in made if key.startswith("votes")] == ["votes []"]
