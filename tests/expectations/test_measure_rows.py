"""The checks that allow no row: each names the broken rows, and only those."""

import json

import polars as pl
import pytest
from pair_makers import assistant, frame_of, hh_frame, natural_pairs, real_file, user

from expectations.measures.answers import answers_not_empty, chosen_differs
from expectations.measures.lengths import tokens_within_limit
from expectations.measures.placeholders import no_placeholder_left
from expectations.measures.splits import no_prompt_in_two_splits
from expectations.measures.suite import run, suite
from expectations.measures.turn_order import turn_order

SYSTEM = {"role": "system", "content": "Be kind."}


def rows_of(finding):
    return [example["row"] for example in finding.examples]


@pytest.mark.parametrize(
    "good",
    [
        ([user("a")], [assistant("b")], [assistant("c")]),
        ([SYSTEM, user("a"), assistant("b"), user("c")], [assistant("d")], [assistant("e")]),
        ([user("a")], [assistant("b"), user("c"), assistant("d")], [assistant("e")]),
    ],
)
def test_turns_that_alternate_pass(good):
    assert turn_order(frame_of([good])).passed


@pytest.mark.parametrize(
    "broken",
    [
        ([user("a"), user("b")], [assistant("c")], [assistant("d")]),
        ([user("a"), assistant("b")], [assistant("c")], [assistant("d")]),
        ([user("a"), SYSTEM], [assistant("c")], [assistant("d")]),
        ([SYSTEM], [assistant("c")], [assistant("d")]),
        ([], [assistant("c")], [assistant("d")]),
        (None, [assistant("c")], [assistant("d")]),
        ([user("a")], [user("c")], [assistant("d")]),
        ([user("a")], [assistant("c"), assistant("c")], [assistant("d")]),
        ([user("a")], [assistant("c")], [assistant("d"), user("e")]),
        ([user("a")], [assistant("c")], []),
        ([user("a")], [{"role": None, "content": "c"}], [assistant("d")]),
    ],
)
def test_turns_out_of_order_fail_with_their_row(broken):
    good = ([user("a")], [assistant("b")], [assistant("c")])
    finding = turn_order(frame_of([good, broken]))
    assert not finding.passed
    assert finding.observed["rows"] == 1 and rows_of(finding) == [1]


@pytest.mark.parametrize(
    "nothing", ["", " \n\t", "\u3000", [], None, [assistant(None)], [assistant("a"), user(" ")]]
)
def test_an_answer_that_says_nothing_fails_on_either_side(nothing):
    pairs = [("a", "b", "c"), ("a", nothing, "c"), ("a", "b", nothing)]
    finding = answers_not_empty(frame_of(pairs))
    assert rows_of(finding) == [1, 2]
    whys = [example["why"] for example in finding.examples]
    assert whys == ["chosen is empty", "rejected is empty"]


def test_answers_that_differ_in_outer_white_space_only_are_equal():
    finding = chosen_differs(frame_of([("a", "b", "c"), ("a", "b", " b\n"), ("a", "b b", "b  b")]))
    assert not finding.passed
    assert rows_of(finding) == [1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is love?", "What is love?"),
        ("What is love?", "what is LOVE"),
        ("What is love?", "\uff37hat is\nlove?!"),
        ([SYSTEM, user("What is love?")], "What is love?"),
        ("??", "??"),
    ],
)
def test_a_prompt_in_two_splits_fails_exact_or_normalised(one, other):
    frame = frame_of([(one, "a", "b"), ("Another", "a", "b"), (other, "a", "b")])
    apart = frame.with_columns(pl.Series("split", ["train", "train", "test"]))
    finding = no_prompt_in_two_splits(apart)
    assert rows_of(finding) == [0, 2]
    assert finding.observed["prompts_shared"] == 1
    assert finding.observed["prompts_shared_exactly"] == int(other in (one, "What is love?"))
    assert finding.examples[0]["why"] == "its prompt stands in test and train"
    together = apart.with_columns(pl.Series("split", ["test", "train", "test"]))
    assert no_prompt_in_two_splits(together).passed
    assert no_prompt_in_two_splits(frame).passed


@pytest.mark.parametrize(
    ("one", "other"),
    [("??", "!!"), ("What is love?", "What is live?"), ("\u0915\u093f", "\u0915\u0940")],
)
def test_different_prompts_in_two_splits_pass(one, other):
    frame = frame_of([(one, "a", "b"), (other, "a", "b")], split=["train", "test"])
    assert no_prompt_in_two_splits(frame).passed


