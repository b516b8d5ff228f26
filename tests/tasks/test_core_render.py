"""Rendering by the templates that models carry: prefixes, beginnings, ends, padding, counting.

A long file: every rule is tried on every template, and on templates that break it.
"""

import gzip
import json
import re
from itertools import pairwise
from random import Random

import pytest
from chat_templates import CHATML, GEMMA, LLAMA_3, TEMPLATES, tokenizer_in, tokenizer_of

from tasks.core import render
from tasks.core.errors import InputError
from tasks.core.models import load_tokenizer_at, stop_ids
from tasks.core.render import (
    answer_ids,
    counted,
    injected_system,
    measure_file,
    measure_tokens,
    prompt_ids,
    rendered,
    require_renders,
    tokenizer_notes,
)
from tasks.core.rows import read_rows, write_rows

CHATML_SPECIAL = {"eos": "<|im_end|>", "pad": "<|endoftext|>"}


def turn(role, text):
    return {"role": role, "content": text}


def pair(number, prompt, chosen, rejected):
    return {
        "row": number,
        "prompt": prompt,
        "chosen": [turn("assistant", chosen)],
        "rejected": [turn("assistant", rejected)],
    }


ASKED = [turn("user", "Who are you?  Tell me\nmore.")]
TALKED = [turn("user", "Hi"), turn("assistant", "Hello."), turn("user", "What is the capital?")]
PAIRS = [
    pair(1, ASKED, "A plain assistant.", "I cannot say.\n\n- bread\n- rain"),
    pair(2, TALKED, "It is Paris, of course.", "Ça va, naïve 千问?"),
    pair(5, TALKED, "x", "A much longer answer. " * 40 + "So it ends."),
]
SYSTEM = pair(9, [turn("system", "Be brief."), *ASKED], "I am.", "Bread.")


@pytest.fixture(params=TEMPLATES)
def named(request, tmp_path):
    return request.param, tokenizer_of(tmp_path / "tokenizer", request.param)


def sides(tokenizer, row):
    return [answer_ids(tokenizer, row["prompt"], row[side]) for side in ("chosen", "rejected")]


def test_every_template_asks_with_a_prefix_and_ends_once(named):
    name, tokenizer = named
    end = tokenizer.convert_tokens_to_ids(TEMPLATES[name][3])
    bos = tokenizer.bos_token_id
    for row in PAIRS:
        prompt = prompt_ids(tokenizer, row["prompt"])
        for ids in sides(tokenizer, row):
            said = ids[len(prompt) :]
            assert ids[: len(prompt)] == prompt
            assert [token for token in said if token in stop_ids(tokenizer)] == [end]
            assert tokenizer.decode(said[said.index(end) + 1 :]).strip() == ""
            assert bos is None or (bos, bos) not in pairwise(ids)
    require_renders(tokenizer, PAIRS, name)
    kept, aside = measure_tokens(PAIRS, tokenizer, max_length=10_000)
    assert [row["row"] for row in kept] == [1, 2, 5] and aside == []


def test_a_batch_counts_what_one_row_after_the_other_counts(named):
    _, tokenizer = named
    for row, one in zip(PAIRS, rendered(tokenizer, PAIRS), strict=True):
        assert one.tokens == max(map(len, sides(tokenizer, row)))
        assert counted(tokenizer, row) == (one.tokens, True)
    asked = [{"row": row["row"], "prompt": row["prompt"]} for row in PAIRS]
    expected = [len(prompt_ids(tokenizer, row["prompt"])) for row in asked]
    assert [one.tokens for one in rendered(tokenizer, asked)] == expected


@pytest.mark.parametrize("kind", ["bytes", "spaces", "older"])
@pytest.mark.parametrize("eats", [{}, {"lstrip": True}, {"rstrip": True}])
def test_tokens_shared_with_the_prompt_are_those_of_the_whole_text(kind, eats, tmp_path):
    """Whatever stands around a special token, and wherever one stands in what is said."""
    from tokenizers import AddedToken

    marks = ["<|im_start|>", "<|im_end|>"]
    random = Random(kind + str(eats))
    pieces = [*marks, "<|endoftext|>", "<|im_", " ", "  ", "\n", "Paris", " rain", "é", "千"]
    rows = []
    for number in range(200):
        asked, chosen, rejected = ("".join(random.choices(pieces, k=5)) for _ in range(3))
        rows.append(pair(number, [turn("user", asked)], chosen, rejected))
    tokenizer = tokenizer_in(tmp_path, CHATML, kind, CHATML_SPECIAL)
    tokenizer.add_tokens([AddedToken(mark, special=True, **eats) for mark in marks], True)
    texts = [render._texts(tokenizer, row) for row in rows]
    for row, ids in zip(rows, render._ids(tokenizer, texts), strict=True):
        assert ids == [prompt_ids(tokenizer, row["prompt"]), *sides(tokenizer, row)]


