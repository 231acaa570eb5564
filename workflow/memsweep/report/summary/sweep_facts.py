"""What sentences on a sweep are drawn from: its tables, its axes, and the definitions that it asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ...figures.selection import along
from ...study.axes import Axis, read_axes
from ...tables.contracts import SCHEMAS
from . import words


def is_seen(onsets: pd.DataFrame) -> pd.Series[bool]:
    """Which onsets are censored on neither side."""
    return ~onsets["censored"].astype(bool) & ~onsets["left_censored"].astype(bool)


@dataclass(frozen=True)
class Facts:
    """A sweep's tables and choices.

    Attributes:
        tables: by name; of one that is not there, `table` gives no rows.
        axes: all of the grid.
        swept: those with more than one value, repetitions aside; training images first.
        onset: the definition of the onset that figures show, and the first that is spoken of.
        thresholds: of all definitions.
        space: feature space of the distances that are spoken of.
        budget: of a run, such as ``{"epochs": 600}``.
    """

    tables: Mapping[str, pd.DataFrame]
    axes: list[Axis]
    swept: list[Axis]
    onset: str
    thresholds: Mapping[str, float]
    space: str
    budget: Mapping[str, float]

    @classmethod
    def of(cls, study: Any, tables: Mapping[str, pd.DataFrame]) -> Facts:
        told = study.told
        axes = read_axes(told)
        swept = sorted(
            (axis for axis in axes if axis.column in study.axes), key=lambda axis: axis.column != "train_size"
        )
        budget = study.config["training"]["budget"]
        return cls(tables, axes, swept, told["onset"], told["thresholds"], told["distance"], budget)

    def table(self, name: str) -> pd.DataFrame:
        """The rows of a table."""
        found = self.tables.get(name)
        return pd.DataFrame(columns=SCHEMAS[name].names) if found is None else found

    @property
    def runs(self) -> pd.DataFrame:
        return self.table("runs")

    def defined(self, definition: str) -> str:
        """A definition of an onset in words, with its threshold."""
        return words.definition(definition, self.thresholds)

    def onsets(self, definition: str) -> pd.DataFrame:
        """The onsets of all runs under a definition, with the columns of ``runs``."""
        onsets = self.table("onsets")
        return onsets[onsets["definition"] == definition].merge(self.runs, on="run_id")

    def onsets_along(self, definition: str, axis: Axis) -> pd.DataFrame:
        """Those of the runs that vary along one axis, every other axis held fixed."""
        found = self.onsets(definition)
        return along(found, self.axes, axis) if len(found) else found

    def fit(self, definition: str, axis: Axis) -> Mapping[Any, Any] | None:
        """The row of the table ``scaling`` for a definition and an axis, where there is an exponent."""
        table = self.table("scaling")
        rows = table[(table["definition"] == definition) & (table["term"] == axis.coordinate)]
        return next((row for row in rows.to_dict("records") if not math.isnan(row["exponent"])), None)

    @property
    def exponents(self) -> list[Axis]:
        """The swept axes that have exponents: others have ratios."""
        terms = set(self.table("scaling")["term"])
        return [axis for axis in self.swept if axis.coordinate in terms]
