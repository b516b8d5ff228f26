"""S1 and S2: planted markers are named, natural pairs pass, and so do real sets."""

import json
import math
import random
from fractions import Fraction

import polars as pl
import pytest
from pair_makers import frame_of, hh_frame, natural_pairs, real_file

from expectations.measures.features import features, sign_test, votes
from expectations.measures.shortcuts import near_perfect_feature, one_sided_feature


def named(finding):
    return [finding.observed["feature"], *str(finding.observed["more_features"]).split(", ")]


def planted(count, share, change, seed=0):
    """`change` applied to the chosen answer of every pair whose number says so."""
    every = round(1 / share)
    return frame_of(
        (p, change(c) if number % every == 0 else c, r)
        for number, (p, c, r) in enumerate(natural_pairs(count, seed))
    )


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


def test_a_marker_word_in_a_tenth_of_a_thousand_pairs_is_named_with_its_numbers():
    finding = one_sided_feature(planted(1_000, 0.1, lambda answer: f"{answer} Certainly."))
    assert not finding.passed
    observed = finding.observed
    assert (observed["feature"], observed["kind"]) == ("certainly", "word")
    assert (observed["prompts_only_in_chosen"], observed["prompts_only_in_rejected"]) == (100, 0)
    assert observed["purity"] == 1.0
    assert observed["coverage"] == 0.1
    # Holm multiplies the smallest p by the number of features tested
    tested = observed["features_tested"]
    assert observed["p"] == pytest.approx(tested * 2 * 0.5**100, rel=1e-9)
    assert 0.25 <= observed["excess"] <= 0.6
    detectable = max(10, math.ceil(math.log2(2 * tested / 0.01))) / 1_000
    assert observed["smallest_detectable_share"] == detectable
    assert [example["row"] for example in finding.examples] == [0, 10, 20]
    assert all("certainly" in str(example["why"]) for example in finding.examples)
    assert all("Certainly" in str(example["chosen"]) for example in finding.examples)


@pytest.mark.parametrize(
    ("change", "feature"),
    [
        (lambda answer: answer + " ", "shape: trailing white space"),
        (lambda answer: answer + " \U0001f600", "shape: emoji"),
        (lambda answer: "**Note** " + answer, "shape: bold"),
        (lambda answer: answer.lower(), "shape: lower-case start"),
    ],
)
def test_a_habit_of_layout_in_a_tenth_of_the_chosen_answers_is_named(change, feature):
    finding = one_sided_feature(planted(1_000, 0.1, change))
    kind, _, name = feature.partition(": ")
    worst = (finding.observed["kind"], finding.observed["feature"])
    assert not finding.passed
    assert worst == (kind, name) or feature in named(finding)


def test_an_example_shows_the_trailing_space_that_it_is_about():
    finding = one_sided_feature(planted(1_000, 0.1, lambda answer: answer + " "))
    assert finding.observed["feature"] == "trailing white space"
    assert all(str(example["chosen"]).endswith(" ") for example in finding.examples)


def test_an_example_shows_the_part_of_a_long_answer_that_holds_the_word():
    pairs = [(f"question {n}", "so " * 99 + "Zebra " + "so " * 99, "so " * 200) for n in range(40)]
    finding = one_sided_feature(frame_of(pairs))
    assert finding.observed["feature"] == "zebra"
    assert all("Zebra" in str(example["chosen"]) for example in finding.examples)
    assert all(len(str(example["chosen"])) <= 120 for example in finding.examples)


def test_a_word_that_only_rides_on_length_is_no_finding_of_s1():
    # The longer answer is always chosen, and "zebra" stands at the end of much longer ones.
    source = random.Random(1)
    pairs = []
    for number in range(1_000):
        short, long = sorted(source.sample(range(1, 60), k=2))
        end = "zebra" if long - short > 30 else ""
        pairs.append((f"question {number}", "go " * long + end, "go " * short))
    frame = frame_of(pairs)
    zebra = votes(frame).features.row(by_predicate=pl.col("feature") == "zebra", named=True)
    assert zebra["purity"] == 1.0 and zebra["coverage"] > 0.1 and zebra["p"] < 0.01
    assert zebra["excess"] == pytest.approx(0)
    assert one_sided_feature(frame).passed


