"""Which training images are copied: steps and counts by hand, typicality by brute force, and the rule's error."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from memsweep.analysis.copied_images import Copied, Typicality, copied_images
from memsweep.data.datasets import content_hash
from memsweep.data.images import ImageSet, Split
from memsweep.metrics.novelty_meter import NoveltyMeter
from memsweep.study.training_sets import TrainingSet
from scipy.spatial.distance import cdist
from scipy.stats import binomtest

SET = TrainingSet(4, 1)  # images 4 to 7


def neighbours(*rows: tuple[int, int, int, float], reference: str = "train") -> pd.DataFrame:
    """Rows of one run: step, sample, nearest image and distance."""
    table = pd.DataFrame(rows, columns=["step", "index", "nearest", "distance"])
    return table.assign(reference=reference)


def test_an_image_is_copied_from_the_first_step_at_which_a_sample_is_near_it() -> None:
    rows = neighbours(
        *((10, 0, 5, 0.9), (10, 1, 7, 0.49)),
        *((100, 0, 5, 0.4), (100, 1, 4, 0.6)),
        *((1000, 0, 5, 0.1), (1000, 1, 5, 0.2)),
    )
    other = neighbours((10, 0, 8, 0.0), (100, 1, 9, 0.0), reference="control")
    found = Copied.found(pd.concat([rows, other]).sample(frac=1, random_state=0), 0.5, SET)
    assert found.first_step.tolist() == [math.inf, 100, math.inf, 10]
    assert found.samples.tolist() == [0, 2, 0, 0]  # image 7 is copied no more
    assert found.of == 2


def test_a_distance_at_the_threshold_is_none_of_a_copy() -> None:
    assert np.isinf(Copied.found(neighbours((10, 0, 5, 0.5)), 0.5, SET).first_step).all()


def test_a_run_has_a_row_for_each_image_of_its_set_and_one_without_a_threshold_has_none() -> None:
    train = Split(np.zeros((8, 2, 2, 1), np.uint8), np.array([0, 1] * 4))
    runs = pd.DataFrame({"run_id": ["a", "b", "c"]})
    found = {
        "c": Copied.found(neighbours((10, 0, 6, 0.1), (10, 1, 6, 0.9)), 0.5, SET),
        "a": Copied.found(neighbours((10, 0, 1, 0.1)), 0.5, TrainingSet(2)),
    }
    first, last = copied_images(runs, found, train)
    assert (first["run_id"].unique(), last["run_id"].unique()) == ("a", "c")
    assert first["index"].tolist() == [0, 1]
    assert last["index"].tolist() == [4, 5, 6, 7]
    assert last["label"].tolist() == [0, 1, 0, 1]
    assert last["first_step"].isna().tolist() == [True, True, False, True]
    assert last["samples"].tolist() == [0, 0, 1, 0]
    assert last["share"].tolist() == [0, 0, 0.5, 0]


@pytest.mark.parametrize("block", [1024, 3])
def test_typicality_is_that_of_all_images_by_brute_force(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memsweep.analysis.copied_images._BLOCK", block)
    source = np.random.default_rng(0)
    train = Split(source.integers(0, 256, (30, 4, 3, 2), dtype=np.uint8), source.integers(0, 3, 30))
    train.images[12] = train.images[15]  # an image that is there twice has no distance to the other one
    chosen = TrainingSet(8, 1)
    found = Typicality(train).of(chosen)
    flat = train.images.reshape(30, -1) / 255
    means = np.stack([flat[train.labels == label].mean(axis=0) for label in train.labels[8:16]])
    np.testing.assert_allclose(found["to_class_mean"], np.linalg.norm(flat[8:16] - means, axis=1))
    between = cdist(flat[8:16], flat[8:16]) + np.diag([np.inf] * 8)
    np.testing.assert_allclose(found["to_nearest"], between.min(axis=1))
    assert found["to_nearest"].tolist().count(0) == 2
    assert found["index"].tolist() == list(range(8, 16))
    assert found["label"].tolist() == train.labels[8:16].tolist()


def images(source: np.random.Generator, count: int) -> Split:
    """Smooth images of two waves, so that some lie in dense places and others do not."""
    x = np.arange(6) / 6
    amplitude = source.gamma(1.5, 30, (count, 2))
    waves = np.stack([np.cos(3 * x)[:, None] * np.ones(6), np.sin(4 * x) * np.ones((6, 1))])
    pixels = 128 + np.einsum("nk,kij->nij", amplitude, waves) + source.normal(0, 4, (count, 6, 6))
    return Split(np.clip(pixels, 0, 255).astype(np.uint8)[..., None], np.zeros(count, np.int64))


def threshold(rows: list[dict[str, object]]) -> float:
    (found,) = [row for row in rows if row["metric"] == "near_threshold"]
    assert (found["space"], found["reference"]) == ("pixels", "control")
    assert found["value"] == found["ci_low"] == found["ci_high"]
    return float(str(found["value"]))


@pytest.mark.parametrize("size", [16, 64])
def test_as_many_images_that_copy_nothing_are_near_as_the_rate_says(size: int) -> None:
    """Of new images, drawn as the held-out ones were, against the training set, over several studies."""
    rate, near, of = 0.05, 0, 0
    for seed in range(8):
        source = np.random.default_rng(seed)
        train, test, new = images(source, 256), images(source, 199), images(source, 200)
        data = ImageSet(train, test, content_hash(train, test), classes=1)
        settings = {"f_mem_threshold": 1 / 3, "false_positive_rate": rate, "confidence": 0.95}
        meter, chosen = NoveltyMeter(settings, data), TrainingSet(size)
        found = threshold(list(meter.held_out(chosen)))
        samples = pd.DataFrame({"run_id": "a", "step": 1, "index": range(200)})
        copied = Copied.found(meter.neighbours(samples, new.images, chosen), found, chosen)
        near, of = near + int(copied.samples.sum()), of + copied.of
    # Each study's threshold has an error of its own, beside that of the images
    assert binomtest(near, of).proportion_ci(0.9999).low < rate < binomtest(near, of).proportion_ci(0.9999).high


def test_without_other_training_sets_or_with_few_images_there_is_no_threshold() -> None:
    source = np.random.default_rng(0)
    for train, test, size in (
        (images(source, 30), images(source, 40), 16),
        (images(source, 64), images(source, 8), 16),
    ):
        data = ImageSet(train, test, content_hash(train, test), classes=1)
        meter = NoveltyMeter({"f_mem_threshold": 1 / 3, "false_positive_rate": 0.05, "confidence": 0.95}, data)
        assert [row["metric"] for row in meter.held_out(TrainingSet(size))] == ["f_mem_held_out"]
