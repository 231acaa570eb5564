"""Runs of other settings and of other training sets in one job: each is what it would be on its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.packs import FORMULATIONS, pack_settings
from memsweep.analysis.collect import of_job
from memsweep.base.errors import UserError
from memsweep.data.images import ImageSet, decode, read_images
from memsweep.jobs.packs import train_pack
from memsweep.jobs.workshop import Way
from memsweep.metrics.features import write_features
from memsweep.metrics.fidelity_meter import FidelityMeter
from memsweep.metrics.measure import measure_pack
from memsweep.metrics.novelty_meter import NoveltyMeter
from memsweep.metrics.similarity_meter import SimilarityMeter
from memsweep.study.axes import encoded
from memsweep.study.training_sets import TrainingSet
from memsweep.tables.parquet import image_shape, metadata_of, read_arrow, read_table

TABLES = ("runs", "losses", "samples")
PLAIN = pack_settings()
AXES = [
    {"name": "training.optimizer", "column": "training_optimizer", "type": "string", "meaning": "what moves weights"},
    {"name": "training.flip", "column": "training_flip", "type": "boolean", "meaning": "mirror images"},
    {"name": "network.blocks", "column": "network_blocks", "type": "integer", "meaning": "blocks"},
    {"name": "formulation.name", "column": "formulation_name", "type": "string", "meaning": "what is learnt"},
]
BASE = {"training.optimizer": "adam", "training.flip": False, "network.blocks": 1, "formulation.name": "rectified_flow"}
# By run id, what is other than in the job: values of axes, and the sections that follow from them
OTHERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "sgd": (
        {"training.optimizer": "sgd", "training.flip": True},
        {"training": {**PLAIN["training"], "optimizer": "sgd", "momentum": 0.9, "flip": True}},
    ),
    "deep": ({"network.blocks": 2}, {"network": {**PLAIN["network"], "blocks": 2}}),
    "ddpm": ({"formulation.name": "ddpm"}, {"formulation": FORMULATIONS["unconditional_ddpm"]}),
}


def train(settings: dict[str, Any], images: Path, folder: Path) -> dict[str, pd.DataFrame]:
    train_pack(settings, images, folder / "checkpoints", folder / "tables", Way(device="cpu"))
    return {name: read_table(folder / "tables" / f"{name}.parquet", name) for name in TABLES}


def mixed() -> dict[str, Any]:
    """A pack whose runs differ in what learns, what is learnt, and how; one of them is of another subset."""
    settings = pack_settings()
    first = settings["runs"][0]
    settings["runs"] = [
        {**first, "run_id": name, "settings": {**BASE, **values}, "sections": sections}
        for name, (values, sections) in OTHERS.items()
    ]
    settings["runs"].append({**first, "run_id": "other images", "subset": 2, "settings": BASE})
    return {**settings, "axes": AXES}


@pytest.fixture(scope="module")
def pack(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, pd.DataFrame]]:
    folder = tmp_path_factory.mktemp("mixed")
    return folder, train(mixed(), digits, folder)


@pytest.mark.parametrize("name", OTHERS)
def test_a_run_of_other_settings_is_what_it_is_where_they_are_those_of_the_job(
    name: str, pack: tuple[Path, dict[str, pd.DataFrame]], digits: Path, tmp_path: Path
) -> None:
    settings = pack_settings(**OTHERS[name][1])
    settings["runs"] = [{**settings["runs"][0], "run_id": name}]
    alone = train(settings, digits, tmp_path)
    for table in TABLES:
        beside = pack[1][table]
        own = beside[beside["run_id"] == name].reset_index(drop=True)
        # Beside a run without labels, pandas holds labels as floats
        pd.testing.assert_frame_equal(own[alone[table].columns], alone[table], check_exact=True, check_dtype=False)


def test_the_table_of_runs_has_a_typed_column_for_each_axis(pack: tuple[Path, dict[str, pd.DataFrame]]) -> None:
    runs = pack[1]["runs"].set_index("run_id")
    assert runs["training_optimizer"].to_dict() == {name: "sgd" if name == "sgd" else "adam" for name in runs.index}
    assert runs["training_flip"].dtype == bool
    assert runs["network_blocks"].dtype == np.int64
    assert runs.loc["deep", "network_blocks"] == 2
    assert runs.loc["deep", "parameters"] > runs.loc["plain", "parameters"]
    assert runs["subset"].to_dict() == {name: 2 * (name == "other images") for name in runs.index}
    schema = read_arrow(pack[0] / "tables" / "runs.parquet", "runs").schema
    assert schema.field("training_flip").metadata == {b"meaning": b"mirror images"}


def test_runs_are_found_by_the_values_that_a_path_says(pack: tuple[Path, dict[str, pd.DataFrame]]) -> None:
    runs = pack[1]["runs"].assign(network_attention_levels="[1]")
    assert len(of_job(runs, "train_size=8/learning_rate=0.001")) == len(runs)
    assert list(of_job(runs, "training_flip=true")["run_id"]) == ["sgd"]
    assert list(of_job(runs, "network_blocks=2/formulation_name=rectified_flow")["run_id"]) == ["deep"]
    assert len(of_job(runs, f"network_attention_levels={encoded('[1]')}")) == len(runs)
    assert of_job(runs, "network_attention_levels=%5B2%5D").empty


# --- subsets ---


def test_a_subset_is_trained_and_evaluated_on_its_own_images(
    pack: tuple[Path, dict[str, pd.DataFrame]], digits: Path
) -> None:
    data = read_images(digits)
    losses = pack[1]["losses"]
    index = losses[(losses["run_id"] == "other images") & (losses["split"] == "train")]["index"]
    assert set(index) == set(range(16, 24))
    trained = data.train.labels[16:24]
    samples = pack[1]["samples"]
    assert set(samples[samples["run_id"] == "other images"]["label"]) <= set(trained)
    held_out = losses[(losses["run_id"] == "other images") & (losses["split"] == "test")]["index"].unique()
    assert set(data.test.labels[held_out]) <= set(trained)


def test_training_images_beyond_the_data_are_a_sentence(digits: Path, tmp_path: Path) -> None:
    settings = pack_settings()
    settings["runs"] = [{**settings["runs"][0], "subset": 400}]
    with pytest.raises(UserError, match="train_size: found 8 images, subset 400; accepted is at most 1297"):
        train(settings, digits, tmp_path)


def by_hand(samples: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nearest of some images, and distance to it, of each sample."""
    squares = ((samples[:, None].astype(np.int64) - images[None].astype(np.int64)) ** 2).reshape(
        len(samples), len(images), -1
    )
    return squares.sum(axis=2).argmin(axis=1), np.sqrt(squares.sum(axis=2).min(axis=1)) / 255


