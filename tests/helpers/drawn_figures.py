"""The figures of a study that has been run, drawn in the test's own process, in either width."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from matplotlib.figure import Figure
from memsweep.study.kinds import open_study
from memsweep.study.sweep import Sweep

from .drawn_words import faults
from .projects import Project

WIDTHS = {"double": 7.0, "single": 8.6 / 2.54}
"""Of a figure over both columns of a paper and over one, in inches."""


def drawn_figures(project: Project, width: str) -> Iterator[tuple[str, Figure]]:
    """Each figure of the project's study with its name, as the workflow would draw it in this width."""
    path = project.folder / "config" / "tiny.yaml"
    config = yaml.safe_load(path.read_text())
    study = open_study({**config, "figures": {**config.get("figures", {}), "width": width}}, [path])
    job = study.sheet_run()[0] if isinstance(study, Sweep) else ""
    for figure in (figure for figure in study.figures if figure.when(study)):
        sources = {table.rpartition("/")[2]: _source(project.results, table, job) for table in figure.tables}
        module = import_module(f"memsweep.figures.{figure.module(study.kind)}")
        for axis in study.axes if "{axis}" in figure.path else [""]:
            settings = json.loads(study.figure(figure, **({"axis": axis} if axis else {})))
            yield f"{figure.name} {axis}", module.draw(sources, settings)


def _source(results: Path, table: str, job: str) -> Path:
    """Where a table lies: among those of the study, of the pack of the sample sheet, or of jobs, whose folder it is."""
    name = table.rpartition("/")[2]
    if name == "noisy_maps":
        return results / "noisy_digits"
    found = [path for path in results.rglob(f"{name}.parquet") if table == name or job in str(path)]
    return next(path for path in found if table != name or path.parent.name in ("tables", "data"))


def assert_readable(project: Project) -> None:
    """Every figure has its width, no type below 6 pt, and no words over others or outside of the canvas."""
    for width, inches in WIDTHS.items():
        names = []
        for name, figure in drawn_figures(project, width):
            # A sheet of images, or a lone panel, may leave some of both columns
            at_most = figure.get_figwidth() <= inches + 0.01 and width == "double"
            assert at_most or figure.get_figwidth() == pytest.approx(inches), name
            assert faults(figure) == [], f"{name}, {width}"
            names.append(name)
        assert len(names) >= 4
