"""The band of a fitted line: that of a regression, and what it covers at its pivot and at its ends."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from memsweep.analysis.scaling import Exponent, exponent
from memsweep.figures.fits import band, height, margin, seen
from scipy.stats import binomtest

SIZES = np.repeat([16.0, 32.0, 64.0, 128.0, 256.0], 2)
SLOPE, START, SCATTER = 1.7, 5.0, 0.3  # of log onsets


def runs(seed: int, ended: float = np.inf) -> pd.DataFrame:
    steps = START * (SIZES / 16) ** SLOPE * np.exp(np.random.default_rng(seed).normal(0, SCATTER, len(SIZES)))
    return pd.DataFrame(
        {"size": SIZES, "step": np.minimum(steps, ended), "censored": steps > ended, "left_censored": False}
    )


def edges(rows: pd.DataFrame, fit: Exponent, places: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    pivot = float(np.exp(np.log(seen(rows)["size"]).mean()))
    relative = (rows["size"] / pivot) ** fit.exponent
    at, about = height(rows, relative), margin(rows, relative, confidence)
    return band(places / pivot, at, about, fit.exponent, (fit.ci_low, fit.ci_high))


def least_squares(
    rows: pd.DataFrame, confidence: float
) -> tuple[Exponent, sm.regression.linear_model.RegressionResults]:
    line = sm.OLS(np.log(rows["step"]), sm.add_constant(np.log(rows[["size"]]))).fit()
    return Exponent(line.params["size"], *line.conf_int(1 - confidence).loc["size"]), line


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_without_censored_runs_it_is_the_band_of_the_mean_of_a_regression(confidence: float) -> None:
    rows = runs(0)
    fit, line = least_squares(rows, confidence)
    places = np.geomspace(10, 400, 9)
    known = line.get_prediction(sm.add_constant(np.log(places))).conf_int(alpha=1 - confidence)
    low, high = edges(rows, fit, places, confidence)
    np.testing.assert_allclose(np.column_stack([low, high]), np.exp(known), rtol=1e-9)


@pytest.mark.parametrize(("ended", "studies"), [(np.inf, 500), (400.0, 80)])
def test_it_covers_the_mean_line_at_its_pivot_and_its_ends(ended: float, studies: int) -> None:
    places = np.array([16.0, 64.0, 256.0])
    truth = START * (places / 16) ** SLOPE
    covered = np.zeros(3, int)
    for seed in range(studies):
        rows = runs(seed, ended)
        sides = rows["censored"], rows["left_censored"]
        if np.isinf(ended):
            fit, _ = least_squares(rows, 0.9)
        else:  # the largest sets' runs, and some others
            fit = exponent(rows["size"], rows["step"], *sides, np.zeros(len(rows)), 0.9)
        low, high = edges(rows, fit, places, 0.9)
        covered += (low <= truth) & (truth <= high)
    assert all(binomtest(int(hits), studies, 0.9).pvalue > 0.001 for hits in covered), covered / studies


def test_it_holds_the_line_and_is_narrowest_at_the_pivot() -> None:
    ratio = np.geomspace(0.01, 100, 21)
    low, high = band(ratio, 50.0, 0.2, 1.5, (1.0, 2.5))
    assert (low < 50 * ratio**1.5).all()
    assert (50 * ratio**1.5 < high).all()
    assert np.log(high / low).argmin() == 10
    assert np.log(high / low)[10] == pytest.approx(0.4)
    assert np.isfinite(band(ratio, 50.0, 0.2, 1.5, (-np.inf, np.inf))[1]).all()


def test_two_onsets_give_a_height_and_no_margin() -> None:
    rows = runs(1).iloc[:2]
    assert np.isfinite(height(rows, np.ones(2)))
    assert np.isnan(margin(rows, np.ones(2), 0.95))
