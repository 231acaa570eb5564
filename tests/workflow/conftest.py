"""Fixtures of the workflow's tests: a tiny study that has been run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from filelock import FileLock
from helpers.projects import Project, new_project


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose tiny study has been run, once for all processes that test; tests take copies of it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "finished_once"
    with FileLock(folder.with_suffix(".lock")):
        if folder.exists():
            return Project(folder)
        project = new_project(folder.with_suffix(".unfinished"))
        project.snakemake()
        return Project(project.folder.rename(folder))


@pytest.fixture
def finished(finished_once: Project, tmp_path: Path) -> Project:
    """A project of the test's own whose tiny study has been run."""
    return finished_once.copy_to(tmp_path / "project")
