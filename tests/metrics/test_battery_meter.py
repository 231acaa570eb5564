"""The battery along training, on samples whose answer is known and against the public implementation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from memsweep.data.datasets import content_hash
from memsweep.data.images import ImageSet, Split
from memsweep.metrics.battery_meter import BatteryMeter
from memsweep.metrics.closeness import nearer
from memsweep.metrics.novelty_meter import NoveltyMeter
from memsweep.study.training_sets import TrainingSet
from prdc import compute_prdc
from scipy.spatial.distance import cdist

NAMES = ["nearer", "authenticity", "precision", "recall", "density", "coverage"]
SETTINGS = {"battery": NAMES, "confidence": 0.95, "f_mem_threshold": 1 / 3, "false_positive_rate": 0.05}
SET = TrainingSet(20, 1)


@pytest.fixture(scope="module")
def data() -> ImageSet:
    """Eighty images to train on and thirty held out, of noise."""
    source = np.random.default_rng(4)

    def split(size: int) -> Split:
        return Split(source.integers(0, 256, (size, 4, 4, 1), dtype=np.uint8), np.zeros(size, np.int64))

    train, test = split(80), split(30)
    return ImageSet(train, test, content_hash(train, test), classes=1)


def features(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) / 255


def measured(data: ImageSet, images: np.ndarray, battery: list[str] = NAMES) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows of some samples, by metric and reference."""
    references = {"pixels": {"train": features(data.train.images), "test": features(data.test.images)}}
    settings = {**SETTINGS, "battery": battery}
    meter = BatteryMeter(settings, references, data)
    samples = pd.DataFrame({"run_id": "run", "step": 1, "index": range(len(images))})
    neighbours = NoveltyMeter(settings, data).neighbours(samples, images, SET)
    rows = [*meter.measure({"pixels": features(images)}, neighbours, SET), *meter.held_out(len(images), SET)]
    return {(row["metric"], row["reference"]): row for row in rows}


def test_quality_and_diversity_are_those_of_the_public_implementation_at_equal_numbers(data: ImageSet) -> None:
    images = np.random.default_rng(5).integers(0, 256, (25, 4, 4, 1), dtype=np.uint8)
    found = measured(data, images)
    chosen = np.sort(np.random.default_rng(0).permutation(30)[:20])
    sets = {"train": data.train.images[20:40], "control": data.train.images[40:60], "test": data.test.images[chosen]}
    for reference, real in sets.items():
        expected = compute_prdc(features(real).astype(float), features(images).astype(float), 5)
        for name, value in expected.items():
            row = found[name, reference]
            assert row["value"] == pytest.approx(value)
            assert row["ci_low"] <= row["value"] <= row["ci_high"]
    # Held-out images in place of the samples, as many as these
    perfect = features(data.test.images)[np.sort(np.random.default_rng(0).permutation(30)[:25])]
    expected = compute_prdc(features(sets["train"]).astype(float), perfect.astype(float), 5)
    assert {name: found[f"{name}_held_out", "train"]["value"] for name in expected} == pytest.approx(expected)


def test_closeness_is_that_of_all_distances(data: ImageSet) -> None:
    images = np.random.default_rng(6).integers(0, 256, (25, 4, 4, 1), dtype=np.uint8)
    found = measured(data, images)
    for reference, first in (("train", 20), ("control", 40)):
        own = features(data.train.images[first : first + 20]).astype(float)
        to_own, among = cdist(features(images), own), cdist(own, own) + np.diag(np.full(20, np.inf))
        authentic = to_own.min(axis=1) > among.min(axis=1)[to_own.argmin(axis=1)]
        assert found["authenticity", reference]["value"] == pytest.approx(authentic.mean())
        held_out = cdist(features(data.test.images), own).min(axis=1)
        assert found["nearer", reference]["value"] == nearer(to_own.min(axis=1), held_out, 0.95).value
    # Held-out images are as near as themselves
    assert measured(data, data.test.images)["nearer", "train"]["value"] == 0.5


def test_a_copier_is_seen_against_its_own_images_and_not_against_others(data: ImageSet) -> None:
    found = measured(data, data.train.images[20:40])
    values = {key: row["value"] for key, row in found.items()}
    assert values["nearer", "train"] == 1
    assert values["authenticity", "train"] == 0
    assert {values[name, "train"] for name in ("precision", "recall", "coverage")} == {1}
    assert 0.2 < values["nearer", "control"] < 0.8
    assert values["authenticity", "control"] > 0.2


def test_what_is_not_asked_for_is_not_measured(data: ImageSet) -> None:
    assert not measured(data, data.test.images, [])
    assert {metric for metric, _ in measured(data, data.test.images, ["coverage"])} == {"coverage", "coverage_held_out"}
    assert {metric for metric, _ in measured(data, data.test.images, ["nearer"])} == {"nearer"}
    # Of five images there are no five others
    assert {metric for metric, _ in measured(data, data.test.images[:5])} == {
        "nearer",
        "authenticity",
        "authenticity_held_out",
    }


def test_lean_to_the_own_set_is_one_for_a_copier_and_a_half_where_both_sets_are_as_near(data: ImageSet) -> None:
    meter = NoveltyMeter(SETTINGS, data)

    def lean(images: np.ndarray) -> dict[str, Any]:
        samples = pd.DataFrame({"run_id": "run", "step": 1, "index": range(len(images))})
        rows = [row for row in meter.measure(meter.neighbours(samples, images, SET), SET) if row["metric"] == "lean"]
        assert len(rows) == 1
        return rows[0]

    own, control = data.train.images[20:40], data.train.images[40:60]
    assert lean(own)["value"] == 1
    assert lean(control)["value"] == 0
    assert lean(np.concatenate([own, control]))["value"] == 0.5
    to = [cdist(features(data.test.images), features(each)).min(axis=1) for each in (own, control)]
    found = lean(data.test.images)
    assert found["value"] == pytest.approx((to[0] < to[1]).mean())
    assert found["ci_low"] < found["value"] < found["ci_high"]
    # Of a set that is larger than what is left of the data there is none
    large = TrainingSet(60)
    samples = pd.DataFrame({"run_id": "run", "step": 1, "index": range(20)})
    rows = meter.measure(meter.neighbours(samples, own, large), large)
    assert "lean" not in {row["metric"] for row in rows}
