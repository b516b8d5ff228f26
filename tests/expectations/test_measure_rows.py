"""The checks that allow no row: each names the broken rows, and only those.

A long file: eight checks of single rows, judged in one pass.
"""

import json

import polars as pl
import pytest
from pair_makers import assistant, frame_of, hh_frame, natural_pairs, real_file, user

from expectations.measures.answers import Answers, TwoAnswers
from expectations.measures.chunk import FAULT
from expectations.measures.lengths import Tokens
from expectations.measures.pairs import Pairs
from expectations.measures.placeholders import Placeholders
from expectations.measures.suite import CHECKS, PROFILES, run, suite
from expectations.measures.turn_order import TurnOrder

SYSTEM = {"role": "system", "content": "Be kind."}
TOOL = {"role": "tool", "content": "t"}


def judged(measure, frame):
    return measure.judge(Pairs(frame))


def rows_of(finding):
    return [example["row"] for example in finding.examples]


@pytest.mark.parametrize(
    "good",
    [
        ([user("a")], [assistant("b")], [assistant("c")]),
        ([SYSTEM, user("a"), assistant("b"), user("c")], [assistant("d")], [assistant("e")]),
        ([user("a")], [assistant("b"), user("c"), assistant("d")], [assistant("e")]),
        (
            [user("a"), assistant("b"), TOOL],
            [assistant("c")],
            [assistant("d"), TOOL, assistant("e")],
        ),
    ],
)
def test_turns_that_alternate_pass(good):
    assert judged(TurnOrder(), frame_of([good])).passed


@pytest.mark.parametrize(
    "broken",
    [
        ([user("a"), user("b")], [assistant("c")], [assistant("d")]),
        ([user("a"), assistant("b")], [assistant("c")], [assistant("d")]),
        ([user("a"), SYSTEM], [assistant("c")], [assistant("d")]),
        ([SYSTEM], [assistant("c")], [assistant("d")]),
        ([], [assistant("c")], [assistant("d")]),
        ([user("a")], [user("c")], [assistant("d")]),
        ([user("a")], [assistant("c"), assistant("c")], [assistant("d")]),
        ([user("a")], [assistant("c")], [assistant("d"), user("e")]),
        ([user("a")], [assistant("c")], []),
        ([user("a"), TOOL], [assistant("c")], [assistant("d")]),
        ([user("a")], [assistant("c"), TOOL], [assistant("d")]),
        ([user("a")], [{"role": None, "content": "c"}], [assistant("d")]),
    ],
)
def test_turns_out_of_order_fail_with_their_row(broken):
    good = ([user("a")], [assistant("b")], [assistant("c")])
    finding = judged(TurnOrder(), frame_of([good, broken]))
    assert not finding.passed
    assert finding.observed["rows"] == 1 and rows_of(finding) == [1]


@pytest.mark.parametrize(
    "nothing",
    [
        *("", " \n\t", "\u3000", "\u200b", "\u00a0", "\ufeff \u2060", "\u00ad\u200e", "\u3164"),
        *([], [assistant(None)], [assistant("a"), user(" ")]),
    ],
)
def test_an_answer_that_says_nothing_fails_on_either_side(nothing):
    pairs = [("a", "b", "c"), ("a", nothing, "c"), ("a", "b", nothing)]
    finding = judged(Answers(), frame_of(pairs))
    assert rows_of(finding) == [1, 2]
    whys = [example["why"] for example in finding.examples]
    assert whys == ["chosen is empty", "rejected is empty"]


@pytest.mark.parametrize("side", ["prompt", "chosen", "rejected"])
def test_a_side_that_is_missing_fails_unless_the_parser_has_said_why(side):
    pair = {"prompt": "a", "chosen": "b", "rejected": "c"} | {side: None}
    frame = frame_of([("a", "b", "c"), tuple(pair.values())])
    finding = judged(Answers(), frame)
    assert rows_of(finding) == [1]
    assert finding.examples[0]["why"] == f"{side} is missing"
    said = [[], [{"check": "turn_order", "side": side, "reason": "not a list"}]]
    faulty = frame.with_columns(pl.Series("faults", said, FAULT))
    assert judged(Answers(), faulty).passed
    assert not judged(TurnOrder(), faulty).passed


def test_conversations_need_no_second_answer():
    frame = frame_of([("a", "b", None), ("a", " ", None)])
    [finding] = run(Pairs(frame), suite("preference", only("P1"), one_sided=True))
    assert rows_of(finding) == [1]


@pytest.mark.parametrize("little", [".", "\u200b!", "\U0001f44d\ufe0f", "0", "…", "我", "\ue000"])
def test_an_answer_of_one_sign_says_something(little):
    assert judged(Answers(), frame_of([("a", little, "c")])).passed


