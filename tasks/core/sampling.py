"""In which order pairs are trained on, where it is not simply by chance.

in   a DPOTrainer whose pairs are tokenised; `batch.train_sampling_strategy`
out  its sampler: an order that depends on seed and epoch alone, so a training resumes in it
"""

import heapq
from collections.abc import Iterator, Sequence
from typing import Any


def order_pairs(trainer: Any, strategy: str) -> None:
    """group_by_length: batches of like length. token_budget: batches of like many tokens.

    transformers' own sampler by length looks for a column that TRL's rows do not have, and draws
    from the global random state, which is another one after a resume.
    """
    import torch
    from transformers.trainer_pt_utils import get_length_grouped_indices

    if strategy == "random":
        return
    args = trainer.args
    sizes = [
        (len(row["prompt_ids"]), len(row["chosen_ids"]), len(row["rejected_ids"]))
        for row in trainer.train_dataset
    ]

    class ByTokens(torch.utils.data.Sampler):  # type: ignore[misc]
        epoch = 0

        def set_epoch(self, epoch: int) -> None:
            self.epoch = epoch

        def __len__(self) -> int:
            return len(sizes)

        def __iter__(self) -> Iterator[int]:
            drawn = torch.Generator().manual_seed(args.seed + self.epoch)
            if strategy == "group_by_length":
                longest = [prompt + max(sides) for prompt, *sides in sizes]
                size = args.train_batch_size * args.gradient_accumulation_steps
                return iter(get_length_grouped_indices(longest, size, generator=drawn))
            by_chance = torch.randperm(len(sizes), generator=drawn).tolist()
            batches = even_batches([sum(size) for size in sizes], args.train_batch_size, by_chance)
            *full, last = batches
            places = torch.randperm(len(full), generator=drawn).tolist()
            return iter([pair for place in places for pair in full[place]] + last)

    trainer._get_train_sampler = lambda *_: ByTokens()


def even_batches(tokens: Sequence[int], size: int, order: Sequence[int]) -> list[list[int]]:
    """All pairs in batches of `size`, the last one smaller, of as many tokens as can be.

    Every batch has a budget: its share of all tokens. The longest pair goes first, each to the
    batch with room that has most of its budget left; among equals the one that `order` has first.
    Graham 1969, "Bounds on multiprocessing timing anomalies".
    """
    count = -(-len(tokens) // size)
    room = [size] * (count - 1) + [len(tokens) - size * (count - 1)]
    batches: list[list[int]] = [[] for _ in range(count)]
    share = sum(tokens) / len(tokens)  # the budget of a batch is this for each of its pairs
    fewest = [(-room[at] * share, at) for at in range(count)]
    heapq.heapify(fewest)
    for pair in sorted(order, key=lambda pair: -tokens[pair]):
        left, at = heapq.heappop(fewest)
        batches[at].append(pair)
        if len(batches[at]) < room[at]:
            heapq.heappush(fewest, (left + tokens[pair], at))
    return batches
