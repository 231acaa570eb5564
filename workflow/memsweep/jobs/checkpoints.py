"""What a run leaves on disk while it trains, so that nothing is lost and nothing trained twice.

One folder per run id, outside of Snakemake's declared outputs, which it deletes when a job
fails. Every file in it is written whole or not at all.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..base.errors import UserError
from ..base.files import read_json, remove_leftovers, write_json
from ..base.records import PROGRESS
from ..base.sealed import Damaged, sealed_digest
from ..base.tensors import load_tensors, save_tensors, tensors_metadata
from ..training.evaluation import Evaluation

Provenance = dict[str, str]
Stop = dict[str, Any]

STATE, STATE_BEFORE = "state.safetensors", "state-before.safetensors"
EVALUATIONS = "evaluation-*.safetensors"
AVERAGES = "average-*.safetensors"
# Before the names of averaged weights, in a training state and in a file of them alone
AVERAGE = "average."


def average_weights(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The averaged weights among the tensors of a file, by their names in the network."""
    return {name.removeprefix(AVERAGE): tensor for name, tensor in tensors.items() if name.startswith(AVERAGE)}


@dataclass(frozen=True)
class State:
    """A training state: the step that it was saved at, and its tensors by name."""

    step: int
    tensors: dict[str, Tensor]


