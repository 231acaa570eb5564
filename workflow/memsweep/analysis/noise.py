"""What a threshold of an onset has to exceed: the level that chance alone reaches, for each run and definition.

Each level is one that a curve of a network that has memorised nothing exceeds at two evaluations in a row, as an onset
does, in a share 1 - confidence of draws:

* of a gap of losses, that between held-out images in place of the training set and the others, up to the lowest test
  loss (`gap_noise`);
* of a share of copies, that of samples which are copies of the control set's images, at the upper end of its interval
  (`share_noise`);
* of a lean, a ratio of distances or an excess of losses, what resampled latents or images add to its curve
  (`resampled_noise`).

Two things are left out. A level holds for the run's own network, so what differs between seeds is not in it; and of
lean and distances it holds for the pair of training sets that were compared.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]

DRAWS = 400  # random halves of the held-out images


def lasting(curves: Array) -> Array:
    """The highest threshold that each curve exceeds at two evaluations in a row, or at its only one.

    Args:
        curves: shape (..., evaluations), at least one.
    """
    pairs = np.minimum(curves[..., 1:], curves[..., :-1]) if curves.shape[-1] > 1 else curves
    highest: Array = pairs.max(axis=-1)
    return highest


def gap_noise(run_id: str, test: pd.DataFrame, train_size: int, confidence: float) -> tuple[float, float]:
    """The absolute and the relative gap of losses between held-out images, some of them in the training set's place.

    Each held-out image is noised once, at its own time, and the loss depends on that more than on the image. So the
    images are paired with their neighbours in time, and a random one of each pair goes into either half. The gap of
    halves of n / 2 images is scaled to that of N images and n, as the variance of a mean is that of one image over
    their number. A training set's images are noised several times where it is smaller than n, which makes their mean
    better known, so for these the level is an upper bound.

    Args:
        run_id: seeds the draws.
        test: losses on held-out images up to the lowest mean, one row an image, in the order of their times, one
            column an evaluation, at least one of each.
        train_size: images N of the training set.
        confidence: share of draws that stay below the level, between 0 and 1.

    Returns:
        Test minus training loss, and test over training loss minus one; NaN for a single image.
    """
    losses = test.to_numpy(np.float64)
    pairs = len(losses) // 2
    if not pairs:
        return np.nan, np.nan
    differences = losses[0 : 2 * pairs : 2] - losses[1 : 2 * pairs : 2]
    seed = int.from_bytes(hashlib.sha256(f"{run_id} noise".encode()).digest()[:16])
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(DRAWS, pairs))
    images = 2 * pairs
    scale = np.sqrt((1 / train_size + 1 / images) / (4 / images))
    gaps = scale * (signs @ differences) / pairs
    mean = losses.mean(axis=0)
    training = np.maximum(mean - gaps, np.finfo(float).tiny)
    absolute, relative = (np.quantile(lasting(curves), confidence) for curves in (gaps, gaps / training))
    return float(absolute), float(relative)


def share_noise(control: pd.DataFrame) -> float:
    """The share of copies of the control set's images that samples reach, at the upper end of its interval.

    Args:
        control: rows of the table ``metrics`` of one share and run, against the control set; may be empty.

    Returns:
        NaN where there is no control set.
    """
    if control.empty:
        return np.nan
    return float(lasting(control.sort_values("step")["ci_high"].to_numpy(np.float64)))


def resampled_noise(curves: Array, chance: float, confidence: float) -> float:
    """The level to which resampling alone carries a curve that lies where chance has it.

    A curve that rises spreads more, too. So it is followed from its first two evaluations on, until it is itself above
    the level that was reached so far.

    Args:
        curves: the curve, then its bootstrap replicates, shape (1 + resamples, evaluations), at least one.
        chance: value of the curve of a network that has learnt nothing of what is looked for.
        confidence: share of replicates that stay below, between 0 and 1.
    """
    evaluations, counted = curves.shape[1], 0
    following = min(2, evaluations)
    while following > counted:
        counted = following
        level = chance + float(np.quantile(lasting(curves[1:, :counted] - curves[0, :counted]), confidence))
        above = curves[0] > level
        following = int(above.argmax()) if above.any() else evaluations
    return level
