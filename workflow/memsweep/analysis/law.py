"""One law of the onset in all axes together, with what training sets have in common.

    log10(onset) = intercept + Σ terms + deviation of the training set + deviation of the run

An axis of positive numbers has a slope, its exponent, in log10(axis), measured from the middle of its values, and
where the data want it a curvature: its square. Any other axis has an effect at each value but the base one. Runs of
one training set (`train_size`, `subset`) share that set's deviation, so that what is compared between training sets,
as the exponent of `train_size` is, has the degrees of freedom of sets and not of runs. The model and its intervals are
those of `mixed`; a run that ended before its onset is censored there.

A curvature is kept where its interval, at the level of all intervals, excludes 0; it is tested where an axis has
onsets at four values or more, one axis after the other, each beside what was kept before.

What is left out: sets of different sizes share images (subset 1 of N lies in subset 0 of 2 N), though their deviations
are taken as independent. Were they wholly those of shared images, intervals of a median at the level 0.95 would cover
it in 0.73 of studies like the embedded one, those of a new run in 0.88, and those of exponents as they should
(`benchmarks/coverage.py`). Also left out are an effect that differs between sets; and with a single training set all
that another one would do.
"""

from __future__ import annotations

import functools
import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from ..base.errors import UserError
from ..study.axes import Axis, text
from .censored import Array, NotConverged
from .law_design import Column, Design, sides
from .mixed import Estimate, Mixed
from .scaling import base_and_others, numeric_axes

# Values of an axis with onsets, fewer than which cannot tell a curvature from a scatter
CURVED = 4
_ROUNDING = 1e-9  # of the ends of a swept range, as a share


@dataclass(frozen=True)
class Term:
    """A term of a law; `reason` says why it has no estimate."""

    term: str
    value: str | None
    order: int
    estimate: Estimate
    kept: bool
    reason: str | None = None


@dataclass(frozen=True)
class Prediction:
    """The onset of a new run on a new training set, in steps.

    Attributes:
        median: of such runs.
        ci_low, ci_high: confidence interval of the median.
        pi_low, pi_high: prediction interval of one run; that of a law whose training sets cannot be told from the
            scatter of runs has both in one, that of a single training set leaves others out.
        beyond: axes on which the point leaves the swept range.
    """

    median: float
    ci_low: float
    ci_high: float
    pi_low: float
    pi_high: float
    beyond: list[str]


@dataclass(frozen=True)
class Law:
    """A fitted law; see `fit_law`.

    Attributes:
        terms: each slope or effect, and each curvature.
        runs: those with their axes and onsets that it rests on.
        columns: a slope or the effects of each axis.
        confidence: level of its intervals.
        reason: why there is none, or None.
    """

    terms: list[Term]
    runs: pd.DataFrame
    columns: list[Column]
    confidence: float
    reason: str | None = None
    _design: Design | None = field(default=None, repr=False)

    @property
    def sets(self) -> int:
        """Training sets with an onset."""
        return len(self.runs.loc[sides(self.runs) == 0, ["train_size", "subset"]].drop_duplicates())

    @property
    def axes(self) -> list[Axis]:
        """Those that it has terms in."""
        return list({column.axis.name: column.axis for column in self.columns}.values())

    @property
    def model(self) -> Mixed | None:
        """What was fitted, if anything."""
        return self._design.model if self._design else None

    def predict(self, point: Mapping[str, object]) -> Prediction:
        """The onset of a new run on a new training set; NaN where the law cannot tell.

        Args:
            point: a value for each axis of the law, by its column of the table ``runs``; where there is one, the model
                size as ``parameters``.

        Raises:
            UserError: an axis has no value, or a numeric one no positive number.
        """
        values = {name: _checked(name, column, point) for name, column in self._named.items()}
        beyond = [name for name, column in self._named.items() if self._is_beyond(name, column, values[name])]
        median = run = Estimate()
        if self._design and all(self._named[name].numeric for name in beyond):
            median, run = self._design.predict(pd.DataFrame([values]), self.confidence)
        with np.errstate(over="ignore"):
            known = [median.value, median.ci_low, median.ci_high, run.ci_low, run.ci_high]
            middle, ci_low, ci_high, pi_low, pi_high = np.power(10.0, known).tolist()
        return Prediction(middle, ci_low, ci_high, pi_low, pi_high, beyond)

    @functools.cached_property
    def _named(self) -> dict[str, Column]:
        """A column of each axis, by the name of its values in a point."""
        return {column.axis.coordinate if column.numeric else column.axis.column: column for column in self.columns}

    def _is_beyond(self, name: str, column: Column, value: Any) -> bool:
        known = self.runs[name]
        if not column.numeric:
            return not (known == value).any()
        return not (known.min() * (1 - _ROUNDING) <= value <= known.max() * (1 + _ROUNDING))

    def matrix(self, runs: pd.DataFrame) -> Array:
        """What the law makes of the axes of runs, shape (runs, coefficients), an intercept first."""
        assert self._design is not None
        return self._design.matrix(runs)


