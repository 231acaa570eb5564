"""The Parquet tables: their columns, what each means, and how they are read and written.

Columns and units are a contract; they stand in the schema metadata of every file, so a
table explains itself wherever it is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from .errors import UserError
from .files import replacing


def _column(name: str, kind: pa.DataType, meaning: str, unit: str = "") -> pa.Field:
    return pa.field(name, kind, metadata={"meaning": meaning, **({"unit": unit} if unit else {})})


_RUN = _column("run_id", pa.string(), "hash of every parameter that can change the run's trajectory")
_STEP = _column("step", pa.int64(), "optimiser steps taken", "steps")
_SPLIT = _column(
    "split",
    pa.string(),
    "train: images the run is trained on; test: held-out images; gaussian, gaussian_mixture: draws from the "
    "Gaussian of all training images, or of those of each class, that stand in for the test images",
)
_LABEL = _column("label", pa.int64(), "class of the image")


def _interval(of: str) -> tuple[pa.Field, pa.Field]:
    return (
        _column("ci_low", pa.float64(), f"lower end of the confidence interval of {of}"),
        _column("ci_high", pa.float64(), f"upper end of the confidence interval of {of}"),
    )


SCHEMAS: dict[str, pa.Schema] = {
    "images": pa.schema(
        [
            _column(
                "index",
                pa.int64(),
                "position of the image in the original dataset, in its own split where that has two",
            ),
            _column("split", pa.string(), "train or test; a run is trained on the first train_size rows of train"),
            _LABEL,
            _column("image", pa.binary(), "pixels, uint8; shape and channel order in the schema metadata"),
        ]
    ),
    "runs": pa.schema(
        [
            _RUN,
            _column("train_size", pa.int64(), "training images N", "images"),
            _column("base_channels", pa.int64(), "channels of the U-Net's first level", "channels"),
            _column("batch_size", pa.int64(), "images a step B", "images"),
            _column("learning_rate", pa.float64(), "step size of Adam"),
            _column("seed", pa.int64(), "seed of the initialisation and of the training noise"),
            _column("dataset", pa.string(), "name of the dataset"),
            _column("parameters", pa.int64(), "trainable parameters P of the network", "parameters"),
            _column("max_steps", pa.int64(), "step at which the run ends", "steps"),
            _column(
                "status",
                pa.string(),
                "finished, diverged (non-finite loss), or memorised (ended by a rule, after every onset)",
            ),
            _column("data_hash", pa.string(), "content hash of the images the run was trained on"),
            _column("code_version", pa.string(), "fingerprint of the training code"),
        ]
    ),
    "losses": pa.schema(
        [
            _RUN,
            _STEP,
            _SPLIT,
            _column("item", pa.int64(), "which noisy image; the same image, time and noise at every step"),
            _column("index", pa.int64(), "position of the clean image in its split"),
            _column("time", pa.float32(), "noise level: 0 is the clean image, 1 is pure noise"),
            _column("loss", pa.float32(), "squared error a pixel of the averaged network"),
        ]
    ),
    "samples": pa.schema(
        [
            _RUN,
            _STEP,
            _column("index", pa.int64(), "which sample; the same latent and label at every step"),
            _column("label", pa.int64(), "class of the image; null where the model is unconditional"),
            _column("image", pa.binary(), "pixels, uint8; shape and channel order in the schema metadata"),
        ]
    ),
    "surrogates": pa.schema(
        [
            _column("split", pa.string(), "gaussian or gaussian_mixture: whose draws"),
            _column("index", pa.int64(), "position in the split; stands in for the test image there"),
            _column("label", pa.int64(), "class shown to the network: that of the test image"),
            _column(
                "pixels",
                pa.list_(pa.float32()),
                "the image, neither rounded nor clipped; shape and channel order in the schema metadata",
                "pixel values in 0 ... 255",
            ),
        ]
    ),
    "features": pa.schema(
        [
            _SPLIT,
            _column("index", pa.int64(), "position of the image in its split"),
            _column("feature", pa.list_(pa.float32()), "the image in the feature space"),
        ]
    ),
    "neighbours": pa.schema(
        [
            _RUN,
            _STEP,
            _column("index", pa.int64(), "which sample"),
            _column("reference", pa.string(), "train: the training set; control: as many other images"),
            _column("nearest", pa.int64(), "row of the nearest image, counted in the image table's split train"),
            _column("distance", pa.float64(), "distance d1 to the nearest image", "pixel values in [0, 1], L2"),
            _column("second_distance", pa.float64(), "distance d2 to the second nearest", "pixel values in [0, 1], L2"),
        ]
    ),
    "trajectories": pa.schema(
        [_RUN, _STEP, _SPLIT, _column("loss", pa.float64(), "mean squared error a pixel"), *_interval("loss")]
    ),
    "noise_levels": pa.schema(
        [
            _RUN,
            _STEP,
            _SPLIT,
            _column("noise_level", pa.float64(), "middle of the bin of times; 0 is clean, 1 is pure noise"),
            _column("loss", pa.float64(), "mean squared error a pixel within the bin"),
            *_interval("loss"),
        ]
    ),
    "baselines": pa.schema(
        [
            _column(
                "estimator",
                pa.string(),
                "the distribution under which it is the best denoiser: gaussian (the Wiener filter) or "
                "gaussian_mixture, of all training images, or empirical, the first train_size training images",
            ),
            _column(
                "train_size", pa.int64(), "training images N that the loss depends on; null where on none", "images"
            ),
            _SPLIT,
            _column("noise_level", pa.float64(), "middle of the bin of times; null where over all times"),
            _column("loss", pa.float64(), "mean squared error a pixel, on the noisy images that runs are evaluated on"),
            *_interval("loss"),
        ]
    ),
    "excess": pa.schema(
        [
            _RUN,
            _STEP,
            _column("surrogate", pa.string(), "gaussian or gaussian_mixture"),
            _column("excess", pa.float64(), "loss on the surrogate over loss on the test images, minus 1"),
            *_interval("excess"),
        ]
    ),
    "metrics": pa.schema(
        [
            _RUN,
            _column("step", pa.int64(), "optimiser steps taken; null where the value holds for the whole run", "steps"),
            _column(
                "metric",
                pa.string(),
                "share of copies: f_mem, sscd_score, and with held-out images in place of samples f_mem_held_out, "
                "sscd_score_held_out; distance: sliced_wasserstein, frechet (squared; the FID in space inception), "
                "kid (squared MMD, unbiased, so it may be below 0)",
            ),
            _column("space", pa.string(), "feature space: pixels, classifier, inception, sscd or dinov2"),
            _column("reference", pa.string(), "train, test, control (training-set-sized, disjoint from it) or null"),
            _column("value", pa.float64(), "value of the metric"),
            *_interval("value"),
            _column("generated", pa.int64(), "images compared with the reference", "images"),
        ]
    ),
    "onsets": pa.schema(
        [
            _RUN,
            _column(
                "definition",
                pa.string(),
                "of memorisation: test_loss_minimum, loss_gap_absolute, loss_gap_relative or f_mem; of the departure "
                "from means and covariances of all images: departure, or of each class: departure_mixture",
            ),
            _column(
                "step",
                pa.float64(),
                "the onset; where censored the run's last step, for a departure that of its lowest test loss",
                "steps",
            ),
            _column("censored", pa.bool_(), "the run ended, or memorised, before the onset"),
            *_interval("step"),
        ]
    ),
    "peaks": pa.schema(
        [
            _RUN,
            _column("definition", pa.string(), "definition of the onset"),
            _column(
                "quantity",
                pa.string(),
                "peak_fidelity: smallest distance to held-out images at an evaluation up to the onset; "
                "memorisation_rate: slope of the share of copies after the onset",
            ),
            _column("metric", pa.string(), "the distance or share, as in the table metrics"),
            _column("space", pa.string(), "feature space of the metric"),
            _column("step", pa.int64(), "where the smallest distance lies; null for a rate", "steps"),
            _column("value", pa.float64(), "the distance, or share of copies a factor of ten in steps; NaN if unknown"),
            *_interval("value"),
            _column("censored", pa.bool_(), "the run ended before the onset: no rate, and the best of the whole run"),
        ]
    ),
    "usage": pa.schema(
        [
            _column("job", pa.string(), "job path of the pack"),
            _column("runs", pa.int64(), "runs of the pack"),
            _column("requested_minutes", pa.float64(), "time that the job asks for at its first attempt", "minutes"),
            _column("used_minutes", pa.float64(), "time that its last attempt took", "minutes"),
            _column("requested_mb", pa.float64(), "memory that the job asks for at its first attempt", "10^6 bytes"),
            _column("used_mb", pa.float64(), "largest resident size of the job's processes", "10^6 bytes"),
        ]
    ),
    "scaling": pa.schema(
        [
            _column("definition", pa.string(), "definition of the onset"),
            _column("term", pa.string(), "axis: train_size, batch_size, learning_rate or parameters"),
            _column("exponent", pa.float64(), "k in: onset is proportional to axis ** k, the other axes held fixed"),
            *_interval("exponent"),
            _column("runs", pa.int64(), "runs behind the fit"),
            _column("censored_runs", pa.int64(), "of these, runs that ended before the onset"),
        ]
    ),
}


def image_shape(metadata: Mapping[str, str]) -> tuple[int, int, int]:
    """(height, width, channels) of the images of a table, from its schema metadata."""
    height, width, channels = (int(part) for part in metadata["shape"].split(","))
    return height, width, channels


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
def table_writer(path: Path, name: str, metadata: Mapping[str, str] | None = None) -> Iterator[TableWriter]:
    """A table to be written part by part, whole or not at all; arguments as in `write_table`."""
    schema = SCHEMAS[name].with_metadata({"table": name, **(metadata or {})})
    if "image" in schema.names:
        size = math.prod(image_shape(metadata or {}))
        position = schema.get_field_index("image")
        schema = schema.set(position, schema.field(position).with_type(pa.binary(size)))
    with replacing(path) as temporary:
        writer = TableWriter(temporary, schema)
        yield writer
        writer.close()


def write_table(
    path: Path, name: str, data: pd.DataFrame | pa.Table, metadata: Mapping[str, str] | None = None
) -> None:
    """Write a table under its contract, whole or not at all.

    Args:
        path: the Parquet file.
        name: key of `SCHEMAS`.
        data: the columns of that schema, in any order.
        metadata: further entries of the schema metadata; a table of images needs
            ``shape``, such as ``8,8,1``, which also fixes the size of column ``image``.

    Raises:
        KeyError: a column is missing.
        pyarrow.ArrowInvalid: a column cannot be held by its type.
    """
    with table_writer(path, name, metadata) as writer:
        writer.add(data)


def read_arrow(path: Path, name: str) -> pa.Table:
    """Read a table and check that it is what its contract says.

    Raises:
        UserError: the file is missing, truncated, not Parquet, or another table.
    """
    try:
        table = pq.ParquetFile(path).read()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(
            f"{path}: not a whole Parquet file ({' '.join(str(error).split())}); delete it to make it again"
        ) from None
    missing = [column for column in SCHEMAS[name].names if column not in table.column_names]
    if missing:
        raise UserError(f"{path}: not a table of {name}: no column {', '.join(missing)}")
    return table


# Files of a dataset, each of which takes some memory, and those that are read ahead of the one in use
FILES_AT_ONCE = 500
READ_AHEAD = 4


def read_parts(paths: Sequence[Path], name: str) -> Iterator[pa.Table]:
    """Read many files of one table, one after another in the order given, a few at a time in memory.

    Raises:
        UserError: as in `read_arrow`, naming the first file that is not what it should be.
    """
    for start in range(0, len(paths), FILES_AT_ONCE):
        yield from _read_dataset(paths[start : start + FILES_AT_ONCE], name)


def _read_dataset(paths: Sequence[Path], name: str) -> Iterator[pa.Table]:
    schema = SCHEMAS[name]
    try:
        dataset = ds.dataset([str(path) for path in paths], schema=schema, format="parquet")
        # A dataset would fill in a column that a file lacks
        if all(set(schema.names) <= set(part.physical_schema.names) for part in dataset.get_fragments()):
            for batch in dataset.to_batches(batch_readahead=READ_AHEAD, fragment_readahead=READ_AHEAD):
                yield pa.Table.from_batches([batch])
            return
    except (pa.ArrowInvalid, OSError):
        pass
    for path in paths:
        read_arrow(path, name)
    raise UserError(f"{paths[0].parent}: files of the table {name} changed while they were read; run this stage again")


def read_table(path: Path, name: str) -> pd.DataFrame:
    """Read a table as a data frame; errors as in `read_arrow`."""
    return read_arrow(path, name).to_pandas()
