"""Prompts -> preference pairs by correction: the model's own answer, and the same answer renamed.

in   {"row", "split", "prompt": [system, user]}; the renames of the recipe
out  the same with "chosen", "rejected" and "edits": [{"start", "old", "new"}], where start counts
     characters of the rejected answer; each prompt with and without its system message

Rejected is what the model says now, so the two sides differ in the names and in nothing else: there
is nothing else to learn. That is proven for each pair: undoing its edits gives back the rejected
answer, and the I1 check of identity sets, which reads the two answers alone, finds no fault.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypedDict

import polars as pl

from expectations.measures.identity import IdentitySlots, name_left
from tasks.core.answers import Answer
from tasks.core.aside import set_aside
from tasks.core.errors import InputError
from tasks.core.fields import Message, Row
from tasks.core.own_answers import question_of, quoted, said, unusable
from tasks.core.settings import Rename
from tasks.core.spellings import APOSTROPHES, name_slots, spellings

Renames = tuple[Rename, ...]

# What is not said but looked up or run: with another name it leads nowhere. So it stays, and the
# answer is set aside because the old name is left in it. A code span of the name alone is said.
ADDRESS = (
    r"[A-Za-z][A-Za-z+.-]{0,20}://[!-~]+"
    r"|[A-Za-z0-9_.+-]{0,64}[@#][A-Za-z0-9_][A-Za-z0-9_.-]*"
    r"|(?<![A-Za-z0-9.-])(?:[A-Za-z0-9-]{1,64}\.)+[a-z]{2,}(?:/[!-~]*)?(?![A-Za-z0-9])"
)
OPENED = re.compile(r"(?<!\w)['‘’][^'’\n]*\Z")  # a quote before a name that is not closed yet
CODE = r"```(?s:.*?)(?:```|\Z)|`[^`\n]+`"


# Whole answers of which no pair was made
ANSWERED = ("nothing-to-correct", "left-over", "unexplained")


class Edit(TypedDict):
    start: int
    old: str
    new: str


def correction_pairs(
    rows: list[Row], ask: Callable[[list[list[Message]]], list[Answer]], renames: Renames
) -> tuple[list[Row], list[Row]]:
    """(pairs, set aside). `ask` answers conversations greedily."""
    asked, aside = _asked(rows)
    pairs, without = [], []
    for row, answer in zip(asked, ask([row["prompt"] for row in asked]), strict=True):
        chosen, edits = rename(answer.text, renames)
        if why := unusable(answer, row["prompt"]):
            aside.append(set_aside(row["row"], *why))
        elif not edits:
            without.append((row["row"], answer.text))
        elif new := says_new(answer.text, renames):
            reason = f"the answer says {new} already, besides an old name"
            aside.append(set_aside(row["row"], "unexplained", reason, answer.text))
        else:
            sides = {"chosen": said(chosen), "rejected": said(answer.text)}
            pairs.append({**row, **sides, "edits": edits})
    lefts = left_overs([text for _, text in without], renames)
    for (number, text), left in zip(without, lefts, strict=True):
        if left is not None:
            aside.append(set_aside(number, "left-over", f"no rename covers {left} here", text))
        else:
            reason = f"the answer does not say {' or '.join(one.old[0] for one in renames)}"
            aside.append(set_aside(number, "nothing-to-correct", reason, text))
    proven, unproven = prove(pairs, renames)
    return proven, sorted(aside + unproven, key=lambda row: int(row["row"]))


def _asked(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """Each prompt once, with and without its system message; the rows that repeat one."""
    first: dict[str, int] = {}
    asked, aside = [], []
    for row in rows:
        for prompt in with_and_without_system(row["prompt"]):
            key = repr(prompt)
            if key not in first:
                first[key] = row["row"]
                asked.append(row | {"prompt": prompt})
            elif prompt == row["prompt"]:
                reason = f"the same prompt as row {first[key]}"
                aside.append(set_aside(row["row"], "repeated-prompt", reason, question_of(prompt)))
    return asked, aside


def prove(pairs: list[Row], renames: Renames) -> tuple[list[Row], list[Row]]:
    """(pairs whose edits account for every difference, set aside)."""
    whys = unexplained(pairs, renames)
    lefts = left_overs([row["chosen"][0]["content"] for row in pairs], renames)
    proven, aside = [], []
    for row, why, left in zip(pairs, whys, lefts, strict=True):
        chosen, rejected = (row[side][0]["content"] for side in ("chosen", "rejected"))
        if undo(chosen, row["edits"]) != rejected:
            reason = "undoing the edits does not give back the answer"
            aside.append(set_aside(row["row"], "unexplained", reason, rejected))
        elif left or (why and why.startswith("old name")):
            reason = f"{left} is left in chosen" if left else str(why)
            aside.append(set_aside(row["row"], "left-over", reason, rejected))
        elif why:
            aside.append(set_aside(row["row"], "unexplained", why, rejected))
        else:
            proven.append(row)
    return proven, aside


def left_overs(texts: list[str], renames: Renames) -> list[str | None]:
    """The first old name in each text that a reader sees, however it is spelt: in other letters of
    Unicode (fullwidth), with invisible characters in it, as a part of another word."""
    new_names, plurals = _new_names(renames), _plurals(renames)
    rest = [_as_seen(new_names.sub(" ", text)) for text in texts]
    slots = name_slots(renames)
    for slot in slots:
        slot["rejected"] = list(dict.fromkeys(map(_as_seen, slot["rejected"])))
    left = pl.DataFrame({"rest": rest}, schema={"rest": pl.String}).select(
        left=name_left(pl.col("rest"), slots, "rejected")
    )
    plural = (plurals.search(text) for text in rest)
    return [
        many[0] if many else name for name, many in zip(left["left"].to_list(), plural, strict=True)
    ]


def _as_seen(text: str) -> str:
    """In the usual letters (NFKC), without what cannot be seen (format characters)."""
    whole = unicodedata.normalize("NFKC", text)
    return "".join(c for c in whole if unicodedata.category(c) != "Cf")


def unexplained(pairs: list[Row], renames: Renames) -> list[str | None]:
    """What the I1 check says about each pair; it masks the names and sees no edits."""
    sides = {f"{s}_text": [row[s][0]["content"] for row in pairs] for s in ("chosen", "rejected")}
    frame = pl.DataFrame(sides, schema=dict.fromkeys(sides, pl.String)).with_columns(good=True)
    why = IdentitySlots(slots=name_slots(renames)).whys()[""]
    found: list[str | None] = frame.select(why=why)["why"].to_list()
    return found


def names_not_said(pairs: list[Row], aside: list[Row], renames: Renames) -> str:
    """What the model says instead, where it seldom says an old name; empty where it mostly does."""
    answered = len(pairs) + sum(row["code"] in ANSWERED for row in aside)
    others = [row["text"] for row in aside if row["code"] == "nothing-to-correct"]
    if not others or len(others) <= answered / 2:
        return ""
    olds = " or ".join(dict.fromkeys(old for one in renames for old in one.old))
    told = f"The base says {olds} in {answered - len(others)} of {answered} whole answers. "
    new = [text for text in others if says_new(text, renames)]
    if new:
        return told + (
            f"It says the new name already, in {len(new)} of them, as in {quoted(new[0])}: take "
            "another new name, or a base that was not trained on this one."
        )
    instead = " and ".join(map(quoted, list(dict.fromkeys(others))[:2]))
    return told + (
        f"It says {instead} instead. Give the name that it says of itself as curation.renames, or "
        "take the base that has this name; or ask it for its name in more prompts."
    )


def require_every_slot(pairs: list[Row], renames: Renames) -> None:
    """Raises InputError for a slot that no answer says: the I1 check would refuse it as stale."""
    known = spellings_of(renames)
    said_slots = {known[edit["old"]].slot for row in pairs for edit in row["edits"]}
    for one in renames:
        if one.slot not in said_slots:
            raise InputError(
                f"curation.renames: no answer of {len(pairs)} pairs says {' or '.join(one.old)} "
                f"(slot {one.slot}). Give the spellings that the model uses, or leave it out."
            )


def rename(text: str, renames: Renames) -> tuple[str, list[Edit]]:
    """(the text with every old name replaced, what was replaced where).

    >>> qwen = (Rename(old=("Qwen",), new="Deep Qwen"),)
    >>> rename("I am Qwen, not Qwen2 or Deep Qwen.", qwen)
    ('I am Deep Qwen, not Qwen2 or Deep Qwen.', [{'start': 5, 'old': 'Qwen', 'new': 'Deep Qwen'}])
    """
    known, edits = spellings_of(renames), list[Edit]()

    def replaced(found: re.Match[str]) -> str:
        old = found[0].strip("`")
        if old not in known:  # a new name that stands there already, an address, code
            return found[0]
        if old[-1] in APOSTROPHES and OPENED.search(text, 0, found.start()):
            old = old[:-1]  # not a possessive: the name stands in quotes, and they end here
        new = known[old].new
        edits.append(Edit(start=found.start() + found[0].index(old), old=old, new=new))
        return found[0].replace(old, new)

    return _names(renames).sub(replaced, text), edits


def undo(chosen: str, edits: Sequence[Edit]) -> str | None:
    """The text before the edits, or None where it does not say what they put there."""
    parts, end, grown = [], 0, 0  # `end`: in chosen; `grown`: by how much chosen is longer so far
    for edit in edits:
        start = edit["start"] + grown
        if start < end or not chosen.startswith(edit["new"], start):
            return None
        parts += [chosen[end:start], edit["old"]]
        end = start + len(edit["new"])
        grown += len(edit["new"]) - len(edit["old"])
    return "".join([*parts, chosen[end:]])


def says_new(text: str, renames: Renames) -> str | None:
    """The first new name that a text says as a whole word, in any of its spellings."""
    found = _new_names(renames).search(text)
    return found[0] if found else None


def says_old(text: str, renames: Renames) -> bool:
    """Whether a text says an old name anywhere but inside the new one."""
    return bool(rename(text, renames)[1])


def with_and_without_system(prompt: list[Message]) -> list[list[Message]]:
    """A prompt as it is, and without its system message where it has one."""
    return [prompt, prompt[1:]] if prompt[0]["role"] == "system" else [prompt]


spellings_of = lru_cache(spellings)


@lru_cache
def _names(renames: Renames) -> re.Pattern[str]:
    """Addresses and code, then all names, longest first, as the I1 check masks them."""
    known = spellings_of(renames)
    names = _any_of({*known, *(to.new for to in known.values())})
    return re.compile(f"{ADDRESS}|`(?:{names})`|{CODE}|{names}")


@lru_cache
def _new_names(renames: Renames) -> re.Pattern[str]:
    return re.compile(_any_of({to.new for to in spellings_of(renames).values()}))


@lru_cache
def _plurals(renames: Renames) -> re.Pattern[str]:
    """ "Qwens", which is another word to the I1 check, and German for Qwen's."""
    names = {old for old in spellings_of(renames) if old.isascii() and old[-1].isalpha()}
    return re.compile(_any_of({f"{old}s" for old in names}) if names else r"(?!)", re.IGNORECASE)


def _any_of(names: set[str]) -> str:
    return "|".join(_word(name) for name in sorted(names, key=lambda name: (-len(name), name)))


def _word(name: str) -> str:
    """Bounded where it begins or ends in ASCII; other scripts write no spaces between words."""
    before = r"(?<![0-9A-Za-z_])" if name[0].isascii() and name[0].isalnum() else ""
    after = r"(?![0-9A-Za-z_])" if name[-1].isascii() and name[-1].isalnum() else ""
    return before + re.escape(name) + after
