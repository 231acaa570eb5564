"""A study of feature learning, run by Snakemake itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.drawn_figures import assert_readable
from helpers.projects import FEATURE_LEARNING, Project, new_project

TABLES = ("alignments", "growth", "stationary", "phase", "phase_fits", "noisy_probes", "planted_probes", "claims")
FIGURES = ("feature_alignment", "feature_phase_diagram", "noisy_digit_maps", "feature_probes", "feature_claims")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose tiny study of feature learning has been run."""
    project = new_project(tmp_path_factory.mktemp("features"))
    configure(project.folder)
    project.snakemake()
    return project


def configure(folder: Path, **changes: Any) -> None:
    (folder / "config" / "tiny.yaml").write_text(yaml.safe_dump({**FEATURE_LEARNING, **changes}))


def test_it_ends_in_tables_and_figures_and_then_does_nothing(project: Project) -> None:
    project.assert_tables(*TABLES, "feature_balance")
    project.assert_figures(*FIGURES)
    assert project.jobs() == {}


def test_a_longer_list_computes_what_is_new(project: Project) -> None:
    two_patch = {**FEATURE_LEARNING["two_patch"], "times": [1.0, 2.0]}
    followed = {"feature_analysis", "judge", "table_pages", *FIGURES}
    try:
        configure(project.folder, two_patch=two_patch)
        jobs = project.jobs()
        assert jobs["two_patch_dynamics"] == 1
        assert jobs["two_patch_phase"] == 2
        assert set(jobs) == {"two_patch_dynamics", "two_patch_phase", *followed}
        configure(project.folder, planted={**FEATURE_LEARNING["planted"], "train_sizes": [8, 16]})
        jobs = project.jobs()
        assert jobs["planted_features"] == 1
        assert set(jobs) == {"planted_features", *followed}
        configure(project.folder, noisy_digits={**FEATURE_LEARNING["noisy_digits"], "snrs": [0.5, 1]})
        assert project.jobs()["noisy_digits"] == 1
    finally:
        configure(project.folder)


def test_a_bad_key_is_answered_by_a_dry_run(project: Project) -> None:
    try:
        configure(project.folder, two_patch={"time": [1]})
        result = project.snakemake("-n", check=False)
    finally:
        configure(project.folder)
    assert result.returncode != 0
    assert "config error: two_patch.time: unknown key (did you mean 'times'?)" in result.stdout
    assert "Traceback" not in result.stdout


def test_figures_can_be_read_over_one_column_of_a_paper_and_over_both(project: Project) -> None:
    assert_readable(project)
