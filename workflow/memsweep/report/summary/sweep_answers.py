"""What a sweep found, in sentences: when copying starts, how that scales, what comes before, and what is reached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from . import amounts, words
from .passages import Passage
from .sweep_course import bias_before_copying, bias_first, departures, fidelity, rate, typical_first
from .sweep_facts import Facts
from .sweep_onsets import along_axis, definitions_apart, exponents, started

# Points of the grid that are named where runs diverged
NAMED = 3


def sweep_passages(study: Any, tables: Mapping[str, pd.DataFrame]) -> list[Passage]:
    """The passages on a sweep; ``tables`` by name, those that there are."""
    facts = Facts.of(study, tables)
    first, others = facts.swept[:1], facts.swept[1:]
    short = [started(facts), *(along_axis(facts, axis) for axis in first), bias_first(facts), *troubles(facts)]
    return [
        Passage("In short", _said(short)),
        Passage("Along the other axes", _said(along_axis(facts, axis) for axis in others)),
        Passage("Under every definition", _said([definitions_apart(facts)]), exponents(facts)),
        Passage("Before copying", _said([*departures(facts), bias_before_copying(facts)])),
        Passage("Fidelity, and the rate of copying", _said([*fidelity(facts), rate(facts)])),
        Passage("Which images are copied first", _said(typical_first(facts))),
    ]


def _said(sentences: Iterable[str]) -> list[str]:
    return [sentence for sentence in sentences if sentence]


def troubles(facts: Facts) -> list[str]:
    """Runs that diverged, and where; a study of one run."""
    runs, told = facts.runs, []
    diverged = runs[runs["status"] == "diverged"]
    if len(diverged):
        some = f"{len(diverged):,} of {amounts.counted(len(runs), 'run')} diverged{_places(facts, diverged)}"
        told.append(f"{some}: their losses are not finite from some step on, where their curves and onsets end.")
    if len(runs) == 1:
        told.append("One run has no exponent: sweep an axis (grid.products).")
    return told


def _places(facts: Facts, runs: pd.DataFrame) -> str:
    """The points of the grid at which these runs are: ``, at N = 16, η = 0.1 or N = 32, η = 0.1``."""
    points = (_point(facts, run) for run in runs.to_dict("records"))
    places = [place for place in dict.fromkeys(points) if place]
    if len(places) > NAMED:
        places = [*places[:NAMED], f"{len(places) - NAMED} other points of the grid"]
    return f", at {amounts.listed(places, 'or')}" if places else ""


def _point(facts: Facts, run: Mapping[Any, Any]) -> str:
    return ", ".join(f"{words.symbol(axis)} = {words.cell(axis, run)}" for axis in facts.swept)
