"""Sentences on studies of theory say what their tables hold, beside what is predicted."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest
from helpers.sweep_tables import table
from memsweep.report.summary.feature_answers import feature_passages
from memsweep.report.summary.recovery_answers import recovery_passages

NAN = float("nan")


def law(
    name: str, exponent: float, low: float, high: float, predicted: float = 1.0, censored: int = 0
) -> dict[str, Any]:
    of = {"experiment": "both", "spike": "u", "law": name, "exponent": exponent, "ci_low": low, "ci_high": high}
    return {**of, "predicted": predicted, "dimensions": 5, "replicas": 32, "censored_replicas": censored}


def of_units(*rows: dict[str, Any], **tables: pd.DataFrame) -> str:
    passages = recovery_passages(None, {"recovery_exponents": table("recovery_exponents", rows), **tables})
    (sentence,) = passages[0].sentences
    return sentence


def test_a_spike_has_its_exponent_and_the_predicted_one() -> None:
    said = of_units(law("power", 3.1, 2.8, 3.4, predicted=3.0, censored=2))
    assert "takes samples n ∝ d^3.10 [2.80, 3.40] (32 replicas, 2 of them censored, 5 dimensions)" in said
    assert said.endswith("the predicted power 3 lies within that interval.")
    assert of_units(law("power", 3.1, 3.05, 3.4, predicted=3.0)).endswith(
        "the predicted power 3 lies outside that interval."
    )


def test_where_d_log_d_is_predicted_its_law_is_told() -> None:
    said = of_units(law("power", 1.3, 1.2, 1.4), law("power_log", 1.02, 0.9, 1.1))
    assert "n ∝ (log d + c) d^1.02 [0.90, 1.10]" in said
    assert "1.30" not in said


def test_samples_in_the_largest_dimension_stand_beside() -> None:
    times = [
        {
            "experiment": "both",
            "dimension": d,
            "spike": "u",
            "median": 100.0 * d,
            "ci_low": 90.0 * d,
            "ci_high": math.inf,
        }
        for d in (64, 32)
    ]
    said = of_units(law("power", 1.0, 0.9, 1.1), recovery_times=table("recovery_times", times))
    assert "6,400 [5,760, ∞] in the median at d = 64" in said


@pytest.mark.parametrize(("predicted", "said"), [(math.inf, "ended, as predicted."), (3.0, "ended.")])
def test_a_spike_that_none_recovers_is_said_so(predicted: float, said: str) -> None:
    sentence = of_units(law("power", NAN, NAN, NAN, predicted, censored=32))
    assert "was recovered by none of 32 replicas" in sentence
    assert sentence.endswith(said)


def test_too_few_replicas_are_said_to_be() -> None:
    assert of_units(law("power", NAN, NAN, NAN, censored=20)).endswith("which are too few for an exponent.")


@pytest.mark.parametrize(
    ("exponent", "censored", "said"),
    [
        (
            2.2,
            1,
            "more than pairs of coordinates after samples n ∝ d^2.20 [2.00, 2.40] (8 replicas, 1 of them censored).",
        ),
        (NAN, 2, "cannot be said (8 replicas, 2 of them censored)."),
        (NAN, 8, "none of 8 replicas used more than pairs of coordinates."),
    ],
)
def test_networks_leave_pairs_of_coordinates(exponent: float, censored: int, said: str) -> None:
    row = {"network": "both", "exponent": exponent, "ci_low": exponent - 0.2, "ci_high": exponent + 0.2}
    networks = table("network_exponents", [{**row, "replicas": 8, "censored_replicas": censored}])
    (sentence,) = recovery_passages(None, {"network_exponents": networks})[1].sentences
    assert sentence.endswith(said)


def test_without_tables_nothing_is_said() -> None:
    for passages in (recovery_passages(None, {}), feature_passages(None, {})):
        assert not any(passage.sentences or passage.grid for passage in passages)


def phase(quantity: str, value: float, low: float, high: float, predicted: float = NAN) -> dict[str, Any]:
    of = {"objective": "diffusion", "time": 0.2, "measure": "mean", "quantity": quantity, "value": value}
    return {**of, "ci_low": low, "ci_high": high, "predicted": predicted, "cells": 12}


def test_alignments_go_with_n_snr() -> None:
    fits = table("phase_fits", [phase("slope", 0.97, 0.9, 1.04, 1.0), phase("crossing", 2.13, 1.9, 2.4)])
    (said,) = feature_passages(None, {"phase_fits": fits})[0].sentences
    assert said == (
        "For diffusion at t = 0.2, mean alignment with the signal over that with the noise goes as (n SNR^2)^0.97 "
        "[0.90, 1.04]; the predicted power 1 lies within that interval; the ratio crosses 1 at n SNR^2 = 2.1 "
        "[1.9, 2.4] (12 cells of n and SNR)."
    )
    unknown = table("phase_fits", [phase("slope", NAN, NAN, NAN)])
    assert "cannot be fitted" in feature_passages(None, {"phase_fits": unknown})[0].sentences[0]


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.2, 0.9, "grows linearly"), (-0.9, -0.2, "grows exponentially"), (-0.2, 0.9, "is undecided")],
)
def test_growth_is_linear_exponential_or_undecided(low: float, high: float, said: str) -> None:
    row = {"objective": "classification", "time": 0.0, "n_snr2": 5.0, "feature": "signal", "measure": "mean"}
    growth = table(
        "growth", [{**row, "quantity": "log_ratio", "value": 0.3, "ci_low": low, "ci_high": high, "seeds": 3}]
    )
    (sentence,) = feature_passages(None, {"growth": growth})[1].sentences
    assert said in sentence


def test_objectives_are_set_beside_each_other_for_each_planted_training_set() -> None:
    rows = [
        {"objective": objective, "train_size": 64, "agreement": 0.9, "quantity": "balance", "value": value}
        | {"ci_low": value - 0.1, "ci_high": value + 0.1}
        for objective, value in (("classification", 0.2), ("diffusion", 0.6))
    ]
    (said,) = feature_passages(None, {"feature_balance": table("feature_balance", rows)})[2].sentences
    assert said.startswith("With 64 images, in 90 % of which both planted features agree")
    assert said.endswith("0.20 [0.10, 0.30] after classification and 0.60 [0.50, 0.70] after diffusion.")
