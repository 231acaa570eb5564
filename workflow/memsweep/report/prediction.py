"""The command ``predict``: when a run that nobody has trained will memorise, and how long one may train it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from ..analysis.predict import Outlook, number, outlooks
from ..base.errors import UserError
from ..study.catalogue import describe
from ..study.config import read_yaml, resolve
from ..study.cost import Costs
from ..study.grid import base_value
from ..study.kinds import open_sweep
from ..study.sweep import Sweep
from ..tables.parquet import read_table
from ..tables.together import check_together
from .summary import words


def predict(
    file: Path, given: Sequence[tuple[str, str]], risk: float, output: Path | None, results: Path = Path("results")
) -> None:
    """Print what the laws of a study say of one more run.

    Args:
        file: the study's YAML file.
        given: axes of the run with their values as YAML has them; those of the base point stand for the others.
        risk: probability that is taken of memorising before the step that training may last to.
        output: a figure to draw, a file whose suffix says its format; none where None.
        results: the folder of all studies' results.

    Raises:
        UserError: the study is no sweep or has no onsets yet, an axis or its value is wrong, or so is the risk.
    """
    if not 0 < risk < 0.5:
        raise UserError(f"--risk: found {risk:g}; accepted is a probability between 0 and 0.5, such as 0.05")
    study = open_sweep(file, "the one that has onsets")
    tables = [results / study.place / "tables" / f"{name}.parquet" for name in ("runs", "onsets")]
    if missing := [path for path in tables if not path.is_file()]:
        raise UserError(f"{missing[0]}: no such file; run the study first: snakemake --configfile {file}")
    check_together(tables)
    runs, onsets = (read_table(path, path.stem) for path in tables)
    point = _point(file, dict(given), study)
    found = list(outlooks(onsets, runs, study.grid_axes, point, study.config["confidence"], risk))
    _print(found, point, study, risk)
    if output is not None:
        from ..figures.prediction import draw
        from ..figures.style import save

        save(draw(found, point, study.config["onset"]), [output])
        print(f"{output}: written")


def _point(file: Path, given: Mapping[str, str], study: Sweep) -> dict[str, object]:
    """A run's axes by their columns of the table ``runs``, checked as a grid is that has no other run."""
    values = {axis: _value(axis, text) for axis, text in given.items()}
    # More images than the dataset has are asked for often, and no other rule depends on how many
    size = values.pop("train_size", None)
    if size is not None and not (isinstance(size, int) and size > 0):
        raise UserError(f"--set train_size: found {size!r}; accepted is a whole number above 0")
    values = {**_at_base(study), **values}
    if size is not None:
        values["train_size"] = study.runs[0].train_size  # any that the dataset has
    for axis in study.grid_axes:
        if axis.name not in values:
            raise UserError(f"--set {axis.name}: missing; accepted is a value, as the base point has none")
    config = read_yaml(file)
    grid = {**config["grid"], "products": [{axis: [value] for axis, value in values.items()}]}
    alone = {name: value for name, value in config.items() if name not in ("only", "exclude", "substudy")}
    resolved = resolve({**alone, "grid": grid}, [file])
    (run,) = Sweep(resolved).runs
    facts = describe(resolved["dataset"])
    cost = Costs(resolved, (facts.channels, facts.height, facts.width), facts.classes)(run)
    known = {axis.column: run.at(axis.name) for axis in study.grid_axes}
    if size is not None:
        known["train_size"] = size
    return {**known, "parameters": cost.parameters}


def _at_base(study: Sweep) -> dict[str, Any]:
    """The value of each axis at the base point; where that has none, the one that all runs have, if they do."""
    found = {}
    for axis in study.grid_axes:
        value = base_value(study.config, axis.name)
        known = {run.at(axis.name) for run in study.runs} if value is None else set()
        if value is not None or len(known) == 1:
            found[axis.name] = known.pop() if known else value
    return found


def _value(axis: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise UserError(f"--set {axis}: found {text!r}; accepted is a value as YAML writes it") from None


def _print(found: Sequence[Outlook], point: Mapping[str, object], study: Sweep, risk: float) -> None:
    confidence, thresholds = study.config["confidence"], study.config["onset"]
    told = ", ".join(f"{name} = {number(value)}" for name, value in point.items() if name not in ("seed", "subset"))
    table = Table(title=f"{study.name}: a run with {told}", title_justify="left")
    levels = f"{100 * confidence:g} %"
    for heading in ("onset", "step", f"{levels} of new runs", f"train until, at a risk of {100 * risk:g} %", "runs"):
        table.add_column(heading, justify="left" if heading == "onset" else "right")
    for outlook in found:
        onset, name = outlook.onset, words.definition(outlook.definition, thresholds)
        between = f"{_step(onset.pi_low)} to {_step(onset.pi_high)}"
        unknown = math.isnan(onset.median)
        table.add_row(
            name,
            *(["unknown"] * 3 if unknown else [_step(onset.median), between, _step(outlook.until)]),
            str(len(outlook.law.runs)),
        )
    console = Console(width=120)
    console.print(table, highlight=False)
    for warning, definitions in _by_warning(found, thresholds).items():
        console.print(f"{', '.join(definitions)}: {warning}.", highlight=False, soft_wrap=True)
    console.print(
        f"Steps of a new run on a new training set; an interval holds {levels} of such runs where the law holds. "
        "Where it does not, beyond the swept range above all, nothing here can tell. Training sets of different sizes "
        "share images and are taken as independent, so that intervals of nominal 95 % may hold as few as 88 %.",
        highlight=False,
        soft_wrap=True,
    )


def _by_warning(found: Sequence[Outlook], thresholds: Mapping[str, float]) -> dict[str, list[str]]:
    """The definitions that each warning is of."""
    of: dict[str, list[str]] = {}
    for outlook in found:
        for warning in outlook.warnings:
            of.setdefault(warning, []).append(words.definition(outlook.definition, thresholds))
    return of


def _step(value: float) -> str:
    """A step to three digits, as its next ones are never known."""
    if not math.isfinite(value):
        return "unknown" if math.isnan(value) else "∞"
    if value < 1:
        return "below 1"
    return f"{float(f'{value:.3g}'):,.0f}"
