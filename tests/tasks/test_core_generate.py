"""Own answers: alike in any company, kept as they come, and what happens when memory runs out.

Over 300 lines: all of it needs the same small models and the same prompts.
"""

import json
from pathlib import Path

import pytest

QUESTIONS = ["Who are you?", "Hi", "What is the capital of France, a country in Europe? " * 3]
PROMPTS = [
    [*([{"role": "system", "content": system}] if system else []), {"role": "user", "content": q}]
    for q in QUESTIONS
    for system in (None, "Be brief.", "You are a helpful assistant who says little.")
]
GREEDY = {"max_new_tokens": 24, "title": "answers"}
SAMPLED = {**GREEDY, "samples": 3, "temperature": 0.9, "top_p": 0.9, "seed": 7}
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def tokenizer():
    """Every byte a token, and three special ones."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=259,
        special_tokens=["<|im_start|>", "<|im_end|>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    pieces.train_from_iterator(QUESTIONS, trainer)
    made = PreTrainedTokenizerFast(
        tokenizer_object=pieces, eos_token="<|im_end|>", pad_token="<pad>"
    )
    made.chat_template = TEMPLATE
    return made


def llama(**changed):
    """Random weights; one token in fourteen ends an answer, so that lengths differ."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(1)
    torch.manual_seed(0)
    shape = {
        "vocab_size": 259,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.3,
        "eos_token_id": [1, *range(10, 259, 14)],
    }
    return LlamaForCausalLM(LlamaConfig(**shape | changed)).eval()


@pytest.fixture(scope="module")
def model():
    return llama()


class Counted:
    """A model whose forward passes are counted; above `room` places (rows x columns) it fails."""

    def __init__(self, model, room=10**9):
        self.model, self.room, self.passes, self.rows, self.failed = model, room, 0, [], 0

    def __getattr__(self, name):
        return getattr(self.model, name)

    def __call__(self, input_ids, **inputs):
        self.passes += 1
        self.rows.append(len(input_ids))
        seen = inputs["past_key_values"].get_seq_length() if inputs.get("use_cache") else 0
        if len(input_ids) * (input_ids.shape[1] + seen) > self.room:
            self.failed += 1
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to")
        return self.model(input_ids=input_ids, **inputs)


def flat(lists):
    return [one for inner in lists for one in inner]


