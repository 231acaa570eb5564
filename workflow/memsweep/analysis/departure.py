"""When a network has learnt more than means and covariances: its test loss leaves that on a surrogate.

Bardone, Merger & Goldt 2026 (arXiv 2603.12901) compare a denoiser's loss on real images with
its loss on surrogates: draws from the Gaussian of the same mean and covariance. The two agree
as long as the network uses pair-wise statistics only (the distributional simplicity bias), and
the test loss falls below the surrogate's once it uses more. The **departure** is the step at
which the excess

    surrogate loss / test loss - 1

rises above a threshold. It counts only up to the lowest test loss. What raises the excess after
that is memorisation, as surrogates lie farther from the training images than held-out images do,
so a run that memorises first is censored there: up to then it had not departed.

Row i of a surrogate stands in for image i of the test split, under the same label, times and
noise. The pairs are resampled together, so most of the noise in both losses cancels.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..base.errors import UserError
from ..study.onsets import DEPARTURES, ONSETS
from .onset import NEVER_EVALUATED, Onset, confirmable, crossing, resampled, with_interval

Array = NDArray[np.float64]

# Definitions of a departure, and the surrogate that is departed from.
SURROGATES = {name: ONSETS[name].surrogate for name in DEPARTURES}


def departures(steps: Array, test: Array, surrogate: Array, threshold: float) -> Array:
    """The step at which each pair of curves departs, `onset.crossing` of the excess, up to the lowest test loss.

    Args:
        steps: increasing positive steps, shape (evaluations,), at least one.
        test: losses on held-out data, positive and finite, shape (..., evaluations).
        surrogate: losses on the surrogate, finite, of the same shape.
        threshold: on surrogate loss over test loss minus one.

    Returns:
        Steps, shape (...): 0 where the first evaluation is beyond the threshold already,
        infinite where none is by the evaluation with the lowest test loss.
    """
    found = crossing(steps, surrogate / test - 1, threshold)
    return np.where(found <= steps[test.argmin(axis=-1)], found, np.inf)


def departure(steps: Array, test: Array, surrogate: Array, *, threshold: float, confidence: float) -> Onset:
    """The departure of one run with its percentile bootstrap interval.

    Args:
        steps: the evaluated steps, increasing, shape (evaluations,); may be empty.
        test: the mean loss on held-out data, then its bootstrap replicates, shape
            (1 + resamples, evaluations), as `onset.resampled` returns them.
        surrogate: likewise on the surrogate, resampled with the same draws.
        threshold: on surrogate loss over test loss minus one.
        confidence: level of the interval, between 0 and 1.

    Returns:
        The onset; where censored, its step is that of the lowest test loss, or of the last evaluation but one
        where that is the last.
    """
    if not len(steps):
        return NEVER_EVALUATED
    found = departures(steps, test, surrogate, threshold)
    followed = confirmable(steps)[: int(test[0].argmin()) + 1]
    return with_interval(followed, found[0], found[1:], confidence)


def excess(steps: Array, test: Array, surrogate: Array, *, confidence: float) -> pd.DataFrame:
    """Surrogate loss over test loss minus one at each step, with its percentile bootstrap interval.

    Args:
        steps, test, surrogate, confidence: as in `departure`.

    Returns:
        Columns ``step``, ``excess``, ``ci_low`` and ``ci_high``, one row per evaluation.
    """
    curves = surrogate / test - 1
    tail = (1 - confidence) / 2
    low, high = np.quantile(curves[1:], [tail, 1 - tail], axis=0)
    return pd.DataFrame({"step": steps.astype(np.int64), "excess": curves[0], "ci_low": low, "ci_high": high})


def paired_curves(run_id: str, losses: pd.DataFrame, surrogate: str, resamples: int) -> tuple[Array, Array, Array]:
    """Mean test and surrogate loss of one run with bootstrap replicates, pairs resampled together.

    An image is resampled with its surrogate and with all the noisy versions of both. The
    curves end before the first evaluation with a non-finite loss.

    Args:
        run_id: seeds the bootstrap and names the run in errors.
        losses: its rows of the table ``losses``; may be empty.
        surrogate: the surrogate's split.
        resamples: bootstrap replicates.

    Returns:
        Steps (evaluations,), and the two losses, each (1 + resamples, evaluations).

    Raises:
        UserError: an item of one of the splits is missing at some step, there twice, or
            without its counterpart in the other split.
    """
    rows = losses[losses["split"].isin(["test", surrogate])]
    cells = rows.set_index(["split", "index", "item", "step"])["loss"].astype(np.float64)
    pairs = rows[["index", "item"]].drop_duplicates()
    if cells.index.has_duplicates or len(cells) != 2 * len(pairs) * rows["step"].nunique():
        raise UserError(f"run {run_id}: accepted is each item of test and {surrogate} once a step, and it is not so")
    if cells.empty:
        none = np.empty((1 + resamples, 0))
        return np.empty(0), none, none
    items = cells.unstack("step")
    finite = np.isfinite(items.to_numpy()).all(axis=0)
    items = items.loc[:, np.logical_and.accumulate(finite)]
    test, other = (items.loc[split].groupby(level="index") for split in ("test", surrogate))
    sizes = test.size().to_numpy()
    # The same key draws the same images on both sides
    curves = [resampled(f"{run_id} departure", side.sum().to_numpy(), sizes, resamples) for side in (test, other)]
    return items.columns.to_numpy(dtype=np.float64), curves[0], curves[1]
