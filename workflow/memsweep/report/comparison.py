"""The command ``compare``: whether a model trained elsewhere copies its training images, in words, tables and pairs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from ..base.errors import UserError
from ..base.files import replacing, write_json
from ..data.given import Given, alike, read_given
from ..figures import pair_sheet
from ..figures.style import save
from ..metrics.calibration import RATE
from ..metrics.comparison import SPACES, Compared, compare_images
from ..tables.parquet import write_table
from . import comparison_words as words

Source = str | Path | np.ndarray

# Pairs on the sheet
SHOWN = 24


@dataclass(frozen=True)
class Comparison:
    """What there is to say of generated images beside training and held-out ones.

    Attributes:
        answer: in words.
        remarks: what of the images was converted, equal or left out, in sentences.
        copy_shares: the share of copies by each rule, with its false-positive rate.
        battery: each metric against training and held-out images.
        nearest_pairs: each generated image and its two nearest training images, the least d1 / d2 first. Columns of
            the three tables are explained in `tables.contracts.comparison`.
        files: what was written, by name; empty where there was no folder for it.
    """

    answer: str
    remarks: tuple[str, ...]
    copy_shares: pd.DataFrame
    battery: pd.DataFrame
    nearest_pairs: pd.DataFrame
    files: Mapping[str, Path] = field(default_factory=dict)


def compare(
    generated: Source,
    train: Source,
    held_out: Source | None = None,
    *,
    space: str = "pixels",
    output: str | Path | None = None,
    size: int | None = None,
    rate: float = RATE,
    confidence: float = 0.95,
    weights: str | Path | None = None,
) -> Comparison:
    """Compare generated images with the images that a model was trained on, and with others that were held out.

    Args:
        generated, train, held_out: folders or zip files of pictures, ``.npy`` or ``.npz`` files, or arrays of images:
            uint8, or floats from 0 to 1 or from -1 to 1, as (n, H, W), (n, H, W, C) or (n, C, H, W). Held-out images
            are drawn like the training images and were not trained on; without them no false-positive rate is known.
        space: in which images are compared: ``pixels``, ``inception``, ``sscd`` or ``dinov2``.
        output: folder that receives tables, answer and the sheet of the nearest pairs; None to write nothing.
        size: height and width to which the central square of each picture is resized; None where they are of one size.
        rate: share of held-out images that the calibrated rule may call copies.
        confidence: level of all intervals.
        weights: file of the weights of the network of ``space``, where it is not to be fetched.

    Raises:
        UserError: an argument is wrong, files are missing or damaged, or images of the sets are not alike; its text is
            a sentence.
    """
    _check(space, size, rate, confidence)
    sources = {"GENERATED": generated, "TRAIN": train, "HELD_OUT": held_out}
    sets = alike([read_given(source, role, size) for role, source in sources.items() if source is not None])
    given = {each.role: each for each in sets}
    own_weights = None if weights is None else {space: str(weights)}
    try:
        found = compare_images(
            given["GENERATED"], given["TRAIN"], given.get("HELD_OUT"), space, own_weights, rate, confidence
        )
    except UserError as error:  # of spaces it names the keys of a study, which are options here
        said = str(error).replace(f"metrics.weights.{space}", "--weights").replace("metrics.spaces:", "--space:")
        raise UserError(said) from None
    answer = words.answer(found, rate, confidence)
    remarks = (*(remark for each in sets for remark in each.remarks), *words.remarks(found, rate, given))
    result = Comparison(answer, remarks, found.copy_shares, found.battery, found.nearest_pairs)
    if output is None:
        return result
    return _written(result, found, given, Path(output), {"space": space, "rate": found.rate, "confidence": confidence})


def _check(space: str, size: int | None, rate: float, confidence: float) -> None:
    if space not in SPACES:
        raise UserError(f"--space: found {space!r}; accepted is one of {', '.join(SPACES)}")
    for name, value in (("rate", rate), ("confidence", confidence)):
        if not 0 < value < 1:
            raise UserError(f"--{name}: found {value}; accepted is a number between 0 and 1")
    if size is not None and size < 1:
        raise UserError(f"--size: found {size}; accepted is a number of pixels, at least 1")


def _written(
    result: Comparison, found: Compared, given: Mapping[str, Given], folder: Path, settings: Mapping[str, Any]
) -> Comparison:
    """The same, once it is written into a folder."""
    files = {name: folder / f"{name}.parquet" for name in ("copy_shares", "battery", "nearest_pairs")}
    for name, path in files.items():
        write_table(path, name, getattr(result, name), {"space": settings["space"]})
    files |= {"sheet": folder / "nearest_pairs.png", "json": folder / "comparison.json", "text": folder / "answer.txt"}
    save(_sheet(result.nearest_pairs, given, words.copy_rule(found)), [files["sheet"]])
    content = {
        "answer": result.answer,
        "remarks": list(result.remarks),
        "settings": dict(settings),
        "duplicates": asdict(found.duplicates),
        "copy_shares": _rows(result.copy_shares),
        "battery": _rows(result.battery),
    }
    write_json(files["json"], content)
    with replacing(files["text"]) as temporary:
        temporary.write_text("\n".join([result.answer, "", *result.remarks]).rstrip() + "\n")
    return Comparison(result.answer, result.remarks, result.copy_shares, result.battery, result.nearest_pairs, files)


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON has them, in which what is missing is null."""
    rows: list[dict[str, Any]] = json.loads(table.to_json(orient="records", double_precision=15))
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


def print_comparison(result: Comparison) -> None:
    """Print the answer, then the tables, what is to be known of the images, and where all of it lies."""
    console = Console(width=120, highlight=False)
    console.print(result.answer, soft_wrap=True)
    console.print(_battery(result.battery))
    notes = {note: None for note in result.battery["note"] if note}
    for number, note in enumerate(notes, 1):
        metrics = dict.fromkeys(result.battery.loc[result.battery["note"] == note, "metric"])
        console.print(f"({number}) {', '.join(metrics)}: {note}", soft_wrap=True)
    for remark in result.remarks:
        console.print(remark, soft_wrap=True)
    if result.files:
        console.print(f"Nearest pairs: {result.files['sheet']}", soft_wrap=True)
        console.print(f"Tables, and this as JSON: {result.files['json'].parent}", soft_wrap=True)


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
