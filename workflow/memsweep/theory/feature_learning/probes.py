"""What features hold: the accuracy of a linear probe, with its interval."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ...data.randomness import generator

Array = NDArray[np.float64]
# Passes of the solver, beyond which accuracy no longer moves
_PASSES = 500


def probe(train: Array, train_labels: NDArray[Any], test: Array, test_labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Which test items a linear probe gets right.

    Multinomial logistic regression with scikit-learn's default penalty, on features scaled to
    unit variance over its training items.

    Args:
        train, test: features, (items, features).
        train_labels, test_labels: classes, (items,).
    """
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=_PASSES))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(train, train_labels)
    correct: NDArray[np.bool_] = model.predict(test) == test_labels
    return correct


def accuracy_replicates(correct: Array, resamples: int, key: str) -> Array:
    """Mean accuracy and its bootstrap replicates, seeds and test items both resampled.

    The same items are put to the probes of all seeds, so their errors go together: rows and
    columns are resampled independently, the bootstrap of crossed factors, which errs on the wide
    side (Owen 2007, "The pigeonhole bootstrap", arXiv 0712.1111). Outcomes of one shape and key
    are resampled alike, so that replicates of two of them can be subtracted, pair by pair.

    Args:
        correct: 0 or 1, (seeds, items).
        resamples: number of replicates.
        key: seeds the draws.

    Returns:
        (1 + resamples,): the mean, then its replicates.
    """
    seeds, items = correct.shape
    source = np.random.default_rng(generator("probe bootstrap", key).initial_seed())
    of_seeds = source.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples) / seeds
    of_items = source.multinomial(items, np.full(items, 1 / items), size=resamples) / items
    replicates = np.einsum("bs,si,bi->b", of_seeds, correct, of_items, optimize=True)
    return np.concatenate([[correct.mean()], replicates])


def percentile_interval(replicates: Array, confidence: float) -> tuple[float, float]:
    """The percentile interval of finite replicates; NaN where there are none."""
    finite = replicates[np.isfinite(replicates)]
    if len(finite) == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
