from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.packs import pack_settings
from memsweep.analysis.collect import by_noise_level, collect
from memsweep.base.errors import UserError
from memsweep.data.images import read_images
from memsweep.jobs.packs import train_pack
from memsweep.jobs.workshop import Way
from memsweep.metrics.classifier import evaluate, fit, read_classifier, train_classifier
from memsweep.metrics.features import Space, features_of, write_features
from memsweep.metrics.measure import measure_pack
from memsweep.tables.contracts import SCHEMAS
from memsweep.tables.parquet import read_table, write_table

METRICS = {
    "f_mem_threshold": 1 / 3,
    "false_positive_rate": 0.05,
    "spaces": ["pixels", "classifier"],
    "projections": 4,
    "floor_draws": 3,
    "battery": [],
    "confidence": 0.95,
    "distances": ["sliced_wasserstein"],
}


@pytest.fixture(scope="module")
def results(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack that was trained, measured and collected."""
    folder = tmp_path_factory.mktemp("results")
    train_pack(pack_settings(), digits, folder / "checkpoints", folder / "train" / "job", Way(device="cpu"))
    train_classifier(digits, folder / "classifier.safetensors")
    for space in ("pixels", "classifier"):
        path = folder / "features" / f"{space}.parquet"
        write_features({"space": space}, digits, folder / "classifier.safetensors", folder / "cache", path)
    job = folder / "measure" / "job"
    measure_pack(METRICS, digits, folder / "train" / "job", folder / "features", folder / "classifier.safetensors", job)
    settings = {"jobs": ["job"], "comparisons": [], "base": {"train_size": 8}, "noise_levels": 4, "confidence": 0.9}
    collect(settings, folder / "train", folder / "measure", folder / "agree", folder / "tables")
    return folder


def test_the_mean_loss_is_that_of_the_items(results: Path) -> None:
    losses = read_table(results / "train" / "job" / "losses.parquet", "losses")
    rows = read_table(results / "tables" / "trajectories.parquet", "trajectories")
    assert len(rows) == 3 * 5 * 2
    means = losses.groupby(["run_id", "step", "split"])["loss"].mean()
    pd.testing.assert_series_equal(
        rows.set_index(means.index.names)["loss"].sort_index(), means, check_dtype=False, check_index_type=False
    )
    assert (rows["ci_low"] < rows["loss"]).all()


def test_noise_levels_part_the_items_by_time(results: Path) -> None:
    levels = read_table(results / "tables" / "noise_levels.parquet", "noise_levels")
    assert sorted(levels["noise_level"].unique()) == [0.125, 0.375, 0.625, 0.875]
    means = levels.groupby(["run_id", "step", "split"])["loss"].mean()
    whole = read_table(results / "tables" / "trajectories.parquet", "trajectories")
    # Stratified times put as many items in each of these bins
    merged = whole.set_index(["run_id", "step", "split"])["loss"]
    pd.testing.assert_series_equal(means.sort_index(), merged.sort_index(), check_index_type=False)


def test_a_time_of_one_belongs_to_the_last_bin() -> None:
    frame = by_noise_level(pd.DataFrame({"time": np.float32([0, 0.2499, 0.25, 1])}), 4)
    assert list(frame["noise_level"]) == [0.125, 0.125, 0.375, 0.875]


def test_metrics_have_every_reference_at_every_step(results: Path) -> None:
    metrics = read_table(results / "tables" / "metrics.parquet", "metrics")
    counts = metrics.groupby(["metric", "space", "reference"]).size().to_dict()
    assert counts == {
        ("f_mem", "pixels", "train"): 15,
        ("f_mem", "pixels", "control"): 15,
        ("f_mem_held_out", "pixels", "train"): 3,
        **{
            (f"sliced_wasserstein_corrected_{half}", space, "test"): 15
            for half in ("first",)  # all samples are in it, as there is one of each label
            for space in ("pixels", "classifier")
        },
        ("copy_threshold", "pixels", "control"): 3,
        ("near_threshold", "pixels", "control"): 3,
        ("lean", "pixels", "control"): 15,
        ("f_mem_calibrated_held_out", "pixels", "control"): 3,
        **{("f_mem_calibrated", "pixels", reference): 15 for reference in ("train", "control")},
        **{
            (f"sliced_wasserstein{kind}", space, reference): count
            for kind, count in (("", 15), ("_corrected", 15), ("_floor", 3))
            for space in ("pixels", "classifier")
            for reference in ("train", "test")
        },
    }
    assert metrics[metrics["metric"].str.endswith("_floor")]["step"].isna().all()
    assert metrics[metrics["metric"] == "f_mem_held_out"]["step"].isna().all()
    assert set(metrics[metrics["metric"] == "f_mem_held_out"]["generated"]) == {500}
    assert (metrics["ci_low"] <= metrics["value"]).all()
    assert (metrics["value"] <= metrics["ci_high"]).all()


def test_neighbours_lie_in_their_reference_set_at_the_distance_said(results: Path, digits: Path) -> None:
    data = read_images(digits)
    neighbours = read_table(results / "measure" / "job" / "neighbours.parquet", "neighbours")
    assert neighbours.query("reference == 'train'")["nearest"].between(0, 7).all()
    assert neighbours.query("reference == 'control'")["nearest"].between(8, 15).all()
    samples = read_table(results / "train" / "job" / "samples.parquet", "samples")
    merged = neighbours.merge(samples, on=["run_id", "step", "index"])
    assert len(merged) == len(neighbours) == 2 * len(samples)
    for row in merged.sample(20, random_state=0).itertuples():
        image = np.frombuffer(row.image, np.uint8).astype(float) / 255
        nearest = data.train.images[row.nearest].reshape(-1).astype(float) / 255
        assert row.distance == pytest.approx(np.linalg.norm(image - nearest), rel=1e-6)


def test_the_classifier_recognises_digits_and_its_features_survive_saving(results: Path, digits: Path) -> None:
    data = read_images(digits)
    network = read_classifier(results / "classifier.safetensors")
    assert evaluate(network, data.test) > 0.9
    np.testing.assert_array_equal(fit(data).head.weight.detach(), network.head.weight.detach())
    space = Space.find("classifier", results / "classifier.safetensors")
    path = results / "features" / "classifier.parquet"
    features = features_of(space, path, data.data_hash)
    assert features["train"].shape == (1297, 64)
    assert features["test"].shape == (500, 64)
    with pytest.raises(UserError, match=rf"{path}: its data_hash is {data.data_hash}, not of others; delete it"):
        features_of(space, path, "of others")
    with pytest.raises(UserError, match=rf"{path}: its space is classifier, not pixels; delete it to make it again"):
        features_of(Space.find("pixels"), path, data.data_hash)
    with pytest.raises(UserError, match=rf"trained on images with content hash {data.data_hash}, not of others"):
        read_classifier(results / "classifier.safetensors", "of others")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("runs", "holds runs with other values than train_size=16/batch_size=4"),
        ("losses", r"holds rows of other runs \("),
        ("metrics", r"batch_size=4/metrics.parquet: holds rows of other runs \(run0\)"),
    ],
)
def test_a_table_of_another_pack_is_named(name: str, said: str, tmp_path: Path) -> None:
    """Two packs of one run each; a table of the first takes the place of the second's."""
    jobs = ["train_size=8/batch_size=4", "train_size=16/batch_size=4"]
    for number, job in enumerate(jobs):
        size, folder = 8 * (number + 1), tmp_path / "packs" / job
        run = {"run_id": f"run{number}", "train_size": size, "base_channels": 4, "batch_size": 4, "learning_rate": 1e-3}
        run |= {"seed": 0, "subset": 0, "max_steps": 32, "dataset": "digits", "parameters": 1, "status": "finished"}
        write_table(folder / "runs.parquet", "runs", pd.DataFrame([{**run, "data_hash": "h", "code_version": "1"}]))
        loss = {"run_id": f"run{number}", "step": 3, "split": "test", "item": 0, "index": 0, "time": 0.5, "loss": 1.0}
        write_table(folder / "losses.parquet", "losses", pd.DataFrame([loss]))
        metric = dict.fromkeys(SCHEMAS["metrics"].names) | {"run_id": f"run{number}", "step": 3, "metric": "m"}
        write_table(folder / "metrics.parquet", "metrics", pd.DataFrame([metric]))
    settings = {"jobs": jobs, "comparisons": [], "base": {"train_size": 8}, "noise_levels": 2, "confidence": 0.95}
    collect(settings, tmp_path / "packs", tmp_path / "packs", tmp_path, tmp_path / "tables")
    shutil.copy(*(tmp_path / "packs" / job / f"{name}.parquet" for job in jobs))
    with pytest.raises(UserError, match=said):
        collect(settings, tmp_path / "packs", tmp_path / "packs", tmp_path, tmp_path / "tables")


def test_a_damaged_classifier_is_named(tmp_path: Path) -> None:
    path = tmp_path / "classifier.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(UserError, match=f"{path}: not a classifier"):
        read_classifier(path)
