"""Means over all pairs of some runs, which share runs: what other runs and other latents would show in their place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student

from ..study.pairs import Differs, Pair
from .agreement import SHARES, Measured, share_with
from .fidelity import Distance, standard_error, with_margin

Row = dict[str, Any]

LIMITS = {"cosine": (-1.0, 1.0), **dict.fromkeys(SHARES, (0.0, 1.0))}
"""Between what a measure lies; any other is not negative."""

ONE_PAIR = "two runs are one pair, which does not say how far others differ"
GAPS = "of some pairs no two latents have one label in both runs"


@dataclass(frozen=True)
class OfPair:
    """A measure of two runs.

    Attributes:
        run_id, other_run_id: the runs.
        value: mean over latents.
        latents: which, (m,).
        influence: of each on the value, up to a constant, (m,).
    """

    run_id: str
    other_run_id: str
    value: float
    latents: np.ndarray
    influence: np.ndarray


class Groups:
    """What pairs show at one step, by the runs that are all compared with each other, and by measure."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        # A group goes by its first run: pairs follow the grid, where a run is second before it is first
        self._first: dict[tuple[str, Differs], str] = {}
        for pair in pairs:
            self._first[pair.other_run_id, pair.differs] = self._first_of(pair)
        self._found: dict[tuple[str, Differs, str, str], list[OfPair]] = {}

    def _first_of(self, pair: Pair) -> str:
        return self._first.setdefault((pair.run_id, pair.differs), pair.run_id)

    def add(self, pair: Pair, measured: Measured, same: np.ndarray) -> None:
        """A measure of a pair, of those of the latents ``same`` that it names."""
        key = self._first_of(pair), pair.differs, measured.space, measured.measure
        latents = same[measured.latents]
        of_pair = OfPair(pair.run_id, pair.other_run_id, measured.found.value, latents, measured.influence)
        self._found.setdefault(key, []).append(of_pair)

    def rows(self, labels: Mapping[str, np.ndarray], confidence: float) -> Iterator[Row]:
        """Rows of ``agreement_over_pairs``, but for the step; ``labels`` of each run's samples, (M,)."""
        for (first, differs, space, measure), found in self._found.items():
            runs = {run_id: labels[run_id] for each in found for run_id in (each.run_id, each.other_run_id)}
            strata = np.unique(np.stack(list(runs.values())), axis=1, return_inverse=True)[1].ravel()
            of = {"run_id": first, "differs": differs, "space": space, "measure": measure}
            yield {**of, **over_pairs(measure, found, strata, confidence)}


def over_pairs(measure: str, found: Sequence[OfPair], strata: np.ndarray, confidence: float) -> Row:
    """The mean of a measure over the pairs of some runs, and what of it is chance.

    The interval is for other runs and other latents. To the variance of other runs (`error_of_runs`) that of other
    latents is added, by the mean influence of each over pairs; the freedom is Welch and Satterthwaite's, K - 1 where
    latents are many and alike. What latents and runs do together counts twice, so that the interval is rather too wide.
    It is never narrower than that of latents alone, within which it would be of no width where all runs say the same,
    such as a lean of 1. In simulations of two-way random effects (runs, pairs, latents, and all that these do
    together, in any proportion; K = 3 ... 6; level 0.95) it covers 0.94 to 1.00, also with three runs; where these
    alone vary, by a skew distribution (exponential), 0.87 to 0.89. Runs are taken as drawn
    independently, so that it says nothing of other data than training sets of this size and dataset.

    Args:
        measure: name of the measure.
        found: of each pair, at least one.
        strata: of all latents, as of `fidelity.standard_error`, (M,).
        confidence: level of the intervals.

    Returns:
        ``value``; ``ci_low`` and ``ci_high``, NaN where ``reason`` says why; ``latents_ci_low`` and
        ``latents_ci_high``, with the runs as they are; ``runs`` and ``pairs``.
    """
    lowest, highest = LIMITS.get(measure, (0.0, math.inf))
    value = float(np.mean([each.value for each in found]))
    error, freedom, count = _of_latents(found, strata)
    alone = with_margin(value, error, freedom, confidence)
    if measure in SHARES:
        alone = share_with(value, error, count, confidence)
    runs = {run_id for each in found for run_id in (each.run_id, each.other_run_id)}
    reason = _lacking(len(runs), len(found))
    both = Distance(value, math.nan, math.nan)
    if reason is None:
        squares = np.square([error_of_runs(found), error])
        total = float(squares.sum())
        shared = total**2 / float(squares**2 @ (1 / np.array([len(runs) - 1, freedom]))) if total else 1.0
        margin = float(student.ppf((1 + confidence) / 2, shared)) * math.sqrt(total)
        low, high = min(value - margin, alone.ci_low), max(value + margin, alone.ci_high)
        both = Distance(value, max(low, lowest), min(high, highest))
    return {
        **vars(both),
        "latents_ci_low": max(alone.ci_low, lowest),
        "latents_ci_high": min(alone.ci_high, highest),
        "runs": len(runs),
        "pairs": len(found),
        "reason": reason,
    }


def error_of_runs(found: Sequence[OfPair]) -> float:
    """The standard error, for other runs, of a mean over all pairs of K runs: the jackknife that leaves out one each.

    That of a U-statistic of degree 2 (Arvesen 1969). It is exact on average where runs add up, and too large where
    pairs differ for themselves.

    Args:
        found: of each pair of K runs, K at least 3.
    """
    names = sorted({run_id for each in found for run_id in (each.run_id, each.other_run_id)})
    place, count = {run_id: place for place, run_id in enumerate(names)}, len(names)
    of_run = np.zeros(count)
    for each in found:
        of_run[[place[each.run_id], place[each.other_run_id]]] += each.value
    without = (of_run.sum() / 2 - of_run) / math.comb(count - 1, 2)
    return math.sqrt((count - 1) / count * float(np.square(without - without.mean()).sum()))


def _lacking(runs: int, pairs: int) -> str | None:
    """Why there is no interval for other runs."""
    if runs < 3:
        return ONE_PAIR
    return GAPS if pairs < math.comb(runs, 2) else None


def _of_latents(found: Sequence[OfPair], strata: np.ndarray) -> tuple[float, int, int]:
    """Standard error of the mean over pairs for other latents, its freedom, and how many latents there are."""
    used = np.unique(np.concatenate([each.latents for each in found]))
    influence = np.zeros(len(strata))
    for each in found:
        weight = len(used) / len(each.latents) / len(found)
        influence[each.latents] += weight * (each.influence - each.influence.mean())
    return *standard_error(influence[used], strata[used]), len(used)
