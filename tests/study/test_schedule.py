from __future__ import annotations

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st
from memsweep.study.schedule import evaluation_steps, sampled_steps

budgets = st.floats(10, 1e6)
per_decades = st.integers(1, 40)


def test_steps_are_the_decades_of_the_budget() -> None:
    steps = evaluation_steps({"steps": 100_000}, {"first": 1000, "per_decade": 2}, 2048, 16)
    assert steps == [1000, 3162, 10_000, 31_623, 100_000]


def test_an_epoch_is_as_many_steps_as_there_are_batches() -> None:
    steps = evaluation_steps({"epochs": 100}, {"first": 1, "per_decade": 1}, 64, 16)
    assert steps == [4, 40, 400]


@given(short=budgets, factor=st.floats(1, 100), per_decade=per_decades)
def test_a_longer_budget_adds_steps_and_moves_none(short: float, factor: float, per_decade: int) -> None:
    evaluation = {"first": 3, "per_decade": per_decade}
    few = evaluation_steps({"epochs": short}, evaluation, 96, 32)
    many = evaluation_steps({"epochs": short * factor}, evaluation, 96, 32)
    assert many[: len(few)] == few


@given(budget=budgets, per_decade=per_decades)
def test_steps_lie_between_first_and_budget_and_are_evenly_spaced(budget: float, per_decade: int) -> None:
    steps = evaluation_steps({"steps": budget}, {"first": 10, "per_decade": per_decade}, 1, 1)
    assert steps[0] >= 10
    assert steps[-1] <= math.floor(budget) + 1
    assert steps == sorted(set(steps))
    for early, late in itertools.pairwise(steps):
        # rounding to whole steps moves either by at most one half
        assert abs(math.log10(late / early) - 1 / per_decade) < 1 / early + 1e-9 or late - early == 1


def test_a_first_evaluation_beyond_the_budget_leaves_none() -> None:
    assert evaluation_steps({"steps": 100}, {"first": 1000, "per_decade": 10}, 64, 16) == []


@given(short=budgets, factor=st.floats(1, 100), every=st.integers(1, 5))
def test_samples_are_drawn_at_every_so_manyth_evaluation_whatever_the_budget(
    short: float, factor: float, every: int
) -> None:
    evaluation = {"first": 3, "per_decade": 6, "sample_every": every}
    few, many = (sampled_steps({"epochs": length}, evaluation, 960, 32) for length in (short, short * factor))
    steps = evaluation_steps({"epochs": short}, evaluation, 960, 32)
    assert few == many & set(steps)
    distinct = [step for step in steps if step > 60]  # where no two points fall on one step
    places = [place for place, step in enumerate(distinct) if step in few]
    assert all(right - left == every for left, right in itertools.pairwise(places))
    assert len(places) in (len(distinct) // every, -(-len(distinct) // every))
