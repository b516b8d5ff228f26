"""The same held-out questions and pairs, before and after: the difference is what training did."""

import json
from pathlib import Path
from typing import Any

from tasks.core import (
    behaviour,
    evaluate,
    generate,
    merge,
    models,
    publish,
    questions,
    rows,
    split,
)
from tasks.core.evaluate import Asked
from tasks.core.fields import Row
from tasks.core.gate import asks_for_last
from tasks.core.models import ModelRef, load_model, load_tokenizer
from tasks.core.questions import read_text
from tasks.core.rows import of_split, split_of
from tasks.core.settings import Recipe
from tasks.core.split import prompt_keys
from tasks.core.stage import Folder
from tasks.staged import log, passing, stage_task, staged
from tasks.story import markdown

SOURCES = (behaviour, evaluate, generate, merge, models, questions, rows, split)
PACKAGES = ("torch", "transformers", "peft")
NOT_RENDERED = "the chat template refuses them, as Gemma's does a system message."
# What cannot be compared with a release of another vocabulary, or between candidates of two betas.
OF_A_BETA = ("reward_margin", "chosen_reward", "rejected_reward")
OF_A_VOCABULARY = (*OF_A_BETA, "perplexity", "answer_tokens", "chosen_tokens", "rejected_tokens")


@stage_task("evaluate before")
def evaluate_base(base: ModelRef, prompts: Folder, pairs: Folder, recipe: Recipe) -> Folder:
    """answers.parquet (every question), scores.json, warnings.json; facts: the base's metrics."""
    held_out = of_split(prompts, "test")
    asked, refused = evaluate.askable(
        load_tokenizer(base),
        questions.questions_of(
            recipe.evaluation,
            held_out,
            recipe.measure.max_prompts,
            recipe.reformat.system_prompt,
        ),
    )
    least = 1 if recipe.rehearsal else merge.LEAST_PROMPTS
    compared = merge.prompts_to_compare([one["prompt"] for one in asked], held_out)
    merge.require_prompts(compared, least)

    def make(folder: Path) -> dict[str, Any]:
        found = _ask(load_model(base), base, asked, pairs, recipe, "before")
        found.write(folder)
        metrics = _metrics(found, found, pairs, recipe)
        told = [f"{len(refused)} questions are not asked: {NOT_RENDERED}"] if refused else []
        told += [
            *behaviour.warnings_before(
                found.answers, _answers(found), _renames(recipe), metrics["preference_accuracy"]
            ),
            *(
                f"the evaluation asks {text!r}, which stands in the training prompts as well: its "
                "answer shows what was learned by heart. Ask another question, or drop the rows."
                for text in questions.standing_in_training(asked, split_of(pairs, "train"))
            ),
        ]
        (folder / "warnings.json").write_text(json.dumps(told, ensure_ascii=False))
        return metrics

    made_from = {"base": str(base), "pairs": pairs.digest, "asked": asked, **_key(recipe)}
    made_from |= {"refused": len(refused)}
    folder = staged("evaluate-before", made_from, SOURCES, make, PACKAGES)
    told = read_warnings(folder)
    for line in told:
        log(f"warning, before any training: {line}")
    listed = "\n".join(f"- {line}" for line in told) or "Nothing speaks against training it."
    gist = f"{len(told)} warnings" if told else listed
    markdown("base-model", "The base model, before any training", listed, gist)
    return folder


@stage_task("evaluate last release", retries=2, retry_delay_seconds=2, retry_condition_fn=passing)
def evaluate_last(
    repository: str, base: ModelRef, before: Folder, pairs: Folder, recipe: Recipe
) -> Folder | None:
    """The last release asked the same; None where no sentence of the gate asks for one, or none is.

    facts: its metrics, against the base's answers as ours are.
    """
    last = publish.last_release(repository) if asks_for_last(recipe.gate) else None
    if last is None:
        return None

    def make(folder: Path) -> dict[str, Any]:
        reference = evaluate.read_asked(before.path)
        same = load_tokenizer(last).get_vocab() == load_tokenizer(base).get_vocab()
        known = load_model(base) if same else None  # no KL between two vocabularies
        asked = reference.answers
        found = _ask(load_model(last), last, asked, pairs, recipe, "last release", known)
        found.write(folder)
        metrics = _metrics(found, reference, pairs, recipe)
        unlike = () if same else OF_A_VOCABULARY
        unlike += OF_A_BETA if len(recipe.sweep.beta) > 1 else ()
        return {name: value for name, value in metrics.items() if not name.startswith(unlike)}

    made_from = {
        "betas": recipe.sweep.beta,
        "last": str(last),
        "base": str(base),
        "before": before.digest,
    }
    made_from |= {"pairs": pairs.digest, "beta": recipe.loss.beta, **_key(recipe)}
    return staged("evaluate-last", made_from, SOURCES, make, PACKAGES)


@stage_task("evaluate after")
def evaluate_adapter(
    base: ModelRef, adapter: Folder, before: Folder, pairs: Folder, recipe: Recipe
) -> Folder:
    """The questions and pairs of `before` again; facts: rewards, and what became of the answers."""

    def make(folder: Path) -> dict[str, Any]:
        reference = evaluate.read_asked(before.path)
        model = load_model(base, adapter.path / "adapter")
        found = _ask(model, base, reference.answers, pairs, recipe, "after")
        found.write(folder)
        return _metrics(found, reference, pairs, recipe)

    made_from = {"base": str(base), "adapter": adapter.digest, "before": before.digest}
    made_from |= {"pairs": pairs.digest, "beta": recipe.loss.beta, **_key(recipe)}
    return staged("evaluate-after", made_from, SOURCES, make, PACKAGES)


def read_warnings(before: Folder) -> list[str]:
    found: list[str] = json.loads((before.path / "warnings.json").read_text())
    return found


def _ask(
    model: Any,
    of: ModelRef,
    asked: list[Any],
    pairs: Folder,
    recipe: Recipe,
    title: str,
    base: Any | None = None,
) -> Asked:
    return evaluate.asked(
        model,
        load_tokenizer(of),
        [{key: one[key] for key in ("kind", "prompt", "language")} for one in asked],
        _scored(pairs, recipe),
        recipe.measure,
        text=read_text(recipe.evaluation.text, "evaluation.text"),
        title=title,
        base=base,
    )


def _metrics(found: Asked, reference: Asked, pairs: Folder, recipe: Recipe) -> dict[str, Any]:
    prompts = prompt_keys([row["prompt"] for row in _scored(pairs, recipe)])
    metrics = evaluate.metrics(found, reference, recipe.loss.beta, prompts)
    metrics |= behaviour.measured(
        found.answers, _answers(reference), _answers(found), _renames(recipe)
    )
    return {name: round(value, 6) for name, value in metrics.items()}


def _answers(one: Asked) -> list[str]:
    return [row["answer"] for row in one.answers]


def _scored(pairs: Folder, recipe: Recipe) -> list[Row]:
    return of_split(pairs, "test")[: recipe.measure.max_pairs]


def _renames(recipe: Recipe) -> Any:
    return recipe.curation.renames if recipe.curation else ()


def _key(recipe: Recipe) -> dict[str, Any]:
    """What changes an evaluation beside models and rows."""
    return {
        "text": read_text(recipe.evaluation.text, "evaluation.text"),
        "renames": [one.model_dump() for one in _renames(recipe)],
        **recipe.measure.model_dump(exclude={"max_prompts"}),
    }
