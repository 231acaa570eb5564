"""The onset of a run that nobody has trained, by the law of a study, and how long one may train before it."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from ..study.axes import Axis
from ..study.onsets import MEMORISATION, among
from .lack_of_fit import lack_of_fit
from .law import Law, Prediction, fit_law


@dataclass(frozen=True)
class Outlook:
    """What the law of one definition says of a run.

    Attributes:
        definition: of the onset.
        law: the law.
        onset: of the run.
        until: the last step at which the onset has come with the risk that is taken; NaN where there is no law.
        warnings: what speaks against the prediction, in sentences without a full stop.
    """

    definition: str
    law: Law
    onset: Prediction
    until: float
    warnings: tuple[str, ...]


def outlooks(
    onsets: pd.DataFrame,
    runs: pd.DataFrame,
    axes: Sequence[Axis],
    point: Mapping[str, object],
    confidence: float,
    risk: float,
) -> Iterator[Outlook]:
    """What the law of each definition of memorisation says of a run.

    Args:
        onsets, runs: the tables of these names.
        axes: all of the grid.
        point: the run, a value for each axis by its column of ``runs``, with ``parameters``.
        confidence: level of intervals and tests.
        risk: probability that the onset comes before `Outlook.until`, below 1/2.
    """
    for definition in among(onsets["definition"], MEMORISATION):
        law = fit_law(onsets[onsets["definition"] == definition], runs, axes, confidence)
        onset = law.predict(point)
        # The one end of an interval that leaves out the risk on either side
        until = replace(law, confidence=1 - 2 * risk).predict(point).pi_low
        yield Outlook(definition, law, onset, until, tuple(_warnings(law, onset, point, confidence)))


def _warnings(law: Law, onset: Prediction, point: Mapping[str, object], confidence: float) -> Iterable[str]:
    if law.reason:
        yield f"there is no law: {law.reason}"
        return
    for axis in onset.beyond:
        known = sorted(law.runs[axis].unique())
        if len(known) > 1 and pd.api.types.is_numeric_dtype(law.runs[axis]):
            value = float(point[axis])  # type: ignore[arg-type]
            factor = max(value / known[-1], known[0] / value)
            away = f"{axis} = {number(point[axis])} lies a factor of {factor:.3g} outside"
            yield f"{away} of what is swept, {_range(known)}"
        else:
            yield f"{axis} = {number(point[axis])} is none of the values with an onset, {_range(known)}"
    p_value, _ = lack_of_fit(law)
    if p_value < 1 - confidence:
        yield f"the law fails its test of fit (p = {p_value:.2g}): power laws, bent or not, miss the onsets"
    if law.sets < 2:
        yield "all runs have one training set: what another would do is left out"


def _range(known: Sequence[object]) -> str:
    if len(known) == 1:
        return f"{number(known[0])} alone"
    return f"{number(known[0])} to {number(known[-1])}"


def number(value: object) -> str:
    """A value of an axis in a sentence: 0.003, 50,000."""
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, numbers.Integral) and not isinstance(value, bool) else str(value)
