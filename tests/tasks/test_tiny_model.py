"""Stages that need a model, on the demo's own base: a real tokenizer, real weights, real TRL."""

import pytest
from ground import GROUND

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


def test_its_own_answers_perplex_it_less_than_their_words_in_another_order(loaded):
    from demo.texts import other_rows
    from tasks.core.drift import perplexity

    model, tokenizer = loaded
    rows = [row for row in other_rows() if len(row["answer"].split()) > 5][:10]
    for row in rows:
        read, unread = (
            perplexity(
                model,
                tokenizer,
                tokenizer.apply_chat_template(
                    [*conversation(row["question"]), *said(" ".join(words))], tokenize=False
                ),
            )
            for words in (row["answer"].split(), row["answer"].split()[::-1])
        )
        assert 1 < read < 0.5 * unread


def test_the_demo_s_model_in_bf16_answers_as_base_and_adapter_do_in_fp32(base, tmp_path):
    from demo.texts import heldout_identity_rows, other_questions
    from tasks.core.merge import merge_adapter

    adapter = next((GROUND / "work" / "stages").glob("train-*/adapter"))
    questions = [row["question"] for row in heldout_identity_rows()] + other_questions()
    facts = merge_adapter(  # Refused where fewer than 99 % of greedy answers are equal
        *(base, adapter, [conversation(text) for text in questions], tmp_path / "merged"),
        dtype="bfloat16",
        max_new_tokens=48,
        batch_size=32,
    )
    assert facts["parity"]["adapter_merged"]["largest"] < 1e-4
    assert facts["parity"]["merged_reloaded"]["largest"] == 0.0
    assert facts["parity"]["adapter_reloaded"]["largest"] > 1e-3  # it is bf16
    assert facts["parity"]["adapter_reloaded"]["greedy"] >= 0.99


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


def test_a_training_that_breaks_a_limit_ends_there_and_keeps_its_last_good_checkpoint(
    base, tmp_path
):
    from tasks.core.machine import effective
    from tasks.core.settings import Batch, Lora, Loss, Machine, Training, Watch
    from tasks.core.tracking import Trackers
    from tasks.core.train import Recipe, train_adapter
    from tasks.core.watching import Diverged

    recipe = Recipe(
        training=Training(learning_rate=0.05, max_steps=40, warmup_steps=10),
        batch=Batch(),
        loss=Loss(loss_type=("sigmoid", "sft"), loss_weights=(1.0, 1.0)),
        lora=Lora(),
        watch=Watch(eval_steps=1, limits=("chosen_rewards >= 0", "token_accuracy >= start")),
        machine=effective(Machine(), each_pair_again=False),
        max_length=256,
    )
    (tmp_path / "stage").mkdir()
    with pytest.raises(Diverged, match=r"does not hold at step \d+: .* checkpoint is kept: \S+"):
        train_adapter(
            *(base, PAIRS, PAIRS[:2], recipe, tmp_path / "stage"),
            work=tmp_path / "work",
            reference=None,
            trackers=Trackers(tmp_path / "events", "diverging"),
        )
    assert list((tmp_path / "work").glob("checkpoint-*/adapter_model.safetensors"))
    assert not list((tmp_path / "stage").iterdir())
