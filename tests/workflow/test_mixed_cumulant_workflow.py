"""The study of the mixed cumulant model, run by Snakemake on a tiny size."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.drawn_figures import assert_readable
from helpers.projects import MIXED_CUMULANT, Project, new_project

SCALING = "results/tiny/figures/mixed_cumulant_scaling.pdf"


def configured(project: Project, **changes: Any) -> Project:
    """The project with the study's config; changes are made to its experiment."""
    config = copy.deepcopy(MIXED_CUMULANT)
    config["experiments"][0] |= changes
    (project.folder / "config" / "tiny.yaml").write_text(yaml.safe_dump(config))
    return project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose tiny study has been run up to one figure."""
    project = configured(new_project(tmp_path_factory.mktemp("mixed_cumulant")))
    project.snakemake(SCALING)
    return project


def test_a_figure_brings_what_it_needs_and_nothing_else(project: Project) -> None:
    project.assert_figures("mixed_cumulant_scaling")
    project.assert_tables("overlaps", "recoveries", "recovery_times", "recovery_exponents")
    assert "Nothing to be done" in configured(project).snakemake(SCALING).stdout
    assert configured(project).jobs() == {
        "learn_network": 2,
        "network_departure": 1,
        "unit_theory": 1,
        "judge": 1,
        "mixed_cumulant_claims": 1,
        "table_pages": 1,
        "mixed_cumulant_overlaps": 1,
        "mixed_cumulant_loss": 1,
        "mixed_cumulant_network": 1,
    }


def test_another_dimension_learns_nothing_again(project: Project) -> None:
    jobs = configured(project, dimensions=[8, 10, 12]).jobs(SCALING)
    assert jobs == {"learn_unit": 1, "unit_recovery": 1, "mixed_cumulant_scaling": 1}


def test_a_changed_fit_learns_nothing_again(project: Project) -> None:
    module = project.folder / "workflow" / "memsweep" / "theory" / "mixed_cumulant" / "recovery.py"
    before = module.read_text()
    module.write_text(before + "\nTOUCHED = True\n")
    assert configured(project).jobs(SCALING) == {"unit_recovery": 1, "mixed_cumulant_scaling": 1}
    module.write_text(before)


def test_a_bad_experiment_is_one_sentence_and_starts_nothing(project: Project) -> None:
    result = configured(project, dimensions=[2]).snakemake(check=False)
    assert result.returncode != 0
    said = [line for line in result.stdout.splitlines() if "profile" not in line and line.strip()]
    assert said == ["config error: experiments[0].dimensions[0]: found 2; accepted is at least 4"]


def test_a_truncated_file_is_named(project: Project, tmp_path: Path) -> None:
    damaged = configured(project.copy_to(tmp_path / "damaged"))
    path = damaged.results / "learn" / "experiment=both" / "dimension=8" / "unit_paths.parquet"
    path.write_bytes(path.read_bytes()[:100])
    result = damaged.snakemake(SCALING, check=False)
    assert result.returncode != 0
    assert "experiment=both/dimension=8/unit_paths.parquet: not a whole Parquet file" in result.stdout
    assert "Traceback" not in result.stdout


def test_figures_can_be_read_over_one_column_of_a_paper_and_over_both(project: Project) -> None:
    configured(project).snakemake("figures")
    assert_readable(project)
