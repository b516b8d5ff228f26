"""Two models compared -> what a person reads, on standard output."""

import sys
from pathlib import Path

from rich.console import Console

from tasks.core.compare import Comparison
from tasks.core.compare_page import notes, tables, write


def print_comparison(compared: Comparison, report: Path | None) -> None:
    """`report`: the folder for the page, where one was asked for."""
    width = None if sys.stdout.isatty() else 110  # a pipe has no width of its own
    console = Console(width=width, highlight=False, markup=False)
    for side, one in (("A", compared.a), ("B", compared.b)):
        console.print(f"{side}  {one.told}", soft_wrap=True)
    for table in tables(compared):
        console.print(table)
    for note in notes(compared):
        console.print(note, soft_wrap=True)
    if report is not None:
        write(compared, report)
        print(f"report: {report / 'compare.html'}", file=sys.stderr)
