"""What the study says of published claims, where it holds a table of them: a card for each, with its verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ...claims.claim import VERDICTS
from . import amounts


@dataclass(frozen=True)
class Card:
    """A claim on the page: what it says, whose it is, its verdict, and what that rests on, in sentences."""

    statement: str
    source: str
    verdict: str
    evidence: list[str]


def cards(claims: pd.DataFrame) -> list[Card]:
    """The claims of the table ``claims``, those that the study decides first."""
    rows = sorted(claims.to_dict("records"), key=lambda row: _rank(str(row["verdict"])))
    return [Card(str(row["statement"]), _text(row["source"]), str(row["verdict"]), _evidence(row)) for row in rows]


def _rank(verdict: str) -> int:
    return VERDICTS.index(verdict) if verdict in VERDICTS else len(VERDICTS)


def _evidence(row: Mapping[Any, Any]) -> list[str]:
    told = []
    if _known(row["estimate"]):
        margin = amounts.interval(row, names=("margin_low", "margin_high"))
        asked = f"; the claim asks for a value within {margin}" if _known(row["margin_low"]) else ""
        runs = f", of {amounts.counted(int(row['runs']), 'run')}" if _known(row["runs"]) else ""
        told.append(f"Estimate {amounts.exponent(row['estimate'])} {amounts.interval(row)}{runs}{asked}.")
    if _known(row["published"]):
        told.append(f"Published: {_value(row['published'])}.")
    if _known(row["definitions_agreeing"]) and _known(row["definitions"]):
        told.append(f"{int(row['definitions_agreeing'])} of {int(row['definitions'])} definitions of the onset agree.")
    if _text(row["lacking"]):
        told.append(f"Lacking: {_text(row['lacking'])}.")
    if _known(row["needed"]):
        needed = row["needed"]
        told.append(f"Needed: {needed if isinstance(needed, str) else amounts.counted(int(needed), 'run')}.")
    return told


def _known(value: Any) -> bool:
    return not (value is None or value is pd.NA or value == "" or (isinstance(value, float) and math.isnan(value)))


def _value(value: Any) -> str:
    return amounts.exponent(value) if isinstance(value, float) else str(value)


def _text(value: Any) -> str:
    return str(value).rstrip(".") if _known(value) else ""
