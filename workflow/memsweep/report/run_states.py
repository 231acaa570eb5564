"""How far the runs of a sweep are, from what lies on disk of them. Reads only, and waits for nobody."""

from __future__ import annotations

import math
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from ..base.errors import UserError
from ..base.files import read_json
from ..base.records import PROGRESS
from ..base.sealed import Damaged
from ..study.networks import is_built_in
from ..study.run import Run
from ..study.schedule import evaluation_steps
from ..study.sweep import Sweep
from ..tables.parquet import read_arrow
from ..training.version import TRAINING_VERSION
from .calibration import Calibration, Work
from .job_logs import failure

DONE, RUNNING, WAITING, FAILED, DIVERGED = "done", "running", "waiting", "failed", "diverged"
STATES = (RUNNING, FAILED, DIVERGED, WAITING, DONE)

# Seconds since its last word after which a run of another machine, or of a process of that number, runs no more: an
# evaluation may take as long
SILENT = 3600.0

# A sentence about one run of a job begins with its id
_OF_A_RUN = re.compile(r"[0-9a-f]{12} \(")


@dataclass(frozen=True)
class RunState:
    """How far a run is.

    Attributes:
        job: path of its pack.
        state: one of `STATES`.
        step: where it is, of ``run.max_steps``.
        loss: on its training images at the last evaluation.
        f_mem: share of copies at the last of its measured evaluations.
        images_per_second: of late.
        seconds_left: until it is trained.
        device: on which it is trained, or was.
        said: what its log says of its failure.
        log: where.
    """

    run: Run
    job: str
    state: str
    step: int
    loss: float | None = None
    f_mem: float | None = None
    images_per_second: float | None = None
    seconds_left: float | None = None
    device: str = ""
    said: str = ""
    log: Path | None = None


def run_states(study: Sweep, folder: Path) -> list[RunState]:
    """The state of every run of a sweep, in the order of its packs.

    Args:
        study: the sweep.
        folder: its results.
    """
    watched = [_Watched(study, run, job, folder) for job, runs in study.packs.items() for run in runs]
    ended = {job: dict(_ended(folder / "train" / job, runs)) for job, runs in study.packs.items()}
    copies = {job: dict(_shares_of_copies(folder / "measure" / job)) for job in study.jobs}
    failures = {job: failure(folder / "logs" / "train" / f"{job}.log") for job in study.jobs}
    states = [one.state(ended[one.job], copies[one.job], failures[one.job]) for one in watched]
    return list(_with_time_left(study, watched, states))


def _ended(pack: Path, runs: Sequence[Run]) -> Iterator[tuple[str, str]]:
    """Those of a pack's runs that its tables hold, as long as they are now and by today's code, with their status."""
    lengths = {run.run_id: run.max_steps for run in runs}
    for row in _rows(pack / "runs.parquet", "runs", "run_id", "status", "max_steps", "code_version"):
        if row["code_version"] == TRAINING_VERSION and row["max_steps"] >= lengths.get(row["run_id"], math.inf):
            yield row["run_id"], row["status"]


def _shares_of_copies(measured: Path) -> Iterator[tuple[str, float]]:
    """The last share of copies of each run of a pack."""
    columns = ("run_id", "step", "metric", "reference", "value")
    wanted = {"metric": "f_mem", "reference": "train"}
    rows = _rows(measured / "metrics.parquet", "metrics", *columns, **wanted)
    for row in sorted(rows, key=lambda row: row["step"]):
        yield row["run_id"], row["value"]


def _rows(path: Path, name: str, *columns: str, **wanted: str) -> list[dict[str, Any]]:
    """Rows of a table with these values; none where it is missing or damaged, as ``verify`` says."""
    try:
        table = read_arrow(path, name).select(columns)
    except (UserError, OSError):
        return []
    for column, value in wanted.items():
        table = table.filter(pc.equal(table[column], value))
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


