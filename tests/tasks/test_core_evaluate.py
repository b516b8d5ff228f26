"""What training changed: behaviour on held-out questions, rewards on held-out pairs."""

import pytest

from tasks.core.errors import InputError
from tasks.core.evaluate import (
    Behaviour,
    ask_and_score,
    behaviour,
    bootstrap_interval,
    is_strict,
    preference_accuracy,
    questions_of,
    reward_metrics,
    share,
)
from tasks.core.settings import Rename

QWEN = (Rename(old=("Qwen",), new="Deep Qwen"),)


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


def test_a_share_over_no_question_is_zero() -> None:
    assert share([]) == 0.0
    nothing = behaviour(["Paris."], ["Paris."], QWEN)
    assert (nothing.named, nothing.strict, nothing.exact, nothing.same) == (0, 0.0, 0.0, 1.0)


def test_behaviour_refuses_answers_to_different_numbers_of_questions() -> None:
    with pytest.raises(ValueError, match="shorter"):
        behaviour(["a", "b"], ["a"], QWEN)


ALONE = [str(number) for number in range(2500)]  # each pair with a prompt of its own


def test_reward_metrics_are_beta_times_the_change_in_log_probability() -> None:
    policy = ([-1.0, -2.0, -4.0, -2.0], [-3.0, -1.0, -1.0, -2.0])
    reference = ([-2.0, -2.0, -3.0, -2.0], [-2.0, -1.0, -2.0, -5.0])
    # chosen - reference: 1, 0, -1, 0; rejected - reference: -1, 0, 1, 3; wins: 1, tie, 0, 0
    found = reward_metrics(policy, reference, beta=0.5, prompts=list("abcd"))
    assert (found["pairs"], found["prompts"]) == (4, 4)
    assert found["reward_accuracy"] == pytest.approx((1 + 0.5 + 0 + 0) / 4)
    assert found["chosen_reward"] == pytest.approx(0.5 * (1 + 0 - 1 + 0) / 4)
    assert found["rejected_reward"] == pytest.approx(0.5 * (-1 + 0 + 1 + 3) / 4)
    assert found["reward_margin"] == pytest.approx(0.5 * (2 + 0 - 2 - 3) / 4)
    assert found["reward_accuracy_low"] < found["reward_accuracy"] < found["reward_accuracy_high"]


def test_a_model_beside_itself_has_no_rewards_and_accuracy_of_chance() -> None:
    logps = ([-1.5, -2.0], [-3.0, -1.0])
    found = reward_metrics(logps, logps, beta=0.1, prompts=["a", "b"])
    assert (found["chosen_reward"], found["rejected_reward"], found["reward_margin"]) == (0, 0, 0)
    assert found["reward_accuracy"] == found["reward_accuracy_low"] == 0.5


def test_the_interval_is_as_wide_as_the_normal_approximation_says() -> None:
    for count in (100, 2500):
        low, high = bootstrap_interval([1.0, 0.0] * (count // 2), ALONE[:count])
        width = 2 * 1.96 * (0.5 * 0.5 / count) ** 0.5
        assert low < 0.5 < high
        assert high - low == pytest.approx(width, rel=0.15)


def test_the_interval_is_the_same_every_time() -> None:
    values = [1.0, 0.0, 0.5, 1.0, 1.0]
    assert bootstrap_interval(values, ALONE[:5]) == bootstrap_interval(values, ALONE[:5])
    assert bootstrap_interval([1.0] * 20, ALONE[:20]) == (1.0, 1.0)


def test_pairs_of_one_prompt_count_as_one_draw() -> None:
    """Each of 100 prompts asked four times, always with one outcome: as wide as 100 alone."""
    once = bootstrap_interval([1.0, 0.0] * 50, ALONE[:100])
    grouped = [name for name in ALONE[:100] for _ in range(4)]
    four_times = bootstrap_interval([1.0] * 4 * 50 + [0.0] * 4 * 50, grouped)
    assert four_times[1] - four_times[0] == pytest.approx(once[1] - once[0], rel=0.15)


def test_preference_accuracy_counts_a_tie_half() -> None:
    assert preference_accuracy(([-1.0, -2.0, -3.0, -4.0], [-2.0, -2.0, -1.0, -5.0])) == 2.5 / 4


def test_questions_are_asked_with_and_without_a_system_prompt() -> None:
    system = {"role": "system", "content": "neutral"}
    shown, other = ({"role": "user", "content": text} for text in ("Your name?", "Capital?"))
    bare, under = [{"role": "user", "content": "Hi"}], [system, {"role": "user", "content": "Ho"}]
    found = questions_of(
        ["Your name?"], [{"prompt": bare}, {"prompt": under}], ["Capital?"], "neutral"
    )
    assert found == [
        ("shown", [system, shown]),
        ("shown", [shown]),
        ("other", [system, other]),
        ("other", [other]),
        ("held-out", bare),
        ("held-out", under),
        ("held-out", under[1:]),
    ]


def test_no_held_out_pair_is_refused_before_the_model_is_asked() -> None:
    with pytest.raises(InputError, match=r"Raise splits\.test"):
        ask_and_score(None, None, [], [], max_new_tokens=1, batch_size=1, title="before")