def test_an_empty_inner_turn_of_a_prompt_fails():
    pairs = [("a", "b", "c"), ([user("a"), assistant(" "), user("b")], "c", "d")]
    finding = judged(Answers(), frame_of(pairs))
    assert (rows_of(finding), finding.examples[0]["why"]) == ([1], "prompt is empty")


def test_answers_that_differ_in_outer_white_space_only_are_equal():
    finding = judged(
        TwoAnswers(), frame_of([("a", "b", "c"), ("a", "b", " b\n"), ("a", "b b", "b  b")])
    )
    assert not finding.passed
    assert rows_of(finding) == [1]


@pytest.mark.parametrize(("equal", "severity"), [(2, "warning"), (3, "critical")])
def test_equal_answers_are_said_and_gate_above_two_in_a_hundred(equal, severity):
    pairs = natural_pairs(100 - equal) + [("a", "b", "b")] * equal
    finding = judged(TwoAnswers(), frame_of(pairs))
    assert not finding.passed
    assert finding.severity == severity
    assert finding.number == f"{equal} rows ({equal} %)"


def test_hh_may_hold_some_empty_answers_and_other_sets_none():
    frame = frame_of([*natural_pairs(199), ("a", "", "b")])
    [of_hh] = run(Pairs(frame), suite("hh", only("P1")))
    [of_others] = run(Pairs(frame), suite("preference", only("P1")))
    assert (of_hh.gates, of_others.gates) == (False, True)
    assert not of_hh.passed and rows_of(of_hh) == [199]
    assert PROFILES["hh"]["P1"]["max_share"] >= 1 / 200


@pytest.mark.parametrize("profile", PROFILES)
def test_what_a_profile_changes_is_valid_though_nothing_validates_it_at_run_time(profile):
    for check, fields in PROFILES[profile].items():
        assert CHECKS[check](**fields) == CHECKS[check].model_construct(**fields)


def test_tokens_above_the_limit_or_not_counted_fail():
    frame = frame_of(natural_pairs(4), tokens=[10, 11, 12, None])
    finding = judged(Tokens(max_length=11), frame)
    assert rows_of(finding) == [2, 3]
    assert finding.observed["longest"] == 12
    assert finding.examples[0]["why"] == "12 tokens, 11 allowed"


def test_a_few_rows_above_the_limit_are_said_and_more_of_them_gate():
    for long, gates in ((5, False), (6, True)):
        frame = frame_of(natural_pairs(100), tokens=[12] * long + [11] * (100 - long))
        finding = judged(Tokens(max_length=11), frame)
        assert not finding.passed and finding.gates is gates


def test_a_frame_without_tokens_is_an_error_that_names_the_way_out():
    with pytest.raises(ValueError, match=r"no column `tokens`.*max_length out"):
        judged(Tokens(max_length=11), frame_of(natural_pairs(1)))


@pytest.mark.parametrize(
    "blank",
    [
        *("{{name}}", "{{ NAME }}", "{{author}}", "{{名字}}", "{{bot-name}}", "{{your name}}"),
        *("<NAME>", "<AUTHOR>", "<BOT_NAME>"),
    ],
)
def test_a_placeholder_fails_in_any_message(blank):
    said = f"I am {blank}."
    pairs = [
        ("a", "b", "c"),
        ([user(said), assistant("b"), user("c")], "d", "e"),
        ("a", said, "c"),
        ("a", "b", said),
    ]
    finding = judged(Placeholders(), frame_of(pairs))
    assert rows_of(finding) == [1, 2, 3]
    assert finding.examples[1]["why"] == f"{blank} in chosen"


@pytest.mark.parametrize(
    "ordinary",
    [
        *("<HTML>", "vector<T>", "{name}", r"\frac{{a}}{{b}}", "{{ . }}", "{{...}}", "<MASK>"),
        *("{{Infobox person}}", "{{Infobox company}}", "{{cite web}}", "Best,\n[Your Name]"),
        *("Write `{{name}}` there.", "So:\n```\n<p>{{ name }}</p>\n```\nDone.", "```\n{{name}}"),
    ],
)
def test_ordinary_text_is_no_placeholder(ordinary):
    assert judged(Placeholders(), frame_of([("a", ordinary, "b")])).passed


def test_a_placeholder_beside_code_is_seen():
    said = "Use `x` or\n```\n{{name}}\n```\nas {{author}} told."
    finding = judged(Placeholders(), frame_of([("a", said, "b")]))
    assert finding.examples[0]["why"] == "{{author}} in chosen"


