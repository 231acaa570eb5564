"""By what a study was made and what that cost: versions, machine, time, and the commands that make it again."""

from __future__ import annotations

import csv
import os
import platform
from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ...base.fingerprints import PACKAGE
from ...training.version import TRAINING_VERSION
from . import amounts

LIBRARIES = ("torch", "numpy", "scipy", "pandas", "pyarrow", "scikit-learn", "snakemake")
MIB = 2**20 / 1e6


def versions() -> str:
    """Of memsweep, Python and the libraries that numbers rest on, as they are where the page is made."""
    found = [f"{name} {_version(name)}" for name in LIBRARIES]
    python = f"Python {platform.python_version()}"
    # Not imported by name: the face of the package would make the page's code depend on all that it offers
    own = import_module(PACKAGE.name).__version__
    return f"memsweep {own} (training code {TRAINING_VERSION}), {amounts.listed([python, *found])}."


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


def machine() -> str:
    """The machine that makes the page, which need not be the one that trained."""
    cores = amounts.counted(os.cpu_count() or 1, "core")
    return f"This page was made on {platform.system()} {platform.machine()} with {cores}; jobs may have run elsewhere."


def cost(benchmarks: Path, jobs: Iterable[str]) -> str:
    """What training took, as far as Snakemake measured it; empty where it did not.

    Args:
        benchmarks: folder of what Snakemake measured of training jobs.
        jobs: their job paths.
    """
    rows = [row for job in jobs if (row := _measured(benchmarks / f"{job}.tsv"))]
    if not rows:
        return ""
    seconds = sum(row["s"] for row in rows)
    took = f"{seconds / 3600:.1f} hours" if seconds >= 5400 else f"{seconds / 60:.1f} minutes"
    memory = max((row["max_rss"] for row in rows if row["max_rss"] == row["max_rss"]), default=0) * MIB / 1000
    of = amounts.counted(len(rows), "training job")
    least = f", at most {memory:.1f} GB of memory each" if memory else ""
    return (
        f"{of} took {took} in all{least}; of a job that was interrupted or run again, only the last attempt is counted."
    )


def _measured(file: Path) -> dict[str, float] | None:
    """Seconds and MiB of a job, where its file says so."""
    try:
        with file.open() as lines:
            row = next(csv.DictReader(lines, delimiter="\t"))
        return {name: float("nan") if row[name] in ("-", "NA") else float(row[name]) for name in ("s", "max_rss")}
    except (OSError, StopIteration, KeyError, ValueError):
        return None


def commands(study: Any) -> list[str]:
    """What to type to make the study again, its configuration saved as ``config/<study>.yaml``."""
    file = f"config/{study.name}.yaml"
    part = f" --config substudy={study.config['substudy']}" if study.config.get("substudy") else ""
    return [f"snakemake --configfile {file}{part}", f"memsweep verify {file}"]
