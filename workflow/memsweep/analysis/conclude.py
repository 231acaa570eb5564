"""The stage ``conclude``: what all runs say together, from the tables of the stages ``collect`` and ``analyse``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..study.axes import read_axes
from ..tables.parquet import read_table, write_table
from ..tables.together import check_together, provenance
from .collapse import collapse
from .descents import descents
from .law import fit_law
from .law_tables import law_errors, law_fit_table, law_table
from .shortfall import shortfalls

SOURCES = ("runs", "trajectories", "metrics", "onsets", "thresholds")


def conclude(settings: Mapping[str, Any], tables: Path, output: Path) -> None:
    """Write the tables ``law``, ``law_fit``, ``law_errors``, ``collapse`` and ``descents``.

    Args:
        settings: ``axes`` of the grid and ``confidence``.
        tables: folder of the study's tables `SOURCES`.
        output: folder that receives the tables.

    Raises:
        UserError: a table cannot be read or is not of the study's runs.
    """
    files = {name: tables / f"{name}.parquet" for name in SOURCES}
    read = {name: read_table(file, name) for name, file in files.items()}
    check_together(files.values())
    runs, onsets = read["runs"], read["onsets"]
    of, axes = provenance(runs), read_axes(settings)
    laws = {
        str(definition): fit_law(under, runs, axes, settings["confidence"])
        for definition, under in onsets.groupby("definition", sort=False)
    }
    errors = law_errors(onsets, runs, axes, settings["confidence"])
    write_table(output / "law.parquet", "law", law_table(laws), of)
    fits = law_fit_table(laws, errors, onsets, runs)
    write_table(output / "law_fit.parquet", "law_fit", fits, of)
    for sentence in shortfalls(fits):
        print(f"warning: {sentence}", file=sys.stderr)
    write_table(output / "law_errors.parquet", "law_errors", errors, of)
    write_table(output / "collapse.parquet", "collapse", collapse(read, axes, settings["confidence"]), of)
    write_table(output / "descents.parquet", "descents", descents(read["metrics"], settings["confidence"]), of)
