"""How unlikely is it that a feature stands as one-sided as this by chance?

in   b and c, votes for either side
out  `sign_test`: p of the exact two-sided test; `holm`: p corrected for the number of tests
"""

from functools import lru_cache
from math import exp, lgamma, log

import polars as pl


@lru_cache(maxsize=100_000)
def sign_test(b: int, c: int) -> float:
    """Exact two-sided sign test: twice the chance of as few as min(b, c) heads in b + c throws."""
    n, fewer = b + c, min(b, c)
    term = total = 1.0  # relative to the largest term, that of `fewer` heads
    heads = fewer
    while heads > 0 and term > 1e-17 * total:
        term *= heads / (n - heads + 1)
        heads -= 1
        total += term
    largest = lgamma(n + 1) - lgamma(fewer + 1) - lgamma(n - fewer + 1) - n * log(2)
    return min(1.0, 2 * total * exp(largest))


def holm(tested: pl.DataFrame) -> pl.DataFrame:
    """`tested` (b, c) with p, the strongest first.

    Holm 1979: the i-th smallest of m values times (m - i + 1), never below the one before.
    """
    p = [sign_test(b, c) for b, c in tested.select("b", "c").iter_rows()]
    m = tested.height
    return (
        tested.with_columns(pl.Series("p", p, dtype=pl.Float64))
        .sort("p")
        .with_columns((pl.col("p") * (m - pl.int_range(pl.len()))).cum_max().clip(0, 1).alias("p"))
    )
