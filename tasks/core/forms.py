"""Rows as people publish them -> rows of three forms, and every defect of a row by its place. Pure.

in   objects of a published form (SHAPES), or bare lists of messages, each with its row number
out  Loaded, every row in `rows` or in `faults`. Its forms:
     conversations  {"row", "conversations": [message]}
     hh             {"row", "chosen": transcript, "rejected": transcript, scores}
     pairs          {"row", "prompt": [message], "chosen": [message], "rejected": [message], scores}
     scores: "score_chosen", "score_rejected", None where the row has none
     "split": the row's own, or None, in a file with a column that divides its rows
     a fault is {"row", "column", "check", "side", "reason", "text"}; a row may have several
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from tasks.core.errors import InputError
from tasks.core.fields import (
    SCORE_COLUMNS,
    UNREADABLE,
    Faults,
    Message,
    Row,
    Twice,
    add_fault,
    columns_of,
    is_not,
    message,
    read_messages,
    read_said,
    read_scores,
    read_text,
    short,
    without_prompt,
)

Form = Literal["conversations", "hh", "pairs"]

# Read where a row has them.
EXTRAS = ("input", "system", "history", "metadata", "split", *sorted(SCORE_COLUMNS))
NOTHING: Row = {  # what can be read of a row that is no row, whatever the form
    **dict.fromkeys(("prompt", "chosen", "rejected")),
    "conversations": [UNREADABLE],
}
MOST_SPLITS = 10  # names in a column `split`; with more it says something else of the rows


@dataclass(frozen=True)
class Loaded:
    form: Form
    read_as: str  # the form's own name, for people
    rows: list[Row]
    faults: Faults
    # row -> its form and what of it can be read: a side that cannot is None
    damaged: dict[int, tuple[Form, Row]] = field(default_factory=dict)


@dataclass(frozen=True)
class Shape:
    """A published form: the columns that tell it, and how its row becomes one of ours."""

    read_as: str
    form: Form
    columns: tuple[str, ...]
    read: Callable[[Any, Faults], Row]


def checked(rows: Iterable[tuple[int, Any]], name: str) -> Loaded:
    """Hold every row to the form of the first row that has one. Raises InputError without any."""
    numbered = list(rows)
    if not numbered:
        raise InputError(f"{name}: empty, no rows. Each row must be {KNOWN}.")
    shape = _shape_of_rows([row for _, row in numbered])
    if shape is None:
        number, first = numbered[0]
        raise InputError(f"{name}:{number}: {_no_form(first)}. Each row must be {KNOWN}.")
    split = _holds_splits(numbered)
    kept: list[Row] = []
    faults: Faults = []
    damaged: dict[int, tuple[Form, Row]] = {}
    for number, row in numbered:
        found: Faults = []
        form, read = _read(shape, row, found)
        own: Row = {"row": number} | read
        if split:
            own["split"] = row.get("split") if isinstance(row, dict) else None
        if not found:
            kept.append(own)
            continue
        faults += [{"row": number} | fault for fault in found]
        damaged[number] = form, own
    return Loaded(shape.form, shape.read_as, kept, faults, damaged)


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
    if not any(shape.columns and {*shape.columns} <= {*columns} for shape in SHAPES):
        row = dict.fromkeys(columns)
        raise InputError(f"{name}: {_no_form(row)}. Each row must be {KNOWN}.")
    needed = {*EXTRAS, *(column for shape in SHAPES for column in shape.columns)}
    return [column for column in columns if column in needed]


def require_no_faults(loaded: Loaded, name: str) -> Loaded:
    """The same, or InputError with the first faults: what trains a model is read whole."""
    if not loaded.faults:
        return loaded
    told = [f"{name}:{fault['row']}: {fault['reason']}" for fault in loaded.faults[:5]]
    more = len(loaded.faults) - len(told)
    rest = f"; and {more:,} more" if more else ""
    raise InputError(f"{'; '.join(told)}{rest}. Mend or remove these rows.")


def _shape_of_rows(rows: list[Any]) -> Shape | None:
    decided = next((shape for row in rows if (shape := _shape_of(row))), None)
    if decided is None and any(_is_faulty_pair(row) for row in rows):
        return TRANSCRIPTS
    return decided


def _shape_of(row: Any) -> Shape | None:
    """The form of one row; None where it is of none, or too damaged to tell."""
    if isinstance(row, list):
        talk = row and isinstance(row[0], dict) and ("role" in row[0] or "from" in row[0])
        return MESSAGE_LISTS if talk else None
    if not isinstance(row, dict) or ("chosen" in row) != ("rejected" in row):
        return None
    if "chosen" not in row:
        return next((shape for shape in TALKS if all(c in row for c in shape.columns)), None)
    for shape in PROMPTED:
        if all(column in row for column in shape.columns):
            return shape
    sides = (row["chosen"], row["rejected"])
    if any(isinstance(side, str) and "\n\nHuman:" in side for side in sides):
        return TRANSCRIPTS
    return MESSAGE_PAIRS if any(isinstance(side, list) for side in sides) else None


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
    return f"of no known form; found {columns_of(row)}"


def _read(shape: Shape, row: Any, found: Faults) -> tuple[Form, Row]:
    """The row in the form that it has; what is wrong with it is added to `found`."""
    is_list = shape is MESSAGE_LISTS
    expected: type[Any] = list if is_list else dict
    if not isinstance(row, expected):
        name = "a list" if is_list else "an object"
        add_fault(found, "", "P1", f"the row {is_not(name, row)}", row)
        return shape.form, NOTHING
    for column in row.twice if isinstance(row, Twice) else ():
        if column in (*shape.columns, *EXTRAS):
            check = "N1" if column in SCORE_COLUMNS else "P1"
            add_fault(found, column, check, f"`{column}` stands twice", row[column])
    missing = [column for column in shape.columns if column not in row]
    for column in missing:
        add_fault(found, column, "P1", f"no column `{column}`; found {columns_of(row)}", row)
    other = _shape_of(row)
    if not missing and other is not None and other is not shape:
        reason = f"the row is of the form {other.read_as}, the file of {shape.read_as}"
        add_fault(found, "", "P1", reason, row)
    elif not missing and other is None and shape in TALKS:
        alone = "chosen" if "chosen" in row else "rejected"
        add_fault(found, alone, "P1", f"`{alone}` stands in a file of {shape.read_as}", row)
    if other is not None:
        return other.form, other.read(row, found)
    in_row: Faults = []
    read = shape.read(row | dict.fromkeys(missing) if missing else row, in_row)
    found += [fault for fault in in_row if fault["column"] not in missing]
    return shape.form, read


def _transcripts(row: Row, found: Faults) -> Row:
    sides = ("chosen", "rejected")
    texts: Row = {side: read_text(row[side], f"`{side}`", side, found) for side in sides}
    return texts | read_scores(row, found)


def _prompted(row: Row, found: Faults) -> Row:
    return _pair(read_said(row, "prompt", "user", found), row, found)


def _unprompted(row: Row, found: Faults) -> Row:
    return _pair([], row, found)


def _sharegpt_pair(row: Row, found: Faults) -> Row:
    return _pair(read_messages(row["conversations"], "conversations", found), row, found)


def _alpaca_pair(row: Row, found: Faults) -> Row:
    return _pair(_asked(row, "instruction", found), row, found)


def _pair(prompt: list[Message], row: Row, found: Faults) -> Row:
    chosen, rejected = (read_said(row, side, "assistant", found) for side in ("chosen", "rejected"))
    sides = [prompt, chosen, rejected]
    lost = [bool(found) and UNREADABLE in turns for turns in sides]
    if any(lost):
        sides = [[] if gone else turns for turns, gone in zip(sides, lost, strict=True)]
    sides = without_prompt(*sides)
    read: Row = {
        name: None if gone and not turns else turns  # the answers may repeat a prompt that is lost
        for name, turns, gone in zip(("prompt", "chosen", "rejected"), sides, lost, strict=True)
    }
    return read | read_scores(row, found)


def _sharegpt(row: Row, found: Faults) -> Row:
    return {"conversations": read_messages(row["conversations"], "conversations", found)}


def _openai(row: Row, found: Faults) -> Row:
    return {"conversations": read_messages(row["messages"], "messages", found)}


def _message_list(row: list[Any], found: Faults) -> Row:
    return {"conversations": read_messages(row, "messages", found)}


def _alpaca(row: Row, found: Faults) -> Row:
    asked = _asked(row, "instruction", found)
    return {"conversations": asked + read_said(row, "output", "assistant", found)}


def _query(row: Row, found: Faults) -> Row:
    asked = _asked(row, "query", found)
    return {"conversations": asked + read_said(row, "response", "assistant", found)}


def _asked(row: Row, column: str, found: Faults) -> list[Message]:
    """What was asked in one column, with the system message, the turns and the input around it."""
    turns: list[Message] = []
    if row.get("system"):
        turns += read_said(row, "system", "system", found)
    history = row.get("history") or []
    if not isinstance(history, list):
        add_fault(found, "history", "P1", f"`history` {is_not('a list', history)}", history)
        turns, history = [*turns, UNREADABLE], []
    for number, both in enumerate(history, start=1):
        where = f"entry {number} of `history`"
        if not isinstance(both, list) or len(both) != 2:
            reason = f"{where} is not a question and its answer: {short(both)}"
            add_fault(found, "history", "P1", reason, both)
            turns.append(UNREADABLE)
            continue
        for role, said in zip(("user", "assistant"), both, strict=True):
            turns.append(message(role, read_text(said, where, "history", found)))
    texts = [read_text(row[column], f"`{column}`", column, found)]
    if row.get("input") is not None:
        texts.append(read_text(row["input"], "`input`", "input", found))
    asked = None if None in texts else "\n\n".join(filter(None, texts))
    return [*turns, message("user", asked)]


TRANSCRIPTS = Shape("HH-RLHF transcripts", "hh", ("chosen", "rejected"), _transcripts)
MESSAGE_PAIRS = Shape("message lists", "pairs", ("chosen", "rejected"), _unprompted)
MESSAGE_LISTS = Shape("bare message lists", "conversations", (), _message_list)
PROMPTED = (
    Shape("prompt/chosen/rejected", "pairs", ("prompt", "chosen", "rejected"), _prompted),
    Shape("ShareGPT pairs", "pairs", ("conversations", "chosen", "rejected"), _sharegpt_pair),
    Shape("Alpaca pairs", "pairs", ("instruction", "chosen", "rejected"), _alpaca_pair),
)
TALKS = (
    Shape("ShareGPT", "conversations", ("conversations",), _sharegpt),
    Shape("OpenAI messages", "conversations", ("messages",), _openai),
    Shape("Alpaca", "conversations", ("instruction", "output"), _alpaca),
    Shape("query/response", "conversations", ("query", "response"), _query),
)
SHAPES = (*PROMPTED, TRANSCRIPTS, MESSAGE_PAIRS, *TALKS, MESSAGE_LISTS)
KNOWN = "one of: " + "; ".join(
    f"{shape.read_as} ({', '.join(shape.columns) or 'role, content'})" for shape in SHAPES
)
