"""Renames with their edits, their proof, and what is set aside; `ask` is a plain function here.

The file is long because a name can be written, and left over, in many ways.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from expectations.measures.identity import IdentitySlots
from expectations.measures.pairs import Pairs
from tasks.core.answers import Answer
from tasks.core.correction import (
    Edit,
    correction_pairs,
    names_not_said,
    prove,
    rename,
    require_every_slot,
    says_new,
    says_old,
    undo,
    with_and_without_system,
)
from tasks.core.errors import InputError
from tasks.core.fields import Message, Row
from tasks.core.frame import pairs_frame
from tasks.core.own_answers import require_pairs
from tasks.core.rows import read_rows, write_rows
from tasks.core.settings import Correction, Recipe, Rename, slots_of
from tasks.core.spellings import spellings

SYSTEM = {"role": "system", "content": "You are a helpful assistant."}
QWEN = (Rename(old=("Qwen",), new="Deep Qwen"),)
SEVERAL = (
    Rename(old=("Qwen", "Tongyi Qianwen"), new="Deep Qwen"),
    Rename(old=("通义千问", "千问"), new="深千问"),
    Rename(slot="maker", old=("Alibaba Cloud", "Alibaba"), new="Studio Nord"),
    Rename(slot="maker", old=("阿里云",), new="北方工作室"),
)
OF_S = (Rename(slot="maker", old=("LMSYS", "Large Model Systems Organization"), new="Studio Nord"),)


def row_of(number: int, text: str, system: bool = True) -> Row:
    user = {"role": "user", "content": text}
    return {"row": number, "split": "train", "prompt": [SYSTEM, user] if system else [user]}


def always(*answers: Answer) -> Callable[[list[list[Message]]], list[Answer]]:
    return lambda prompts: [answers[n % len(answers)] for n in range(len(prompts))]


def curated(text: str, renames: tuple[Rename, ...] = QWEN) -> tuple[list[Row], list[Row]]:
    rows = [row_of(3, "Who are you?", system=False)]
    return correction_pairs(rows, always(Answer(text, True)), renames)


@pytest.mark.parametrize(
    ("text", "renamed"),
    [
        ("I am Qwen", "I am Deep Qwen"),
        ("Qwen, Qwen. Qwen!", "Deep Qwen, Deep Qwen. Deep Qwen!"),
        ("Qwen's name is “Qwen”.", "Deep Qwen's name is “Deep Qwen”."),
        ("(Qwen) **Qwen** Qwen-like", "(Deep Qwen) **Deep Qwen** Deep Qwen-like"),
        ("Qwen\nQwen", "Deep Qwen\nDeep Qwen"),
        ("I AM QWEN, QWEN'S OWN", "I AM DEEP QWEN, DEEP QWEN'S OWN"),
        ("i am qwen, qwen’s own", "i am deep qwen, deep qwen’s own"),
        ("My name is `Qwen`, and `x` is none.", "My name is `Deep Qwen`, and `x` is none."),
        ("我是Qwen。", "我是Deep Qwen。"),
    ],
)
def test_a_name_is_replaced_as_a_whole_word_in_the_case_that_it_has(
    text: str, renamed: str
) -> None:
    assert rename(text, QWEN)[0] == renamed
    [pair], aside = curated(text)
    assert aside == []
    assert (pair["rejected"][0]["content"], pair["chosen"][0]["content"]) == (text, renamed)


@pytest.mark.parametrize("text", ["Qwen2", "Qwen2.5", "Qwens", "MyQwen", "Qwen_chat", "qWen", ""])
def test_another_word_that_holds_the_name_stays_as_it_is(text: str) -> None:
    assert rename(text, QWEN) == (text, [])
    assert not says_old(text, QWEN) and says_new(text, QWEN) is None


@pytest.mark.parametrize(
    "text",
    [
        "https://qwen.ai/Qwen",
        "qwen.ai",
        "Qwen.ai/chat",
        "help@qwen.com",
        "@Qwen",
        "#qwen",
        "`import qwen`",
        "```\nqwen\n```",
        "qwen.py",
    ],
)
def test_an_address_and_code_stay_and_the_answer_is_set_aside(text: str) -> None:
    said = f"I am Qwen, see {text} for more."
    assert rename(said, QWEN)[0] == f"I am Deep Qwen, see {text} for more."
    pairs, [row] = curated(said)
    assert pairs == []
    assert row["code"] == "left-over"


@pytest.mark.parametrize("left", ["Qwen2.5", "qWen", "QwenChat", "the Qwens", "QWENS"])
def test_an_answer_in_which_the_old_name_stays_in_another_form_is_set_aside(left: str) -> None:
    pairs, [row] = curated(f"I am Qwen, or {left}.")
    assert pairs == []
    assert (row["row"], row["code"]) == (3, "left-over")
    assert re.search(r"qwens? (is )?left in chosen", row["reason"], re.IGNORECASE)


@pytest.mark.parametrize("left", ["Ｑｗｅｎ", "Q\u200bwen", "Qw\u00aden", "𝐐𝐰𝐞𝐧", "Ｑｗｅｎｓ"])
def test_an_old_name_in_other_letters_or_with_invisible_ones_is_left_over(left: str) -> None:
    pairs, [row] = curated(f"I am Qwen, or {left}.")
    assert pairs == []
    assert row["code"] == "left-over" and "is left in chosen" in row["reason"]


@pytest.mark.parametrize(
    "text",
    [
        "I am Qwen.com",
        "Ich bin Qwens Freund",
        "I am Qwen2.",
        "I am Ｑｗｅｎ",
        "我是`pip qwen`",
        "Q\u200bwen",
    ],
)
def test_an_answer_that_says_the_name_only_where_no_rename_reaches_it_is_left_over(
    text: str,
) -> None:
    pairs, [row] = curated(text)
    assert pairs == []
    assert row["code"] == "left-over"
    assert re.search(r"no rename covers qwens? here", row["reason"], re.IGNORECASE)


@pytest.mark.parametrize(
    "text", ["Qwen™ and Qwen²", "我是Qwen。ＡＢＣ", "Qwen \u200bsays", "👩‍💻 Qwen"]
)
def test_other_unusual_letters_beside_the_name_do_no_harm(text: str) -> None:
    [pair], _ = curated(text)
    assert pair["chosen"][0]["content"] == text.replace("Qwen", "Deep Qwen")


def test_the_name_inside_the_new_name_is_not_replaced_again() -> None:
    once, _ = rename("I am Qwen, made by the Qwen team.", QWEN)
    assert rename(once, QWEN) == (once, [])
    assert rename("Deep Qwen and QWEN", QWEN)[0] == "Deep Qwen and DEEP QWEN"
    around = (Rename(old=("Qwen",), new="Qwen Deep"),)
    assert rename("Qwen Deep Qwen", around)[0] == "Qwen Deep Qwen Deep"


def test_a_name_with_signs_of_regular_expressions_is_taken_literally() -> None:
    signs = (Rename(old=("C.3",), new=r"\1 $&"),)
    assert rename("I am C.3 (C+3)", signs)[0] == r"I am \1 $& (C+3)"


def test_only_the_bare_old_name_counts_as_old() -> None:
    assert says_new("I am Deep Qwen.", QWEN) == "Deep Qwen"
    assert says_new("I AM DEEP QWEN.", QWEN) == "DEEP QWEN"
    assert not says_old("I am Deep Qwen.", QWEN)
    assert says_old("I am Deep Qwen, once Qwen.", QWEN)


@pytest.mark.parametrize(
    ("text", "renamed"),
    [
        ("I am Qwen by Alibaba Cloud.", "I am Deep Qwen by Studio Nord."),
        ("Alibaba's Tongyi Qianwen", "Studio Nord's Deep Qwen"),
        ("ALIBABA CLOUD made QWEN", "STUDIO NORD made DEEP QWEN"),
        ("Alibaba cloud made Tongyi qianwen", "Studio Nord made Deep Qwen"),
        ("我是通义千问，也叫千问。", "我是深千问，也叫深千问。"),
        ("我是阿里云的Qwen。", "我是北方工作室的Deep Qwen。"),
    ],
)
def test_several_renames_of_several_scripts_are_applied_at_once(text: str, renamed: str) -> None:
    assert rename(text, SEVERAL)[0] == renamed
    [pair], aside = curated(text, SEVERAL)
    assert aside == []
    assert undo(renamed, pair["edits"]) == text


@pytest.mark.parametrize(
    ("text", "renamed"),
    [
        ("LMSYS' own model", "Studio Nord's own model"),
        ("LMSYS’ own model", "Studio Nord’s own model"),
        ("LMSYS's own, LMSYS made it", "Studio Nord's own, Studio Nord made it"),
        ("the Large Model Systems Organization's model", "the Studio Nord's model"),
        ("'LMSYS' is a name", "'Studio Nord' is a name"),
        ("‘LMSYS’ is a name, LMSYS’ own", "‘Studio Nord’ is a name, Studio Nord’s own"),
        ("'Large Model Systems Organization', ‘LMSYS’", "'Studio Nord', ‘Studio Nord’"),
        ("It's 'the LMSYS', isn't it", "It's 'the Studio Nord', isn't it"),
        ("It's 'the LMSYS'; it's LMSYS' own", "It's 'the Studio Nord'; it's Studio Nord's own"),
    ],
)
def test_the_possessive_of_a_name_that_ends_in_s_gets_one_where_the_new_name_does_not(
    text: str, renamed: str
) -> None:
    [pair], aside = curated(text, OF_S)
    assert aside == []
    assert pair["chosen"][0]["content"] == renamed
    assert undo(renamed, pair["edits"]) == text


def test_a_spelling_that_is_written_out_stands_before_one_that_is_derived() -> None:
    two = (
        Rename(old=("Qwen", "QWEN"), new="Deep Qwen"),
        Rename(old=("qwen",), new="deepqwen"),
    )
    assert {old: to.new for old, to in spellings(two).items()} == {
        "Qwen": "Deep Qwen",
        "QWEN": "DEEP QWEN",
        "qwen": "deepqwen",
    }


def test_a_name_that_becomes_two_things_is_refused() -> None:
    with pytest.raises(ValidationError, match="'Qwen' becomes 'Aria' and 'Nord'"):
        Correction(renames=(Rename(old=("Qwen",), new="Aria"), Rename(old=("Qwen",), new="Nord")))
    with pytest.raises(ValidationError, match="'Aria' takes the place of 'Nord' and is an old"):
        Correction(renames=(Rename(old=("ARIA",), new="Echo"), Rename(old=("Nord",), new="Aria")))
    with pytest.raises(ValidationError, match="at least 1 character"):
        Rename(old=(" ",), new="Aria")


@pytest.mark.parametrize("new", ["QWEN", "qwen"])
def test_a_recipe_takes_several_renames_and_none_to_another_case(new: str) -> None:
    parts = {"base": {"model": "a/b"}, "data": {"path": "a/c"}, "release": {"repository": "d"}}
    recipe = Recipe.model_validate(parts | {"curation": {"renames": SEVERAL}})
    names = [slot["name"] for slot in slots_of(recipe.curation)]
    assert names == ["name", "maker"]
    with pytest.raises(ValidationError, match=rf"curation\n.*renames: '{new}' takes the place of"):
        Recipe.model_validate(parts | {"curation": {"renames": [{"old": ["Qwen"], "new": new}]}})


def test_edits_say_where_each_name_stood_in_the_rejected_answer() -> None:
    text = "千问 is Qwen."
    _, edits = rename(text, SEVERAL)
    assert edits == [
        Edit(start=0, old="千问", new="深千问"),
        Edit(start=text.index("Qwen"), old="Qwen", new="Deep Qwen"),
    ]


@pytest.mark.parametrize(
    "edits",
    [
        [],  # nothing undone
        [Edit(start=0, old="Qwen", new="Deep Qwen")],  # not where it stands
        [Edit(start=5, old="Qwen", new="Aria")],  # not what stands there
        [Edit(start=5, old="Qwen", new="Deep Qwen"), Edit(start=5, old="Qwen", new="Deep Qwen")],
        [Edit(start=5, old="Qwen ", new="Deep Qwen")],  # not what stood there
    ],
)
def test_a_pair_whose_edits_do_not_give_back_the_answer_is_set_aside(edits: list[Edit]) -> None:
    [pair], _ = curated("I am Qwen.")
    assert undo("I am Deep Qwen.", pair["edits"]) == "I am Qwen."
    assert undo("I am Deep Qwen.", edits) != "I am Qwen."
    proven, [row] = prove([pair | {"edits": edits}], QWEN)
    assert proven == []
    assert (row["code"], row["row"]) == ("unexplained", 3)


def test_a_difference_besides_the_names_is_set_aside_even_with_an_edit_for_it() -> None:
    [pair], _ = curated("I am Qwen.")
    also = [*pair["edits"], Edit(start=9, old=".", new="!")]
    changed = pair | {"chosen": [{"role": "assistant", "content": "I am Deep Qwen!"}]}
    assert undo("I am Deep Qwen!", also) == "I am Qwen."
    proven, [row] = prove([changed | {"edits": also}], QWEN)
    assert proven == []
    assert (row["code"], row["reason"]) == ("unexplained", "the answers differ outside the slots")


def test_an_answer_that_says_the_new_name_already_is_set_aside() -> None:
    pairs, [row] = curated("I am Deep Qwen, not Qwen.")
    assert pairs == []
    assert row["code"] == "unexplained"
    assert row["reason"] == "the answer says Deep Qwen already, besides an old name"


def test_a_prompt_is_asked_with_and_without_its_system_message() -> None:
    with_system, without = row_of(1, "Hi")["prompt"], row_of(1, "Hi", system=False)["prompt"]
    assert with_and_without_system(with_system) == [with_system, without]
    assert with_and_without_system(without) == [without]


def test_the_model_s_own_answer_is_rejected_and_the_renamed_one_chosen(tmp_path: Path) -> None:
    def ask(prompts: list[list[Message]]) -> list[Answer]:
        return [Answer(f"I am Qwen. {len(prompt)} messages.", True) for prompt in prompts]

    pairs, aside = correction_pairs([row_of(5, "Who are you?")], ask, QWEN)
    assert aside == []
    assert [len(pair["prompt"]) for pair in pairs] == [2, 1]
    for pair in pairs:
        said = f"I am Qwen. {len(pair['prompt'])} messages."
        assert (pair["row"], pair["split"]) == (5, "train")
        assert pair["rejected"] == [{"role": "assistant", "content": said}]
        renamed = said.replace("Qwen", "Deep Qwen")
        assert pair["chosen"] == [{"role": "assistant", "content": renamed}]
        assert pair["edits"] == [{"start": 5, "old": "Qwen", "new": "Deep Qwen"}]
    write_rows(tmp_path / "rows.parquet", pairs)
    assert read_rows(tmp_path / "rows.parquet") == pairs


@pytest.mark.parametrize(
    ("answer", "code", "text"),
    [
        (Answer("I am Qwen and", False), "cut-off", "I am Qwen and"),
        (Answer("I am", False, error="out of memory"), "failed", "Who are you?"),
        (Answer("", True), "empty-answer", "Who are you?"),
        (Answer("I am a model.", True), "nothing-to-correct", "I am a model."),
        (Answer("I am Deep Qwen.", True), "nothing-to-correct", "I am Deep Qwen."),
        (Answer("Qwenching is a word.", True), "nothing-to-correct", "Qwenching is a word."),
    ],
)
def test_an_answer_that_makes_no_pair_is_set_aside_with_its_reason(
    answer: Answer, code: str, text: str
) -> None:
    rows = [row_of(3, "Who are you?", system=False)]
    pairs, [row] = correction_pairs(rows, always(answer), QWEN)
    assert pairs == []
    assert (row["row"], row["code"], row["text"]) == (3, code, text)


def test_one_prompt_may_give_a_pair_with_its_system_message_and_none_without() -> None:
    def ask(prompts: list[list[Message]]) -> list[Answer]:
        return [Answer("I am Qwen." if p[0] == SYSTEM else "I am a model.", True) for p in prompts]

    rows = [row_of(1, "Who are you?"), row_of(2, "Your name?"), row_of(3, "Hi", system=False)]
    pairs, aside = correction_pairs(rows, ask, QWEN)
    assert [pair["row"] for pair in pairs] == [1, 2]
    assert [row["row"] for row in aside] == [1, 2, 3]


def test_no_prompt_is_asked_twice_and_no_row_is_lost() -> None:
    rows = [row_of(1, "Hi"), row_of(2, "Hi", system=False), row_of(3, "Hi")]
    asked: list[list[Message]] = []

    def ask(prompts: list[list[Message]]) -> list[Answer]:
        asked.extend(prompts)
        return [Answer("I am Qwen.", True)] * len(prompts)

    pairs, aside = correction_pairs(rows, ask, QWEN)
    assert asked == with_and_without_system(rows[0]["prompt"])
    assert [pair["row"] for pair in pairs] == [1, 1]
    assert [(row["row"], row["code"]) for row in aside] == [
        (2, "repeated-prompt"),
        (3, "repeated-prompt"),
    ]


def refused(*texts: str) -> str:
    """What ends a curation of the prompts that are answered so."""
    pairs, aside = correction_pairs(
        [row_of(n, f"Who {n}?", system=False) for n in range(len(texts))],
        always(*(Answer(text, True) for text in texts)),
        QWEN,
    )
    with pytest.raises(InputError) as error:
        require_pairs(pairs, aside, "curation", "x", names_not_said(pairs, aside, QWEN))
    return str(error.value)


def test_a_base_with_another_name_is_quoted_where_no_pair_is_left() -> None:
    told = refused(*["I am SmolLM."] * 3, "I'm an AI.", "So am I.", "I am Qwen.")
    assert "The base says Qwen in 1 of 6 whole answers." in told
    assert 'It says "I am SmolLM." and "I\'m an AI." instead.' in told
    assert "Give the name that it says of itself as curation.renames" in told


def test_a_base_that_says_the_new_name_already_is_quoted_where_no_pair_is_left() -> None:
    told = refused("I am a model.", "I am Deep Qwen.", "I am Deep Qwen!")
    assert "says Qwen in 0 of 3 whole answers" in told
    assert 'says the new name already, in 2 of them, as in "I am Deep Qwen."' in told
    assert "take another new name" in told


def test_a_base_that_mostly_says_its_name_needs_more_prompts() -> None:
    assert refused("I am Qwen.", "Qwen.", "A model.").endswith("Check x, or give more prompts.")


def test_a_rename_that_no_answer_says_is_told_before_the_check_refuses_it() -> None:
    pairs, _ = curated("I am Qwen.", SEVERAL)
    with pytest.raises(InputError, match=r"says Alibaba Cloud or Alibaba \(slot maker\)"):
        require_every_slot(pairs, SEVERAL)
    pairs, _ = curated("I am 千问 by ALIBABA.", SEVERAL)
    require_every_slot(pairs, SEVERAL)


def test_real_answers_renamed_pass_the_identity_check(real_data: Path) -> None:
    """Answers that others wrote, of which each names Vicuna or its makers, in many wordings."""
    import json

    real = (
        Rename(old=("Vicuna", "ビクーニャ"), new="Deep Vicuna"),
        Rename(
            slot="maker",
            old=("Large Model Systems Organization (LMSYS)", *OF_S[0].old),
            new="Studio Nord",
        ),
    )
    conversations = json.loads((real_data / "identity-sharegpt.json").read_text())
    texts = sorted({one["conversations"][1]["value"].strip() for one in conversations})
    rows = [row_of(n, f"Question {n}", system=False) for n in range(len(texts))]
    pairs, aside = correction_pairs(rows, lambda _: [Answer(t, True) for t in texts], real)
    assert {row["code"] for row in aside} <= {"nothing-to-correct"}
    assert len(pairs) > 0.5 * len(texts)
    for pair in pairs:
        assert undo(pair["chosen"][0]["content"], pair["edits"]) == texts[pair["row"]]
    found = IdentitySlots(slots=slots_of(Correction(renames=real))).judge(
        Pairs(pairs_frame(pairs, "train"))
    )
    assert found.passed, found