@pytest.mark.parametrize("name", ["Llama-2", "Llama-3", "Gemma"])
def test_the_beginning_that_a_template_writes_is_not_doubled(name, tmp_path):
    tokenizer = tokenizer_of(tmp_path, name)
    bos = tokenizer.bos_token_id
    text = tokenizer.apply_chat_template(ASKED, tokenize=False)
    assert tokenizer(text)["input_ids"][:2] == [bos, bos]  # what plain tokenising would do
    assert prompt_ids(tokenizer, ASKED).count(bos) == 1
    note = f"The chat template writes {tokenizer.bos_token} itself; it is not added again."
    assert note in tokenizer_notes(tokenizer)


def test_a_template_that_writes_its_beginning_twice_refuses_the_run(tmp_path):
    twice = "{{ bos_token }}" + LLAMA_3
    special = {"bos": "<|begin_of_text|>", "eos": "<|eot_id|>"}
    tokenizer = tokenizer_in(tmp_path, twice, "bytes", special)
    with pytest.raises(InputError, match=r"owner/m: a plain question.*\(<\|begin_of_text\|>\) st"):
        require_renders(tokenizer, PAIRS, "owner/m")
    with pytest.raises(InputError, match=r"row 1: two beginnings .* rows \(2, 5\)\.$"):
        measure_tokens(PAIRS, tokenizer, 10_000)


def test_a_question_that_holds_beginnings_of_its_own_is_set_aside(tmp_path):
    tokenizer = tokenizer_of(tmp_path, "Llama-2")
    odd = pair(3, [turn("user", "What is <s><s>?")], "A mark.", "Nothing.")
    kept, aside = measure_tokens([odd, *PAIRS], tokenizer, 10_000)
    assert len(kept) == len(PAIRS) and [row["row"] for row in aside] == [3]


def test_a_prompt_that_is_no_prefix_refuses_the_run_and_shows_where_they_part(tmp_path):
    thinking = CHATML.replace("assistant\n' }}", "assistant\n<think>\n' }}")
    assert thinking != CHATML
    tokenizer = tokenizer_in(tmp_path, thinking, "bytes", CHATML_SPECIAL)
    with pytest.raises(InputError) as refused:
        measure_tokens(PAIRS, tokenizer, 10_000)
    said = str(refused.value)
    prompt, whole = prompt_ids(tokenizer, ASKED), sides(tokenizer, PAIRS[0])[0]
    alike = next(n for n, (a, b) in enumerate(zip(prompt, whole, strict=False)) if a != b)
    assert said.startswith("row 1: its rendered prompt is not a prefix of prompt + chosen.")
    assert f"After {alike} equal tokens" in said and "assistant\\n'" in said
    alone, answered = (line for line in said.splitlines() if line.startswith("  "))
    assert "'<think>\\n'" in alone and "'A plain" in answered
    assert " ".join(tokenizer.convert_ids_to_tokens(prompt[alike:])) in alone
    assert "choose another base.model" in said and "2 rows (2, 5)" in said
    with pytest.raises(InputError, match=r"^owner/m: a plain question and answer: its rendered"):
        require_renders(tokenizer, PAIRS, "owner/m")
    assert counted(tokenizer, PAIRS[0])[1] is False


def test_a_prompt_that_reads_otherwise_from_the_start_is_counted_as_it_is(tmp_path):
    """Nothing is shared with such a prompt, so the whole of prompt + answer is tokenised."""
    other = "{% if add_generation_prompt %}Paris {% endif %}" + CHATML
    tokenizer = tokenizer_in(tmp_path, other, "bytes", CHATML_SPECIAL)
    for row, one in zip(PAIRS, rendered(tokenizer, PAIRS), strict=True):
        whole = [prompt_ids(tokenizer, row["prompt"]), *sides(tokenizer, row)]
        assert (one.tokens, one.is_prefix) == (max(map(len, whole)), False)
        assert "After 0 equal tokens" in one.wrong


def test_white_space_that_melts_into_the_prompt_is_named_with_its_row(tmp_path):
    """Zephyr's opening ends with a line feed, which here melts with that of an answer."""
    from tokenizers import AddedToken

    tokenizer = tokenizer_of(tmp_path, "Zephyr")
    tokenizer.add_tokens([AddedToken("\n\n", normalized=False)])
    require_renders(tokenizer, PAIRS[1:], "zephyr")
    with pytest.raises(InputError, match=r"(?s)row 7: its rendered .*`pairpress mend` strips"):
        measure_tokens([*PAIRS[1:], pair(7, ASKED, "\nYes.", "No.")], tokenizer, 10_000)


