"""Snakemake's lock on what a workflow makes, which a killed one leaves behind."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

LOCKS = Path(".snakemake") / "locks"


def lock_advice(results: str, configs: Iterable[Path]) -> str:
    """What to type where a study's results are locked; nothing where they are not.

    Args:
        results: the study's folder, as its files are named in the workflow.
        configs: the files of the study.
    """
    if not is_locked(results):
        return ""
    unlock = shlex.join(["snakemake", "--unlock", "--configfile", *map(str, configs)])
    return (
        f"{results}: locked, as another workflow makes it, or was killed while it did (kill -9, loss of power) and "
        f"left its lock; if none is running, type `{unlock}` and then the same command again, which goes on from there"
    )


def is_locked(results: str) -> bool:
    """Whether Snakemake makes a study here, or was killed while it did; ``results``: as of `lock_advice`."""
    return any(_locks(file, f"{results}/") for file in LOCKS.glob("*.lock"))


def _locks(file: Path, prefix: str) -> bool:
    try:
        return any(line.startswith(prefix) for line in file.read_text().splitlines())
    except (OSError, UnicodeDecodeError):  # gone by now, or none of Snakemake's
        return False
