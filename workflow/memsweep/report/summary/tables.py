"""The tables of a study as the page holds them: columns of JSON, in which runs are places in the list of runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from .run_names import RunNames

# Rows of one table that a page holds, and values of all: beyond them it is slow to open
MOST_ROWS = 20_000
MOST_VALUES = 400_000
DIGITS = 6
_RUNS = ("run_id", "other_run_id")


def embedded_tables(
    tables: Mapping[str, pd.DataFrame], folder: Path, captions: Mapping[str, str], names: RunNames | None
) -> list[dict[str, Any]]:
    """Tables for the page, the answers' own first, as the order of ``tables`` is.

    Args:
        tables: by name.
        folder: of their Parquet files, whose metadata say what columns mean.
        captions: HTML, by table.
        names: of the study's runs, where it has any.

    Returns:
        One for each: ``name``, ``caption``, ``total`` rows, ``shown`` of them, and ``columns``, each with ``name``,
        ``kind`` (number, text, run or axis), ``meaning``, ``values`` and, where values are few texts, ``levels`` that
        they are places in. Numbers have six digits.
    """
    each = [len(table) * len(table.columns) for table in tables.values()]
    share = min(1.0, MOST_VALUES / max(1, sum(each)))
    return [
        _embedded(name, table, folder, captions.get(name, ""), names, min(MOST_ROWS, math.ceil(len(table) * share)))
        for name, table in tables.items()
    ]


def _embedded(
    name: str, table: pd.DataFrame, folder: Path, caption: str, names: RunNames | None, most: int
) -> dict[str, Any]:
    # Small tables are whole, whatever the others take
    rows = table.head(max(most, min(len(table), 500)))
    schema = pq.read_schema(folder / f"{name}.parquet")
    columns = list(_columns(rows, schema, names))
    return {"name": name, "caption": caption, "total": len(table), "shown": len(rows), "columns": columns}


def _columns(rows: pd.DataFrame, schema: pa.Schema, names: RunNames | None) -> Iterable[dict[str, Any]]:
    for column in rows.columns:
        meaning = _meaning(schema.field(column)) if column in schema.names else ""
        if column in _RUNS and names:
            places = names.places
            yield {
                "name": column,
                "kind": "run",
                "meaning": meaning,
                "values": [places.get(run) for run in rows[column]],
            }
            if column == "run_id":
                # Axes are joined by the page, which knows each run's
                own = set(rows.columns)
                yield from (
                    {"name": axis.column, "kind": "axis", "meaning": axis.meaning}
                    for axis in names.axes
                    if axis.column not in own
                )
        else:
            yield {"name": column, "meaning": meaning, **_values(rows[column])}


def _meaning(field: pa.Field) -> str:
    metadata = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    unit = f" ({metadata['unit']})" if "unit" in metadata else ""
    return metadata.get("meaning", "") + unit


def _values(column: pd.Series[Any]) -> dict[str, Any]:
    """The values of a column, and of which kind they are."""
    if pd.api.types.is_bool_dtype(column):
        column = column.map({True: "yes", False: "no"})
    if pd.api.types.is_numeric_dtype(column):
        return {"kind": "number", "values": [number(value) for value in column.tolist()]}
    texts = ["" if value is None or value is pd.NA else str(value) for value in column.tolist()]
    levels = list(dict.fromkeys(texts))
    if len(levels) * 2 > len(texts):
        return {"kind": "text", "values": texts}
    places = {level: place for place, level in enumerate(levels)}
    return {"kind": "text", "levels": levels, "values": [places[text] for text in texts]}


def number(value: Any) -> float | int | str | None:
    """A number as JSON has it: six digits, none for what is missing, and ``inf`` or ``-inf`` as texts."""
    if value is None or value is pd.NA or value != value:
        return None
    if isinstance(value, int):
        return value
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    rounded = float(f"{value:.{DIGITS}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 2**53 else rounded
