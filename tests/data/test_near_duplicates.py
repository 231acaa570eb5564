from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from memsweep.data import near_duplicates as module
from memsweep.data.datasets import duplicates, prepare
from memsweep.data.images import Split, read_images
from memsweep.data.near_duplicates import near_duplicates
from PIL import Image, ImageFilter
from sklearn.datasets import load_sample_images

SIZE = 32


def crops(count: int) -> np.ndarray:
    """Parts of two photographs, which are different pictures: (count, 32, 32, 3) uint8."""
    photographs = load_sample_images().images
    source = np.random.default_rng(0)
    places = [(source.integers(2), source.integers(0, 420 - 96), source.integers(0, 630 - 96)) for _ in range(count)]
    parts = [Image.fromarray(photographs[which][y : y + 96, x : x + 96]) for which, y, x in places]
    return np.stack([np.asarray(part.resize((SIZE, SIZE), Image.Resampling.LANCZOS)) for part in parts])


def again(picture: Image.Image, how: str) -> Image.Image:
    """Another version of a picture."""
    if how == "jpeg":
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=60)
        return Image.open(file)
    if how == "smaller":
        return picture.resize((20, 20), Image.Resampling.BILINEAR).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    if how == "sharper":
        return picture.filter(ImageFilter.UnsharpMask(1, 80, 0))
    noise = np.random.default_rng(1).normal(0, 4, (SIZE, SIZE, 3))
    return Image.fromarray((np.asarray(picture) + noise).clip(0, 255).astype(np.uint8))


def split(images: np.ndarray) -> Split:
    return Split(images, np.zeros(len(images), np.int64))


PICTURES = crops(40)


def test_different_pictures_are_no_near_duplicates() -> None:
    assert set(near_duplicates(split(PICTURES[:30]), split(PICTURES[30:])).values()) == {0}


@pytest.mark.parametrize("how", ["jpeg", "smaller", "sharper", "noise"])
def test_versions_of_a_picture_are_near_duplicates_wherever_they_are(how: str) -> None:
    versions = np.stack([np.asarray(again(Image.fromarray(picture), how).convert("RGB")) for picture in PICTURES[:5]])
    train, test = PICTURES[:30], PICTURES[30:]
    assert near_duplicates(split(np.concatenate([train, versions])), split(test)) == {
        "near_duplicates_train": 10,
        "near_duplicates_test": 0,
        "near_duplicates_between": 0,
    }
    assert near_duplicates(split(train), split(np.concatenate([test, versions]))) == {
        "near_duplicates_train": 0,
        "near_duplicates_test": 0,
        "near_duplicates_between": 5,
    }
    assert near_duplicates(split(test), split(np.concatenate([train, versions])))["near_duplicates_test"] == 10


def test_equal_images_are_counted_elsewhere() -> None:
    train, test = split(PICTURES[[0, 0, 1, 2]]), split(PICTURES[[0, 3, 3]])
    assert set(near_duplicates(train, test).values()) == {0}
    assert list(duplicates(train, test).values()) == [1, 1, 1]


@given(*[hnp.arrays(np.uint8, st.tuples(st.integers(1, 12), st.just(3), st.just(2), st.just(1)))] * 2)
def test_near_duplicates_are_those_of_a_comparison_of_all_pairs(train: np.ndarray, test: np.ndarray) -> None:
    def near(image: np.ndarray, others: list[np.ndarray]) -> bool:
        distances = sorted(float(np.sqrt(np.mean((image.astype(float) - other) ** 2))) for other in others)
        return bool(distances) and (distances[0] <= 2.55 or (len(distances) > 1 and distances[0] < distances[1] / 3))

    own, held_out = (list({image.tobytes(): image for image in images}.values()) for images in (train, test))
    known = {image.tobytes() for image in own}
    assert near_duplicates(split(train), split(test)) == {
        "near_duplicates_train": sum(near(image, own[:n] + own[n + 1 :]) for n, image in enumerate(own)),
        "near_duplicates_test": sum(near(image, held_out[:n] + held_out[n + 1 :]) for n, image in enumerate(held_out)),
        "near_duplicates_between": sum(near(image, own) for image in held_out if image.tobytes() not in known),
    }


def test_prepared_images_say_how_many_there_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pictures").mkdir()
    for number, picture in enumerate(PICTURES[:12]):
        Image.fromarray(picture).save(tmp_path / "pictures" / f"{number}.png")
        again(Image.fromarray(picture), "jpeg").save(tmp_path / "pictures" / f"{number}_again.png")
    chosen = {"name": "image_folder", "path": str(tmp_path / "pictures"), "size": SIZE, "mode": "rgb"}
    prepare({**chosen, "test_images": 6, "seed": 0}, tmp_path / "images.parquet")
    data = read_images(tmp_path / "images.parquet")
    counted = near_duplicates(data.train, data.test)
    assert sum(counted.values()) >= 12
    found = pq.read_schema(tmp_path / "images.parquet").metadata
    assert {key: int(found[key.encode()]) for key in counted} == counted
    said = f"near duplicates: {counted['near_duplicates_train']} training images with another one, "
    assert said in capsys.readouterr().err


def test_of_very_many_images_the_first_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 20)
    brighter = PICTURES // 2 * 2 + 1
    counted = near_duplicates(split(np.concatenate([PICTURES[:15], brighter[:15]])), split(brighter[10:20]))
    assert counted["near_duplicates_train"] == 10
    assert counted["near_duplicates_test"] == 0