def test_s2_finds_what_hides_behind_length():
    frame = frame_of([(f"question {n}", "yes indeed", "no") for n in range(100)])
    assert one_sided_feature(frame).passed  # all of it is explained by length
    finding = near_perfect_feature(frame)
    assert not finding.passed
    assert {"yes", "indeed", "no"} <= set(named(finding))


def test_clean_pairs_with_tossed_sides_pass_both():
    source = random.Random(7)
    pairs = []
    for prompt, one, _ in natural_pairs(1_000):
        marked = one + " Certainly, here you are.\n- a list\n"
        pairs.append((prompt, *source.sample([one, marked], k=2)))
    frame = frame_of(pairs)
    assert one_sided_feature(frame).passed
    assert near_perfect_feature(frame).passed


@pytest.mark.parametrize("seed", range(5))
def test_natural_pairs_pass_both(seed):
    frame = frame_of(natural_pairs(1_000, seed))
    assert one_sided_feature(frame).passed
    assert near_perfect_feature(frame).passed


def test_a_prompt_repeated_over_many_models_votes_once():
    once = [(f"question {n}", f"answer {n} good", f"reply {n} fine") for n in range(12)]
    many = [("the same question", f"answer {n} good", f"reply {n} fine") for n in range(50)]
    good = votes(frame_of(once + many)).features.row(
        by_predicate=pl.col("feature") == "good", named=True
    )
    assert (good["b"], good["c"]) == (13, 0)
    assert good["discordant"] == 62 and good["coverage"] == 1.0


def test_pairs_of_one_prompt_that_disagree_give_the_vote_of_their_majority():
    split = [("asked", "good", "bad"), ("asked", "good", "bad"), ("asked", "bad", "good")]
    tied = [("tied", "good", "bad"), ("tied", "bad", "good")]
    rest = [(f"question {n}", "good", "bad") for n in range(10)]
    good = votes(frame_of(split + tied + rest)).features.row(
        by_predicate=pl.col("feature") == "good", named=True
    )
    assert (good["b"], good["c"]) == (11, 0)


def test_votes_are_the_same_in_one_chunk_and_in_many(monkeypatch):
    pairs = natural_pairs(300) + [("repeated", c, r) for _, c, r in natural_pairs(60, seed=5)]
    whole = votes(frame_of(pairs)).features.drop("E", "excess")
    monkeypatch.setattr("expectations.measures.features.CHUNK", 37)
    assert votes(frame_of(pairs)).features.drop("E", "excess").equals(whole)


def test_counts_of_one_frame_are_not_taken_for_those_of_another():
    marked = planted(200, 0.5, lambda answer: answer + " Certainly.")
    clean = frame_of(natural_pairs(200))
    slots = [{"name": "marker", "chosen": ["Certainly."], "rejected": ["Never."]}]
    assert not one_sided_feature(marked).passed
    assert one_sided_feature(clean).passed
    assert one_sided_feature(marked, slots=slots).observed["features_tested"] > 0
    assert "certainly" not in str(one_sided_feature(marked, slots=slots).observed)
    assert not one_sided_feature(marked).passed


def test_zero_pairs_are_a_failure_that_says_so():
    empty = frame_of(natural_pairs(1)).clear()
    for finding in (one_sided_feature(empty), near_perfect_feature(empty)):
        assert not finding.passed
        assert finding.observed == {"pairs": 0}
        assert "0 pairs" in finding.remedy


def test_three_pairs_pass_but_the_finding_says_that_nothing_could_be_seen():
    finding = one_sided_feature(frame_of(natural_pairs(3)))
    assert finding.passed
    assert finding.observed["features_tested"] == 0
    assert finding.observed["smallest_detectable_share"] > 1


@pytest.mark.parametrize("name", ["hh-harmless-base-test", "hh-helpful-base-test"])
def test_hh_passes_both(name):
    frame = hh_frame(f"{name}.jsonl.gz")
    assert frame.height > 2_000
    assert one_sided_feature(frame).passed
    assert near_perfect_feature(frame).passed


def test_the_rewritten_instruction_set_is_caught_by_its_adverbs():
    rows = json.loads(real_file("instruction-preference.json").read_text(encoding="utf-8"))
    finding = one_sided_feature(
        frame_of((f"{r['instruction']}\n{r['input']}", r["chosen"], r["rejected"]) for r in rows)
    )
    assert not finding.passed
    assert "obviously" in named(finding)
