"""How the Parquet tables are read and written.

Columns and units are a contract, which stands in `contracts` and in the schema metadata of every
file, so a table explains itself wherever it is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from ..base.errors import UserError
from ..base.files import replacing
from ..base.sealed import KEY, UNSEALED, Damaged, seal, sealed_digest
from .contracts import SCHEMAS
from .frames import to_frame


def image_metadata(shape: tuple[int, int, int]) -> dict[str, str]:
    """What the schema metadata of a table of images says of them: (height, width, channels), in this order."""
    return {"shape": ",".join(map(str, shape)), "channel_order": "height, width, channel"}


def image_shape(metadata: Mapping[str, str]) -> tuple[int, int, int]:
    """(height, width, channels) of the images of a table, from its schema metadata."""
    height, width, channels = (int(part) for part in metadata["shape"].split(","))
    return height, width, channels


def metadata_of(table: pa.Table) -> dict[str, str]:
    """The metadata of a table's schema."""
    return schema_metadata(table.schema)


def schema_metadata(schema: pa.Schema) -> dict[str, str]:
    """The metadata of a schema."""
    return {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}


# Rows of a row group: large enough to read fast, small enough for any memory
ROW_GROUP = 500_000


class TableWriter:
    """Writes a table part by part; what it holds in memory is less than a row group."""

    def __init__(self, file: Path, schema: pa.Schema) -> None:
        self.schema = schema
        self._file = pq.ParquetWriter(file, schema, compression="zstd")
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def add(self, data: pd.DataFrame | pa.Table) -> None:
        """Append rows: the columns of the schema, in any order; errors as in `write_table`."""
        if isinstance(data, pd.DataFrame):
            part = pa.Table.from_pandas(data[self.schema.names], schema=self.schema, preserve_index=False)
            part = part.replace_schema_metadata(self.schema.metadata)
        else:
            part = data.select(self.schema.names).cast(self.schema)
        self._waiting.append(part)
        self._rows += len(part)
        if self._rows >= ROW_GROUP:
            self._write()

    def _write(self) -> None:
        self._file.write_table(pa.concat_tables(self._waiting))
        self._waiting, self._rows = [], 0

    def close(self) -> None:
        """Write what is left."""
        if self._waiting:
            self._write()
        self._file.close()


@contextmanager
def table_writer(
    path: Path, name: str, metadata: Mapping[str, str] | None = None, extra: Iterable[pa.Field] = ()
) -> Iterator[TableWriter]:
    """A table to be written part by part, whole or not at all; arguments as in `write_table`."""
    schema = pa.schema([*SCHEMAS[name], *extra]).with_metadata({"table": name, **(metadata or {}), KEY: UNSEALED})
    if "image" in schema.names:
        size = math.prod(image_shape(metadata or {}))
        position = schema.get_field_index("image")
        schema = schema.set(position, schema.field(position).with_type(pa.binary(size)))
    with replacing(path) as temporary:
        writer = TableWriter(temporary, schema)
        yield writer
        writer.close()
        seal(temporary)


def write_table(
    path: Path,
    name: str,
    data: pd.DataFrame | pa.Table,
    metadata: Mapping[str, str] | None = None,
    extra: Iterable[pa.Field] = (),
) -> None:
    """Write a table under its contract, whole or not at all.

    Args:
        path: the Parquet file.
        name: key of `SCHEMAS`.
        data: the columns of that schema, in any order.
        metadata: further entries of the schema metadata; a table of images needs
            ``shape``, such as ``8,8,1``, which also fixes the size of column ``image``.
        extra: columns beside those of the contract, which ``data`` has too: the axes of a study.

    Raises:
        KeyError: a column is missing.
        pyarrow.ArrowInvalid: a column cannot be held by its type.
    """
    with table_writer(path, name, metadata, extra) as writer:
        writer.add(data)


def read_arrow(path: Path, name: str) -> pa.Table:
    """Read a table and check that it is whole, and what its contract says.

    Raises:
        UserError: the file is missing, damaged, not Parquet, or another table.
    """
    check_table(path, name)
    return pq.ParquetFile(path).read()