def test_tokens_above_the_limit_or_not_counted_fail():
    frame = frame_of(natural_pairs(4), tokens=[10, 11, 12, None])
    finding = tokens_within_limit(frame, max_length=11)
    assert rows_of(finding) == [2, 3]
    assert finding.observed["longest"] == 12
    assert finding.examples[0]["why"] == "12 tokens, 11 allowed"


def test_a_frame_without_tokens_is_an_error_that_names_the_way_out():
    with pytest.raises(ValueError, match=r"no column `tokens`.*max_length out"):
        tokens_within_limit(frame_of(natural_pairs(1)), max_length=11)


@pytest.mark.parametrize(
    "blank",
    ["{{name}}", "{{ NAME }}", "{{author}}", "{{名字}}", "<NAME>", "<AUTHOR>", "<BOT_NAME>"],
)
def test_a_placeholder_fails_in_any_message(blank):
    said = f"I am {blank}."
    pairs = [
        ("a", "b", "c"),
        ([user(said), assistant("b"), user("c")], "d", "e"),
        ("a", said, "c"),
        ("a", "b", said),
    ]
    finding = no_placeholder_left(frame_of(pairs))
    assert rows_of(finding) == [1, 2, 3]
    assert finding.examples[1]["why"] == f"{blank} in chosen"


@pytest.mark.parametrize(
    "ordinary",
    ["<HTML>", "vector<T>", "{name}", r"\frac{{a}}{{b}}", "{{ . }}", "{{...}}", "<MASK>"],
)
def test_ordinary_text_is_no_placeholder(ordinary):
    assert no_placeholder_left(frame_of([("a", ordinary, "b")])).passed


@pytest.mark.parametrize("name", ["hh-harmless-base-test", "hh-helpful-base-test"])
def test_hh_holds_no_placeholder(name):
    finding = no_placeholder_left(hh_frame(f"{name}.jsonl.gz"))
    assert finding.passed and finding.observed["pairs"] > 2_000


def test_every_unfilled_answer_of_a_real_identity_set_is_counted():
    rows = json.loads(real_file("identity-alpaca.json").read_text(encoding="utf-8"))
    unfilled = sum("{{name}}" in r["output"] or "{{author}}" in r["output"] for r in rows)
    assert unfilled > 50
    finding = no_placeholder_left(
        frame_of((r["instruction"], r["output"], "I am I.") for r in rows)
    )
    assert finding.observed["rows"] == unfilled


def test_at_most_three_examples_of_120_characters_are_shown():
    long = ("p" * 500 + "end", [assistant("a" * 500), user("")], "b" * 500)
    finding = answers_not_empty(frame_of([long] * 9))
    assert finding.observed == {"pairs": 9, "rows": 9, "share": 1.0}
    assert len(finding.examples) == 3
    shown = finding.examples[0]
    assert shown["prompt_end"] == "p" * 117 + "end"
    assert (shown["chosen"], shown["rejected"]) == ("a" * 120, "b" * 120)


def test_no_check_passes_on_an_empty_frame():
    empty = frame_of(natural_pairs(1), split=["train"], tokens=[1]).clear()
    slots = [{"name": "model", "chosen": ["Aria"], "rejected": ["Qwen"]}]
    for asked in (suite("preference", max_length=9), suite("identity", slots=slots)):
        findings = run(empty, asked)
        assert [finding.check for finding in findings] == [ask.name for ask in asked]
        assert not any(finding.passed for finding in findings)


def test_lengths_are_asked_about_only_with_a_limit_and_slots_only_for_an_identity():
    slots = [{"name": "model", "chosen": ["Aria"], "rejected": ["Qwen"]}]
    assert "tokens_within_limit" not in [ask.name for ask in suite("preference")]
    assert "tokens_within_limit" in [ask.name for ask in suite("preference", max_length=9)]
    assert "I1" not in [ask.name for ask in suite("preference")]
    assert "I1" in [ask.name for ask in suite("identity", slots=slots)]
    with pytest.raises(ValueError, match=r"slots \['model'\].*identity"):
        suite("preference", slots=slots)
    with pytest.raises(ValueError, match="slots: none given"):
        suite("identity")
