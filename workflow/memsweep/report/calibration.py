"""What steps and evaluations take on a machine, from some that were timed there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import nnls


@dataclass(frozen=True)
class Work:
    """What a run takes of a device, counted.

    Attributes:
        steps, evaluations: how many.
        step_flops, evaluation_flops: floating-point operations of one; of an evaluation their mean.
    """

    steps: float
    evaluations: float
    step_flops: float
    evaluation_flops: float


@dataclass(frozen=True)
class Timed:
    """Some steps or evaluations that were timed: operations and seconds of one, and seconds of all."""

    flops: float
    seconds: float
    total: float


@dataclass
class Calibration:
    """Seconds of one step, and of one evaluation: a constant, for what a call costs, and a rate of operations.

    Attributes:
        steps, evaluations: those that were timed.
    """

    steps: list[Timed] = field(default_factory=list)
    evaluations: list[Timed] = field(default_factory=list)

    def add(self, work: Work, training_seconds: float, evaluation_seconds: float) -> None:
        """Take in what was timed of a run."""
        for found, count, flops, seconds in (
            (self.steps, work.steps, work.step_flops, training_seconds),
            (self.evaluations, work.evaluations, work.evaluation_flops, evaluation_seconds),
        ):
            if count > 0 and seconds > 0:
                found.append(Timed(flops, seconds / count, seconds))

    def seconds(self, work: Work) -> float | None:
        """Seconds that some work takes; None where nothing of its kind was timed."""
        total = 0.0
        for found, count, flops in (
            (self.steps, work.steps, work.step_flops),
            (self.evaluations, work.evaluations, work.evaluation_flops),
        ):
            if count > 0:
                if not found:
                    return None
                constant, rate = line(found)
                total += count * (constant + rate * flops)
        return total


def line(timed: Sequence[Timed]) -> tuple[float, float]:
    """Seconds of one as a constant, and a rate per operation, neither negative.

    By least squares of relative errors, each weighted by the time that it stands for. Where all have as many
    operations, the constant is zero.
    """
    flops, seconds, total = (np.array([getattr(one, name) for one in timed]) for name in Timed.__dataclass_fields__)
    scale, weights = flops.max(), np.sqrt(total)
    if np.ptp(flops) < 1e-3 * scale:
        return 0.0, float(np.average(seconds / flops, weights=total))
    rows = np.stack([1 / seconds, flops / scale / seconds], axis=1)
    (constant, rate), _ = nnls(weights[:, None] * rows, weights)
    return float(constant), float(rate / scale)