def test_samples_are_held_against_the_images_of_their_own_subset_and_of_the_next(
    pack: tuple[Path, dict[str, pd.DataFrame]], digits: Path, tmp_path: Path
) -> None:
    """The meters of runs of several training sets of one size in one pack, against a search by hand."""
    data = read_images(digits)
    settings = {
        "f_mem_threshold": 1 / 3,
        "false_positive_rate": 0.05,
        "spaces": ["pixels"],
        "distances": ["sliced_wasserstein"],
        "projections": 8,
        "floor_draws": 3,
        "battery": [],
        "confidence": 0.95,
    }
    write_features({"space": "pixels", "weights": {}}, digits, None, tmp_path / "cache", tmp_path / "pixels.parquet")
    measure_pack(settings, digits, pack[0] / "tables", tmp_path, None, tmp_path)
    found = read_table(tmp_path / "neighbours.parquet", "neighbours")
    table = read_arrow(pack[0] / "tables" / "samples.parquet", "samples")
    samples = table.to_pandas()
    images = decode(table["image"], image_shape(metadata_of(table)))
    first_rows = {"train": {"plain": 0, "other images": 16}, "control": {"plain": 8, "other images": 24}}
    for reference, firsts in first_rows.items():
        for run_id, first in firsts.items():
            chosen = (samples["run_id"] == run_id) & (samples["step"] == 32)
            nearest, distance = by_hand(images[chosen], data.train.images[first : first + 8])
            rows = found[(found["run_id"] == run_id) & (found["step"] == 32) & (found["reference"] == reference)]
            np.testing.assert_allclose(rows["distance"], distance, rtol=1e-6)
            np.testing.assert_array_equal(
                data.train.images[rows["nearest"].to_numpy()], data.train.images[first + nearest]
            )
    # The distance to the training set is not that to another one of the same size
    metrics = read_table(tmp_path / "metrics.parquet", "metrics")
    metrics = metrics[(metrics["metric"] == "sliced_wasserstein") & (metrics["reference"] == "train")]
    features = {"pixels": {name: _flat(getattr(data, name).images) for name in ("train", "test")}}
    for run_id, subset in (("plain", 0), ("other images", 2)):
        chosen = (samples["run_id"] == run_id) & (samples["step"] == 32)
        (value,) = metrics[(metrics["run_id"] == run_id) & (metrics["step"] == 32)]["value"]
        labels = samples[chosen]["label"].to_numpy(np.int64)
        meter = FidelityMeter(settings, features, data)
        alone = meter.measure({"pixels": _flat(images[chosen])}, labels, TrainingSet(8, subset))
        assert value == pytest.approx(next(row["value"] for row in alone if row["reference"] == "train"), rel=1e-6)


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) / 255


def test_the_control_of_the_last_subset_begins_anew_and_then_takes_held_out_images(noise_images: ImageSet) -> None:
    """Forty images to train on, twenty held out."""
    settings = {"f_mem_threshold": 1 / 3, "false_positive_rate": 0.05, "confidence": 0.95, "sscd_threshold": 0.6}
    meter = NoveltyMeter(settings, noise_images)
    samples = pd.DataFrame({"run_id": "run", "step": 1, "index": range(40)})
    whole = np.concatenate([noise_images.train.images, noise_images.test.images])
    for chosen, control in ((TrainingSet(15, 1), [*range(30, 40), *range(5)]), (TrainingSet(30), range(30, 60))):
        found = meter.neighbours(samples, noise_images.train.images, chosen)
        rows = found[found["reference"] == "control"]
        nearest, distance = by_hand(noise_images.train.images, whole[list(control)])
        np.testing.assert_array_equal(rows["nearest"], np.array(control)[nearest])
        np.testing.assert_allclose(rows["distance"], distance, rtol=1e-6)
        features = {name: _flat(getattr(noise_images, name).images) for name in ("train", "test")}
        similar = SimilarityMeter(settings, features, chosen).references["control"]
        np.testing.assert_array_equal(similar, _flat(whole[list(control)]))
