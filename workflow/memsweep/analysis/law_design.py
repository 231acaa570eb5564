"""The columns of a law's design, and what can be told of their coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import linalg

from ..study.axes import Axis
from .censored import Array
from .mixed import Estimate, Mixed

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
    def numeric(self) -> bool:
        """Whether it is of an axis of positive numbers."""
        return self.value is None

    @property
    def term(self) -> str:
        """What tables call it."""
        return self.axis.coordinate if self.numeric else self.axis.column

    def of(self, runs: pd.DataFrame) -> Array:
        """Its entry for each run."""
        if self.value is not None:
            return (runs[self.axis.column] == self.value).to_numpy(np.float64)
        return (np.log10(runs[self.axis.coordinate].to_numpy(np.float64)) - self.centre) ** self.order


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
        x, side = self.matrix(runs), sides(runs)
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

    def matrix(self, runs: pd.DataFrame) -> Array:
        """The entries of the columns for some runs, shape (runs, 1 + columns)."""
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
        contrast = self.matrix(points)
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
