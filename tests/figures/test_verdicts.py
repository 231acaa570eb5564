"""The figure of claims: what it says, and that marks lie where numbers are."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest
from memsweep.figures import verdicts
from memsweep.tables.frames import frame_of

ROW: dict[str, Any] = {
    "source": "Author et al. 2026",
    "statement": "It is so.",
    "measure": "exponent",
    "margin_low": 0.8,
    "margin_high": 1.2,
    "outside": False,
    "runs": 9,
    "unit": "run",
    "needed": pd.NA,
    "lacking": None,
    "published": math.nan,
    "definitions_agreeing": 2,
    "definitions": 3,
}


def drawn(verdict: str, estimate: float = 1.0, low: float = 0.9, high: float = 1.1, **others: Any) -> Any:
    row = {**ROW, "verdict": verdict, "estimate": estimate, "ci_low": low, "ci_high": high, **others}
    return verdicts.drawn(frame_of([row]))


def texts(figure: Any) -> list[str]:
    (ax,) = figure.axes
    return [text.get_text().replace("\N{NO-BREAK SPACE}", " ") for text in ax.texts]


def mark(figure: Any) -> float:
    """Where the estimate lies on the scale."""
    (ax,) = figure.axes
    return next(float(line.get_xdata()[0]) for line in ax.lines if line.get_marker() in ("o", "X"))


def grey(figure: Any) -> list[tuple[float, float]]:
    """Ends of where the claim holds."""
    (ax,) = figure.axes
    corners = [band.get_paths()[0].vertices[:, 0] for band in ax.collections]
    return [(float(xs.min()), float(xs.max())) for xs in corners]


def test_a_row_has_the_words_and_the_numbers() -> None:
    said = texts(drawn("undecided", 1.1, 0.7, 1.5, needed=12_345, published=0.97))
    assert said == [
        "It is so. (Author et al. 2026)",
        "exponent: between 0.8 and 1.2",
        "undecided",
        "1.10 [0.700, 1.50], published 0.970",
        "9 runs; 2 of 3 ways agree",
        "about 12,000 more runs would decide",
    ]


def test_what_no_number_of_runs_decides_says_so() -> None:
    said = " ".join(texts(drawn("undecided", 1.2, 0.7, 1.7)))
    assert said.endswith("at its edge: no number of runs would decide")


def test_what_is_not_testable_says_why_and_has_no_mark() -> None:
    figure = drawn("not testable", math.nan, math.nan, math.nan, lacking="no batch sizes")
    assert texts(figure)[2:] == ["not testable", "no batch sizes"]
    assert not grey(figure)


@pytest.mark.parametrize(
    ("estimate", "inside"), [(1.0, True), (1.19, True), (1.21, False), (-4.0, False), (30.0, False)]
)
@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize("endless", [False, True])
def test_the_mark_lies_in_the_grey_where_the_claim_holds(
    estimate: float, inside: bool, outside: bool, endless: bool
) -> None:
    low = -math.inf if endless else 0.8
    inside = inside or (endless and estimate < 1.2)
    figure = drawn("supported", estimate, estimate - 0.01, estimate + 0.01, margin_low=low, outside=outside)
    place = mark(figure)
    assert 0 < place < 1
    held = any(start <= place <= end for start, end in grey(figure))
    assert held == (inside != outside)
    assert len(grey(figure)) == (2 if outside and not endless else 1)


def test_an_endless_interval_has_arrowheads() -> None:
    (ax,) = drawn("undecided", 1.0, -math.inf, math.inf).axes
    assert {"<", ">"} <= {line.get_marker() for line in ax.lines}
