"""The stage ``agree``: what runs that differ only in their training images, or only in their seed, have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..data.images import ImageSet, read_images
from ..study.pairs import Pair
from ..study.training_sets import TrainingSet
from ..tables.contracts import SCHEMAS
from ..tables.frames import frame_of
from ..tables.parquet import write_table
from .agreement import Measured, cosines, leans, mean_of, relative, share_among
from .empirical_meter import EmpiricalMeter
from .features import Space, features_of, opened
from .measure import read_pack
from .neighbours import nearest_in_ranges
from .over_pairs import Groups

Row = dict[str, Any]


@dataclass(frozen=True)
class _Run:
    """A run's samples.

    Attributes:
        training_set: that of the run.
        labels: by step, of each sample, (m,), -1 where the model knows none.
        images: by step, (m, H, W, C) uint8.
    """

    training_set: TrainingSet
    labels: Mapping[int, np.ndarray]
    images: Mapping[int, np.ndarray]


def agree_runs(
    settings: Mapping[str, Any],
    images: Path,
    train: Sequence[Path],
    features: Path,
    classifier: Path | None,
    output: Path,
    empirical: Sequence[Path] = (),
) -> None:
    """Write how far the runs of some pairs agree at each step, and how each latent's two samples compare.

    Args:
        settings: ``pairs``, of each the two run ids and in what they differ; ``spaces`` and ``weights`` of the config's
            ``metrics``; ``sscd_threshold``; ``confidence``.
        images: the prepared image table.
        train: folders of the ``runs`` and ``samples`` of the packs that hold these runs.
        features: folder with the features of the images in each space.
        classifier: weights of the study's classifier, which only the space of that name needs.
        output: folder that receives ``agreement``, ``agreement_over_pairs`` and ``paired_samples``.
        empirical: tables ``empirical_samples`` of the train sizes of runs that differ in their seed.
    """
    torch.set_num_threads(1)
    data = read_images(images)
    table, runs = _read_runs(train, data.data_hash)
    pairs = [Pair(*pair) for pair in settings["pairs"] if set(pair[:2]) <= set(runs)]  # others have no samples
    spaces = {name: Space.find(name, classifier, settings.get("weights")) for name in settings["spaces"]}
    known = {name: features_of(space, features / f"{name}.parquet", data.data_hash) for name, space in spaces.items()}
    meter = AgreementMeter({name: each["train"].mean(axis=0) for name, each in known.items()}, settings)
    seeds = {run_id for pair in pairs if pair.differs == "seed" for run_id in (pair.run_id, pair.other_run_id)}
    memory = EmpiricalMeter(empirical, table[table["run_id"].isin(seeds)], data.data_hash, settings["confidence"])
    to_sets = _distances_to_sets(runs, pairs, data)
    rows: list[Row] = []
    means: list[Row] = []
    paired: list[dict[str, np.ndarray]] = []
    with opened(spaces) as maps:
        for step in sorted({step for run in runs.values() for step in run.images}):
            there = {run_id: run for run_id, run in runs.items() if step in run.images}
            placed = {
                run_id: {name: to_features(run.images[step]) for name, to_features in maps.items()}
                for run_id, run in there.items()
            }
            of_groups = Groups(pairs)
            for pair in pairs:
                first, second = pair.run_id, pair.other_run_id
                if not {first, second} <= set(there):
                    continue
                of = {**vars(pair), "step": step}
                labels, others = there[first].labels[step], there[second].labels[step]
                same = np.flatnonzero(labels == others)
                if len(same) < 2:  # as where small training sets have other classes
                    continue
                lean = np.full(len(same), np.nan)
                measured: list[Measured] = []
                for name in spaces:
                    left, right = placed[first][name][same], placed[second][name][same]
                    measured += meter.measure(name, left, right, labels[same])
                left, right = there[first].images[step], there[second].images[step]
                if pair.differs == "subset":
                    lean = leans(*(to_sets[way][step][same] for way in _ways(first, second)))
                    measured.append(meter.lean(lean, labels[same]))
                elif len(same) == len(labels):
                    measured += memory.floor(first, labels, left, right)
                for each in measured:
                    rows.append({**of, **_row(each)})
                    of_groups.add(pair, each, same)
                found = relative(_flat(left[same]), _flat(right[same]), labels[same])
                distance = found.distances if found else np.full(len(same), np.nan)
                values = {"index": same, "distance": distance, "lean": lean}
                paired.append({**{name: np.full(len(same), value) for name, value in of.items()}, **values})
            labels_of = {run_id: run.labels[step] for run_id, run in there.items()}
            means += [{"step": step, **row} for row in of_groups.rows(labels_of, settings["confidence"])]
    for name, found_rows in {"agreement": rows, "agreement_over_pairs": means}.items():
        write_table(output / f"{name}.parquet", name, frame_of(found_rows, SCHEMAS[name].names))
    write_table(output / "paired_samples.parquet", "paired_samples", _stacked(paired))


def _stacked(parts: Sequence[Mapping[str, np.ndarray]]) -> pd.DataFrame:
    """The table ``paired_samples`` of its parts, which may be none."""
    columns = SCHEMAS["paired_samples"].names
    if not parts:
        return frame_of([], columns)
    return pd.DataFrame({name: np.concatenate([part[name] for part in parts]) for name in columns})


class AgreementMeter:
    """Measures how far the samples of two runs agree.

    Args:
        centres: mean of all training images in each space, (d,).
        settings: ``confidence`` and ``sscd_threshold``.
    """

    def __init__(self, centres: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> None:
        self.centres = centres
        self.confidence = settings["confidence"]
        self.threshold = settings["sscd_threshold"]

    def measure(self, space: str, left: np.ndarray, right: np.ndarray, labels: np.ndarray) -> Iterator[Measured]:
        """The measures in one space of features of the same latents, (m, d) each, with one label each, (m,)."""
        latents = np.arange(len(labels))
        cosine = cosines(left, right, self.centres[space])
        yield Measured("cosine", space, mean_of(cosine, cosine, labels, self.confidence), latents, cosine)
        if found := relative(left, right, labels):
            distance = mean_of(found.distances, found.influence, labels, self.confidence)
            yield Measured("distance", space, distance, latents, found.influence)
        if space == "sscd":
            alike = (cosines(left, right, np.zeros(left.shape[1])) > self.threshold).astype(float)
            yield self._share("reproducibility", space, alike, labels)

    def lean(self, values: np.ndarray, labels: np.ndarray) -> Measured:
        """How much the runs lean to their own images, from that of each latent."""
        return self._share("lean", "pixels", values, labels)

    def _share(self, measure: str, space: str, values: np.ndarray, labels: np.ndarray) -> Measured:
        return Measured(measure, space, share_among(values, labels, self.confidence), np.arange(len(labels)), values)


def _row(measured: Measured) -> Row:
    return {
        "measure": measured.measure,
        "space": measured.space,
        **asdict(measured.found),
        "pairs": len(measured.latents),
    }


def _read_runs(train: Sequence[Path], data_hash: str) -> tuple[pd.DataFrame, dict[str, _Run]]:
    """The table ``runs`` of some packs, and those of their runs that have samples."""
    found: dict[str, _Run] = {}
    tables = []
    for folder in train:
        runs, samples, generated = read_pack(folder, data_hash)
        tables.append(runs)
        sets = dict(zip(runs["run_id"], map(TrainingSet, runs["train_size"], runs["subset"]), strict=True))
        labels = samples["label"].fillna(-1).to_numpy(np.int64)
        for run_id, own in samples.groupby("run_id"):
            ordered = own.sort_values(["step", "index"])
            rows = {step: ordered.index[ordered["step"] == step] for step in ordered["step"].unique().tolist()}
            of_steps = {step: generated[at] for step, at in rows.items()}
            found[str(run_id)] = _Run(sets[str(run_id)], {step: labels[at] for step, at in rows.items()}, of_steps)
    return pd.concat(tables), found


def _ways(first: str, second: str) -> list[tuple[str, str]]:
    """Whose samples, and to whose training set, in the order of the arguments of `agreement.leans`."""
    return [(first, first), (first, second), (second, second), (second, first)]


def _distances_to_sets(
    runs: Mapping[str, _Run], pairs: Sequence[Pair], data: ImageSet
) -> dict[tuple[str, str], dict[int, np.ndarray]]:
    """By run and by whose training set, at each step: the distance of each sample to the nearest image, (m,)."""
    wanted: dict[str, list[str]] = {}
    for pair in pairs:
        if pair.differs == "subset":
            for run_id, whose in _ways(pair.run_id, pair.other_run_id):
                if whose not in wanted.setdefault(run_id, []):
                    wanted[run_id].append(whose)
    images = data.train.images.reshape(len(data.train), -1)
    found: dict[tuple[str, str], dict[int, np.ndarray]] = {}
    for run_id, owners in wanted.items():
        samples = runs[run_id].images
        ends = np.cumsum([len(each) for each in samples.values()])[:-1]
        sets = [runs[owner].training_set for owner in owners]
        references = np.concatenate([images[each.rows] for each in sets])
        size = sets[0].size
        ranges = [(place * size, (place + 1) * size) for place in range(len(sets))]
        queries = np.concatenate([each.reshape(len(each), -1) for each in samples.values()])
        for owner, neighbours in zip(owners, nearest_in_ranges(queries, references, ranges, 1), strict=True):
            parts = np.split(neighbours.distance[:, 0], ends)
            found[run_id, owner] = dict(zip(samples, parts, strict=True))
    return found


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) / 255
