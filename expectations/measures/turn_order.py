"""Do user and assistant take turns, with the prompt left open for the answer?

in   frame of pairs (expectations/measures/pairs.py)
out  finding "turn_order"; chat templates refuse or silently distort other orders, e.g.
     https://huggingface.co/docs/transformers/chat_templating
"""

import polars as pl

from expectations.measures.finding import Finding
from expectations.measures.pairs import count_rows, roles

PROMPT = r"^(system,)?user(,assistant,user)*$"
ANSWER = r"^assistant(,user,assistant)*$"  # may hold whole turns, but the last word is the model's
TWICE = r"(?:^|,)(user,user|assistant,assistant)(?:,|$)"


def turn_order(frame: pl.DataFrame) -> Finding:
    sides = (("prompt", PROMPT), ("chosen", ANSWER), ("rejected", ANSWER))
    broken = [
        pl.when(~roles(side).str.contains(pattern)).then(
            pl.coalesce(
                pl.format(f"{{}} in a row in {side}", roles(side).str.extract(TWICE)),
                pl.format(f"roles of {side}: {{}}", roles(side).replace("", "none")),
            )
        )
        for side, pattern in sides
    ]
    return count_rows(
        frame,
        pl.coalesce(broken),
        check="turn_order",
        promise="Roles alternate: an optional system message, then user and assistant in turn; "
        "the prompt ends with the user, each answer begins and ends with the assistant.",
        remedy="Mend the step that reformats these rows, or drop them. Two messages of one role "
        "in a row are often one message cut in two: join them.",
    )