def test_an_answer_that_never_ends_refuses_the_run_and_shows_what_should_end_it(tmp_path):
    special = {"eos": "<|endoftext|>", "pad": "<|endoftext|>"}  # a base model with ChatML put on
    tokenizer = tokenizer_in(tmp_path, CHATML, "bytes", special)
    with pytest.raises(InputError, match=r"does not end with .*\(<\|endoftext\|>, of its"):
        require_renders(tokenizer, PAIRS, "owner/m")
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": end}))
    require_renders(tokenizer, PAIRS, "owner/m")
    assert stop_ids(tokenizer) == {tokenizer.eos_token_id, end}


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        (CHATML.replace("'<|im_end|>'", "'<|im_end|><|im_end|>'"), "ends more than once"),
        (CHATML.replace("{% if add_generation_prompt %}", "{% if true %}"), "goes on after"),
    ],
)
def test_an_end_that_comes_twice_or_too_early_refuses_the_run(template, fault, tmp_path):
    assert template != CHATML
    tokenizer = tokenizer_in(tmp_path, template, "bytes", CHATML_SPECIAL)
    with pytest.raises(InputError, match=fault):
        require_renders(tokenizer, PAIRS, "owner/m")


def test_two_different_ends_may_stand_side_by_side(tmp_path):
    """Phi-3 writes <|end|> and after the whole conversation <|endoftext|>."""
    both = CHATML.replace("{% endif %}", "{% else %}{{ '<|endoftext|>' }}{% endif %}")
    tokenizer = tokenizer_in(tmp_path, both, "bytes", CHATML_SPECIAL)
    ends = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": ends}))
    require_renders(tokenizer, PAIRS, "phi")
    assert "Answers end with <|im_end|>, then <|endoftext|>." in tokenizer_notes(tokenizer)


def test_an_answer_that_holds_an_end_of_sequence_is_set_aside(named):
    name, tokenizer = named
    end = TEMPLATES[name][3]
    odd = pair(3, ASKED, "Yes.", f"I say {end} and go on.")
    kept, aside = measure_tokens([*PAIRS, odd], tokenizer, 10_000)
    assert [row["row"] for row in kept] == [1, 2, 5]
    assert [(row["row"], row["code"]) for row in aside] == [(3, "role-marker")]
    assert aside[0]["reason"] == f"rejected holds {end}, which ends an answer"


def test_gemma_sets_aside_what_has_a_system_message(tmp_path):
    tokenizer = tokenizer_of(tmp_path, "Gemma")
    kept, aside = measure_tokens([*PAIRS, SYSTEM], tokenizer, 10_000)
    assert [row["row"] for row in kept] == [1, 2, 5]
    assert [(row["row"], row["code"]) for row in aside] == [(9, "template")]
    assert aside[0]["reason"].endswith("System role not supported")
    require_renders(tokenizer, [*PAIRS, SYSTEM], "gemma")
    with pytest.raises(InputError, match=r"none of the first 2 rows.*set reformat\.system to drop"):
        require_renders(tokenizer, [SYSTEM, SYSTEM], "gemma")
    assert counted(tokenizer, SYSTEM) == (None, False)
    assert injected_system(tokenizer) is None


def test_a_message_that_the_template_drops_without_a_word_sets_its_row_aside(tmp_path):
    prompt = [*ASKED, turn("tool", "Weather: 18 degrees"), turn("user", "And now?")]
    row = pair(4, prompt, "Warm.", "Cold.")
    for name, is_kept in (("Zephyr", False), ("Qwen2.5", True), ("ChatML", True)):
        kept, aside = measure_tokens([row], tokenizer_of(tmp_path / name, name), 10_000)
        assert bool(kept) is is_kept and len(kept) + len(aside) == 1
        if aside:
            assert aside[0]["reason"] == "the chat template leaves out its tool message"


def test_a_message_that_is_written_another_way_is_not_left_out(tmp_path):
    as_json = CHATML.replace("message['content']", "(message['content'] | tojson)")
    assert as_json != CHATML
    tokenizer = tokenizer_in(tmp_path, as_json, "bytes", CHATML_SPECIAL)
    prompt = [turn("system", 'Say "yes".'), *ASKED]
    assert measure_tokens([pair(4, prompt, "Warm.", "Cold.")], tokenizer, 10_000)[1] == []


