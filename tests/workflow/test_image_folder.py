"""A folder of images as the data of a study, seen by Snakemake."""

from __future__ import annotations

import os
import shutil
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers.configs import ROOT
from helpers.projects import PARTS, TINY, Project
from PIL import Image

IMAGES = "results/tiny/data/images.parquet"


DATASET = {"name": "image_folder", "path": "pictures", "size": 8, "mode": "grey", "test_images": 10}


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)).save(path)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose tiny study is about thirty pictures; nothing has been run."""
    folder = tmp_path / "project"
    folder.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy2(ROOT / part, folder / part)
    for number in range(30):
        picture(folder / "pictures" / "ab"[number % 2] / f"{number}.png", number)
    project = Project(folder)
    project.configure(dataset=DATASET)
    return project


def test_a_changed_folder_is_prepared_again(project: Project) -> None:
    project.snakemake(IMAGES)
    assert project.jobs(IMAGES) == {}
    time.sleep(0.1)  # beyond the file system's clock tick
    picture(project.folder / "pictures" / "a" / "new.png", 99)
    assert project.jobs(IMAGES) == {"prepare": 1}
    (project.folder / "pictures" / "b" / "bad.png").write_text("not a picture")
    result = project.snakemake(IMAGES, check=False)
    assert "pictures: b/bad.png: not an image that Pillow can read; replace it or remove it" in result.stdout
    assert "Traceback" not in result.stdout


def test_too_few_pictures_are_answered_by_a_dry_run(project: Project) -> None:
    project.configure(dataset={**DATASET, "test_images": 20}, grid=TINY["grid"])
    result = project.snakemake("-n", check=False)
    assert result.returncode != 0
    assert "train_size 16 is larger than the data; accepted is at most 10 (30 images less 20 for" in result.stdout


def others(folder: Path, first: int, age: float, count: int = 30) -> None:
    """Other pictures under the same names, with times of long ago, as ``cp -p`` and ``tar -x`` bring them along."""
    for number in range(count):
        path = folder / "ab"[number % 2] / f"{number}.png"
        path.unlink(missing_ok=True)
        picture(path, first + number)
        os.utime(path, (age, age))


def zipped(folder: Path, path: Path, age: float) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.png")):
            archive.write(file, file.relative_to(folder))
    os.utime(path, (age, age))


@pytest.mark.parametrize("as_zip", [False, True])
def test_content_prepares_again_whatever_its_times_are(project: Project, as_zip: bool) -> None:
    pictures, archive = project.folder / "pictures", project.folder / "pictures.zip"

    def replaced(first: int, age: float) -> None:
        others(pictures, first, age)
        if as_zip:
            zipped(pictures, archive, age)

    replaced(0, 1e9)
    project.configure(dataset={**DATASET, "path": archive.name if as_zip else pictures.name})
    project.snakemake(IMAGES)
    assert project.jobs(IMAGES) == {}
    replaced(100, 5e8)
    assert project.jobs(IMAGES) == {"prepare": 1}
    replaced(0, 1e9)
    assert project.jobs(IMAGES) == {}
    for file in [archive] if as_zip else [*pictures.rglob("*")]:
        os.utime(file)
    assert project.jobs(IMAGES) == {}


def test_what_lies_deeper_counts_and_what_is_no_image_does_not(project: Project) -> None:
    pictures = project.folder / "pictures"
    picture(pictures / "a" / "deeper" / "0.png", 50)
    project.snakemake(IMAGES)
    (pictures / "a" / "notes.txt").write_text("x")
    picture(pictures / "@eaDir" / "a" / "0.png", 51)
    assert project.jobs(IMAGES) == {}
    picture(pictures / "a" / "deeper" / "0.png", 52)
    assert project.jobs(IMAGES) == {"prepare": 1}


def test_data_that_shrank_are_a_sentence(project: Project) -> None:
    project.snakemake(IMAGES)
    others(project.folder / "pictures", 200, 5e8)
    for number in range(20, 30):
        (project.folder / "pictures" / "ab"[number % 2] / f"{number}.png").unlink()
    result = project.snakemake(IMAGES, "-n", check=False)
    assert "train_size 16 is larger than the data; accepted is at most 10 (20 images less 10 for" in result.stdout
