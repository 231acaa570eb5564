"""Fixtures of the workflow's tests: a tiny study that has been run."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.projects import Project, new_project


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose tiny study has been run; tests take copies of it."""
    project = new_project(tmp_path_factory.mktemp("project"))
    project.snakemake()
    return project


@pytest.fixture
def finished(finished_once: Project, tmp_path: Path) -> Project:
    """A project of the test's own whose tiny study has been run."""
    return finished_once.copy_to(tmp_path / "project")
