"""The tables of a study of feature learning, from those of its jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...tables.parquet import read_table, write_table
from .growth import growth
from .phase import phase, phase_fits
from .planted_features import OBJECTIVES, TASKS
from .probes import accuracy_replicates, percentile_interval


def analyse_features(settings: Mapping[str, Any], results: Path, output: Path) -> None:
    """Gather the jobs' tables and write what follows from them.

    Args:
        settings: ``jobs``, by stage; ``two_patch``, the model, with ``learning_rates`` and
            ``growth_factor``; ``bootstrap`` and ``confidence``.
        results: folder of the study, with one folder per stage.
        output: folder that receives ``alignments``, ``growth``, ``stationary``, ``phase``,
            ``phase_fits``, ``noisy_probes``, ``planted_probes`` and ``feature_balance``.

    Raises:
        UserError: a table cannot be read.
    """
    confidence, jobs = settings["confidence"], settings["jobs"]

    def gather(stage: str, name: str) -> pd.DataFrame:
        return gathered(results / stage, jobs[stage], name)

    def write(name: str, table: pd.DataFrame) -> None:
        write_table(output / f"{name}.parquet", name, table)

    alignments = gather("dynamics", "alignments")
    write("alignments", alignments)
    write("growth", growth(alignments, settings["two_patch"], confidence))
    stationary = gather("phase", "stationary")
    write("stationary", stationary)
    cells = phase(stationary, settings["two_patch"], confidence)
    write("phase", cells)
    write("phase_fits", phase_fits(cells, confidence, settings["bootstrap"]))
    write("noisy_probes", gather("noisy_digits", "noisy_probes"))
    probes, balance = summarise(gather("planted", "probe_outcomes"), confidence, settings["bootstrap"])
    write("planted_probes", probes)
    write("feature_balance", balance)


def gathered(folder: Path, jobs: Sequence[str], name: str) -> pd.DataFrame:
    """The rows of one table of every job, in the jobs' order."""
    return pd.concat([read_table(folder / job / f"{name}.parquet", name) for job in jobs], ignore_index=True)


def summarise(outcomes: pd.DataFrame, confidence: float, resamples: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables ``planted_probes`` and ``feature_balance``, from ``probe_outcomes``.

    Seeds and images are resampled alike for all objectives and tasks of a training set, so that
    differences are those on the same images.
    """
    probes, balance = [], []
    for (train_size, agreement), group in outcomes.groupby(["train_size", "agreement"], sort=False):
        point = {"train_size": train_size, "agreement": agreement}
        replicates, chances = {}, {}
        for objective in OBJECTIVES:
            for task in TASKS:
                rows = group[(group["objective"] == objective) & (group["task"] == task)]
                correct = rows.pivot(index="seed", columns="item", values="correct").to_numpy(float)
                found = accuracy_replicates(correct, resamples, f"{train_size} {agreement}")
                replicates[objective, task], chances[task] = found, float(rows["chance"].iloc[0])
                low, high = percentile_interval(found[1:], confidence)
                probes.append(
                    {
                        "objective": objective,
                        **point,
                        "task": task,
                        "accuracy": found[0],
                        "ci_low": low,
                        "ci_high": high,
                        "chance": chances[task],
                        "seeds": correct.shape[0],
                        "images": correct.shape[1],
                    }
                )
        for objective in OBJECTIVES:
            values = {
                f"{task}_gain": replicates[objective, task] - replicates["classification", task] for task in TASKS
            }
            with np.errstate(divide="ignore", invalid="ignore"):
                above = {task: replicates[objective, task] - chances[task] for task in ("easy", "hard")}
                values["balance"] = np.where(above["easy"] > 0, above["hard"] / above["easy"], np.nan)
            for quantity, found in values.items():
                low, high = percentile_interval(found[1:], confidence)
                columns = {"quantity": quantity, "value": found[0], "ci_low": low, "ci_high": high}
                balance.append({"objective": objective, **point, **columns})
    return pd.DataFrame(probes), pd.DataFrame(balance)
