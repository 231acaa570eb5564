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
are taken as independent; an effect that differs between sets; and with a single training set all that another one
would do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import linalg

from ..base.errors import UserError
from ..study.axes import Axis, text
from .censored import Array, NotConverged
from .mixed import Estimate, Mixed
from .scaling import base_and_others, numeric_axes

# Values of an axis with onsets, fewer than which cannot tell a curvature from a scatter
CURVED = 4
_TOLERANCE = 1e-8


@dataclass(frozen=True)
class Column:
    """A column of the law's design.

    Attributes:
        axis: whose it is.
        value: for an axis that is compared, the value that has the effect; None for a numeric one.
        order: 1 for a slope or an effect, 2 for a curvature.
        centre: logarithm that a numeric axis is measured from.
    """

    axis: Axis
    value: Any = None
    order: int = 1
    centre: float = 0.0

    @property
    def term(self) -> str:
        """What tables call it."""
        return self.axis.coordinate if self.value is None else self.axis.column

    def of(self, runs: pd.DataFrame) -> Array:
        """Its entry for each run."""
        if self.value is not None:
            return (runs[self.axis.column] == self.value).to_numpy(np.float64)
        return (np.log10(runs[self.axis.coordinate].to_numpy(np.float64)) - self.centre) ** self.order


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
        axes: the axes that it has terms in.
        confidence: level of its intervals.
        reason: why there is none, or None.
    """

    terms: list[Term]
    runs: pd.DataFrame
    axes: list[Axis]
    confidence: float
    reason: str | None = None
    _design: Design | None = field(default=None, repr=False)

    @property
    def sets(self) -> int:
        """Training sets with an onset."""
        return len(self.runs.loc[sides(self.runs) == 0, ["train_size", "subset"]].drop_duplicates())

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
        row = pd.DataFrame([{name: self._checked(name, numeric, point) for name, numeric in self._named.items()}])
        beyond = [name for name, numeric in self._named.items() if self._is_beyond(row[name].iloc[0], name, numeric)]
        known = self._design is not None and not any(not self._named[name] for name in beyond)
        median, run = self._design.predict(row, self.confidence) if known and self._design else (Estimate(), Estimate())
        with np.errstate(over="ignore"):
            ends = np.power(10.0, [median.value, median.ci_low, median.ci_high, run.ci_low, run.ci_high]).tolist()
        return Prediction(*ends, beyond)

    @property
    def _named(self) -> dict[str, bool]:
        """The columns of a point, and whether their values are numbers."""
        numeric = {axis.coordinate for axis in numeric_axes(self.axes, self.runs)}
        return {name: name in numeric for name in (_column(axis, numeric) for axis in self.axes)}

    def _checked(self, name: str, numeric: bool, point: Mapping[str, object]) -> object:
        if name not in point:
            raise UserError(f"a point of the law: found {', '.join(point) or 'nothing'}; {name} is missing")
        value = point[name]
        if numeric and not (isinstance(value, int | float) and 0 < value < math.inf):
            raise UserError(f"a point of the law: found {name} = {value!r}; accepted are positive numbers")
        return value

    def _is_beyond(self, value: Any, name: str, numeric: bool) -> bool:
        known = self.runs[name]
        if not numeric:
            return not (known == value).any()
        return not (known.min() * (1 - _TOLERANCE) <= value <= known.max() * (1 + _TOLERANCE))


def _column(axis: Axis, numeric: set[str]) -> str:
    return axis.coordinate if axis.coordinate in numeric else axis.column


class Design:
    """A set of columns, and the model fitted with them.

    Attributes:
        columns: beside the intercept, which is the first coefficient.
        model: the fit, of as many columns as are independent; None where there are not more onsets than these.
        runs: those that say something.
    """

    def __init__(self, columns: Sequence[Column], runs: pd.DataFrame) -> None:
        """runs: the onsets with the columns of the table ``runs``."""
        self.columns = tuple(columns)
        x, side = self._matrix(runs), sides(runs)
        self._null = linalg.null_space(x[side == 0]) if (side == 0).any() else np.eye(x.shape[1])
        # A censored run of coefficients that no onset tells has a likelihood of 1 at infinity, whatever the others are
        says = (side == 0) | self._tells(x)
        self.runs, x, side = runs[says], x[says], side[says]
        self._chosen = _independent(x[side == 0])
        self.sets = self.runs.groupby(["train_size", "subset"]).ngroup().to_numpy()
        means = pd.DataFrame(x).groupby(self.sets).transform("mean").to_numpy()
        self._between = np.abs(x - means).max(axis=0, initial=0) < _TOLERANCE
        self.model: Mixed | None = None
        if (side == 0).sum() > len(self._chosen):
            response = np.log10(self.runs["step"].to_numpy(np.float64))
            self.model = Mixed(x[:, self._chosen], response, side, self.sets)

    def _matrix(self, runs: pd.DataFrame) -> Array:
        return np.column_stack([np.ones(len(runs)), *(column.of(runs) for column in self.columns)])

    def _tells(self, contrasts: Array) -> NDArray[np.bool_]:
        """Whether the onsets tell these combinations of coefficients, shape (combinations, coefficients)."""
        scale = np.maximum(np.abs(contrasts).max(axis=1, initial=0), 1)
        return np.abs(contrasts @ self._null).max(axis=1, initial=0) < _TOLERANCE * scale

    def told(self, place: int) -> bool:
        """Whether the coefficient of a column can be told from the others."""
        return bool(self._tells(np.eye(len(self.columns) + 1)[[place + 1]])[0])

    def estimate(self, place: int, confidence: float) -> Estimate:
        """The coefficient of a column."""
        if self.model is None or not self.told(place):
            return Estimate()
        contrast = np.eye(len(self.columns) + 1)[place + 1][self._chosen]
        return self.model.estimate(contrast, confidence, bool(self._between[place + 1]))

    def predict(self, points: pd.DataFrame, confidence: float) -> tuple[Estimate, Estimate]:
        """The median at a point, and a new run of a new set there, in log10 steps."""
        contrast = self._matrix(points)
        if self.model is None or not self._tells(contrast)[0]:
            return Estimate(), Estimate()
        chosen = contrast[0, self._chosen]
        median, run = (self.model.estimate(chosen, confidence, True, new_run) for new_run in (False, True))
        return median, run

    def why_not(self, place: int) -> str | None:
        """Why a column has no estimate, or None."""
        column, observed = self.columns[place], self.runs[sides(self.runs) == 0]
        known = observed[column.term if column.value is None else column.axis.column]
        if column.value is not None and not (known == column.value).any():
            return "no onset at this value"
        if known.nunique() < 2:
            return "onsets at one value only"
        if not self.told(place):
            return "not told from other terms"
        if self.model is None:
            return f"{len(observed)} onsets for {len(self._chosen)} coefficients"
        if self._between[place + 1] and self.model.sets > 1 and self.model.between < 1:
            return f"{self.model.sets} training sets for as many coefficients between them"
        return None


def sides(onsets: pd.DataFrame) -> NDArray[np.int64]:
    """1 where an onset is later than its step, -1 where it is earlier, else 0."""
    return onsets["censored"].to_numpy(np.int64) - onsets["left_censored"].to_numpy(np.int64)


def _independent(x: Array) -> list[int]:
    """The first columns that are independent of one another."""
    chosen: list[int] = []
    for place in range(x.shape[1]):
        if np.linalg.matrix_rank(x[:, [*chosen, place]], tol=_TOLERANCE * np.sqrt(max(len(x), 1))) > len(chosen):
            chosen.append(place)
    return chosen


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
    empty = Law([], table, swept, confidence)
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
    return Law(_terms(design, curvatures, confidence), design.runs, swept, confidence, None, design)


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
