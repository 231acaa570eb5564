"""The command ``usage``: what training jobs asked for, beside what they used."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from ..base.errors import UserError
from ..study.kinds import open_sweep
from ..tables.contracts import SCHEMAS
from ..tables.parquet import write_table

MIB = 2**20 / 1e6


def print_usage(file: Path, results: Path = Path("results")) -> None:
    """Write ``usage.parquet`` into the study's results, and print it with a summary.

    Args:
        file: the study's YAML file.
        results: the folder of all studies' results.

    Raises:
        UserError: the file is wrong, it is not a sweep, or no training job has ended.
    """
    study = open_sweep(file, "whose training jobs ask for resources")
    folder = results / study.name / "benchmarks" / "train"
    rows = []
    for job, runs in study.packs.items():
        path = folder / f"{job}.tsv"
        if path.exists():
            request = study.request(job, 1)
            asked = {"requested_minutes": float(request.minutes), "requested_mb": float(request.megabytes)}
            rows.append({"job": job, "runs": len(runs), **asked, **_used(path)})
    if not rows:
        raise UserError(f"{folder}: no training job of this study has ended here; accepted is at least one")
    table = pd.DataFrame(rows, columns=SCHEMAS["usage"].names)
    path = results / study.name / "usage.parquet"
    write_table(path, "usage", table)
    _print(table, len(study.packs), path)


def _used(path: Path) -> dict[str, float]:
    """Time and memory from the table that Snakemake's ``benchmark`` writes; NaN where a job was too short for it."""
    with path.open() as lines:
        row = next(csv.DictReader(lines, delimiter="\t"), None)
    try:
        if row is None:
            raise KeyError
        seconds, mib = (float("nan") if row[name] in ("-", "NA") else float(row[name]) for name in ("s", "max_rss"))
    except (KeyError, ValueError):
        raise UserError(f"{path}: not what Snakemake measured of a job; delete it to leave this job out") from None
    return {"used_minutes": seconds / 60, "used_mb": mib * MIB}


def _print(table: pd.DataFrame, jobs: int, path: Path) -> None:
    shown = Table(title=f"{len(table)} of {jobs} training jobs", title_justify="left")
    for heading in ("job", "runs", "minutes asked", "used", "MB asked", "used"):
        shown.add_column(heading, justify="left" if heading == "job" else "right")
    for row in table.itertuples():
        minutes = (f"{row.requested_minutes:.0f}", f"{row.used_minutes:.2g}")
        shown.add_row(str(row.job), str(row.runs), *minutes, f"{row.requested_mb:.0f}", f"{row.used_mb:.0f}")
    console = Console(width=120)
    console.print(shown)
    time, memory = (table[f"used_{unit}"] / table[f"requested_{unit}"] for unit in ("minutes", "mb"))
    console.print(
        f"Used of what was asked for, median and most: {time.median():.0%} and {time.max():.0%} of the time, "
        f"{memory.median():.0%} and {memory.max():.0%} of the memory. Of a job that was interrupted, the time is "
        f"that of its last attempt. The table is {path}.",
        highlight=False,
    )
