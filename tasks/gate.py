"""What the recipe demands of each candidate; the best goes on, a refusal stops before merging."""

from textwrap import wrap
from typing import Any

from tasks.core.errors import Refused
from tasks.core.gate import Verdict, judge, standing
from tasks.core.refs import Candidate
from tasks.core.report import escaped
from tasks.core.rows import read_rows
from tasks.core.sentences import TRAINING
from tasks.core.settings import Recipe
from tasks.core.stage import Folder
from tasks.staged import log, run_folder, stage_task
from tasks.story import markdown

Chosen = tuple[Candidate, list[str], list[dict[str, str]]]
WIDTH = 24  # characters: Prefect's tables break no line, so that three columns stand side by side
IN_TABLE = ("strict", "exact", "same", "reward_accuracy", "kl", "perplexity")


@stage_task("gate")
def pass_gate(
    tried: list[Candidate], before: Folder, last: Folder | None, recipe: Recipe
) -> Chosen:
    """(best candidate, its sentences with their numbers, the table of a sweep).

    Raises Refused if it does not meet every sentence; in a rehearsal that is only told.
    """
    judged = [(one, _verdicts(one, before, last, recipe)) for one in tried]
    table = [_row(one, verdicts) for one, verdicts in judged] if len(tried) > 1 else []
    trained = [pair for pair in judged if pair[0].diverged is None]
    if not trained:
        raise Refused("\n".join(str(one.diverged) for one in tried))
    best, verdicts = max(trained, key=lambda pair: standing(pair[1], pair[0].after.facts))
    sentences = [str(verdict) for verdict in verdicts]
    failed = [str(verdict) for verdict in verdicts if not verdict.passed]
    decision = "\n\n".join(part for part in (_decided(verdicts), as_table(table)) if part)
    compared = f"{beside(before, best.after)}\n\n{_measured(before, best.after)}"
    markdown("dpo-evaluation", "Before and after", compared, "what training did to the answers")
    met = f"{len(verdicts) - len(failed)} of {len(verdicts)} demands met"
    markdown("gate", "Gate", decision, "; ".join([met, *failed]))
    page = run_folder() / "evaluation.md"
    page.write_text(f"# Before and after\n\n{decision}\n\n{compared}\n")
    if failed and not recipe.rehearsal:
        met = [f"  {verdict}" for verdict in verdicts if verdict.passed]
        swept = ["The sweep:", as_table(table)] if table else []
        read = f"Every metric and the answers before and after: {page}"
        raise Refused("\n".join([f"gate: {'; '.join(failed)}", *met, *swept, read]))
    for sentence in failed:
        log(f"gate, would refuse: {sentence}")
    return best, sentences, table


def _verdicts(one: Candidate, before: Folder, last: Folder | None, recipe: Recipe) -> list[Verdict]:
    if one.adapter is None or one.after is None:
        return []
    facts = one.adapter.facts
    now = {f"validation.{name}": facts[name] for name in TRAINING}
    start = {f"validation.{name}": facts["start"][name] for name in TRAINING}
    earlier = None if last is None else last.facts
    return judge(recipe.gate, one.after.facts | now, before.facts | start, earlier)


def _decided(verdicts: list[Verdict]) -> str:
    lines = ["| | demand | found |", "|---|---|---|"]
    for verdict in verdicts:
        word, demand, found = str(verdict).split(": ", 2)
        lines.append(f"| {word} | {demand} | {found.removeprefix('it is ')} |")
    return "\n".join(lines)


def _row(one: Candidate, verdicts: list[Verdict]) -> dict[str, str]:
    settings = {
        "learning_rate": f"{one.recipe.training.learning_rate:g}",
        "beta": f"{one.recipe.loss.beta:g}",
    }
    if one.adapter is None or one.after is None:
        return settings | {"gate": "diverged"}
    met = sum(verdict.passed for verdict in verdicts)
    measured = {k: f"{one.after.facts[k]:.4g}" for k in IN_TABLE if k in one.after.facts}
    steps = {"steps": str(one.adapter.facts["steps"])}
    return settings | steps | measured | {"gate": f"{met} of {len(verdicts)}"}


def as_table(rows: list[dict[str, str]]) -> str:
    """Markdown; a candidate that lacks a column has an empty cell. Empty for no row."""
    heads = list(dict.fromkeys(name for row in rows for name in row))
    heads.sort(key=lambda name: name == "gate")
    lines = [heads, ["---"] * len(heads), *([row.get(h, "") for h in heads] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if rows else ""


def _measured(before: Folder, after: Folder) -> str:
    lines = ["| metric | before | after |", "|---|---|---|"]
    for name, value in after.facts.items():
        was = before.facts.get(name)
        lines.append(f"| {name} | {'' if was is None else f'{was:.4g}'} | {value:.4g} |")
    return "\n".join(lines)


def beside(before: Folder, after: Folder) -> str:
    """Markdown table of the recipe's own questions with both answers."""
    lines = ["| question | before | after |", "|---|---|---|"]
    for row in shown_answers(before, after):
        cells = ("<br>".join(map(escaped, wrap(cell, WIDTH))) for cell in row)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def shown_answers(before: Folder, after: Folder) -> list[tuple[str, str, str]]:
    """(question, answer before, answer after), as asked under the neutral system prompt, or alone
    where the chat template refuses one."""
    rows: list[list[Any]] = [
        read_rows(folder.path / "answers.parquet") for folder in (before, after)
    ]
    shown = [pair for pair in zip(*rows, strict=True) if pair[0]["kind"] == "shown"]
    under = [pair for pair in shown if pair[0]["prompt"][0]["role"] == "system"]
    return [(b["prompt"][-1]["content"], b["answer"], a["answer"]) for b, a in under or shown]
