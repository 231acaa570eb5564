"""What the command ``compare`` prints: the answer, then the tables, and where all of it lies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from ..analysis.given import Course
from ..metrics.floors import PEAK_DISTANCE
from .comparison_result import Comparison
from .comparison_words import percent


def print_comparison(result: Comparison) -> None:
    """Print the answer, then the tables, what is to be known of the images, and where all of it lies."""
    console = Console(width=120, highlight=False, markup=False)
    console.print(result.answer, soft_wrap=True)
    if result.course:
        console.print(_curves(result.course))
    console.print(_battery(result.battery))
    notes = {note: None for note in result.battery["note"] if note}
    for number, note in enumerate(notes, 1):
        metrics = dict.fromkeys(result.battery.loc[result.battery["note"] == note, "metric"])
        console.print(f"({number}) {', '.join(metrics)}: {note}", soft_wrap=True)
    for remark in result.remarks:
        console.print(remark, soft_wrap=True)
    if "curves" in result.files:
        console.print(f"Curves: {result.files['curves']}", soft_wrap=True)
    if result.files:
        console.print(f"Nearest pairs: {result.files['sheet']}", soft_wrap=True)
        console.print(f"Tables, and this as JSON: {result.files['json'].parent}", soft_wrap=True)


def _curves(course: Course) -> Table:
    """A row a step: samples, shares of copies with their intervals, and the distance with its floor."""
    metrics = course.metrics[course.metrics["step"].notna()]
    references = [reference for reference in ("test", "train") if (metrics["reference"] == reference).any()]
    nearest = references[0]
    columns = {
        "copies (field)": ("f_mem", "train"),
        "copies (calibrated)": ("f_mem_calibrated", "train"),
        "copies (SSCD)": ("sscd_score", "train"),
        f"distance to {'held-out' if nearest == 'test' else 'training'} images": (PEAK_DISTANCE, nearest),
        "held-out images instead": (f"{PEAK_DISTANCE}_floor", nearest),
    }
    values = {(row["metric"], row["reference"], row["step"]): row for row in metrics.to_dict("records")}
    columns = {heading: key for heading, key in columns.items() if any(key == known[:2] for known in values)}
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("step", "samples", *columns):
        shown.add_column(heading, justify="right")
    for step in metrics["step"].unique():
        rows = {heading: values[(*key, step)] for heading, key in columns.items()}
        cells = [_cell(row, heading.startswith("copies")) for heading, row in rows.items()]
        shown.add_row(f"{step:,}", f"{next(iter(rows.values()))['generated']:,}", *cells)
    return shown


def _cell(row: Mapping[Any, Any], is_share: bool) -> str:
    if is_share:
        return f"{percent(row['value'])} [{', '.join(percent(row[end])[:-2] for end in ('ci_low', 'ci_high'))}]"
    return f"{row['value']:.3g}"


def _battery(table: pd.DataFrame) -> Table:
    notes = list(dict.fromkeys(note for note in table["note"] if note))
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("metric", "against", "value", "interval", "held-out instead", "generated", "references", ""):
        shown.add_column(heading, justify="left" if heading in ("metric", "against", "") else "right")
    for row in table.to_dict("records"):
        known = not math.isnan(row["value"])
        shown.add_row(
            row["metric"],
            row["reference"],
            f"{row['value']:.3g}" if known else "",
            f"{row['ci_low']:.3g} to {row['ci_high']:.3g}" if known else "",
            "" if math.isnan(row["held_out_value"]) else f"{row['held_out_value']:.3g}",
            f"{row['generated']:,}",
            f"{row['references']:,}",
            f"({notes.index(row['note']) + 1})" if row["note"] else "",
        )
    return shown
