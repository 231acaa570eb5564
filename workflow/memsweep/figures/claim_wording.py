"""What a row of the table ``claims`` says in words: the page and the figure of claims say it alike."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from .wording import MINUS, TIMES, counted

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def asked(row: Mapping[Any, Any]) -> str:
    """What a claim asks of the number that decides it, as a range in words: ``at least 0``, ``below 0.8 or above 1.2``.

    An edge is a part of the range, and so of none of what lies outside. Empty where no number decides.
    """
    low, high = float(row["margin_low"]), float(row["margin_high"])
    edges = [f"{edge:g}".replace("-", MINUS) for edge in (low, high)]
    below, above = math.isinf(low), math.isinf(high)
    if below and above:
        return ""
    if row["outside"]:
        if low == high:
            return f"other than {edges[0]}"
        return " or ".join([f"below {edges[0]}"] * (not below) + [f"above {edges[1]}"] * (not above))
    if below or above:
        return f"at most {edges[1]}" if below else f"at least {edges[0]}"
    return f"exactly {edges[0]}" if low == high else f"between {edges[0]} and {edges[1]}"


def found(row: Mapping[Any, Any]) -> str:
    """The number that decides with its interval: ``1.77 [1.70, 1.84]``."""
    if row["ci_low"] == row["ci_high"]:
        return f"{number(row['estimate'])}, without scatter"
    return f"{number(row['estimate'])} [{number(row['ci_low'])}, {number(row['ci_high'])}]"


def behind(row: Mapping[Any, Any]) -> str:
    """Of what the number is: ``1 run``, ``72 cells``."""
    return counted(int(row["runs"]), row["unit"])


def agreeing(row: Mapping[Any, Any]) -> str:
    """How many of the ways to measure the number come to the verdict; the one that decides is among them."""
    ways, alike = int(row["definitions"]), int(row["definitions_agreeing"])
    if ways == 1:
        return "measured in one way"
    every = "both" if ways == 2 else f"all {ways}"
    return f"{every if alike == ways else f'{alike} of {ways}'} ways agree"


def deciding(row: Mapping[Any, Any]) -> str:
    """What would decide an open claim, if the estimate stayed as it is; two digits, as more are not known."""
    if pd.isna(row["needed"]):
        return f"at its edge: no number of {row['unit']}s would decide"
    about = int(float(f"{row['needed']:.2g}"))
    return f"about {counted(about, 'more ' + row['unit'])} would decide"


def number(value: float) -> str:
    """Three digits: 0.103, −1.80, 50.8, 1,230, 9.71 × 10⁻⁵, ∞."""
    if not math.isfinite(value):
        return "?" if math.isnan(value) else f"{MINUS if value < 0 else ''}∞"
    rounded = float(f"{value:.3g}")
    if rounded == 0:
        return "0"
    if not 1e-4 <= abs(rounded) < 1e6:
        mantissa, power = f"{rounded:.2e}".split("e")
        written = f"{mantissa} {TIMES} 10{str(int(power)).translate(_RAISED)}"
    else:
        written = f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:#.3g}"
    return written.replace("-", MINUS)
