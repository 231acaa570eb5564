"""Fixtures of several packages' tests, small datasets, and how properties are tried."""

from __future__ import annotations

import os
import signal
from pathlib import Path

# Before torch and numpy are there: tests run side by side, each on one core
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch
from filelock import FileLock
from helpers.projects import Project, new_project
from hypothesis import settings
from memsweep.base.devices import set_up_cuda
from memsweep.data.datasets import content_hash, prepare
from memsweep.data.images import ImageSet, Split

# Properties are tried on the same examples every time, so that what passed passes again, on a busy machine too
settings.register_profile("suite", derandomize=True, deadline=None)
# On ten times as many others: pytest --hypothesis-profile=random
settings.register_profile("random", max_examples=1000, deadline=None, print_blob=True)
settings.load_profile("suite")

# Before any product of this process: the workspaces with which cuBLAS gives the same bits every time
set_up_cuda()

# A shell that starts tests in the background has them ignore Ctrl-C, and so would all that they start
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--at-length", action="store_true", help="what takes minutes, too")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # On Slurm most of the time is waiting, in which another process can test
    items.sort(key=lambda item: item.get_closest_marker("slurm") is None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("no GPU")


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prepared digits."""
    path = tmp_path_factory.mktemp("digits") / "images.parquet"
    prepare({"name": "digits", "test_images": 500, "seed": 0}, path)
    return path


@pytest.fixture(scope="session")
def noise_images() -> ImageSet:
    """Forty training and twenty held-out images of noise, 8x8 RGB, three classes."""
    source = np.random.default_rng(0)

    def split(size: int) -> Split:
        return Split(source.integers(0, 256, (size, 8, 8, 3), dtype=np.uint8), source.integers(0, 3, size))

    train, test = split(40), split(20)
    return ImageSet(train, test, content_hash(train, test), classes=3)


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose tiny study has been run, once for all processes that test; tests take copies of it.

    Each of its processes starts as those of users do.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "finished_once"
    with FileLock(folder.with_suffix(".lock")):
        if folder.exists():
            return Project(folder)
        project = new_project(folder.with_suffix(".unfinished"))
        project.snakemake(loaded=False)
        return Project(project.folder.rename(folder))


@pytest.fixture
def finished(finished_once: Project, tmp_path: Path) -> Project:
    """A project of the test's own whose tiny study has been run."""
    return finished_once.copy_to(tmp_path / "project")
