"""Means over pairs that share runs: the jackknife by brute force, what the interval covers, and rows of a stage."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from memsweep.metrics.agreement import mean_of, share_among
from memsweep.metrics.over_pairs import GAPS, ONE_PAIR, OfPair, error_of_runs, over_pairs

LATENTS = 40
ONE_STRATUM = np.zeros(LATENTS, np.int64)


def pairs_of(values: np.ndarray, runs: int) -> list[OfPair]:
    """Pairs of all runs in turn, from values of each pair and latent, (pairs, m)."""
    named = itertools.combinations([f"run{place}" for place in range(runs)], 2)
    everywhere = np.arange(values.shape[1])
    return [OfPair(*both, float(row.mean()), everywhere, row) for both, row in zip(named, values, strict=True)]


def drawn(runs: int, effects: Sequence[float], source: np.random.Generator) -> np.ndarray:
    """Two-way random effects with mean 0, (pairs, LATENTS).

    effects: standard deviations of runs, pairs, latents, runs with latents, and pairs with latents.
    """
    first, second = np.array(list(itertools.combinations(range(runs), 2))).T
    of_run, of_pair, latents, both, noise = (
        deviation * source.normal(size=size)
        for deviation, size in zip(
            effects, (runs, (len(first), 1), LATENTS, (runs, LATENTS), (len(first), LATENTS)), strict=True
        )
    )
    total: np.ndarray = (of_run[first] + of_run[second])[:, None] + of_pair + latents + both[first] + both[second]
    return total + noise


@pytest.mark.parametrize("runs", [3, 4, 6])
def test_the_error_is_that_of_leaving_out_each_run(runs: int) -> None:
    found = pairs_of(np.random.default_rng(runs).normal(size=(math.comb(runs, 2), LATENTS)), runs)
    names = {each.run_id for each in found} | {each.other_run_id for each in found}
    without = [
        np.mean([each.value for each in found if name not in (each.run_id, each.other_run_id)]) for name in names
    ]
    assert error_of_runs(found) == pytest.approx(math.sqrt((runs - 1) * np.var(without)))


def test_of_runs_that_add_up_the_error_is_that_of_their_mean() -> None:
    """A pair is the sum of its two runs, whose mean over pairs is twice the mean of runs."""
    of_run = np.random.default_rng(0).normal(size=5)
    sums = np.array([[a + b] for a, b in itertools.combinations(of_run, 2)])
    assert error_of_runs(pairs_of(sums, 5)) == pytest.approx(2 * of_run.std(ddof=1) / math.sqrt(5))


# Runs alone, pairs alone, latents alone, both with what they do together, and that alone
@pytest.mark.parametrize(
    "effects", [(1, 0, 0, 0, 0), (0, 1, 0, 0, 0), (0, 0, 1, 0, 0), (0.15, 0.05, 1, 0.5, 0.5), (0, 0, 0.3, 1, 0.3)]
)
@pytest.mark.parametrize("runs", [3, 6])
def test_the_interval_covers_what_other_runs_and_latents_show(runs: int, effects: Sequence[float]) -> None:
    source, held = np.random.default_rng(1), 0
    for _ in range(300):
        row = over_pairs("cosine", pairs_of(drawn(runs, effects, source) / 20, runs), ONE_STRATUM, 0.95)
        held += row["ci_low"] <= 0 <= row["ci_high"]
    assert held >= 276  # of 300: 0.95 is 285, with a standard error of 4


def test_that_of_latents_alone_does_not_hold_what_other_runs_show() -> None:
    source, held = np.random.default_rng(2), 0
    for _ in range(200):
        row = over_pairs("cosine", pairs_of(drawn(4, (1, 0, 0.5, 0, 0.5), source) / 20, 4), ONE_STRATUM, 0.95)
        held += row["latents_ci_low"] <= 0 <= row["latents_ci_high"]
        assert row["ci_low"] <= row["latents_ci_low"] <= row["value"] <= row["latents_ci_high"] <= row["ci_high"]
    assert held < 60


def test_of_one_pair_latents_tell_what_they_tell_of_it_and_runs_nothing() -> None:
    source, strata = np.random.default_rng(3), np.arange(LATENTS) % 4
    values = source.normal(size=(1, LATENTS))
    row, alone = over_pairs("distance", pairs_of(values, 2), strata, 0.9), mean_of(values[0], values[0], strata, 0.9)
    assert row["latents_ci_high"] == pytest.approx(alone.ci_high)
    leans = source.integers(0, 3, (1, LATENTS)) / 2
    row, alone = over_pairs("lean", pairs_of(leans, 2), strata, 0.9), share_among(leans[0], strata, 0.9)
    ends = [row[f"latents_ci_{end}"] for end in ("low", "high")]
    assert [row["value"], *ends] == pytest.approx([alone.value, alone.ci_low, alone.ci_high])
    assert math.isnan(row["ci_low"])
    assert (row["runs"], row["pairs"], row["reason"]) == (2, 1, ONE_PAIR)


def test_copiers_have_no_interval_without_width() -> None:
    row = over_pairs("lean", pairs_of(np.ones((6, LATENTS)), 4), ONE_STRATUM, 0.95)
    assert (row["value"], row["ci_high"]) == (1, 1)
    assert row["ci_low"] == row["latents_ci_low"] < 1
    same = over_pairs("distance", pairs_of(np.zeros((3, LATENTS)), 3), ONE_STRATUM, 0.95)
    assert (same["ci_low"], same["ci_high"]) == (0, 0)


def test_an_interval_ends_where_the_measure_does() -> None:
    spread = np.array([[0.9], [1.0], [1.0]])
    near = pairs_of(np.broadcast_to(spread, (3, LATENTS)), 3)
    assert over_pairs("lean", near, ONE_STRATUM, 0.999)["ci_high"] == 1
    assert over_pairs("cosine", near, ONE_STRATUM, 0.999)["ci_high"] == 1
    assert over_pairs("distance", near, ONE_STRATUM, 0.999)["ci_high"] > 1


def test_where_a_pair_is_lacking_the_mean_is_of_the_others() -> None:
    found = pairs_of(np.random.default_rng(5).normal(size=(3, LATENTS)), 3)[:2]
    row = over_pairs("cosine", found, ONE_STRATUM, 0.95)
    assert row["value"] == pytest.approx(np.mean([each.value for each in found]))
    assert (row["runs"], row["pairs"], row["reason"]) == (3, 2, GAPS)
    assert math.isnan(row["ci_high"])


def test_latents_that_only_some_pairs_have_weigh_by_these() -> None:
    """As if each pair had its own: two pairs without a latent in common are two samples."""
    source = np.random.default_rng(6)
    values = source.normal(size=(2, LATENTS // 2))
    halves = np.split(np.arange(LATENTS), 2)
    names = ("a", "b"), ("a", "c")
    found = [OfPair(*both, float(row.mean()), half, row) for both, row, half in zip(names, values, halves, strict=True)]
    strata = np.repeat([0, 1], LATENTS // 2)
    margin = mean_of(values.ravel(), values.ravel(), strata, 0.9)
    row = over_pairs("cosine", found, strata, 0.9)
    assert row["value"] == pytest.approx(margin.value)
    assert row["latents_ci_low"] == pytest.approx(margin.ci_low)
