"""How much closer samples are to what a perfect memory of the training set generates than to what another one does."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..base.errors import UserError
from ..data.images import decode
from ..study.training_sets import TrainingSet
from ..tables.parquet import extra_columns, image_shape, metadata_of, read_arrow
from .agreement import Measured
from .fidelity import Distance, standard_error, with_margin
from .rows import Row, row_of_distance


@dataclass(frozen=True)
class _Generated:
    """Images of one training or control set: which sample each is, (n,), its label, (n,), and pixels, (n, H, W, C)."""

    index: np.ndarray
    labels: np.ndarray
    images: np.ndarray


class EmpiricalMeter:
    """Measures samples x against the images e that the posterior mean of a set generates from the same latents.

    The value is the mean of |x - e| for the training set over that for the control set, over the samples that both
    sets have images of: 0 for a model that follows its own set's posterior mean wherever it leads, as one that has
    memorised does, and on average over sets 1 for one that knows no more of its own images than of the control's. The
    interval is for other latents, the two sets as they are.
    """

    def __init__(self, files: Sequence[Path], runs: pd.DataFrame, data_hash: str, confidence: float) -> None:
        """Find the samples of each run's sets.

        Args:
            files: the tables ``empirical_samples`` of the runs' train sizes, or none.
            runs: the table ``runs``.
            data_hash: of the study's images.
            confidence: level of the intervals.

        Raises:
            UserError: as `tables.parquet.read_arrow`; or images of other data, or none of a run without guidance.
        """
        self.confidence = confidence
        found = [(path, _keys(path), _read(path, data_hash)) for path in files]
        self._sets: dict[str, tuple[Path, dict[str, _Generated]]] = {}
        for run in runs.to_dict("records"):
            for path, keys, sets in found:
                if own := sets.get(tuple(run.get(key) for key in keys)):
                    self._sets[run["run_id"]] = path, own
            if found and run["run_id"] not in self._sets and not run.get("formulation_guidance"):
                chosen = TrainingSet(run["train_size"], run["subset"])
                raise UserError(
                    f"{', '.join(map(str, files))}: no samples for runs with a training set of {chosen}; delete what "
                    "is not this study's to make it again"
                )

    def measure(self, run_id: str, samples: pd.DataFrame, images: np.ndarray) -> Iterator[Row]:
        """The row of a run's samples at one step; none where there are no others to hold them against.

        Args:
            run_id: of the run.
            samples: columns ``index`` and ``label``.
            images: the samples, (m, H, W, C) uint8.

        Raises:
            UserError: the posterior means were sampled on other labels, or more or fewer times.
        """
        if against := self._control(run_id, samples["index"].to_numpy(), _labels(samples)):
            own, control, places = against
            to_own, to_control = (distances(images[places], each) for each in (own.images[places], control.images))
            distance = ratio_of_means(to_own, to_control, control.labels, self.confidence)
            if distance:
                yield row_of_distance("empirical_distance", "pixels", "train", distance, len(places))

    def floor(self, run_id: str, labels: np.ndarray, images: np.ndarray, others: np.ndarray) -> Iterator[Measured]:
        """What keeps two runs of one training set from a distance of 0; none where there is no control set.

        The sum of |x - y| over that of |x - c| + |y - c|, where x and y are the runs' samples of one latent, and c is
        that of the control set. As |x - y| is at most |x - e| + |y - e|, the two runs' empirical distances, each
        weighted by its distance to the control set, are at least this in the mean: whatever their training set's
        memory e is, it cannot be at both places. It is 0 where both runs generate the same, as untrained networks
        and those that have memorised do. It is a floor, and not what seeds explain: where the two deviate from e
        independently, in many directions, the distances that they have by that alone are 2 ** 0.5 times as large.

        Args:
            run_id: of either run.
            labels: of the samples, -1 where the models know none, (m,).
            images, others: samples of the one run and of the other, in order, (m, H, W, C) uint8.

        Raises:
            UserError: as of `measure`.
        """
        if against := self._control(run_id, np.arange(len(labels)), labels):
            _, control, places = against
            x, y = images[places], others[places]
            both = distances(x, control.images) + distances(y, control.images)
            if found := ratio(distances(x, y), both):
                value, influence = found
                distance = _with_interval(value, influence, control.labels, self.confidence)
                yield Measured("empirical_distance_floor", "pixels", distance, places, influence)

    def _control(
        self, run_id: str, index: np.ndarray, labels: np.ndarray
    ) -> tuple[_Generated, _Generated, np.ndarray] | None:
        """What a run's training and control set generate, and the places of the latter's samples among the run's.

        None where a control set of two images is lacking, or all of it.
        """
        if run_id not in self._sets:
            return None
        path, found = self._sets[run_id]
        own = found["train"]
        if not (np.array_equal(own.index, index) and np.array_equal(own.labels, labels)):
            raise UserError(f"{path}: not sampled on the labels of the runs' samples; delete it to make it again")
        if "control" not in found or len(found["control"].index) < 2:
            return None
        return own, found["control"], np.searchsorted(own.index, found["control"].index)


def _keys(path: Path) -> list[str]:
    """The columns that say which set, and which formulation, images are of."""
    return ["train_size", "subset", *(field.name for field in extra_columns(path, "empirical_samples"))]


def _read(path: Path, data_hash: str) -> dict[Hashable, dict[str, _Generated]]:
    """By training set and formulation, and by reference."""
    table = read_arrow(path, "empirical_samples")
    metadata = metadata_of(table)
    if (other := metadata.get("data_hash", "")) != data_hash:
        raise UserError(
            f"{path}: sampled from images with content hash {other}, where those of the study have {data_hash}; delete "
            "it to make it again"
        )
    images = decode(table["image"], image_shape(metadata))
    rows = table.drop_columns(["image"]).to_pandas()
    sets: dict[Hashable, dict[str, _Generated]] = {}
    for (*key, reference), part in rows.groupby([*_keys(path), "reference"]):
        part = part.sort_values("index")
        generated = _Generated(part["index"].to_numpy(), _labels(part), images[part.index])
        sets.setdefault(tuple(key), {})[str(reference)] = generated
    return sets


def _labels(samples: pd.DataFrame) -> np.ndarray:
    """The labels of some samples, (m,); one for all where the model knows none."""
    return samples["label"].astype("Int64").fillna(-1).to_numpy(np.int64)


def distances(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """L2 distance of each image to its partner, both (m, H, W, C) uint8, in pixel values in [0, 1]: (m,)."""
    difference = (left.astype(np.float64) - right).reshape(len(left), -1)
    lengths: np.ndarray = np.linalg.norm(difference, axis=1) / 255
    return lengths


def ratio_of_means(
    numerator: np.ndarray, denominator: np.ndarray, strata: np.ndarray, confidence: float
) -> Distance | None:
    """The ratio of two means over the same samples, with Student's interval by the infinitesimal jackknife.

    Args:
        numerator, denominator: of each sample, (m,), not negative, m at least 2.
        strata: as of `fidelity.standard_error`.
        confidence: level of the interval.

    Returns:
        The ratio; None where the denominator is 0.
    """
    found = ratio(numerator, denominator)
    return _with_interval(*found, strata, confidence) if found else None


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> tuple[float, np.ndarray] | None:
    """The ratio of two means over the same samples, and the influence of each, (m,); None where that is over 0."""
    below = float(denominator.mean())
    if not below:
        return None
    value = float(numerator.mean()) / below
    return value, (numerator - value * denominator) / below


def _with_interval(value: float, influence: np.ndarray, strata: np.ndarray, confidence: float) -> Distance:
    return with_margin(value, *standard_error(influence, strata), confidence, lowest=0.0)
