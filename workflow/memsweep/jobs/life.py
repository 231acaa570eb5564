"""The runs of a pack, each with its checkpoint, and how one of them lives from there to its end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..base.devices import Streams
from ..base.interruption import Interrupted, StopRequest
from ..data.images import ImageSet
from ..diffusion.formulation import Formulation, build_formulation
from ..study.cost import NetworkCost, evaluation_memory, gpu_memory, network_cost, training_memory
from ..study.run import Run
from ..study.schedule import evaluation_steps, sampled_steps
from ..training.evaluation import Evaluation, Evaluator, InferenceNetwork, images_a_pass
from ..training.trainer import DeviceImages, Trainer, TrainingOptions
from .checkpoints import Checkpoint
from .progress import TrainingProgress
from .stopping import ShareOfCopies, StoppingRule, Watch

FINISHED, DIVERGED, MEMORISED = "finished", "diverged", "memorised"


@dataclass(frozen=True)
class Member:
    """A run of the pack with its checkpoint and the steps at which it is evaluated.

    Attributes:
        steps: all of these.
        sampled: those at which images are generated.
        rule: when the run may end before its budget, if it may.
    """

    run: Run
    checkpoint: Checkpoint
    steps: Sequence[int]
    sampled: set[int]
    rule: StoppingRule | None = None

    @classmethod
    def open(cls, run: Run, checkpoints: Path, provenance: dict[str, str], settings: Mapping[str, Any]) -> Member:
        """The run with what is on disk of it; errors as of `Checkpoint`."""
        budget, evaluation = settings["training"]["budget"], settings["evaluation"]
        schedule = budget, evaluation, run.train_size, run.batch_size
        checkpoint = Checkpoint(checkpoints / run.run_id, provenance)
        rule = StoppingRule.of(settings["training"])
        return cls(run, checkpoint, evaluation_steps(*schedule), sampled_steps(*schedule), rule)

    @property
    def label(self) -> str:
        return f"{self.run.run_id} (learning_rate={self.run.learning_rate:g} seed={self.run.seed})"

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


@dataclass(frozen=True)
class Way:
    """How runs are trained, which changes none of their numbers.

    Attributes:
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: CPU cores of the job: as many runs are trained side by side there.
        together: runs that are trained side by side on a GPU, at most.
        checkpoint_seconds: least time between two checkpoints of a run.
        keep_states: whether the training state of a finished run is kept, to continue from.
        recompute: whether activations are computed again in the backward pass, to save memory.
        deterministic: whether only GPU kernels are used that give the same bits every time.
    """

    device: str = "auto"
    threads: int = 1
    together: int = 16
    checkpoint_seconds: float = 60.0
    keep_states: bool = True
    recompute: bool = False
    deterministic: bool = False


@dataclass
class Workshop:
    """What the runs of a job share: data and settings, and what of them lies on the device."""

    settings: Mapping[str, Any]
    data: ImageSet
    way: Way
    device: torch.device
    share_of_copies: ShareOfCopies | None = None  # for runs that may end once they have memorised
    _images: DeviceImages | None = None
    _evaluators: dict[int, Evaluator] = field(default_factory=dict)
    _networks: dict[int, InferenceNetwork] = field(default_factory=dict)
    evaluating: float = 0.0  # seconds that evaluations of these runs have taken so far

    def __post_init__(self) -> None:
        self.streams = Streams(self.device)
        # Evaluations have one that never trains, of another priority and so not among those: their graphs, captured
        # once, go on using its workspace, and must neither share it with a run nor lose it when the run ends
        on_gpu = self.device.type == "cuda"
        self._evaluation_stream = torch.cuda.Stream(self.device, priority=-1) if on_gpu else None

    @property
    def formulation(self) -> Formulation:
        return build_formulation(self.settings["formulation"], self.data.classes)

    @property
    def options(self) -> TrainingOptions:
        return TrainingOptions.of(self.settings["training"])

    def trainer(self, run: Run) -> Trainer:
        """The run at its step 0."""
        if self._images is None:
            largest = max(fields["train_size"] for fields in self.settings["runs"])
            self._images = DeviceImages.load(self.data, largest, self.device)
        network, recompute = self.settings["network"], self.way.recompute
        return Trainer(
            self.data, run, network, self.formulation, self.options, self.device, self._images, recompute=recompute
        )

    def evaluator(self, train_size: int) -> Evaluator:
        """Of the runs with this training set."""
        if train_size not in self._evaluators:
            self._evaluators[train_size] = Evaluator(
                self.data, train_size, self.settings["evaluation"], self.formulation, self.device
            )
        return self._evaluators[train_size]

    def evaluate(self, trainer: Trainer, sampled: bool) -> Evaluation:
        """Evaluate the averaged weights of a run whose steps are all done; with images where ``sampled``."""
        started = time.monotonic()
        try:
            with torch.cuda.stream(self._evaluation_stream):
                denoiser = self._inference(trainer).load(trainer.average)
                return self.evaluator(trainer.run.train_size)(denoiser, sampled)
        finally:
            if self._evaluation_stream:  # what failed may have left work behind that reads the run's weights
                self._evaluation_stream.synchronize()
            self.evaluating += time.monotonic() - started

    def _inference(self, trainer: Trainer) -> InferenceNetwork:
        """The network that evaluates runs of this one's architecture."""
        size = trainer.run.base_channels
        if size not in self._networks:
            self._networks[size] = InferenceNetwork(trainer.average, self.options.dtype)
        return self._networks[size]

    def memory(self, run: Run) -> int:
        """Bytes that training the run takes, about: its state, and the activations of a batch."""
        images = -(-run.batch_size // self.options.accumulate)
        if self.device.type == "cpu":
            return int(training_memory(self._cost(run), images))
        return int(gpu_memory(self._cost(run), images, self.options.precision))

    def evaluation_memory(self, runs: Iterable[Run]) -> int:
        """Bytes of a GPU that evaluating these runs takes, once for all of an architecture."""
        if self.device.type == "cpu":
            return 0  # where each run's process evaluates when it does not train
        images = images_a_pass(max(self.settings["evaluation"][key] for key in ("images", "samples")))
        costs = {run.base_channels: self._cost(run) for run in runs}
        return int(sum(evaluation_memory(cost, images, self.options.precision) for cost in costs.values()))

    def _cost(self, run: Run) -> NetworkCost:
        height, width, channels = self.data.shape
        shape, labels = (channels, height, width), self.formulation.labels
        return network_cost(shape, labels, run.base_channels, self.settings["network"])


class Life:
    """One run on its way from its checkpoint to its last evaluation, or until it diverges."""

    def __init__(self, member: Member, workshop: Workshop, progress: TrainingProgress, stop: StopRequest) -> None:
        """Build the run on the device, at the step of its checkpoint."""
        self.member = member
        self._workshop = workshop
        self._progress = progress
        self._stop = stop
        self._ahead: int | None = None  # the step of a saved state that lies behind a missing evaluation
        self._stream = workshop.streams.take()
        try:
            with torch.cuda.stream(self._stream):
                self._trainer = workshop.trainer(member.run)
                self._restore()
        except BaseException:
            self._return_stream()
            raise
        self._watch = self._look_back()
        self._begun = self._reported = self._trainer.step
        self._saved = time.monotonic()
        self._slices = self._live()

    @property
    def ready(self) -> bool:
        """Whether the device waits for more of this run."""
        return self._trainer.ready

    def proceed(self) -> bool:
        """Go on by one slice of steps, or one evaluation; says whether the run goes on after it.

        Raises:
            Interrupted: the job was asked to stop; the run is saved.
        """
        with torch.cuda.stream(self._stream):
            return next(self._slices, False)

    def put_aside(self) -> None:
        """Save the run, to be continued later."""
        with torch.cuda.stream(self._stream):
            self._save()
        self._say_trained()

    def let_go(self) -> None:
        """Give back what the run holds on the device, though others still refer to it; it cannot proceed any more."""
        self._slices.close()
        self._return_stream()
        del self._trainer, self._watch, self._slices

    def _return_stream(self) -> None:
        """Give the stream to the next run, once the device has done all it was handed for this one."""
        if self._stream is not None:
            with contextlib.suppress(RuntimeError):  # of work that failed, which has been reported
                self._stream.synchronize()
        self._workshop.streams.give_back(self._stream)

    def _restore(self) -> None:
        """Go on from the saved state or, where an evaluation before it is missing, from the start until it is there."""
        member, checkpoint = self.member, self.member.checkpoint
        if checkpoint.stale:
            self._progress.message(f"{member.label}: starts anew, {checkpoint.stale}")
        state = checkpoint.load_state()
        self._say_noticed()
        if state is None:
            return
        missing = next((step for step in member.evaluated_steps if step < state.step and not self._has(step)), None)
        if missing is None:
            self._trainer.restore(state.tensors)
            self._progress.message(f"{member.label}: continues from step {state.step}")
        else:
            self._ahead = state.step
            self._progress.message(
                f"{member.label}: trained from its start, as its evaluation at step {missing} is missing; the "
                f"others are kept, and it continues from step {state.step} once none before it is missing"
            )

    def _has(self, step: int) -> bool:
        return self.member.checkpoint.has_evaluation(step)

    def _catch_up(self, target: int) -> None:
        """Continue from the saved state once the next missing evaluation, at ``target``, lies behind it."""
        if self._ahead is None or target < self._ahead:
            return
        state = self.member.checkpoint.load_state()
        self._ahead = None
        if state is not None and self._trainer.step < state.step <= target:
            self._begun += state.step - self._trainer.step  # steps that are not taken here
            self._trainer.restore(state.tensors)
            self._reported = state.step
            self._progress.message(f"{self.member.label}: continues from step {state.step}")

    def _say_noticed(self) -> None:
        for sentence in self.member.checkpoint.noticed:
            self._progress.message(f"{self.member.label}: {sentence}")
        self.member.checkpoint.noticed.clear()

    def _look_back(self) -> Watch | None:
        """Whoever may end the run before its budget, having seen what was evaluated of it so far."""
        member, share_of_copies = self.member, self._workshop.share_of_copies
        if member.rule is None:
            return None
        if share_of_copies is None:
            raise ValueError("training.stop_memorised: whoever trains such runs says which samples are copies")
        watch = Watch(member.rule, self._workshop.data.train.images[: member.run.train_size], share_of_copies)
        for step in member.steps:
            if member.checkpoint.has_evaluation(step) and watch.memorised(member.checkpoint.load_evaluation(step)):
                member.checkpoint.mark_stopped(step, member.rule.record())
                break
        return watch

    def _live(self) -> Generator[bool, None, None]:
        member, trainer = self.member, self._trainer
        for target in member.steps:
            if member.complete:
                break
            if self._has(target):
                continue
            self._catch_up(target)
            while trainer.step < target:
                if self._stop.received:
                    self.put_aside()
                    raise Interrupted
                if time.monotonic() - self._saved >= self._workshop.way.checkpoint_seconds:
                    self._save()
                trainer.advance(min(trainer.stride, target - trainer.step))
                self._report()
                yield True
            if not self._evaluate(target):
                self._progress.message(f"{member.label}: diverged, the loss is not finite at step {target}")
                member.checkpoint.mark_diverged(target)
                self._say_trained()
                return
            yield True
        self._end()
        self._say_trained()

    def _evaluate(self, step: int) -> bool:
        """Evaluate and keep what was found; says whether all of it is finite."""
        finite = self._trainer.finite  # waits for the device
        evaluation = self._workshop.evaluate(self._trainer, step in self.member.sampled)
        if finite and evaluation.finite:
            self.member.checkpoint.save_evaluation(step, evaluation)
            if self._ahead is not None:  # a step before others that were seen
                self._watch = self._look_back()
            elif self._watch and self.member.rule and self._watch.memorised(evaluation):
                self._progress.message(f"{self.member.label}: has memorised at step {step}, and ends there")
                self.member.checkpoint.mark_stopped(step, self.member.rule.record())
        return finite and evaluation.finite

    def _save(self) -> None:
        if self._ahead is None:  # else a later state is there
            self.member.checkpoint.save_state(self._trainer.state())
        self._saved = time.monotonic()

    def _end(self) -> None:
        """Keep of the states what is asked for."""
        if self._workshop.way.keep_states:
            self._save()
            self.member.checkpoint.forget_state_before()
        else:
            self.member.checkpoint.drop_state()

    def _say_trained(self) -> None:
        """Say how many steps were taken here, so that the attempts of a job can be added up."""
        step = self._trainer.step
        self._progress.message(f"{self.member.label}: trained {step - self._begun} steps, to step {step}")

    def _report(self) -> None:
        if self._progress.due:
            trainer, run = self._trainer, self.member.run
            images = (trainer.step - self._reported) * run.batch_size
            self._progress.update(self.member.label, trainer.step, run.max_steps, trainer.recent_loss(), images)
            self._reported = trainer.step
