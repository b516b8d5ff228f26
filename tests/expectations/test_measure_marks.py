"""T1, T2 and W1: what the wrapping of a conversation leaves in an answer."""

import gzip
import json

import polars as pl
import pytest
from pair_makers import frame_of, hh_turns, natural_pairs

from expectations.measures.chunk import FAULT
from expectations.measures.marks import OuterSpace, RoleMarkers, SpecialTokens
from expectations.measures.pairs import Pairs


def judged(measure, pairs):
    return measure.judge(Pairs(frame_of(pairs)))


@pytest.mark.parametrize(
    "leak",
    [
        "Yes.<|im_end|>",
        "<|start_header_id|>assistant<|end_header_id|>\n\nYes.",
        "Yes.<｜end▁of▁sentence｜>",
        "[INST] Why? [/INST] Because.",
        "<<SYS>>\nBe kind.\n<</SYS>>",
        "Yes.<end_of_turn>\n<start_of_turn>model",
        "Yes.<turn|>",
        "Yes.</s>",
        "<s> Yes.",
        "<s> Yes.</s>",
        "Yes.</s><s>No.",
        "Yes.<eos>",
    ],
)
def test_a_special_token_in_one_answer_gates(leak):
    for pair in (("a", leak, "No."), ("a", "No.", leak)):
        finding = judged(SpecialTokens(), [*natural_pairs(3), pair])
        assert finding.gates and finding.rows == {"train": [3]}


@pytest.mark.parametrize(
    "ordinary",
    [
        "It cost <s>20</s> 10 now, and <s>9</s> 8 there.",
        "let c = a <| b |> d in F#, (<|>) in Haskell, the mean <|x|>",
        "<html><body><strong>[1]</strong></body></html>",
        "vector<string> and a < b | c > d, if (x <|| y)",
        "the token for the end of a turn",
    ],
)
def test_code_and_struck_words_are_no_special_tokens(ordinary):
    assert judged(SpecialTokens(), [("a", ordinary, "b")]).passed


def test_an_example_shows_the_place_of_the_token():
    finding = judged(SpecialTokens(), [("a", "word " * 100 + "<|im_end|>", "b")])
    [example] = finding.examples
    assert example["why"] == "<|im_end|> in chosen"
    assert "<|im_end|>" in example["chosen"]


def test_a_role_marker_is_reported_and_does_not_gate():
    pairs = [("a", "b\n\nHuman: c", "d\n\nHuman: e"), ("a", "Superhuman: no", "the Human said")]
    finding = judged(RoleMarkers(), pairs)
    assert not finding.passed and not finding.gates
    assert finding.rows == {"train": [0]}
    assert (finding.observed["rows"], finding.observed["answers"]) == (1, 2)


@pytest.mark.parametrize(
    ("name", "chosen", "rejected"),
    [("hh-harmless-base-test", 22, 17), ("hh-helpful-base-test", 8, 20)],
)
def test_every_role_marker_of_hh_is_counted(real_data, name, chosen, rejected):
    """The numbers of the data's README: 39 and 28 answers, rows with two prompts included."""
    with gzip.open(real_data / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    sides = [(hh_turns(row["chosen"]), hh_turns(row["rejected"])) for row in rows]
    frame = frame_of((one[:-1], one[-1:], other[-1:]) for one, other in sides)
    fault = {"check": "same_prompt", "side": "prompt", "reason": "two prompts"}
    faults = [[] if one[:-1] == other[:-1] else [fault] for one, other in sides]
    observed = RoleMarkers().judge(Pairs(frame.with_columns(pl.Series("faults", faults, FAULT))))
    assert observed.observed["in_chosen"] == chosen
    assert observed.observed["in_rejected"] == rejected
    assert observed.observed["answers"] == chosen + rejected


@pytest.mark.parametrize(
    ("chosen", "rejected", "why"),
    [
        (" b", "c", "space before chosen"),
        ("b", "\n c", "line break before rejected"),
        ("b\t", "c", "tab after chosen"),
        ("b", "c ", "space after rejected"),
        (" b", "c\n", "space before chosen, line break after rejected"),
        ("b ", "c  ", "other white space after each"),
    ],
)
def test_white_space_at_one_answer_is_named_by_its_kind(chosen, rejected, why):
    finding = judged(OuterSpace(), [*natural_pairs(2), ("a", chosen, rejected)])
    assert not finding.passed and not finding.gates
    assert finding.rows == {"train": [2]}
    assert finding.examples[0]["why"] == why
    kinds = {kind.replace(" ", "_"): 1 for kind in why.split(", ")}
    assert finding.observed.items() >= kinds.items()


@pytest.mark.parametrize("pair", [("b", "c"), (" b\n", " c\n"), (" b", ""), ("b", None)])
def test_the_same_white_space_around_both_or_an_empty_answer_passes(pair):
    assert judged(OuterSpace(), [("a", *pair)]).passed
