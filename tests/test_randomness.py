from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from memsweep.randomness import BatchOrder, generator, stratified_times

sizes = st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))


@given(sizes, st.integers(0, 2**31))
def test_batches_go_through_each_epoch_once(size: tuple[int, int], seed: int) -> None:
    train_size, batch_size = size
    order = BatchOrder(seed, train_size, batch_size)
    seen = torch.cat([order(step) for step in range(3 * train_size)])
    epochs = seen[: len(seen) // train_size * train_size].view(-1, train_size)
    assert torch.equal(epochs.sort(dim=1).values, torch.arange(train_size).expand_as(epochs))


@given(sizes, st.lists(st.integers(0, 200), min_size=1, max_size=10))
def test_a_batch_depends_on_its_step_and_not_on_those_before(size: tuple[int, int], steps: list[int]) -> None:
    one = BatchOrder(7, *size)
    for step in steps:
        assert torch.equal(one(step), BatchOrder(7, *size)(step))


def test_seeds_and_epochs_have_orders_of_their_own() -> None:
    first = BatchOrder(0, 1000, 1000)
    assert not torch.equal(first(0), first(1))
    assert not torch.equal(first(0), BatchOrder(1, 1000, 1000)(0))


def test_streams_depend_on_the_whole_key() -> None:
    draws = {
        key: torch.rand(1, generator=generator(*key)).item()
        for key in [(0, "a", 1), (0, "a", 2), (0, "b", 1), (1, "a", 1)]
    }
    assert len(set(draws.values())) == len(draws)
    assert torch.rand(1, generator=generator(0, "a", 1)).item() == draws[0, "a", 1]


@given(st.integers(1, 200))
def test_stratified_times_fall_one_in_each_interval(count: int) -> None:
    times = stratified_times(count, generator(0))
    assert torch.equal((times.double() * count).floor().clamp(max=count - 1), torch.arange(count).double())
    assert (times >= 0).all()
    assert (times <= 1).all()
