"""Do user and assistant take turns, with the prompt left open for the answer?

in   Pairs
out  finding "turn_order"; chat templates refuse or silently distort other orders, e.g.
     https://huggingface.co/docs/transformers/chat_templating
"""

from collections.abc import Mapping
from typing import ClassVar

import polars as pl

from expectations.measures.chunk import roles
from expectations.measures.measure import RowMeasure

CALLS = r"(?:(?:,tool)+,assistant)*"  # what tools said to the model, and its answer to that
PROMPT = rf"^(system,)?user(,assistant{CALLS},user)*(,assistant{CALLS}(,tool)+)?$"
# May hold whole turns, but the last word is the model's.
ANSWER = rf"^assistant{CALLS}(,user,assistant{CALLS})*$"
TWICE = r"(?:^|,)(user,user|assistant,assistant)(?:,|$)"


class TurnOrder(RowMeasure):
    check: ClassVar[str] = "turn_order"
    title: ClassVar[str] = "roles and turns"
    one_sided: ClassVar[bool] = True

    @property
    def promise(self) -> str:
        return (
            "Roles alternate: an optional system message, then user and assistant in turn, what "
            "tools say after the assistant; the prompt ends with the user or a tool, each answer "
            "begins and ends with the assistant."
        )

    @property
    def remedy(self) -> str:
        return (
            "Mend the step that reformats these rows, or drop them. Two messages of one role "
            "in a row are often one message cut in two: join them."
        )

    def whys(self) -> Mapping[str, pl.Expr]:
        sides = (("prompt", PROMPT), ("chosen", ANSWER), ("rejected", ANSWER))
        return {
            side: pl.when(~roles(side).str.contains(pattern)).then(
                pl.coalesce(
                    pl.format(f"{{}} in a row in {side}", roles(side).str.extract(TWICE)),
                    pl.format(f"roles of {side}: {{}}", roles(side).replace("", "none")),
                )
            )
            for side, pattern in sides
        }
