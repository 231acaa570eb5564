"""Constructed generators do what they say, and metrics read of them what they are known to read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from memsweep.base.errors import UserError
from memsweep.data.datasets import prepare
from memsweep.data.images import ImageSet, Split, read_images
from memsweep.metrics.constructed import GENERATORS, Generator
from memsweep.metrics.metric_check import metric_check, parts, write_metric_check
from memsweep.study.checked import FEWEST_OTHERS
from memsweep.tables.parquet import read_table

BY_NAME: Mapping[str, Generator] = {generator.name: generator for generator in GENERATORS}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("digits") / "images.parquet"
    prepare({"name": "digits", "test_images": 400, "seed": 0}, path)
    return path


@pytest.fixture(scope="module")
def digits(prepared: Path) -> ImageSet:
    return read_images(prepared)


@pytest.fixture(scope="module")
def checked(digits: ImageSet) -> pd.DataFrame:
    table = metric_check(digits, [16, 128], [200])
    return table.set_index(["train_size", "generator", "metric", "reference"])


def drawn(name: str, data: ImageSet, count: int = 120, size: int = 40) -> tuple[np.ndarray, Split, Split]:
    train, _, others = parts(data, size)
    return BY_NAME[name].draw(train, others, count, np.random.default_rng(0)), train, others


def contents(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


@pytest.mark.parametrize("name", BY_NAME)
def test_a_generator_draws_so_many_images_the_same_ones_every_time(name: str, digits: ImageSet) -> None:
    images, _, _ = drawn(name, digits)
    assert images.shape == (120, 8, 8, 1)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, drawn(name, digits)[0])


def test_the_sets_share_no_image_and_controls_begin_with_the_training_set(digits: ImageSet) -> None:
    for size in (16, 300, len(digits.train) - FEWEST_OTHERS):
        train, controls, others = parts(digits, size)
        np.testing.assert_array_equal(controls[0], train.images)
        rows = controls.reshape(-1, *digits.shape)
        assert len(rows) + len(others) <= len(digits.train)
        np.testing.assert_array_equal(rows, digits.train.images[: len(rows)])
        np.testing.assert_array_equal(others.images, digits.train.images[-len(others) :])
    with pytest.raises(UserError, match=r"train_size: found 1148 of 1397 training images; accepted is at most 1147"):
        parts(digits, len(digits.train) - FEWEST_OTHERS + 1)


def test_each_does_what_it_is_called(digits: ImageSet) -> None:
    images, train, others = drawn("copier", digits)
    assert contents(images) == contents(train.images)
    images, train, others = drawn("resampler", digits)
    assert len(contents(images)) > 115
    assert contents(images) <= contents(others.images)
    images, train, others = drawn("half_copier", digits)
    assert contents(images[:60]) <= contents(train.images)
    assert contents(images[60:]) <= contents(others.images)
    images, train, others = drawn("mode_dropper", digits)
    assert contents(images) <= contents(others.images[others.labels < 5])
    images, train, others = drawn("class_means", digits)
    mean = np.round(train.images[train.labels == 3].mean(axis=0)).astype(np.uint8)
    assert mean.tobytes() in contents(images)
    assert len(contents(images)) == 10
    images, train, others = drawn("gaussian", digits, 2000)
    means = [part.mean(axis=0).ravel() for part in (images, others.images)]  # which clipping moves
    assert np.corrcoef(means)[0, 1] > 0.98


def test_noise_has_the_strength_that_is_said(digits: ImageSet) -> None:
    grey = Split(np.full((2, 32, 32, 1), 128, np.uint8), np.zeros(2, np.int64))
    for name, noise in {"slight": 0.05, "moderate": 0.1, "strong": 0.2}.items():
        images = BY_NAME[f"copier_{name}_noise"].draw(grey, grey, 20, np.random.default_rng(0))
        assert images.std() / 255 == pytest.approx(noise, rel=0.05)


def test_a_mean_of_neighbours_is_that_of_an_image_and_its_nearest_other() -> None:
    images = np.array([0, 10, 100, 100], np.uint8).reshape(4, 1, 1, 1)
    train = Split(images, np.zeros(4, np.int64))
    found = BY_NAME["neighbour_means"].draw(train, train, 8, np.random.default_rng(0))
    assert sorted(found.ravel().tolist()) == [5, 5, 5, 5, 100, 100, 100, 100]


def test_of_one_class_the_darker_half_is_kept() -> None:
    images = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1)
    others = Split(images, np.zeros(10, np.int64))
    found = BY_NAME["mode_dropper"].draw(others, others, 50, np.random.default_rng(0))
    assert set(found.ravel().tolist()) == {0, 1, 2, 3, 4}


def test_measures_of_closeness_see_copies_in_the_order_of_their_noise(checked: pd.DataFrame) -> None:
    copiers = ["copier", "copier_slight_noise", "copier_moderate_noise", "copier_strong_noise", "resampler"]
    for size in (16, 128):
        nearer = [checked.loc[(size, name, "nearer", "train"), "value"] for name in copiers]
        assert nearer == sorted(nearer, reverse=True)
        assert nearer[3] > 0.6
        authentic = [checked.loc[(size, name, "authenticity", "train"), "value"] for name in copiers]
        assert authentic == sorted(authentic)
    field, calibrated = (
        checked.loc[(128, slice(None), f"{rule}_copies", "train"), "value"] for rule in ("field", "calibrated")
    )
    field, calibrated = (found.droplevel([0, 2, 3]) for found in (field, calibrated))
    assert calibrated["copier_moderate_noise"] > 0.5 > 3 * field["copier_moderate_noise"]
    assert calibrated["half_copier"] == pytest.approx(0.5, abs=0.03)
    assert calibrated[["resampler", "gaussian", "neighbour_means", "mode_dropper"]].max() < 0.07


def test_quality_and_diversity_are_read_by_others(checked: pd.DataFrame) -> None:
    values = checked.loc[128]["value"]
    perfect = values["resampler"]
    # A copier is as good as the images it copies
    assert values["copier", "precision", "held_out"] == pytest.approx(perfect["precision", "held_out"], abs=0.03)
    assert values["copier_strong_noise", "density", "held_out"] < 0.7 * perfect["density", "held_out"]
    assert values["neighbour_means", "density", "held_out"] > 1.2 * perfect["density", "held_out"]
    for name in ("class_means", "mode_dropper", "neighbour_means"):
        assert values[name, "recall", "held_out"] < 0.8 * perfect["recall", "held_out"]
    for name in ("class_means", "mode_dropper", "gaussian", "copier_strong_noise"):
        assert values[name, "sliced_wasserstein", "held_out"] > 1.2 * perfect["sliced_wasserstein", "held_out"]
    # Distances to the training set reward copying
    assert values["copier", "frechet", "train"] < 0.1 * perfect["frechet", "train"]


def test_the_stage_writes_a_table_of_these_images(prepared: Path, digits: ImageSet, tmp_path: Path) -> None:
    settings = {"train_sizes": [20], "samples": [30], "confidence": 0.9}
    write_metric_check(settings, prepared, tmp_path / "metric_check.parquet")
    table = read_table(tmp_path / "metric_check.parquet", "metric_check")
    assert set(table["generator"]) == set(BY_NAME)
    assert set(table["train_size"]) == {20}
    assert set(table["samples"]) == {30}
    expected = metric_check(digits, [20], [30], 0.9)
    pd.testing.assert_frame_equal(table, expected[list(table.columns)], check_dtype=False)
