"""One swept axis of the grid as panels show it, whatever it is: its runs, its values, their colours and places."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ..study.axes import Axis
from . import selection, style, wording

_DODGE = 0.03  # of the width of a panel, between neighbouring repetitions
_CLUSTER = 0.6  # of the distance of neighbouring values, at most, between the first and the last repetition
_MARGIN = 0.14  # of the range of an axis, left and right of it
_NARROWEST = 1.2  # factor from the smallest to the largest value, below which a logarithm says nothing
_CLOSEST = 0.02  # of the range of logarithms, between neighbours that are still told apart
_LETTER = 4.2  # width of a letter of a tick's label, in points


@dataclass(frozen=True)
class SweptAxis:
    """The runs along one axis of the grid, every other one held fixed.

    Attributes:
        axis: the swept one.
        axes: all of the grid.
        runs: rows of the table ``runs``, equal on every other axis, repetitions aside.
    """

    axis: Axis
    axes: Sequence[Axis]
    runs: pd.DataFrame

    @classmethod
    def among(cls, runs: pd.DataFrame, axes: Sequence[Axis], axis: Axis) -> SweptAxis:
        """The runs along an axis, of all runs of a study."""
        return cls(axis, axes, selection.along(runs, axes, axis))

    @classmethod
    def all_among(cls, runs: pd.DataFrame, axes: Sequence[Axis]) -> list[SweptAxis]:
        """Every axis along which runs vary, or the first one."""
        return [cls.among(runs, axes, axis) for axis in selection.swept(runs, axes)]

    @property
    def column(self) -> str:
        """That of the axis in the table ``runs``."""
        return self.axis.column

    @functools.cached_property
    def labels(self) -> dict[Any, str]:
        """How each value is written, by value and in order."""
        return wording.value_labels(self.axis, self.runs)

    @functools.cached_property
    def numbers(self) -> dict[Any, Any]:
        """By value what stands for it where numbers count, such as a model size's parameters."""
        return wording.numbers_of(self.axis, self.runs)

    @functools.cached_property
    def logarithmic(self) -> bool:
        """Whether values stand at their logarithms; else they stand at equal distances."""
        numbers = list(self.numbers.values())
        if not self.axis.numeric or min(numbers, default=0) <= 0:
            return False
        if len(numbers) < 2:
            return True
        logs = np.log(np.sort(np.array(numbers, float)))
        span = float(logs[-1] - logs[0])
        return span >= np.log(_NARROWEST) and float(np.diff(logs).min()) >= _CLOSEST * span

    @functools.cached_property
    def places(self) -> dict[Any, float]:
        """Where each value stands from left to right."""
        if self.logarithmic:
            return {value: float(number) for value, number in self.numbers.items()}
        return {value: float(place) for place, value in enumerate(self.labels)}

    def held_fixed(self, width: int = 1000) -> str:
        """What the runs share, in lines of so many letters."""
        return wording.held_fixed(self.runs, self.axes, self.axis, width)

    def colours(self, palette: str) -> dict[Any, style.Colour]:
        """A colour for each value: of a colour map in the order of numbers, distinct ones for all else."""
        values = list(self.labels)
        return style.colours(values, palette) if self.axis.numeric else style.distinct_colours(values)

    @functools.cached_property
    def markers(self) -> dict[Any, str]:
        """A marker for each value, by which it is known where colours are not."""
        return dict(zip(self.labels, itertools.cycle(style.MARKERS), strict=False))

    def handles(self, colours: Mapping[Any, style.Colour]) -> list[Line2D]:
        """A legend's entry for each value."""
        return [
            Line2D([], [], color=colours[value], marker=self.markers[value], linewidth=2, markersize=4.5, label=label)
            for value, label in self.labels.items()
        ]

    def placed(self) -> pd.DataFrame:
        """``run_id``, the axis's column, and the ``place`` of each run, repetitions side by side around their value."""
        repetitions = [axis.column for axis in self.axes if axis.repeats]
        ranks = self.runs.sort_values(repetitions, kind="stable").groupby(self.column).cumcount()
        low, high = self._ends
        beside = min(_DODGE * (high - low), _CLUSTER * self._closest / max(int(ranks.max()), 1))
        offsets = beside * (ranks - ranks.groupby(self.runs[self.column]).transform("mean"))
        places = self._scaled(self.runs[self.column].map(self.places)) + offsets
        return self.runs[["run_id", self.column]].assign(place=self._unscaled(places))

    def show(self, ax: Axes) -> None:
        """Give a panel this axis from left to right, with a tick at each value."""
        ax.set_xscale("log" if self.logarithmic else "linear")
        ax.set_xlim(*self._unscaled(np.array(self._ends)))
        slant: dict[str, Any] = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
        labels = list(self.labels.values())
        ax.set_xticks(list(self.places.values()), labels, **(slant if self._crowded(ax) else {}))
        ax.set_xticks([], minor=True)
        ax.set_xlabel(wording.axis_label(self.axis))

    def _scaled(self, places: Any) -> Any:
        """Places in units in which they are drawn."""
        return np.log(places) if self.logarithmic else places

    def _unscaled(self, places: Any) -> Any:
        return np.exp(places) if self.logarithmic else places

    @property
    def _ends(self) -> tuple[float, float]:
        """Left and right end of a panel, as scaled."""
        places = self._scaled(np.array(list(self.places.values())))
        low, high = float(places.min()), float(places.max())
        margin = (_MARGIN * (high - low) or np.log(2)) if self.logarithmic else 0.5
        return low - margin, high + margin

    @property
    def _closest(self) -> float:
        """Between the two values that are closest to each other, as scaled."""
        places = np.sort(self._scaled(np.array(list(self.places.values()))))
        return float(np.diff(places, append=np.inf).min())

    def _crowded(self, ax: Axes) -> bool:
        """Whether labels beside each other would touch."""
        places, (low, high) = self._scaled(np.array(list(self.places.values()))), self._ends
        figure = ax.get_figure(root=True)
        width = 72 * ax.get_position().width * (figure.get_figwidth() if figure else style.WIDTH)
        halves = _LETTER * np.array([wording.letters(label) + 1 for label in self.labels.values()]) / 2
        return bool((np.diff(places) / (high - low) * width < halves[1:] + halves[:-1]).any())
