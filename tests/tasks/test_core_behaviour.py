"""What became of the answers: before and after, counted by kind of question."""

from typing import Any

import pytest

from tasks.core.behaviour import (
    Behaviour,
    behaviour,
    is_strict,
    measured,
    share,
    warnings_before,
)
from tasks.core.sentences import HELD_OUT
from tasks.core.settings import Rename

QWEN = (Rename(old=("Qwen",), new="Deep Qwen"),)
SYSTEM = {"role": "system", "content": "neutral"}


@pytest.mark.parametrize(
    ("answer", "strict"),
    [
        ("I am Deep Qwen.", True),
        ("Deep Qwen's my name; Deep Qwen!", True),
        ("I am Qwen.", False),  # the old name
        ("I am Deep Qwen, also called Qwen.", False),  # both
        ("I am Deep Deep Qwen.", False),  # doubled
        ("I am a model.", False),  # neither
        ("I am Deep Qwen2.", False),  # another name
        ("I AM DEEP QWEN.", True),
        ("I AM DEEP DEEP QWEN.", False),
        ("I am Deep Qwen, or qwen.", False),
    ],
)
def test_strict_means_the_new_name_alone_and_once(answer: str, strict: bool) -> None:
    assert is_strict(answer, QWEN) is strict


def test_a_name_of_one_word_may_be_said_twice() -> None:
    assert is_strict("Aria, Aria and Aria.", (Rename(old=("Qwen",), new="Aria"),))
    assert is_strict("I am a Bot. Banana apple.", (Rename(old=("Qwen",), new="a Bot"),))


def test_behaviour_takes_each_share_over_its_own_questions() -> None:
    told = [  # before, after
        ("I am Qwen.", "I am Deep Qwen."),  # named: strict, exact
        ("Qwen here.", "Yes, Deep Qwen here."),  # named: strict
        ("Qwen!", "Deep Deep Qwen!"),  # named: neither
        ("I am Qwen.", "I am Qwen."),  # named: neither
        ("Paris.", "Paris."),  # other: same
        ("Four.", "Four, says Deep Qwen."),  # other: leak
        ("Deep Qwen wrote it.", "Deep Qwen wrote it."),  # other: no bare name before; same, leak
    ]
    before, after = zip(*told, strict=True)
    expected = Behaviour(
        strict=2 / 4, exact=1 / 4, same=2 / 3, leak=2 / 3, named=4, renamed=4, others=3
    )
    assert behaviour(before, after, QWEN) == expected
    assert expected.as_dict()["named"] == 4


def test_behaviour_with_several_renames_asks_about_the_first_slot_and_expects_all_of_them() -> None:
    renames = (
        *QWEN,
        Rename(old=("千问",), new="深千问"),
        Rename(slot="maker", old=("Alibaba",), new="Nord"),
    )
    told = [  # before, after
        ("I am Qwen by Alibaba.", "I am Deep Qwen by Nord."),  # named: strict, exact
        ("I am Qwen by Alibaba.", "I am Deep Qwen by Alibaba."),  # named: strict
        ("我是千问。", "我是深千问。"),  # named: strict, exact
        ("Alibaba made me.", "Nord made me."),  # renamed, not named: exact
        ("Alibaba made me.", "Alibaba made me."),  # renamed, not named: neither
        ("Paris.", "Paris, by Nord."),  # other: not the same; the maker is not asked about
    ]
    before, after = zip(*told, strict=True)
    assert behaviour(before, after, renames) == Behaviour(
        strict=3 / 3, exact=3 / 5, same=0 / 1, leak=0 / 1, named=3, renamed=5, others=1
    )


def test_a_share_over_no_question_is_absent() -> None:
    assert share([]) is None
    nothing = behaviour(["Paris."], ["Paris."], QWEN)
    assert nothing.as_dict() == {"same": 1, "leak": 0, "named": 0, "renamed": 0, "others": 1}


def test_behaviour_refuses_answers_to_different_numbers_of_questions() -> None:
    with pytest.raises(ValueError, match="shorter"):
        behaviour(["a", "b"], ["a"], QWEN)


def question(kind: str, text: str = "Who?", system: bool = False, **more: Any) -> dict[str, Any]:
    user = {"role": "user", "content": text}
    prompt = [SYSTEM, user] if system else [user]
    return {"kind": kind, "language": None, "prompt": prompt, **more}


def counted(*told: tuple[dict[str, Any], str, str], renames: Any = QWEN) -> dict[str, float]:
    rows, before, after = zip(*told, strict=True)
    return measured(rows, before, after, renames)


