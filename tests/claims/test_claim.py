from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memsweep.claims.claim import NOT_TESTABLE, REFUTED, SUPPORTED, UNDECIDED, Claim, Evidence, verdicts

ANYWHERE = st.floats(-10, 10)


def claim(low: float = -math.inf, high: float = math.inf, outside: bool = False, **found: Evidence) -> Claim:
    return Claim("c", "paper", "It is so.", "k", tuple(found) or ("a",), lambda _, way: found[way], low, high, outside)


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((0.9, 1.1), SUPPORTED),
        ((0.8, 1.2), SUPPORTED),
        ((0.7, 1.1), UNDECIDED),
        ((1.3, 1.5), REFUTED),
        ((0.1, 0.7), REFUTED),
        ((0.1, 3), UNDECIDED),
        ((-math.inf, math.inf), UNDECIDED),
    ],
)
def test_the_interval_decides(interval: tuple[float, float], verdict: str) -> None:
    assert claim(0.8, 1.2).verdict(Evidence(1.0, *interval, 5)) == verdict


@given(low=ANYWHERE, width=st.floats(0, 5), centre=ANYWHERE, half=st.floats(0, 5))
def test_outside_of_a_range_is_the_opposite_of_inside(low: float, width: float, centre: float, half: float) -> None:
    found = Evidence(centre, centre - half, centre + half, 3)
    opposite = {SUPPORTED: REFUTED, REFUTED: SUPPORTED, UNDECIDED: UNDECIDED}
    inside, outside = (claim(low, low + width, outside).verdict(found) for outside in (False, True))
    assert outside == opposite[inside]


def test_without_an_estimate_nothing_is_said() -> None:
    assert claim(low=0).verdict(Evidence(lacking="everything")) == NOT_TESTABLE
    assert math.isnan(claim(low=0).needed(Evidence(lacking="everything")))


def test_a_claim_without_truth_in_it_is_seldom_supported() -> None:
    """At the edge of its range half of what an interval leaves out."""
    source, runs, draws = np.random.default_rng(0), 9, 4000
    values = source.normal(0, 1, (draws, runs))
    means, errors = values.mean(axis=1), values.std(axis=1, ddof=1) / math.sqrt(runs)
    margins = 2.306 * errors  # Student's quantile at 8 degrees of freedom
    rows = zip(means, means - margins, means + margins, strict=True)
    verdicts = [claim(low=0).verdict(Evidence(*row, runs)) for row in rows]
    assert verdicts.count(SUPPORTED) / draws == pytest.approx(0.025, abs=0.008)
    assert verdicts.count(REFUTED) / draws == pytest.approx(0.025, abs=0.008)


@given(centre=st.floats(0.05, 5), half=st.floats(0.01, 9), runs=st.integers(2, 50))
def test_as_many_more_runs_as_needed_decide(centre: float, half: float, runs: int) -> None:
    found = Evidence(centre, centre - half, centre + half, runs)
    needed = claim(low=0).needed(found)
    if half <= centre:
        assert math.isnan(needed)
        return
    narrowed = half * math.sqrt(runs / (runs + needed))
    assert claim(low=0).verdict(Evidence(centre, centre - narrowed, centre + narrowed)) == SUPPORTED or (
        narrowed == pytest.approx(centre, rel=1e-9)
    )
    if needed > 1:
        wide = half * math.sqrt(runs / (runs + needed - 1))
        assert wide > centre * (1 - 1e-9)


def test_a_claim_at_its_edge_needs_what_no_number_is() -> None:
    assert math.isnan(claim(low=0).needed(Evidence(0.0, -1, 1, 5)))
    assert math.isnan(claim(low=0).needed(Evidence(1.0, -math.inf, math.inf, 5)))


def test_the_first_way_that_a_study_has_decides_and_the_others_are_counted() -> None:
    yes, no, nothing = Evidence(2.0, 1.0, 3.0, 7), Evidence(-2.0, -3.0, -1.0, 8), Evidence(lacking="images")
    row = verdicts([claim(low=0, first=nothing, second=yes, third=no, fourth=yes)], {}).iloc[0]
    assert (row["primary"], row["verdict"], row["runs"]) == ("second", SUPPORTED, 7)
    assert (row["definitions_agreeing"], row["definitions"]) == (2, 3)
    assert pd.isna(row["needed"])
    assert row["lacking"] is None


def test_a_study_without_any_way_says_what_it_lacks() -> None:
    row = verdicts([claim(low=0, first=Evidence(lacking="images"), second=Evidence(lacking="runs"))], {}).iloc[0]
    assert (row["verdict"], row["lacking"], row["definitions"]) == (NOT_TESTABLE, "images", 0)
