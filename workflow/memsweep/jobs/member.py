"""A run of a pack with what is on disk of it: what is still to be done, and how it ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..study.run import Run
from ..study.schedule import evaluation_steps, sampled_steps
from .checkpoints import Checkpoint
from .pace import Pace
from .stopping import StoppingRule

FINISHED, DIVERGED, MEMORISED = "finished", "diverged", "memorised"


@dataclass(frozen=True)
class Member:
    """A run of the pack with its checkpoint and the steps at which it is evaluated.

    Attributes:
        settings: those of the job, as they are for this run.
        steps: all of these.
        sampled: those at which images are generated.
        rule: when the run may end before its budget, if it may.
    """

    run: Run
    settings: Mapping[str, Any]
    checkpoint: Checkpoint
    steps: Sequence[int]
    sampled: set[int]
    rule: StoppingRule | None = None

    @classmethod
    def open(cls, run: Run, checkpoints: Path, provenance: dict[str, str], settings: Mapping[str, Any]) -> Member:
        """The run with what is on disk of it, and the job's settings; errors as of `Checkpoint`."""
        settings = run.within(settings)
        budget, evaluation = settings["training"]["budget"], settings["evaluation"]
        schedule = budget, evaluation, run.train_size, run.batch_size
        checkpoint = Checkpoint(checkpoints / run.run_id, provenance)
        rule = StoppingRule.of(settings["training"])
        return cls(run, settings, checkpoint, evaluation_steps(*schedule), sampled_steps(*schedule), rule)

    @property
    def label(self) -> str:
        values = {"learning_rate": f"{self.run.learning_rate:g}", "seed": self.run.seed, **self.run.settings}
        subset = {"subset": self.run.subset} if self.run.subset else {}
        return f"{self.run.run_id} ({' '.join(f'{axis}={value}' for axis, value in {**values, **subset}.items())})"

    @property
    def stopped_at(self) -> int | None:
        """The step after which the rule that holds ended the run, if it did."""
        stopped = self.checkpoint.stopped
        return stopped["at"] if stopped and self.rule and stopped["rule"] == self.rule.record() else None

    @property
    def status(self) -> str:
        if self.checkpoint.diverged_at is not None:
            return DIVERGED
        return FINISHED if self.stopped_at is None else MEMORISED

    @property
    def evaluated_steps(self) -> list[int]:
        """The scheduled steps before the run diverged, and up to where it was stopped, if it was."""
        end, last = self.checkpoint.diverged_at, self.stopped_at
        return [step for step in self.steps if (end is None or step < end) and (last is None or step <= last)]

    @property
    def complete(self) -> bool:
        """Whether every evaluation is on disk, up to where the run diverged or was stopped."""
        return all(self.checkpoint.has_evaluation(step) for step in self.evaluated_steps)

    @property
    def images_left(self) -> int:
        """Images that the run has still to be trained on, about."""
        return (self.run.max_steps - self.checkpoint.saved_step()) * self.run.batch_size

    @property
    def evaluations_left(self) -> Counter[bool]:
        """How many evaluations are still to come, by whether images are generated."""
        return Counter(step in self.sampled for step in self.steps if not self.checkpoint.has_evaluation(step))


def pace_of(members: Iterable[Member]) -> Pace:
    """The pace of runs together, at their start here."""
    waiting = list(members)
    evaluations = sum((member.evaluations_left for member in waiting), Counter[bool]())
    return Pace(sum(member.images_left for member in waiting), evaluations)
