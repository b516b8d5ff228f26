"""Can somebody be reached by what a row says: e-mail addresses and phone numbers?

in   Pairs
out  finding "contacts", with rows and how many

Made to be sober: a number counts as a phone's when it is written as one, with its country's plus or
in the groups of North America. Dates, ISBNs and sums are not; a bare run of digits is left alone.
"""

from collections.abc import Mapping
from typing import ClassVar

import polars as pl
from pydantic import Field

from expectations.measures.finding import Number, Severity
from expectations.measures.marks import around
from expectations.measures.measure import RowMeasure
from expectations.measures.pairs import Pairs
from expectations.measures.rarely import where

EMAIL = r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"
# +49 30 1234567, +1 (212) 555-0142 in groups, or +493012345678: 15 digits at once are a sum's.
INTERNATIONAL = (
    r"\+[1-9](?:[0-9]{8,12}"
    r"|[0-9]{0,2}[ .-]?\(?[0-9]{1,4}\)?(?:[ .-][0-9]{2,4}){0,4}[ .-][0-9]{3,8})"
)
# (212) 555-0142, 212-555-0142, 1-800-273-8255: area and exchange never begin with 0 or 1.
NORTH_AMERICAN = r"(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[.-])[2-9][0-9]{2}[.-][0-9]{4}"
PHONE = rf"(?:^|[^0-9A-Za-z_.+/=^*-])(?:{INTERNATIONAL}|{NORTH_AMERICAN})(?:$|[^0-9A-Za-z_/*=-])"
PARTS = ("@", r"\+[1-9]", r"[0-9][.-][0-9]{4}")  # one of each, quicker to look for


class Contacts(RowMeasure):
    check: ClassVar[str] = "contacts"
    title: ClassVar[str] = "addresses and numbers"
    one_sided: ClassVar[bool] = True

    severity: Severity = Field(
        "warning", description="Reported: whether they belong to a person, only a reader can tell"
    )

    @property
    def promise(self) -> str:
        return "No message holds an e-mail address or a phone number."

    @property
    def remedy(self) -> str:
        return (
            "Read these rows, and drop or replace what belongs to a person: a model can be made "
            "to say what it was trained on."
        )

    def whys(self) -> Mapping[str, pl.Expr]:
        whys = {}
        for side in ("prompt", "chosen", "rejected"):
            text = pl.col(f"{side}_text")
            counts = [text.str.count_matches(EMAIL), text.str.count_matches(PHONE)]
            why = pl.format(f"e-mail addresses {{}}, phone numbers {{}} in {side}", *counts)
            why = pl.when(pl.sum_horizontal(counts) > 0).then(why)
            perhaps = pl.any_horizontal(text.str.contains(part) for part in PARTS)
            whys[side] = where(perhaps, why, f"{side}_text")
        return whys

    def also(self, pairs: Pairs, broken: pl.DataFrame) -> dict[str, Number]:
        return {
            kind.replace("-", "_").replace(" ", "_"): int(
                broken["why"].str.extract(f"{kind} ([0-9]+)").cast(pl.Int64).sum()
            )
            for kind in ("e-mail addresses", "phone numbers")
        }

    def shown(self, pairs: Pairs, rows: pl.DataFrame) -> tuple[dict[str, int | str], ...]:
        found = f"{EMAIL}|{PHONE}"
        return pairs.examples(rows, around=lambda _side, text: around(text, found))
