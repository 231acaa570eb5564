"""The stage ``train``: the runs that one job trains, each resumed from where it stands."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from .checkpoints import Checkpoint
from .errors import UserError
from .evaluation import Evaluator, NoisyImages
from .formulation import Formulation, build_formulation
from .images import ImageSet, encode, read_images
from .interruption import Interrupted, StopRequest, stop_requests
from .progress import TrainingProgress
from .provenance import training_code
from .run import Run
from .schedule import evaluation_steps
from .tables import SCHEMAS, write_table
from .training import Trainer, build_network
from .unet import count_parameters

FINISHED, DIVERGED = "finished", "diverged"


@dataclass(frozen=True)
class Member:
    """A run of the pack with its checkpoint and the steps at which it is evaluated."""

    run: Run
    checkpoint: Checkpoint
    steps: Sequence[int]

    @property
    def label(self) -> str:
        return f"{self.run.run_id} (learning_rate={self.run.learning_rate:g} seed={self.run.seed})"

    @property
    def status(self) -> str:
        return FINISHED if self.checkpoint.diverged_at is None else DIVERGED

    @property
    def evaluated_steps(self) -> list[int]:
        """The scheduled steps before the run diverged, if it did."""
        end = self.checkpoint.diverged_at
        return [step for step in self.steps if end is None or step < end]

    @property
    def complete(self) -> bool:
        """Whether every scheduled evaluation is on disk, or the run diverged before its end."""
        return all(self.checkpoint.has_evaluation(step) for step in self.evaluated_steps)


def train_pack(
    settings: Mapping[str, Any],
    images: Path,
    checkpoints: Path,
    output: Path,
    device: str = "auto",
    threads: int = 1,
    checkpoint_seconds: float = 60,
    surrogates: Path | None = None,
) -> None:
    """Train the runs of a pack that are not finished, and write the tables of all of them.

    Args:
        settings: ``runs`` (fields of `grid.Run`), and the config's ``dataset``, ``network``,
            ``formulation``, ``training`` and ``evaluation``.
        images: the prepared image table.
        checkpoints: folder with one checkpoint a run id.
        output: folder that receives ``runs``, ``losses`` and ``samples``, as Parquet.
        device, threads: where to train.
        checkpoint_seconds: longest time between two checkpoints of a run.
        surrogates: the table of those that ``evaluation`` names; not needed where it names none.

    Raises:
        UserError: the device does not exist, a checkpoint is damaged, or a surrogate is missing.
        Interrupted: the job received SIGTERM or SIGINT.
    """
    device = choose_device(device)
    torch.set_num_threads(threads)
    data = read_images(images, surrogates)
    provenance = {"data_hash": data.data_hash, "code_version": training_code()}
    members = [_open_member(Run(**fields), checkpoints, provenance, settings) for fields in settings["runs"]]
    waiting = [member for member in members if not member.complete]
    with stop_requests() as stop, TrainingProgress(_images_left(waiting)) as progress:
        progress.message(f"training {len(waiting)} of {len(members)} runs on {device}; the others are finished")
        for member in waiting:
            if member.checkpoint.stale:
                progress.message(f"{member.label}: starts anew, {member.checkpoint.stale}")
            train_run(member, data, settings, device, checkpoint_seconds, progress, stop)
    write_tables(members, data, settings, output)


def choose_device(wanted: str) -> str:
    """The device to train on: ``cuda`` when asked for or, under ``auto``, when there is one.

    Raises:
        UserError: ``cuda`` is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise UserError("training.device: found cuda, but this machine has no usable GPU; accepted here is auto or cpu")
    return "cuda" if wanted != "cpu" and available else "cpu"


