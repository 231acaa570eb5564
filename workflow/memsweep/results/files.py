"""The tables that lie below a study's results, and how their rows are read."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ..tables.contracts import SCHEMAS
from ..tables.parquet import check_table, read_table

# Folders of a study's results that hold no table of it
_OTHERS = ("checkpoints", "substudies", "figures", "report", "logs", "benchmarks")


def tables_below(folder: Path, tables: Path) -> dict[str, list[Path]]:
    """The files of each table of a study, by the name of its contract.

    A table of the whole study takes the place of those of its packs.

    Args:
        folder: the study's results.
        tables: the folder of tables of the whole study.
    """
    whole = {path.stem: [path] for path in sorted(tables.glob("[!.]*.parquet")) if path.stem in SCHEMAS}
    parts: dict[str, list[Path]] = {}
    for path in _parts(folder):
        name = _contract(path, folder)
        if name in SCHEMAS and name not in whole:
            parts.setdefault(name, []).append(path)
    return dict(sorted({**whole, **parts}.items()))


def _parts(folder: Path) -> Iterator[Path]:
    for place in sorted(folder.glob("[!.]*")):
        if place.is_dir() and place.name not in ("tables", *_OTHERS):
            yield from sorted(place.rglob("[!.]*.parquet"))


def _contract(path: Path, folder: Path) -> str:
    """The contract of a table by its place, so that no file is opened to list what there is."""
    place = path.relative_to(folder).parts[0]
    if place == "empirical":
        return "empirical_samples"
    return "features" if path.parent.name == "features" else path.stem


def read_whole(name: str, paths: Sequence[Path]) -> pd.DataFrame:
    """A table, of several files where packs have one each.

    Of a run that several packs hold, as they do once a study packs its runs otherwise, the rows written last count.

    Raises:
        UserError: as of `tables.parquet.read_arrow`.
    """
    if len(paths) == 1 and name != "features":
        return read_table(paths[0], name)
    frames: list[pd.DataFrame] = []
    seen: set[str] = set()
    for path in sorted(paths, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        frame = read_table(path, name)
        if "run_id" in frame:
            frame = frame[~frame["run_id"].isin(seen)]
            seen |= set(frame["run_id"])
        # Only the name of its file says in which space features are
        frames.append(frame.assign(space=path.stem) if name == "features" else frame)
    return pd.concat(frames[::-1], ignore_index=True)


def read_rows(path: Path, name: str, columns: Sequence[str] | None = None, **equal: Any) -> pa.Table:
    """The rows of a table whose columns have these values; errors as of `tables.parquet.read_arrow`."""
    found = path.stat() if path.exists() else None
    _check(path, name, (found.st_mtime_ns, found.st_size) if found else None)
    table: pa.Table = pq.read_table(
        pa.OSFile(str(path)),
        columns=None if columns is None else list(columns),
        filters=[(column, "=", value) for column, value in equal.items()],
    )
    return table


@functools.lru_cache(maxsize=10_000)
def _check(path: Path, name: str, state: tuple[int, int] | None) -> None:
    """A file is read for its digest once in each state of it, however often rows of it are asked for."""
    check_table(path, name)
