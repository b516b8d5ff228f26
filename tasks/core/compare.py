"""Two models, the same questions: what each answers greedily, and how far the two are apart.

in   A and B, each a Hub repository owner/name[@revision], a folder, or an adapter of either kind
out  Comparison: both answers to every question and the figures of both, as compare.json holds them

Both models are in memory at once, in fp32: the KL divergence needs the two together.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tasks.core.answers import Answer
from tasks.core.correction import Renames, says_new, says_old
from tasks.core.errors import InputError
from tasks.core.fields import Message
from tasks.core.generate import generate
from tasks.core.models import device, load_tokenizer_at, resolve_model, snapshot
from tasks.core.questions import read_text
from tasks.core.refusals import refuses
from tasks.core.render import prompt_ids, require_chat_template
from tasks.core.settings import Rename

BATCH = 32  # questions answered, or answers scored, at once


@dataclass(frozen=True)
class Loaded:
    side: str  # A or B
    name: str  # as it was asked for
    told: str  # the repository and its commit, or the folder; of an adapter also its base
    model: Any
    tokenizer: Any
    questions: tuple[str, ...]  # that its release was shown with
    renames: Renames  # that its release was trained on


@dataclass(frozen=True)
class Figures:
    """Of one model. Shares are in [0, 1], over all questions."""

    answer_tokens: float  # mean
    unfinished: float  # share of answers that were cut off at the limit, or failed
    refusals: float  # share of answers that tasks.core.refusals takes for a refusal
    old_name: float | None  # share of answers that say a bare old name; None: no rename is known
    new_name: float | None
    perplexity: float  # of the kept text


@dataclass(frozen=True)
class Side:
    name: str
    told: str
    figures: Figures


@dataclass(frozen=True)
class Both:
    """One question and both answers to it."""

    prompt: list[Message]
    a: Answer
    b: Answer
    equal: bool


@dataclass(frozen=True)
class Comparison:
    a: Side
    b: Side
    equal: float  # share of questions that both answer with the same text
    kl: float | None  # KL(B || A) in nats, mean over the tokens of B's answers
    same_tokens: bool  # both have one vocabulary; without that there is no KL
    renames: tuple[str, ...]  # as "Qwen became Deep Qwen"
    max_new_tokens: int
    answers: tuple[Both, ...]

    as_dict = asdict


def compare(
    a: str, b: str, questions: Path | None, general: Path, text: Path, max_new_tokens: int
) -> Comparison:
    """Without `questions` those that the releases were shown with are asked, and `general`.

    `text` is what the perplexity is of. Raises InputError for what cannot be read or loaded.
    """
    kept = read_text(str(text), "text of the perplexity") or ""
    asked = read_prompts(questions or general)
    left, right = load("A", a), load("B", b)
    if questions is None:
        shown = dict.fromkeys(left.questions + right.questions)
        asked = [question(one) for one in shown] + asked
    renames = tuple(dict.fromkeys(left.renames + right.renames))
    said = [_answers(one, asked, max_new_tokens) for one in (left, right)]
    side_a, side_b = (
        Side(one.name, one.told, _figures(one, answers, renames, kept))
        for one, answers in zip((left, right), said, strict=True)
    )
    both = tuple(
        Both(prompt, one, other, equal=one.error is None and one.text == other.text)
        for prompt, one, other in zip(asked, *said, strict=True)
    )
    same_tokens = left.tokenizer.get_vocab() == right.tokenizer.get_vocab()
    return Comparison(
        a=side_a,
        b=side_b,
        equal=_share([one.equal for one in both]),
        kl=_kl(left, right, both) if same_tokens else None,
        same_tokens=same_tokens,
        renames=tuple(f"{' / '.join(one.old)} became {one.new}" for one in renames),
        max_new_tokens=max_new_tokens,
        answers=both,
    )


def question(text: str) -> list[Message]:
    return [{"role": "user", "content": text}]


def read_prompts(path: Path) -> list[list[Message]]:
    """A text file with a question a line, or JSON lines with `messages` that end with the user."""
    lines = (read_text(str(path), "--questions") or "").splitlines()
    asked = [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]
    if path.suffix == ".jsonl":
        return [_messages(line, f"--questions {path}:{number}") for number, line in asked]
    return [question(line) for _, line in asked]


def _messages(line: str, place: str) -> list[Message]:
    try:
        messages: list[Message] = json.loads(line)["messages"]
        plain = all(isinstance(one["role"] + one["content"], str) for one in messages)
        if plain and messages[-1]["role"] == "user":
            return [{"role": one["role"], "content": one["content"]} for one in messages]
    except (ValueError, KeyError, TypeError, IndexError):
        pass
    raise InputError(
        f'{place}: no question. Write {{"messages": [{{"role": "user", "content": "..."}}]}}, the '
        "last message the user's."
    )


def load(side: str, name: str) -> Loaded:
    """Raises InputError if no chat model can be loaded from it."""
    folder, told = _folder(name, "model", "main")
    if (folder / "model" / "config.json").is_file():
        folder = folder / "model"  # the three parts of a release beside each other
    if not any((folder / file).is_file() for file in ("config.json", "adapter_config.json")):
        raise InputError(
            f"{name}: no model, since it holds neither config.json nor adapter_config.json. Give "
            "the folder or repository owner/name that the model's files are in."
        )
    base, adapter = folder, None
    if (folder / "adapter_config.json").is_file():
        adapter = folder
        base, below = _base_of(name, adapter)
        told = f"{told} on {below}"
    own = (folder / "tokenizer_config.json").is_file()  # an adapter need not have one
    tokenizer = load_tokenizer_at(folder if own else base)
    require_chat_template(tokenizer, name)
    return Loaded(side, name, told, _model(name, base, adapter), tokenizer, *_released(folder))


def _folder(name: str, what: str, revision: str) -> tuple[Path, str]:
    """(where its files are, what a person finds them by)."""
    if not name.strip():
        raise InputError(f"{what} {name!r}: no name. Give a repository owner/name, or a folder.")
    if Path(name).is_dir():
        return Path(name), name
    if name.startswith((".", "/", "~")):
        raise InputError(f"{what} {name}: no such folder. Give one, or a repository owner/name.")
    repo, _, named = name.partition("@")
    found = resolve_model(repo, named or revision, what)
    return snapshot(found), str(found)


def _base_of(name: str, adapter: Path) -> tuple[Path, str]:
    try:
        config = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
        base, revision = config["base_model_name_or_path"], config.get("revision")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{name}: its adapter_config.json names no base_model_name_or_path, so what the "
            "adapter stands on is not known. Write it there, owner/name or a folder."
        ) from error
    return _folder(str(base), f"{name}: its base", revision or "main")


def _model(name: str, base: Path, adapter: Path | None) -> Any:
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    try:
        model, info = AutoModelForCausalLM.from_pretrained(
            base, dtype="float32", output_loading_info=True
        )
        if adapter is not None:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, str(adapter))
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{name}: no causal language model can be loaded ({reason}).") from error
    if info["missing_keys"]:
        raise InputError(
            f"{name}: its files lack {sorted(info['missing_keys'])[0]}, so its answers would be "
            "random. Get the whole model, with all parts of its weights."
        )
    return model.to(device()).eval()


def _released(folder: Path) -> tuple[tuple[str, ...], Renames]:
    """(questions, renames) of the release.json beside a model, if it has one of pairpress."""
    path = folder / "release.json"
    if not path.is_file():
        return (), ()
    try:
        settings = json.loads(path.read_text("utf-8"))["settings"]
        renames = (settings["curation"] or {"renames": ()})["renames"]
        asked = tuple(map(str, settings["evaluation"]["questions"]))
        return asked, tuple(Rename(**one) for one in renames)
    except (ValueError, KeyError, TypeError):
        return (), ()  # somebody else's release.json


def _answers(one: Loaded, prompts: list[list[Message]], max_new_tokens: int) -> list[Answer]:
    from jinja2 import TemplateError

    for prompt in prompts:
        try:
            prompt_ids(one.tokenizer, prompt)
        except TemplateError as error:
            raise InputError(
                f"{one.name}: its chat template refuses {prompt[-1]['content']!r} with its turns "
                f"{', '.join(turn['role'] for turn in prompt)} ({error}). Take the question out."
            ) from error
    return generate(
        one.model,
        one.tokenizer,
        prompts,
        max_new_tokens=max_new_tokens,
        batch_size=BATCH,
        title=f"{one.side}: answers",
    )


def _figures(one: Loaded, answers: list[Answer], renames: Renames, text: str) -> Figures:
    from tasks.core.drift import perplexity

    texts = [answer.text for answer in answers]
    return Figures(
        answer_tokens=sum(answer.tokens for answer in answers) / len(answers),
        unfinished=_share([not answer.finished for answer in answers]),
        refusals=_share([refuses(said) for said in texts]),
        old_name=_share([says_old(said, renames) for said in texts]) if renames else None,
        new_name=_share([bool(says_new(said, renames)) for said in texts]) if renames else None,
        perplexity=perplexity(one.model, one.tokenizer, text, title=f"{one.side}: perplexity"),
    )


def _kl(a: Loaded, b: Loaded, answers: Sequence[Both]) -> float | None:
    """Over what B says; None where it fails at every question."""
    from tasks.core.drift import kl

    said = [(one.prompt, one.b.text) for one in answers if one.b.error is None]
    return kl(b.model, a.model, b.tokenizer, said, BATCH, "KL(B || A)") if said else None


def _share(truths: Sequence[bool]) -> float:
    return sum(truths) / len(truths)
