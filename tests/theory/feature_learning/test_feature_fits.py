"""Fits to the two-patch model's curves and cells: they find the laws that made them, and say when they cannot."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from memsweep.theory.feature_learning.growth import compare, growth, mean_interval
from memsweep.theory.feature_learning.phase import (
    LAWS,
    QUANTITIES,
    agreement,
    laws,
    phase,
    phase_fits,
    slope_at_crossing,
)
from scipy import stats

MODEL = {"dimension": 1000, "neurons": 20, "noise": 1.0, "initialisation": 1e-3}
COLUMNS = ("signal_max", "noise_max", "signal_mean", "noise_mean")
RATES = {"learning_rates": {"classification": 0.1, "diffusion": 0.5}, "growth_factor": 10}


def curves(law: str, seeds: int = 4) -> pd.DataFrame:
    """Alignments that grow by a law, from a start that differs by seed, with a ripple of 1 %."""
    random = np.random.default_rng(0)
    k = np.arange(200)
    rows = []
    for seed in range(seeds):
        start = 0.01 * (1 + 0.2 * seed)
        grown = start + 0.002 * k if law == "linear" else start * np.exp(0.03 * k)
        values = grown * (1 + 0.01 * random.normal(size=len(k)))
        frame = pd.DataFrame({"iteration": k, **dict.fromkeys(COLUMNS, values)})
        rows.append(
            frame.assign(objective="diffusion", time=0.2, train_size=30, signal_norm=5.0, n_snr2=0.75, seed=seed)
        )
    return pd.concat(rows)


@pytest.mark.parametrize(("law", "rate"), [("linear", 0.002), ("exponential", 0.03)])
def test_the_law_that_made_the_growth_is_found(law: str, rate: float) -> None:
    table = growth(curves(law), {**MODEL, **RATES}, 0.95)
    rows = table[(table["feature"] == "signal") & (table["measure"] == "mean")].set_index("quantity")
    found = rows.loc[f"{law}_rate"]
    assert found["value"] == pytest.approx(rate, rel=0.05)
    ratio = rows.loc["log_ratio"]
    assert (ratio["ci_low"] > 0) if law == "linear" else (ratio["ci_high"] < 0)
    assert set(table["seeds"]) == {4}


def test_exact_laws_are_fitted_exactly() -> None:
    k = np.arange(30.0)
    line, exponential = compare(k, 0.3 + 0.07 * k), compare(k, 0.3 * np.exp(0.05 * k))
    assert line["linear_rate"] == pytest.approx(0.07)
    assert exponential["exponential_rate"] == pytest.approx(0.05)
    assert line["log_ratio"] > 5
    assert exponential["log_ratio"] < -5


def test_growth_too_short_to_fit_is_counted_out() -> None:
    short = curves("linear")
    table = growth(short[short["iteration"] < 4], {**MODEL, **RATES}, 0.95)
    assert set(table["seeds"]) == {0}
    assert table["value"].isna().all()
    assert table.loc[table["quantity"] == "linear_rate", "predicted"].notna().all()


def test_the_interval_of_a_mean_is_students() -> None:
    values = np.random.default_rng(0).normal(size=7)
    mean, low, high = mean_interval(values, 0.9)
    expected = stats.t.interval(0.9, 6, loc=values.mean(), scale=stats.sem(values))
    assert (low, high) == pytest.approx(expected)
    assert mean == pytest.approx(values.mean())
    assert mean_interval(values[:1], 0.9) == (values[0], -math.inf, math.inf)


def cells(ratio: Any, noise: float = 0.0) -> pd.DataFrame:
    """Table ``stationary`` of a grid whose ratio of mean alignments is a function of n and SNR²."""
    random = np.random.default_rng(1)
    rows = []
    for n in (10, 20, 40, 80):
        for norm in (2.0, 4.0, 8.0, 16.0):
            for seed in range(3):
                value = ratio(n, norm**2 / 1000) * np.exp(noise * random.normal())
                point = {"train_size": n, "signal_norm": norm, "n_snr2": n * norm**2 / 1000, "seed": seed}
                ends = {"signal_max": value, "noise_max": 1.0, "signal_mean": value, "noise_mean": 1.0}
                rows.append({"objective": "diffusion", "time": 3.0, **point, **ends, "finished": seed > 0 or n > 10})
    return pd.DataFrame(rows)


def test_exponents_and_prefactor_of_a_power_law_are_found() -> None:
    exact = phase_fits(phase(cells(lambda n, snr2: 0.4 * n**0.9 * snr2**1.2), MODEL, 0.95), 0.95, 50)
    found = exact[exact["measure"] == "mean"].set_index("quantity")
    for quantity, value in (("slope_n", 0.9), ("slope_snr2", 1.2)):
        assert tuple(found.loc[quantity, ["ci_low", "value", "ci_high"]]) == pytest.approx((value,) * 3)
        assert found.loc[quantity, "predicted"] == 1
    assert found.loc["prefactor", "predicted"] == 0.5
    assert exact.groupby("measure")["quantity"].apply(list).tolist() == [list(QUANTITIES)] * 2


def test_intervals_of_exponents_are_as_wide_as_least_squares_says() -> None:
    table = phase(cells(lambda n, snr2: 0.5 * n * snr2, 0.3), MODEL, 0.95)
    rows = table[table["measure"] == "mean"]
    line = stats.linregress(np.log(rows["n_snr2"]), np.log(rows["ratio"]))
    found = phase_fits(table, 0.95, 1000).query("measure == 'mean' and quantity == 'slope'").iloc[0]
    assert found["ci_high"] - found["ci_low"] == pytest.approx(2 * 1.96 * line.stderr, rel=0.4)


def test_slopes_are_those_of_scipy_where_the_law_is_one_in_n_snr2() -> None:
    table = phase(cells(lambda n, snr2: 0.5 * n * snr2, 0.2), MODEL, 0.95)
    rows = table[table["measure"] == "mean"]
    logs = np.log(rows[["train_size", "n_snr2", "ratio"]].to_numpy(float))
    logs[:, 1] -= logs[:, 0]
    found = dict(zip(LAWS, laws(logs), strict=True))
    line = stats.linregress(np.log(rows["n_snr2"]), np.log(rows["ratio"]))
    assert found["slope"] == pytest.approx(line.slope)
    assert found["prefactor"] == pytest.approx(stats.gmean(rows["ratio"] / rows["n_snr2"]))


def test_a_jump_is_steep_and_is_found_where_it_is() -> None:
    jump = phase(cells(lambda n, snr2: 0.01 if n * snr2 < 2 else 10.0), MODEL, 0.95)
    smooth = phase(cells(lambda n, snr2: 0.5 * n * snr2), MODEL, 0.95)
    fits = [phase_fits(table, 0.95, 100).query("measure == 'mean'").set_index("quantity") for table in (jump, smooth)]
    assert fits[0].loc["slope_at_crossing", "ci_low"] > 3
    assert fits[1].loc["slope_at_crossing", "value"] == pytest.approx(1)
    assert fits[0].loc["crossing", "value"] == pytest.approx(2, rel=0.4)
    assert fits[1].loc["crossing", "value"] == pytest.approx(2, rel=0.02)


GRID = np.log(np.array([(n, snr2) for n in (10, 15, 20, 30, 45, 60, 75) for snr2 in np.geomspace(0.004, 0.5, 10)]))


def bend(logs: np.ndarray) -> np.ndarray:
    """A log ratio that crosses 0 at n · SNR² = 2, steepest there."""
    return 4 * np.tanh(logs.sum(axis=1) - math.log(2))


def test_the_slope_at_the_crossing_is_covered_by_its_interval_which_a_steepest_slope_is_not() -> None:
    source, exact = np.random.default_rng(5), np.column_stack([GRID, bend(GRID)])
    truth = slope_at_crossing(exact, 0.95)[0]
    assert truth == pytest.approx(4, rel=0.15)
    covered = 0
    for _ in range(400):
        noisy = exact + [0, 0, 1] * source.normal(0, 0.4, (len(GRID), 1))
        _, low, high, _ = slope_at_crossing(noisy, 0.95)
        covered += low <= truth <= high
    assert 0.93 <= covered / 400 <= 0.985


def test_the_slope_at_the_crossing_is_that_of_statsmodels() -> None:
    logs = np.column_stack([GRID, bend(GRID) + np.random.default_rng(6).normal(0, 0.3, len(GRID))])
    slope, low, high, count = slope_at_crossing(logs, 0.9)
    crossing = dict(zip(LAWS, laws(logs), strict=True))["crossing"]
    x = logs[:, 0] + logs[:, 1]
    near = np.abs(x - math.log(crossing)) <= math.log(2)
    line = sm.OLS(logs[near, 2], sm.add_constant(x[near])).fit(cov_type="HC3", use_t=True)
    assert count == near.sum()
    assert slope == pytest.approx(line.params[1])
    assert (low, high) == pytest.approx(tuple(line.conf_int(0.1)[1]))


@pytest.mark.parametrize(
    ("low", "high", "agrees"),
    [
        (0.96, 0.97, "yes"),  # though it excludes 1
        (0.8, 1.2, "yes"),
        (0.7, 0.9, "undecided"),
        (0.5, 1.5, "undecided"),
        (0.5, 0.79, "no"),
        (1.21, 1.3, "no"),
        (math.nan, math.nan, None),
    ],
)
def test_an_exponent_agrees_within_a_margin(low: float, high: float, agrees: str | None) -> None:
    assert agreement(low, high, 1.0) == agrees
    assert agreement(low, high, math.nan) is None


def test_cells_that_do_not_say_give_nan_and_unfinished_seeds_are_counted() -> None:
    table = phase(cells(lambda n, snr2: 0.1 + 0 * n * snr2), MODEL, 0.95)
    found = phase_fits(table, 0.95, 20).query("measure == 'mean'").set_index("quantity")
    assert math.isnan(found.loc["crossing", "value"])
    assert math.isnan(found.loc["crossing", "ci_low"])
    assert table.loc[table["train_size"] == 10, "unfinished"].eq(1).all()
    assert table.loc[table["train_size"] > 10, "unfinished"].eq(0).all()
    one = table[(table["train_size"] == 20) & (table["signal_norm"] == 4)]
    assert phase_fits(one, 0.95, 20)["value"].isna().sum() >= 4


def test_the_ratio_is_a_geometric_mean_with_the_interval_of_its_logarithm() -> None:
    table = cells(lambda n, snr2: n * snr2, 0.3)
    chosen = table[(table["train_size"] == 20) & (table["signal_norm"] == 4)]
    row = phase(chosen, MODEL, 0.95).query("measure == 'mean'").iloc[0]
    logs = np.log(chosen["signal_mean"])
    expected = np.exp(stats.t.interval(0.95, 2, loc=logs.mean(), scale=stats.sem(logs)))
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(tuple(expected))
    assert row["ratio"] == pytest.approx(stats.gmean(chosen["signal_mean"]))
