"""The command ``export``: a study's trajectories and samples as TensorBoard reads them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..base.errors import UserError
from ..base.files import new_folder
from ..study.axes import encoded
from .images import sheet
from .run import RunResults
from .study import StudyResults, open

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

# Images of a sheet
SHOWN = 64


def export(study: Path, tensorboard: Path) -> None:
    """Write every run of a study into a folder of its own below a new folder, and say so.

    Args:
        study: its YAML file, or its folder of results.
        tensorboard: the new folder.

    Raises:
        UserError: TensorBoard is not installed, the folder is there already, or the study is not whole.
    """
    writer = _writer()
    if tensorboard.exists():
        raise UserError(f"--tensorboard: {str(tensorboard)!r} is there already; accepted is a folder that is not")
    opened = open(study)
    runs = opened.table("runs")
    with new_folder(tensorboard) as folder:
        for run_id in runs["run_id"]:
            run = opened.run(run_id)
            with writer(str(folder / run_folder(opened, run))) as log:
                write_run(log, run)
    print(f"{tensorboard}: {len(runs)} runs; to look at them, type tensorboard --logdir {tensorboard}")


def _writer() -> type[SummaryWriter]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UserError("--tensorboard: needs the package tensorboard; pip install tensorboard brings it") from None
    return SummaryWriter


def run_folder(study: StudyResults, run: RunResults) -> str:
    """A run's folder: its values on the axes that vary, and its id."""
    varied = [axis for axis in study.axes if study.table("runs")[axis].nunique(dropna=False) > 1]
    return ",".join([*(f"{axis}={encoded(run.axes[axis])}" for axis in varied), run.run_id])


def write_run(log: SummaryWriter, run: RunResults) -> None:
    """A run's mean losses and metrics by step, a sheet of its samples at each, and its axes as hyperparameters.

    Beside the hyperparameters stand its onsets, those that were reached, and its last losses.
    """
    losses = run.table("trajectories")
    for split, rows in losses.groupby("split"):
        _scalars(log, f"loss/{split}", rows["step"], rows["loss"])
    metrics = run.table("metrics").dropna(subset=["step", "value"])
    for names, rows in metrics.fillna({"space": "", "reference": ""}).groupby(["metric", "space", "reference"]):
        _scalars(log, "/".join(name for name in map(str, names) if name), rows["step"], rows["value"])
    for step in run.sampled_steps:
        picture = np.asarray(sheet(run.samples(step).images[:SHOWN]).convert("RGB"))
        log.add_image("samples", picture, step, dataformats="HWC")
    last = losses.sort_values("step").groupby("split")["loss"].last()
    found = {f"last_loss/{split}": float(loss) for split, loss in last.items()}
    axes = {axis: _hyperparameter(value) for axis, value in run.axes.items()}
    log.add_hparams(axes, found | _onsets(run), run_name=".")


def _scalars(log: SummaryWriter, tag: str, steps: pd.Series[Any], values: pd.Series[Any]) -> None:
    for step, value in sorted(zip(steps.astype(int), values, strict=True)):
        log.add_scalar(tag, value, step)


def _onsets(run: RunResults) -> dict[str, float]:
    """The onsets of a run that were observed, where they have been analysed."""
    if not hasattr(run, "onsets"):
        return {}
    onsets = run.table("onsets")
    reached = onsets[~onsets["censored"] & ~onsets["left_censored"]]
    return {f"onset/{row['definition']}": float(row["step"]) for _, row in reached.iterrows()}


def _hyperparameter(value: Any) -> bool | int | float | str:
    """A value as TensorBoard takes them."""
    return value if isinstance(value, bool | int | float | str) else "none"
