from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from memsweep.datasets import content_hash, load_digits, permutation, prepare
from memsweep.images import Split, read_images, to_network, to_pixels
from memsweep.tables import read_table
from sklearn.datasets import load_digits as sklearn_digits

image_sets = hnp.arrays(np.uint8, st.tuples(st.integers(1, 30), st.just(2), st.just(2), st.just(1)))


def test_the_digits_are_scikit_learns(digits: Path) -> None:
    original = sklearn_digits()
    table = read_table(digits, "images")
    assert sorted(table["index"]) == list(range(1797))
    for row in table.itertuples():
        pixels = np.frombuffer(row.image, np.uint8).reshape(8, 8)
        np.testing.assert_array_equal(np.round(pixels.astype(float) * 16 / 255), original.images[row.index])
        assert row.label == original.target[row.index]


def test_the_splits_are_disjoint_and_of_the_size_asked_for(digits: Path) -> None:
    data = read_images(digits)
    assert (len(data.train), len(data.test)) == (1297, 500)
    assert data.shape == (8, 8, 1)
    assert data.classes == 10
    assert data.data_hash == content_hash(data.train, data.test)


def test_preparing_twice_gives_the_same_bytes_and_another_seed_another_order(digits: Path, tmp_path: Path) -> None:
    for name, seed in (("same", 0), ("other", 1)):
        prepare({"name": "digits", "test_images": 500, "seed": seed}, tmp_path / f"{name}.parquet")
    assert (tmp_path / "same.parquet").read_bytes() == digits.read_bytes()
    same, other = (read_images(tmp_path / f"{name}.parquet") for name in ("same", "other"))
    assert same.data_hash != other.data_hash


def test_a_smaller_held_out_set_is_part_of_a_larger_one(digits: Path, tmp_path: Path) -> None:
    prepare({"name": "digits", "test_images": 100, "seed": 0}, tmp_path / "images.parquet")
    small, large = read_images(tmp_path / "images.parquet"), read_images(digits)
    np.testing.assert_array_equal(small.test.images, large.test.images[:100])


@given(image_sets, st.randoms(use_true_random=False), st.integers(0, 5))
def test_the_permutation_does_not_depend_on_how_the_images_are_stored(
    images: np.ndarray, shuffler: object, seed: int
) -> None:
    stored = list(range(len(images)))
    shuffler.shuffle(stored)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(images[permutation(images, seed)], images[stored][permutation(images[stored], seed)])


@given(image_sets)
def test_pixels_survive_the_scale_of_the_network(images: np.ndarray) -> None:
    x = to_network(images)
    assert x.abs().max() <= 1
    np.testing.assert_array_equal(to_pixels(x), images)


def test_the_content_hash_sees_pixels_labels_order_and_split() -> None:
    digits = load_digits({}).train

    def split(chosen: slice) -> Split:
        return Split(digits.images[chosen], digits.labels[chosen])

    train, test = split(slice(0, 20)), split(slice(20, 30))
    hashes = {
        content_hash(train, test),
        content_hash(test, train),
        content_hash(split(slice(0, 21)), split(slice(21, 30))),
        content_hash(Split(train.images[::-1], train.labels[::-1]), test),
        content_hash(Split(train.images, train.labels[::-1]), test),
        content_hash(Split(255 - train.images, train.labels), test),
    }
    assert len(hashes) == 6
    assert content_hash(split(slice(0, 20)), split(slice(20, 30))) in hashes
