"""Rows as people publish them -> rows of three forms, and every defect of a row by its place. Pure.

in   objects of a published form (tasks.core.fitting), each with its row number
out  Reader for one row, Loaded for all. The forms:
     conversations  {"conversations": [message]}; with "is_prompt" where all of it is what is asked
     hh             {"chosen": transcript, "rejected": transcript, scores}
     pairs          {"prompt": [message], "chosen": [message], "rejected": [message], scores}
     scores: "score_chosen", "score_rejected", None where the row has none
     "tie": why neither answer is the better, only in a row of which that is so
     of all rows together also "row", and "split": the row's own, or None, in a file with a column
     that divides its rows
     a fault is {"column", "check", "side", "reason", "text"}; a row may have several
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
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
from tasks.core.fitting import (
    ALL,
    EXTRAS,
    KNOWN,
    columns_told,
    is_faulty_pair,
    is_prompt_alone,
    shapes_of,
    why_no_form,
)
from tasks.core.fitting import require_columns as require_columns
from tasks.core.form_names import FormName
from tasks.core.shapes import (
    MESSAGE_LISTS,
    PROMPT_ONLY,
    TALKS,
    TRANSCRIPTS,
    Shape,
)

NOTHING: Row = {  # what can be read of a row that is no row, whatever the form
    **dict.fromkeys(("prompt", "chosen", "rejected")),
    "conversations": [UNREADABLE],
}
MOST_SPLITS = 10  # names in a column `split`; with more it says something else of the rows
SAMPLE = 1_000  # rows by which the form is told
MOST_OTHERS = 0.1  # of these rows, of another form than most; beyond it a file is two files


@dataclass(frozen=True)
class Reader:
    """How the rows of one data set are read."""

    shape: Shape
    only: FormName | None = None  # set: a row that has its columns is of this form and no other

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
    """The form of most rows, or the one that is set. Raises InputError, also for two forms.

    Without a sample the form that is set is taken at its word.
    """
    numbered = list(sample)
    if form is not None:
        return _reader_of_form(numbered, name, form)
    told, counts = _told_of(numbered, name)
    others = [slug for slug in counts if slug != told.slug]
    if others and max(counts[slug] for slug in others) >= MOST_OTHERS * min(len(numbered), SAMPLE):
        seen = ", ".join(f"{count:,} {slug}" for slug, count in counts.most_common())
        raise InputError(
            f"{name}: rows of several forms: {seen} (of the first "
            f"{min(len(numbered), SAMPLE):,}). Put each form in a file of its own, or set "
            "reformat.form (pairpress check: --read-as) to the one that is meant; rows of others "
            "are then set aside."
        )
    return told


def _told_of(numbered: list[tuple[int, Any]], name: str) -> tuple[Reader, Counter[FormName]]:
    """The form of most rows of the sample, and how many rows have each."""
    rows = [(number, row) for number, row in numbered if not isinstance(row, Broken)]
    if not rows:
        told = "".join(f":{number}: {row.reason}" for number, row in numbered[:1])
        way_out = "Save the file as UTF-8" if "not UTF-8" in told else f"Each row must be {KNOWN}"
        raise InputError(f"{name}{told or ': empty, no rows'}. {way_out}.")
    seen = [(number, row, shapes_of(row, None)) for number, row in rows[:SAMPLE]]
    votes = Counter(tuple(shape.slug for shape in shapes) for _, _, shapes in seen if shapes)
    if not votes:  # of a large file with nothing but damage before
        seen = [(number, row, shapes_of(row, None)) for number, row in rows[SAMPLE:]]
        votes = Counter(tuple(shape.slug for shape in shapes) for _, _, shapes in seen if shapes)
    if votes:
        most, _ = votes.most_common(1)[0]
        number, row, shapes = next(
            one for one in seen if tuple(shape.slug for shape in one[2]) == most
        )
        if len(shapes) > 1:
            forms = " and ".join(f"{shape.slug} ({columns_told(shape)})" for shape in shapes)
            raise InputError(
                f"{name}:{number}: may be {forms}; found {columns_of(row)}. "
                f"Set reformat.form (pairpress check: --read-as) to the one that is meant, or "
                "remove the columns of the other."
            )
        counts: Counter[FormName] = Counter()
        for slugs, count in votes.items():
            counts[most[0] if most[0] in slugs else slugs[0]] += count
        counts["prompt-only"] = sum(not own and is_prompt_alone(row) for _, row, own in seen)
        return Reader(shapes[0]), +counts  # without what no row is
    if any(is_faulty_pair(row) for _, row in rows):
        return Reader(TRANSCRIPTS), Counter()
    if any(is_prompt_alone(row) for _, row in rows):
        return Reader(PROMPT_ONLY), Counter()
    number, first = rows[0]
    raise InputError(f"{name}:{number}: {why_no_form(first)}. Each row must be {KNOWN}.")


def _reader_of_form(sample: list[tuple[int, Any]], name: str, form: FormName) -> Reader:
    ways = [shape for shape in ALL if shape.slug == form]
    shapes = [one for _, row in sample for one in shapes_of(row, form)]
    if sample and not shapes:
        number, first = sample[0]
        seen = f"found {columns_of(first)}" if isinstance(first, dict) else why_no_form(first)
        needed = " or ".join(map(columns_told, ways))
        raise InputError(
            f"{name}:{number}: reformat.form is {form}, which needs {needed}; {seen}. "
            "Leave reformat.form out to have the form told from the rows."
        )
    return Reader(shapes[0] if shapes else ways[0], form)


def checked(rows: Iterable[tuple[int, Any]], name: str, form: FormName | None = None) -> Loaded:
    """Hold every row to the form of most. Raises InputError where none has one.

    Rows of another form are no reason to refuse the file: each is a fault of its own.
    """
    numbered = list(rows)
    read = reader(numbered, name, form) if form else _told_of(numbered, name)[0]
    if read.shape is PROMPT_ONLY:
        raise InputError(
            f"{name}: prompts without answers, there is nothing to check. Give pairs or "
            "conversations; a run makes pairs from prompts alone (`curation`, `on_policy`)."
        )
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


def _read(reader: Reader, row: Any, found: Faults) -> tuple[Form, Row]:
    """The row in the form that it has; what is wrong with it is added to `found`."""
    shape = reader.shape
    is_list = shape is MESSAGE_LISTS
    expected: type[Any] = list if is_list else dict
    if not isinstance(row, expected):
        name = "a list" if is_list else "an object"
        add_fault(found, "", "P1", f"the row {is_not(name, row)}", row)
        return shape.form, NOTHING
    shapes = shapes_of(row, reader.only) or shapes_of(row, None)
    other = None if not shapes else shape if shape in shapes else shapes[0]
    if other is not None and other.slug == shape.slug:
        shape = other  # another way to write the same form
    names = () if is_list else shape.names(row)
    for column in row.twice if isinstance(row, Twice) else ():
        if column in (*names, *EXTRAS):
            check = "N1" if column in SCORE_COLUMNS else "P1"
            add_fault(found, column, check, f"`{column}` stands twice", row[column])
    missing = [column for column in names if column not in row]
    is_other = other is not None and other is not shape
    for column in () if is_other else missing:
        add_fault(found, column, "P1", f"no column `{column}`; found {columns_of(row)}", row)
    if other is not None and is_other:
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
