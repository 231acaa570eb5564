"""A study that has been run: its tables, by name, and its runs, by their values on the axes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from ..base.errors import UserError
from ..study.config import read_yaml
from ..study.kinds import open_study
from .choosing import choose, point
from .run import RunResults
from .tables import StudyTables


def open(study: str | Path, results: str | Path = "results") -> StudyResults:
    """Open the results of a study, of which nothing is read until it is asked for.

    Args:
        study: its folder of results, such as ``results/digits``, or its YAML file.
        results: of a YAML file, the folder of all studies' results.

    Raises:
        UserError: there is no such folder or file, or it is that of no study.
    """
    path = Path(study)
    if path.is_dir():
        return StudyResults(StudyTables(path))
    if path.suffix.lower() not in (".yaml", ".yml") and not path.is_file():
        raise UserError(f"{path}: no such folder or file; accepted are a study's folder of results, or its YAML file")
    planned = open_study(read_yaml(path), [path])
    folder = Path(results) / planned.place
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; accepted is a study that has results there")
    return StudyResults(StudyTables(folder), planned)


class StudyResults:
    """The results of a study: ``study.runs``, ``study.metrics`` and every other table it has, as data frames.

    Tables are those of the contracts (`tables.contracts`), each read once. One that has rows of runs has their values
    on the axes beside ``run_id``.
    """

    def __init__(self, tables: StudyTables, planned: Any = None) -> None:
        """planned: the study as its YAML file describes it, where it was opened by that."""
        self._tables, self._planned = tables, planned

    @property
    def folder(self) -> Path:
        """Where the results lie."""
        return self._tables.folder

    @property
    def name(self) -> str:
        """The study's name, that of its folder."""
        return self.folder.name

    @property
    def tables(self) -> list[str]:
        """Names of the tables that there are."""
        return list(self._tables.files)

    def table(self, name: str) -> pd.DataFrame:
        """A table as a data frame, which is the caller's own.

        Raises:
            UserError: the study has no such table, or it is damaged.
        """
        return self._tables[name].copy()

    def __getattr__(self, name: str) -> pd.DataFrame:
        if name.startswith("_"):
            raise AttributeError(name)
        return self.table(name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.tables})

    @property
    def axes(self) -> list[str]:
        """The columns of the table ``runs`` that are axes of the grid."""
        return self._tables.axes

    @property
    def base(self) -> dict[str, Any]:
        """The value of each axis at which others are swept, as far as it is known.

        It is what the YAML file says or, of a study opened by its folder, what its table of runs does, unless that was
        collected by an earlier version.
        """
        if self._planned is not None and self._planned.kind == "sweep":
            base: dict[str, Any] = self._planned.base
            return base
        return self._tables.base

    def run(self, run_id: str | None = None, /, **values: Any) -> RunResults:
        """One run.

        Args:
            run_id: the first digits of its id.
            values: its values on some axes, by column of the table ``runs`` or dotted path. On the others it has those
                of the base point, unless only one run has these values at all.

        Raises:
            UserError: there is no such run, or several; the sentence says which there are.
        """
        if "runs" not in self._tables:
            raise UserError(f"{self.folder}: has no table of runs; accepted is the study of a sweep")
        row = choose(self._tables["runs"], self.axes, self.base, run_id, values)
        # Files of the user's own networks are named by the YAML file alone
        networks = [] if self._planned is None else [Path(file) for file in self._planned.networks()]
        return RunResults(self._tables, row, networks)

    def __repr__(self) -> str:
        if "runs" not in self._tables:
            return f"<study {self.name} in {self.folder}: tables {', '.join(self.tables)}>"
        runs = self._tables["runs"]
        swept = [f"{axis} {_listed(runs[axis])}" for axis in self.axes if runs[axis].nunique(dropna=False) > 1]
        lines = [
            f"<study {self.name} in {self.folder}: {len(runs)} runs ({_counts(runs['status'])})",
            f"  axes: {'; '.join(swept) or 'none that varies'}",
            f"  base point: {point(self.base) or 'not known'}",
            f"  tables: {', '.join(self.tables)}>",
        ]
        return "\n".join(lines)


def _listed(values: pd.Series[Any]) -> str:
    return ", ".join(map(str, sorted(values.dropna().unique())))


def _counts(status: pd.Series[Any]) -> str:
    return ", ".join(f"{count} {name}" for name, count in status.value_counts().items())
