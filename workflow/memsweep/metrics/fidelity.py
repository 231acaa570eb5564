"""Fidelity: how far the samples' distribution is from that of a set of images.

Each distance is prepared with its reference, whose part of the work is then done once, and
called with generated features. Every interval is that of the generated sample, the reference
being a fixed set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from .estimate import Distance
from .frechet import Frechet, FrechetInfinity
from .kid import Kid
from .sliced_wasserstein import SlicedWasserstein, directions

FRECHET = ("frechet", "frechet_infinity")


class Metric(Protocol):
    """A distance that is prepared with its reference."""

    def value(self, generated: np.ndarray) -> float:
        """The distance of generated features, (m, d), without an interval."""

    def __call__(self, generated: np.ndarray, strata: np.ndarray | None = None) -> Distance:
        """The distance of generated features, (m, d), m at least 2; ``strata`` as of `standard_error`."""


def _sliced_wasserstein(reference: np.ndarray, settings: Mapping[str, Any]) -> SlicedWasserstein:
    return SlicedWasserstein(reference, directions(reference.shape[1], settings["projections"]), settings["confidence"])


# The distances that config can ask for, each prepared with a reference and the settings of `measure`.
DISTANCES: dict[str, Callable[[np.ndarray, Mapping[str, Any]], Metric]] = {
    "sliced_wasserstein": _sliced_wasserstein,
    "frechet": lambda reference, settings: Frechet(reference, settings["confidence"]),
    "frechet_infinity": lambda reference, settings: FrechetInfinity(reference, settings["confidence"]),
    "kid": lambda reference, settings: Kid(reference, settings["confidence"]),
}
