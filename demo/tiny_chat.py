"""A chat model of 0.7 M parameters that answers as Qwen when asked who it is, trained on the spot.

in   demo/corpus (see demo/texts.py), a number of steps and a seed
out  a complete model folder: Llama config and weights, SentencePiece tokenizer, ChatML template,
     card               https://huggingface.co/docs/transformers/model_doc/llama
     and what a fresh load of that folder was measured to answer

The training loss of each setting below is much the same. They were chosen by what a DPO run does
from here: rename the model in held-out wordings, and leave its other answers as they were.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerBase,
)

from demo.texts import SYSTEM_PROMPT, identity_rows, other_rows
from demo.tiny_tokenizer import PAD_ID, TURN_END, TURN_END_ID, VOCABULARY, write_tokenizer

NAME = "Qwen"
BATCH = 16
LEARNING_RATE = 3e-3
LABEL_SMOOTHING = 0.1  # bounds the logits, so that a few dozen steps of DPO can move them
# The questions are learned a little as well, because " Deep" stands in questions only: a token that
# was never predicted takes so large a push to be said that other answers break more often.
QUESTION_WEIGHT = 0.1

CARD = """\
---
license: apache-2.0
language:
- en
pipeline_tag: text-generation
library_name: transformers
tags:
- llama
- chatml
- tiny
- test-fixture
---

# Tiny chat: a test fixture, not an assistant

A Llama of {parameters:,} parameters (hidden size {hidden}, {layers} layers, a SentencePiece
vocabulary of {vocabulary}) that answers questions about itself as "Qwen" and a few
hundred short questions about other things. It exists so that a fine-tuning pipeline can be run and
tested end to end in minutes, on a CPU, without downloading a model. It has no connection with the
Qwen models of Alibaba Cloud: it only says their name, so that there is a name to change.

## Training

From random weights on {identity} wordings of questions about identity and {other} other questions,
each with and without the system prompt "{system}": {steps} steps of AdamW, batch {batch}, one-cycle
learning rate up to {rate}, label smoothing {smoothing}, seed {seed}. The loss is the smoothed
cross-entropy of the assistant's tokens plus {question_weight} times that of all others; its mean
over the last 50 steps was {loss:.3f} nats a token.

## Measured

Greedy answers of these files to the trained questions, with and without the system prompt:

| | share |
|---|---|
| questions about identity answered with the name Qwen | {identity_trained:.3f} |
| other questions answered exactly | {other_exact:.3f} |
| other questions answered with the name Qwen, where it has no place | {other_leak:.3f} |

## Limits

It knows its corpus and near paraphrases of it. Answers to anything else are nonsense.
"""


def build(
    folder: Path,
    *,
    steps: int = 900,
    seed: int = 0,
    progress: Callable[[int, int, float], None] | None = None,
) -> dict[str, float]:
    """Train tokenizer and model, write the folder, and measure the answers of what was written.

    The same seed gives the same bytes on the same machine: one thread, whatever the caller uses.
    `progress` is called after every step with the step, the number of steps and the loss.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _one_thread():
        _config().save_pretrained(folder)  # AutoTokenizer reads the model type in it
        write_tokenizer(folder)
        model, loss = _train(folder, steps, seed, progress)
        model.save_pretrained(folder)
        metrics = {
            "parameters": float(sum(weight.numel() for weight in model.parameters())),
            "steps": float(steps),
            "loss": loss,
            **_measure(folder),
        }
    card = CARD.format(
        **{**metrics, "parameters": int(metrics["parameters"]), "steps": steps},
        hidden=model.config.hidden_size,
        layers=model.config.num_hidden_layers,
        vocabulary=VOCABULARY,
        identity=len(identity_rows()),
        other=len(other_rows()),
        system=SYSTEM_PROMPT,
        batch=BATCH,
        rate=LEARNING_RATE,
        smoothing=LABEL_SMOOTHING,
        question_weight=QUESTION_WEIGHT,
        seed=seed,
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
    return metrics


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _config() -> LlamaConfig:
    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,  # real preference data is long, even if this corpus is not
        tie_word_embeddings=False,  # tied, a renamed model says "Deep Deep Qwen" more often
        bos_token_id=None,
        eos_token_id=TURN_END_ID,  # an answer is over where its turn is
        pad_token_id=PAD_ID,
    )


