"""Which run is meant: by its id, or by its values on some axes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pandas as pd

from ..base.errors import UserError
from ..study.axes import cell, column_of, text

# Runs that a sentence names; of more, their number
_NAMED = 8


def choose(
    runs: pd.DataFrame, axes: Sequence[str], base: Mapping[str, Any], run_id: str | None, values: Mapping[str, Any]
) -> pd.Series[Any]:
    """The row of a table ``runs`` that is meant.

    Args:
        runs: the table.
        axes: its columns that are axes.
        base: the value of each axis at the base point, as far as it is known.
        run_id: the first digits of the run's id.
        values: on some axes, by column or dotted path.

    Raises:
        UserError: an axis, a value or an id that there is not; or several runs are meant.
    """
    if run_id is not None:
        return _by_id(runs, axes, run_id, values)
    asked = {column_of(axis): cell(axis, plain(value)) for axis, value in values.items()}
    for axis in asked:
        if axis not in axes:
            raise UserError(f"run: found the axis {axis!r}; accepted is any of {', '.join(axes)}")
    found = runs
    for axis, value in asked.items():
        found = _having(found, axis, value)
    if found.empty:
        raise UserError(f"run: there is none with {point(asked)}; {_what_there_is(runs, axes, asked)}")
    if len(found) > 1:
        for axis in axes:
            if axis in base and axis not in asked:
                found = _having(found, axis, base[axis])
    if len(found) == 1:
        return found.iloc[0]
    candidates = _at(runs, asked)
    said = f"{len(candidates)} runs have {point(asked)}" if asked else f"there are {len(candidates)} runs"
    where = "none of them at the base point otherwise" if found.empty else "several of them at the base point otherwise"
    if not base:
        where = "the base point is not known from these tables"
    raise UserError(f"run: {said}, {where}; accepted is one of {_named(candidates, axes)}")


def point(values: Mapping[str, Any]) -> str:
    """Values on axes as a phrase."""
    return " ".join(f"{axis}={text(value)}" for axis, value in values.items())


def _by_id(runs: pd.DataFrame, axes: Sequence[str], run_id: str, values: Mapping[str, Any]) -> pd.Series[Any]:
    if values:
        raise UserError("run: found an id and values on axes; accepted is either")
    found = runs[runs["run_id"].str.startswith(str(run_id))] if run_id else runs.iloc[:0]
    if len(found) == 1:
        return found.iloc[0]
    said = "no run has an id that begins so" if found.empty else "several ids begin so"
    raise UserError(f"run: found {run_id!r}; {said}; there are {_named(runs if found.empty else found, axes)}")


def meant(written: str, values: Iterable[Any]) -> Any:
    """What a text stands for, where these are the values of its axis: one that is written so, or a number."""
    for value in values:
        if text(plain(value)) == written:
            return value
    for number in (int, float):
        with suppress(ValueError):
            return number(written)
    return written


def plain(value: Any) -> Any:
    """A value of numpy's, a missing one or a tuple as a grid would have it."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and math.isnan(value):
        return None
    return list(value) if isinstance(value, tuple) else value


def _having(runs: pd.DataFrame, axis: str, value: Any) -> pd.DataFrame:
    """The runs with a value; true is no number, and a missing value is none."""
    column = runs[axis]
    if value is None:
        return runs[column.isna()]
    alike = column.map(lambda other: isinstance(other, bool) == isinstance(value, bool) and other == value)
    return runs[alike.astype(bool)]


def _at(runs: pd.DataFrame, values: Mapping[str, Any]) -> pd.DataFrame:
    for axis, value in values.items():
        runs = _having(runs, axis, value)
    return runs


def _what_there_is(runs: pd.DataFrame, axes: Sequence[str], asked: Mapping[str, Any]) -> str:
    """The values that an axis has, where it does not have the one asked for; else the runs that there are."""
    for axis, value in asked.items():
        if _having(runs, axis, value).empty:
            return f"{axis} is one of {', '.join(text(other) for other in sorted(runs[axis].dropna().unique()))}"
    return f"there are {_named(runs, axes)}"


def _named(runs: pd.DataFrame, axes: Sequence[str]) -> str:
    """Runs by id and by the axes on which they differ."""
    varied = [axis for axis in axes if runs[axis].nunique(dropna=False) > 1]
    listed = [f"{row['run_id']} ({point(dict(row[varied]))})" for _, row in runs[:_NAMED].iterrows()]
    return ", ".join(listed) + (f" and {len(runs) - _NAMED} more" if len(runs) > _NAMED else "")
