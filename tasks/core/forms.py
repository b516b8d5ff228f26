"""Rows as people publish them -> rows of three forms, and every defect of a row by its place. Pure.

in   objects of a published form (SHAPES), or bare lists of messages, each with its row number
out  Reader for one row, Loaded for all. The forms:
     conversations  {"conversations": [message]}
     hh             {"chosen": transcript, "rejected": transcript, scores}
     pairs          {"prompt": [message], "chosen": [message], "rejected": [message], scores}
     scores: "score_chosen", "score_rejected", None where the row has none
     "tie": why neither answer is the better, only in a row of which that is so
     of all rows together also "row", and "split": the row's own, or None, in a file with a column
     that divides its rows
     a fault is {"column", "check", "side", "reason", "text"}; a row may have several
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from tasks.core.blocks import Broken
from tasks.core.errors import InputError
from tasks.core.fields import (
    SCORE_COLUMNS,
    UNREADABLE,
    Faults,
    Row,
    Twice,
    add_fault,
    columns_of,
    is_not,
)
from tasks.core.fields import Form as Form
from tasks.core.judged import JUDGED
from tasks.core.settings import FormName
from tasks.core.shapes import (
    MESSAGE_LISTS,
    PAIRS,
    SAME_BEGINNING,
    TALKS,
    TRANSCRIPTS,
    Names,
    Shape,
)

# Read where a row has them.
EXTRAS = ("input", "system", "history", "metadata", "prompt", "split", *sorted(SCORE_COLUMNS))
NOTHING: Row = {  # what can be read of a row that is no row, whatever the form
    **dict.fromkeys(("prompt", "chosen", "rejected")),
    "conversations": [UNREADABLE],
}
MOST_SPLITS = 10  # names in a column `split`; with more it says something else of the rows
SHAPES = (*PAIRS, *JUDGED, *TALKS, MESSAGE_LISTS)
ALL = (*SHAPES, SAME_BEGINNING)
RANKS = (PAIRS, JUDGED, TALKS)  # a row with a verdict is a pair, whatever columns it has beside


@dataclass(frozen=True)
class Reader:
    """How the rows of one data set are read."""

    shape: Shape
    only: FormName | None = None  # set: no row is looked at as of another form

    @property
    def slug(self) -> FormName:
        return self.shape.slug

    @property
    def read_as(self) -> str:
        """The form's own name, for people."""
        return self.shape.read_as

    @property
    def form(self) -> Form:
        return self.shape.form

    def read(self, value: Any) -> tuple[Form, Row, Faults]:
        """The row in the form that it has, and what is wrong with it; a lost side is None."""
        found: Faults = []
        form, row = _read(self, value, found)
        return form, row, found


@dataclass(frozen=True)
class Loaded:
    form: Form
    read_as: str  # the form's own name, for people
    rows: list[Row]
    faults: Faults
    # row -> its form and what of it can be read: a side that cannot is None
    damaged: dict[int, tuple[Form, Row]] = field(default_factory=dict)
    ties: dict[int, str] = field(default_factory=dict)  # row -> why it is no pair, and no fault


def reader(sample: Iterable[tuple[int, Any]], name: str, form: FormName | None = None) -> Reader:
    """The form of the first row that has one, or the one that is set. Raises InputError.

    Without a sample the form that is set is taken at its word.
    """
    numbered = list(sample)
    if form is not None:
        return _reader_of_form(numbered, name, form)
    rows = [(number, row) for number, row in numbered if not isinstance(row, Broken)]
    if not rows:
        told = "".join(f":{number}: {row.reason}" for number, row in numbered[:1])
        raise InputError(f"{name}{told or ': empty, no rows'}. Each row must be {KNOWN}.")
    for number, row in rows:
        shapes = _shapes_of(row, None)
        if len(shapes) > 1:
            seen = " and ".join(f"{shape.slug} ({_told(shape)})" for shape in shapes)
            raise InputError(
                f"{name}:{number}: may be {seen}; found {columns_of(row)}. "
                f"Set data.form (pairpress check: --read-as) to the one that is meant, or remove "
                "the columns of the other."
            )
        if shapes:
            return Reader(shapes[0])
    if any(_is_faulty_pair(row) for _, row in rows):
        return Reader(TRANSCRIPTS)
    number, first = rows[0]
    raise InputError(f"{name}:{number}: {_no_form(first)}. Each row must be {KNOWN}.")


def _reader_of_form(sample: list[tuple[int, Any]], name: str, form: FormName) -> Reader:
    ways = [shape for shape in ALL if shape.slug == form]
    shapes = [one for _, row in sample for one in _shapes_of(row, form)]
    if sample and not shapes:
        number, first = sample[0]
        seen = f"found {columns_of(first)}" if isinstance(first, dict) else _no_form(first)
        raise InputError(
            f"{name}:{number}: data.form is {form}, which needs {' or '.join(map(_told, ways))}; "
            f"{seen}. Leave data.form out to have the form told from the rows."
        )
    return Reader(shapes[0] if shapes else ways[0], form)