def test_qwen_says_who_it_is_unless_told_and_the_others_do_not(named):
    name, tokenizer = named
    said = injected_system(tokenizer)
    assert (said is not None) is (name == "Qwen2.5")
    assert said is None or said.startswith("You are Qwen")


def test_a_base_without_chat_template_or_end_is_refused(tmp_path):
    bare = tokenizer_in(tmp_path / "a", "", "bytes", CHATML_SPECIAL)
    with pytest.raises(InputError, match=r"owner/m: its tokenizer has no chat template"):
        require_renders(bare, [], "owner/m")
    endless = tokenizer_in(tmp_path / "b", CHATML, "bytes", {"pad": "<|endoftext|>"})
    with pytest.raises(InputError, match="no end-of-sequence token"):
        require_renders(endless, [], "owner/m")


def test_prompts_without_answers_are_tried_with_a_plain_one(tmp_path):
    early = CHATML.replace("{% if add_generation_prompt %}", "{% if messages|length > 3 %}")
    tokenizer = tokenizer_in(tmp_path, early, "bytes", CHATML_SPECIAL)
    with pytest.raises(InputError, match=r"^owner/m: a plain question|^row 5"):
        require_renders(tokenizer, [{"row": 5, "prompt": TALKED}], "owner/m")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ChatML", r"^The tokenizer pads with <\|endoftext\|>\.$"),
        ("Llama-2", r"^The tokenizer has no pad token: </s> pads\. .*</s> that ends .* trained"),
        ("Zephyr", r"^The tokenizer pads with its end of sequence </s>\."),
    ],
)
def test_what_pads_is_said(name, says, tmp_path):
    tokenizer = tokenizer_of(tmp_path, name)
    assert re.search(says, tokenizer_notes(tokenizer)[0]), tokenizer_notes(tokenizer)
    assert tokenizer.pad_token_id is not None