def check_table(path: Path, name: str | None = None) -> str:
    """The name of the table that a file is, once it is found whole and what its contract says.

    Args:
        path: the Parquet file.
        name: which one it must be; any of `SCHEMAS`, where there is none.

    Raises:
        UserError: as of `read_arrow`.
    """
    with _failures_said(path):
        sealed_digest(path)
        schema = pq.read_schema(path)
    found = (schema.metadata or {}).get(b"table", b"").decode()
    name = name or found
    if found != name or name not in SCHEMAS:
        raise UserError(f"{path}: not a table of {name} but of {found or 'something else'}; delete it to make it again")
    missing = [column for column in SCHEMAS[name].names if column not in schema.names]
    if missing:
        raise UserError(f"{path}: not a table of {name}: no column {', '.join(missing)}; delete it to make it again")
    return name


def read_metadata(path: Path) -> dict[str, str]:
    """The schema metadata of a table's file, whatever its rows are; errors as of `read_arrow`."""
    with _failures_said(path):
        return schema_metadata(pq.read_schema(path))


@contextmanager
def _failures_said(path: Path) -> Iterator[None]:
    """A file that cannot be read is a sentence."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (Damaged, pa.ArrowInvalid, OSError) as error:
        said = " ".join(str(error).removeprefix(f"{path}: ").split())
        raise UserError(f"{path}: not a whole Parquet file of ours ({said}); delete it to make it again") from None


def check_runs(path: Path, table: pa.Table | pd.DataFrame, runs: Iterable[str], source: Path) -> set[str]:
    """The runs of which a table holds rows, which must be among these.

    Args:
        path: the table's file.
        table: with a column ``run_id``.
        runs: those there may be.
        source: the file that says so.

    Raises:
        UserError: it holds rows of another one, as a file of another pack does.
    """
    found = set(table["run_id"].unique() if isinstance(table, pd.DataFrame) else pc.unique(table["run_id"]).to_pylist())
    others = sorted(found - set(runs))
    if others:
        raise UserError(
            f"{path}: holds rows of other runs ({', '.join(others[:3])}) than {source} has in this pack; delete the "
            "one that is not this pack's to make it again"
        )
    return found


# Files of a dataset, each of which takes some memory, and those that are read ahead of the one in use
FILES_AT_ONCE = 500
READ_AHEAD = 4


def extra_columns(path: Path, name: str) -> list[pa.Field]:
    """The columns that a table has beside those of its contract: the axes of its study; errors as in `read_arrow`."""
    with _failures_said(path):
        return [field for field in pq.read_schema(path) if field.name not in SCHEMAS[name].names]


def read_parts(paths: Sequence[Path], name: str, extra: Iterable[pa.Field] = ()) -> Iterator[pa.Table]:
    """Read many files of one table, one after another in the order given, a few at a time in memory.

    Args:
        paths: of the files.
        name: key of `SCHEMAS`.
        extra: columns that they all have beside those of the contract.

    Raises:
        UserError: as in `read_arrow`, naming the first file that is not what it should be.
    """
    schema = pa.schema([*SCHEMAS[name], *extra])
    for start in range(0, len(paths), FILES_AT_ONCE):
        yield from _read_dataset(paths[start : start + FILES_AT_ONCE], name, schema)


def _read_dataset(paths: Sequence[Path], name: str, schema: pa.Schema) -> Iterator[pa.Table]:
    for path in paths:
        check_table(path, name)
    dataset = ds.dataset([str(path) for path in paths], schema=schema, format="parquet")
    for batch in dataset.to_batches(batch_readahead=READ_AHEAD, fragment_readahead=READ_AHEAD):
        yield pa.Table.from_batches([batch])


def read_table(path: Path, name: str) -> pd.DataFrame:
    """Read a table as a data frame; errors as in `read_arrow`."""
    return to_frame(read_arrow(path, name))
