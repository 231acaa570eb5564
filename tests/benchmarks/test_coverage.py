"""The simulation of coverage: its draws follow the law they say, and a short one finds intervals that cover."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import coverage


def test_onsets_scatter_by_sets_and_runs() -> None:
    truth = coverage.Truth(replace(coverage.SHAPES["four seeds"], sigma=0.01, sigma_sets=0.1))
    rng = np.random.default_rng(0)
    residuals = np.array([truth.draw(truth.runs, rng) - truth.median(truth.runs) for _ in range(400)])
    of_sets = residuals.reshape(400, 4, 4)  # sizes, seeds
    assert of_sets.std(axis=2, ddof=1).mean() == pytest.approx(0.01 * 0.921, rel=0.05)  # of four: c4
    assert of_sets.mean(axis=2).std() == pytest.approx(np.hypot(0.1, 0.005), rel=0.05)
    assert np.corrcoef(of_sets.mean(axis=2).T)[0, 1] == pytest.approx(0, abs=0.15)


def test_nested_sets_share_the_deviations_of_their_images() -> None:
    """64 images hold the 16 of subset 0, a quarter of them, and none of subset 1 of 64."""
    truth = coverage.Truth(coverage.SHAPES["digits, nested sets"])
    sets = np.array([[16, 0], [64, 0], [64, 1]])
    rng = np.random.default_rng(1)
    draws = np.array([truth._of_sets(sets, rng) for _ in range(4000)])
    expected = [[1, 0.5, 0], [0.5, 1, 0], [0, 0, 1]]
    assert np.cov(draws.T) == pytest.approx(np.array(expected), abs=0.08)


def test_a_share_of_runs_ends_before_its_onset() -> None:
    """All end at the median onset of the largest size: half of its four sets are later."""
    truth, rng = coverage.Truth(coverage.SHAPES["four sets, censored"]), np.random.default_rng(2)
    onsets = [truth.study(rng).onsets for _ in range(100)]
    assert np.mean([of["censored"].sum() for of in onsets]) == pytest.approx(2, abs=0.5)
    assert all((of.loc[of["censored"], "step"] == of["step"].max()).all() for of in onsets)


@pytest.mark.parametrize("shape", ["digits", "four sets, censored"])
def test_intervals_of_the_law_cover(shape: str) -> None:
    studies = 25
    found = coverage.coverage(coverage.SHAPES[shape], studies, seed=1)
    for name, numbers in found.items():
        if name.startswith("law") and numbers["estimable"]:
            held = round(numbers["coverage"] * studies)
            assert stats.binomtest(held, studies, 0.93).pvalue > 1e-3, name


def test_seeds_are_no_sets() -> None:
    """With four seeds of one set a size, fits that take runs as independent are found out."""
    found = coverage.coverage(coverage.SHAPES["four seeds"], 25)
    assert found["scaling: exponent of N"]["coverage"] < 0.75 < found["law: exponent of N"]["coverage"]


def test_an_estimator_is_checked_by_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(drawn: coverage.Drawn) -> Iterator[coverage.Held]:
        value = float(drawn.rng.normal())
        yield "normal", value - 1, value + 1, 0.0
        yield "never", np.nan, np.nan, 0.0

    monkeypatch.setattr(coverage, "CHECKS", {"own": check})
    found = coverage.coverage(coverage.SHAPES["four sets"], 300)
    assert found["own: normal"]["coverage"] == pytest.approx(0.683, abs=0.09)
    assert found["own: never"]["estimable"] == 0
    assert "coverage" not in found["own: never"]
    rows = coverage.table({"four sets": found}).splitlines()
    assert rows[0] == "| | own: normal | own: never |"
    assert rows[2].startswith("| four sets | **0.")
    assert rows[2].endswith("| - |")
