"""The same held-out questions and pairs, before and after: the difference is what training did."""

import json
from pathlib import Path
from typing import Any

from tasks.core import evaluate, generate, merge, models, rows
from tasks.core.models import ModelRef, load_model, load_tokenizer
from tasks.core.rows import of_split, read_rows, write_rows
from tasks.core.settings import Correction, Data, Evaluation
from tasks.core.split import prompt_keys
from tasks.core.stage import Folder
from tasks.staged import stage_task, staged

SOURCES = (evaluate, generate, merge, models, rows)
PACKAGES = ("torch", "transformers", "peft")


@stage_task("evaluate before")
def evaluate_base(
    base: ModelRef,
    prompts: Folder,
    pairs: Folder,
    data: Data,
    evaluation: Evaluation,
    correction: Correction | None,
) -> Folder:
    """answers.parquet (every question), scores.json (log-probabilities of the held-out pairs)."""
    others = evaluate.read_questions(evaluation.other_questions)

    def make(folder: Path) -> dict[str, Any]:
        held_out = of_split(prompts, "test")
        asked = held_out if correction else []
        questions = evaluate.questions_of(evaluation.questions, asked, others, data.system_prompt)
        merge.require_prompts(merge.prompts_to_compare([p for _, p in questions], held_out))
        answered, logps = evaluate.ask_and_score(
            load_model(base),
            load_tokenizer(base),
            questions,
            of_split(pairs, "test")[: evaluation.max_pairs],
            max_new_tokens=evaluation.max_new_tokens,
            batch_size=evaluation.batch_size,
            title="before",
        )
        write_rows(folder / "answers.parquet", answered)
        (folder / "scores.json").write_text(json.dumps(logps))
        return {"preference_accuracy": round(evaluate.preference_accuracy(logps), 6)}

    made_from = {
        "base": str(base),
        "prompts": prompts.digest if correction else None,
        "pairs": pairs.digest,
        "others": others,
        "system_prompt": data.system_prompt,
        **evaluation.model_dump(exclude={"other_questions"}),
    }
    return staged("evaluate-before", made_from, SOURCES, make, PACKAGES)


@stage_task("evaluate after")
def evaluate_adapter(
    base: ModelRef,
    adapter: Folder,
    before: Folder,
    pairs: Folder,
    evaluation: Evaluation,
    correction: Correction | None,
    beta: float,
) -> Folder:
    """The questions and pairs of `before` again; facts: rewards, and what became of the answers."""
    limits = evaluation.model_dump(include={"max_new_tokens", "batch_size"})
    renames = correction.renames if correction else ()

    def make(folder: Path) -> dict[str, Any]:
        earlier = read_rows(before.path / "answers.parquet")
        scored = of_split(pairs, "test")[: evaluation.max_pairs]
        answered, logps = evaluate.ask_and_score(
            load_model(base, adapter.path / "adapter"),
            load_tokenizer(base),
            [(row["kind"], row["prompt"]) for row in earlier],
            scored,
            **limits,
            title="after",
        )
        write_rows(folder / "answers.parquet", answered)
        (folder / "scores.json").write_text(json.dumps(logps))
        reference = json.loads((before.path / "scores.json").read_text())
        prompts = prompt_keys([row["prompt"] for row in scored])
        metrics = evaluate.reward_metrics(logps, reference, beta, prompts)
        metrics |= {"preference_accuracy": evaluate.preference_accuracy(logps)}
        if renames:
            answers = ([row["answer"] for row in asked] for asked in (earlier, answered))
            metrics |= evaluate.behaviour(*answers, renames).as_dict()
        return {name: round(value, 6) for name, value in metrics.items()}

    made_from = {
        "base": str(base),
        "adapter": adapter.digest,
        "before": before.digest,
        "pairs": pairs.digest,
        "beta": beta,
        "renames": [one.model_dump() for one in renames],
        "max_pairs": evaluation.max_pairs,
        **limits,
    }
    return staged("evaluate-after", made_from, SOURCES, make, PACKAGES)
