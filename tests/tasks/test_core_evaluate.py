"""What is measured of one model, and what two of them say about a training."""

import pytest
from chat_templates import tokenizer_of
from random_models import tokenizer_in, writer

from tasks.core.errors import InputError
from tasks.core.evaluate import (
    Asked,
    Scores,
    askable,
    asked,
    bootstrap_interval,
    metrics,
    preference_accuracy,
    read_asked,
    reward_metrics,
    score,
)
from tasks.core.settings import Measure

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


def test_the_mean_margin_has_an_interval_as_wide_as_the_normal_approximation_says() -> None:
    rewards = [1.0, -0.5] * 500  # of the chosen answers, at beta 1; mean 0.25, deviation 0.75
    still = [0.0] * 1000
    found = reward_metrics((rewards, still), (still, still), beta=1.0, prompts=ALONE[:1000])
    low, high = found["reward_margin_low"], found["reward_margin_high"]
    assert low < found["reward_margin"] == 0.25 < high
    assert high - low == pytest.approx(2 * 1.96 * 0.75 / 1000**0.5, rel=0.15)


def test_an_interval_that_reaches_below_zero_says_that_the_margin_may_be_none() -> None:
    rewards, still = [1.0, -0.9] * 10, [0.0] * 20
    found = reward_metrics((rewards, still), (still, still), beta=1.0, prompts=ALONE[:20])
    assert found["reward_margin"] > 0 > found["reward_margin_low"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory):
    return tokenizer_in(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def model(tokenizer):
    return writer(tokenizer)


def asking(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def answering(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


PAIRS = [
    {"prompt": asking(question), "chosen": answering(good), "rejected": answering(bad)}
    for question, good, bad in (
        ("Who are you?", "I am Deep Qwen.", "I am Qwen, a language model."),
        ("What is the capital of France?", "Paris.", "Rome"),
        ("Hi", "Hello, and what may I do for you today?", "Hi"),
        ("Hi", "Hello.", ""),
    )
]
QUESTIONS = [
    {"kind": kind, "language": "en", "prompt": asking(text)}
    for kind, text in (("shown", "Who are you?"), ("held-out", "Hi"), ("held-out", "And you?"))
]
SHORT = Measure(max_new_tokens=6, batch_size=2)


def test_an_answer_is_as_likely_as_the_product_of_its_tokens(tokenizer, model) -> None:
    import torch

    found = score(model, tokenizer, PAIRS, batch_size=3)
    for side, logps, tokens in (
        ("chosen", found.chosen, found.chosen_tokens),
        ("rejected", found.rejected, found.rejected_tokens),
    ):
        for row, logp, count in zip(PAIRS, logps, tokens, strict=True):
            start = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True)
            ids = tokenizer.apply_chat_template(row["prompt"] + row[side])["input_ids"]
            with torch.no_grad():
                expected = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
            places = range(len(start["input_ids"]), len(ids))
            assert count == len(places)
            one_by_one = sum(float(expected[at - 1, ids[at]]) for at in places)
            assert logp == pytest.approx(one_by_one, abs=1e-4)


def test_log_probabilities_equal_those_that_trl_trains_on(tokenizer, model, tmp_path) -> None:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    found = score(model, tokenizer, PAIRS, batch_size=2)
    data = Dataset.from_list(PAIRS)
    config = DPOConfig(
        output_dir=str(tmp_path),
        per_device_eval_batch_size=len(PAIRS),
        use_cpu=True,
        bf16=False,
        report_to="none",
        disable_tqdm=True,
    )
    trainer = DPOTrainer(
        model=model,
        ref_model=writer(tokenizer),
        args=config,
        train_dataset=data,
        eval_dataset=data,
        processing_class=tokenizer,
    )
    measured = trainer.evaluate()
    for side, logps in (("chosen", found.chosen), ("rejected", found.rejected)):
        mean = sum(logps) / len(logps)
        assert mean == pytest.approx(measured[f"eval_logps/{side}"], abs=1e-3)


def test_scores_are_the_same_whatever_the_batch(tokenizer, model) -> None:
    alone, together = (score(model, tokenizer, PAIRS, batch_size=size) for size in (1, 8))
    assert alone.chosen == pytest.approx(together.chosen, abs=1e-5)
    assert alone.rejected == pytest.approx(together.rejected, abs=1e-5)
    assert alone.chosen_tokens == together.chosen_tokens


def test_one_model_is_asked_everything_and_read_back_as_it_was(tokenizer, model, tmp_path) -> None:
    found = asked(
        *(model, tokenizer, QUESTIONS, PAIRS, SHORT), text="A text of some words.", title="before"
    )
    assert [{key: row[key] for key in QUESTIONS[0]} for row in found.answers] == QUESTIONS
    for row in found.answers:
        assert 0 < row["tokens"] <= 6 and row["samples"] == []
        assert row["finished"] or row["tokens"] == 6
    assert found.perplexity > 1
    assert found.kl is None  # it is its own base
    found.write(tmp_path)
    assert read_asked(tmp_path) == found


def test_samples_are_drawn_when_asked_and_the_same_every_time(tokenizer, model, tmp_path) -> None:
    some = SHORT.model_copy(update={"samples": 3, "temperature": 1.0})
    first, second = (
        asked(model, tokenizer, QUESTIONS, PAIRS, some, text=None, title="before") for _ in range(2)
    )
    assert first == second
    assert first.perplexity is None
    assert all(len(row["samples"]) == 3 for row in first.answers)
    assert any(len(set(row["samples"])) > 1 for row in first.answers)
    first.write(tmp_path)
    assert read_asked(tmp_path) == first


def test_an_adapter_is_compared_with_its_base_on_held_out_prompts(tokenizer, model) -> None:
    from peft import LoraConfig, get_peft_model

    from tasks.core.drift import kl

    adapter = LoraConfig(r=2, target_modules=["down_proj"], init_lora_weights=False)
    policy = get_peft_model(writer(tokenizer), adapter).eval()
    found = asked(policy, tokenizer, QUESTIONS, PAIRS, SHORT, text=None, title="after")
    talks = [(row["prompt"], row["answer"]) for row in found.answers if row["kind"] == "held-out"]
    assert len(talks) == 2
    assert found.kl == kl(policy, None, tokenizer, talks, SHORT.batch_size) > 0
    shown = [row for row in QUESTIONS if row["kind"] == "shown"]
    assert asked(policy, tokenizer, shown, PAIRS, SHORT, text=None, title="after").kl is None


def test_questions_that_a_chat_template_refuses_are_told_apart(tmp_path) -> None:
    gemma = tokenizer_of(tmp_path, "Gemma")
    system = {"role": "system", "content": "Be brief."}
    under = {**QUESTIONS[0], "prompt": [system, *QUESTIONS[0]["prompt"]]}
    assert askable(gemma, [QUESTIONS[0], under, QUESTIONS[1]]) == (QUESTIONS[:2], [under])


def made(chosen: list[float], **more: float) -> Asked:
    return Asked(
        answers=[],
        scores=Scores(chosen, [0.0, 0.0], chosen_tokens=[3, 5], rejected_tokens=[2, 1]),
        perplexity=more.get("perplexity"),
        kl=more.get("kl"),
    )


def test_metrics_of_a_model_against_its_base() -> None:
    before = made([-1.0, -1.0], perplexity=20.0)
    found = metrics(made([1.0, 0.0], perplexity=21.0, kl=0.5), before, 0.1, ["a", "b"])
    assert found["reward_margin"] == pytest.approx(0.1 * (2 + 1) / 2)
    assert (found["perplexity"], found["kl"]) == (21.0, 0.5)
    assert (found["chosen_tokens"], found["rejected_tokens"]) == (4.0, 1.5)
    assert found["preference_accuracy"] == (1 + 0.5) / 2


def test_metrics_of_the_base_itself_have_no_margin_and_no_distance() -> None:
    before = made([-1.0, -1.0])
    found = metrics(before, before, 0.1, ["a", "b"])
    assert (found["reward_margin"], found["reward_accuracy"], found["kl"]) == (0.0, 0.5, 0.0)
    assert "perplexity" not in found


def test_no_held_out_pair_is_refused_before_the_model_is_asked() -> None:
    with pytest.raises(InputError, match=r"Raise splits\.test"):
        asked(None, None, [], [], SHORT, text=None, title="before")
