"""The packages' arrows, as pyproject.toml has them, and what the workflow waits for at every start."""

from __future__ import annotations

import subprocess
import sys

import memsweep
import pytest
from helpers.configs import ROOT
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

PACKAGE = ROOT / "workflow" / "memsweep"


def test_arrows_go_one_way(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    status = lint_imports(config_filename="pyproject.toml", no_cache=True)
    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out


def loaded(modules: str) -> set[str]:
    """The packages, Python's own apart, that a process has loaded once it has imported these modules."""
    code = f"import sys; import {modules}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.split()) - set(sys.stdlib_module_names)


def test_a_study_loads_yaml_and_jsonschema_and_nothing_heavier() -> None:
    modules = [f"memsweep.study.{path.stem}" for path in (PACKAGE / "study").glob("*.py")]
    modules += ["memsweep.training.version", "memsweep.base.fingerprints", "memsweep.base.machine"]
    assert loaded(", ".join(modules).replace(".__init__", "")) - loaded("yaml, jsonschema") == {"memsweep"}


def test_the_public_face_loads_nothing_until_it_is_asked() -> None:
    code = "import sys, memsweep; print(*sorted(name for name in sys.modules if name.startswith('memsweep')))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert loaded == ["memsweep"]


@pytest.mark.parametrize("name", memsweep.__all__)
def test_the_public_face_has_what_it_names(name: str) -> None:
    assert getattr(memsweep, name) is not None


def test_the_public_face_has_nothing_else() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = memsweep.nothing
