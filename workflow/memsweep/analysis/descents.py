"""Double descent of distances: whether samples get better, then worse, then better again along a training.

Of each run's distance to images, less its floor where it has one, the rise is looked for that stands out most from the
errors of its two ends, among all pairs of evaluations of which one comes after the other; then the fall after it,
likewise. A largest of many differences is large by chance: of 20 evaluations of a constant distance, two differ by 1.96
of their errors or more in nine trainings of ten. So intervals are those of Tukey and Kramer, which hold for all
differences at once, whichever is chosen: the margin is the quantile of the studentised range of so many values over √2,
times √(error² + error²). They are conservative for unequal errors (Hayter 1984), and so where errors of evaluations go
along with one another, as samples are drawn from the same latents at every step and the floor is one number for all of
them. The error of an evaluation is its interval's half width in the table ``metrics`` over a normal quantile, and so
holds for this run: another seed has another curve. Nothing is corrected for the number of runs: of curves without a
rise, one in twenty at most shows one at 95 %.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from ..tables.contracts import SCHEMAS

Array = NDArray[np.float64]

# Those that have a floor are looked at less it; the others are unbiased
DISTANCES = ("sliced_wasserstein", "frechet", "frechet_infinity", "kid")
# Of the fall to the first minimum: rises that are all smaller, and none of them beyond its error, count as none
NEGLIGIBLE = 0.1


@dataclass(frozen=True)
class Change:
    """A difference between two evaluations, with its interval; NaN where there is none in the direction looked for."""

    size: float
    ci_low: float
    ci_high: float

    @classmethod
    def of(cls, size: float, margin: float) -> Change:
        """A difference with the margin that holds for all differences at once."""
        return cls(float(size), float(size - margin), float(size + margin))


NO_CHANGE = Change(math.nan, math.nan, math.nan)


def descents(metrics: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """The first minimum, the later peak and the second descent of each distance of each run.

    Args:
        metrics: table ``metrics``.
        confidence: level of its intervals, and of those that are returned, between 0 and 1.

    Returns:
        Table ``descents``, a row for each run, distance, feature space and split with three evaluations or more.
    """
    at_steps = metrics[metrics["step"].notna() & metrics["reference"].isin(["train", "test"])]
    corrected = {f"{name}_corrected": name for name in DISTANCES}
    measured = at_steps[at_steps["metric"].isin([*DISTANCES, *corrected])]
    held = set(measured["metric"])
    kept = measured[~measured["metric"].isin([name for less_floor, name in corrected.items() if less_floor in held])]
    rows = []
    for (run_id, space, metric, split), curve in kept.groupby(["run_id", "space", "metric", "reference"], sort=False):
        known = curve[np.isfinite(curve[["value", "ci_low", "ci_high"]].to_numpy(float)).all(axis=1)]
        if len(known) < 3:
            continue
        known = known.sort_values("step")
        errors = (known["ci_high"] - known["ci_low"]).to_numpy(float) / 2 / stats.norm.ppf((1 + confidence) / 2)
        found = descent(known["step"].to_numpy(), known["value"].to_numpy(float), errors, confidence)
        rows.append({"run_id": run_id, "space": space, "metric": metric, "split": split, **found})
    table = pd.DataFrame(rows, columns=SCHEMAS["descents"].names)
    return table.astype({field.name: "Int64" for field in SCHEMAS["descents"] if field.type == "int64"})


def descent(steps: NDArray[Any], values: Array, errors: Array, confidence: float) -> dict[str, Any]:
    """The columns of the table ``descents`` of one curve.

    Args:
        steps: evaluated steps, increasing, shape (evaluations,), at least three.
        values: distances less their floor, likewise.
        errors: their standard errors, likewise, positive.
        confidence: level of the intervals.
    """
    margin = _quantile(len(values), confidence) * np.hypot(errors[:, None], errors[None, :])
    later = np.triu(np.ones_like(margin, dtype=bool), k=1)
    rises = values[None, :] - values[:, None]
    low, high = map(int, np.unravel_index(np.where(later, rises / margin, -np.inf).argmax(), margin.shape))
    if rises[low, high] <= 0:  # the distance falls all the way
        low, high = int(values.argmin()), len(values)
    before, after = np.arange(len(values)) <= high, np.arange(len(values)) >= low
    first = int(values[: low + 1].argmax())
    fallen = Change.of(values[first] - values[low], margin[first, low])
    found: dict[str, Any] = {"evaluations": len(values)}
    found |= _extremum("min", steps, values, low, before & (values - values[low] <= margin[low]))
    rise = fall = NO_CHANGE
    if high < len(values):
        rise = Change.of(rises[low, high], margin[low, high])
        found |= _extremum("peak", steps, values, high, after & (values[high] - values <= margin[high]))
        lowest = int(np.where(later[high], -rises[high] / margin[high], -np.inf).argmax())
        if -rises[high, lowest] > 0:
            fall = Change.of(-rises[high, lowest], margin[high, lowest])
    found |= {"rise": rise.size, "ci_low": rise.ci_low, "ci_high": rise.ci_high}
    found |= {"second_fall": fall.size, "fall_ci_low": fall.ci_low, "fall_ci_high": fall.ci_high}
    verdict = "undecided"
    if all(change.ci_low > 0 for change in (fallen, rise, fall)):
        verdict = "yes"
    elif not rise.ci_low > 0 and np.where(later, rises + margin, -np.inf).max() < NEGLIGIBLE * fallen.size:
        verdict = "no"
    return found | {"verdict": verdict}


@functools.cache
def _quantile(evaluations: int, confidence: float) -> float:
    """How many errors apart the farthest of so many equal values are, with this probability at most."""
    return float(stats.studentized_range.ppf(confidence, evaluations, np.inf)) / math.sqrt(2)


def _extremum(name: str, steps: NDArray[Any], values: Array, place: int, alike: NDArray[np.bool_]) -> dict[str, Any]:
    """A turning point: where, between which steps it may as well be, and how high."""
    among = steps[alike]
    return {f"{name}_step": steps[place], f"{name}_step_low": among[0], f"{name}_step_high": among[-1]} | {
        f"{name}_value": values[place]
    }
