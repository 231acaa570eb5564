"""Novelty: which samples are copies of training images, and their share, f_mem."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import betaincinv


@dataclass(frozen=True)
class Share:
    """A share with its exact (Clopper-Pearson) confidence interval; ``count`` is what it is a share of."""

    value: float
    ci_low: float
    ci_high: float
    count: int


def copies(distance: np.ndarray, second_distance: np.ndarray, threshold: float) -> np.ndarray:
    """Which samples are copies: those far closer to one image than to any other, d1 / d2 < threshold.

    The rule of Gu et al. 2023 and Bonnaire et al. 2025 with threshold 1/3 and pixel distances.
    A sample that coincides with two equal images (d1 = d2 = 0) is a copy.

    Args:
        distance, second_distance: d1 and d2, to the two nearest images, of one shape.

    Returns:
        bool, of that shape.
    """
    result: np.ndarray = (distance < threshold * second_distance) | (second_distance == 0)
    return result


def copied(neighbours: pd.DataFrame, threshold: float) -> np.ndarray:
    """Which rows of the table ``neighbours`` are of copies, by `copies`; bool, in their order."""
    return copies(neighbours["distance"].to_numpy(), neighbours["second_distance"].to_numpy(), threshold)


def share_of_copies(samples: np.ndarray, images: np.ndarray, threshold: float) -> float:
    """The share of samples (n, H, W, C) that are copies of images (m, H, W, C), both uint8; as `copies`.

    By it a run may end early; the tables have f_mem from `novelty_meter.NoveltyMeter`, with its interval and control.
    """
    from .neighbours import nearest  # and torch, which who only reads tables need not wait for

    distance = nearest(samples.reshape(len(samples), -1), images.reshape(len(images), -1)).distance
    return float(copies(distance[:, 0], distance[:, 1], threshold).mean())


def share(hits: np.ndarray, confidence: float) -> Share:
    """The share of true values with its exact binomial interval.

    At no hits the upper end is not 0: of m samples without a copy, 1 - (alpha / 2) ** (1 / m)
    cannot be excluded.
    """
    return share_of(float(hits.sum()), len(hits), confidence)


def share_of(found: float, count: float, confidence: float) -> Share:
    """The share of ``found`` of ``count``, with the interval of `share`; neither has to be whole, as means are not."""
    tail = (1 - confidence) / 2
    low = float(betaincinv(found, count - found + 1, tail)) if found > 0 else 0.0
    high = float(betaincinv(found + 1, count - found, 1 - tail)) if found < count else 1.0
    return Share(found / count, low, high, round(count))
