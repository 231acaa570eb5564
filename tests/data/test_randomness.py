from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from memsweep.data.randomness import BatchOrder, Draws, generator, key_of, logit_normal_times, stratified_times
from scipy import special, stats

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
    times = stratified_times(torch.rand(count, generator=generator(0)))
    assert torch.equal((times.double() * count).floor().clamp(max=count - 1), torch.arange(count).double())
    assert (times >= 0).all()
    assert (times <= 1).all()


@given(st.integers(1, 200), st.floats(-3, 3), st.floats(0.1, 3))
def test_stratified_logit_normal_times_fall_one_in_each_interval_of_equal_probability(
    count: int, location: float, scale: float
) -> None:
    uniform = stratified_times(torch.rand(count, generator=generator(0)))
    times = logit_normal_times(uniform, location, scale)
    expected = special.expit(stats.norm.ppf(uniform.double().numpy(), location, scale))
    np.testing.assert_allclose(times, expected, rtol=1e-4, atol=1e-6)
    assert (times.diff() >= 0).all()


@pytest.mark.parametrize(("location", "scale"), [(0.0, 1.0), (-1.2, 0.6), (0.5, 1.6)])
def test_logit_normal_times_have_a_normal_logit(location: float, scale: float) -> None:
    times = logit_normal_times(torch.rand(20_000, generator=generator(1)), location, scale)
    assert stats.kstest(special.logit(times.double().numpy()), stats.norm(location, scale).cdf).pvalue > 1e-3


@given(st.floats(-10, 10), st.floats(0.001, 10))
def test_the_ends_of_uniform_times_are_the_ends_of_logit_normal_ones(location: float, scale: float) -> None:
    assert logit_normal_times(torch.tensor([0.0, 1.0]), location, scale).tolist() == [0, 1]


def splitmix(state: int) -> int:
    """The output function of SplitMix64 as Steele, Lea & Flood print it, in whole numbers."""
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) % 2**64
    return state ^ (state >> 31)


@given(seed=st.integers(0, 2**40), step=st.integers(0, 2**40), count=st.integers(1, 9))
def test_draws_are_those_of_splitmix64(seed: int, step: int, count: int) -> None:
    gamma = 0x9E3779B97F4A7C15
    start = splitmix(((step + 1) * gamma + key_of(seed, "noise")) % 2**64)
    words = [splitmix((start + (i + 1) * gamma) % 2**64) for i in range(count)]
    draws = Draws(seed, "noise")
    at = draws.seeds(torch.tensor(step))
    assert draws.uniform(at, count).tolist() == [(word >> 40) / 2**24 for word in words]
    high, low = (np.array([f(word) for word in words], float) for f in (lambda w: w >> 32, lambda w: w % 2**32))
    radius, angle = np.sqrt(-2 * np.log((high + 0.5) / 2**32)), 2 * np.pi * low / 2**32
    expected = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
    np.testing.assert_allclose(draws.normal(at, (2 * count,)), expected, rtol=2e-5, atol=3e-6)
    assert torch.equal(draws.normal(at, (2 * count - 1, 1))[:, 0], draws.normal(at, (2 * count,))[:-1])


def test_the_first_splitmix64_numbers_are_the_published_ones() -> None:
    """Of seed 1234567, as in the reference implementation of Vigna (2015)."""
    gamma = 0x9E3779B97F4A7C15
    found = [splitmix((1234567 + (i + 1) * gamma) % 2**64) for i in range(3)]
    assert found == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@pytest.mark.parametrize("shape", [(4, 1, 8, 8), (3, 5)])
def test_noise_is_standard_normal_and_independent_between_steps_seeds_and_places(shape: tuple[int, ...]) -> None:
    draws = Draws(0, "noise")
    steps = torch.arange(2000)
    noise = torch.stack([draws.normal(seed, shape).flatten() for seed in draws.seeds(steps)]).double()
    assert stats.kstest(noise[::2].flatten()[:20_000].numpy(), "norm").pvalue > 1e-3
    assert stats.kurtosis(noise.flatten().numpy()) == pytest.approx(0, abs=6 * (24 / noise.numel()) ** 0.5)
    other = Draws(1, "noise")
    seeds = torch.stack([other.normal(seed, shape).flatten() for seed in other.seeds(steps)]).double()
    for left, right in ((noise[:-1], noise[1:]), (noise, seeds), (noise[:, :-1], noise[:, 1:]), (noise, noise**2 - 1)):
        correlation = float((left * right).mean()) * left.numel() ** 0.5
        assert abs(correlation) < 5


def test_uniform_draws_are_uniform() -> None:
    draws = Draws(3, "time")
    found = torch.cat([draws.uniform(seed, 50) for seed in draws.seeds(torch.arange(2000))])
    assert stats.kstest(found.numpy(), "uniform").pvalue > 1e-3
    assert 0 <= found.min() < 1e-4
    assert 1 - 1e-4 < found.max() < 1