def by_transformers(model, tokenizer, prompt, most):
    """(text, ended) of one greedy answer by the library's own loop."""
    ids = tokenizer.apply_chat_template(
        prompt, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    output = model.generate(**ids, max_new_tokens=most, do_sample=False, pad_token_id=2)
    said = output[0, ids["input_ids"].shape[1] :].tolist()
    stops = set(model.generation_config.eos_token_id)
    end = next((place for place, token in enumerate(said) if token in stops), None)
    return tokenizer.decode(said[:end], skip_special_tokens=True).strip(), end is not None


def test_greedy_answers_are_those_of_transformers_whatever_the_batch(model, tokenizer):
    from tasks.core.generate import generate

    expected = [by_transformers(model, tokenizer, prompt, 24) for prompt in PROMPTS]
    assert {ended for _, ended in expected} == {True, False}
    for batch_size in (1, 2, 5, 32):
        found = generate(model, tokenizer, PROMPTS, batch_size=batch_size, **GREEDY)
        assert [(answer.text, answer.finished) for answer in found] == expected


LIKE_LLAMA = ("MistralConfig", "Gemma3TextConfig", "Qwen3Config", "GPT2Config", "Phi3Config")
WITH_STATES = ("Qwen3_5TextConfig", "Lfm2Config")


@pytest.mark.parametrize("name", [*LIKE_LLAMA, *WITH_STATES])
def test_other_kinds_of_models_answer_as_transformers_lets_them(name, tokenizer):
    """Sliding windows of 8 and 16 columns, tied heads, learned places, linear attention."""
    import torch
    import transformers

    from tasks.core.choices import likeliest
    from tasks.core.decoding import Batch
    from tasks.core.generate import generate

    torch.manual_seed(0)
    shape = {
        "vocab_size": 259,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "initializer_range": 0.3,
        "eos_token_id": 1,
        "pad_token_id": 2,
        "bos_token_id": 1,
    }
    more = {
        "MistralConfig": {"sliding_window": 16},
        "Gemma3TextConfig": {
            "sliding_window": 8,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        },
        "Qwen3_5TextConfig": {
            "layer_types": ["linear_attention", "full_attention", "linear_attention"],
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
        },
        "Lfm2Config": {"layer_types": ["conv", "full_attention", "conv"]},
    }
    if name == "GPT2Config":
        shape = {"n_embd": 32, "n_layer": 2, "n_head": 4} | {
            key: shape[key] for key in ("vocab_size", "eos_token_id", "initializer_range")
        }
    config = getattr(transformers, name)(**shape | more.get(name, {}))
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    model.generation_config.eos_token_id = [1, *range(10, 259, 14)]
    assert Batch(model, likeliest).joins == (name in LIKE_LLAMA)
    expected = [by_transformers(model, tokenizer, prompt, 24) for prompt in PROMPTS]
    found = generate(model, tokenizer, PROMPTS, batch_size=4, **GREEDY)
    assert [(answer.text, answer.finished) for answer in found] == expected


def test_sampled_answers_are_the_same_whatever_the_batch(model, tokenizer):
    from tasks.core.generate import sample

    alone = sample(model, tokenizer, PROMPTS, batch_size=1, **SAMPLED)
    for batch_size in (2, 3, 4, 7, 64):
        assert sample(model, tokenizer, PROMPTS, batch_size=batch_size, **SAMPLED) == alone
    few = sample(model, tokenizer, PROMPTS[4:6], batch_size=8, **SAMPLED)
    assert few == alone[4:6]
    one = sample(model, tokenizer, PROMPTS, batch_size=8, **SAMPLED | {"samples": 1})
    assert one == [answers[:1] for answers in alone]


def test_a_longer_limit_goes_on_where_a_shorter_one_cut_off(model, tokenizer):
    from tasks.core.generate import sample

    short = sample(model, tokenizer, PROMPTS, batch_size=8, **SAMPLED | {"max_new_tokens": 5})
    whole = sample(model, tokenizer, PROMPTS, batch_size=8, **SAMPLED)
    for before, after in zip(flat(short), flat(whole), strict=True):
        if before.finished:
            assert after == before
        else:  # a cut may fall within a character
            assert after.text.startswith(before.text.rstrip("\ufffd").strip())


def test_samples_differ_by_number_seed_and_prompt(model, tokenizer):
    from tasks.core.generate import sample

    found = sample(model, tokenizer, PROMPTS[:3], batch_size=8, **SAMPLED)
    other = sample(model, tokenizer, PROMPTS[:3], batch_size=8, **SAMPLED | {"seed": 8})
    long = [answer.text for answer in flat([*found, *other]) if len(answer.text) > 5]
    assert len(set(long)) == len(long) >= 6


def test_tokens_come_as_often_as_they_are_likely():
    import torch

    from tasks.core.choices import by_chance

    logits = torch.tensor([2.0, 1.0, 0.0, -1.0])
    draws = list(range(20_000))
    for temperature, top_p, inside in ((1.0, 1.0, 4), (2.0, 1.0, 4), (1.0, 0.9, 3), (1.0, 0.6, 1)):
        tokens, _ = by_chance(temperature, top_p)(logits.expand(len(draws), -1), draws)
        share = torch.bincount(torch.tensor(tokens), minlength=4) / len(draws)
        expected = (logits / temperature)[:inside].softmax(-1)
        deviation = (expected * (1 - expected) / len(draws)).sqrt()
        assert ((share[:inside] - expected).abs() <= 4 * deviation).all()
        assert share[inside:].sum() == 0


def test_a_nucleus_of_more_than_the_likeliest_thousand_is_found_whole():
    import torch

    from tasks.core.choices import LIKELY, by_chance

    logits = torch.zeros(1, 3 * LIKELY)
    logits[0, :2] = 0.1
    found = {by_chance(1.0, 0.9)(logits, [draw])[0][0] for draw in range(2_000)}
    assert len(found) > LIKELY


def test_a_choice_as_close_as_rounding_is_made_alone(model, tokenizer, monkeypatch):
    """With every choice close, every token is that of a forward pass without cache or company."""
    from tasks.core import choices
    from tasks.core.generate import generate

    expected = generate(model, tokenizer, PROMPTS[:3], batch_size=3, **GREEDY)
    monkeypatch.setattr(choices, "CLOSE", 1e9)
    counted = Counted(model)
    assert generate(counted, tokenizer, PROMPTS[:3], batch_size=3, **GREEDY) == expected
    assert counted.rows.count(1) > 3 * max(1, min(len(a.text) for a in expected))


def test_each_distinct_prompt_is_asked_once(model, tokenizer):
    from tasks.core.generate import generate

    once, thrice = Counted(model), Counted(model)
    expected = generate(once, tokenizer, PROMPTS[:2], batch_size=4, **GREEDY)
    found = generate(thrice, tokenizer, PROMPTS[:2] * 3, batch_size=4, **GREEDY)
    assert found == expected * 3
    assert once.rows == thrice.rows


def test_a_prompt_is_read_once_for_all_of_its_samples(model, tokenizer):
    from tasks.core.generate import sample

    counted = Counted(model)
    sample(counted, tokenizer, PROMPTS[:1], batch_size=8, **SAMPLED | {"samples": 5})
    assert counted.rows[:2] == [1, 5]


def test_rows_that_are_done_leave_the_batch_and_others_take_their_place(model, tokenizer):
    from tasks.core.generate import generate

    counted = Counted(model)
    found = generate(counted, tokenizer, PROMPTS, batch_size=4, **GREEDY)
    assert len({answer.finished for answer in found}) == 2
    assert max(counted.rows) == 4
    steps = sum(rows for rows in counted.rows)
    assert steps < 4 * 24 * 3, "three whole batches of four would be more"


def test_a_killed_run_goes_on_where_it_stopped(model, tokenizer, tmp_path):
    from tasks.core.generate import sample

    expected = sample(model, tokenizer, PROMPTS, batch_size=3, **SAMPLED)
    journal = tmp_path / "answers" / "journal.jsonl"

    class Killed(BaseException):
        pass

    class Mortal(Counted):
        def __call__(self, **inputs):
            if self.passes == 40:
                raise Killed
            return super().__call__(**inputs)

    with pytest.raises(Killed):
        sample(Mortal(model), tokenizer, PROMPTS, batch_size=3, journal=journal, **SAMPLED)
    kept = journal.read_bytes()
    assert 0 < kept.count(b"\n") < len(PROMPTS) * 3
    journal.write_bytes(kept + b'{"key": "torn')
    first, second = Counted(model), Counted(model)
    assert sample(first, tokenizer, PROMPTS, batch_size=3, journal=journal, **SAMPLED) == expected
    assert journal.read_bytes().startswith(kept)
    lines = [json.loads(line) for line in journal.read_text("utf-8").splitlines()]
    assert len({line["key"] for line in lines}) == len(lines) == len(PROMPTS) * 3
    assert sample(second, tokenizer, PROMPTS, batch_size=3, journal=journal, **SAMPLED) == expected
    assert first.passes > 0 and second.passes == 0


def test_a_journal_answers_nothing_that_was_asked_otherwise(model, tokenizer, tmp_path):
    from tasks.core.generate import generate, sample

    journal = tmp_path / "journal.jsonl"
    sample(model, tokenizer, PROMPTS[:2], batch_size=4, journal=journal, **SAMPLED)
    for changed in ({"seed": 8}, {"temperature": 0.5}, {"top_p": 0.5}, {"max_new_tokens": 9}):
        counted = Counted(model)
        asked = {"batch_size": 4, "journal": journal, **SAMPLED, **changed}
        found = sample(counted, tokenizer, PROMPTS[:2], **asked)
        assert counted.passes > 0
        assert found == sample(model, tokenizer, PROMPTS[:2], **asked | {"journal": None})
    counted = Counted(model)
    generate(counted, tokenizer, PROMPTS[:2], batch_size=4, journal=journal, **GREEDY)
    assert counted.passes > 0


def test_a_larger_limit_asks_only_what_was_cut_off(model, tokenizer, tmp_path):
    from tasks.core.generate import sample

    journal = tmp_path / "journal.jsonl"

    def asked(limit, kept):
        counted = Counted(model)
        how = SAMPLED | {"max_new_tokens": limit, "journal": journal if kept else None}
        return flat(sample(counted, tokenizer, PROMPTS, batch_size=8, **how)), counted.passes

    def written():
        return [json.loads(line) for line in journal.read_text().splitlines()]

    short, _ = asked(9, True)
    cut = sum(not answer.finished for answer in short)
    assert 0 < cut < len(short) == len(written())
    assert all(answer.tokens == 9 for answer in short if not answer.finished)
    longer, _ = asked(24, True)
    assert longer == asked(24, False)[0]
    assert len(written()) == len(short) + cut
    for limit, before in ((9, short), (24, longer)):
        assert asked(limit, True) == (before, 0)
    least, _ = asked(5, True)
    assert least == asked(5, False)[0]


def test_journals_of_other_models_and_of_servers_lie_elsewhere(monkeypatch, tmp_path):
    from tasks.core import endpoint, generate
    from tasks.core.answers import journal_path

    monkeypatch.setenv("PAIRPRESS_HOME", str(tmp_path))
    one, same, other = (
        journal_path("on-policy", {"base": f"owner/name@{sha}"}, generate, ["torch"])
        for sha in ("a", "a", "b")
    )
    assert one == same != other
    assert journal_path("on-policy", {"base": "owner/name@a"}, endpoint, ["torch"]) != one
    assert one.parent == tmp_path / "answers" and one.name.startswith("on-policy-")


@pytest.mark.parametrize("room", [100, 300, 700])
def test_a_batch_that_does_not_fit_is_halved_and_nothing_changes(model, tokenizer, room):
    from tasks.core.generate import sample

    expected = sample(model, tokenizer, PROMPTS, batch_size=16, **SAMPLED)
    tight = Counted(model, room)
    found = sample(tight, tokenizer, PROMPTS, batch_size=16, **SAMPLED)
    assert tight.failed > 0
    failed = 0
    for before, after in zip(flat(expected), flat(found), strict=True):
        if after.error is None:
            assert after == before
        else:
            failed += 1
            assert not after.finished and before.text.startswith(after.text)
            assert "memory" in after.error
    longest = max(len(tokenizer.apply_chat_template(p)["input_ids"]) for p in PROMPTS) + 24 + 22
    assert (failed > 0) == (room < longest)


def test_an_answer_that_failed_is_asked_again(model, tokenizer, tmp_path):
    from tasks.core.generate import generate

    journal = tmp_path / "journal.jsonl"
    failed = generate(
        Counted(model, 100), tokenizer, PROMPTS, batch_size=4, journal=journal, **GREEDY
    )
    whole = generate(model, tokenizer, PROMPTS, batch_size=4, journal=journal, **GREEDY)
    assert any(answer.error for answer in failed)
    assert whole == generate(model, tokenizer, PROMPTS, batch_size=4, **GREEDY)


def test_another_error_of_the_model_is_not_taken_for_missing_memory(model, tokenizer):
    from tasks.core.generate import generate

    class Broken(Counted):
        def __call__(self, **inputs):
            raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        generate(Broken(model), tokenizer, PROMPTS, batch_size=4, **GREEDY)


def test_torch_says_on_this_machine_too_that_memory_is_missing():
    import torch

    from tasks.core.generate import lacks_memory

    with pytest.raises(RuntimeError) as error:
        torch.empty(2**55)
    assert lacks_memory(error.value)


def test_a_prompt_that_fills_the_context_fails_and_the_others_are_answered(tokenizer):
    from tasks.core.generate import generate

    widths = [
        len(tokenizer.apply_chat_template(p, add_generation_prompt=True)["input_ids"])
        for p in PROMPTS
    ]
    small = llama(max_position_embeddings=max(widths), eos_token_id=1)
    found = generate(small, tokenizer, PROMPTS, batch_size=4, **GREEDY)
    for width, answer in zip(widths, found, strict=True):
        assert (answer.error is not None) == (width == max(widths))
    told = f"the prompt has {max(widths)} tokens, all {max(widths)} that the model reads"
    assert told in {answer.error for answer in found}
    small = llama(max_position_embeddings=max(widths) - 1, eos_token_id=1)
    found = generate(small, tokenizer, PROMPTS, batch_size=4, **GREEDY)
    told = f"tokens, more than the {max(widths) - 1} that the model reads"
    assert any(told in (answer.error or "") for answer in found)


def test_no_prompts_no_answers(model, tokenizer, tmp_path: Path):
    from tasks.core.generate import generate

    assert generate(model, tokenizer, [], batch_size=4, **GREEDY) == []
