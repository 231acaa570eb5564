from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import memsweep.base.fingerprints as hashes
import pytest

STAGES = {
    "prepare": ("data.datasets",),
    "surrogates": ("data.surrogates",),
    "baselines": ("analysis.baselines",),
    "empirical": ("closed_form.empirical_sampler",),
    "pack": ("jobs.packs", "jobs.stopping", "metrics.novelty"),
    "classifier": ("metrics.classifier",),
    "features": ("metrics.features",),
    "measure": ("metrics.measure",),
    "collect": ("analysis.collect",),
    "analyse": ("analysis.analyse",),
    "conclude": ("analysis.conclude",),
    "pages": ("report.pages",),
    "summary": ("report.summary.page",),
    "dynamics": ("figures.sweep.dynamics",),
    "sample_sheet": ("figures.sweep.sample_sheet",),
    "planted": ("theory.feature_learning.planted_features",),
    "phase": ("theory.feature_learning.alignment",),
    "recovery": ("theory.mixed_cumulant.recovery",),
    "version": ("training.version",),
}
Edit = Callable[[str], str]
MEASURE, METER = "metrics.measure", "metrics.novelty_meter"
NOVELTY, PRETRAINED = "metrics.novelty", "metrics.pretrained"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package that may be edited."""
    copy = tmp_path / "memsweep"
    shutil.copytree(hashes.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(hashes, "PACKAGE", copy)
    return copy


def fingerprints() -> dict[str, str]:
    hashes._digest.cache_clear()
    hashes._source.cache_clear()
    return {stage: hashes.fingerprint(*modules) for stage, modules in STAGES.items()}


def stale_after(package: Path, module: str, edit: Edit) -> set[str]:
    """The stages whose fingerprint changes when a module's text is edited."""
    before = fingerprints()
    path = package / f"{module.replace('.', '/')}.py"
    text = edit(path.read_text())
    assert text != path.read_text()
    path.write_text(text)
    after = fingerprints()
    return {stage for stage in STAGES if before[stage] != after[stage]}


def replacing(old: str, new: str) -> Edit:
    return lambda text: text.replace(old, new, 1)


