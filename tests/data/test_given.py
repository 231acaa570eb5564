"""Images as anybody has them: every form of files and arrays becomes the same pixels; what is not sure is refused."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.properties import examples
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from memsweep.base.errors import UserError
from memsweep.data.given import Given, alike, read_given
from PIL import Image

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
GREY = IMAGES[..., :1]


def folder(path: Path, images: np.ndarray) -> Path:
    path.mkdir(parents=True)
    for row, image in enumerate(images):
        Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(path / f"{row}.png")
    return path


def saved(path: Path, *images: np.ndarray, **named: np.ndarray) -> Path:
    if path.suffix == ".npy":
        np.save(path, images[0])
    else:
        np.savez(path, *images, **named)
    return path


@pytest.mark.parametrize("images", [IMAGES, GREY], ids=["rgb", "grey"])
def test_a_folder_a_zip_file_and_an_array_are_the_same_images(tmp_path: Path, images: np.ndarray) -> None:
    place = folder(tmp_path / "pictures", images)
    packed = tmp_path / "pictures.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for file in sorted(place.iterdir()):
            archive.write(file, f"around/{file.name}")
    array = saved(tmp_path / "images.npy", images)
    for source in (place, str(place), packed, array, images):
        found = read_given(source, "TRAIN")
        np.testing.assert_array_equal(found.images, images)
        assert found.remarks == ()
    assert read_given(place, "TRAIN").names[2] == "2.png"
    assert read_given(array, "TRAIN").names[2] == "row 2"


FORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "bytes": lambda images: images,
    "channels first": lambda images: images.transpose(0, 3, 1, 2),
    "from 0 to 1": lambda images: images.astype(np.float32) / 255,
    "from -1 to 1": lambda images: images.astype(np.float64) / 127.5 - 1,
    "half precision": lambda images: (images.transpose(0, 3, 1, 2) / 255).astype(np.float16),
}


@examples(60)
@given(
    arrays.arrays(
        np.uint8, st.tuples(st.integers(1, 4), st.integers(4, 9), st.integers(4, 9), st.sampled_from([1, 3]))
    ),
    st.sampled_from(list(FORMS)),
)
def test_arrays_of_every_form_are_the_same_pixels(images: np.ndarray, form: str) -> None:
    images.flat[0], images.flat[-1] = 0, 255  # so that the range of floats is sure
    np.testing.assert_array_equal(read_given(FORMS[form](images), "TRAIN").images, images)


def test_grey_arrays_need_no_channels_and_labels_beside_images_are_not_read(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_given(GREY[..., 0], "TRAIN").images, GREY)
    labelled = saved(tmp_path / "samples_6x8x8x3.npz", IMAGES, np.arange(6))
    np.testing.assert_array_equal(read_given(labelled, "TRAIN").images, IMAGES)
    named = saved(tmp_path / "named.npz", images=IMAGES)
    np.testing.assert_array_equal(read_given(named, "TRAIN").images, IMAGES)


def test_pictures_of_several_sizes_are_brought_to_one_that_is_asked_for(tmp_path: Path) -> None:
    place = folder(tmp_path / "pictures", IMAGES)
    Image.fromarray(np.full((24, 32, 3), 7, np.uint8)).save(place / "large.png")
    with pytest.raises(UserError, match=r"TRAIN: found images of several sizes, or not square, .*\(--size\)"):
        read_given(place, "TRAIN")
    found = read_given(place, "TRAIN", size=8)
    assert found.images.shape == (7, 8, 8, 3)
    np.testing.assert_array_equal(found.images[:6], IMAGES)
    assert "cropped to the central square: 1, reduced: 1" in found.remarks[0]
    assert read_given(IMAGES, "TRAIN", size=4).images.shape == (6, 4, 4, 3)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((5, 8), np.uint8), r"shape \(5, 8\); accepted are images, \(n, H, W\)"),
        (np.zeros((0, 8, 8), np.uint8), r"accepted are images"),
        (np.zeros((5, 8, 8, 2), np.uint8), "no side is of 1 or 3 channels"),
        (np.zeros((5, 3, 8, 3), np.uint8), "either side may be the channels"),
        (np.zeros((5, 8, 8), np.int64), "accepted are uint8, or floats"),
        (np.zeros((5, 8, 8), bool), "accepted are uint8, or floats"),
        (np.full((5, 8, 8), 0.25), "values from 0.25 to 0.25; accepted are uint8"),
        (np.array([[[-0.1, 0.9]]]), "values from -0.1 to 0.9; accepted are uint8"),
        (np.array([[[0.0, 255.0]]]), "values from 0 to 255; accepted are uint8"),
        (np.array([[[0.0, np.nan]]]), "values from nan to nan; accepted are uint8"),
        (np.array([[[-1.0, 1.01]]]), "values from -1 to 1.01; accepted are uint8"),
    ],
)
def test_arrays_whose_meaning_is_not_sure_are_refused_in_a_sentence(array: np.ndarray, said: str) -> None:
    with pytest.raises(UserError, match=f"GENERATED, an array of .*{said}"):
        read_given(array, "GENERATED")


def test_files_that_hold_no_array_of_images_are_refused_and_nothing_in_them_is_run(tmp_path: Path) -> None:
    pickled = tmp_path / "pickled.npy"
    np.save(pickled, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    whole = saved(tmp_path / "whole.npz", IMAGES).read_bytes()
    (tmp_path / "torn.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "empty.npz").write_bytes(b"")
    saved(tmp_path / "two.npz", a=IMAGES, b=IMAGES)
    for name, said in {
        "pickled.npy": "it holds Python objects",
        "torn.npz": "no array of images",
        "text.npy": "no array of images",
        "empty.npz": "no array of images",
        "missing.npz": "there is no such file",
        "two.npz": "which holds a, b; accepted is arr_0, or one array",
    }.items():
        with pytest.raises(UserError, match=said) as error:
            read_given(tmp_path / name, "HELD_OUT")
        assert str(error.value).startswith(f"HELD_OUT: found '{tmp_path / name}'")
        assert "\n" not in str(error.value)


def test_folders_that_are_missing_empty_or_damaged_are_refused_as_those_of_a_dataset(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    damaged = folder(tmp_path / "damaged", IMAGES)
    (damaged / "0.png").write_bytes((damaged / "0.png").read_bytes()[:40])
    classes = folder(tmp_path / "classes" / "cat", IMAGES).parent
    (classes / "dog").mkdir()
    for name, said in {
        "empty": "it holds no images",
        "missing": "there is no such folder or zip file",
        "damaged": "0.png: ",
        "classes": "class folder dog holds no images",
    }.items():
        with pytest.raises(UserError, match=said):
            read_given(tmp_path / name, "TRAIN")


def test_grey_images_saved_as_rgb_are_grey_beside_grey_ones() -> None:
    sets = alike([Given("GENERATED", np.repeat(GREY, 3, axis=-1), range(6)), Given("TRAIN", GREY, range(6))])
    for each in sets:
        np.testing.assert_array_equal(each.images, GREY)
    assert sets[0].remarks == ("GENERATED: RGB images whose channels are equal, taken as grey",)


@pytest.mark.parametrize("other", [IMAGES, np.zeros((6, 9, 8, 1), np.uint8)])
def test_images_of_other_sizes_or_colours_are_refused(other: np.ndarray) -> None:
    with pytest.raises(UserError, match=r"TRAIN: found images of .*, where GENERATED has 8x8 grey; accepted are"):
        alike([Given("GENERATED", GREY, range(6)), Given("TRAIN", other, range(6))])
