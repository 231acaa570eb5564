"""The stage ``collect``: the tables of a study, from those of its packs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ..base.errors import UserError
from ..study.axes import encoded
from ..tables.parquet import check_runs, extra_columns, read_arrow, read_parts, read_table, table_writer
from ..tables.together import provenance
from .mean_losses import mean_losses

# What tells the mean losses of trajectories apart.
KEYS = ["run_id", "step", "split"]


def collect(settings: Mapping[str, Any], train: Path, measured: Path, agreed: Path, output: Path) -> None:
    """Write ``runs``, ``trajectories``, ``noise_levels``, ``metrics``, ``agreement`` and ``agreement_over_pairs``.

    Args:
        settings: ``jobs``, the packs' job paths; ``comparisons``, those of comparisons; ``base``, the value of each
            axis that others are swept at, which the table ``runs`` says of itself; ``noise_levels``; ``confidence``.
        train: folder of the packs' training results, one folder per job path.
        measured: likewise, of their metrics.
        agreed: likewise, of comparisons.
        output: folder that receives the tables.
    """
    jobs, confidence = settings["jobs"], settings["confidence"]
    runs_of = {job: runs_of_pack(train, job) for job in jobs}
    of = provenance(pd.concat(runs_of.values()))
    gather(train, runs_of, train, "runs", output, {**of, "base": json.dumps(settings["base"])})
    gather(measured, runs_of, train, "metrics", output, of)
    for name in ("agreement", "agreement_over_pairs"):
        with table_writer(output / f"{name}.parquet", name, of) as table:
            for part in compared(agreed, settings["comparisons"], name, pd.concat(runs_of.values()), output):
                table.add(part)
    with (
        table_writer(output / "trajectories.parquet", "trajectories", of) as trajectories,
        table_writer(output / "noise_levels.parquet", "noise_levels", of) as noise_levels,
    ):
        for job, runs in runs_of.items():
            path = train / job / "losses.parquet"
            losses = read_table(path, "losses")
            check_runs(path, losses, runs["run_id"], train / job / "runs.parquet")
            trajectories.add(mean_losses(losses, KEYS, confidence))
            bins = by_noise_level(losses, settings["noise_levels"])
            noise_levels.add(mean_losses(bins, [*KEYS, "noise_level"], confidence))


def runs_of_pack(train: Path, job: str) -> pd.DataFrame:
    """A pack's table of runs, which have the values that its path says.

    Raises:
        UserError: they have others, as those of another pack do.
    """
    path = train / job / "runs.parquet"
    runs = read_table(path, "runs")
    if len(of_job(runs, job)) < len(runs):
        raise UserError(f"{path}: holds runs with other values than {job}; delete it to make it again")
    return runs


def of_job(runs: pd.DataFrame, job: str) -> pd.DataFrame:
    """Those of some runs that are of a pack: they have the values that its path says."""
    for part in job.split("/"):
        axis, _, value = part.partition("=")
        if axis in runs:
            runs = runs[runs[axis].map(encoded) == value]
    return runs


def compared(
    folder: Path, comparisons: Sequence[str], name: str, runs: pd.DataFrame, tables: Path
) -> Iterator[pa.Table]:
    """One table of every comparison.

    Args:
        folder: that of the comparisons' folders.
        comparisons: their job paths.
        name: of the table.
        runs: of the study, in its folder ``tables``.

    Raises:
        UserError: a table holds runs that are none of its comparison's, as where a file is that of another.
    """
    for job in comparisons:
        path = folder / job / f"{name}.parquet"
        table = read_arrow(path, name)
        check_runs(path, table, of_job(runs, job)["run_id"], tables / "runs.parquet")
        yield table


def gather(
    folder: Path, runs_of: Mapping[str, pd.DataFrame], train: Path, name: str, output: Path, metadata: Mapping[str, str]
) -> None:
    """Write the rows of one table of every pack as one table, in the packs' order.

    Args:
        folder: that of the packs' folders.
        runs_of: the table of each pack's runs, by its job path.
        train: folder of these tables, likewise.
        name: of the table.
        output: folder that receives it.
        metadata: of the table.

    Raises:
        UserError: a run has no rows, or there are rows of others, as where a file is that of another pack.
    """
    known = {run_id for runs in runs_of.values() for run_id in runs["run_id"]}
    paths = {job: folder / job / f"{name}.parquet" for job in runs_of}
    extra = extra_columns(next(iter(paths.values())), name)
    seen: set[str] = set()
    with table_writer(output / f"{name}.parquet", name, metadata, extra) as table:
        for part in read_parts(list(paths.values()), name, extra):
            seen |= set(pc.unique(part["run_id"]).to_pylist())
            table.add(part)
        if seen == known:
            return
        # Which file it is, only where there is one, as each would have to be read again
        for job, runs in runs_of.items():
            rows = read_arrow(paths[job], name)
            found = check_runs(paths[job], rows, runs["run_id"], train / job / "runs.parquet")
            if missing := set(runs["run_id"]) - found:
                raise UserError(
                    f"{paths[job]}: has no rows of {', '.join(sorted(missing))}; delete it to make it again"
                )


def by_noise_level(losses: pd.DataFrame, bins: int) -> pd.DataFrame:
    """Losses with column ``noise_level``: the middle of the one of ``bins`` equal intervals that holds the time."""
    lower = np.minimum(np.floor(losses["time"].to_numpy(np.float64) * bins), bins - 1)
    return losses.assign(noise_level=(lower + 0.5) / bins)
