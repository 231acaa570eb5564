"""When an overlap has recovered its spike for good, followed step by step.

A replica has recovered a spike at the first step from which on its overlap stays above a threshold,
in absolute value, for at least ``hold`` times as long as it took to get there: from step s to a step
that is no less than s (1 + hold), both as numbers of double precision. An overlap that
crosses the threshold by fluctuation and falls back has recovered nothing. A replica whose run ended
before that is censored at the last step at which a recovery could still have been told, T / (1 + hold)
for T steps, the same for all: where it was last below depends on the path, and later recoveries are never seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

SPIKES = ("u", "v")
"""The spikes, in the order of the overlaps."""


class Tracker:
    """Follows overlaps, block after block, and says when each recovered.

    Attributes:
        recovered: step of the recovery, infinite where there is none yet, shape (...).
        below: last step at which the overlap was below the threshold, 0 where it never was, shape (...).
        step: how many steps were followed.
    """

    def __init__(self, shape: Sequence[int], threshold: float, hold: float) -> None:
        """shape: of the overlaps of one step; threshold: on |overlap|; hold: see the module."""
        self.threshold, self.hold = threshold, hold
        self.recovered = torch.full(tuple(shape), math.inf, dtype=torch.float64)
        self.below = torch.zeros(tuple(shape), dtype=torch.int64)
        self.step = 0

    def follow(self, overlaps: Tensor, step: int) -> None:
        """Take in the steps after ``step``; overlaps: shape (steps, ...)."""
        steps = torch.arange(step + 1, step + 1 + len(overlaps)).view(-1, *[1] * (overlaps.dim() - 1))
        below = overlaps.abs() < self.threshold
        last = torch.where(below, steps, 0)
        last[0] = torch.maximum(last[0], self.below)
        last = last.cummax(0).values
        # In double precision: in torch's default of single, a small hold is none, and so are single steps of many
        since = last.double() + 1
        held = ~below & (steps >= since * (1 + self.hold))
        first = held.to(torch.uint8).argmax(0, keepdim=True)
        new = held.any(0) & self.recovered.isinf()
        self.recovered = torch.where(new, since.gather(0, first)[0], self.recovered)
        self.below = last[-1]
        self.step = step + len(overlaps)

    def table(self) -> pd.DataFrame:
        """One row for each spike and replica of overlaps of shape (2, replicas): the table ``unit_recoveries``."""
        recovered, last = self.recovered.numpy(), max(1.0, self.step / (1 + self.hold))
        censored = np.isinf(recovered)
        parts = [
            pd.DataFrame(
                {
                    "spike": spike,
                    "replica": np.arange(recovered.shape[1]),
                    "samples": np.where(censored[row], last, recovered[row]),
                    "censored": censored[row],
                }
            )
            for row, spike in enumerate(SPIKES)
        ]
        return pd.concat(parts, ignore_index=True)
