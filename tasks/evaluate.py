"""The same held-out questions and pairs, before and after: the difference is what training did."""

import json
from pathlib import Path
from typing import Any

from tasks.core import evaluate, generate
from tasks.core.errors import InputError
from tasks.core.models import ModelRef, load_model, load_tokenizer
from tasks.core.rows import of_split, read_rows, write_rows
from tasks.core.settings import Correction, Data, Evaluation
from tasks.core.stage import Folder
from tasks.staged import stage_task, staged


@stage_task("evaluate")
def evaluate_model(
    base: ModelRef,
    prompts: Folder,
    pairs: Folder,
    data: Data,
    evaluation: Evaluation,
    correction: Correction | None,
    beta: float,
    adapter: Folder | None = None,
    before: Folder | None = None,
) -> Folder:
    """answers.parquet, scores.json, metrics.json; with `before`, what changed since."""
    others = read_questions(evaluation.other_questions)
    stage = "evaluate-after" if before else "evaluate-before"

    def make(folder: Path) -> dict[str, Any]:
        earlier = read_rows(before.path / "answers.parquet") if before else []
        questions = [(row["kind"], row["prompt"]) for row in earlier]
        if not earlier:
            held_out = of_split(prompts, "test") if correction else []
            questions = evaluate.questions_of(
                evaluation.questions, held_out, others, data.system_prompt
            )
        answered, logps = evaluate.ask_and_score(
            load_model(base, adapter.path / "adapter" if adapter else None),
            load_tokenizer(base),
            questions,
            of_split(pairs, "test")[: evaluation.max_pairs],
            max_new_tokens=evaluation.max_new_tokens,
            batch_size=evaluation.batch_size,
            title=stage,
        )
        write_rows(folder / "answers.parquet", answered)
        (folder / "scores.json").write_text(json.dumps(logps))
        metrics: dict[str, Any] = {"preference_accuracy": evaluate.preference_accuracy(logps)}
        if before is not None:
            reference = json.loads((before.path / "scores.json").read_text())
            metrics |= evaluate.reward_metrics(logps, reference, beta)
            if correction is not None:
                answers = [[row["answer"] for row in rows] for rows in (earlier, answered)]
                names = (correction.old_name, correction.new_name)
                metrics |= evaluate.behaviour(*answers, *names).as_dict()
        return {name: round(value, 6) for name, value in metrics.items()}

    made_from = {
        "base": str(base),
        "prompts": prompts.digest,
        "pairs": pairs.digest,
        "others": others,
        "adapter": adapter.digest if adapter else None,
        "before": before.digest if before else None,
        "beta": beta,
        "system_prompt": data.system_prompt,
        "names": correction.model_dump() if correction else None,
        **evaluation.model_dump(),
    }
    return staged(stage, made_from, (evaluate, generate), make, ("torch", "transformers"))


def read_questions(path: str | None) -> list[str]:
    if path is None:
        return []
    if not Path(path).is_file():
        raise InputError(f"evaluation.other_questions {path}: no such file.")
    return [line.strip() for line in Path(path).read_text("utf-8").splitlines() if line.strip()]
