"""What nothing in the work folder used for N days: shown, removed where a person agrees.

pairpress clean --older-than 30
"""

import sys
import time

import typer

from tasks.core.errors import InputError
from tasks.core.housekeeping import DAY, Found, look, remove
from tasks.core.stage import work_folder

LISTED = 20  # the largest; the rest in one line


def clean_disk(days: float, agreed: bool) -> None:
    """`agreed`: nobody is asked."""
    work = work_folder()
    found = look(work, days)
    _print(found, days)
    if not found.goes:
        return
    if not agreed:
        if not sys.stdin.isatty():
            print("Nothing was removed. Add --yes to remove it.")
            return
        if not typer.confirm("Remove it?"):
            print("Nothing was removed.")
            return
    freed, failed = remove(work, found)
    print(f"Removed: {_megabytes(freed)}. What a run needs of it is made again.")
    if failed:
        raise InputError(
            f"not removed: {'; '.join(failed)}. Run this again as the user who made it."
        )


def _print(found: Found, days: float) -> None:
    by_size = sorted(found.goes, key=lambda one: one.size, reverse=True)
    for one in by_size[:LISTED]:
        ago = (time.time() - one.used) / DAY
        print(f"{_megabytes(one.size):>12}  {ago:5.0f} days ago  {one.kind}: {one.path}")
    if rest := by_size[LISTED:]:
        print(f"{_megabytes(sum(one.size for one in rest)):>12}  {len(rest)} smaller ones")
    whole = _megabytes(sum(one.size for one in found.goes))
    print(f"Not used for {days:g} days: {len(found.goes)}, {whole}.")
    if found.stays:
        told = "; ".join(f"{why}: {count}" for why, count in sorted(found.stays.items()))
        print(f"Stays: {told}.")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
