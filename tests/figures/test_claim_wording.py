"""What a claim asks for, in words, is where its verdict is *supported*; and how its numbers are written."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from memsweep.claims import feature_learning, mixed_cumulant, sweep
from memsweep.claims.claim import SUPPORTED, Claim, Evidence
from memsweep.figures import claim_wording
from memsweep.figures.wording import MINUS, TIMES

EXPERIMENT = {"name": "both", "beta_u": 1, "beta_v": 8, "correlation": 1}


class Nothing(dict[str, Any]):
    """Tables of feature learning without rows, of which claims take the ways to measure them."""

    def __missing__(self, name: str) -> Any:
        return pd.DataFrame(columns=["objective", "measure", "time", "feature", "n_snr2"]).astype({"time": float})


def declared() -> Iterator[Claim]:
    """Every claim of every kind of study."""
    settings = {"confidence": 0.95, "experiments": [EXPERIMENT]}
    for kind in (sweep, mixed_cumulant, feature_learning):
        yield from kind.claims(settings, Nothing())  # type: ignore[arg-type]


def asked(claim: Claim) -> str:
    return claim_wording.asked({"margin_low": claim.low, "margin_high": claim.high, "outside": claim.outside})


def holds(words: str, value: float) -> bool:
    """Whether a number is what the words ask for, read from the words alone."""
    edges = [float(edge.replace(MINUS, "-")) for edge in re.findall(rf"{MINUS}?\d+(?:\.\d+)?", words)]
    match re.sub(rf"{MINUS}?\d+(?:\.\d+)?", "_", words):
        case "at least _":
            return value >= edges[0]
        case "at most _":
            return value <= edges[0]
        case "above _":
            return value > edges[0]
        case "below _":
            return value < edges[0]
        case "exactly _":
            return value == edges[0]
        case "other than _":
            return value != edges[0]
        case "between _ and _":
            return edges[0] <= value <= edges[1]
        case "below _ or above _":
            return value < edges[0] or value > edges[1]
    raise AssertionError(words)


DECLARED = {claim.name: claim for claim in declared()}


def test_the_claims_of_all_kinds_are_there() -> None:
    assert len(DECLARED) > 30
    assert [name for name, claim in DECLARED.items() if not asked(claim)] == ["no pattern in noise levels"]


@pytest.mark.parametrize("name", [name for name, claim in DECLARED.items() if asked(claim)])
def test_what_a_claim_asks_for_is_where_it_is_supported(name: str) -> None:
    claim = DECLARED[name]
    edges = [edge for edge in (claim.low, claim.high) if math.isfinite(edge)]
    for value in [*edges, *(edge + away for edge in edges for away in (-3, -0.05, 0.05, 3))]:
        found = Evidence(value, value, value, 9)
        # Edges are written as people write them: 1 − 0.2 is 0.8
        written = round(value, 12)
        assert holds(asked(claim), written) == (claim.verdict(found) == SUPPORTED), (asked(claim), value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("later with more images", "at least 0"),
        ("inverse to B", f"between {MINUS}1.2 and {MINUS}0.8"),
        ("collapse in N", "at most 2"),
        ("collapse in the learning rate", "above 2"),
        ("k* of the covariance", "exactly 2"),
        ("classification jumps", "at least 1.2"),
    ],
)
def test_ranges_are_said_as_people_say_them(name: str, words: str) -> None:
    assert asked(DECLARED[name]) == words


TENTHS = st.integers(-50, 50).map(lambda tenths: tenths / 10)


@given(low=TENTHS | st.just(-math.inf), high=TENTHS | st.just(math.inf), outside=st.booleans(), value=TENTHS)
@example(low=2.0, high=2.0, outside=True, value=2.0)
def test_words_and_verdicts_agree_for_any_range(low: float, high: float, outside: bool, value: float) -> None:
    low, high = min(low, high), max(low, high)
    claim = Claim("c", "paper", "It is so.", "k", ("a",), lambda _, way: Evidence(), low, high, outside)
    if math.isinf(low) and math.isinf(high):
        assert asked(claim) == ""
    else:
        assert holds(asked(claim), value) == (claim.verdict(Evidence(value, value, value, 1)) == SUPPORTED)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1.7, "1.70"),
        (-0.12079, f"{MINUS}0.121"),
        (50.764, "50.8"),
        (123.4, "123"),
        (1234.0, "1,230"),
        (0.000971, "0.000971"),
        (9.714e-5, f"9.71 {TIMES} 10⁻⁵"),
        (-2e7, f"{MINUS}2.00 {TIMES} 10⁷"),
        (0.0, "0"),
        (math.inf, "∞"),
        (-math.inf, f"{MINUS}∞"),
        (math.nan, "?"),
    ],
)
def test_numbers_have_three_digits(value: float, written: str) -> None:
    assert claim_wording.number(value) == written


@pytest.mark.parametrize(
    ("alike", "ways", "said"),
    [
        (1, 1, "measured in one way"),
        (2, 2, "both ways agree"),
        (1, 2, "1 of 2 ways agree"),
        (5, 5, "all 5 ways agree"),
        (3, 16, "3 of 16 ways agree"),
    ],
)
def test_ways_that_agree_are_counted(alike: int, ways: int, said: str) -> None:
    assert claim_wording.agreeing({"definitions": ways, "definitions_agreeing": alike}) == said


@pytest.mark.parametrize(
    ("needed", "unit", "said"),
    [
        (1, "run", "about 1 more run would decide"),
        (10_456, "replica", "about 10,000 more replicas would decide"),
        (None, "cell", "at its edge: no number of cells would decide"),
    ],
)
def test_what_would_decide_is_counted_in_what_the_study_has(needed: int | None, unit: str, said: str) -> None:
    assert claim_wording.deciding({"needed": needed, "unit": unit}) == said


def test_a_number_without_scatter_has_no_interval() -> None:
    assert claim_wording.found({"estimate": 2.0, "ci_low": 2.0, "ci_high": 2.0}) == "2.00, without scatter"
    assert claim_wording.found({"estimate": 1.0, "ci_low": 0.804, "ci_high": 1.0}) == "1.00 [0.804, 1.00]"