def test_the_copy_has_the_fingerprints_of_the_package(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = fingerprints()
    monkeypatch.undo()
    assert fingerprints() == copied


def test_comments_docstrings_annotations_and_layout_do_not_count(package: Path) -> None:
    assert not stale_after(package, "data.images", lambda text: re.sub(r'"""[^"]*"""', '"""Other words."""', text))
    assert not stale_after(package, NOVELTY, replacing("tail = (1", "tail = \\\n        (1"))
    assert not stale_after(package, NOVELTY, replacing("threshold: float", "threshold: complex"))
    assert not stale_after(package, NOVELTY, replacing("    value: float", "    value: complex  # said"))
    assert stale_after(package, NOVELTY, replacing("    value: complex  # said\n", "")) >= {"measure"}


def test_imports_do_not_count(package: Path) -> None:
    assert not stale_after(package, MEASURE, replacing("import numpy as np", "import numpy as np\nimport json"))
    alias = replacing("import copied, copies", "import copied, copies as by_rule")
    assert not stale_after(package, METER, lambda text: alias(text).replace(" copies(found", " by_rule(found"))
    assert not stale_after(package, NOVELTY, lambda text: re.sub(r"\bnp\b", "numpy", text))
    assert stale_after(package, METER, replacing("import copied, copies as by_rule", "import copied, share as by_rule"))


def test_a_moved_module_makes_nothing_stale(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprints()
    moved = package / "analysis" / "copies_of_images.py"
    (package / "metrics" / "novelty.py").rename(moved)
    moved.write_text(moved.read_text().replace("from .neighbours", "from ..metrics.neighbours"))
    monkeypatch.setitem(STAGES, "pack", ("jobs.packs", "jobs.stopping", "analysis.copies_of_images"))
    for path in package.rglob("*.py"):
        text = re.sub(r"from \.novelty import", "from ..analysis.copies_of_images import", path.read_text())
        text = re.sub(r"from (\.+)metrics\.novelty import", r"from \1analysis.copies_of_images import", text)
        path.write_text(text)
    assert fingerprints() == before
    (package / "figures" / "style.py").rename(package / "figures" / "look.py")
    for path in package.rglob("*.py"):
        text = re.sub(r"\bstyle\.(?=[a-zA-Z])", "look.", path.read_text())
        text = re.sub(r"(from \.+ import (?:\w+, )*)style\b", r"\1look", text)
        path.write_text(re.sub(r"(from \.+)style import", r"\1look import", text))
    assert fingerprints() == before


def test_a_face_is_seen_through(package: Path) -> None:
    before = fingerprints()
    for path in package.rglob("*.py"):
        text = re.sub(r"from (\.+)metrics\.novelty import", r"from \1metrics import", path.read_text())
        path.write_text(text)
    with (package / "metrics" / "__init__.py").open("a") as face:
        face.write("\nfrom .fidelity import DISTANCES\n")
        face.write("from .novelty import Share, copied, copies, share, share_of, share_of_copies\n")
    assert "from ..metrics import copied" in (package / "analysis" / "onset.py").read_text()
    assert fingerprints() == before


def test_an_option_that_is_off_makes_nothing_stale(package: Path) -> None:
    option = replacing("    accumulate: int = 1\n", "    accumulate: int = 1\n    weight_decay: float = 0.0\n")
    assert not stale_after(package, "training.trainer", option)


def test_a_constant_makes_stale_what_depends_on_it(package: Path) -> None:
    copied = {"measure", "sample_sheet", "pack", "analyse", "conclude", "recovery", "summary"}
    assert stale_after(package, NOVELTY, replacing("second_distance == 0", "second_distance == 1")) == copied
    assert stale_after(package, "analysis.onset", replacing("1e-9", "1e-8")) == {"analyse", "conclude", "recovery"}
    assert stale_after(package, "figures.style", replacing("WIDTH = 7.0", "WIDTH = 7.1")) == {
        "dynamics",
        "sample_sheet",
    }
    assert stale_after(package, "figures.sweep.dynamics", replacing("\ndef draw", "\nSIZE = 3\ndef draw")) == {
        "dynamics"
    }
    assert stale_after(package, PRETRAINED, replacing("(", "( ")) == set()
    assert "features" in stale_after(package, PRETRAINED, lambda text: f"{text}\nEXTRA = 1\n")
    assert stale_after(package, "theory.feature_learning.two_patch", lambda text: f"{text}\nEXTRA = 1\n") == {"phase"}


def test_another_version_of_training_makes_stale_what_is_trained(package: Path) -> None:
    raised = replacing('TRAINING_VERSION = "', 'TRAINING_VERSION = "1')
    assert stale_after(package, "training.version", raised) == {
        "version",
        "pack",
        "baselines",
        "empirical",
        "planted",
        "summary",
    }


def test_denoisers_in_closed_form_count_by_their_code_and_train_nothing(package: Path) -> None:
    other = replacing("LEAST_SIGMA = 1e-9", "LEAST_SIGMA = 1e-8")
    assert stale_after(package, "closed_form.posterior_means", other) == {"baselines", "empirical"}
    other = replacing("total[:, 0] == 1", "total[:, 0] < 1 + 1e-9")
    assert stale_after(package, "closed_form.empirical_sampler", other) == {"empirical"}


def test_what_is_said_and_written_carries_no_numbers(package: Path) -> None:
    for module in ("jobs.progress", "tables.contracts.sweep", "base.errors", "base.records", "jobs.concurrency"):
        assert not stale_after(package, module, lambda text: f"{text}\nEXTRA = 1\n")


def test_a_module_may_be_named_from_outside(package: Path) -> None:
    assert hashes.fingerprint("memsweep.metrics.pretrained") == hashes.fingerprint("metrics.pretrained")
