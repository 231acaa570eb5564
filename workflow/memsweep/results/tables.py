"""The tables of a study as data frames, each read once."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..base.errors import UserError
from ..tables.parquet import image_shape, read_metadata
from .files import read_whole, tables_below

if TYPE_CHECKING:
    from ..data.images import ImageSet

# Columns of the table `runs` that are no axes
_NO_AXES = ("run_id", "dataset", "parameters", "max_steps", "status", "data_hash", "code_version")


class NoSuchTable(UserError, AttributeError):
    """A table that a study does not have; as an attribute it is missing, to `getattr` and `hasattr` too."""


class StudyTables:
    """What lies below a study's results.

    Attributes:
        folder: the results, or those of a substudy.
        packs: the results of the whole study, where the packs are.
        files: the files of each table, by its name.
    """

    def __init__(self, folder: Path) -> None:
        """Find the tables of ``folder``; none is read.

        Raises:
            UserError: there are none.
        """
        self.folder = folder
        # A substudy has tables of its own, and the packs of its study
        self.packs = folder.parents[1] if folder.parent.name == "substudies" else folder
        self.files = tables_below(self.packs, folder / "tables")
        self._read: dict[str, pd.DataFrame] = {}
        if not self.files:
            raise UserError(f"{folder}: holds no table of a study; accepted is a folder such as results/digits")

    def __contains__(self, name: str) -> bool:
        return name in self.files

    def __getitem__(self, name: str) -> pd.DataFrame:
        """A table, with the axes where it has rows of runs; others share it, so nobody changes it.

        Raises:
            UserError: there is no such table, or it is damaged.
        """
        if name not in self.files:
            raise NoSuchTable(f"{self.folder}: has no table {name!r}; there are {', '.join(self.files)}")
        if name not in self._read:
            self._read[name] = self.with_axes(read_whole(name, self.files[name])) if name != "runs" else self._runs()
        return self._read[name]

    def _runs(self) -> pd.DataFrame:
        return read_whole("runs", self.files["runs"])

    def with_axes(self, table: pd.DataFrame) -> pd.DataFrame:
        """Rows with the axes of their runs beside ``run_id``; those of runs that the study lacks are left out."""
        if "run_id" not in table or "runs" not in self:
            return table
        new = [axis for axis in self.axes if axis not in table]
        joined = table.merge(self["runs"][["run_id", *new]], on="run_id", how="inner", validate="many_to_one")
        return joined[["run_id", *new, *(column for column in table if column != "run_id")]]

    @property
    def axes(self) -> list[str]:
        """The columns of the table ``runs`` that are axes of the grid; none of a study without runs."""
        if "runs" not in self:
            return []
        return [column for column in map(str, self["runs"]) if column not in _NO_AXES]

    @property
    def base(self) -> dict[str, Any]:
        """The value of each axis at which others are swept, as the table ``runs`` says; nothing of earlier versions."""
        path = self.folder / "tables" / "runs.parquet"
        base: dict[str, Any] = json.loads(read_metadata(path).get("base", "{}")) if path.exists() else {}
        return {axis: base[axis] for axis in self.axes if axis in base}

    @property
    def images_file(self) -> Path:
        """Where the prepared images lie."""
        return self.packs / "data" / "images.parquet"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the images."""
        return image_shape(read_metadata(self.images_file))

    @functools.cached_property
    def image_set(self) -> ImageSet:
        """The prepared images, training and held-out ones; errors as of `data.images.read_images`."""
        from ..data.images import read_images

        return read_images(self.images_file)
