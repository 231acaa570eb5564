"""The stage ``analyse``: onsets of memorisation, how they scale, and what lies on either side of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.compute as pc

from .errors import UserError
from .onset import DEFINITIONS, LOSS_DEFINITIONS, NEVER_EVALUATED, Onset, copy_onset, loss_onsets
from .peaks import peaks
from .scaling import scaling
from .tables import read_arrow, read_table, write_table


def analyse(
    settings: Mapping[str, Any],
    tables: Path,
    losses: Sequence[Path],
    neighbours: Sequence[Path],
    onsets_path: Path,
    scaling_path: Path,
    peaks_path: Path,
) -> None:
    """Write ``onsets``, ``scaling`` and ``peaks`` of a study.

    One pack is held in memory at a time. Rows of ``onsets`` follow the table ``runs``, and
    `onset.DEFINITIONS` within a run; every run has a row for each.

    Args:
        settings: the config's ``onset`` (thresholds and ``bootstrap``), ``f_mem_threshold``
            and ``confidence``.
        tables: folder of the study's ``runs.parquet`` and ``metrics.parquet``.
        losses: the packs' tables of losses.
        neighbours: the packs' tables of neighbours.
        onsets_path: receives the table ``onsets``.
        scaling_path: receives the table ``scaling``.
        peaks_path: receives the table ``peaks``.

    Raises:
        UserError: a table cannot be read, or a finished run is in none of the packs.
    """
    runs = read_table(tables / "runs.parquet", "runs")
    found: dict[tuple[str, str], Onset] = {}
    for run_id, rows in _by_run(losses, "losses", ["step", "split", "item", "index", "loss"]):
        for definition, onset in _loss_onsets(settings, run_id, rows).items():
            found[run_id, definition] = onset
    for run_id, rows in _by_run(
        neighbours, "neighbours", ["step", "index", "reference", "distance", "second_distance"]
    ):
        found[run_id, "f_mem"] = _copy_onset(settings, run_id, rows)
    onsets = _table(runs, found)
    write_table(onsets_path, "onsets", onsets)
    write_table(scaling_path, "scaling", scaling(onsets, runs, settings["confidence"]))
    metrics = read_table(tables / "metrics.parquet", "metrics")
    write_table(peaks_path, "peaks", peaks(onsets, metrics, settings["confidence"]))


def _by_run(paths: Sequence[Path], name: str, columns: list[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each run in the tables, with its rows."""
    for path in paths:
        table = read_arrow(path, name).select(["run_id", *columns])
        for run_id in pc.unique(table["run_id"]).to_pylist():
            yield run_id, table.filter(pc.equal(table["run_id"], run_id)).select(columns).to_pandas()


def _loss_onsets(settings: Mapping[str, Any], run_id: str, losses: pd.DataFrame) -> dict[str, Onset]:
    return loss_onsets(
        run_id,
        losses,
        absolute=settings["loss_gap_absolute"],
        relative=settings["loss_gap_relative"],
        resamples=settings["bootstrap"],
        confidence=settings["confidence"],
    )


def _copy_onset(settings: Mapping[str, Any], run_id: str, neighbours: pd.DataFrame) -> Onset:
    return copy_onset(
        run_id,
        neighbours,
        copy_threshold=settings["f_mem_threshold"],
        share=settings["f_mem"],
        resamples=settings["bootstrap"],
        confidence=settings["confidence"],
    )


def _table(runs: pd.DataFrame, found: Mapping[tuple[str, str], Onset]) -> pd.DataFrame:
    """Table ``onsets``: a row for every run and definition, whether or not the run was ever evaluated."""
    rows = []
    for run_id, status in zip(runs["run_id"], runs["status"], strict=True):
        for definition in DEFINITIONS:
            if status != "diverged" and (run_id, definition) not in found:
                source = "losses" if definition in LOSS_DEFINITIONS else "neighbours"
                raise UserError(f"run {run_id}: it is {status}, but no pack's {source} hold it")
            onset = found.get((run_id, definition), NEVER_EVALUATED)
            rows.append({"run_id": run_id, "definition": definition, **asdict(onset)})
    return pd.DataFrame(rows, columns=["run_id", "definition", *Onset.__dataclass_fields__])
