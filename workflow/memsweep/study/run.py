"""One run of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .axes import is_short
from .training_sets import TrainingSet


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
        subset: which of the training sets of this size, which share no image.
        settings: the other axes' values, by dotted path, as tables hold them.
        sections: of the config's sections those that are others for this run, whole, by name.
    """

    run_id: str
    train_size: int
    base_channels: int
    batch_size: int
    learning_rate: float
    seed: int
    max_steps: int
    subset: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    sections: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def training_set(self) -> TrainingSet:
        """The images that it is trained on."""
        return TrainingSet(self.train_size, self.subset)

    def at(self, axis: str) -> Any:
        """Its value on an axis of its grid, by name."""
        return getattr(self, axis) if is_short(axis) else self.settings[axis]

    def within(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings of a study, or of a job, as they are for this run."""
        return {**settings, **self.sections}