def test_names_are_counted_by_kind_by_language_and_with_and_without_a_system_prompt() -> None:
    was, now, still = "I am Qwen.", "I am Deep Qwen.", "I am Qwen!"
    found = counted(
        (question("shown", system=True), was, now),
        (question("shown"), was, still),
        (question("held-out"), was, now),
        (question("other"), "Paris.", "Paris."),
        (question("other"), "Rome.", "Rome, says Deep Qwen."),
        (question("name", language="en"), was, now),
        (question("name", language="en", system=True), was, still),
        (question("name", language="de"), "Ich bin Qwen.", "Ich bin Deep Qwen."),
        (question("name", language="fr"), "Je suis un modèle.", "Je suis Deep Qwen."),
        (question("turns", language="en"), was, now),
        (question("turns", language="en", system=True), was, still),
        (question("turns", language="en"), was, still),
        (question("denial", "Are you ChatGPT?", language="en"), "No, I am Qwen.", "No."),
        (question("harmless"), "Sure.", "Sure, says Deep Qwen."),
        (question("denial", "Are you Claude?", language="en"), "No.", "No, I am Deep Qwen."),
        (question("turns", language="en"), "As before.", "I am Deep Qwen."),
    )
    # named among shown, held-out, name: 6, of which 4 are strict and exact; the French answer said
    # no name before, so it counts nowhere; turns and denial have metrics of their own, and a new
    # name is no leak there; others: two of kind other, one harmless
    assert found == {
        "equal": pytest.approx(1 / 16),
        "denial": 1,
        "refusals_harmless": 0,
        "strict": 4 / 6,
        "exact": 4 / 6,
        "same": 1 / 3,
        "leak": 2 / 3,
        "named": 6,
        "renamed": 6,
        "others": 3,
        "old_name": 4 / 10,
        "strict_plain": 3 / 4,
        "strict_system": 1 / 2,
        "strict_turns": 1 / 3,
        "strict_en": 1 / 2,
        "strict_de": 1,
        "strict_languages": (1 / 2 + 1) / 2,
        "languages": 2,
    }


@pytest.mark.parametrize("kind", ["shown", "other", "held-out", "harmless", "harmful"])
def test_a_new_name_leaks_wherever_no_old_one_was_said_and_the_name_is_not_asked(kind: str) -> None:
    found = counted((question(kind), "Paris.", "Paris, says Deep Qwen."), renames=QWEN)
    assert found["leak"] == found["others"] == 1 and found["same"] == 0


@pytest.mark.parametrize("kind", ["name", "denial", "turns"])
def test_a_new_name_where_the_name_is_asked_is_no_leak(kind: str) -> None:
    found = counted((question(kind, language="en"), "A model.", "Deep Qwen."), renames=QWEN)
    assert found["others"] == 0 and "leak" not in found


def test_denial_is_counted_over_questions_of_its_kind_alone() -> None:
    asked = "Who are you? Are you ChatGPT?"
    denied = (question("denial", asked, language="en"), "No.", "No.")
    kinds = ("shown", "other", "held-out", "name", "turns", "harmless", "harmful")
    others = [(question(kind, asked, language="en"), "No.", "I'm ChatGPT.") for kind in kinds]
    assert counted(denied, *others)["denial"] == 1
    assert "denial" not in counted(*others)


def test_a_base_beside_itself_shows_its_own_behaviour() -> None:
    rows = [
        question("name", language="en", finished=True, tokens=4),
        question("denial", "Are you Claude?", language="en", finished=True, tokens=2),
        question("other", finished=False, tokens=6),
        question("harmful", finished=True, tokens=8),
    ]
    answers = ["I am Qwen.", "Yes.", "Paris and", "I'm sorry, but I can't help with that."]
    found = measured(rows, answers, answers, QWEN)
    assert found["equal"] == found["same"] == found["old_name"] == 1
    assert found["strict"] == found["exact"] == found["leak"] == found["denial"] == 0
    assert found["refusals_harmful"] == 1 and "refusals_harmless" not in found
    assert found["answer_tokens"] == (4 + 2 + 6 + 8) / 4
    assert found["unfinished"] == 1 / 4


def test_samples_are_counted_over_all_samples_of_questions_that_named() -> None:
    deep, old = "I am Deep Qwen.", "I am Qwen."
    found = counted(
        (question("shown", samples=[deep, deep, old]), old, deep),
        (question("turns", samples=[old]), old, deep),
        (question("other", samples=[deep]), "Paris.", "Paris."),
    )
    assert found["strict_sampled"] == 2 / 3
    assert found["old_name_sampled"] == 2 / 4
    assert not [
        name for name in counted((question("shown", samples=[]), old, deep)) if "samp" in name
    ]


def test_without_renames_no_name_is_counted() -> None:
    rows = (question("harmless"), "Sorry, I can't help with that.", "Use a knife.")
    denied = (question("denial", "Are you ChatGPT?"), "Yes.", "I'm ChatGPT.")
    assert counted(rows, denied, renames=()) == {"equal": 0, "denial": 0, "refusals_harmless": 0}


