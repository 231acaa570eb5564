"""What a run leaves on disk while it trains, so that nothing is lost and nothing trained twice.

One folder per run id, outside of Snakemake's declared outputs, which it deletes when a job
fails. Every file in it is written whole or not at all.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..base.errors import UserError
from ..base.files import replacing, save
from ..training.evaluation import Evaluation

Provenance = dict[str, str]
Stop = dict[str, Any]


class Checkpoint:
    """The files of one run.

    * ``run.json``: what the run was trained on and with (its provenance), and where it
      diverged or was ended by a rule, if it did;
    * ``state.pt``: the training state at some step;
    * ``evaluation-<step>.npz``: what was found at that step.
    """

    def __init__(self, folder: Path, provenance: Provenance) -> None:
        """Open the checkpoint in ``folder``, or start one there.

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
        for name in ("run.json", "state.pt", "evaluation-*.npz"):
            for leftover in self.folder.glob(f".{name}.*"):
                leftover.unlink(missing_ok=True)

    def _read_record(self) -> dict[str, Any] | None:
        path = self.folder / "run.json"
        if not path.exists():
            if self.folder.exists() and any(not entry.name.startswith(".") for entry in self.folder.iterdir()):
                raise UserError(f"{self.folder}: not a checkpoint (it has no run.json); move it away to train this run")
            return None
        try:
            record: dict[str, Any] = json.loads(path.read_text())
            record["provenance"], record["diverged_at"]
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path}: not the record of a run; delete its folder to train this run again") from None
        return record

    def _write_record(self) -> None:
        record: dict[str, Any] = {"provenance": self.provenance, "diverged_at": self.diverged_at}
        if self.stopped:
            record["stopped"] = self.stopped
        with replacing(self.folder / "run.json") as temporary:
            temporary.write_text(json.dumps(record, indent=1) + "\n")

    def mark_diverged(self, step: int) -> None:
        """Record that the loss was no longer finite at ``step``."""
        self.diverged_at = step
        self._write_record()

    def mark_stopped(self, step: int, rule: dict[str, float]) -> None:
        """Record that a rule ended the run after ``step``. Under another rule, or none, it goes on from there."""
        self.stopped = {"at": step, "rule": rule}
        self._write_record()

    def load_state(self) -> dict[str, Any] | None:
        """The last saved training state, on the CPU; None when there is none."""
        path = self.folder / "state.pt"
        if not path.exists():
            return None
        try:
            # Mapped: what is not looked at, or copied to a GPU, need not be read into memory first
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except Exception as error:  # torch raises whatever the damaged bytes lead to
            raise UserError(
                f"{path}: damaged checkpoint ({type(error).__name__}); delete {self.folder} to train this run again"
            ) from None
        return state

    def save_state(self, state: dict[str, Any]) -> None:
        """Replace the saved training state."""
        with replacing(self.folder / "state.pt") as temporary:
            save(state, temporary)

    def sizes(self) -> dict[str, int]:
        """Bytes on disk: of the training state, and of the evaluations."""
        patterns = {"states": "state.pt", "evaluations": "evaluation-*.npz"}
        return {
            name: sum(file.stat().st_size for file in self.folder.glob(pattern)) for name, pattern in patterns.items()
        }

    def drop_state(self) -> None:
        """Delete the saved training state."""
        (self.folder / "state.pt").unlink(missing_ok=True)

    def _evaluation_path(self, step: int) -> Path:
        return self.folder / f"evaluation-{step:08d}.npz"

    def has_evaluation(self, step: int) -> bool:
        """Whether this step was evaluated."""
        return self._evaluation_path(step).exists()

    def save_evaluation(self, step: int, evaluation: Evaluation) -> None:
        """Keep what was found at ``step``."""
        with replacing(self._evaluation_path(step)) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, samples=evaluation.samples, **evaluation.losses)  # type: ignore[arg-type]

    def load_evaluation(self, step: int) -> Evaluation:
        """What was found at ``step``.

        Raises:
            UserError: the file is missing or damaged.
        """
        path = self._evaluation_path(step)
        try:
            with np.load(path) as arrays:
                losses = {name: arrays[name] for name in arrays.files if name != "samples"}
                return Evaluation(losses=losses, samples=arrays["samples"])
        except Exception as error:  # numpy and zipfile raise whatever the damaged bytes lead to
            raise UserError(
                f"{path}: damaged evaluation ({type(error).__name__}); delete {self.folder} to train this run again"
            ) from None
