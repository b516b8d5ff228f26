"""A plan -> a page for a terminal, or JSON for a program; and whether a run may start."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tasks.core.plan import Plan
from tasks.core.plan_page import sections
from tasks.core.standing import Standing

WIDTH = 110  # a pipe has no width of its own


def print_plan(plan: Plan, form: str = "text") -> int:
    """The exit code: 2 where something stands in the way of a run."""
    code = 2 if plan.refusals else 0
    if form == "json":
        print(plan.model_dump_json(indent=2))
        return code
    console = Console(
        width=None if sys.stdout.isatty() else WIDTH, highlight=False, markup=False, emoji=False
    )
    who = f" as {plan.user}" if plan.user else ""
    console.print(f"{plan.repository} on {plan.hub}{who}", soft_wrap=True)
    for title, lines in sections(plan).items():
        _tell(console, title, lines)
    if plan.repositories:
        console.print(_standing(plan.repositories))
    _tell(console, "In the way of a run", plan.refusals or ["nothing"])
    return code


def _tell(console: Console, title: str, lines: Sequence[str]) -> None:
    console.print(f"\n{title}", style="bold")
    for line in lines:
        table = Table.grid(padding=(0, 1))
        table.add_row(" -", line)
        console.print(table)


def _standing(repositories: tuple[Standing, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("", "repository", "now", "version", "commit", "of"):
        table.add_column(head)
    for one in repositories:
        now = "not there" if not one.exists else "private" if one.private else "public"
        row = (now, one.version or "-", one.commit[:8] or "-", one.date or "-")
        table.add_row("   " + one.part, one.repo, *row)
    return table
