"""What the page calls runs: numbers in the order of the grid, beside the axes on which they differ."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ...study.axes import Axis
from . import words


@dataclass(frozen=True)
class RunNames:
    """The runs of a study as they are found on the page.

    Attributes:
        ids: run ids, in the order of the table ``runs``; run 1 is the first.
        axes: those on which the runs differ, repetitions too.
        values: of each axis, by its column: what each run has there.
        written: likewise, as it is read: a model size by its parameters.
        status: of each run.
    """

    ids: list[str]
    axes: list[Axis]
    values: dict[str, list[object]]
    written: dict[str, list[str]]
    status: list[str]

    @classmethod
    def of(cls, runs: pd.DataFrame, axes: list[Axis]) -> RunNames:
        """Of the table ``runs``, and all axes of the grid."""
        shown = [axis for axis in axes if axis.column in runs and runs[axis.column].nunique() > 1]
        values = {axis.column: runs[axis.column].tolist() for axis in shown}
        written = {axis.column: [words.cell(axis, run) for run in runs.to_dict("records")] for axis in shown}
        return cls(runs["run_id"].tolist(), shown, values, written, runs["status"].tolist())

    @property
    def places(self) -> dict[str, int]:
        """Each run's place in the table, by its id."""
        return {run: place for place, run in enumerate(self.ids)}

    @property
    def labels(self) -> list[str]:
        """Each run by the axes on which it differs from others: ``run 3: N 16, seed 1``."""
        pairs = [[f"{words.symbol(axis)} {value}" for value in self.written[axis.column]] for axis in self.axes]
        points = [", ".join(parts) for parts in zip(*pairs, strict=True)] if pairs else [""] * len(self.ids)
        return [f"run {place + 1}{f': {point}' if point else ''}" for place, point in enumerate(points)]
