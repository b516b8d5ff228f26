"""release.json -> what a person reads at the end of a run, on standard output."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

OF_TRAINING = ("loss", "chosen_rewards", "rejected_rewards", "reward_margin", "token_accuracy")


def print_release(path: Path, whole: float) -> None:
    """`whole`: seconds of the whole command; what the flow did not take went into starting up."""
    release = json.loads(path.read_text())
    if "nothing_new" in release:
        _print_nothing_new(release, whole)
        return
    width = None if sys.stdout.isatty() else 110  # a pipe has no width of its own
    console = Console(width=width, highlight=False)
    answers = [(row["question"], row["before"], row["after"]) for row in release["answers"]]
    console.print(
        _table("Held-out questions", ("question", "before", "after"), answers, lines=True)
    )
    console.print(_table("Metrics", ("metric", "before", "after"), _metrics(release)))
    if sweep := release["sweep"]:
        heads = list(dict.fromkeys(name for row in sweep for name in row))
        rows = [[row.get(head, "") for head in heads] for row in sweep]
        console.print(_table("Sweep", heads, rows))
    stages = [
        (one["stage"], "cached" if one["cached"] else f"{one['seconds']:.1f}")
        for one in release["seconds"]
    ]
    stages = [
        (("Prefect's own share" if name == "prefect" else name), took) for name, took in stages
    ]
    startup = whole - sum(one["seconds"] for one in release["seconds"])
    stages.append(("start-up: imports, Prefect's server", f"{startup:.1f}"))
    console.print(_table("Seconds", ("stage", "seconds"), stages))
    for line in release["warnings"]:
        console.print(f"warning, of the base: {line}")
    for line in release["gate"]:
        console.print(f"gate {line}")
    if release["repositories"]:
        news = (
            f"{release['new_commits']} new commits" if release["new_commits"] else "no new commit"
        )
        console.print(f"\nReleased {release['version']}, verified before its tags ({news}):")
        for part, one in release["repositories"].items():
            console.print(f"  {part:8} {one['url']}  {one['commit'][:8]}", soft_wrap=True)
    else:
        console.print(f"\n{release['version']} is staged, verified and proposed; merge these:")
        for one in release["proposals"]:
            if one["status"] == "open":
                console.print(f"  {one['part']:8} {one['url']}", soft_wrap=True)
        console.print(
            "  then run the same command again: it compares what was merged, and tags it."
        )
    console.print(f"  record   {path}", soft_wrap=True)


def _print_nothing_new(release: dict[str, Any], whole: float) -> None:
    print(f"Nothing new: {release['nothing_new']} ({whole:.0f} s).")
    for part, one in release["repositories"].items():
        print(f"  {part:8} {one['url']}  {one['commit'][:8]}")


def _metrics(release: dict[str, Any]) -> list[tuple[str, str, str]]:
    before, after = release["metrics"]["before"], release["metrics"]["after"]
    rows = [(name, _number(before.get(name)), _number(value)) for name, value in after.items()]
    training = release["training"]
    rows += [
        (f"validation.{name}", _number(value), _number(training[name]))
        for name, value in training["start"].items()
        if name in OF_TRAINING
    ]
    rows += [
        ("steps", "", str(training["steps"])),
        ("best step, which goes on", "", str(training["best_step"])),
        ("trainable parameters", "", f"{training['trainable_parameters']:,}"),
        (
            "merge: largest logit difference",
            "",
            f"{release['merge']['largest_logit_difference']:.1e}",
        ),
    ]
    return rows


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _table(
    title: str, heads: Iterable[str], rows: Iterable[Iterable[str]], lines: bool = False
) -> Table:
    table = Table(title=title, title_justify="left", show_lines=lines)
    for head in heads:
        table.add_column(head, justify="right" if head == "seconds" else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # what a model says is no markup
    return table
