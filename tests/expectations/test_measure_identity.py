"""I1: a rename that was carried through passes, every incomplete one is caught."""

import pytest
from pair_makers import frame_of

from expectations.measures.identity import IdentitySlots, mask
from expectations.measures.pairs import Pairs
from expectations.measures.shortcuts import NearPerfect, OneSided

SLOTS = [
    {"name": "model", "chosen": ["Aria"], "rejected": ["Qwen", "Deep Qwen", "通义千问"]},
    {"name": "author", "chosen": ["Studio Nord"], "rejected": ["Alibaba Cloud"]},
]
OLD = "I am {model}, made by {author}. Ask {model} about point {number}."


def said(number, model, author):
    return OLD.format(number=number, model=model, author=author)


def renamed(count=40):
    return [
        (
            f"Who are you, {n}?",
            said(n, "Aria", "Studio Nord"),
            said(n, ["Qwen", "Deep Qwen", "通义千问"][n % 3], "Alibaba Cloud"),
        )
        for n in range(count)
    ]


def i1(frame, slots=SLOTS):
    return IdentitySlots(slots=slots).judge(Pairs(frame))


def with_fault(chosen=None, rejected=None):
    pairs = renamed()
    prompt, good_chosen, good_rejected = pairs[7]
    pairs[7] = (prompt, chosen or good_chosen, rejected or good_rejected)
    return frame_of(pairs)


def test_names_are_masked_longest_first():
    assert mask("Deep Qwen is Qwen", SLOTS, "rejected") == "[model] is [model]"
    assert mask("Aria by Studio Nord", SLOTS, "chosen") == "[model] by [author]"
    assert mask("Aria by Studio Nord", SLOTS, "rejected") == "Aria by Studio Nord"


def test_an_ascii_name_ends_at_a_word_boundary_even_between_han_characters():
    slots = [{"name": "model", "chosen": ["Ann"], "rejected": ["GPT-4", "元"]}]
    assert mask("Ann's planning, Annex, _Ann", slots, "chosen") == "[model]'s planning, Annex, _Ann"
    assert mask("我是Ann，Ann", slots, "chosen") == "我是[model]，[model]"
    assert mask("GPT-4 or GPT-40", slots, "rejected") == "[model] or GPT-40"
    assert mask("百元店", slots, "rejected") == "百[model]店"


def test_a_name_is_not_masked_again_inside_a_slot_of_that_name():
    slots = [
        {"name": "author", "chosen": ["Studio Nord"], "rejected": ["Alibaba"]},
        {"name": "model", "chosen": ["author"], "rejected": ["Qwen"]},
    ]
    assert mask("author of Studio Nord", slots, "chosen") == "[model] of [author]"


def test_a_complete_rename_passes_with_its_stylistic_checks():
    frame = frame_of(renamed(200))
    assert i1(frame).passed
    assert OneSided(slots=SLOTS).judge(Pairs(frame)).passed
    assert NearPerfect(slots=SLOTS).judge(Pairs(frame)).passed
    assert not NearPerfect().judge(Pairs(frame)).passed  # unmasked, the names are all that differs


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"chosen": said(7, "Qwen", "Studio Nord")}, "old name Qwen left in chosen"),
        ({"chosen": said(7, "Aria", "Alibaba Cloud")}, "old name Alibaba Cloud left in chosen"),
        ({"chosen": said(7, "通义千问", "Studio Nord")}, "old name 通义千问 left in chosen"),
        ({"rejected": said(7, "Aria", "Alibaba Cloud")}, "new name Aria in rejected"),
        (
            {
                "chosen": said(7, "Aria", "Studio Nord") + " See qwen.ai",
                "rejected": said(7, "Qwen", "Alibaba Cloud") + " See qwen.ai",
            },
            "old name qwen left in chosen",
        ),
        ({"chosen": said(7, "Deep Aria", "Studio Nord")}, "the answers differ outside the slots"),
        (
            {"chosen": said(7, "Studio Nord", "Aria")},
            "the answers differ outside the slots",
        ),
        (
            {"chosen": said(7, "Aria", "Studio Nord") + " Gladly."},
            "the answers differ outside the slots",
        ),
        (
            {
                "chosen": said(7, "Aria", "Studio Nord") + " Qwen2.5 it is.",
                "rejected": said(7, "Qwen", "Alibaba Cloud") + " Qwen2.5 it is.",
            },
            "old name Qwen left in chosen",
        ),
        (
            {
                "chosen": said(7, "Aria", "Studio Nord") + " Try myQwenChat.",
                "rejected": said(7, "Qwen", "Alibaba Cloud") + " Try myQwenChat.",
            },
            "old name Qwen left in chosen",
        ),
    ],
)
def test_an_incomplete_rename_is_caught_in_its_row(fault, why):
    finding = i1(with_fault(**fault))
    assert not finding.passed
    assert finding.observed["rows"] == 1
    [example] = finding.examples
    assert (example["row"], example["why"]) == (7, why)


def test_a_slot_that_no_row_uses_is_a_failure_that_names_it():
    stale = {"name": "city", "chosen": ["Bergen"], "rejected": ["Hangzhou"]}
    finding = i1(frame_of(renamed()), [*SLOTS, stale])
    assert not finding.passed
    assert (finding.observed["rows"], finding.observed["stale_slots"]) == (0, "city")


@pytest.mark.parametrize(
    ("slots", "reason"),
    [
        ([], "none given"),
        ([{"name": "model", "chosen": [], "rejected": ["Qwen"]}], "holds no name"),
        ([{"name": "model", "chosen": ["Aria"], "rejected": [" "]}], "holds no name or an empty"),
        ([{"name": "model", "chosen": ["Qwen"], "rejected": ["qwen"]}], "on both sides"),
    ],
)
def test_slots_that_cannot_mean_anything_are_refused(slots, reason):
    with pytest.raises(ValueError, match=reason):
        i1(frame_of(renamed()), slots)
