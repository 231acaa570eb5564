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


_EXPERIMENT = _column("experiment", pa.string(), "name of the single unit's experiment")
_NETWORK = _column("network", pa.string(), "name of the network's experiment")
_DIMENSION = _column("dimension", pa.int64(), "coordinates d of a pattern")
_REPLICA = _column("replica", pa.int64(), "which replica; each has its own start and its own patterns")
_SPIKE = _column("spike", pa.string(), "u, of the covariance; v, of the fourth cumulant")
_SEEN = _column("samples", pa.int64(), "patterns learnt from n, each seen once", "patterns")
_CENSORED = _column("censored", pa.bool_(), "the run ended before")
_COUNTS = (
    _column("replicas", pa.int64(), "replicas behind the number"),
    _column("censored_replicas", pa.int64(), "of these, replicas whose run ended before"),
)

# Tables of the mixed cumulant model
_MIXED_CUMULANT = {
    "unit_paths": pa.schema(
        [
            _REPLICA,
            _SEEN,
            _column("overlap_u", pa.float32(), "overlap of the unit's weights with u"),
            _column("overlap_v", pa.float32(), "overlap of the unit's weights with v"),
        ]
    ),
    "unit_recoveries": pa.schema(
        [
            _SPIKE,
            _REPLICA,
            _column(
                "samples",
                pa.float64(),
                "patterns until the overlap stays above the threshold; where censored, until it was last below",
                "patterns",
            ),
            _CENSORED,
        ]
    ),
    "overlaps": pa.schema(
        [
            _EXPERIMENT,
            _DIMENSION,
            _SPIKE,
            _SEEN,
            _column("median", pa.float64(), "median over replicas of the absolute overlap"),
            *_interval("median"),
            _column("low", pa.float64(), "10th percentile of the replicas"),
            _column("high", pa.float64(), "90th percentile of the replicas"),
        ]
    ),
    "recoveries": pa.schema(
        [
            _EXPERIMENT,
            _DIMENSION,
            _SPIKE,
            _REPLICA,
            _column(
                "samples",
                pa.float64(),
                "patterns until the overlap stays above the threshold; where censored, until it was last below",
                "patterns",
            ),
            _CENSORED,
        ]
    ),
    "recovery_times": pa.schema(
        [
            _EXPERIMENT,
            _DIMENSION,
            _SPIKE,
            _column("median", pa.float64(), "median time to recovery (Kaplan-Meier); infinite if unknown", "patterns"),
            *_interval("median"),
            *_COUNTS,
        ]
    ),
    "recovery_exponents": pa.schema(
        [
            _EXPERIMENT,
            _SPIKE,
            _column(
                "law",
                pa.string(),
                "of the medians, power: n = A d^k, power_log: n = A d^k (log d + c); lognormal: n = A d^k",
            ),
            _column("exponent", pa.float64(), "k of that law; NaN where not estimable"),
            *_interval("exponent"),
            _column("predicted", pa.float64(), "max(1, k* - 1) of the information exponent k*; infinite if never"),
            _column("dimensions", pa.int64(), "values of d behind the fit"),
            *_COUNTS,
        ]
    ),
    "loss_terms": pa.schema(
        [
            _EXPERIMENT,
            _column("order_u", pa.int64(), "power of the overlap with u"),
            _column("order_v", pa.int64(), "power of the overlap with v"),
            _column("coefficient", pa.float64(), "of these powers in the population loss, in units of squared error"),
        ]
    ),
    "information_exponents": pa.schema(
        [
            _EXPERIMENT,
            _SPIKE,
            _column("other_learnt", pa.bool_(), "whether the overlap with the other spike is already of order 1"),
            _column(
                "order", pa.int64(), "diffusion information exponent k*; null where no term up to order 6 holds it"
            ),
            _column("coefficient", pa.float64(), "of the first term"),
            _column("lowers_loss", pa.bool_(), "whether the first term lowers the loss, so that the spike is learnt"),
            _column("sample_exponent", pa.float64(), "power of d of the samples to learn it; infinite if never"),
        ]
    ),
    "cumulants": pa.schema(
        [
            _EXPERIMENT,
            _column("order_u", pa.int64(), "how often the coordinate along u enters"),
            _column("order_v", pa.int64(), "how often the coordinate along v enters"),
            _column("theory", pa.float64(), "the joint cumulant in closed form"),
            _column("estimate", pa.float64(), "the same of the sampler's patterns"),
            *_interval("estimate"),
        ]
    ),
    "network_losses": pa.schema(
        [
            _REPLICA,
            _STEP,
            _column("split", pa.string(), "test: held-out patterns; surrogate: Gaussian ones of the same covariance"),
            _column("item", pa.int64(), "which group of held-out patterns; the same at every step"),
            _column("loss", pa.float64(), "mean squared error a coordinate"),
        ]
    ),
    "network_curves": pa.schema(
        [
            _NETWORK,
            _DIMENSION,
            _REPLICA,
            _STEP,
            _SEEN,
            _column("test_loss", pa.float64(), "mean squared error a coordinate on held-out patterns"),
            _column("test_ci_low", pa.float64(), "lower end of its confidence interval"),
            _column("test_ci_high", pa.float64(), "upper end of its confidence interval"),
            _column("surrogate_loss", pa.float64(), "mean squared error a coordinate on Gaussian surrogates"),
            _column("surrogate_ci_low", pa.float64(), "lower end of its confidence interval"),
            _column("surrogate_ci_high", pa.float64(), "upper end of its confidence interval"),
            _column("linear_loss", pa.float64(), "that of the best linear denoiser, in closed form"),
            _column("excess", pa.float64(), "surrogate loss over test loss, minus 1"),
            *_interval("excess"),
        ]
    ),
    "network_departures": pa.schema(
        [
            _NETWORK,
            _DIMENSION,
            _REPLICA,
            _column(
                "step", pa.float64(), "departure of the test loss from the surrogate's; last where censored", "steps"
            ),
            _column("samples", pa.float64(), "patterns seen until then", "patterns"),
            _CENSORED,
            *_interval("step"),
        ]
    ),
    "network_exponents": pa.schema(
        [
            _NETWORK,
            _column("exponent", pa.float64(), "k in: patterns until the departure are proportional to d ** k"),
            *_interval("exponent"),
            *_COUNTS,
        ]
    ),
}

