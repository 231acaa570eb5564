"""What comes before copying in a sweep, what fidelity is reached, and how copies appear, in sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ...study.onsets import DEPARTURES, ONSETS, among
from . import amounts, words
from .sweep_facts import Facts, is_seen
from .sweep_onsets import between, in_runs, law, power

# The distance less its floor, which fidelity is told by
FIDELITY = "sliced_wasserstein_corrected"
_GAUSSIANS = {"gaussian": "the Gaussian of all images", "gaussian_mixture": "the Gaussians of the classes"}
_NEAR = {"to_class_mean": "to the mean of their class", "to_nearest": "to another training image"}


def bias_first(facts: Facts) -> str:
    """Whether samples lean to the run's own images before the test loss has its minimum."""
    return _lead(facts, "test_loss_minimum", "the minimum of the test loss")


def bias_before_copying(facts: Facts) -> str:
    """Likewise before copying starts."""
    if facts.onset in ("test_loss_minimum", "bias"):
        return ""
    return _lead(facts, facts.onset, f"the onset of memorisation ({facts.defined(facts.onset)})")


def _lead(facts: Facts, definition: str, what: str) -> str:
    table = facts.table("leads")
    rows = table[(table["definition"] == definition) & table["train_size"].isna()]
    if rows.empty:
        return ""
    row = rows.to_dict("records")[0]
    bias = f"bias, the first lean of samples to their run's own training images ({facts.defined('bias')}),"
    left_out = f"; {int(row['left_out'])} left out, as one of both is censored" if row["left_out"] else ""
    if not row["runs"]:
        return f"Whether {bias} precedes {what} cannot be said: of no run are both known{left_out}."
    if math.isnan(row["ci_low"]):
        apart = f"in which that comes at {amounts.factor(row['ratio'])} times the step of bias"
        return f"Whether {bias} precedes {what} cannot be said of one run, {apart}{left_out}."
    side, behind = amounts.beyond(row, 1), f"{amounts.counted(int(row['runs']), 'run')}{left_out}"
    if side < 0:
        row = {"ratio": 1 / row["ratio"], "ci_low": 1 / row["ci_high"], "ci_high": 1 / row["ci_low"]}
    by = f"by a factor of {amounts.factor(row['ratio'])} in steps {amounts.interval(row, amounts.factor)} ({behind})"
    if not side:
        return f"Whether {bias} precedes {what} is undecided: it does {by}."
    return f"{bias[0].upper()}{bias[1:]} {'precedes' if side > 0 else 'follows'} {what} {by}."


def departures(facts: Facts) -> list[str]:
    """When networks leave Gaussian statistics, and whether that depends on the number of images as copying does."""
    return [_departure(facts, name) for name in among(facts.table("onsets")["definition"], DEPARTURES)]


def _departure(facts: Facts, name: str) -> str:
    rows = facts.onsets(name)
    seen = rows.loc[is_seen(rows), "step"]
    of = _GAUSSIANS[ONSETS[name].surrogate]
    if seen.empty:
        return f"No run is seen to start using more of its images than {of} ({facts.defined(name)})."
    scaling = f"; {law(facts, name, facts.exponents[0])}" if facts.exponents else ""
    when = f"{between(seen)} {in_runs(len(seen), len(rows))}"
    return f"Networks start to use more of their images than {of} ({facts.defined(name)}) {when}{scaling}."


def fidelity(facts: Facts) -> list[str]:
    """How the best distance to held-out images before the onset goes with each axis."""
    table = facts.table("fidelity_trends")
    of = (table["definition"] == facts.onset) & (table["metric"] == FIDELITY) & (table["space"] == facts.space)
    rows = {row["term"]: row for row in table[of & table["exponent"].notna()].to_dict("records")}
    fits = {words.symbol(axis): rows[axis.coordinate] for axis in facts.swept if axis.coordinate in rows}
    how = f"sliced Wasserstein less its floor, {facts.space} space, up to {facts.defined(facts.onset)}"
    told = [
        f"The best samples before the onset are {'better' if side < 0 else 'worse'} at larger {letter}: their squared "
        f"distance to held-out images goes as {power(letter, row)}, of {_bounded(row)} ({how})."
        for letter, row in fits.items()
        if (side := amounts.beyond(row, 0))
    ]
    undecided = {letter: row for letter, row in fits.items() if not amounts.beyond(row, 0)}
    if undecided:
        parts = [f"{power(letter, row)} of {_bounded(row)}" for letter, row in undecided.items()]
        subject = "it" if told else f"the squared distance of the best samples before the onset ({how})"
        told.append(
            f"Whether {subject} depends on {amounts.listed(undecided, 'or')} is undecided: {amounts.listed(parts)}."
        )
    return told


def _bounded(row: Mapping[Any, Any]) -> str:
    bounded = f", {int(row['bounded_runs'])} of them bounds" if row["bounded_runs"] else ""
    return amounts.counted(int(row["runs"]), "run") + bounded


def rate(facts: Facts) -> str:
    """How fast copies appear, between two shares that are the same for all runs."""
    table = facts.table("rates")
    rates = table.loc[(table["metric"] == "f_mem") & table["value"].notna(), "value"]
    if rates.empty:
        return ""
    middle, low, high = (f"{value:.2f}" for value in (rates.median(), rates.min(), rates.max()))
    spread = f" (median; {low} to {high} in {amounts.counted(len(rates), 'run')})" if len(rates) > 1 else " (one run)"
    return f"While copies appear, their share f_mem rises at a rate of {middle} per factor of ten in steps{spread}."


def typical_first(facts: Facts) -> list[str]:
    """Whether typical images are copied first, over all runs."""
    table = facts.table("copied_first")
    rows = table[table["train_size"].isna() & (table["among"] == "set") & table["correlation"].notna()]
    return [_typical(row) for row in rows.to_dict("records")]


def _typical(row: Mapping[Any, Any]) -> str:
    images, runs = amounts.counted(int(row["images"]), "image"), amounts.counted(int(row["runs"]), "run")
    found = (
        "the rank correlation of that distance and the step at which they are is "
        f"{amounts.exponent(row['correlation'])} {amounts.interval(row)}, of {images} in {runs}"
    )
    side, close = amounts.beyond(row, 0), _NEAR[row["measure"]]
    if not side:
        return f"Whether images close {close} are copied earlier is undecided: {found}."
    return f"Images close {close} are copied {'earlier' if side > 0 else 'later'}: {found}."
