"""Batches by tokens: every pair once, as many a batch as asked, about as many tokens in each."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from small_training import TRAIN, VALIDATION, recipe, small_base

from tasks.core.sampling import even_batches
from tasks.core.trainer import trainer_for

LONG, SHORT = 400, 20


@given(st.lists(st.integers(1, 500), min_size=1, max_size=60), st.integers(1, 9))
def test_every_pair_is_in_one_batch_and_only_the_last_may_be_smaller(
    tokens: list[int], size: int
) -> None:
    batches = even_batches(tokens, size, range(len(tokens)))
    assert sorted(pair for batch in batches for pair in batch) == list(range(len(tokens)))
    assert all(len(batch) == size for batch in batches[:-1])
    assert 1 <= len(batches[-1]) <= size


def test_long_pairs_are_dealt_out() -> None:
    tokens = [LONG] * 4 + [SHORT] * 28
    batches = even_batches(tokens, 8, range(32))
    assert {sum(tokens[pair] for pair in batch) for batch in batches} == {LONG + 7 * SHORT}


def test_another_order_by_chance_gives_other_batches_and_the_same_one_the_same() -> None:
    tokens = [100 + n % 7 for n in range(40)]
    here, there = list(range(40)), list(reversed(range(40)))
    assert even_batches(tokens, 8, here) == even_batches(tokens, 8, list(here))
    assert even_batches(tokens, 8, here) != even_batches(tokens, 8, there)


def test_a_trainer_takes_its_pairs_in_that_order_another_one_in_each_epoch(tmp_path: Path) -> None:
    one = recipe(batch={"train_sampling_strategy": "token_budget"})
    trainer = trainer_for(small_base(tmp_path / "base"), TRAIN, VALIDATION, one, tmp_path / "work")
    sampler = trainer._get_train_sampler()
    first, again = list(sampler), list(sampler)
    sampler.set_epoch(1)
    assert first == again != list(sampler)
    assert sorted(first) == list(range(len(TRAIN)))
    size = one.batch.per_device_train_batch_size
    tokens = [sum(len(row[side]) for side in row) for row in trainer.train_dataset]
    full = [sum(tokens[n] for n in first[at : at + size]) for at in range(0, len(first), size)]
    mean = sum(tokens) / len(tokens) * size
    assert all(abs(got - mean) < 0.1 * mean for got in full[: len(TRAIN) // size])
