"""Places that fail: a full disk, a read-only folder, data that vanish, other workflows, clocks that jump."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from helpers.projects import TINY, Project
from PIL import Image

from reliability.test_kills import contents

needs_mounts = pytest.mark.skipif(
    os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode != 0,
    reason="needs to mount a disk",
)


@contextmanager
def small_disk(place: Path, kilobytes: int) -> Iterator[None]:
    """A disk of this size in place of a folder, whose content moves onto it, and away from it afterwards."""
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def remount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)


def assert_said(output: str, *words: str) -> None:
    """All of these, and no traceback."""
    assert "Traceback" not in output
    for each in words:
        assert each in output, output[-3000:]


@needs_mounts
def test_a_full_disk_is_said_and_more_room_is_all_it_takes(finished_once: Project, tmp_path: Path, length: int) -> None:
    """In the suite where features are made, which are the largest files of few images; at length anywhere."""
    sizes, target = ((400,), "data") if length == 1 else ((40, 400, 800, 1200, 1600, 2400, 3200), "tables")
    whole = files_of(finished_once)
    for kilobytes in sizes:
        project = finished_once.copy_to(tmp_path / f"{kilobytes}")
        shutil.rmtree(project.results)
        with small_disk(project.folder / "results", kilobytes):
            result = project.snakemake(target, check=False)
            assert result.returncode != 0
            assert_said(result.stdout, "No space left on device")
            remount(project.folder / "results", "size=100m")
            project.snakemake(target)
            after = files_of(project)
            assert after
            assert {name for name, content in after.items() if content != whole[name]} == set()


def files_of(project: Project) -> dict[str, bytes]:
    """All data and tables."""
    return {str(path.relative_to(project.results)): path.read_bytes() for path in project.results.rglob("*.parquet")}


@needs_mounts
def test_a_folder_that_may_not_be_written_is_said(finished: Project) -> None:
    before = contents(finished)
    kept = finished.results.parent.rename(finished.folder / "kept")
    with small_disk(finished.folder / "results", 100_000):
        shutil.copytree(kept / "tiny", finished.results, copy_function=shutil.copy2)
        shutil.rmtree(finished.results / "tables")
        remount(finished.folder / "results", "ro")
        result = finished.snakemake("tables", check=False)
        assert result.returncode != 0
        assert "Read-only file system" in result.stdout
        remount(finished.folder / "results", "rw")
        finished.snakemake("tables")
        assert contents(finished) == before


def pictures(folder: Path, count: int) -> Path:
    source = np.random.default_rng(0)
    for number in range(count):
        place = folder / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(source.integers(0, 256, (8, 8), dtype=np.uint8)).save(place / f"{number}.png")
    return folder


def test_data_that_vanish_are_said_and_what_is_made_of_them_stays(finished_once: Project, tmp_path: Path) -> None:
    project = finished_once.copy_to(tmp_path / "project")
    shutil.rmtree(project.results)
    folder = pictures(tmp_path / "pictures", 60)
    dataset = {"name": "image_folder", "path": str(folder), "size": 8, "mode": "grey", "test_images": 20}
    project.configure(dataset=dataset, evaluation={**TINY["evaluation"], "surrogates": []})
    project.snakemake("results/tiny/data/images.parquet")
    made = (project.results / "data" / "images.parquet").read_bytes()
    shutil.rmtree(folder)
    result = project.snakemake("tables", check=False)
    assert result.returncode != 0
    assert_said(result.stdout, str(folder), "no such")
    assert (project.results / "data" / "images.parquet").read_bytes() == made
    pictures(folder, 60)
    project.snakemake("data")
    assert (project.results / "data" / "images.parquet").read_bytes() == made


def test_a_second_workflow_is_told_of_the_first(finished: Project) -> None:
    before = contents(finished)
    for name in ("train", "checkpoints", "measure", "tables"):
        shutil.rmtree(finished.results / name)
    first = finished.start("tables")
    locks, deadline = finished.folder / ".snakemake" / "locks", time.monotonic() + 60
    while not list(locks.glob("*lock")) and first.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    second = finished.snakemake("tables", check=False)
    assert second.returncode != 0
    assert_said(second.stdout, "lock")
    assert first.wait(120) == 0
    assert contents(finished) == before


def test_a_clock_that_jumps_changes_no_number(finished: Project, length: int) -> None:
    """Files that are older than what they were made of, and files of the future, which Snakemake names."""
    if length == 1:
        pytest.skip("takes a minute: --at-length")
    before = contents(finished)
    source = random.Random(0)
    files = sorted(path for path in finished.results.rglob("*") if path.is_file())
    for path in files:
        moment = time.time() - source.uniform(0, 3) * 365 * 86400
        os.utime(path, (moment, moment))
    finished.snakemake("tables")
    assert contents(finished) == before
    for path in finished.results.glob("data/*.parquet"):
        os.utime(path, (time.time() + 86400,) * 2)
    result = finished.snakemake("tables", check=False)
    assert result.returncode != 0
    assert "clock skew" in result.stdout
    # As docs/using.md says
    subprocess.run(["find", "results", "-newermt", "now", "-exec", "touch", "{}", "+"], cwd=finished.folder, check=True)
    finished.snakemake("tables")
    assert contents(finished) == before
