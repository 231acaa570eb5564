from __future__ import annotations

import json

import golden
import pytest
from memsweep.diffusion import ddpm
from memsweep.training.version import TRAINING_VERSION

HELD = json.loads(golden.FILE.read_text())
CASES = dict(golden.cases())


def test_the_numbers_are_those_of_the_version() -> None:
    assert HELD["version"] == TRAINING_VERSION, "write those of this version: python tests/training/golden.py"
    assert set(HELD["cases"]) == set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_trajectories_are_those_of_the_version(case: str) -> None:
    moved = golden.moved(case, CASES[case](), HELD["cases"][case])
    assert not moved, f"raise TRAINING_VERSION and run python tests/training/golden.py, or undo the change: {moved}"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_one_constant_moves_them(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = f"ddpm, {precision}"
    monkeypatch.setattr(ddpm, "LAST_BETA", 0.03)
    ddpm.scales.cache_clear()
    try:
        assert golden.moved(case, CASES[case](), HELD["cases"][case])
    finally:
        ddpm.scales.cache_clear()


def test_what_is_missing_has_moved() -> None:
    assert golden.moved("case", {"loss": 1.0}, {"loss": 1.00001, "samples": 2.0}) == ["case: samples was 2, is nan"]


def test_precisions_have_numbers_of_their_own() -> None:
    cases = HELD["cases"]
    assert golden.moved("float32", cases["rectified_flow, bfloat16"], cases["rectified_flow, float32"])
