"""The stage ``learn_unit``: replicas of the single unit learn in one dimension."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ...study.schedule import evaluation_steps
from ...tables.parquet import write_table
from .learning import Learner, Unit
from .model import MixedCumulantModel
from .tracking import Tracker


def learn_unit(settings: Mapping[str, Any], output: Path, device: torch.device | str = "cpu") -> None:
    """Write ``unit_paths`` and ``unit_recoveries`` of the replicas of one experiment in one dimension.

    The run ends with the first whole block of steps that holds the budget.

    Args:
        settings: ``model``, ``unit`` (see `MixedCumulantModel` and `Unit`), ``dimension``, ``replicas``,
            ``seed``, ``steps`` (the budget), ``per_decade``, ``threshold`` and ``hold``.
        output: folder that receives the tables.
        device: where to learn.
    """
    learner = Learner(
        MixedCumulantModel(**settings["model"]),
        Unit.of(settings["unit"]),
        [settings["dimension"]],
        settings["replicas"],
        settings["seed"],
        device,
    )
    tracker = Tracker((2, settings["replicas"]), settings["threshold"], settings["hold"])
    wanted = torch.tensor(recorded_steps(settings["steps"], settings["per_decade"]))
    kept = []
    while learner.step < settings["steps"]:
        start = learner.step
        overlaps = learner.advance().cpu()
        tracker.follow(overlaps, start)
        kept.append(overlaps[wanted[(wanted > start) & (wanted <= learner.step)] - start - 1])
    paths = torch.cat(kept).numpy()
    replicas = settings["replicas"]
    table = pd.DataFrame(
        {
            "replica": np.tile(np.arange(replicas), len(wanted)),
            "samples": np.repeat(wanted.numpy(), replicas),
            "overlap_u": paths[:, 0].ravel(),
            "overlap_v": paths[:, 1].ravel(),
        }
    )
    write_table(output / "unit_recoveries.parquet", "unit_recoveries", tracker.table())
    write_table(output / "unit_paths.parquet", "unit_paths", table)


def recorded_steps(budget: int, per_decade: int) -> list[int]:
    """The steps whose overlaps are kept: evenly spaced on a logarithmic axis, whatever the budget."""
    return evaluation_steps({"steps": budget}, {"first": 1, "per_decade": per_decade}, 1, 1)
