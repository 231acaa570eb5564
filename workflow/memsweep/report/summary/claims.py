"""What the study says of published claims, where it holds a table of them: a card for each, with its verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ...claims.claim import NOT_TESTABLE, UNDECIDED, VERDICTS
from ...figures import claim_wording


@dataclass(frozen=True)
class Card:
    """A claim on the page: what it says, whose it is, its verdict, and what that rests on, in sentences."""

    statement: str
    source: str
    verdict: str
    evidence: list[str]


def cards(claims: pd.DataFrame) -> list[Card]:
    """The claims of the table ``claims``, those that the study decides first."""
    rows = sorted(claims.to_dict("records"), key=lambda row: VERDICTS.index(row["verdict"]))
    return [Card(row["statement"], row["source"], row["verdict"], _evidence(row)) for row in rows]


def _evidence(row: Mapping[Any, Any]) -> list[str]:
    if row["verdict"] == NOT_TESTABLE:
        return [f"It cannot be tested here: {row['lacking']}.", *_published(row)]
    measure, way = _capitalised(row["measure"]), row["primary"]
    told = [
        f"{measure} (way: {way}): {claim_wording.found(row)}, of {claim_wording.behind(row)}; the claim holds "
        f"where that is {claim_wording.asked(row)}.",
        *_published(row),
        f"{_capitalised(claim_wording.agreeing(row))}.",
    ]
    return [*told, f"{_capitalised(claim_wording.deciding(row))}."] if row["verdict"] == UNDECIDED else told


def _published(row: Mapping[Any, Any]) -> list[str]:
    known = math.isfinite(row["published"])
    return [f"Published: {claim_wording.number(row['published'])}."] if known else []


def _capitalised(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