class Checkpoint:
    """The files of one run.

    * ``run.json``: what the run was trained on and with (its provenance), and where it
      diverged or was ended by a rule, if it did;
    * ``state.safetensors``: the training state at some step and, while the run goes on,
      ``state-before.safetensors``, the one saved before it;
    * ``evaluation-<step>.safetensors``: what was found at that step;
    * ``average-<step>.safetensors``: the averaged weights of that step, where they are kept.
    * ``progress.json``: how far the run is, for whoever watches. It decides nothing, and may be missing.

    Each says whose it is and carries a digest of itself. What is damaged, or of another run, is set aside
    under the name ``damaged-...``, and the run goes on from what is left.

    Attributes:
        stale: what differed from the provenance of an earlier checkpoint, if anything did.
        diverged_at: step at which the loss was no longer finite, if it was.
        stopped: where a rule ended the run, if one did.
        noticed: sentences on what was set aside.
    """

    def __init__(self, folder: Path, provenance: Provenance) -> None:
        """Open the checkpoint in ``folder``, whose name is the run's id, or start one there.

        A checkpoint of other data or of other training code is not continued: the run
        starts anew, and `stale` says what differed.

        Raises:
            UserError: the folder holds something that is not a checkpoint.
        """
        self.folder = folder
        self.provenance = provenance
        self.stale: str | None = None
        self.diverged_at: int | None = None
        self.stopped: Stop | None = None
        self.noticed: list[str] = []
        self._remove_leftovers()
        record = self._read_record()
        if record is not None and record["provenance"] != provenance:
            found = record["provenance"]
            self.stale = ", ".join(f"{key} was {found.get(key)}, is {provenance[key]}" for key in provenance)
            self.start_anew()
        elif record is None:
            self._write_record()
        else:
            self.diverged_at = record["diverged_at"]
            self.stopped = record.get("stopped")
            for path in sorted([*self.folder.glob(EVALUATIONS), *self.folder.glob(AVERAGES)]):
                self._check(path)

    def start_anew(self) -> None:
        """Forget what was trained."""
        if self.folder.exists():
            # Aside at once: what a killed process leaves of it is no checkpoint of another provenance
            aside = self.folder.with_name(f".{self.folder.name}.old")
            shutil.rmtree(aside, ignore_errors=True)
            self.folder.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
        self.diverged_at = self.stopped = None
        self._write_record()

    def _remove_leftovers(self) -> None:
        """Delete what a killed process had not finished writing."""
        for name in ("run.json", PROGRESS, STATE, STATE_BEFORE, EVALUATIONS, AVERAGES):
            remove_leftovers(self.folder, name)

    def _read_record(self) -> dict[str, Any] | None:
        path = self.folder / "run.json"
        if not path.exists():
            if self.folder.exists() and any(not entry.name.startswith(".") for entry in self.folder.iterdir()):
                raise UserError(f"{self.folder}: not a checkpoint (it has no run.json); move it away to train this run")
            return None
        try:
            record = read_json(path)
            record["provenance"], record["diverged_at"]
            if record["run_id"] != self.folder.name:
                raise Damaged(f"{path}: of the run {record['run_id']}")
        except (Damaged, KeyError, TypeError):
            raise UserError(f"{path}: not the record of this run; delete its folder to train it again") from None
        return record

    def _write_record(self) -> None:
        record: dict[str, Any] = {"run_id": self.folder.name, "provenance": self.provenance}
        record["diverged_at"] = self.diverged_at
        if self.stopped:
            record["stopped"] = self.stopped
        write_json(self.folder / "run.json", record)

    def mark_diverged(self, step: int) -> None:
        """Record that the loss was no longer finite at ``step``."""
        self.diverged_at = step
        self._write_record()

    def mark_stopped(self, step: int, rule: dict[str, float]) -> None:
        """Record that a rule ended the run after ``step``. Under another rule, or none, it goes on from there."""
        self.stopped = {"at": step, "rule": rule}
        self._write_record()

    def load_state(self) -> State | None:
        """The last saved training state that is whole, on the CPU; None where there is none."""
        for name in (STATE, STATE_BEFORE):
            if tensors := self._read(self.folder / name):
                return State(int(tensors["count"]), tensors)
        return None

    def saved_step(self) -> int:
        """The step of the last saved training state, as its file says; 0 where there is none that can be read."""
        try:
            return int(tensors_metadata(self.folder / STATE).get("step", 0))
        except (Damaged, OSError):
            return 0

    def save_state(self, tensors: dict[str, Tensor], config: str) -> None:
        """Save a training state, whose ``count`` is the steps taken, and keep the one before.

        ``config`` is what the file says of the network and of its training, as JSON, for others to read.
        """
        metadata = {**self._metadata(int(tensors["count"])), "config": config}
        save_tensors(self.folder / STATE, tensors, metadata, before=self.folder / STATE_BEFORE)

    def forget_state_before(self) -> None:
        """Keep only the last of the saved states, as of a run that has ended."""
        (self.folder / STATE_BEFORE).unlink(missing_ok=True)

    def drop_state(self) -> None:
        """Delete the saved training states."""
        (self.folder / STATE).unlink(missing_ok=True)
        self.forget_state_before()

    def save_progress(self, progress: dict[str, Any]) -> None:
        """Say how far the run is; where that cannot be written, training goes on all the same."""
        with contextlib.suppress(OSError):
            write_json(self.folder / PROGRESS, {"run_id": self.folder.name, **progress})

    def sizes(self) -> dict[str, int]:
        """Bytes on disk: of the training states, averaged weights among them, and of the evaluations."""
        patterns = {"states": ("state*.safetensors", AVERAGES), "evaluations": (EVALUATIONS,)}
        return {
            name: sum(file.stat().st_size for pattern in several for file in self.folder.glob(pattern))
            for name, several in patterns.items()
        }

    def _at(self, files: str, step: int) -> Path:
        """The file of a step among those of a pattern."""
        return self.folder / files.replace("*", f"{step:08d}")

    def has_average(self, step: int) -> bool:
        """Whether the averaged weights of this step are kept."""
        return self._at(AVERAGES, step).exists()

    def save_average(self, step: int, tensors: Mapping[str, Tensor], config: str) -> None:
        """Keep the averaged weights among the tensors of a state at ``step``; ``config`` as of `save_state`."""
        average = {name: tensor for name, tensor in tensors.items() if name.startswith(AVERAGE)}
        save_tensors(self._at(AVERAGES, step), average, {**self._metadata(step), "config": config})

    def has_evaluation(self, step: int) -> bool:
        """Whether this step was evaluated."""
        return self._at(EVALUATIONS, step).exists()

    def save_evaluation(self, step: int, evaluation: Evaluation) -> None:
        """Keep what was found at ``step``."""
        tensors = {f"losses.{split}": torch.from_numpy(losses) for split, losses in evaluation.losses.items()}
        tensors["samples"] = torch.from_numpy(evaluation.samples)
        save_tensors(self._at(EVALUATIONS, step), tensors, self._metadata(step))

    def load_evaluation(self, step: int) -> Evaluation:
        """What was found at ``step``.

        Raises:
            UserError: the file is missing, or was damaged since the checkpoint was opened.
        """
        path = self._at(EVALUATIONS, step)
        tensors = self._read(path)
        if tensors is None:
            raise UserError(f"{path}: missing or damaged; the same command again evaluates this step again")
        losses = {name.removeprefix("losses."): tensors[name].numpy() for name in tensors if name != "samples"}
        return Evaluation(losses=losses, samples=tensors["samples"].numpy())

    def _metadata(self, step: int) -> dict[str, str]:
        """What every file of the run says of itself."""
        return {"run_id": self.folder.name, "step": str(step), **self.provenance}

    def _read(self, path: Path) -> dict[str, Tensor] | None:
        """The tensors of a file of this run; None where there is none, or it had to be set aside."""
        if not path.exists():
            return None
        try:
            tensors, metadata = load_tensors(path)
            self._check_metadata(path, metadata)
        except Damaged as error:
            self._set_aside(path, error)
            return None
        return tensors

    def _check_metadata(self, path: Path, metadata: dict[str, str]) -> None:
        step = int(metadata.get("step", -1))
        for key, wanted in self._metadata(step).items():
            if metadata.get(key) != wanted:
                raise Damaged(f"{path}: its {key} is {metadata.get(key)}, not {wanted}")
        for files in (EVALUATIONS, AVERAGES):
            if path.match(files) and path != self._at(files, step):
                raise Damaged(f"{path}: of step {step}")

    def _check(self, path: Path) -> None:
        """Set a file aside that is not whole, or not this run's."""
        try:
            sealed_digest(path)
            self._check_metadata(path, tensors_metadata(path))
        except Damaged as error:
            self._set_aside(path, error)

    def _set_aside(self, path: Path, error: Damaged) -> None:
        aside = path.with_name(f"damaged-{path.name}")
        path.replace(aside)
        self.noticed.append(f"{error}; it is kept as {aside.name}, and the run goes on without it")
