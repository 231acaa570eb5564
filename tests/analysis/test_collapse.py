"""How well curves collapse: 1 where they do, more where they do not, with intervals that hold; in closed form."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from memsweep.analysis.collapse import CURVES, collapse, curves, rescalings
from memsweep.analysis.spread import PureError, Rescaling, noncentrality, onset_error, pure_error, spread
from memsweep.study.axes import AXES, Axis
from memsweep.study.config.schemas import schema
from memsweep.tables.contracts import SCHEMAS
from scipy import stats

RULES = schema()["properties"]["grid"]["properties"]["base"]["properties"]
GRID = [Axis.of(name, RULES[name], None) for name in AXES]
CELLS = [name for name in AXES if name != "seed"]
STEPS = np.geomspace(10, 1e6, 120).round()
PARAMETERS = {4: 1_000, 8: 4_000, 16: 16_000}


def study(*points: tuple[int, int, int], subsets: int = 2, seeds: int = 2) -> pd.DataFrame:
    """Runs at points of train size, channels and batch size."""
    rows = [(*point, subset, seed) for point in points for subset in range(subsets) for seed in range(seeds)]
    runs = pd.DataFrame(rows, columns=["train_size", "base_channels", "batch_size", "subset", "seed"])
    parameters = runs["base_channels"].map(PARAMETERS)
    return runs.assign(run_id=[f"run{n}" for n in range(len(runs))], learning_rate=1e-3, parameters=parameters)


CROSS = [(n, 8, 8) for n in (16, 32, 64, 128)] + [(32, c, 8) for c in (4, 16)] + [(32, 8, b) for b in (4, 16)]


def tables(runs: pd.DataFrame, onset: np.ndarray, power: np.ndarray | float = 2.0) -> dict[str, pd.DataFrame]:
    """Shares of copies, and relative gaps of losses, that are a function of step over onset of each run."""
    shares, losses = [], []
    for run_id, at, steep in zip(runs["run_id"], onset, np.broadcast_to(power, len(runs)), strict=True):
        rise = 1 / (1 + (STEPS / at) ** -steep)
        known = {"run_id": run_id, "step": STEPS.astype(int)}
        shares.append(pd.DataFrame({**known, "metric": "f_mem", "reference": "train", "value": rise}))
        losses += [pd.DataFrame({**known, "split": "train", "loss": 0.5})]
        losses += [pd.DataFrame({**known, "split": "test", "loss": 0.5 * (1 + rise)})]
    looked_at = [(name, level, 0) for name in ("f_mem", "loss_gap_relative") for level in (0.1, 0.2, 0.5)]
    noisy = [("f_mem", 0.02, 1)]
    return {
        "runs": runs,
        "trajectories": pd.concat(losses),
        "metrics": pd.concat(shares).astype({"step": "Int64"}),
        "onsets": pd.DataFrame(columns=["definition", "ci_low", "ci_high"]),
        "thresholds": pd.DataFrame([*looked_at, *noisy], columns=["definition", "threshold", "runs_in_noise"]),
    }


def law(runs: pd.DataFrame, rng: np.random.Generator, scatter: float = 0.03, **exponents: float) -> np.ndarray:
    y = 3.0 + scatter * rng.normal(size=len(runs)) if scatter else np.full(len(runs), 3.0)
    for column, k in exponents.items():
        y = y + k * np.log10(runs[column] / runs[column].min())
    return np.asarray(10**y, float)


def found_in(table: pd.DataFrame, curve: str = "f_mem") -> dict[tuple[str, str], dict[str, Any]]:
    rows = table[table["curve"] == curve].to_dict("records")
    return {(row["axis"], row["exponents"]): row for row in rows}


def test_curves_that_are_one_in_the_normalised_step_have_a_ratio_of_about_one_there() -> None:
    runs = study(*CROSS)
    onset = law(runs, np.random.default_rng(0), train_size=1.0, batch_size=-1.0)
    table = collapse(tables(runs, onset), GRID, 0.95)
    assert table.columns.tolist() == SCHEMAS["collapse"].names
    for curve in ("f_mem", "loss_gap_relative"):
        rows = found_in(table, curve)
        for axis in ("train_size", "batch_size", "parameters", "train_size and parameters", "all"):
            assert rows[axis, "paper"]["ratio"] < 1.6
            assert rows[axis, "paper"]["ratio_ci_low"] <= 1
            assert rows[axis, "fitted"]["ratio"] < 1.6
        for axis in ("train_size", "batch_size", "all"):
            assert rows[axis, "none"]["ratio"] > 5
            assert rows[axis, "none"]["ratio_ci_low"] > 2
            assert rows[axis, "none"]["spread_ci_low"] < rows[axis, "none"]["spread"]
        assert rows["all", "n_over_root_p"]["ratio_ci_low"] > 1.5  # the model size changes nothing here
        assert rows["all", "paper"]["levels"] == 3
        assert rows["all", "paper"]["runs"] == len(runs)
        fitted = json.loads(rows["all", "fitted"]["value"])
        assert fitted == {
            "train_size": pytest.approx(1, abs=0.1),
            "batch_size": pytest.approx(-1, abs=0.1),
            "parameters": pytest.approx(0, abs=0.1),
        }


def test_curves_of_n_over_the_root_of_p_are_told_to_be() -> None:
    runs = study(*CROSS)
    onset = law(runs, np.random.default_rng(1), train_size=1.4, parameters=-0.7)
    rows = found_in(collapse(tables(runs, onset), GRID, 0.95))
    assert rows["train_size and parameters", "n_over_root_p"]["ratio"] < 1.6
    value = json.loads(rows["train_size and parameters", "n_over_root_p"]["value"])
    assert value["train_size"] == pytest.approx(1.4, abs=0.1)
    assert value["parameters"] == pytest.approx(-value["train_size"] / 2)
    assert rows["train_size and parameters", "paper"]["ratio_ci_low"] > 2


def test_curves_of_other_shapes_do_not_collapse_under_any_exponent() -> None:
    runs = study(*((n, 8, 8) for n in (16, 32, 64, 128)))
    power = 1.0 + np.log2(runs["train_size"].to_numpy(float) / 16)
    # Their halves coincide, so that nothing but the shape is left
    onset = law(runs, np.random.default_rng(2), scatter=0.01, train_size=1.0)
    rows = found_in(collapse(tables(runs, onset, power), GRID, 0.95))
    assert rows["train_size", "fitted"]["ratio_ci_low"] > 2


def test_levels_are_those_above_noise_that_every_run_passes() -> None:
    runs = study(*((n, 8, 8) for n in (16, 32, 64)))
    of = tables(runs, law(runs, np.random.default_rng(3), train_size=1.0))
    ended = of["metrics"].copy()
    late = (ended["run_id"] == "run11") & (ended["value"] > 0.3)
    assert found_in(collapse({**of, "metrics": ended[~late]}, GRID, 0.95))["train_size", "none"]["levels"] == 2
    none = found_in(collapse({**of, "metrics": ended[ended["value"] < 0.05]}, GRID, 0.95))["train_size", "none"]
    assert none["levels"] == 0
    assert math.isnan(none["spread"])
    loud = found_in(collapse({**of, "thresholds": of["thresholds"].assign(runs_in_noise=1)}, GRID, 0.95))
    assert loud["train_size", "none"]["levels"] == 0
    without = {**of, "metrics": of["metrics"].head(0), "trajectories": of["trajectories"].head(0)}
    assert collapse(without, GRID, 0.95).empty


def test_what_repeats_is_training_sets_then_seeds_then_the_onset_itself() -> None:
    points = [(n, 8, 8) for n in (16, 32, 64)]
    rng = np.random.default_rng(4)
    for subsets, seeds, of in ((2, 2, "training sets"), (1, 2, "seeds"), (1, 1, "onsets")):
        runs = study(*points, subsets=subsets, seeds=seeds)
        known = tables(runs, law(runs, rng, train_size=1.0))
        known["onsets"] = pd.DataFrame({"definition": "f_mem", "ci_low": [90.0, 0.0], "ci_high": [110.0, np.inf]})
        row = found_in(collapse(known, GRID, 0.95))["train_size", "none"]
        assert row["error_of"] == of
        assert row["error_freedom"] == {"training sets": 3, "seeds": 3, "onsets": math.inf}[of]
    exact = math.log10(110 / 90) / 2 / stats.norm.ppf(0.975)
    assert row["pure_error"] == pytest.approx(exact)
    assert math.isnan(onset_error(known["onsets"].head(0), 0.95).square)


def test_the_spread_is_the_residual_of_least_squares_and_the_error_that_of_cells() -> None:
    """Against statsmodels, of one level and two groups."""
    rng = np.random.default_rng(5)
    runs = study(*((n, c, 8) for n in (16, 32, 64) for c in (4, 8)), subsets=1, seeds=3)
    y = np.log10(law(runs, rng, train_size=0.8)) + 0.3 * (runs["base_channels"] == 8) + 0.1 * (runs["train_size"] == 32)
    data = runs.assign(y=y, x=np.log10(runs["train_size"]), group=(runs["base_channels"] == 8).astype(int), **{"1": y})
    line = smf.ols("y ~ x + C(group)", data).fit()
    cells = smf.ols("y ~ C(train_size) * C(group)", data).fit()
    units = data.rename(columns={"1": 1.0})
    error = pure_error(units, [1.0], CELLS)
    assert error is not None
    assert error.square == pytest.approx(cells.mse_resid)
    row = spread(units, [1.0], CELLS, Rescaling("fitted", {}, [{"train_size": 1.0}]), error, 0.95)
    assert row["spread"] == pytest.approx(math.sqrt(line.mse_resid))
    assert json.loads(str(row["value"]))["train_size"] == pytest.approx(line.params["x"], abs=1e-6)
    assert row["ratio"] == pytest.approx(math.sqrt(line.mse_resid / cells.mse_resid))


@pytest.mark.parametrize("freedom", [3.0, 12.0, math.inf])
def test_ends_of_a_noncentrality_leave_half_of_the_rest_on_either_side(freedom: float) -> None:
    def cdf(statistic: float, value: float) -> float:
        if math.isinf(freedom):
            return float(stats.ncx2.cdf(3 * statistic, 3, value))
        return float(stats.ncf.cdf(statistic, 3, freedom, value))

    low, high = noncentrality(40.0, 3, freedom, 0.9)
    assert 0 < low < high
    assert (cdf(40.0, low), cdf(40.0, high)) == pytest.approx((0.95, 0.05))
    assert noncentrality(0.001, 3, freedom, 0.9) == (0.0, 0.0)
    assert noncentrality(1.0, 3, freedom, 0.9)[0] == 0.0


@pytest.mark.parametrize(("bend", "sets"), [(0.0, 0.0), (0.15, 0.0), (0.15, 0.1)])
def test_intervals_of_the_ratio_hold_what_is_there(bend: float, sets: float) -> None:
    """Deviations of the values of N from the law, and of training sets; the truth follows from both."""
    rng, studies = np.random.default_rng(6), 200
    runs = study(*((n, 8, 8) for n in (16, 32, 64, 128)), subsets=2, seeds=2).assign(group=0)
    value = np.log2(runs["train_size"] / 16).to_numpy(int)
    deviation = bend * np.array([0.5, -0.5, -0.5, 0.5])
    way = Rescaling("paper", {"train_size": 1.0})
    squared = 2 * np.square(deviation - deviation.mean()).sum() / (sets**2 + 0.03**2 / 2)
    truth, held, held_spread = math.sqrt(1 + squared / 7), 0, 0
    for _ in range(studies):
        of_set = sets * rng.normal(size=(4, 2))[value, runs["subset"]]
        y = np.log10(runs["train_size"]) + deviation[value] + of_set + 0.03 * rng.normal(size=len(runs))
        known = runs.assign(**{"1": y}).rename(columns={"1": 1.0})
        error = pure_error(known, [1.0], CELLS)
        assert error is not None
        units = known.groupby([*CELLS, "subset", "group"], as_index=False)[[1.0]].mean()
        row = spread(units, [1.0], CELLS, way, error, 0.95)
        held += float(row["ratio_ci_low"]) <= truth <= float(row["ratio_ci_high"])  # type: ignore[arg-type]
        width = truth * math.sqrt(sets**2 + 0.03**2 / 2)
        held_spread += float(row["spread_ci_low"]) <= width <= float(row["spread_ci_high"])  # type: ignore[arg-type]
    for count in (held, held_spread):
        assert stats.binomtest(count, studies, 0.95, alternative="less").pvalue > 0.001


def test_a_gap_is_that_of_mean_losses_and_a_share_is_its_metric() -> None:
    runs = study((16, 8, 8), subsets=1, seeds=1)
    of = tables(runs, np.array([1000.0]))
    share = curves("f_mem", of["trajectories"], of["metrics"])
    gap = curves("loss_gap_relative", of["trajectories"], of["metrics"])
    absolute = curves("loss_gap_absolute", of["trajectories"], of["metrics"])
    assert gap["value"].to_numpy() == pytest.approx(share["value"].to_numpy())
    assert absolute["value"].to_numpy() == pytest.approx(0.5 * share["value"].to_numpy())
    assert all(curves(name, of["trajectories"].head(0), of["metrics"].head(0)).empty for name in CURVES)


def test_the_paper_says_nothing_of_other_axes() -> None:
    names = [way.name for way in rescalings(["train_size", "training_weight_decay"])]
    assert names == ["none", "fitted"]


def test_without_scatter_there_is_no_ratio() -> None:
    runs = study((16, 8, 8), (32, 8, 8), subsets=2, seeds=2)
    row = found_in(collapse(tables(runs, law(runs, np.random.default_rng(0), 0.0, train_size=1.0)), GRID, 0.95))
    assert row["train_size", "none"]["spread"] > 0.1
    assert math.isnan(row["train_size", "none"]["ratio"])
    exact = PureError(0.0, math.inf, "onsets")
    assert exact.square == 0
