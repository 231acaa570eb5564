"""One run of a sweep."""

from __future__ import annotations

from dataclasses import dataclass

AXES = ("train_size", "base_channels", "batch_size", "learning_rate", "seed")
# Those along which something is to be seen; a seed is a repetition
SWEPT_AXES = AXES[:-1]


@dataclass(frozen=True)
class Run:
    """One point of the grid.

    Attributes:
        run_id: hash of every parameter that can change the run's trajectory; the budget is
            not one of them, so a longer run continues a shorter one, unless the learning
            rate falls until the end of it.
        train_size: training images N.
        base_channels: channels of the first level, the model size axis.
        batch_size: images per step B.
        learning_rate: step size of the optimiser.
        seed: seed of the initialisation and of the training noise.
        max_steps: the step at which the run ends, that of its last evaluation.
    """

    run_id: str
    train_size: int
    base_channels: int
    batch_size: int
    learning_rate: float
    seed: int
    max_steps: int