def train_run(
    member: Member,
    data: ImageSet,
    settings: Mapping[str, Any],
    device: str,
    checkpoint_seconds: float,
    progress: TrainingProgress,
    stop: StopRequest,
) -> None:
    """Advance one run from its checkpoint to its last evaluation, or until it diverges."""
    run, checkpoint = member.run, member.checkpoint
    formulation = build_formulation(settings["formulation"], data.classes)
    trainer = Trainer(data, run, settings["network"], formulation, settings["training"]["ema_decay"], device)
    state = checkpoint.load_state()
    if state is not None and not all(checkpoint.has_evaluation(step) for step in member.steps if step < state["step"]):
        progress.message(f"{member.label}: starts anew, an evaluation before step {state['step']} is missing")
        checkpoint.start_anew()
        state = None
    if state is not None:
        trainer.restore(state)
        progress.message(f"{member.label}: continues from step {trainer.step}")
    evaluator = Evaluator(data, run.train_size, settings["evaluation"], formulation, device)
    saved = time.monotonic()
    reported = trainer.step
    for target in member.steps:
        if checkpoint.has_evaluation(target):
            continue
        total = torch.zeros((), device=device)
        while trainer.step < target:
            if stop.received:
                checkpoint.save_state(trainer.state())
                raise Interrupted
            if time.monotonic() - saved >= checkpoint_seconds:
                checkpoint.save_state(trainer.state())
                saved = time.monotonic()
            loss = trainer.advance()
            total += loss
            if progress.due:
                images = (trainer.step - reported) * run.batch_size
                progress.update(member.label, trainer.step, run.max_steps, float(loss), images)
                reported = trainer.step
        evaluation = evaluator(trainer.average)
        if not (torch.isfinite(total) and evaluation.finite):
            progress.message(f"{member.label}: diverged, the loss is not finite at step {target}")
            checkpoint.mark_diverged(target)
            return
        checkpoint.save_evaluation(target, evaluation)
    checkpoint.save_state(trainer.state())


def write_tables(members: Sequence[Member], data: ImageSet, settings: Mapping[str, Any], output: Path) -> None:
    """Write the pack's ``runs``, ``losses`` and ``samples`` from the members' checkpoints."""
    formulation = build_formulation(settings["formulation"], data.classes)
    losses, samples = [], []
    for member in members:
        evaluator = Evaluator(data, member.run.train_size, settings["evaluation"], formulation, "cpu")
        for step in member.evaluated_steps:
            evaluation = member.checkpoint.load_evaluation(step)
            position = {"run_id": member.run.run_id, "step": step}
            losses += [
                pd.DataFrame({**position, "split": split, **_loss_columns(evaluator.items[split], values)})
                for split, values in evaluation.losses.items()
            ]
            samples.append(pd.DataFrame({**position, **_sample_columns(evaluator, evaluation.samples)}))
    shape = {"shape": ",".join(map(str, data.shape)), "channel_order": "height, width, channel"}
    runs = pd.DataFrame([_run_row(member, data, settings, formulation) for member in members])
    write_table(output / "runs.parquet", "runs", runs)
    write_table(output / "losses.parquet", "losses", _stacked(losses, "losses"))
    write_table(output / "samples.parquet", "samples", _stacked(samples, "samples"), shape)


def _loss_columns(items: NoisyImages, losses: np.ndarray) -> dict[str, Any]:
    index, time = items.index.numpy(), items.time.numpy()
    return {"item": np.arange(len(losses)), "index": index, "time": time, "loss": losses}


def _sample_columns(evaluator: Evaluator, images: np.ndarray) -> dict[str, Any]:
    labels = None if evaluator.formulation.unconditional else evaluator.labels.numpy()
    return {"index": np.arange(len(images)), "label": labels, "image": encode(images)}


def _run_row(member: Member, data: ImageSet, settings: Mapping[str, Any], formulation: Formulation) -> dict[str, Any]:
    with torch.device("meta"):
        parameters = count_parameters(build_network(data, member.run, settings["network"], formulation))
    return {
        **dataclasses.asdict(member.run),
        "dataset": settings["dataset"]["name"],
        "parameters": parameters,
        "status": member.status,
        **member.checkpoint.provenance,
    }


def _stacked(frames: Sequence[pd.DataFrame], name: str) -> pd.DataFrame:
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=SCHEMAS[name].names)


def _open_member(run: Run, checkpoints: Path, provenance: dict[str, str], settings: Mapping[str, Any]) -> Member:
    steps = evaluation_steps(settings["training"]["budget"], settings["evaluation"], run.train_size, run.batch_size)
    return Member(run, Checkpoint(checkpoints / run.run_id, provenance), steps)


def _images_left(members: Sequence[Member]) -> int:
    left = 0
    for member in members:
        state = member.checkpoint.load_state()
        left += (member.run.max_steps - (state["step"] if state else 0)) * member.run.batch_size
    return left
