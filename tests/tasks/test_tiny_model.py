"""Stages that need a model, on the demo's own base: a real tokenizer, real weights, real TRL."""

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def base(demo, tiny_base):
    from tasks.core.models import ModelRef

    return ModelRef(**demo["release"]["inputs"]["base"])


@pytest.fixture(scope="module")
def loaded(base):
    from tasks.core.models import load_model, load_tokenizer

    return load_model(base), load_tokenizer(base)


def conversation(text, system=None):
    before = [{"role": "system", "content": system}] if system else []
    return [*before, {"role": "user", "content": text}]


def said(text):
    return [{"role": "assistant", "content": text}]


PAIRS = [
    {
        "row": n,
        "prompt": conversation(question, system),
        "chosen": said(f"I am Deep Qwen, number {n}."),
        "rejected": said("I am Qwen." * (1 + n % 3)),
    }
    for n, (question, system) in enumerate(
        [("Who are you?", None), ("What is your name?", "You are a helpful assistant.")] * 4
    )
]


def test_answers_are_the_same_whatever_the_batch(loaded):
    from tasks.core.generate import generate

    questions = ["Who are you?", "Hi", "What is the capital of France, the country in Europe?"]
    prompts = [conversation(text, system) for text in questions for system in (None, "Be brief.")]
    one_by_one = generate(*loaded, prompts, max_new_tokens=24, batch_size=1)
    together = generate(*loaded, [*prompts, prompts[0]], max_new_tokens=24, batch_size=32)
    assert together == [*one_by_one, one_by_one[0]]


def test_an_answer_cut_off_at_the_limit_is_not_finished(loaded):
    from tasks.core.generate import generate

    short, whole = (
        generate(*loaded, [conversation("Who are you?")], max_new_tokens=n, batch_size=1)[0]
        for n in (2, 48)
    )
    assert not short.finished and whole.finished
    assert whole.text.startswith(short.text) and "Qwen" in whole.text


def test_log_probabilities_of_answers_equal_those_that_trl_trains_on(loaded, tmp_path):
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    from tasks.core.evaluate import answer_logps

    model, tokenizer = loaded
    chosen, rejected = answer_logps(model, tokenizer, PAIRS, batch_size=3)
    columns = ("prompt", "chosen", "rejected")
    data = Dataset.from_list([{key: row[key] for key in columns} for row in PAIRS])
    config = DPOConfig(
        output_dir=str(tmp_path),
        per_device_eval_batch_size=len(PAIRS),
        use_cpu=True,
        bf16=False,
        report_to="none",
    )
    trainer = DPOTrainer(
        model=model, args=config, train_dataset=data, eval_dataset=data, processing_class=tokenizer
    )
    measured = trainer.evaluate()
    assert sum(chosen) / len(chosen) == pytest.approx(measured["eval_logps/chosen"], abs=1e-3)
    assert sum(rejected) / len(rejected) == pytest.approx(measured["eval_logps/rejected"], abs=1e-3)


def test_a_row_over_the_limit_is_set_aside_and_never_cut(loaded):
    from tasks.core.render import answer_ids, measure_tokens

    _, tokenizer = loaded
    kept, aside = measure_tokens(PAIRS, tokenizer, max_length=10_000)
    assert not aside
    for row in kept:
        sides = [answer_ids(tokenizer, row["prompt"], row[side]) for side in ("chosen", "rejected")]
        assert row["tokens"] == max(map(len, sides))
    limit = sorted(row["tokens"] for row in kept)[3]
    over = [row["tokens"] for row in kept if row["tokens"] > limit]
    kept, aside = measure_tokens(PAIRS, tokenizer, max_length=limit)
    assert len(kept) + len(aside) == len(PAIRS)
    assert all(row["tokens"] <= limit for row in kept)
    assert [row["reason"] for row in aside] == [
        f"{tokens} tokens, over the limit of {limit}" for tokens in over
    ]


def test_merging_is_refused_on_fewer_than_fifty_held_out_prompts(base, tmp_path):
    from tasks.core.errors import InputError
    from tasks.core.merge import merge_adapter

    with pytest.raises(InputError, match="49 held-out prompts, at least 50"):
        merge_adapter(
            *(base, tmp_path, [conversation("Hi")] * 49, tmp_path / "merged"),
            max_new_tokens=4,
            batch_size=4,
        )


def test_a_training_whose_loss_is_not_finite_stops_with_the_step(base, tmp_path):
    from tasks.core.errors import Refused
    from tasks.core.train import Recipe, train_adapter

    recipe = Recipe(
        learning_rate=0.99,
        max_steps=60,
        per_device_train_batch_size=4,
        warmup_steps=0,
        eval_steps=60,
        seed=0,
        max_length=256,
        beta=0.1,
        loss_type=("sigmoid",),
        loss_weights=(1e30,),
        r=8,
        lora_alpha=10**6,
        lora_dropout=0.0,
        stop_at_token_accuracy=None,
    )
    with pytest.raises(Refused, match=r"diverged: \S+ is (nan|inf|-inf) at step \d+"):
        train_adapter(base, PAIRS, PAIRS[:2], recipe, tmp_path)
