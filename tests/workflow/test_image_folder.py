"""A folder of images as the data of a study, seen by Snakemake."""

from __future__ import annotations

import shutil
import time
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
