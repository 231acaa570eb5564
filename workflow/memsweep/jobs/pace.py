"""How fast runs are trained and evaluated, and so how long what is left of them takes."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping

# Seconds over which the speed of training is looked back on: it changes as other jobs come and go
MEMORY = 60.0


class Pace:
    """The speed of steps, and that of evaluations, each by its own clock.

    Evaluations lie evenly on a logarithmic axis, and so most of them among a run's first steps: who takes them for slow
    steps expects ten times as long as it takes.

    Attributes:
        images: still to be trained on.
        evaluations: still to come, by whether images are generated.
        steps, training_seconds: taken here so far, without the first ones of each run, in which kernels are loaded.
        evaluated, evaluation_seconds: likewise, by whether images were generated.
    """

    def __init__(
        self, images: int, evaluations: Mapping[bool, int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.images, self.evaluations = images, Counter(evaluations)
        self.steps, self.training_seconds = 0, 0.0
        self.evaluated = Counter[bool]()
        self.evaluation_seconds = {False: 0.0, True: 0.0}
        self._recent_images = self._recent_seconds = 0.0
        self._clock, self._mark = clock, clock()

    def skip(self, images: int = 0) -> None:
        """Let the time since the last call count for nothing, nor these images, which are not left any more."""
        self._lap()
        self.images -= images

    def trained(self, steps: int, images: int) -> None:
        """The time since the last call went into so many steps, on so many images."""
        seconds = self._lap()
        self.images -= images
        self.steps += steps
        self.training_seconds += seconds
        kept = math.exp(-seconds / MEMORY)
        self._recent_images = kept * self._recent_images + images
        self._recent_seconds = kept * self._recent_seconds + seconds

    def was_evaluated(self, sampled: bool) -> None:
        """It went into an evaluation; ``sampled``: whether images were generated."""
        self.evaluation_seconds[sampled] += self._lap()
        self.evaluated[sampled] += 1
        self.evaluations[sampled] -= 1

    def leave(self, other: Pace) -> None:
        """What is left of another one, which is part of this one, will not be done."""
        self.images -= max(0, other.images)
        self.evaluations.subtract(other.evaluations)

    def _lap(self) -> float:
        now = self._clock()
        seconds, self._mark = now - self._mark, now
        return seconds

    @property
    def images_per_second(self) -> float | None:
        """The speed of training of late; None before any step was timed."""
        return self._recent_images / self._recent_seconds if self._recent_seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Of training and of evaluations; None before any step was timed."""
        if not self.images_per_second:
            return None
        seen = {kind: self.evaluation_seconds[kind] / count for kind, count in self.evaluated.items() if count}
        slowest = max(seen.values(), default=0.0)  # for a kind that was not seen yet
        evaluating = sum(max(0, left) * seen.get(kind, slowest) for kind, left in self.evaluations.items())
        return max(0, self.images) / self.images_per_second + evaluating
