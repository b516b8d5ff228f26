"""Logits -> the next token of every row, greedy or by chance, and whether rounding could change it.

in   logits (rows, vocabulary), a seed for each row
out  tokens; of each, whether it was so close that another batch might have chosen otherwise
"""

from collections.abc import Callable
from typing import Any

CLOSE = 3e-5  # of the largest logit; ten times what the shape of a batch was seen to change
LIKELY = 1024  # tokens, the likeliest, that are looked at first for a nucleus

Choose = Callable[[Any, list[int]], tuple[list[int], list[bool]]]


def likeliest(logits: Any, draws: list[int]) -> tuple[list[int], list[bool]]:
    """Greedy: the token with the largest logit."""
    tokens, close = _largest(logits, _slack(logits))
    return tokens.tolist(), close.tolist()


def by_chance(temperature: float, top_p: float) -> Choose:
    """A token by its probability among the likeliest that together have `top_p`.

    Every token runs a race: an exponential draw divided by its probability, and the first wins
    (Gumbel's trick, exact). So a tie is as rare as in greedy choice, which it is not on a line of
    summed probabilities, where most tokens of a large vocabulary are thinner than the rounding.
    """

    def choose(logits: Any, draws: list[int]) -> tuple[list[int], list[bool]]:
        import torch

        slack = _slack(logits) / temperature
        logits = logits / temperature
        seeded = [torch.Generator(logits.device).manual_seed(draw) for draw in draws]
        times = torch.stack(
            [torch.empty_like(logits[0]).exponential_(generator=one) for one in seeded]
        )
        scores = logits - times.log()
        if top_p == 1:
            tokens, close = _largest(scores, slack)
            return tokens.tolist(), close.tolist()
        chances = logits.softmax(-1)
        least, surely, perhaps = _nucleus(chances, top_p, slack)
        out = float("-inf")
        tokens, close = _largest(scores.where(chances >= least, out), slack)
        for border in (surely, perhaps):  # who wins if rounding moves the border of the nucleus
            close |= scores.where(chances >= border, out).argmax(-1) != tokens
        return tokens.tolist(), close.tolist()

    return choose


def _slack(logits: Any) -> Any:
    """How much rounding may change a logit: (rows)."""
    return CLOSE * logits.amax(-1).abs().clamp(min=1)


def _largest(scores: Any, slack: Any) -> tuple[Any, Any]:
    best = scores.topk(2).values
    return scores.argmax(-1), best[:, 0] - best[:, 1] < slack


def _nucleus(chances: Any, top_p: float, slack: Any) -> tuple[Any, Any, Any]:
    """Least probability (rows, 1) in the nucleus: as computed, if it is smaller, if larger."""
    import torch

    falling = chances.topk(min(LIKELY, chances.shape[-1])).values
    if (falling.sum(-1) < top_p + slack).any():
        falling = chances.sort(-1, descending=True).values
    reached = falling.cumsum(-1, dtype=torch.float64)

    def least(share: Any) -> Any:
        last = (reached < share).sum(-1, keepdim=True).clamp(max=falling.shape[-1] - 1)
        return falling.gather(-1, last)

    slack = slack[:, None]
    return least(top_p), least(top_p - slack) * (1 + slack), least(top_p + slack) * (1 - slack)
