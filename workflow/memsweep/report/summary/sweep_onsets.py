"""When memorisation starts in a sweep, and how that goes with each axis, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ...figures.wording import count_label
from ...study.axes import Axis
from ...study.onsets import DEPARTURES, MEMORISATION, ONSETS, among
from . import amounts, words
from .passages import Grid
from .sweep_facts import Facts, is_seen

_BEGINS = {
    "losses": "Memorisation",
    "copies": "Copying",
    "similarity": "Copying",
    "pairs": "Bias",
    "surrogate": "The departure",
}
RAISE = 3  # half a decade: the least by which a budget is worth raising where nothing has begun


def started(facts: Facts) -> str:
    """In how many runs the onset was seen, and between which steps; what to do where it was not."""
    rows = facts.onsets(facts.onset)
    runs, late, early = len(rows), int(rows["censored"].sum()), int(rows["left_censored"].sum())
    if not runs:
        return f"No run has an onset to tell yet ({facts.defined(facts.onset)})."
    if late == runs:
        return _none_reached(facts, rows)
    seen = rows.loc[is_seen(rows), "step"]
    what = f"{_begins(facts)} ({facts.defined(facts.onset)})"
    where = between(seen) if len(seen) else "before their first evaluation"
    apart = [f"{amounts.counted(late, 'run')} ended before it"] if late else []
    if early and len(seen):
        apart.append(f"of {amounts.counted(early, 'run')} it lies at or before the first evaluation")
    advice = " Evaluate earlier (evaluation.first) to see where." if early else ""
    sentence = "; ".join([f"{what} starts {in_runs(runs - late, runs)} {where}", *apart])
    return f"{sentence}.{advice}"


def _begins(facts: Facts) -> str:
    """What starts at the onset that is spoken of."""
    return _BEGINS[ONSETS[facts.onset].of]


def in_runs(some: int, of: int) -> str:
    """``in all 14 runs``, ``in 3 of 14 runs``."""
    if some < of:
        return f"in {some:,} of {amounts.counted(of, 'run')}"
    return "in the one run" if of == 1 else f"in all {of:,} runs"


def between(steps: pd.Series[float]) -> str:
    """``between steps 80 and 3,672``, or ``at step 80`` where there is no other."""
    low, high = amounts.steps(steps.min()), amounts.steps(steps.max())
    return f"at step {low}" if low == high else f"between steps {low} and {high}"


def _none_reached(facts: Facts, rows: pd.DataFrame) -> str:
    """No onset at all: the budget is too short."""
    unit, length = next(iter(facts.budget.items()))
    runs = "The one run did not reach" if len(rows) == 1 else f"None of {amounts.counted(len(rows), 'run')} reached"
    return (
        f"{runs} the onset ({facts.defined(facts.onset)}) by step {amounts.steps(rows['step'].max())}, the last that a "
        f"later evaluation can confirm: raise training.budget at least threefold, from {length:,g} to "
        f"{RAISE * length:,g} {unit}; the runs go on from where they are."
    )


def along_axis(facts: Facts, axis: Axis) -> str:
    """How the onset goes with an axis: where it starts at both ends, and the exponent, or the ratios."""
    rows = facts.onsets_along(facts.onset, axis)
    if rows.empty or rows["censored"].all():
        return ""
    if axis not in facts.exponents:
        return _ratios(facts, axis)
    values = np.sort(rows[axis.coordinate].unique())
    ends = [_at(rows[rows[axis.coordinate] == value], axis, value) for value in dict.fromkeys((values[0], values[-1]))]
    found = f"{law(facts, facts.onset, axis)}, for {facts.defined(facts.onset)}"
    return f"{_begins(facts)} starts {amounts.listed(ends)}: {found}."


def _at(rows: pd.DataFrame, axis: Axis, value: Any) -> str:
    """``at step 90 for N = 16 (80 to 102 in 3 runs)``; the middle is the geometric mean."""
    at = f"{words.symbol(axis)} = {count_label(value) if axis.coordinate != axis.column else words.number(value)}"
    if rows["censored"].all():
        return f"not by step {amounts.steps(rows['step'].max())} for {at}"
    seen = rows.loc[is_seen(rows), "step"]
    if seen.empty:
        return f"before step {amounts.steps(rows['step'].max())} for {at}"
    spread = f"{amounts.steps(seen.min())} to {amounts.steps(seen.max())} in {amounts.counted(len(seen), 'run')}"
    more = len(rows) - len(seen)
    beside = f" ({spread}{f'; {more} more censored' if more else ''})" if len(rows) > 1 else ""
    return f"at step {amounts.steps(float(np.exp(np.log(seen).mean())))} for {at}{beside}"


def law(facts: Facts, definition: str, axis: Axis) -> str:
    """``τ ∝ N^1.77 [1.70, 1.84], of 11 runs``, or that it is undecided whether τ depends on the axis at all."""
    letter, fit = words.symbol(axis), facts.fit(definition, axis)
    if fit is None:
        return f"how the onset goes with {letter} cannot be said from so few runs"
    found = f"τ ∝ {power(letter, fit)}, of {_runs_of(fit)}"
    return found if amounts.beyond(fit, 0) else f"whether it depends on {letter} is undecided, {found}"


def power(letter: str, fit: Mapping[Any, Any]) -> str:
    """``N^1.77 [1.70, 1.84]``; a name of several words is put in parentheses."""
    base = letter if len(letter.split()) == 1 else f"({letter})"
    return f"{base}^{amounts.exponent(fit['exponent'])} {amounts.interval(fit)}"


def _runs_of(fit: Mapping[Any, Any]) -> str:
    censored = int(fit["censored_runs"]) + int(fit["left_censored_runs"])
    return amounts.counted(int(fit["runs"]), "run") + (f", {censored} of them censored" if censored else "")


def _ratios(facts: Facts, axis: Axis) -> str:
    """The onset at each other value of an axis over that at its base value."""
    table = facts.table("ratios")
    rows = table[(table["definition"] == facts.onset) & (table["axis"] == axis.column) & table["ratio"].notna()]
    others = rows[rows["value"] != rows["base"]]
    if others.empty:
        return f"How the onset differs between values of {axis.title} cannot be said from so few runs."
    parts = [_ratio(row) for row in others.to_dict("records")]
    at_base = f"{axis.title} = {others['base'].iloc[0]}"
    return f"Beside the onset at {at_base}, {amounts.listed(parts)}, for {facts.defined(facts.onset)}."


def _ratio(row: Mapping[Any, Any]) -> str:
    verdict = {1: "later", -1: "earlier", 0: "neither earlier nor later, as far as is known"}[amounts.beyond(row, 1)]
    found = f"{amounts.factor(row['ratio'])} {amounts.interval(row, amounts.factor)} times as late, of {_runs_of(row)}"
    return f"that at {row['value']} is {verdict} ({found})"


def definitions_apart(facts: Facts) -> str:
    """How far the exponent in the first axis depends on the definition."""
    if not facts.exponents:
        return ""
    axis, letter = facts.exponents[0], words.symbol(facts.exponents[0])
    names = [name for name in among(facts.table("scaling")["definition"]) if ONSETS[name].of in ("losses", "copies")]
    fits = {name: fit for name in names if (fit := facts.fit(name, axis)) is not None}
    if len(fits) < 2:
        return ""
    low, *_, high = sorted(fits, key=lambda name: float(fits[name]["exponent"]))
    ends = [f"{_exponent_cell(fits[name])} ({facts.defined(name)})" for name in (low, high)]
    return (
        f"Under the {len(fits)} definitions of memorisation by losses and copies, the exponent in {letter} lies "
        f"between {ends[0]} and {ends[1]}."
    )


def exponents(facts: Facts) -> Grid | None:
    """Exponents of every onset in every axis."""
    axes = facts.exponents
    names = among(facts.table("scaling")["definition"], [*MEMORISATION, *DEPARTURES])
    fits = {name: [facts.fit(name, axis) for axis in axes] for name in names}
    if not any(fit for of_name in fits.values() for fit in of_name):
        return None
    rows = [[facts.defined(name), *map(_exponent_cell, of_name)] for name, of_name in fits.items()]
    headings = ["onset", *(f"k in {words.symbol(axis)}" for axis in axes)]
    caption = (
        "Exponents k in τ ∝ axis^k, the other axes held fixed, with their intervals; a dash where runs cannot tell. "
        "Leans, distances between runs and departures are no onsets of memorisation."
    )
    return Grid(caption, headings, rows)


def _exponent_cell(fit: Mapping[Any, Any] | None) -> str:
    return amounts.UNKNOWN if fit is None else f"{amounts.exponent(fit['exponent'])} {amounts.interval(fit)}"