def _checked(name: str, column: Column, point: Mapping[str, object]) -> object:
    """A value of a point."""
    if name not in point:
        raise UserError(f"a point of the law: found {', '.join(map(str, point)) or 'nothing'}; {name} is missing")
    value = point[name]
    if column.numeric and not (isinstance(value, numbers.Real) and 0 < float(value) < math.inf):
        raise UserError(f"a point of the law: found {name} = {value!r}; accepted are positive numbers")
    return value


def fit_law(onsets: pd.DataFrame, runs: pd.DataFrame, axes: Sequence[Axis], confidence: float) -> Law:
    """The law of the onset under one definition.

    Args:
        onsets: rows of the table ``onsets``, of one definition.
        runs: table ``runs``, with every run of ``onsets``.
        axes: all of the grid.
        confidence: level of the intervals, between 0 and 1, and of the test of curvatures.

    Returns:
        The law; where it cannot be estimated its terms are NaN with a reason each, as its predictions are.
    """
    table = onsets.merge(runs, on="run_id", validate="many_to_one")
    table = table[table["step"] > 0].reset_index(drop=True)
    numeric = numeric_axes(axes, runs)
    swept = [axis for axis in axes if not axis.repeats and runs[axis.column].nunique() > 1]
    slopes = [column for axis in swept for column in _columns(axis, axis in numeric, runs, table)]
    empty = Law([], table, slopes, confidence)
    try:
        design = Design(slopes, table)
        curvatures = []
        for column in slopes:
            if column.value is None:
                design, term = _with_curvature(design, column, table, confidence)
                curvatures.append(term)
    except NotConverged:
        return replace(empty, terms=_without(slopes, "the fit did not converge"), reason="the fit did not converge")
    if design.model is None:
        observed = int((sides(table) == 0).sum())
        reason = f"{observed} onsets for {len(slopes) + 1} coefficients" if observed else "no onset"
        return replace(empty, terms=_without(slopes, reason), reason=reason)
    return Law(_terms(design, curvatures, confidence), design.runs, slopes, confidence, None, design)


def _columns(axis: Axis, numeric: bool, runs: pd.DataFrame, table: pd.DataFrame) -> list[Column]:
    """The columns of an axis, without curvature."""
    if numeric:
        middle = np.log10(table[axis.coordinate].unique().astype(np.float64))
        return [Column(axis, centre=float(middle.mean()) if len(middle) else 0.0)]
    return [Column(axis, value) for value in base_and_others(runs[axis.column], axis.base)[1]]


def _with_curvature(design: Design, slope: Column, table: pd.DataFrame, confidence: float) -> tuple[Design, Term]:
    """A design with the curvature of a numeric axis where the data want it, and that term."""
    curvature = replace(slope, order=2)

    def term(estimate: Estimate, kept: bool, reason: str | None) -> Term:
        return Term(slope.term, None, 2, estimate, kept, reason)

    values = table.loc[sides(table) == 0, slope.axis.coordinate].nunique()
    if values < CURVED:
        return design, term(Estimate(), False, f"not testable: onsets at {values} values, fewer than {CURVED}")
    curved = Design([*design.columns, curvature], table)
    place = len(design.columns)
    found = curved.estimate(place, confidence)
    kept = found.ci_low > 0 or found.ci_high < 0
    reason = curved.why_not(place)
    return curved if kept else design, term(found, kept, f"not testable: {reason}" if reason else None)


def _terms(design: Design, curvatures: Sequence[Term], confidence: float) -> list[Term]:
    """All terms of a law, each curvature behind its slope."""
    found, tried = [], {term.term: term for term in curvatures}
    final = {(column.term, column.order): place for place, column in enumerate(design.columns)}
    for place, column in enumerate(design.columns):
        if column.order == 2:
            continue
        reason = design.why_not(place)
        value = None if column.value is None else text(column.value)
        found.append(Term(column.term, value, 1, design.estimate(place, confidence), reason is None, reason))
        if column.value is None:
            curvature = tried[column.term]
            if curvature.kept:
                curvature = replace(curvature, estimate=design.estimate(final[column.term, 2], confidence))
            found.append(curvature)
    return found


def _without(slopes: Sequence[Column], reason: str) -> list[Term]:
    """The terms of a law that cannot be estimated."""
    found = []
    for column in slopes:
        value = None if column.value is None else text(column.value)
        orders = (1,) if column.value is not None else (1, 2)
        found += [Term(column.term, value, order, Estimate(), False, reason) for order in orders]
    return found
