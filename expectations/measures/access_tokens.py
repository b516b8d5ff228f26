"""Does a row hold an access token: a key to somebody's account?

in   Pairs
out  finding "access_tokens". It never shows one (tokens_in_text), nor does any other check
"""

from collections.abc import Mapping
from typing import ClassVar

import polars as pl

from expectations.measures.chunk import SIDES
from expectations.measures.measure import RowMeasure
from expectations.measures.pairs import EXCERPT, Pairs
from expectations.measures.tokens_in_text import HIDDEN


class AccessTokens(RowMeasure):
    check: ClassVar[str] = "access_tokens"
    title: ClassVar[str] = "access tokens"
    one_sided: ClassVar[bool] = True

    @property
    def promise(self) -> str:
        return "No message holds an access token or a private key."

    @property
    def remedy(self) -> str:
        return (
            "Have the token revoked by its owner, then remove it from these rows: a data set is "
            "published, and a model can be made to say what it was trained on."
        )

    def whys(self) -> Mapping[str, pl.Expr]:
        return {side: pl.format(f"{{}} in {side}", pl.col(f"{side}_token")) for side in SIDES}

    def shown(self, pairs: Pairs, rows: pl.DataFrame) -> tuple[dict[str, int | str], ...]:
        return pairs.examples(rows, around=lambda _side, text: _around(text))


def _around(text: str) -> str:
    hidden = HIDDEN.search(text)
    start = max(0, hidden.start() - EXCERPT // 2) if hidden else 0
    return text[start : start + EXCERPT]
