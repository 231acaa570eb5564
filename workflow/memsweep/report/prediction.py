"""The command ``predict``: when a run that nobody has trained will memorise, and how long one may train it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from ..analysis.predict import Outlook, outlooks
from ..base.errors import UserError
from ..study.axes import is_short, read_axes
from ..study.catalogue import describe
from ..study.config import read_yaml, resolve
from ..study.cost import study_cost, together
from ..study.grid import kinds_of_runs
from ..study.onsets import ONSETS
from ..study.sweep import Sweep
from ..tables.parquet import read_table
from ..tables.together import check_together


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
    config = read_yaml(file)
    resolved = resolve(config, [file])
    if resolved["kind"] != "sweep":
        raise UserError(f"{file}: found kind {resolved['kind']!r}; accepted is sweep, the one that has onsets")
    study = Sweep(resolved)
    tables = [results / study.place / "tables" / f"{name}.parquet" for name in ("runs", "onsets")]
    if missing := [path for path in tables if not path.is_file()]:
        raise UserError(f"{missing[0]}: no such file; run the study first: snakemake --configfile {file}")
    check_together(tables)
    runs, onsets = (read_table(path, path.stem) for path in tables)
    point = _point(config, file, dict(given), study)
    axes = read_axes(json.loads(study.conclude()))
    found = list(outlooks(onsets, runs, axes, point, resolved["confidence"], risk))
    _print(found, point, study, resolved["onset"], risk)
    if output is not None:
        from ..figures.prediction import draw
        from ..figures.style import save

        save(draw(found, point, resolved["onset"]), [output])
        print(f"{output}: written")


def _point(config: Mapping[str, Any], file: Path, given: Mapping[str, str], study: Sweep) -> dict[str, object]:
    """A run's axes by their columns of the table ``runs``, checked as a grid is that has no other run."""
    values = {axis: _value(axis, text) for axis, text in given.items()}
    # More images than the dataset has are asked for often, and no other rule depends on how many
    size = values.pop("train_size", None)
    if size is not None and not (isinstance(size, int) and size > 0):
        raise UserError(f"--set train_size: found {size!r}; accepted is a whole number above 0")
    product = {axis: [value] for axis, value in values.items()}
    grid = {**config["grid"], "products": [{**_bases(study), **product}]}
    alone = {name: value for name, value in config.items() if name not in ("only", "exclude", "substudy")}
    resolved = resolve({**alone, "grid": grid}, [file])
    one = Sweep(resolved)
    (run,) = one.runs
    facts = describe(resolved["dataset"])
    shape = (facts.channels, facts.height, facts.width)
    cost = together(study_cost(resolved, kinds_of_runs(resolved), shape, facts.classes).values())
    axes = read_axes(json.loads(study.conclude()))
    known = {
        axis.column: getattr(run, axis.name) if is_short(axis.name) else run.settings.get(axis.name) for axis in axes
    }
    if size is not None:
        known["train_size"] = size
    return {**known, "parameters": cost.parameters}


def _bases(study: Sweep) -> dict[str, list[Any]]:
    """For an axis that the base point leaves out, the value that all runs of the study have, if they have one."""
    base = study.config["grid"]["base"]
    rows = [
        {name: getattr(run, name) for name in ("train_size", "base_channels", "batch_size", "learning_rate", "seed")}
        for run in study.runs
    ]
    common = {name: {row[name] for row in rows} for name in rows[0] if name not in base}
    return {name: list(found) for name, found in common.items() if len(found) == 1}


def _value(axis: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise UserError(f"--set {axis}: found {text!r}; accepted is a value as YAML writes it") from None


def _print(
    found: Sequence[Outlook], point: Mapping[str, object], study: Sweep, thresholds: Mapping[str, float], risk: float
) -> None:
    confidence = study.config["confidence"]
    told = ", ".join(f"{name} = {_number(value)}" for name, value in point.items() if name not in ("seed", "subset"))
    table = Table(title=f"{study.name}: a run with {told}", title_justify="left")
    levels = f"{100 * confidence:g} %"
    for heading in ("onset", "step", f"{levels} of new runs", f"train until, at a risk of {100 * risk:g} %", "runs"):
        table.add_column(heading, justify="left" if heading == "onset" else "right")
    for outlook in found:
        onset, name = outlook.onset, plain(ONSETS[outlook.definition].label(thresholds))
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
        "Where it does not, beyond the swept range above all, nothing here can tell.",
        highlight=False,
        soft_wrap=True,
    )


def _by_warning(found: Sequence[Outlook], thresholds: Mapping[str, float]) -> dict[str, list[str]]:
    """The definitions that each warning is of."""
    of: dict[str, list[str]] = {}
    for outlook in found:
        for warning in outlook.warnings:
            of.setdefault(warning, []).append(plain(ONSETS[outlook.definition].label(thresholds)))
    return of


def plain(label: str) -> str:
    """A figure's label without its TeX."""
    return label.replace(r"$f_\mathrm{mem}$", "f_mem")


def _step(value: float) -> str:
    """A step to three digits, as its next ones are never known."""
    if not math.isfinite(value):
        return "unknown" if math.isnan(value) else "∞"
    if value < 1:
        return "below 1"
    return f"{float(f'{value:.3g}'):,.0f}"


def _number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