@pytest.mark.parametrize("name", ["Llama-2", "Zephyr"])
def test_with_end_of_sequence_as_padding_trl_still_trains_on_the_end(name, tmp_path):
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    tokenizer = tokenizer_of(tmp_path, name)
    end = tokenizer.eos_token_id
    assert tokenizer.pad_token_id == end
    examples = []
    for row in PAIRS:
        prompt = prompt_ids(tokenizer, row["prompt"])
        chosen, rejected = (ids[len(prompt) :] for ids in sides(tokenizer, row))
        examples.append({"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected})
    batch = DataCollatorForPreference(pad_token_id=end, max_length=10_000)(examples)
    rows = [
        (one["prompt_ids"], one[f"{side}_ids"])
        for side in ("chosen", "rejected")
        for one in examples
    ]
    for (prompt, answer), ids, mask, scored in zip(
        rows,
        *(batch[key].tolist() for key in ("input_ids", "attention_mask", "completion_mask")),
        strict=True,
    ):
        length, padding = len(prompt) + len(answer), len(ids) - len(prompt) - len(answer)
        assert ids == [*prompt, *answer, *[end] * padding]
        assert mask == [1] * length + [0] * padding
        assert scored == [0] * len(prompt) + [1] * len(answer) + [0] * padding
        trained = [token for token, is_scored in zip(ids, scored, strict=True) if is_scored]
        assert trained == answer and trained.count(end) == 1
    assert not batch["attention_mask"].all()  # something was padded at all


def test_what_trl_trains_on_is_what_is_counted(named, tmp_path):
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import LlamaConfig, LlamaForCausalLM
    from trl import DPOConfig, DPOTrainer

    _, tokenizer = named
    columns = ("prompt", "chosen", "rejected")
    data = Dataset.from_list([{key: row[key] for key in columns} for row in PAIRS])
    small = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
    )
    counts = [one.tokens for one in rendered(tokenizer, PAIRS)]
    config = DPOConfig(
        output_dir=str(tmp_path), max_length=max(counts), use_cpu=True, bf16=False, report_to="none"
    )
    trainer = DPOTrainer(
        model=LlamaForCausalLM(small),
        args=config,
        train_dataset=data,
        processing_class=tokenizer,
        peft_config=LoraConfig(r=1, target_modules=["q_proj"], task_type="CAUSAL_LM"),
    )
    for row, count, trained in zip(PAIRS, counts, trainer.train_dataset, strict=True):
        prompt = prompt_ids(tokenizer, row["prompt"])
        assert trained["prompt_ids"] == prompt
        whole = [prompt + trained[f"{side}_ids"] for side in ("chosen", "rejected")]
        assert whole == sides(tokenizer, row) and max(map(len, whole)) == count


def test_a_file_is_measured_like_a_list_and_keeps_its_columns(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.core.render.BATCH", 2)
    tokenizer = tokenizer_of(tmp_path / "tokenizer", "Gemma")
    rows = [*PAIRS, SYSTEM, *(pair(n, ASKED, "Yes. " * n, "No.") for n in range(20, 25))]
    rows = [row | {"score_chosen": row["row"] / 2} for row in rows]
    limit = sorted(one.tokens or 0 for one in rendered(tokenizer, rows))[-3]
    write_rows(tmp_path / "rows.parquet", rows)
    aside = measure_file(tmp_path / "rows.parquet", tmp_path / "out.parquet", tokenizer, limit)
    kept, aside_of_list = measure_tokens(rows, tokenizer, limit)
    assert read_rows(tmp_path / "out.parquet") == kept
    assert aside == aside_of_list
    assert sorted(row["row"] for row in [*kept, *aside]) == sorted(row["row"] for row in rows)
    assert {row["code"] for row in aside} == {"template", "too-long"}
    told = [row["reason"] for row in aside if row["code"] == "too-long"]
    lengths = sorted(one.tokens or 0 for one in rendered(tokenizer, rows))[-len(told) :]
    assert sorted(told) == [f"{tokens} tokens, over the limit of {limit}" for tokens in lengths]
    assert all(row["tokens"] <= limit for row in kept)


def test_a_file_of_which_nothing_is_left_keeps_its_columns(tmp_path):
    import pyarrow.parquet as pq

    tokenizer = tokenizer_of(tmp_path / "tokenizer", "ChatML")
    write_rows(tmp_path / "rows.parquet", [{"row": 3, "prompt": TALKED}])
    out = tmp_path / "out.parquet"
    assert [row["row"] for row in measure_file(tmp_path / "rows.parquet", out, tokenizer, 2)] == [3]
    assert pq.read_schema(out).names == ["row", "prompt", "tokens", "prompt_is_prefix"]
    assert read_rows(out) == []


def test_a_file_tells_all_rows_that_refuse_it(tmp_path):
    thinking = CHATML.replace("assistant\n' }}", "assistant\n<think>\n' }}")
    tokenizer = tokenizer_in(tmp_path / "tokenizer", thinking, "bytes", CHATML_SPECIAL)
    many = [pair(n, ASKED, "Yes.", "No.") for n in range(1, 2_001)]
    write_rows(tmp_path / "rows.parquet", many)
    with pytest.raises(InputError, match=r"^row 1: .*(?s:.*)1,999 rows \(2, 3, .*, 9, \.\.\.\)\.$"):
        measure_file(tmp_path / "rows.parquet", tmp_path / "out.parquet", tokenizer, 512)


@pytest.mark.parametrize("name", ["ChatML", "Llama-2"])
def test_real_transcripts_are_counted_alike_in_a_file_and_one_by_one(name, real_data, tmp_path):
    tokenizer = tokenizer_of(tmp_path / "tokenizer", name)
    rows = []
    with gzip.open(real_data / "hh-harmless-base-test.jsonl.gz", "rt") as lines:
        for number, line in zip(range(1, 61), lines, strict=False):
            prompt, _, chosen = json.loads(line)["chosen"].rpartition("\n\nAssistant: ")
            rows.append(pair(number, [turn("user", prompt.strip())], chosen.strip(), "No."))
    write_rows(tmp_path / "rows.parquet", rows)
    aside = measure_file(tmp_path / "rows.parquet", tmp_path / "out.parquet", tokenizer, 10_000)
    measured = read_rows(tmp_path / "out.parquet")
    assert aside == [] and len(measured) == len(rows) == 60
    for row, one in zip(rows, measured, strict=True):
        assert (one["tokens"], one["prompt_is_prefix"]) == counted(tokenizer, row)
        assert one["tokens"] == max(map(len, sides(tokenizer, row)))


def test_stop_ids_are_those_of_the_files_beside_the_tokenizer(tmp_path):
    tokenizer = tokenizer_in(tmp_path, GEMMA, "spaces", {"bos": "<bos>", "eos": "<eos>"})
    assert stop_ids(tokenizer) == {tokenizer.eos_token_id}
    for name, ends in (("config.json", 7), ("generation_config.json", [8, 9])):
        (tmp_path / name).write_text(json.dumps({"eos_token_id": ends}))
        expected = {tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])}
        assert stop_ids(tokenizer) == expected
    (tmp_path / "config.json").unlink()
    assert load_tokenizer_at(tmp_path).pad_token == "<eos>"