class _Watched:
    """A run, and the files of its checkpoint as they are."""

    def __init__(self, study: Sweep, run: Run, job: str, folder: Path) -> None:
        self.run, self.job = run, job
        self._log = folder / "logs" / "train" / f"{job}.log"
        self._checkpoint = folder / "checkpoints" / run.run_id
        evaluation = study.config["evaluation"]
        self.steps = evaluation_steps(study.config["training"]["budget"], evaluation, run.train_size, run.batch_size)
        record = self._read("run.json")
        known = record.get("provenance", {}).get("code_version") == TRAINING_VERSION
        self._record, self.progress = (record, self._read(PROGRESS)) if known else ({}, {})
        self.evaluated = [step for step in self.steps if known and self._evaluation(step).exists()]
        self._may_stop = bool(study.config["training"]["stop_memorised"])

    def _read(self, name: str) -> Mapping[str, Any]:
        try:
            return read_json(self._checkpoint / name)
        except (OSError, Damaged):
            return {}

    def _evaluation(self, step: int) -> Path:
        return self._checkpoint / f"evaluation-{step:08d}.safetensors"

    def state(self, ended: Mapping[str, str], copies: Mapping[str, float], failed: str) -> RunState:
        """How far the run is.

        Args:
            ended: status of the pack's runs whose tables are written.
            copies: their shares of copies.
            failed: what the pack's log says of a failure.
        """
        state, said = self._state(ended, failed)
        return RunState(
            self.run,
            self.job,
            state,
            self._step(state),
            self._loss(),
            copies.get(self.run.run_id),
            self.progress.get("images_per_second"),
            self.progress.get("seconds_left") if state == RUNNING else None,
            self.progress.get("device", ""),
            said,
            self._log if state == FAILED else None,
        )

    def _state(self, ended: Mapping[str, str], failed: str) -> tuple[str, str]:
        if self._record.get("diverged_at") is not None or ended.get(self.run.run_id) == DIVERGED:
            return DIVERGED, ""
        if self.run.run_id in ended or self.evaluated == self.steps or (self._may_stop and "stopped" in self._record):
            return DONE, ""
        if self.progress.get("running"):
            if _lives(self.progress, self._checkpoint / PROGRESS):
                return RUNNING, ""
            return FAILED, self._of_this_run(failed) or "its process is gone; the same command again goes on from here"
        if self._of_this_run(failed):
            return FAILED, self._of_this_run(failed)
        return WAITING, ""

    def _of_this_run(self, failed: str) -> str:
        """What of the sentences of a job, one a line, is about this run, or else about the job."""
        lines = failed.splitlines()
        if any(_OF_A_RUN.match(line) for line in lines):
            lines = [line for line in lines if line.startswith(self.run.run_id)]
        return " ".join(lines)

    def _step(self, state: str) -> int:
        if state == DIVERGED:
            return int(self._record.get("diverged_at") or self.progress.get("step", 0))
        last = self.evaluated[-1] if self.evaluated else 0
        if state == DONE:
            return last or self.run.max_steps
        return max(last, int(self.progress.get("step", 0)))

    def _loss(self) -> float | None:
        """The mean loss on training images at the last evaluation."""
        from safetensors import SafetensorError, safe_open

        if not self.evaluated:
            return None
        try:
            with safe_open(self._evaluation(self.evaluated[-1]), framework="np") as file:
                return float(file.get_tensor("losses.train").mean())
        except (OSError, SafetensorError):
            return None

    def work(self, cost: Any, left: bool) -> Work:
        """What the run takes, or what of it is still to be done where ``left``."""
        steps, evaluations = self.run.max_steps, len(self.steps)
        done = (int(self.progress.get("step", 0)), len(self.evaluated)) if left else (0, 0)
        return Work(
            max(0, steps - done[0]),
            evaluations - done[1],
            cost.training_flops / steps,
            cost.evaluation_flops / evaluations,
        )


def _lives(progress: Mapping[str, Any], file: Path) -> bool:
    """Whether the process that wrote of its progress is there; of another machine, whether it wrote of late."""
    try:
        if time.time() - file.stat().st_mtime > SILENT:
            return False
        if progress["host"] != socket.gethostname():
            return True
        os.kill(progress["process"], 0)  # sends nothing
    except (FileNotFoundError, ProcessLookupError):
        return False
    except PermissionError:  # it is there, and another user's
        return True
    return True


def _with_time_left(study: Sweep, watched: list[_Watched], states: list[RunState]) -> Iterator[RunState]:
    """States with the time that waiting runs will take, from what others took, or else from the config's rate."""
    if not all(is_built_in(one.run.within(study.config)["network"]) for one in watched):
        yield from states  # whose operations are counted by a job, and by none that only reads
        return
    calibration = Calibration()
    costs = [study.requests.cost(one.run) for one in watched]
    for one, cost in zip(watched, costs, strict=True):
        if one.progress:
            trained, evaluated, whole = one.progress["trained"], one.progress["evaluated"], one.work(cost, False)
            timed = replace(whole, steps=trained["steps"], evaluations=evaluated["count"])
            calibration.add(timed, trained["seconds"], evaluated["seconds"])
    for one, cost, state in zip(watched, costs, states, strict=True):
        if state.state in (WAITING, FAILED) or (state.state == RUNNING and state.seconds_left is None):
            work = one.work(cost, True)
            left = calibration.seconds(work)
            if left is None:
                flops = work.steps * work.step_flops + work.evaluations * work.evaluation_flops
                left = flops / (study.config["requests"]["tflops"] * 1e12)
            state = replace(state, seconds_left=left)
        yield state
