"""The claims of theory on tables that support them, refute them and leave them open."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest
from memsweep.claims import feature_learning, mixed_cumulant
from memsweep.claims.claim import NOT_TESTABLE, REFUTED, SUPPORTED, UNDECIDED, verdicts

EXPERIMENTS = [
    {"name": "independent", "beta_u": 1, "beta_v": 8, "correlation": 0},
    {"name": "correlated", "beta_u": 1, "beta_v": 8, "correlation": 1},
    {"name": "alone", "beta_u": 0, "beta_v": 8, "correlation": 0},
]
SETTINGS = {"experiments": EXPERIMENTS, "confidence": 0.95}
# How far numbers are moved from what the paper says, and how wide their intervals are
CASES = {SUPPORTED: (0.0, 0.1), REFUTED: (-0.9, 0.1), UNDECIDED: (0.0, 5.0)}


def numbers(value: float, verdict: str, name: str) -> dict[str, float]:
    away, width = CASES[verdict]
    return {name: value + away, "ci_low": value + away - width, "ci_high": value + away + width}


def cumulant_tables(verdict: str) -> dict[str, pd.DataFrame]:
    exponents = [
        {"experiment": experiment, "spike": spike, "law": law, "replicas": 40, **numbers(value, verdict, "exponent")}
        for experiment, spike, law, value in (
            ("independent", "u", "power_log", 1.0),
            ("correlated", "v", "power_log", 1.0),
            ("alone", "v", "power", 3.0),
        )
    ]
    # Orders are exact: they are there and right, there and wrong, or not there
    shift = {SUPPORTED: 0, REFUTED: 1, UNDECIDED: math.nan}[verdict]
    orders = [
        {
            "experiment": name,
            "spike": spike,
            "other_learnt": learnt,
            "order": order + shift,
            "sample_exponent": n + shift,
        }
        for name, spike, learnt, order, n in (
            ("independent", "u", False, 2, 1.0),
            ("alone", "v", False, 4, 3.0),
            ("correlated", "v", True, 2, 1.0),
        )
    ]
    first = {SUPPORTED: 20, REFUTED: 0, UNDECIDED: 10}[verdict]
    recoveries = [
        {
            "experiment": "independent",
            "dimension": 8,
            "replica": replica,
            "spike": spike,
            "censored": False,
            "samples": n,
        }
        for replica in range(20)
        for spike, n in (("u", 5.0), ("v", 9.0 if replica < first else 2.0))
    ]
    return {
        "recovery_exponents": pd.DataFrame(exponents),
        "information_exponents": pd.DataFrame(orders),
        "recoveries": pd.DataFrame(recoveries),
    }


@pytest.mark.parametrize("verdict", [SUPPORTED, REFUTED, UNDECIDED])
def test_claims_on_the_mixed_cumulant_model(verdict: str) -> None:
    tables: Any = cumulant_tables(verdict)
    found = verdicts(mixed_cumulant.claims(SETTINGS, tables), tables).set_index("claim")["verdict"]
    exact = {"k* of the covariance", "k* of the fourth cumulant", "once the covariance is learnt"}
    assert set(found[~found.index.isin(exact)]) == {verdict}
    assert set(found[found.index.isin(exact)]) == {NOT_TESTABLE if verdict == UNDECIDED else verdict}


def test_v_that_is_never_recovered_comes_after_u() -> None:
    tables: Any = cumulant_tables(REFUTED)
    rows = tables["recoveries"]
    tables["recoveries"] = rows.assign(censored=rows["spike"] == "v")
    found = verdicts(mixed_cumulant.claims(SETTINGS, tables), tables).set_index("claim").loc["easy before hard"]
    assert (found["verdict"], found["runs"], found["estimate"]) == (SUPPORTED, 20, 1.0)


def test_a_study_of_one_experiment_cannot_speak_to_the_others() -> None:
    tables: Any = cumulant_tables(SUPPORTED)
    alone = {**SETTINGS, "experiments": EXPERIMENTS[2:]}
    found = verdicts(mixed_cumulant.claims(alone, tables), tables).set_index("claim")
    assert (found["verdict"] == SUPPORTED).sum() == 2
    assert found.loc["covariance with d samples", "lacking"] == "no experiment of this kind recovers u"


def feature_tables(verdict: str) -> dict[str, pd.DataFrame]:
    def fit(objective: str, quantity: str, value: float, time: float) -> dict[str, Any]:
        of = {"objective": objective, "quantity": quantity, "time": time, "measure": "mean", "cells": 9}
        return {**of, **numbers(value, verdict, "value")}

    quantities = ("slope", "slope_n", "slope_snr2")
    fits = [fit("diffusion", quantity, 1.0, 0.2) for quantity in quantities] + [
        fit("classification", "slope", 1.8, 0.0)
    ]
    sign = {SUPPORTED: 1.0, REFUTED: -1.0, UNDECIDED: 0.0}[verdict]
    growth = [
        {"objective": objective, "quantity": "log_ratio", "time": 0.2, "measure": "mean", "feature": "signal"}
        | {"n_snr2": 0.75, "seeds": 5, "value": of * sign, "ci_low": of * sign - 0.5, "ci_high": of * sign + 0.5}
        for objective, of in (("diffusion", 1.0), ("classification", -1.0))
    ]
    cells = [
        {"objective": "classification", "measure": "mean", "n_snr2": n, "seeds": 5}
        | {"ratio": 1 + of * sign, "ci_low": 0.9 + of * sign, "ci_high": 1.1 + of * sign}
        for n, of in ((0.1, -0.5), (9.0, 0.5))
    ]
    return {"phase_fits": pd.DataFrame(fits), "growth": pd.DataFrame(growth), "phase": pd.DataFrame(cells)}


@pytest.mark.parametrize("verdict", [SUPPORTED, REFUTED, UNDECIDED])
def test_claims_on_feature_learning(verdict: str) -> None:
    tables: Any = feature_tables(verdict)
    found = verdicts(feature_learning.claims({}, tables), tables)
    assert set(found["verdict"]) == {verdict}, found[["claim", "estimate", "ci_low", "ci_high", "verdict"]]


def test_mean_alignments_decide_before_the_largest() -> None:
    tables: Any = feature_tables(SUPPORTED)
    fits = tables["phase_fits"]
    tables["phase_fits"] = pd.concat([fits.assign(measure="max", value=0.3, ci_low=0.2, ci_high=0.4), fits])
    found = verdicts(feature_learning.claims({}, tables), tables).iloc[0]
    assert found["primary"] == "mean alignment, t = 0.2"
    assert (found["definitions_agreeing"], found["definitions"]) == (1, 2)
