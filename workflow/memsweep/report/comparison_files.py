"""What the command ``compare`` writes: tables, figures, the answer as text, and all of it as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ..base.files import replacing, write_json
from ..data.given import Given
from ..figures import course, pair_sheet
from ..figures.style import save
from ..metrics.comparison import Compared
from ..tables.parquet import write_table
from . import comparison_words as words
from .comparison_result import Comparison

# Pairs on the sheet
SHOWN = 24


def write_comparison(
    folder: Path, result: Comparison, found: Compared, given: Mapping[str, Given], settings: Mapping[str, Any]
) -> dict[str, Path]:
    """Write a comparison into a folder.

    Args:
        folder: is made where it is not there.
        result, found: what was found.
        given: the sets by role; of a training the generated images of the last step.
        settings: what was asked for; ``space`` among it.

    Returns:
        The files by name.
    """
    tables = {name: getattr(result, name) for name in ("copy_shares", "battery", "nearest_pairs")}
    if result.course:
        tables |= {name: getattr(result.course, name) for name in ("metrics", "trajectories", "onsets")}
    files = {name: folder / f"{name}.parquet" for name in tables}
    for name, path in files.items():
        write_table(path, name, tables[name], {"space": settings["space"]})
    files |= {"sheet": folder / "nearest_pairs.png", "json": folder / "comparison.json", "text": folder / "answer.txt"}
    save(_sheet(result.nearest_pairs, given, words.copy_rule(found)), [files["sheet"]])
    if result.course:
        files["curves"] = folder / "curves.png"
        save(course.draw(result.course), [files["curves"]])
    content: dict[str, Any] = {
        "answer": result.answer,
        "remarks": list(result.remarks),
        "settings": dict(settings),
        "duplicates": asdict(found.duplicates),
        **{name: _rows(table) for name, table in tables.items() if name != "nearest_pairs"},
    }
    write_json(files["json"], content)
    with replacing(files["text"]) as temporary:
        temporary.write_text("\n".join([result.answer, "", *result.remarks]).rstrip() + "\n")
    return files


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON has them, in which what is missing is null, and what has no bound a text."""
    rows: list[dict[str, Any]] = json.loads(table.to_json(orient="records", double_precision=15))
    for row, values in zip(rows, table.to_dict("records"), strict=True):
        row |= {str(name): "inf" for name, value in values.items() if isinstance(value, float) and value == math.inf}
    return rows


def _sheet(pairs: pd.DataFrame, given: Mapping[str, Given], rule: str) -> Figure:
    """The nearest pairs, each training image once."""
    shown = pairs.drop_duplicates("nearest").head(SHOWN)
    drawn = [
        pair_sheet.Pair(
            given["GENERATED"].images[row["index"]], given["TRAIN"].images[row["nearest"]], row["ratio"], row["is_copy"]
        )
        for row in shown.to_dict("records")
    ]
    title = "Generated images, each beside its nearest training image; below, $d_1 / d_2$"
    return pair_sheet.draw(drawn, title, rule)