@pytest.mark.parametrize("name", ["hh-harmless-base-test", "hh-helpful-base-test"])
def test_hh_holds_no_placeholder(name):
    finding = judged(Placeholders(), hh_frame(f"{name}.jsonl.gz"))
    assert finding.passed and finding.observed["pairs"] > 2_000


def test_every_unfilled_answer_of_a_real_identity_set_is_counted():
    rows = json.loads(real_file("identity-alpaca.json").read_text(encoding="utf-8"))
    unfilled = sum("{{name}}" in r["output"] or "{{author}}" in r["output"] for r in rows)
    assert unfilled > 50
    answers = frame_of((r["instruction"], r["output"], None) for r in rows)
    finding = judged(Placeholders(), answers)
    assert finding.observed["rows"] == unfilled


def test_at_most_three_examples_of_120_characters_are_shown():
    long = ("p" * 500 + "end", [assistant("a" * 500), user("")], "b" * 500)
    finding = judged(Answers(), frame_of([long] * 9))
    assert finding.observed == {"pairs": 9, "rows": 9, "share": 1.0, "in_chosen": 9}
    assert len(finding.examples) == 3
    shown = finding.examples[0]
    assert shown["prompt_end"] == "p" * 117 + "end"
    assert (shown["chosen"], shown["rejected"]) == ("a" * 120, "b" * 120)


SLOTS = [{"name": "model", "chosen": ["Aria"], "rejected": ["Qwen"]}]


def only(*checks):
    """Changes that leave out all others."""
    return {ask.check: None for ask in suite("preference") if ask.check not in checks}


def test_no_check_passes_on_an_empty_frame():
    pairs = Pairs(frame_of(natural_pairs(1), split=["train"], tokens=[1]).clear())
    reference = Pairs(frame_of(natural_pairs(100)))
    known = {"max_length": 9, "template_adds": "", "reference": reference}
    for asked in (suite("preference", **known), suite("identity", slots=SLOTS, **known)):
        findings = run(pairs, asked)
        assert [finding.check for finding in findings] == [ask.check for ask in asked]
        assert [finding.check for finding in findings if finding.passed] == []


def names(asked):
    return [ask.check for ask in asked]


def test_a_check_is_asked_where_what_it_needs_is_known():
    assert "tokens_within_limit" not in names(suite("preference"))
    assert "tokens_within_limit" in names(suite("preference", max_length=9))
    assert "I1" not in names(suite("preference"))
    assert "I1" in names(suite("identity", slots=SLOTS))
    assert "system_prompt" not in names(suite("preference"))
    assert "system_prompt" in names(suite("preference", template_adds=""))
    with pytest.raises(ValueError, match=r"slots \['model'\].*identity"):
        suite("preference", slots=SLOTS)
    with pytest.raises(ValueError, match="slots: none given"):
        suite("identity")


@pytest.mark.parametrize(
    ("check", "change", "needs"),
    [
        ("tokens_within_limit", {"max_length": 9}, "a tokenizer"),
        ("prompt_is_prefix", {"max_share": 0.1}, "a tokenizer"),
        ("system_prompt", {"severity": "critical"}, "a tokenizer"),
        ("L3", {"z": 2.0}, "a reference set"),
        ("language_drift", {"severity": "critical"}, "a reference set"),
        ("I1", {"max_share": 0.1}, 'the profile "identity"'),
    ],
)
def test_a_setting_of_a_check_that_is_not_asked_is_refused_with_what_it_needs(check, change, needs):
    with pytest.raises(ValueError, match=rf"^{check}\.{next(iter(change))} = .*it needs {needs}"):
        suite("preference", {check: change})
    assert check not in names(suite("preference", {check: None}))


def test_a_suite_file_may_serve_pairs_and_conversations():
    asked = suite("preference", {"S1": {"purity": 0.95}}, one_sided=True)
    assert "S1" not in {measure.check for measure in asked}


@pytest.mark.parametrize(
    ("check", "change"),
    [
        ("S1", {"slots": SLOTS}),
        ("P1", {"two_sided": False}),
        ("system_prompt", {"adds": ""}),
        ("L3", {"reference": {}}),
    ],
)
def test_what_only_the_caller_knows_is_no_setting(check, change):
    known = {"template_adds": "", "reference": Pairs(frame_of(natural_pairs(100)))}
    with pytest.raises(ValueError, match="unknown; known: ") as refused:
        suite("preference", {check: change}, **known)
    assert next(iter(change)) not in str(refused.value).partition("known: ")[2]


@pytest.mark.parametrize("value", [True, "0.95", None, [0.95]])
def test_a_number_is_a_number(value):
    with pytest.raises(ValueError, match=r"S1\.purity = "):
        suite("preference", {"S1": {"purity": value}})
    assert suite("preference", only("S1") | {"S1": {"purity": 1}})[0].purity == 1
