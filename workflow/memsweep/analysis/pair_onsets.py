"""Onsets that are read off pairs of runs: when one leans to its own training images, and parts from those of others.

Both come before copying, and often before the test loss turns (Garnier-Brun et al. 2026, arXiv 2603.03469). The lean of
a pair is ½ for models that know nothing of their own images, and of m latents its standard deviation is then at most
(8 m)^-½: the default threshold of 0.7 is four of these away for 50 samples, and no model that has learnt nothing of its
images passes it. A run that is compared with several others has the mean over these. The onset of a pair is that of its
earlier run alone, so that no pair counts twice.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .onset import NEVER_EVALUATED, Onset, confirmable, crossing, pivot, resampled, share_onset, with_interval

Array = NDArray[np.float64]

# In what the partners differ that a run needs
PARTNERS = {"bias": {"subset"}, "split": {"subset", "seed"}}


def bias_onset(run_id: str, paired: pd.DataFrame, *, threshold: float, resamples: int, confidence: float) -> Onset:
    """The onset of a run's lean to its own training images.

    Args:
        run_id: of the run; seeds the bootstrap, which resamples latents with their whole history.
        paired: rows of the table ``paired_samples`` of the run, which is the earlier one; may be empty.
        threshold: on the mean lean.
        resamples: bootstrap replicates.
        confidence: level of the interval, between 0 and 1.
    """
    lean = leans(paired).rename(columns={"lean": "hit"})
    return share_onset(run_id, lean, share=threshold, resamples=resamples, confidence=confidence)


def leans(paired: pd.DataFrame) -> pd.DataFrame:
    """The lean of each latent of a run at each step, over the runs that it is compared with.

    Args:
        paired: as of `bias_onset`.
    """
    return _over_partners(paired[paired["differs"] == "subset"], "lean")


def split_onset(run_id: str, paired: pd.DataFrame, *, threshold: float, resamples: int, confidence: float) -> Onset:
    """The step from which runs trained on other images are farther away than those of other seeds, by a factor.

    Args:
        run_id, paired, resamples, confidence: as of `bias_onset`.
        threshold: on the mean distance to the former over that to the latter.
    """
    at, ratio = distance_ratios(run_id, paired, resamples)
    if not len(at):
        return NEVER_EVALUATED
    found = crossing(at, ratio, threshold)
    return with_interval(confirmable(at), found[0], found[1:], confidence)


def distance_ratios(run_id: str, paired: pd.DataFrame, resamples: int) -> tuple[Array, Array]:
    """The mean distance to runs trained on other images over that to other seeds, and its bootstrap replicates.

    Args:
        run_id, paired, resamples: as of `split_onset`.

    Returns:
        Steps (evaluations,), none where both are never known of one latent, and ratios (1 + resamples, evaluations).
    """
    sides = [
        pivot(run_id, _over_partners(paired[paired["differs"] == differs], "distance"), ["index"], "distance")
        for differs in ("subset", "seed")
    ]
    latents = sides[0].index.intersection(sides[1].index)
    steps = sides[0].columns.intersection(sides[1].columns)
    if not len(latents) or not len(steps):
        return np.empty(0), np.empty((1 + resamples, 0))
    ones = np.ones(len(latents))
    others, seeds = (resampled(run_id, side.loc[latents, steps].to_numpy(), ones, resamples) for side in sides)
    ratio: Array = np.divide(others, seeds, out=np.ones_like(others), where=seeds > 0)
    return steps.to_numpy(dtype=np.float64), ratio


def _over_partners(paired: pd.DataFrame, value: str) -> pd.DataFrame:
    """The mean of each latent and step over the runs that a run is compared with; latents that all of them have."""
    known = paired[paired[value].notna()]
    means = (
        known.groupby(["index", "step"], as_index=False)[value].agg(["mean", "size"]).rename(columns={"mean": value})
    )
    complete = means["size"] == means.groupby("step")["size"].transform("max")
    kept = means[complete]
    everywhere = kept.groupby("index")["step"].transform("size") == kept["step"].nunique()
    return kept.loc[everywhere, ["index", "step", value]]