_OBJECTIVE = _column("objective", pa.string(), "what is trained for: classification, diffusion, or untrained")
_DIFFUSION_TIME = _column("time", pa.float64(), "diffusion time t; 0, clean data, for a classifier")
_TWO_PATCH = (
    _OBJECTIVE,
    _DIFFUSION_TIME,
    _column("train_size", pa.int64(), "training samples n", "samples"),
    _column("signal_norm", pa.float64(), "norm of the signal"),
    _column("n_snr2", pa.float64(), "n times the squared signal-to-noise ratio"),
    _column("seed", pa.int64(), "seed of data and initialisation"),
)
_ALIGNMENTS = (
    _column(
        "signal_max",
        pa.float64(),
        "largest product of a weight and a signal; absolute for a classifier, of its own class",
    ),
    _column("noise_max", pa.float64(), "likewise, with the noise of a training sample"),
    _column(
        "signal_mean",
        pa.float64(),
        "mean product of weights and signals, as an absolute value; mean absolute value for a classifier",
    ),
    _column("noise_mean", pa.float64(), "likewise, with the noises of the training samples"),
)
_PLANTED = (
    _OBJECTIVE,
    _column("train_size", pa.int64(), "training images N", "images"),
    _column("agreement", pa.float64(), "share of training images on which easy and hard feature agree"),
    _column("task", pa.string(), "easy: the frame; hard: half of the classes; class"),
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
    **_MIXED_CUMULANT,
    "alignments": pa.schema(
        [
            *_TWO_PATCH,
            _column("iteration", pa.int64(), "gradient steps tried", "steps"),
            _column("loss", pa.float64(), "training loss; of the denoiser, its expectation less that of zero weights"),
            _column("step_size", pa.float64(), "the step in use; halved wherever it would have raised the loss"),
            *_ALIGNMENTS,
        ]
    ),
    "stationary": pa.schema(
        [
            *_TWO_PATCH,
            _column("iterations", pa.int64(), "gradient steps tried", "steps"),
            _column("loss", pa.float64(), "training loss; of the denoiser, its expectation less that of zero weights"),
            _column("gradient", pa.float64(), "norms of gradient times weights, over the absolute loss"),
            _column(
                "finished", pa.bool_(), "the end was met (stationary, or loss small) before the iterations ran out"
            ),
            *_ALIGNMENTS,
        ]
    ),
    "growth": pa.schema(
        [
            *_TWO_PATCH[:-1],
            _column("feature", pa.string(), "signal or noise"),
            _column(
                "measure", pa.string(), "which alignments with it: max, the largest; mean, that of an average neuron"
            ),
            _column(
                "quantity",
                pa.string(),
                "linear_rate: b of a + b k; exponential_rate: c of A exp(c k), k in steps; log_ratio: log10 of the "
                "exponential's residual sum of squares over the line's, above 0 where the line fits better",
            ),
            _column("value", pa.float64(), "mean over seeds"),
            *_interval("value"),
            _column("predicted", pa.float64(), "what the loss at small weights implies; null where nothing is"),
            _column("seeds", pa.int64(), "seeds with a long enough early growth to fit"),
        ]
    ),
    "phase": pa.schema(
        [
            *_TWO_PATCH[:-1],
            _column("measure", pa.string(), "which alignments: max, the largest; mean, those of an average neuron"),
            _column("ratio", pa.float64(), "alignment with the signal over that with noise, geometric mean over seeds"),
            *_interval("ratio"),
            _column("balanced", pa.float64(), "the ratio of neurons that agree on the data, without randomness"),
            _column("seeds", pa.int64(), "seeds behind the mean"),
            _column("unfinished", pa.int64(), "of these, those whose iterations ran out before the end"),
        ]
    ),
    "phase_fits": pa.schema(
        [
            _OBJECTIVE,
            _DIFFUSION_TIME,
            _column("measure", pa.string(), "which alignments: max, the largest; mean, those of an average neuron"),
            _column(
                "quantity",
                pa.string(),
                "slope: exponent of the ratio in n SNR^2; slope_n, slope_snr2: in n and SNR^2 apart; steepest_slope: "
                "largest exponent within a factor 4 of n SNR^2; crossing: n SNR^2 at which the ratio crosses 1; "
                "prefactor: geometric mean of ratio / (n SNR^2)",
            ),
            _column("value", pa.float64(), "value over all cells; NaN where they do not say"),
            *_interval("value"),
            _column("predicted", pa.float64(), "prediction for diffusion; null where there is none"),
            _column("cells", pa.int64(), "cells of n and SNR behind the fit"),
        ]
    ),
    "noisy_probes": pa.schema(
        [
            _OBJECTIVE,
            _column("network", pa.string(), "quadratic: two layers; convolutional: four"),
            _column("snr", pa.float64(), "mean norm of an image patch over the square root of its pixels"),
            _column("seed", pa.int64(), "seed of noise patches and initialisation"),
            _column("trained", pa.bool_(), "false: the features of the initialisation, for comparison"),
            _column(
                "task", pa.string(), "signal: class from image patches, held out; noise: from trained noise patches"
            ),
            _column("accuracy", pa.float64(), "share of images that a linear probe gets right"),
            *_interval("accuracy"),
            _column("images", pa.int64(), "images the probe is tested on", "images"),
        ]
    ),
    "noisy_maps": pa.schema(
        [
            _OBJECTIVE,
            _column("network", pa.string(), "quadratic: two layers; convolutional: four"),
            _column("snr", pa.float64(), "mean norm of an image patch over the square root of its pixels"),
            _column("example", pa.int64(), "which held-out image"),
            _column("kind", pa.string(), "clean; seen by the network; shown: input gradient, or denoised"),
            _column(
                "values", pa.list_(pa.float64()), "pixels of both patches, one after the other; shape in the metadata"
            ),
        ]
    ),
    "probe_outcomes": pa.schema(
        [
            *_PLANTED,
            _column("seed", pa.int64(), "seed of frames, initialisation and batches"),
            _column("chance", pa.float64(), "share of the most frequent answer among the images tested on"),
            _column("item", pa.int64(), "position among the held-out images"),
            _column("correct", pa.bool_(), "the probe is right"),
        ]
    ),
    "planted_probes": pa.schema(
        [
            *_PLANTED,
            _column("accuracy", pa.float64(), "mean over seeds and images of a linear probe"),
            *_interval("accuracy"),
            _column("chance", pa.float64(), "share of the most frequent answer among the images tested on"),
            _column("seeds", pa.int64(), "trainings behind the mean"),
            _column("images", pa.int64(), "held-out images the probes are tested on", "images"),
        ]
    ),
    "feature_balance": pa.schema(
        [
            *_PLANTED[:-1],
            _column(
                "quantity",
                pa.string(),
                "balance: accuracy above chance on the hard feature over that on the easy one; easy_gain, hard_gain, "
                "class_gain: accuracy less that of the classifier's features on the same images",
            ),
            _column("value", pa.float64(), "over all seeds and images; NaN where the easy feature is not found at all"),
            *_interval("value"),
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
