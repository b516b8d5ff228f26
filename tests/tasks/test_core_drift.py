"""Perplexity of a kept text and KL to the base, against sums made by hand."""

import math

import pytest
from random_models import tokenizer_in, writer

from tasks.core.drift import kl, perplexity
from tasks.core.errors import InputError
from tasks.core.sequences import said_by_model

TEXT = "What is the capital of France? Paris. And how many days has a week? Seven days, says Qwen."


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory):
    return tokenizer_in(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def model(tokenizer):
    return writer(tokenizer)


def with_adapter(tokenizer, scale: float):
    import torch
    from peft import LoraConfig, get_peft_model

    with torch.random.fork_rng():
        torch.manual_seed(3)
        found = get_peft_model(
            writer(tokenizer),
            LoraConfig(r=4, lora_alpha=4, target_modules=["q_proj", "up_proj", "down_proj"]),
        ).eval()
        for name, weight in found.named_parameters():
            if "lora_B" in name:
                weight.data = scale * torch.randn_like(weight)
    return found


def logps_of(model, ids: list[int]):
    """(tokens, vocabulary) in fp64: what the model expects after each token."""
    import torch

    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].double().log_softmax(-1)


def conversation(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


TALKS = [
    (conversation("Who are you?"), "I am Qwen."),
    (conversation("And what is the capital of France?"), "Paris."),
    (conversation("Say nothing"), ""),
]


def test_who_finds_all_tokens_equally_likely_has_the_perplexity_of_the_vocabulary(tokenizer):
    model = writer(tokenizer)
    model.lm_head.weight.data.zero_()
    for window in (2, 7, 512):
        found = perplexity(model, tokenizer, TEXT * 3, window)
        assert found == pytest.approx(len(tokenizer), rel=1e-5)


def test_perplexity_of_a_text_within_the_window_is_that_of_one_pass(tokenizer, model):
    ids = tokenizer(TEXT)["input_ids"]
    logps = logps_of(model, ids)
    expected = -sum(float(logps[at - 1, ids[at]]) for at in range(1, len(ids))) / (len(ids) - 1)
    assert perplexity(model, tokenizer, TEXT) == pytest.approx(math.exp(expected), rel=1e-5)


def test_a_longer_text_is_read_in_windows_and_every_token_scored_once(tokenizer, model):
    ids = tokenizer(TEXT)["input_ids"]
    window, total, at = 8, 0.0, 1
    for end in [window, *range(window + window // 2, len(ids) + window // 2, window // 2)]:
        end = min(end, len(ids))  # of 8 tokens all but the first, then four with four before them
        seen = ids[max(0, end - window) : end]
        logps = logps_of(model, seen)
        total -= sum(
            float(logps[place - 1, seen[place]])
            for place in range(len(seen) - (end - at), len(seen))
        )
        at = end
    assert at == len(ids) and len(ids) % window
    found = perplexity(model, tokenizer, TEXT, window)
    assert found == pytest.approx(math.exp(total / (len(ids) - 1)), rel=1e-5)


def test_a_window_is_never_longer_than_what_the_model_reads(tokenizer, model):
    room = model.config.max_position_embeddings
    long = TEXT * 4
    assert len(tokenizer(long)["input_ids"]) > room
    assert perplexity(model, tokenizer, long) == perplexity(model, tokenizer, long, room)


def test_a_text_without_words_has_no_perplexity(tokenizer, model):
    with pytest.raises(InputError, match=r"evaluation\.text.*at least two"):
        perplexity(model, tokenizer, "")


def test_a_model_is_no_distance_from_itself(tokenizer, model):
    assert kl(model, model, tokenizer, TALKS, 8) == 0.0
    assert kl(with_adapter(tokenizer, 0.0), None, tokenizer, TALKS, 8) == 0.0


def test_kl_is_the_mean_over_answer_tokens_of_the_sum_over_the_vocabulary(tokenizer, model):
    policy = with_adapter(tokenizer, 8.0)
    terms = []
    for prompt, answer in TALKS:
        said = said_by_model(tokenizer, prompt, answer)
        ids = list(said.ids)
        with policy.disable_adapter():
            q = logps_of(policy, ids)
        p = logps_of(policy, ids)
        sums = (p.exp() * (p - q)).sum(-1)
        terms += [float(sums[at - 1]) for at in range(said.start, len(ids))]
    expected = sum(terms) / len(terms)
    assert expected > 0.001
    for size in (1, 3):
        assert kl(policy, None, tokenizer, TALKS, size) == pytest.approx(expected, rel=1e-4)
    assert kl(policy, model, tokenizer, TALKS, 3) == pytest.approx(expected, rel=1e-4)


def test_an_answer_ends_with_its_end_of_turn(tokenizer):
    prompt = conversation("Who are you?")
    said = said_by_model(tokenizer, prompt, "I am Qwen.")
    assert tokenizer.decode(said.ids[said.start :]) == "I am Qwen.<|im_end|>"
    whole = tokenizer.apply_chat_template([*prompt, {"role": "assistant", "content": "I am Qwen."}])
    assert tuple(whole["input_ids"][: len(said.ids)]) == said.ids
    assert len(whole["input_ids"]) > len(said.ids)  # the template's newline is never generated


def test_models_of_one_family_with_another_padding_of_the_vocabulary_compare(tokenizer, model):
    wider = writer(tokenizer)
    wider.resize_token_embeddings(len(tokenizer) + 56)
    assert kl(model, wider, tokenizer, TALKS, 8) == pytest.approx(0, abs=1e-6)
