"""Ends a run once it has memorised, where that is asked for: what it would still do changes no onset.

The rule waits until every definition of the onset (see `study.onsets`) has been met for good at two
evaluations in a row: almost every sample is a copy, the test loss is above the training loss by more
than either threshold, and above its lowest value by more than a margin. A curve that later fell back
below a threshold would leave its first lasting crossing where it is, and a new minimum of the test
loss would have to lie below one that the run has left by that margin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..training.evaluation import Evaluation

# The share of samples (n, H, W, C) that are copies of images (m, H, W, C), under a threshold on d1 / d2. Whoever has
# runs end hands it in: training knows no metric.
ShareOfCopies = Callable[[np.ndarray, np.ndarray, float], float]

# Test loss over its lowest value before, less 1, from which it counts as left behind.
MARGIN = 0.25


@dataclass(frozen=True)
class StoppingRule:
    """When a run may end before its budget.

    Attributes:
        share: of samples that are copies, at least.
        copy_threshold: on d1 / d2, below which a sample is a copy.
        loss_gap_absolute, loss_gap_relative: thresholds of the onset.
    """

    share: float
    copy_threshold: float
    loss_gap_absolute: float
    loss_gap_relative: float

    @classmethod
    def of(cls, training: Mapping[str, Any]) -> StoppingRule | None:
        """The rule among the settings of ``training``, if there is one."""
        return cls(**training["stop_memorised"]) if training.get("stop_memorised") else None

    def record(self) -> dict[str, float]:
        """The rule as JSON holds it."""
        return asdict(self)


class Watch:
    """Sees a run's evaluations in their order, and says when the run has memorised."""

    def __init__(self, rule: StoppingRule, images: np.ndarray, share_of_copies: ShareOfCopies) -> None:
        """images: the run's training images, (n, H, W, C) uint8."""
        self._rule = rule
        self._images = images
        self._share_of_copies = share_of_copies
        self._lowest = np.inf
        self._met_before = False

    def memorised(self, evaluation: Evaluation) -> bool:
        """Whether the rule is met at this evaluation and was at the one before.

        An evaluation without samples is judged by its losses alone.
        """
        train, test = (float(evaluation.losses[split].mean(dtype=np.float64)) for split in ("train", "test"))
        gap = test - train
        met = (
            gap > self._rule.loss_gap_absolute
            and gap > self._rule.loss_gap_relative * train
            and test > (1 + MARGIN) * self._lowest
            and (self._met_before or len(evaluation.samples) > 0)
            and self._copied(evaluation.samples)
        )
        self._lowest = min(self._lowest, test)
        twice, self._met_before = met and self._met_before, met
        return twice

    def _copied(self, samples: np.ndarray) -> bool:
        if not len(samples):
            return True
        return self._share_of_copies(samples, self._images, self._rule.copy_threshold) >= self._rule.share
