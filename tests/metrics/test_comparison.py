"""Comparisons of images in memory: pairs and copies by hand, and what equals or nearly equals other images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from memsweep.base.errors import UserError
from memsweep.data.given import Given
from memsweep.metrics import comparison, features
from memsweep.metrics.comparison import compare_images
from memsweep.metrics.features import pixels
from memsweep.metrics.pretrained import SOURCES
from sklearn.datasets import load_digits


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    images = np.round(load_digits().images * (255 / 16)).astype(np.uint8)[..., None]
    return images[np.random.default_rng(0).permutation(len(images))]


def given(role: str, images: np.ndarray) -> Given:
    return Given(role, images, [f"{role}-{row}" for row in range(len(images))])


def noisy(images: np.ndarray, strength: float = 20) -> np.ndarray:
    return np.clip(images + np.random.default_rng(1).normal(0, strength, images.shape), 0, 255).astype(np.uint8)


def test_pairs_are_those_of_all_distances_by_hand_the_closest_first(digits: np.ndarray) -> None:
    generated, train, held_out = noisy(digits[:30]), digits[:60], digits[60:260]
    found = compare_images(given("G", generated), given("T", train), given("H", held_out))
    rows = generated.reshape(30, 1, -1) / 255 - train.reshape(1, 60, -1) / 255
    distance = np.sort(np.sqrt(np.square(rows).sum(axis=-1)), axis=1)
    ratio = distance[:, 0] / distance[:, 1]
    pairs = found.nearest_pairs
    np.testing.assert_array_equal(pairs["index"], np.argsort(ratio))
    np.testing.assert_allclose(pairs["distance"], distance[pairs["index"], 0])
    np.testing.assert_allclose(pairs["ratio"], np.sort(ratio))
    assert pairs["nearest_name"][0] == f"T-{pairs['nearest'][0]}"
    assert pairs["name"][0] == f"G-{pairs['index'][0]}"
    shares = found.copy_shares.set_index("rule")
    assert shares.loc["field", "value"] == (ratio < 1 / 3).mean()
    assert shares.loc["calibrated", "value"] == (ratio < shares.loc["calibrated", "threshold"]).mean()
    assert pairs["is_copy"].mean() == shares.loc["calibrated", "value"]


def test_images_that_are_there_twice_are_counted_and_hide_no_copy(digits: np.ndarray) -> None:
    train = np.concatenate([digits[:60], digits[:5]])
    generated = np.concatenate([digits[:5], digits[300:303], digits[300:301], digits[100:102]])
    held_out = np.concatenate([digits[100:300], digits[:3], noisy(digits[10:12], 1)])
    found = compare_images(given("G", generated), given("T", train), given("H", held_out))
    assert found.duplicates == comparison.Duplicates(
        train=5, generated=1, generated_train=5, generated_held_out=2, held_out_train=3, held_out_near=2
    )
    pairs = found.nearest_pairs.set_index("index")
    assert pairs.loc[range(5), "ratio"].tolist() == [0] * 5
    assert pairs.loc[range(5), "nearest"].tolist() == list(range(5))
    assert pairs.loc[range(5), "is_copy"].all()
    assert found.copy_shares["held_out"].tolist() == [200, 200]


def test_few_held_out_images_set_the_rate_that_they_can(digits: np.ndarray) -> None:
    sets = given("G", digits[:20]), given("T", digits[20:60])
    assert compare_images(*sets, given("H", digits[60:99])).rate == 1 / 40
    assert compare_images(*sets, given("H", digits[60:399])).rate == 0.01
    assert compare_images(*sets, None).copy_shares["rule"].tolist() == ["field"]


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((1, 9, 9), "G: found 1 images; accepted are at least 2"),
        ((9, 1, 9), "T: found 1 different images; accepted are at least 2"),
        ((9, 9, 1), "H: found 1 images that are none of the training images; accepted are at least 2"),
    ],
)
def test_one_image_is_too_few(digits: np.ndarray, counts: tuple[int, int, int], said: str) -> None:
    places = np.split(digits[: sum(counts)], np.cumsum(counts)[:2])
    with pytest.raises(UserError, match=f"^{said}$"):
        compare_images(*(given(role, images) for role, images in zip("GTH", places, strict=True)))


def test_held_out_images_that_are_the_training_images_are_refused(digits: np.ndarray) -> None:
    with pytest.raises(UserError, match="H: found 0 images that are none of the training images"):
        compare_images(given("G", digits[:9]), given("T", digits[9:30]), given("H", digits[9:30]))


def test_every_published_network_is_a_space() -> None:
    assert ("pixels", *SOURCES) == comparison.SPACES


def test_in_a_space_of_features_the_published_score_is_taken_too(
    digits: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unit(images: np.ndarray) -> np.ndarray:
        rows = pixels(images)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    monkeypatch.setitem(features.SPACES, "sscd", lambda _weights, _device: unit)
    monkeypatch.setattr(features.Space, "find", lambda name, given: features.Space(name, Path()))
    train, generated = digits[:60], digits[200:240]
    found = compare_images(given("G", generated), given("T", train), given("H", digits[60:160]), "sscd")
    similarity = (unit(generated) @ unit(train).T).max(axis=1)
    row = found.copy_shares.set_index("rule").loc["sscd"]
    assert row["value"] == (similarity > 0.6).mean()
    assert row["held_out"] == 100
    np.testing.assert_allclose(np.sort(1 - found.nearest_pairs["distance"] ** 2 / 2), np.sort(similarity), atol=1e-6)
