"""Does every pair fit into the model's window, and is its prompt rendered as the model meets it?

in   Pairs with `tokens`, the longer of the two sides, prompt included, and `prompt_is_prefix`, both
     by the tokenizer of the model to be trained
out  findings "tokens_within_limit": a longer row would be cut, `max_length` in
     https://huggingface.co/docs/trl/dpo_trainer; and "prompt_is_prefix"
"""

from collections.abc import Mapping
from typing import ClassVar

import polars as pl
from pydantic import Field

from expectations.measures.finding import Finding, Number
from expectations.measures.measure import RowMeasure
from expectations.measures.pairs import Pairs


class Tokens(RowMeasure):
    check: ClassVar[str] = "tokens_within_limit"
    title: ClassVar[str] = "tokens"

    max_length: int = Field(ge=1, description="Tokens of prompt and longer answer together")
    max_share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Longer rows are set aside before training; above this share the set was not "
        "made for this window",
    )

    @property
    def promise(self) -> str:
        return f"Prompt and longer answer together have at most {self.max_length} tokens."

    @property
    def remedy(self) -> str:
        return (
            "Drop or shorten these rows, or raise max_length if the GPU has room: a row that is "
            "cut compares two half answers."
        )

    def whys(self) -> Mapping[str, pl.Expr]:
        tokens = pl.col("tokens")
        return {
            "": pl.when("good").then(
                pl.when(tokens > self.max_length)
                .then(pl.format(f"{{}} tokens, {self.max_length} allowed", tokens))
                .when(tokens.is_null())
                .then(pl.lit("tokens not counted"))
            )
        }

    def also(self, pairs: Pairs, broken: pl.DataFrame) -> dict[str, Number]:
        longest = pairs.select({"tokens": pl.col("tokens").max()})["tokens"].max()
        return {"longest": longest if isinstance(longest, int) else -1}

    def judge(self, pairs: Pairs) -> Finding:
        if "tokens" not in pairs.columns:
            raise ValueError(
                f"tokens_within_limit: the pairs have no column `tokens` ({list(pairs.columns)}), "
                "so nothing can be held against max_length. Count the tokens of each row first, or "
                "leave max_length out and the check is not asked for."
            )
        return super().judge(pairs)


class PromptIsPrefix(RowMeasure):
    check: ClassVar[str] = "prompt_is_prefix"
    title: ClassVar[str] = "prompt is a token prefix"

    @property
    def promise(self) -> str:
        return (
            "The rendered prompt is a token prefix of prompt and answer: what is trained is what "
            "the model sees when it is asked."
        )

    @property
    def remedy(self) -> str:
        return "Mend the chat template, or drop these rows."

    def whys(self) -> Mapping[str, pl.Expr]:
        broken = pl.col("good") & ~pl.col("prompt_is_prefix").fill_null(False)
        return {"": pl.when(broken).then(pl.lit("the rendered prompt is not a prefix"))}
