"""Images of a training as anybody has them: which folders are steps, and what beside or among them is refused."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from memsweep.base.errors import UserError
from memsweep.data.given import read_given
from memsweep.data.given_steps import check_no_steps, find_steps, read_steps
from PIL import Image

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8), dtype=np.uint8)


def pictures(folder: Path, images: np.ndarray = IMAGES) -> Path:
    folder.mkdir(parents=True)
    for row, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{row}.png")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Steps in each form, in another order than that of their names."""
    folder = tmp_path / "run"
    pictures(folder / "step=900")
    np.savez(folder / "step=1000.npz", IMAGES)
    np.save(folder / "step=70.npy", IMAGES)
    place = pictures(tmp_path / "packed")
    with zipfile.ZipFile(folder / "step=8000.ZIP", "w") as archive:
        for file in place.iterdir():
            archive.write(file, file.name)
    return folder


def test_steps_come_in_their_order_in_every_form(run: Path) -> None:
    (run / "notes.txt").write_text("...")
    (run / ".cache").mkdir()
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "weights.pt").write_text("...")
    found = find_steps(run, "RUN")
    assert list(found) == [70, 900, 1000, 8000]
    sets = read_steps(found, "RUN")
    assert [each.role for each in sets.values()] == [
        "RUN, step=70.npy",
        "RUN, step=900",
        "RUN, step=1000.npz",
        "RUN, step=8000.ZIP",
    ]
    for each in sets.values():
        np.testing.assert_array_equal(each.images[..., 0], IMAGES)


def test_any_other_place_has_no_steps(run: Path, tmp_path: Path) -> None:
    for place in (run / "step=900", run / "step=70.npy", tmp_path / "nowhere", tmp_path / "packed"):
        assert find_steps(place, "RUN") == {}


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "a picture beside": (lambda run: Image.fromarray(IMAGES[0]).save(run / "a.png"), "where a.png holds images beside"),
    "a folder of pictures beside": (lambda run: pictures(run / "last"), "where last holds images beside step="),
    "an array beside": (lambda run: np.save(run / "train.npy", IMAGES), "where train.npy holds images beside step="),
    "a step twice": (lambda run: pictures(run / "step=0070"), "holds step 70 twice, step=0070 and step=70.npy; keep"),
    "no number": (lambda run: (run / "step=abc").mkdir(), "holds step=abc; accepted is step= and a whole number"),
    "no whole number": (lambda run: (run / "step=1e3").mkdir(), "holds step=1e3; accepted is step= and a whole number"),
    "step 0": (lambda run: pictures(run / "step=0"), "holds step=0; accepted is step= and a whole number from 1 on"),
    "a file without suffix": (lambda run: (run / "step=5").touch(), "holds step=5; accepted is step="),
    "another file": (lambda run: (run / "step=5.csv").touch(), "holds step=5.csv; accepted is step="),
}


@pytest.mark.parametrize(("change", "said"), WRONG.values(), ids=WRONG)
def test_a_folder_that_is_not_steps_alone_is_refused(run: Path, change: Callable[[Path], object], said: str) -> None:
    change(run)
    with pytest.raises(UserError) as error:
        find_steps(run, "RUN")
    assert str(error.value).startswith(f"RUN: found {str(run)!r}, wh")
    assert said in str(error.value)


def test_a_step_of_one_image_is_refused(run: Path) -> None:
    np.save(run / "step=9.npy", IMAGES[:1])
    with pytest.raises(UserError, match=r"^RUN, step=9\.npy: found 1 images; accepted are at least 2$"):
        read_steps(find_steps(run, "RUN"), "RUN")


def test_steps_that_are_packed_or_lie_deeper_are_not_taken_for_one_set(tmp_path: Path) -> None:
    pictures(tmp_path / "around" / "run" / "step=10")
    pictures(tmp_path / "around" / "run" / "step=20")
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "around"))
    for place in (packed, tmp_path / "around"):
        with pytest.raises(UserError, match="is of a step; accepted is the folder, not zipped, in which the steps lie"):
            check_no_steps(read_given(place, "RUN"), place)
    one = tmp_path / "around" / "run" / "step=10"
    check_no_steps(read_given(one, "RUN"), one)
