"""Rules and reward models: a real tokenizer, real classifiers, a real Hub."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from random_models import classifier, tokenizer_in, writer

from tasks.core.errors import InputError
from tasks.core.fields import Message
from tasks.core.score_answers import (
    Score,
    judge,
    load_reward_model,
    reward_scores,
    rule_score,
    words,
)
from tasks.core.settings import Judging, Rule, Sampling


def asked(text: str) -> list[Message]:
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("I am Aria.", 4.0),  # the pattern, and shorter than five
        ("I am a model of some kind.", 1.0),  # longer than five
        ("I am Aria, a model of some kind.", 3.0),
        ("Five words and no more.", 0.0),
        ("Sorry, but I can't do that.", -9.0),  # six words, refused
        ("", 2.0),
    ],
)
def test_the_score_by_rules_is_the_sum_of_the_rules_that_hold(text: str, score: float) -> None:
    rules = (
        Rule(pattern=r"\bAria\b", score=2.0),
        Rule(longer_than=5, score=1.0),
        Rule(shorter_than=5, score=2.0),
        Rule(refusal=True, score=-10.0),
    )
    assert rule_score(text, rules) == score
    assert judge(Judging(rules=rules), None, 8)([(asked("Hi"), text)]) == [Score(score)]


def test_words_are_counted_by_the_character_where_no_spaces_are_written() -> None:
    assert words("Well -- “I'm” fine, …") == ["well", "i'm", "fine"]
    assert words("我是 Aria。") == ["我", "是", "aria"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the models here are so small that a second thread only waits
    yield tokenizer_in(tmp_path_factory.mktemp("tokenizer"))
    torch.set_num_threads(threads)


SCORED = [
    (asked("Who are you?"), "I am Qwen."),
    (asked("Hi"), "Hello! How can I help you on this fine day?"),
    ([{"role": "system", "content": "Be brief."}, *asked("Hi")], "Hello."),
]


@pytest.mark.parametrize("padding", ["its own", "its end of sequence", "none"])
def test_a_reward_is_that_of_the_conversation_alone_whatever_the_batch(
    tokenizer: Any, padding: str
) -> None:
    import torch

    named = {"its own": tokenizer.pad_token_id, "its end of sequence": tokenizer.eos_token_id}
    model = classifier(tokenizer, pad_token_id=named.get(padding))
    alone = []
    for prompt, text in SCORED:
        ids = tokenizer.apply_chat_template([*prompt, {"role": "assistant", "content": text}])
        with torch.inference_mode():
            alone.append(model(torch.tensor([ids["input_ids"]])).logits[0, 0].item())
    for batch_size in (1, 2, 8):
        scores = reward_scores(model, tokenizer, SCORED, batch_size)
        assert [one.value for one in scores] == pytest.approx(alone, abs=1e-6)
    assert len({round(value, 4) for value in alone}) == len(SCORED)


def test_what_the_reward_model_cannot_read_has_no_score_but_a_reason(tokenizer: Any) -> None:
    model = classifier(tokenizer)
    long = (asked("Hi"), "Hello. " * 64)
    first, second = reward_scores(model, tokenizer, [SCORED[0], long], 8)
    assert first.value is not None and first.error is None
    assert second.value is None
    assert second.error is not None and second.error.endswith("tokens, the reward model reads 64")

    refusing = type(tokenizer).from_pretrained(tokenizer.name_or_path)
    refusing.chat_template = "{{ raise_exception('no system message') }}"
    [score] = reward_scores(model, refusing, SCORED[:1], 8)
    told = "the reward model's chat template refuses it: no system message"
    assert score == Score(None, told)

    model.score.weight.data.fill_(float("nan"))
    assert reward_scores(model, tokenizer, SCORED[:1], 8) == [
        Score(None, "the reward model gives nan")
    ]


@pytest.mark.parametrize(("fits", "scored"), [(2, 3), (0, 0)])
def test_a_batch_that_does_not_fit_is_halved(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch, fits: int, scored: int
) -> None:
    """Memory for `fits` conversations at once; torch says it in these words on the CPU."""
    model = classifier(tokenizer)
    expected = reward_scores(model, tokenizer, SCORED, 8)
    asked_at_once: list[int] = []
    forward = model.forward

    def limited(ids: Any, **options: Any) -> Any:
        asked_at_once.append(len(ids))
        if len(ids) > fits:
            raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate")
        return forward(ids, **options)

    monkeypatch.setattr(model, "forward", limited)
    found = reward_scores(model, tokenizer, SCORED, 8)
    known = [(one, other) for one, other in zip(found, expected, strict=True) if one.error is None]
    assert len(known) == scored
    assert all(one.value == pytest.approx(other.value, abs=1e-6) for one, other in known)
    assert asked_at_once == [3, 1, 1, 1]
    assert all(
        one.error in (None, "out of memory, with nothing else in the batch") for one in found
    )


def test_no_answer_to_score_is_no_error(tokenizer: Any) -> None:
    assert reward_scores(classifier(tokenizer), tokenizer, [], 8) == []


def test_a_reward_model_comes_from_the_hub_and_anything_else_is_refused(
    hub: object, tokenizer: Any, tmp_path: Path
) -> None:
    from huggingface_hub import HfApi

    from tasks.core.models import ModelRef, resolve_model

    api = HfApi()

    def pushed(name: str, model: Any, template: bool = True) -> ModelRef:
        folder = tmp_path / name
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        if not template:
            (folder / "chat_template.jinja").unlink()
        repo = api.create_repo(f"pairpress/{name}").repo_id
        api.upload_folder(folder_path=folder, repo_id=repo)
        return resolve_model(repo, "main", "on_policy.judge.reward_model")

    model = classifier(tokenizer)
    reward = pushed("reward", model)
    scores = judge(Judging(reward_model=reward.repo), reward, 32)(SCORED)
    expected = reward_scores(model, tokenizer, SCORED, 8)
    assert [one.value for one in scores] == pytest.approx([one.value for one in expected])

    for name, other, template, told in (
        ("writer", writer(tokenizer), True, "lack score.weight, so its scores"),
        ("two-labels", classifier(tokenizer, num_labels=2), True, "it has 2 outputs"),
        ("no-chat", model, False, "no chat template"),
    ):
        with pytest.raises(InputError, match=told):
            load_reward_model(pushed(name, other, template))


def test_sampled_answers_judged_by_a_reward_model_make_the_same_pairs_in_any_batch(
    tokenizer: Any,
) -> None:
    """The real sampler, on a random model whose answers are a few words long."""
    from tasks.core.generate import sample
    from tasks.core.on_policy import on_policy_pairs

    model, reward = writer(tokenizer), classifier(tokenizer)
    questions = ["Hi", "Who are you?", "What is the capital of France?", "Your name?"]
    rows = [{"row": n, "split": "train", "prompt": asked(q)} for n, q in enumerate(questions)]
    drawn = Sampling(samples=5, max_new_tokens=12)
    settings = drawn.model_dump(exclude={"batch_size"})

    def made(size: int) -> tuple[list[Any], list[Any], list[Any]]:
        return on_policy_pairs(
            rows,
            lambda prompts: sample(model, tokenizer, prompts, **settings, batch_size=size),
            lambda scored: reward_scores(reward, tokenizer, scored, size),
            Judging(reward_model="a/b"),
        )

    pairs, aside, completions = made(1)
    assert len(completions) == len(rows) * drawn.samples
    assert {row["row"] for row in pairs} | {row["row"] for row in aside} == set(range(len(rows)))
    assert pairs
    for pair in pairs:
        own = [
            one
            for one in completions
            if one["row"] == pair["row"] and one["finished"] and one["score"] is not None
        ]
        best, worst = (pick(own, key=lambda one: one["score"]) for pick in (max, min))
        assert (pair["chosen"], pair["rejected"]) == (best["completion"], worst["completion"])
    again = made(16)[0]
    for key in ("row", "chosen", "rejected"):
        assert [pair[key] for pair in pairs] == [pair[key] for pair in again]
