"""Does every pair fit into the model's window, prompt included?

in   frame of pairs with `tokens`: the longer of its two sides, prompt included, counted with the
     tokenizer of the model to be trained
out  finding "tokens_within_limit"; a longer row would be cut, `max_length` in
     https://huggingface.co/docs/trl/dpo_trainer
"""

import polars as pl

from expectations.measures.finding import Finding
from expectations.measures.pairs import count_rows


def tokens_within_limit(frame: pl.DataFrame, *, max_length: int) -> Finding:
    if "tokens" not in frame.columns:
        raise ValueError(
            f"tokens_within_limit: the frame has no column `tokens` (it has {frame.columns}), so "
            "nothing can be held against max_length. Count the tokens of each row first, or leave "
            "max_length out and the check is not asked for."
        )
    tokens = pl.col("tokens")
    return count_rows(
        frame,
        pl.when(tokens > max_length)
        .then(pl.format(f"{{}} tokens, {max_length} allowed", tokens))
        .when(tokens.is_null())
        .then(pl.lit("tokens not counted")),
        check="tokens_within_limit",
        promise=f"Prompt and longer answer together have at most {max_length} tokens.",
        threshold=f"0 rows above {max_length} tokens",
        remedy="Drop or shorten these rows, or raise max_length if the GPU has room: a row that is "
        "cut compares two half answers.",
        also={} if frame.is_empty() else {"longest": _longest(frame)},
    )


def _longest(frame: pl.DataFrame) -> int:
    longest = frame.select(pl.col("tokens").max()).item()
    return -1 if longest is None else int(longest)
