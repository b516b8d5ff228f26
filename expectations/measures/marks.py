"""What a conversation's wrapping leaves in an answer: special tokens, role markers, white space.

in   Pairs
out  findings "T1", special tokens of chat templates, "T2", role markers, and "W1", outer white
     space that only one answer of a pair has

None of the published sets that these were tried on holds a special token, code answers included.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import polars as pl
from pydantic import Field

from expectations.measures.finding import Finding, Number, Severity
from expectations.measures.measure import RowMeasure, several
from expectations.measures.pairs import EXCERPT, Pairs
from expectations.measures.rarely import where

# Between the bars two characters at least and no white space: `a <| b |> c` is a pipe of F# and
# `<|x|>` a mean of physics. DeepSeek writes its bars full width.
SPECIAL_TOKEN = (
    r"<[|｜][^|｜<>\s]{2,40}[|｜]>"
    r"|<\|(?:turn|channel)>|<(?:turn|channel)\|>"
    r"|\[/?INST\]|<</?SYS>>|\[/?SYSTEM_PROMPT\]|\[TOOL_CALLS\]"
    r"|</?(?:start|end)_of_(?:turn|text|utterance)>|<extra_id_[0-9]+>"
    r"|<(?:bos|eos|pad|unk)>|\[(?:BOS|EOS|PAD)\]"
)
# `<s>` is also how HTML strikes words out: a pair of them inside an answer is that, a single one
# or a pair around the whole answer is a token.
STRUCK = r"(?s)<s>.*?</s>"
WRAPPED = r"(?s)^\s*(<s>).*</s>\s*$"
SINGLE = r"</?s>"
ROLE_MARKER = r"\b(?:Human|Assistant):"
ANSWERS = ("chosen", "rejected")


class SpecialTokens(RowMeasure):
    check: ClassVar[str] = "T1"
    title: ClassVar[str] = "chat tokens in answers"
    one_sided: ClassVar[bool] = True

    @property
    def promise(self) -> str:
        return "No answer holds a special token of a chat template, such as <|im_end|> or [INST]."

    @property
    def remedy(self) -> str:
        return (
            "Cut the tokens out, or drop these rows: the template adds its own, and the model "
            "would learn to write them in the middle of an answer."
        )

    def whys(self) -> Mapping[str, pl.Expr]:
        whys = {}
        for side in ANSWERS:
            text = pl.col(f"{side}_text")
            token = pl.coalesce(
                text.str.extract(f"({SPECIAL_TOKEN})"),
                text.str.extract(WRAPPED),
                text.str.replace_all(STRUCK, "").str.extract(f"({SINGLE})"),
            )
            perhaps = text.str.contains(f"{SPECIAL_TOKEN}|{SINGLE}")
            whys[side] = where(perhaps, pl.format(f"{{}} in {side}", token), f"{side}_text")
        return whys

    def shown(self, pairs: Pairs, rows: pl.DataFrame) -> tuple[dict[str, int | str], ...]:
        token = f"{SPECIAL_TOKEN}|{SINGLE}"
        return pairs.examples(rows, around=lambda _side, text: around(text, token))


class RoleMarkers(RowMeasure):
    check: ClassVar[str] = "T2"
    title: ClassVar[str] = "role markers in answers"
    one_sided: ClassVar[bool] = True

    severity: Severity = Field(
        "warning", description="Reported: HH-RLHF as published has them in 0.4 to 1.7 % of answers"
    )

    @property
    def promise(self) -> str:
        return 'No answer goes on as a transcript with "Human:" or "Assistant:".'

    @property
    def remedy(self) -> str:
        return (
            "Cut the answer at the marker, or drop the row: the model would learn to speak for "
            "the user as well."
        )

    def whys(self) -> Mapping[str, pl.Expr]:
        return {
            side: pl.format(
                f'"{{}}" in {side}', pl.col(f"{side}_text").str.extract(f"({ROLE_MARKER})")
            )
            for side in ANSWERS
        }

    def also(self, pairs: Pairs, broken: pl.DataFrame) -> dict[str, Number]:
        return {"answers": broken.height}

    def judge(self, pairs: Pairs) -> Finding:
        found = super().judge(pairs)
        if found.passed or not pairs.height:
            return found
        return replace(
            found, number=f"{several(int(found.observed['answers']), 'answer')} in {found.number}"
        )

    def shown(self, pairs: Pairs, rows: pl.DataFrame) -> tuple[dict[str, int | str], ...]:
        return pairs.examples(rows, around=lambda _side, text: around(text, ROLE_MARKER))


class OuterSpace(RowMeasure):
    check: ClassVar[str] = "W1"
    title: ClassVar[str] = "outer white space"

    severity: Severity = Field(
        "warning",
        description="Reported: where it stands on one side as a rule, S1 finds it and gates",
    )

    @property
    def promise(self) -> str:
        return "Both answers of a pair begin and end with the same white space."

    @property
    def remedy(self) -> str:
        return "Strip the white space around both answers: `pairpress mend` does so."

    def whys(self) -> Mapping[str, pl.Expr]:
        chosen, rejected = (pl.col(f"{side}_text") for side in ANSWERS)
        inner = (chosen.str.strip_chars(), rejected.str.strip_chars())
        some = (inner[0] != chosen) | (inner[1] != rejected)
        ends = [
            _kind(place, chosen.str.extract(cut), rejected.str.extract(cut))
            for place, cut in (("before", r"^(\s+)"), ("after", r"(\s+)$"))
        ]
        both = pl.concat_str(*ends, separator=", ", ignore_nulls=True)
        # An empty answer is P1's: it has no ends.
        some &= (inner[0] != "") & (inner[1] != "")
        why = pl.when(both != "").then(both)
        return {"": where(some, why, "chosen_text", "rejected_text")}

    def also(self, pairs: Pairs, broken: pl.DataFrame) -> dict[str, Number]:
        kinds = broken["why"].str.split(", ").explode().str.replace_all(" ", "_")
        return dict(kinds.value_counts().sort("why").iter_rows())


def around(text: str, pattern: str) -> str:
    """The part of a text where the pattern is first met, or its beginning."""
    # Not Python's re: over a word of some megabytes it would take hours where this is linear.
    met = pl.Series([text]).str.find(pattern).item() or 0
    start = max(0, len(text.encode()[:met].decode()) - EXCERPT // 2)
    return text[start : start + EXCERPT]


def _kind(place: str, chosen: pl.Expr, rejected: pl.Expr) -> pl.Expr:
    """ "line break after chosen", where one side has it; or what they have is not the same."""
    return (
        pl.when(chosen.is_not_null() & rejected.is_not_null() & (chosen != rejected))
        .then(pl.lit(f"other white space {place} each"))
        .when(chosen.is_not_null() & rejected.is_null())
        .then(pl.format(f"{{}} {place} chosen", _name(chosen)))
        .when(chosen.is_null() & rejected.is_not_null())
        .then(pl.format(f"{{}} {place} rejected", _name(rejected)))
    )


def _name(space: pl.Expr) -> pl.Expr:
    return (
        pl.when(space.str.contains(r"[\r\n]"))
        .then(pl.lit("line break"))
        .when(space.str.contains("\t", literal=True))
        .then(pl.lit("tab"))
        .otherwise(pl.lit("space"))
    )
