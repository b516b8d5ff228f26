"""Is there an answer on both sides, and are there two?

in   Pairs
out  findings "P1", an answer that is missing, and "P2", two answers that are one
"""

from collections.abc import Mapping
from typing import ClassVar

import polars as pl
from pydantic import Field

from expectations.measures.chunk import contents
from expectations.measures.measure import RowMeasure

# Neither white space, nor a control or format character (zero-width space, byte order mark, soft
# hyphen), nor one of the letters that are blank by design.
SEEN = r"[^\s\p{Cc}\p{Cf}\x{115F}\x{1160}\x{2800}\x{3164}\x{FE00}-\x{FE0F}\x{FFA0}]"


class Answers(RowMeasure):
    check: ClassVar[str] = "P1"
    title: ClassVar[str] = "missing text"
    one_sided: ClassVar[bool] = True

    two_sided: bool = Field(
        True, description="False for conversations, of which none has a rejected answer"
    )

    @property
    def promise(self) -> str:
        return "Every prompt and every answer is text and says something."

    @property
    def remedy(self) -> str:
        return "Drop these rows: an empty answer teaches the model when to be silent."

    def whys(self) -> Mapping[str, pl.Expr]:
        broken = {}
        for side in ("prompt", "chosen", "rejected") if self.two_sided else ("prompt", "chosen"):
            blank = ~pl.element().str.contains(SEEN)
            empty = contents(side).list.eval(blank).list.any() | (pl.col(side).list.len() == 0)
            # Of a row with faults the parser has said already what it could not read.
            missing = pl.col(side).is_null() & pl.col("good")
            broken[side] = (
                pl.when(missing)
                .then(pl.lit(f"{side} is missing"))
                .when(empty)
                .then(pl.lit(f"{side} is empty"))
            )
        return broken


class TwoAnswers(RowMeasure):
    check: ClassVar[str] = "P2"
    title: ClassVar[str] = "equal answers"

    max_share: float = Field(
        0.02,
        ge=0,
        le=1,
        description="Above it the set is broken: published sets hold up to 1.2 % equal answers",
    )

    @property
    def promise(self) -> str:
        return "The chosen answer differs from the rejected one by more than outer white space."

    @property
    def remedy(self) -> str:
        return (
            "Drop these rows: two equal answers express no preference and their DPO loss is "
            "ln 2 whatever the model learns."
        )

    def whys(self) -> Mapping[str, pl.Expr]:
        chosen, rejected = (
            pl.col(f"{side}_text").str.strip_chars() for side in ("chosen", "rejected")
        )
        return {"": pl.when(chosen == rejected).then(pl.lit("chosen equals rejected"))}
