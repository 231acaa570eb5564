"""Peak fidelity: by hand, as rules for all inputs, and against simulated runs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memsweep.analysis import published
from memsweep.analysis.peaks import peak_fidelity, peaks, told_by_the_other_half
from memsweep.analysis.published import Point
from memsweep.study.axes import cell, column_of, swept_keys
from memsweep.study.config.schemas import schema
from memsweep.tables.parquet import read_table, write_table
from scipy.stats import norm

STEPS = [10, 20, 40, 80, 160, 320]


def distances(values: list[float], steps: list[int] = STEPS) -> pd.DataFrame:
    value = np.asarray(values, float)
    return pd.DataFrame({"step": steps, "value": value, "ci_low": value - 0.5, "ci_high": value + 1})


# --- peak fidelity ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("until", "value", "step"),
    [
        (10, 9.0, 10),  # the onset at the first evaluation
        (79.9, 4.0, 40),
        (80, 3.0, 80),  # an evaluation at the onset counts
        (80 * (1 - 1e-12), 3.0, 80),  # also where rounding moved the onset
        (200, 3.0, 80),
        (math.inf, 2.0, 320),
    ],
)
def test_the_smallest_distance_up_to_the_onset(until: float, value: float, step: int) -> None:
    peak = peak_fidelity(distances([9, 5, 4, 3, 6, 2]), until)
    assert (peak.value, peak.step, peak.ci_low, peak.ci_high) == (value, step, value - 0.5, value + 1)


def test_no_evaluation_up_to_the_onset() -> None:
    assert math.isnan(peak_fidelity(distances([1] * 6), 9).value)
    assert peak_fidelity(distances([], []), math.inf).step is None


@given(st.lists(st.floats(0.1, 1e3), min_size=6, max_size=6), st.floats(10, 400), st.floats(1, 3))
def test_a_later_onset_never_worsens_the_peak(values: list[float], until: float, later: float) -> None:
    table = distances(values)
    early, late = peak_fidelity(table, until), peak_fidelity(table, until * later)
    assert late.value <= early.value
    assert early.value in values
    assert early.step is not None
    assert early.step <= until


# --- the table --------------------------------------------------------------------------


def metrics_of(run_id: str, metric: str, space: str, reference: str, values: list[float]) -> pd.DataFrame:
    return distances(values).assign(run_id=run_id, metric=metric, space=space, reference=reference, generated=100)


def small_study() -> tuple[pd.DataFrame, pd.DataFrame]:
    onsets = pd.DataFrame(
        {
            "run_id": ["a", "a", "a", "b"],
            "definition": ["test_loss_minimum", "loss_gap_absolute", "f_mem", "f_mem"],
            "step": [20.0, 10.0, 80.0, 320.0],
            "censored": [False, False, False, True],
            "left_censored": [False, True, False, False],
        }
    )
    parts = [
        metrics_of("a", "sliced_wasserstein", "pixels", "test", [9, 5, 4, 3, 6, 2]),
        metrics_of("a", "sliced_wasserstein", "pixels", "train", [1] * 6),
        metrics_of("a", "f_mem", "pixels", "train", [0, 0, 0, 0.2, 0.4, 0.6]),
        metrics_of("a", "f_mem", "pixels", "control", [0.5] * 6),
        metrics_of("b", "sliced_wasserstein", "pixels", "test", [9, 5, math.nan, 7, 6, 8]),
        metrics_of("b", "f_mem", "pixels", "train", [0] * 6),
        metrics_of("a", "sscd_score", "sscd", "train", [0, 0, 0, 0.1, 0.2, 0.3]),
        metrics_of("a", "f_mem_held_out", "pixels", "train", [0.1] * 6).head(1).assign(step=None),
    ]
    return onsets, pd.concat(parts, ignore_index=True).astype({"step": "Int64"})


def test_the_table_by_hand(tmp_path: Any) -> None:
    table = peaks(*small_study())
    write_table(tmp_path / "peaks.parquet", "peaks", table)
    table = read_table(tmp_path / "peaks.parquet", "peaks")
    assert len(table) == 4  # a distance for each run and definition

    fidelity = table.set_index(["run_id", "definition"])
    assert fidelity["value"].isna().tolist() == [False, True, False, False]  # the onset is before any evaluation
    fidelity = fidelity.dropna(subset=["value"])
    assert fidelity["value"].tolist() == [5.0, 3.0, 5.0]
    assert fidelity["step"].tolist() == [20, 80, 20]
    assert fidelity["censored"].tolist() == [False, False, True]


def test_a_study_without_metrics_has_no_peaks(tmp_path: Any) -> None:
    onsets, metrics = small_study()
    table = peaks(onsets, metrics.head(0))
    assert table.empty
    write_table(tmp_path / "peaks.parquet", "peaks", table)


# --- published numbers ------------------------------------------------------------------


def test_published_parameters_are_those_of_the_papers_network() -> None:
    channels = np.array([16, 32, 64, 128, 192])
    expected = set((5090 * channels**2 + 68325 * channels + 530450).tolist())
    assert {number.point.parameters for number in published.NUMBERS} <= expected


def test_published_exponents_are_those_of_the_numbers() -> None:
    seen = 0
    for known in published.EXPONENTS:
        numbers = [
            number
            for number in published.NUMBERS
            if (number.sweep, number.quantity, number.threshold) == (known.sweep, known.quantity, known.threshold)
        ]
        if not numbers:
            continue  # only its exponent is known
        seen += 1
        numbers = [number for number in numbers if number.bound != "more than"]
        x = np.log([getattr(number.point, known.sweep) for number in numbers])
        slope = np.polyfit(x, np.log([number.value for number in numbers]), 1)[0]
        # Each number is read to ±10 %
        assert slope == pytest.approx(known.value, abs=0.2)
    assert seen == 7


def test_every_published_number_is_tagged() -> None:
    for number in published.NUMBERS:
        assert number.tolerance == 0.1
        assert "2605.06077" in number.source
        assert math.isnan(number.value) == (number.bound == "never")
        assert number.point.batch_size == 128 or number.sweep != "train_size"


def paper_runs(**columns: Any) -> pd.DataFrame:
    base = {"train_size": 2048, "parameters": 92_670_610, "batch_size": 16, "learning_rate": 1e-4}
    return pd.DataFrame({"dataset": "cifar10", **base, **columns})


@pytest.mark.parametrize(
    ("sweep", "values", "onsets", "minima"),
    [
        ("batch_size", [16, 32, 48], [2.2e4, 9.8e3], [16.2, 21.1]),
        ("parameters", [2_926_690, 7_930_000, 25_751_890], [8.8e4, 3.2e4], [31.0, 25.0]),
        ("learning_rate", [5e-5, 1e-4, 2e-4], [2.1e4, 2.2e4], [23.8, 16.6]),
    ],
)
def test_published_numbers_of_the_runs_shown(
    sweep: str, values: list[float], onsets: list[float], minima: list[float]
) -> None:
    runs = paper_runs(**{sweep: values})
    found = published.onsets(runs, sweep, "loss_gap_absolute", 0.05, "rectified_flow")
    assert [number.value for number in found] == onsets
    assert published.onsets(runs, sweep, "loss_gap_absolute", 0.2, "rectified_flow") == []
    assert published.onsets(runs, sweep, "f_mem", 0.05, "rectified_flow") == []
    assert published.onsets(runs, sweep, "loss_gap_absolute", 0.05, "edm") == []
    near = published.first_minima(runs, sweep, "f_mem", "inception", "rectified_flow")
    assert [number.value for number in near] == minima
    assert published.first_minima(runs.assign(dataset="mnist"), sweep, "f_mem", "inception", "rectified_flow") == []


PAPERS = {column_of(name): value for name, value in published.SETTINGS.items()}


@pytest.mark.parametrize(
    ("columns", "marked"),
    [
        ({}, True),
        (PAPERS, True),
        ({"subset": 3}, True),
        ({"training_weight_decay": 0.0}, True),
        ({"training_ema_decay": 0.99, "training_precision": "bfloat16", "training_gradient_clip": 1.0}, True),
        ({"training_weight_decay": 0.01}, False),
        ({"training_flip": True}, False),
        ({"training_optimizer": "sgd"}, False),
        ({"training_time_sampling": "logit_normal"}, False),
        ({"network_kind": "dit"}, False),
        ({"network_attention_levels": "[]"}, False),
        ({"formulation_name": "ddpm"}, False),
        ({**PAPERS, "training_warmup_steps": 100}, False),
    ],
)
def test_published_numbers_are_of_runs_that_are_the_papers_on_every_axis(columns: dict[str, Any], marked: bool) -> None:
    runs = paper_runs(batch_size=[16, 32]).assign(**columns)
    found = published.onsets(runs, "batch_size", "loss_gap_absolute", 0.05, "rectified_flow")
    assert [number.value for number in found] == ([2.2e4, 9.8e3] if marked else [])


def test_of_runs_that_differ_only_those_like_the_papers_are_marked() -> None:
    runs = paper_runs(batch_size=[16, 32], training_weight_decay=[0.01, 0.0], formulation_name="rectified_flow")
    for formulation in ("rectified_flow", "ddpm"):  # the config's, which an axis has the last word over
        found = published.onsets(runs, "batch_size", "loss_gap_absolute", 0.05, formulation)
        assert [number.point.batch_size for number in found] == [32]
    assert published.onsets(runs, "batch_size", "loss_gap_absolute", 0.05, None) == []


def test_the_papers_settings_are_the_defaults_and_no_axis_is_forgotten() -> None:
    """An axis is the paper's at its default, or changes nothing that the paper's numbers are of."""
    rules = dict(swept_keys(schema()["properties"]))
    assert {name: cell(name, rules[name]["default"]) for name in published.SETTINGS} == published.SETTINGS
    of_no_matter = {
        *(name for name in rules if name.startswith(("network.dit.", "network.mlp."))),  # of other networks
        "formulation.sampling_steps",
        *(f"training.{key}" for key in ("ema_decay", "precision", "gradient_clip", "accumulate")),
        *(f"training.{key}" for key in ("schedule_floor", "time_location", "time_scale")),  # of options that are off
    }
    assert set(rules) == {*published.SETTINGS, *of_no_matter}


def test_score_thresholds_belong_to_the_sscd_score() -> None:
    runs = paper_runs(train_size=[2048, 16384], batch_size=128)
    scores = published.onsets(runs, "train_size", "sscd_score", 0.05, "rectified_flow")
    assert [(number.value, number.bound) for number in scores] == [(9.9e3, "exact"), (7e4, "more than")]
    scores = published.onsets(runs, "train_size", "sscd_score", 0.5, "rectified_flow")
    assert [number.value for number in scores] == [3.0e4]
    assert Point(2048, 92_670_610, 128, 1e-4).is_at(runs.iloc[0])


def test_the_peak_that_the_other_half_tells_has_no_luck_in_it() -> None:
    """Eight evaluations of one expected value: the least of eight is low, what the other half says of it is not."""
    source, steps = np.random.default_rng(0), 2 ** np.arange(8)
    z = norm.ppf(0.975)

    def half() -> pd.DataFrame:
        value = 1 + 0.2 * source.normal(size=8)
        return pd.DataFrame({"step": steps, "value": value, "ci_low": value - 0.2 * z, "ci_high": value + 0.2 * z})

    naive, told, covered = [], [], 0
    for _ in range(400):
        first, second = half(), half()
        naive.append(((first["value"] + second["value"]) / 2).min())
        peak = told_by_the_other_half(first, second, math.inf)
        told.append(peak.value)
        covered += peak.ci_low <= 1 <= peak.ci_high
    assert np.mean(naive) < 0.85
    assert np.mean(told) == pytest.approx(1, abs=4 * np.std(told) / 20)
    assert covered >= 372  # of 400, 380 expected


def test_it_is_that_of_the_evaluation_that_is_best_by_far_and_none_after_the_onset() -> None:
    half = pd.DataFrame({"step": [1, 2, 4], "value": [5, 1, 0.1], "ci_low": [4, 0.4, 0], "ci_high": [6, 1.8, 1]})
    peak = told_by_the_other_half(half, half, 3)
    assert (peak.step, peak.value) == (2, 1.0)
    assert (peak.ci_low, peak.ci_high) == pytest.approx((0.4, 1.8))
    assert math.isnan(told_by_the_other_half(half, half, 0.5).value)
