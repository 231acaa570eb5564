from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from memsweep import provenance


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package that may be edited."""
    copy = tmp_path / "memsweep"
    shutil.copytree(provenance.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "PACKAGE", copy)
    provenance._parsed.cache_clear()
    yield copy  # type: ignore[misc]
    provenance._parsed.cache_clear()


def fingerprints() -> dict[str, str]:
    provenance._parsed.cache_clear()
    return {
        "train": provenance.training_code(),
        "measure": provenance.fingerprint("measure"),
        "dynamics": provenance.fingerprint("figures.dynamics"),
        "sample_sheet": provenance.fingerprint("figures.sample_sheet"),
    }


def changed_by(path: Path, old: str, new: str) -> set[str]:
    before = fingerprints()
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    after = fingerprints()
    return {name for name in before if before[name] != after[name]}


def test_the_copy_has_the_fingerprints_of_the_package(package: Path) -> None:
    provenance._parsed.cache_clear()
    inside = provenance.training_code()
    provenance.PACKAGE = Path(provenance.__file__).parent
    provenance._parsed.cache_clear()
    assert provenance.training_code() == inside


def test_comments_and_docstrings_do_not_count(package: Path) -> None:
    assert not changed_by(package / "flow.py", "Rectified flow:", "Straight lines:")
    assert not changed_by(package / "training.py", "import copy", "import copy  # said")


def test_the_training_step_makes_runs_stale_and_leaves_figures(package: Path) -> None:
    assert changed_by(package / "flow.py", "error.square()", "error.abs()") == {"train"}
    assert changed_by(package / "unet.py", "bias", "bias ") <= {"train"}


def test_a_figure_changes_alone(package: Path) -> None:
    assert changed_by(package / "figures" / "dynamics.py", "def draw(", "SIZE = 3\n\n\ndef draw(") == {"dynamics"}


def test_what_figures_share_changes_all_of_them_and_nothing_else(package: Path) -> None:
    path = package / "figures" / "style.py"
    path.write_text(path.read_text() + "\nEXTRA = 1\n")
    before = fingerprints()
    path.write_text(path.read_text() + "\nEXTRA = 2\n")
    after = fingerprints()
    assert {name for name in before if before[name] != after[name]} == {"dynamics", "sample_sheet"}


def test_reporting_progress_is_no_part_of_a_trajectory(package: Path) -> None:
    assert not changed_by(package / "progress.py", "import sys", "import sys, os")


def test_a_trajectory_depends_on_the_modules_that_make_its_numbers() -> None:
    assert provenance.dependencies("training") | provenance.dependencies("evaluation") == {
        "ddpm",
        "denoiser",
        "evaluation",
        "flow",
        "formulation",
        "graphs",
        "images",
        "randomness",
        "run",
        "training",
        "unet",
    }
