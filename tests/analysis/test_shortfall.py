"""By how much budgets fall short, where the truth is a law that was chosen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from memsweep.analysis.law import fit_law
from memsweep.analysis.law_tables import law_errors, law_fit_table
from memsweep.analysis.shortfall import shortfall, shortfalls
from memsweep.study.axes import Axis

AXES = [Axis.of(name, {"type": "number"}, None) for name in ("train_size", "batch_size")]


def truth(train_size: float, batch_size: float) -> float:
    return 3 * train_size**1.5 / batch_size**0.75


def study(budget: float, noise: float = 0.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Onsets and runs of a grid that follows the law, censored at a budget."""
    grid = [(size, batch) for size in (16, 32, 64, 128) for batch in (8, 16)]
    source = np.random.default_rng(0)
    runs = pd.DataFrame(
        [
            {"run_id": f"r{i}", "train_size": size, "batch_size": batch, "max_steps": budget, "status": "finished"}
            for i, (size, batch) in enumerate(grid)
        ]
    ).assign(subset=0)
    onset = np.array([truth(*point) for point in grid]) * np.exp(noise * source.standard_normal(len(grid)))
    onsets = pd.DataFrame({"run_id": runs["run_id"], "definition": "f_mem", "step": np.minimum(onset, budget)})
    onsets["censored"], onsets["left_censored"] = onset > budget, False
    return onsets, runs


def fits(onsets: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    laws = {"f_mem": fit_law(onsets, runs, AXES, 0.95)}
    return law_fit_table(laws, law_errors(onsets, runs, AXES, 0.95), onsets, runs)


def test_budgets_are_those_that_the_law_asks_for() -> None:
    onsets, runs = study(500)
    missed = [truth(128, 8) / 500, truth(128, 16) / 500]
    found = shortfall(fit_law(onsets, runs, AXES, 0.95), onsets, runs)
    assert found.runs == 2
    assert found.budgets_most == pytest.approx(max(missed), rel=1e-3)
    assert found.budgets_typical == pytest.approx(np.mean(missed), rel=1e-3)


def test_each_run_is_held_against_its_own_budget() -> None:
    onsets, runs = study(500)
    onsets.loc[7, "step"] = runs.loc[7, "max_steps"] = 250  # the other of 128 images
    found = shortfall(fit_law(onsets, runs, AXES, 0.95), onsets, runs)
    assert found.budgets_most == pytest.approx(max(truth(128, 8) / 500, truth(128, 16) / 250), rel=1e-3)


def test_it_is_said() -> None:
    (said,) = shortfalls(fits(*study(500)))
    most = f"{truth(128, 8) / 500:.2g}"
    assert said.startswith(f"f_mem: 2 runs ended before the onset; by the law of this study that takes up to {most} ")


def test_scatter_of_those_that_were_seen_moves_it_little() -> None:
    found = fits(*study(500, noise=0.1))
    assert found["budgets_most"].item() == pytest.approx(truth(128, 8) / 500, rel=0.25)


def test_where_no_run_reached_it_nothing_is_made_up() -> None:
    (said,) = shortfalls(fits(*study(10)))
    assert said.startswith("f_mem: 8 runs ended before the onset, and too few reached it to say how much longer")


def test_where_all_reached_it_nothing_is_said() -> None:
    assert list(shortfalls(fits(*study(10**6)))) == []


def test_runs_that_diverged_are_not_short_of_a_budget() -> None:
    onsets, runs = study(500)
    runs.loc[7, "status"] = "diverged"
    assert fits(onsets, runs)["short_runs"].item() == 1
