"""Samples as files: what was written is what was generated."""

from __future__ import annotations

from pathlib import Path

import memsweep as ms
import numpy as np
import pytest
from memsweep.data.given import read_given
from memsweep.results.images import Samples, sheet
from PIL import Image


def samples(channels: int = 1, labels: bool = True) -> Samples:
    source = np.random.default_rng(0)
    images = source.integers(0, 256, (7, 8, 6 if channels == 1 else 8, channels), dtype=np.uint8)
    return Samples("0123456789ab", 10, images, np.arange(7) % 3 if labels else None)


def test_an_array_holds_images_and_labels_and_is_read_by_compare(tmp_path: Path) -> None:
    made = samples(3)
    made.save(tmp_path / "samples.npz")
    with np.load(tmp_path / "samples.npz") as file:
        np.testing.assert_array_equal(file["arr_0"], made.images)
        np.testing.assert_array_equal(file["labels"], made.labels)
    np.testing.assert_array_equal(read_given(tmp_path / "samples.npz", "generated").images, made.images)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_folder_holds_every_picture_below_its_class(channels: int, tmp_path: Path) -> None:
    made = samples(channels)
    made.save(tmp_path / "pictures")
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {"0", "1", "2"}
    for index, image in enumerate(made.images):
        picture = np.asarray(Image.open(tmp_path / "pictures" / str(index % 3) / f"{index:05d}.png"))
        np.testing.assert_array_equal(picture.reshape(image.shape), image)
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_pictures_without_labels_lie_in_the_folder_itself(tmp_path: Path) -> None:
    samples(labels=False).save(tmp_path / "pictures")
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 7


def test_a_sheet_has_every_image_at_its_place(tmp_path: Path) -> None:
    made = samples()
    made.save(tmp_path / "sheet.png")
    pixels = np.asarray(Image.open(tmp_path / "sheet.png"))
    factor, gap = 6, 2  # 8 pixels are enlarged to 48
    for index, image in enumerate(made.images):
        row, column = divmod(index, 3)
        top, left = gap + row * (48 + gap), gap + column * (36 + gap)
        np.testing.assert_array_equal(pixels[top : top + 48 : factor, left : left + 36 : factor], image[..., 0])
    assert pixels.shape == (3 * 50 + 2, 3 * 38 + 2)
    assert made._repr_png_().startswith(b"\x89PNG")


def test_pairs_stand_below_each_other() -> None:
    made = samples()
    pixels = np.asarray(sheet(made.images, 255 - made.images))
    first, below = pixels[6:54:6, 2:38:6], pixels[56:104:6, 2:38:6]
    np.testing.assert_array_equal(first, made.images[0, ..., 0])
    np.testing.assert_array_equal(below, 255 - made.images[0, ..., 0])


def test_where_images_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ms.UserError, match=r"output: found '.*a\.jpg'; accepted is a \.png, a \.npz or a folder"):
        samples().save(tmp_path / "a.jpg")
    (tmp_path / "there").mkdir()
    with pytest.raises(ms.UserError, match=r"output: '.*there' is there already; accepted is a folder that is not"):
        samples().save(tmp_path / "there")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    for name in ("sheet.png", "pictures"):
        with pytest.raises(OSError, match="No space left"):
            samples().save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_what_they_are_says_their_repr() -> None:
    assert repr(samples()) == "<7 samples of run 0123456789ab at step 10: 8x6 grey, labels 0, 1, 2>"
    assert repr(samples(3, labels=False)) == "<7 samples of run 0123456789ab at step 10: 8x8 RGB, no labels>"
