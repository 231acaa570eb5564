from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from memsweep import provenance

STAGES = {
    "prepare": ("datasets",),
    "surrogates": ("surrogate",),
    "baselines": ("baselines",),
    "pack": ("packs", "stopping"),
    "classifier": ("classifier",),
    "features": ("features",),
    "measure": ("measure",),
    "collect": ("collect",),
    "analyse": ("analyse",),
    "pages": ("pages",),
    "dynamics": ("figures.dynamics",),
    "sample_sheet": ("figures.sample_sheet",),
    "planted": ("feature_learning.planted_networks",),
    "phase": ("feature_learning.alignment",),
    "recovery": ("mixed_cumulant.recovery",),
    "version": ("training_version",),
}
Edit = Callable[[str], str]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package that may be edited."""
    copy = tmp_path / "memsweep"
    shutil.copytree(provenance.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "PACKAGE", copy)
    return copy


def fingerprints() -> dict[str, str]:
    provenance._digest.cache_clear()
    provenance._parsed.cache_clear()
    return {stage: provenance.fingerprint(*modules) for stage, modules in STAGES.items()}


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
    assert not stale_after(package, "images", lambda text: re.sub(r'"""[^"]*"""', '"""Other words."""', text))
    assert not stale_after(package, "novelty", replacing("count, found =", "count, found = \\\n        "))
    assert not stale_after(package, "novelty", replacing("threshold: float", "threshold: complex"))
    assert not stale_after(package, "novelty", replacing("    value: float", "    value: complex  # said"))
    assert stale_after(package, "novelty", replacing("    value: complex  # said\n", "")) >= {"measure"}


def test_imports_do_not_count(package: Path) -> None:
    assert not stale_after(package, "measure", replacing("import numpy as np", "import numpy as np\nimport json"))
    alias = replacing("import copies, share", "import copies as copied_of, share")
    assert not stale_after(package, "measure", lambda text: alias(text).replace("copies(first", "copied_of(first"))
    assert not stale_after(package, "novelty", lambda text: re.sub(r"\bnp\b", "numpy", text))
    assert stale_after(package, "measure", replacing("import copies as copied_of, share", "import share as copied_of"))


def test_a_moved_module_makes_nothing_stale(package: Path) -> None:
    before = fingerprints()
    (package / "metrics").mkdir()
    (package / "metrics" / "__init__.py").touch()
    (package / "novelty.py").rename(package / "metrics" / "novelty_of_samples.py")
    for path in package.rglob("*.py"):
        text = re.sub(r"from (\.+)novelty import", r"from \1metrics.novelty_of_samples import", path.read_text())
        path.write_text(text)
    assert fingerprints() == before


def test_a_face_is_seen_through(package: Path) -> None:
    before = fingerprints()
    for path in package.rglob("*.py"):
        text = re.sub(r"from (\.+)novelty import", r"from \1faces import", path.read_text())
        path.write_text(text)
    (package / "faces").mkdir()
    (package / "faces" / "__init__.py").write_text(
        "from ..novelty import copies, share\nfrom ..fidelity import DISTANCES\n"
    )
    assert "from .faces import" in (package / "measure.py").read_text()
    assert fingerprints() == before


def test_an_option_that_is_off_makes_nothing_stale(package: Path) -> None:
    option = replacing("    accumulate: int = 1\n", "    accumulate: int = 1\n    weight_decay: float = 0.0\n")
    assert not stale_after(package, "training", option)


def test_a_constant_makes_stale_what_depends_on_it(package: Path) -> None:
    analysed = {"analyse", "recovery"}
    copied = {"measure", "sample_sheet", "pack", *analysed}
    assert stale_after(package, "novelty", replacing("second_distance == 0", "second_distance == 1")) == copied
    assert stale_after(package, "onset", replacing("1e-9", "1e-8")) == analysed
    assert stale_after(package, "figures.style", replacing("WIDTH = 7.0", "WIDTH = 7.1")) == {
        "dynamics",
        "sample_sheet",
    }
    assert stale_after(package, "figures.dynamics", replacing("def draw(", "SIZE = 3\n\n\ndef draw(")) == {"dynamics"}
    assert stale_after(package, "pretrained", replacing("(", "( ")) == set()
    assert "features" in stale_after(package, "pretrained", lambda text: f"{text}\nEXTRA = 1\n")
    assert stale_after(package, "feature_learning.two_patch", lambda text: f"{text}\nEXTRA = 1\n") == {"phase"}


def test_another_version_of_training_makes_stale_what_is_trained(package: Path) -> None:
    raised = replacing('TRAINING_VERSION = "', 'TRAINING_VERSION = "1')
    assert stale_after(package, "training_version", raised) == {"version", "pack", "baselines", "planted"}


def test_what_is_said_and_written_carries_no_numbers(package: Path) -> None:
    for module in ("progress", "checkpoints", "contracts/__init__", "errors", "cost", "concurrency"):
        assert not stale_after(package, module, lambda text: f"{text}\nEXTRA = 1\n")


def test_every_stage_can_be_fingerprinted_from_inside(package: Path) -> None:
    assert provenance.fingerprint("memsweep.pretrained") == provenance.fingerprint("pretrained")
