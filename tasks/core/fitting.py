"""Which of the published forms a row may have, and in words the forms and what a row lacks. Pure.

in   a raw row
out  the forms that fit it, one of each slug
"""

from functools import lru_cache
from typing import Any

from tasks.core.errors import InputError
from tasks.core.fields import SCORE_COLUMNS, columns_of, is_not
from tasks.core.form_names import FormName
from tasks.core.judged import JUDGED
from tasks.core.shapes import (
    MESSAGE_LISTS,
    PAIRS,
    PROMPT_ONLY,
    SAME_BEGINNING,
    TALKS,
    Names,
    Shape,
)

# Read where a row has them.
EXTRAS = ("input", "system", "history", "metadata", "prompt", "split", *sorted(SCORE_COLUMNS))
SHAPES = (*PAIRS, *JUDGED, *TALKS, MESSAGE_LISTS)
ALL = (*SHAPES, PROMPT_ONLY, SAME_BEGINNING)
RANKS = (PAIRS, JUDGED, TALKS)  # a row with a verdict is a pair, whatever columns it has beside


def shapes_of(row: Any, only: FormName | None) -> list[Shape]:
    """The forms that one row may have, one of each slug; none where it is too damaged to tell."""
    if isinstance(row, list):
        return [MESSAGE_LISTS] if _may_be(MESSAGE_LISTS, only) and MESSAGE_LISTS.fits(row) else []
    if not isinstance(row, dict):
        return []
    known = _with_columns(tuple(row), only)
    fitting = [shape for shape in known if shape.fits(row)] or [*known[: only is not None]]
    if len(fitting) < 2:
        return fitting
    names = {shape: {*shape.names(row)} for shape in fitting}
    most = [one for one in fitting if not any(names[one] < names[other] for other in fitting)]
    rank = next((rank for rank in RANKS if any(one in rank for one in most)), ALL)
    first = {shape.slug: shape for shape in reversed(most) if shape in rank}
    full = [  # an empty cell of CSV is no value either
        one for one in first.values() if all(row[name] not in (None, "") for name in names[one])
    ]
    return full if len(full) == 1 else [*reversed(first.values())]


@lru_cache
def _with_columns(columns: Names, only: FormName | None) -> tuple[Shape, ...]:
    """The forms of a row with these columns, but for what the values tell."""
    if ("chosen" in columns) != ("rejected" in columns):
        return ()
    row = dict.fromkeys(columns)
    return tuple(one for one in ALL if one.columns and _may_be(one, only) and one.has_columns(row))


def _may_be(shape: Shape, only: FormName | None) -> bool:
    return shape.slug == only if only else shape not in (PROMPT_ONLY, SAME_BEGINNING)


def is_prompt_alone(row: Any) -> bool:
    return PROMPT_ONLY.has_columns(row) and PROMPT_ONLY.fits(row)


def is_faulty_pair(row: Any) -> bool:
    """`chosen` and `rejected` are there, but not as text: damaged, rather than of no form."""
    if not isinstance(row, dict) or "chosen" not in row or "rejected" not in row:
        return False
    return not isinstance(row["chosen"], str) or not isinstance(row["rejected"], str)


def why_no_form(row: Any) -> str:
    if not isinstance(row, dict):
        return f"the row {is_not('an object', row)}"
    for column, other in (("chosen", "rejected"), ("rejected", "chosen")):
        if column in row and other not in row:
            return f"no column `{other}` beside `{column}`; found {columns_of(row)}"
    hint = ""
    if isinstance(row.get("chosen"), str):
        hint = (
            " (if both begin with the prompt, set reformat.form, or --read-as, to implicit-prompt)"
        )
    return f"of no known form; found {columns_of(row)}{hint}"


def require_columns(columns: list[str], name: str) -> list[str]:
    """Those columns of a table that its form needs. Raises InputError if it has no known form."""
    row = dict.fromkeys(columns)
    known = any(shape.columns and shape.has_columns(row) for shape in SHAPES)
    if not known and not is_prompt_alone(row):
        raise InputError(f"{name}: {why_no_form(row)}. Each row must be {KNOWN}.")
    needed = {one for shape in SHAPES for names in shape.known for one in names}
    return [column for column in columns if column in needed or column in EXTRAS]


def columns_told(shape: Shape) -> str:
    """Its columns by the first of their names."""
    return ", ".join(names[0] for names in shape.known) or "a list of {role, content}"


_FIRST = {shape.slug: shape for shape in reversed((*SHAPES, PROMPT_ONLY))}
KNOWN = "of a form that docs/forms.md lists, such as " + "; ".join(
    f"{shape.read_as} ({columns_told(shape)})" for shape in reversed(_FIRST.values())
)
