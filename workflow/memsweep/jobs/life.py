"""How a run lives from its checkpoint to its last evaluation."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import time
from collections.abc import Generator

import torch

from ..base.interruption import Interrupted, StopRequest
from .member import Member, pace_of
from .progress import TrainingProgress
from .stopping import Watch
from .workshop import Workshop

# Seconds between two words on how far a run is, at least
TOLD_EVERY = 10.0


class Life:
    """One run on its way from its checkpoint to its last evaluation, or until it diverges."""

    def __init__(self, member: Member, workshop: Workshop, progress: TrainingProgress, stop: StopRequest) -> None:
        """Build the run on the device, at the step of its checkpoint."""
        self.member = member
        self._workshop = workshop
        self._progress = progress
        self._stop = stop
        self._ahead: int | None = None  # the step of a saved state that lies behind a missing evaluation
        self._saved_step: int | None = None
        self._config = workshop.config(member.run)
        self._stream = workshop.streams.take()
        try:
            with torch.cuda.stream(self._stream):
                self._trainer = workshop.trainer(member.run)
                self._restore()
        except BaseException:
            self._return_stream()
            raise
        self._say_not_kept()
        self._watch = self._look_back()
        self._begun = self._trainer.step
        self._saved = time.monotonic()
        self._pace = pace_of([member])
        self._pace.images = (member.run.max_steps - self._trainer.step) * member.run.batch_size
        progress.pace.skip()
        self._warm = False  # whether a step was taken here: the first one loads kernels, and says nothing of the others
        self._tell()
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
        self._tell(running=False)
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
            self._saved_step = state.step
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
            self._pace.skip((state.step - self._trainer.step) * self.member.run.batch_size)
            self._trainer.restore(state.tensors)
            self._progress.message(f"{self.member.label}: continues from step {state.step}")

    def _say_noticed(self) -> None:
        for sentence in self.member.checkpoint.noticed:
            self._progress.message(f"{self.member.label}: {sentence}")
        self.member.checkpoint.noticed.clear()

    def _say_not_kept(self) -> None:
        """Say of which steps the averaged weights are wanted and cannot be had, as the run was past them."""
        member = self.member
        past = [step for step in member.evaluated_steps if step in member.sampled and self._has(step)]
        missing = [step for step in past if not member.checkpoint.has_average(step)]
        if self._workshop.way.keep_averages and missing:
            self._progress.message(
                f"{member.label}: the averaged weights of {len(missing)} steps up to {missing[-1]} are not kept, as it "
                "was evaluated there without; only a run that starts anew has them"
            )

    def _look_back(self) -> Watch | None:
        """Whoever may end the run before its budget, having seen what was evaluated of it so far."""
        member, share_of_copies = self.member, self._workshop.share_of_copies
        if member.rule is None:
            return None
        if share_of_copies is None:
            raise ValueError("training.stop_memorised: whoever trains such runs says which samples are copies")
        images = self._workshop.data.train.images[member.run.training_set.rows]
        watch = Watch(member.rule, images, share_of_copies)
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
                self._stop_if_asked()
                self._save_within()
                self._advance(min(trainer.stride, target - trainer.step))
                self._report()
                yield True
            self._stop_if_asked()
            longest = self._workshop.longest_evaluation
            self._save_within(math.inf if longest is None else longest)  # so that little is lost if it is killed there
            if not self._evaluate(target):
                self._progress.message(f"{member.label}: diverged, the loss is not finite at step {target}")
                member.checkpoint.mark_diverged(target)
                self._progress.pace.leave(self._pace)
                self._say_trained()
                return
            yield True
        self._progress.pace.leave(self._pace)
        self._end()
        self._say_trained()

    def _advance(self, steps: int) -> None:
        """Take so many steps, and count them."""
        self._trainer.advance(steps)
        images = steps * self.member.run.batch_size
        for pace in (self._pace, self._progress.pace):
            if self._warm:
                pace.trained(steps, images)
            else:
                pace.skip(images)
        self._warm = True

    def _evaluate(self, step: int) -> bool:
        """Evaluate and keep what was found; says whether all of it is finite."""
        finite = self._trainer.finite  # waits for the device
        sampled = step in self.member.sampled
        evaluation = self._workshop.evaluate(self._trainer, sampled)
        if finite and evaluation.finite:
            if self._workshop.way.keep_averages and step in self.member.sampled:
                # Ahead of the evaluation: a run that continues takes no step again that was evaluated
                self.member.checkpoint.save_average(step, self._trainer.state(), self._config)
            self.member.checkpoint.save_evaluation(step, evaluation)
            if self._ahead is not None:  # a step before others that were seen
                self._watch = self._look_back()
            elif self._watch and self.member.rule and self._watch.memorised(evaluation):
                self._progress.message(f"{self.member.label}: has memorised at step {step}, and ends there")
                self.member.checkpoint.mark_stopped(step, self.member.rule.record())
        for pace in (self._pace, self._progress.pace):
            pace.was_evaluated(sampled)
        return finite and evaluation.finite

    def _stop_if_asked(self) -> None:
        if self._stop.received:
            self.put_aside()
            raise Interrupted

    def _save_within(self, seconds: float = 0.0) -> None:
        """Save the run where so much later its last checkpoint would be older than it may be."""
        if time.monotonic() + seconds - self._saved >= self._workshop.way.checkpoint_seconds:
            self._save()

    def _save(self) -> None:
        step = self._trainer.step
        if self._ahead is None and step != self._saved_step:  # else a later state is there, or this one
            self.member.checkpoint.save_state(self._trainer.state(), self._config)
            self._saved_step = step
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
            self._progress.update(self.member.label, trainer.step, run.max_steps, trainer.recent_loss())
        if time.monotonic() - self._told >= TOLD_EVERY:
            self._tell()

    def _tell(self, running: bool = True) -> None:
        """Put beside the checkpoint how far the run is, for whoever watches."""
        pace = self._pace
        self.member.checkpoint.save_progress(
            {
                "step": self._trainer.step,
                "running": running,
                "device": self._workshop.device.type,
                "host": socket.gethostname(),
                "process": os.getpid(),
                "images_per_second": pace.images_per_second,
                "seconds_left": pace.seconds_left,
                "trained": {"steps": pace.steps, "seconds": pace.training_seconds},
                "evaluated": {
                    "count": pace.evaluated.total(),
                    "sampled": pace.evaluated[True],
                    "seconds": sum(pace.evaluation_seconds.values()),
                },
            }
        )
        self._told = time.monotonic()
