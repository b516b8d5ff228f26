"""What the recipe demands of the trained model; a refusal stops the run before merging."""

from tasks.core.errors import Refused
from tasks.core.gate import judge
from tasks.core.rows import read_rows
from tasks.core.settings import Gate
from tasks.core.stage import Folder
from tasks.staged import markdown, stage_task


@stage_task("gate")
def pass_gate(training: Folder, before: Folder, after: Folder, gate: Gate) -> list[str]:
    """Every demand with its number, as sentences; raises Refused if one is not met."""
    verdicts = judge(training.facts, after.facts, **gate.model_dump())
    sentences = [str(verdict) for verdict in verdicts]
    listed = "\n".join(f"- {sentence}" for sentence in sentences)
    markdown("dpo-evaluation", "Before and after", f"{listed}\n\n{beside(before, after)}")
    failed = [str(verdict) for verdict in verdicts if not verdict.passed]
    if failed:
        raise Refused("gate: " + "; ".join(failed) + f". Answers: {after.path}/answers.parquet")
    return sentences


def beside(before: Folder, after: Folder) -> str:
    """Markdown table of the recipe's own questions with both answers."""
    lines = ["| question | before | after |", "|---|---|---|"]
    for row in shown_answers(before, after):
        lines.append("| " + " | ".join(" ".join(cell.split()) for cell in row) + " |")
    return "\n".join(lines)


def shown_answers(before: Folder, after: Folder) -> list[tuple[str, str, str]]:
    """(question, answer before, answer after), as asked under the neutral system prompt."""
    rows = [read_rows(folder.path / "answers.parquet") for folder in (before, after)]
    return [
        (b["prompt"][-1]["content"], b["answer"], a["answer"])
        for b, a in zip(*rows, strict=True)
        if b["kind"] == "shown" and b["prompt"][0]["role"] == "system"
    ]