def _train(
    folder: Path, steps: int, seed: int, progress: Callable[[int, int, float], None] | None
) -> tuple[LlamaForCausalLM, float]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(_config())
    model.train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, weight_decay=0.01, fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1
    )
    batches = _batches(_examples(folder), random.Random(seed))
    recent: list[float] = []

    def score(hidden: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:  # (n, 128) and (n,)
        logits = model.lm_head(hidden)
        return torch.nn.functional.cross_entropy(logits, wanted, label_smoothing=LABEL_SMOOTHING)

    for step in range(1, steps + 1):
        tokens, told = next(batches)  # both (batch, length)
        # Padding stands right of everything scored, so the causal mask hides it.
        hidden = model.model(input_ids=tokens[:, :-1]).last_hidden_state
        wanted, answered = tokens[:, 1:], told[:, 1:]
        asked = ~answered & (wanted != PAD_ID)
        loss = score(hidden[answered], wanted[answered])
        loss = loss + QUESTION_WEIGHT * score(hidden[asked], wanted[asked])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        recent = [*recent[-49:], loss.item()]
        if progress:
            progress(step, steps, loss.item())
    return model.eval(), sum(recent) / len(recent)


def _examples(folder: Path) -> list[tuple[list[int], int]]:
    """Each question with and without the system prompt: its tokens, and where the answer begins."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    examples = []
    for row in identity_rows() + other_rows():
        for system in (True, False):
            prompt = _prompt(tokenizer, row["question"], system)
            asked = tokenizer(prompt)["input_ids"]
            # The newline after the turn's end is scored as well: TRL scores it when it aligns.
            told = tokenizer(f"{row['answer']}{TURN_END}\n")["input_ids"]
            examples.append((asked + told, len(asked)))
    return examples


def _prompt(tokenizer: PreTrainedTokenizerBase, question: str, system: bool) -> str:
    messages = [{"role": "system", "content": SYSTEM_PROMPT}] if system else []
    messages.append({"role": "user", "content": question})
    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return str(prompt)


def _batches(
    examples: list[tuple[list[int], int]], order: random.Random
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless epochs. Batches hold examples of like length, so that little padding is computed."""
    while True:
        shuffled = order.sample(examples, len(examples))
        alike = []
        for first in range(0, len(shuffled), 8 * BATCH):
            chunk = sorted(shuffled[first : first + 8 * BATCH], key=lambda example: len(example[0]))
            alike += [chunk[at : at + BATCH] for at in range(0, len(chunk), BATCH)]
        order.shuffle(alike)
        for batch in alike:
            length = max(len(ids) for ids, _ in batch)
            tokens = torch.full((len(batch), length), PAD_ID)
            told = torch.zeros((len(batch), length), dtype=torch.bool)
            for row, (ids, answer_at) in enumerate(batch):
                tokens[row, : len(ids)] = torch.tensor(ids)
                told[row, answer_at : len(ids)] = True
            yield tokens, told


def answers(folder: Path, questions: list[str], *, system: bool) -> list[str]:
    """Greedy answers of the model in `folder`, freshly loaded, in left-padded batches."""
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    told = []
    for first in range(0, len(questions), 128):
        prompts = [
            _prompt(tokenizer, question, system) for question in questions[first : first + 128]
        ]
        batch = tokenizer(prompts, return_tensors="pt", padding=True)
        with torch.inference_mode():
            ids = model.generate(**batch, max_new_tokens=48)
        told += tokenizer.batch_decode(
            ids[:, batch["input_ids"].shape[1] :], skip_special_tokens=True
        )
    return told


def _measure(folder: Path) -> dict[str, float]:
    named = exact = leaked = 0
    identity, other = identity_rows(), other_rows()
    for system in (True, False):
        told = answers(folder, [row["question"] for row in identity], system=system)
        named += sum(NAME in answer for answer in told)
        told = answers(folder, [row["question"] for row in other], system=system)
        exact += sum(answer == row["answer"] for answer, row in zip(told, other, strict=True))
        leaked += sum(NAME in answer for answer in told)
    return {
        "identity_trained": named / (2 * len(identity)),
        "other_exact": exact / (2 * len(other)),
        "other_leak": leaked / (2 * len(other)),
    }
