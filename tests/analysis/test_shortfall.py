"""By how much budgets fall short, where the truth is a law that was chosen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from memsweep.analysis.shortfall import foretell, shortfalls


def law(train_size: float, batch_size: float) -> float:
    return 3 * train_size**1.5 / batch_size**0.75


def tables(budget: int, noise: float = 0.0) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Onsets, runs and exponents of a grid that follows the law, censored at a budget."""
    grid = [(size, batch) for size in (16, 32, 64, 128) for batch in (8, 16)]
    source = np.random.default_rng(0)
    runs = pd.DataFrame(
        [{"run_id": f"r{i}", "train_size": size, "batch_size": batch, "max_steps": budget, "status": "finished"}
         for i, (size, batch) in enumerate(grid)]
    )  # fmt: skip
    truth = np.array([law(*point) for point in grid]) * np.exp(noise * source.standard_normal(len(grid)))
    onsets = pd.DataFrame({"run_id": runs["run_id"], "definition": "f_mem", "step": np.minimum(truth, budget)})
    onsets["censored"], onsets["left_censored"] = truth > budget, False
    scaling = pd.DataFrame(
        {"definition": "f_mem", "term": ["train_size", "batch_size", "seed"], "exponent": [1.5, -0.75, np.nan]}
    )
    return onsets, runs, scaling


def test_onsets_are_foretold_as_the_law_has_them() -> None:
    onsets, runs, _ = tables(500)
    by_run = onsets.set_index("run_id")
    seen, missed = by_run.index[~by_run["censored"]], by_run.index[by_run["censored"]]
    assert len(missed) > 1
    found = foretell(
        runs.set_index("run_id"), by_run.loc[seen, "step"], {"train_size": 1.5, "batch_size": -0.75}, missed
    )
    known = runs.set_index("run_id").loc[missed]
    truth = [law(size, batch) for size, batch in zip(known["train_size"], known["batch_size"], strict=True)]
    assert found.to_numpy() == pytest.approx(truth)


def test_the_factor_that_the_budget_lacks_is_said() -> None:
    (said,) = shortfalls(*tables(500))
    most = law(128, 8) / 500
    assert said.startswith("f_mem: 2 of 8 runs did not reach their onset within their budget; by the exponents")
    assert f"up to {most:.2g} times it" in said


def test_scatter_of_those_that_were_seen_moves_it_little() -> None:
    onsets, runs, scaling = tables(500, noise=0.1)
    (said,) = shortfalls(onsets, runs, scaling)
    factor = float(said.split("up to ")[1].split(" ")[0])
    assert factor == pytest.approx(law(128, 8) / 500, rel=0.25)


def test_where_no_run_reached_it_nothing_is_made_up() -> None:
    (said,) = shortfalls(*tables(10))
    assert said.startswith("f_mem: none of 8 runs reached its onset within its budget, and so nothing says how much")


def test_where_all_reached_it_nothing_is_said() -> None:
    assert list(shortfalls(*tables(10**6))) == []


def test_runs_that_diverged_and_onsets_before_the_first_evaluation_foretell_nothing() -> None:
    onsets, runs, scaling = tables(500)
    expected = list(shortfalls(onsets, runs, scaling))
    runs.loc[len(runs)] = {"run_id": "bad", "train_size": 16, "batch_size": 8, "max_steps": 500, "status": "diverged"}
    onsets.loc[len(onsets)] = ["bad", "f_mem", 1.0, True, False]
    assert list(shortfalls(onsets, runs, scaling)) == expected
    onsets.loc[0, ["step", "left_censored"]] = [1e-9, True]
    assert list(shortfalls(onsets, runs, scaling)) == expected


def test_without_exponents_onsets_are_like_those_of_others() -> None:
    onsets, runs, scaling = tables(500)
    (said,) = shortfalls(onsets, runs, scaling.iloc[:0])
    assert "up to 1 times it" in said
