"""Each claim on data that support it, refute it and leave it open, in the tables of a study."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from memsweep.claims.claim import REFUTED, SUPPORTED, UNDECIDED, Claim, verdicts
from memsweep.claims.sweep import claims

CONFIDENCE = 0.95
CLAIMS = {claim.name: claim for claim in claims({"confidence": CONFIDENCE}, {})}
Tables = dict[str, pd.DataFrame]


def interval(claim: Claim, verdict: str) -> tuple[float, float, float]:
    """A number with an interval on which the verdict has to be this one."""
    low, high = max(claim.low, -10.0), min(claim.high, 10.0)
    width = high - low
    inside = (low + width / 2, low + width / 4, high - width / 4)
    beyond = high if math.isfinite(claim.high) else low
    away = width if math.isfinite(claim.high) else -width
    outside = (beyond + away, beyond + away / 2, beyond + 2 * away)
    straddling = (beyond, beyond - width / 2, beyond + width / 2)
    if claim.outside:
        inside, outside = outside, inside
    found = {SUPPORTED: inside, REFUTED: outside, UNDECIDED: straddling}[verdict]
    return found[0], min(found), max(found)


def row(numbers: tuple[float, float, float], value: str, **of: Any) -> pd.DataFrame:
    return pd.DataFrame([{**of, value: numbers[0], "ci_low": numbers[1], "ci_high": numbers[2], "runs": 9}])


def swept(term: str) -> pd.DataFrame:
    """Runs that differ on one axis."""
    axes = ("train_size", "parameters", "batch_size", "learning_rate")
    return pd.DataFrame({axis: [1.0, 2.0 if axis == term else 1.0] for axis in axes})


def law(claim: Claim, way: str, verdict: str) -> Tables:
    term = claim.evidence.keywords["term"]
    table = row(interval(claim, verdict), "estimate", definition=way, term=term, order=1, reason=None)
    return {"law": pd.concat([table, table.assign(order=2, estimate=0.0)]), "runs": swept(term)}


def trend(claim: Claim, way: str, verdict: str) -> Tables:
    metric, space = way.split(" in ")
    of = {"metric": metric, "space": space, "definition": "test_loss_minimum", "term": claim.evidence.keywords["term"]}
    table = row(interval(claim, verdict), "exponent", **of)
    # That up to another onset decides nothing
    rows = pd.concat([table.assign(definition="f_mem", exponent=-5.0), table])
    return {"fidelity_trends": rows, "runs": swept(of["term"])}


def rate(claim: Claim, way: str, verdict: str) -> Tables:
    term = claim.evidence.keywords["term"]
    return {"rate_trends": row(interval(claim, verdict), "trend", metric=way, term=term), "runs": swept(term)}


def collapse(claim: Claim, way: str, verdict: str) -> Tables:
    table = row(interval(claim, verdict), "ratio", curve=way, axis=claim.evidence.keywords["axis"], exponents="paper")
    table = table.rename(columns={"ci_low": "ratio_ci_low", "ci_high": "ratio_ci_high"})
    curves = pd.concat([table.assign(exponents="fitted", ratio=1.0), table])
    return {"collapse": curves, "runs": swept(claim.evidence.keywords["axis"])}


def distances(claim: Claim, way: str, verdict: str) -> Tables:
    """Two training sets, whose distances to held-out images are by a factor those to training ones."""
    factors = {SUPPORTED: (1.01, 1.02), REFUTED: (2.0, 2.01), UNDECIDED: (1.0, 2.0)}[verdict]
    metric, space = way.split(" in ")
    rows = [
        # Before the model copies, and of another space, nothing counts
        {"run_id": run, "step": step, "metric": metric, "space": space, "reference": reference, "value": value}
        for run, factor in zip("ab", factors, strict=True)
        for step in (1, 10, 100)
        for reference, value in (("train", 3.0), ("test", 3.0 * (factor if step >= 10 else 50)))
    ]
    onsets = pd.DataFrame({"run_id": list("ab"), "definition": "f_mem", "step": 10.0, "censored": False})
    runs = pd.DataFrame({"run_id": list("ab"), "train_size": 8, "subset": [0, 1]})
    return {"metrics": pd.DataFrame(rows), "onsets": onsets, "runs": runs}


def shares(verdict: str) -> tuple[int, int]:
    return {SUPPORTED: (10, 0), REFUTED: (0, 10), UNDECIDED: (5, 5)}[verdict]


def descents(claim: Claim, way: str, verdict: str) -> Tables:
    yes, no = shares(verdict)
    metric, space = way.split(" in ")
    of = {"metric": metric, "space": space, "split": claim.evidence.keywords["split"]}
    return {"descents": pd.DataFrame({**of, "verdict": ["yes"] * yes + ["no"] * no + ["undecided"] * 50})}


def departures(claim: Claim, way: str, verdict: str) -> Tables:
    yes, no = shares(verdict)
    sides = {"censored": [False] * (yes + no), "left_censored": [False] * yes + [True] * no}
    return {"onsets": pd.DataFrame({"definition": way, **sides})}


def leads(claim: Claim, way: str, verdict: str) -> Tables:
    table = row(interval(claim, verdict), "ratio", definition=way, train_size=math.nan)
    return {"leads": pd.concat([table.assign(train_size=16.0, ratio=0.1), table])}


MADE: dict[str, Callable[[Claim, str, str], Tables]] = {
    "onset_exponent": law,
    "fidelity_exponent": trend,
    "rate_trend": rate,
    "left_over": collapse,
    "splits_apart": distances,
    "descents": descents,
    "departs": departures,
    "lead_of_bias": leads,
}


def maker(claim: Claim) -> Callable[[Claim, str, str], Tables]:
    return MADE[getattr(claim.evidence, "func", claim.evidence).__name__]


def decidable() -> list[str]:
    return [name for name in CLAIMS if name != "no pattern in noise levels"]


@pytest.mark.parametrize("verdict", [SUPPORTED, REFUTED, UNDECIDED])
@pytest.mark.parametrize("name", decidable())
def test_each_claim_is_supported_refuted_and_left_open(name: str, verdict: str) -> None:
    claim = CLAIMS[name]
    for way in claim.ways:
        found = claim.evidence(maker(claim)(claim, way, verdict), way)
        assert claim.verdict(found) == verdict, (way, found)
        assert found.runs > 0


@pytest.mark.parametrize("name", decidable())
def test_a_study_that_cannot_speak_to_a_claim_says_what_it_lacks(name: str) -> None:
    claim = CLAIMS[name]
    made = maker(claim)(claim, claim.ways[0], SUPPORTED)
    nothing = {table: rows.head(0) for table, rows in made.items()}
    found = verdicts([claim], nothing).iloc[0]
    assert found["verdict"] == "not testable"
    assert len(found["lacking"]) > 10


def test_what_is_lacking_is_of_a_way_that_the_study_has() -> None:
    claim = CLAIMS["lower rate with more images"]
    tables = rate(claim, "f_mem", SUPPORTED)
    tables["rate_trends"] = tables["rate_trends"].assign(trend=math.nan, runs=1)
    found = verdicts([claim], tables).iloc[0]
    assert (found["primary"], found["lacking"]) == ("f_mem", "too few runs, 1, reach both shares of copies")


def test_no_claim_decides_by_what_another_axis_has() -> None:
    claim = CLAIMS["inverse to B"]
    tables = law(CLAIMS["later with more images"], "f_mem", SUPPORTED)
    found = claim.evidence(tables, "f_mem")
    assert (math.isnan(found.estimate), found.lacking) == (True, "the batch size B is not swept")


def test_one_training_set_says_nothing_of_others() -> None:
    claim = CLAIMS["both splits alike"]
    tables = distances(claim, "frechet in pixels", SUPPORTED)
    alone = {**tables, "runs": tables["runs"].assign(subset=0)}
    assert claim.evidence(alone, "frechet in pixels").lacking == "one training set copies: two are needed"


def test_the_mean_over_sets_is_students() -> None:
    claim = CLAIMS["both splits alike"]
    found = claim.evidence(distances(claim, "frechet in pixels", UNDECIDED), "frechet in pixels")
    logs = np.log10([1.0, 2.0])
    margin = 12.7062 * logs.std(ddof=1) / math.sqrt(2)  # Student's quantile at one degree of freedom
    assert found.estimate == pytest.approx(logs.mean())
    assert found.ci_high - found.estimate == pytest.approx(margin, rel=1e-5)