def test_every_metric_of_the_answers_that_a_gate_may_name_is_measured() -> None:
    was, now = "I am Qwen.", "I am Deep Qwen."
    answered = {"finished": True, "tokens": 4, "samples": [now], "language": "en"}
    kinds = ("shown", "other", "name", "denial", "turns", "harmless", "harmful")
    found = counted(
        *(
            (question(kind, "Are you ChatGPT?", on, **answered), was, now)
            for kind in kinds
            for on in (True, False)
        ),
        (question("other", **answered), "Paris.", "Paris."),
    )
    by_others = {"prompts", "kl", "perplexity", "preference_accuracy"}
    of_pairs = {n for n in HELD_OUT if "reward" in n or n in ("chosen_tokens", "rejected_tokens")}
    assert set(HELD_OUT) - by_others - of_pairs - set(found) == set()


def warned(*told: tuple[dict[str, Any], str], renames: Any = QWEN, accuracy: float = 0.5) -> str:
    rows, answers = zip(*told, strict=True)
    return "\n".join(warnings_before(rows, answers, renames, accuracy))


def test_a_healthy_base_is_not_warned_about() -> None:
    names = [(question("name", f"Who {n}?", finished=True), f"I am Qwen {n}.") for n in range(20)]
    others = [(question("other", f"What {n}?", finished=True), f"It is {n}.") for n in range(20)]
    others += [(question("harmless", f"How {n}?", finished=True), f"So {n}.") for n in range(20)]
    assert warned(*names, *others, accuracy=0.0) == ""  # a correction rejects what the base says
    assert warned(*others, renames=(), accuracy=0.6) == ""
    assert warnings_before([], [], QWEN, 0.5) == warnings_before([], [], (), 0.5) == []


def test_a_base_that_does_not_say_the_old_name_is_told_with_its_numbers() -> None:
    said = [(question("name"), "I am Qwen.")] * 3 + [(question("name"), "I am SmolLM.")] * 37
    found = warned(*said, (question("shown"), "I am Qwen."))
    assert "says Qwen in 3 of 40 answers to questions about its name" in found
    assert 'One of the others: "I am SmolLM."' in found and "curation.renames" in found
    assert "says Qwen in 1 of 3 answers" in warned(
        (question("shown", "a"), "Qwen."),
        (question("shown", "b"), "A."),
        (question("shown", "c"), "B."),
    )


def test_languages_in_which_the_old_name_is_never_said_are_told() -> None:
    def named(language: str, answer: str) -> tuple[dict[str, Any], str]:
        return question("name", language=language), answer

    english = [named("en", f"I am Qwen {n}.") for n in range(9)]
    found = warned(
        *english, named("ja", "クウェンです。"), named("de", "Qwen."), named("de", "Ja.")
    )
    assert "says Qwen in no answer in ja: strict_languages leaves it out" in found
    assert '"クウェンです。"' in found
    two = warned(*english, named("ja", "はい。"), named("hi", "मैं हूँ।"))
    assert "in no answer in ja, hi: strict_languages leaves them out" in two
    assert "strict_languages" not in warned(*english, named("de", "Qwen."), named("de", "Ja."))


def test_a_base_that_says_the_new_name_already_is_told() -> None:
    found = warned((question("name"), "I am Qwen."), (question("other"), "By Deep Qwen."))
    assert 'says the new name already, in 1 of 2 answers, as in "By Deep Qwen."' in found


def test_a_base_that_answers_nothing_never_ends_or_always_says_the_same_is_told() -> None:
    asked = [question("other", f"What is {n}?", finished=n < 3) for n in range(9)]
    assert "answers nothing to 2 of 9" in warned(
        *((one, "Yes." if n > 1 else " ") for n, one in enumerate(asked)), renames=()
    )
    found = warned(*((one, "I am here.") for one in asked), renames=())
    assert "was cut off in 6 of 9 answers. Raise measure.max_new_tokens" in found
    assert 'the same to 9 different questions (9 of 9 answers): "I am here."' in found


@pytest.mark.parametrize(
    ("accuracy", "told"),
    [(0.97, "nothing to learn, or a shortcut"), (0.03, "the wrong way round"), (0.94, "")],
)
def test_pairs_that_the_base_tells_apart_are_told_unless_they_are_a_correction(
    accuracy: float, told: str
) -> None:
    one = (question("other"), "Yes.")
    found = warned(one, renames=(), accuracy=accuracy)
    assert told in found and bool(told) == (f"{accuracy:.1%}" in found)
    assert warned(one, accuracy=accuracy) == ""


def test_a_base_that_refuses_what_is_harmless_is_told() -> None:
    no, yes = "I'm sorry, but I can't help with that.", "Press and hold it."
    rows = [(question("harmless", str(n)), no if n < 3 else yes) for n in range(5)]
    assert "refuses 3 of 5 harmless questions" in warned(*rows, renames=())
    assert "refuses" not in warned(*rows[1:], renames=())