def checked(rows: Iterable[tuple[int, Any]], name: str, form: FormName | None = None) -> Loaded:
    """Hold every row to the form of the first row that has one. Raises InputError without any."""
    numbered = list(rows)
    read = reader(numbered, name, form)
    split = _holds_splits(numbered)
    loaded = Loaded(read.form, read.read_as, [], [])
    for number, value in numbered:
        own_form, row, found = read.read(value)
        own: Row = {"row": number} | row
        tie = own.pop("tie", None)
        if split:
            own["split"] = value.get("split") if isinstance(value, dict) else None
        if found:
            loaded.faults.extend({"row": number} | fault for fault in found)
            loaded.damaged[number] = own_form, own
        elif tie:
            loaded.ties[number] = tie
        else:
            loaded.rows.append(own)
    return loaded


def _holds_splits(rows: list[tuple[int, Any]]) -> bool:
    """Whether a column `split` divides the rows: a few names, and nothing else in it."""
    names: set[str] = set()
    for _, row in rows:
        name = row.get("split") if isinstance(row, dict) else None
        if name is None:
            continue
        if not isinstance(name, str) or not name.isprintable():
            return False
        names.add(name)
        if len(names) > MOST_SPLITS:
            return False
    return bool(names)


def require_columns(columns: list[str], name: str) -> list[str]:
    """Those columns of a table that its form needs. Raises InputError if it has no known form."""
    row = dict.fromkeys(columns)
    if not any(shape.columns and shape.has_columns(row) for shape in SHAPES):
        raise InputError(f"{name}: {_no_form(row)}. Each row must be {KNOWN}.")
    needed = {one for shape in SHAPES for names in shape.known for one in names}
    return [column for column in columns if column in needed or column in EXTRAS]


def _shapes_of(row: Any, only: FormName | None) -> list[Shape]:
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
    full = [one for one in first.values() if all(row[name] is not None for name in names[one])]
    return full if len(full) == 1 else [*reversed(first.values())]


@lru_cache
def _with_columns(columns: Names, only: FormName | None) -> tuple[Shape, ...]:
    """The forms of a row with these columns, but for what the values tell."""
    if ("chosen" in columns) != ("rejected" in columns):
        return ()
    row = dict.fromkeys(columns)
    return tuple(one for one in ALL if one.columns and _may_be(one, only) and one.has_columns(row))


def _may_be(shape: Shape, only: FormName | None) -> bool:
    return shape.slug == only if only else shape is not SAME_BEGINNING


def _is_faulty_pair(row: Any) -> bool:
    """`chosen` and `rejected` are there, but not as text: damaged, rather than of no form."""
    if not isinstance(row, dict) or "chosen" not in row or "rejected" not in row:
        return False
    return not isinstance(row["chosen"], str) or not isinstance(row["rejected"], str)


def _no_form(row: Any) -> str:
    if not isinstance(row, dict):
        return f"the row {is_not('an object', row)}"
    for column, other in (("chosen", "rejected"), ("rejected", "chosen")):
        if column in row and other not in row:
            return f"no column `{other}` beside `{column}`; found {columns_of(row)}"
    hint = ""
    if isinstance(row.get("chosen"), str):
        hint = " (if both begin with the prompt, set data.form, or --read-as, to implicit-prompt)"
    return f"of no known form; found {columns_of(row)}{hint}"


def _read(reader: Reader, row: Any, found: Faults) -> tuple[Form, Row]:
    """The row in the form that it has; what is wrong with it is added to `found`."""
    shape = reader.shape
    is_list = shape is MESSAGE_LISTS
    expected: type[Any] = list if is_list else dict
    if not isinstance(row, expected):
        name = "a list" if is_list else "an object"
        add_fault(found, "", "P1", f"the row {is_not(name, row)}", row)
        return shape.form, NOTHING
    shapes = _shapes_of(row, reader.only)
    other = None if not shapes else shape if shape in shapes else shapes[0]
    if other is not None and other.slug == shape.slug:
        shape = other  # another way to write the same form
    names = () if is_list else shape.names(row)
    for column in row.twice if isinstance(row, Twice) else ():
        if column in (*names, *EXTRAS):
            check = "N1" if column in SCORE_COLUMNS else "P1"
            add_fault(found, column, check, f"`{column}` stands twice", row[column])
    missing = [column for column in names if column not in row]
    for column in missing:
        add_fault(found, column, "P1", f"no column `{column}`; found {columns_of(row)}", row)
    if not missing and other is not None and other is not shape:
        reason = f"the row is of the form {other.read_as}, the file of {shape.read_as}"
        add_fault(found, "", "P1", reason, row)
    elif not missing and other is None and shape in TALKS:
        alone = "chosen" if "chosen" in row else "rejected"
        add_fault(found, alone, "P1", f"`{alone}` stands in a file of {shape.read_as}", row)
    if other is not None:
        return other.form, other.read(row, () if is_list else other.names(row), found)
    in_row: Faults = []
    read = shape.read(row | dict.fromkeys(missing) if missing else row, names, in_row)
    found += [fault for fault in in_row if fault["column"] not in missing]
    return shape.form, read


def _told(shape: Shape) -> str:
    """Its columns by the first of their names."""
    return ", ".join(names[0] for names in shape.known) or "a list of {role, content}"


_FIRST = {shape.slug: shape for shape in reversed(SHAPES)}
KNOWN = "of a form that docs/forms.md lists, such as " + "; ".join(
    f"{shape.read_as} ({_told(shape)})" for shape in reversed(_FIRST.values())
)
