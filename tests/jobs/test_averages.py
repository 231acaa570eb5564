"""The averaged weights of sampled steps, where they are kept: which, of what, and whatever happens to the job."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.packs import pack_settings, start_training
from memsweep.base.tensors import load_tensors
from memsweep.jobs.checkpoints import Checkpoint
from memsweep.jobs.packs import train_pack
from memsweep.jobs.workshop import Way

SAMPLED = {"first": 2, "per_decade": 4, "images": 12, "samples": 6, "sample_every": 2}


def pack(**changes: Any) -> dict[str, Any]:
    """Settings of two runs."""
    settings = pack_settings(**{"evaluation": SAMPLED, **changes})
    return {**settings, "runs": settings["runs"][1:]}


def train(folder: Path, digits: Path, way: Way | None = None, **changes: Any) -> Path:
    """Train the pack below a folder; returns that of its checkpoints."""
    settings = pack(**changes)
    train_pack(settings, digits, folder / "checkpoints", folder / "tables", way or Way("cpu", keep_averages=True))
    return folder / "checkpoints"


def averages(checkpoints: Path) -> dict[str, bytes]:
    return {str(path.relative_to(checkpoints)): path.read_bytes() for path in checkpoints.rglob("average-*")}


@pytest.fixture(scope="module")
def whole(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("whole"), digits)


def test_they_are_those_of_every_sampled_step_of_every_run(whole: Path) -> None:
    steps = (3, 10, 32)
    expected = {f"{run}/average-{step:08d}.safetensors" for run in ("second", "third") for step in steps}
    assert set(averages(whole)) == expected


def test_off_they_are_not_kept_and_nothing_else_differs(whole: Path, digits: Path, tmp_path: Path) -> None:
    without = train(tmp_path, digits, Way("cpu"))
    assert not averages(without)
    others = [path.relative_to(whole) for path in whole.rglob("*.safetensors") if "average" not in path.name]
    assert len(others) == 2 * 6
    assert all((whole / path).read_bytes() == (without / path).read_bytes() for path in others)


def test_the_state_of_a_shorter_run_has_the_average_of_its_end(whole: Path, digits: Path, tmp_path: Path) -> None:
    """An independent source of the weights at step 10: a run that ends there."""
    short = train(tmp_path, digits, training={"budget": {"steps": 10}, "ema_decay": 0.9})
    for run in ("second", "third"):
        kept, _ = load_tensors(whole / run / "average-00000010.safetensors")
        state, _ = load_tensors(short / run / "state.safetensors")
        assert kept
        assert all(name.startswith("average.") and torch.equal(kept[name], state[name]) for name in kept)


@pytest.mark.parametrize(("number", "threads"), [(signal.SIGKILL, 1), (signal.SIGTERM, 2)])
def test_a_job_that_is_ended_and_goes_on_has_the_same_files(
    number: signal.Signals, threads: int, whole: Path, digits: Path, tmp_path: Path
) -> None:
    options = ["--keep-averages", "--checkpoint-seconds", "0", "--threads", str(threads)]
    until = [tmp_path / "checkpoints" / "second" / "evaluation-00000003.safetensors"]
    job = start_training(pack(), digits, tmp_path, *options, until=until)
    with job:
        job.send_signal(number)
    train(tmp_path, digits)
    assert averages(tmp_path / "checkpoints") == averages(whole)


def test_no_evaluation_is_there_without_its_average_whenever_it_ends(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The evaluation says that a step is done: it is written last."""

    def full(self: Checkpoint, step: int, evaluation: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Checkpoint, "save_evaluation", full)
    with pytest.raises(Exception, match="No space left"):
        train(tmp_path, digits)
    assert len(averages(tmp_path / "checkpoints")) == 2
    assert not list((tmp_path / "checkpoints").rglob("evaluation-*"))


def test_a_longer_budget_keeps_them_and_adds_its_own(whole: Path, digits: Path, tmp_path: Path) -> None:
    short = {"budget": {"steps": 10}, "ema_decay": 0.9}
    train(tmp_path, digits, training=short)
    assert averages(train(tmp_path, digits)) == averages(whole)


def test_of_steps_that_a_run_was_past_it_is_said_that_there_are_none(
    digits: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path, digits, Way("cpu"), training={"budget": {"steps": 10}, "ema_decay": 0.9})
    checkpoints = train(tmp_path, digits)
    assert {Path(name).name for name in averages(checkpoints)} == {"average-00000032.safetensors"}
    assert "the averaged weights of 2 steps up to 10 are not kept" in capfd.readouterr().err


def test_a_finished_run_is_left_alone(whole: Path, digits: Path, tmp_path: Path) -> None:
    checkpoints = train(tmp_path, digits, Way("cpu"))
    before = {path: path.stat().st_mtime_ns for path in checkpoints.rglob("*")}
    train(tmp_path, digits)
    assert {path: path.stat().st_mtime_ns for path in checkpoints.rglob("*")} == before


def test_a_damaged_one_is_set_aside_and_the_run_goes_on(
    whole: Path, digits: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    checkpoints = train(tmp_path, digits, training={"budget": {"steps": 10}, "ema_decay": 0.9})
    path = checkpoints / "second" / "average-00000003.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    train(tmp_path, digits)
    assert "it is kept as damaged-average-00000003.safetensors" in capfd.readouterr().err
    expected = averages(whole)
    del expected["second/average-00000003.safetensors"]
    assert averages(checkpoints) == expected


def test_states_can_be_dropped_and_averages_kept(digits: Path, tmp_path: Path) -> None:
    checkpoints = train(tmp_path, digits, Way("cpu", keep_states=False, keep_averages=True))
    assert len(averages(checkpoints)) == 6
    assert not list(checkpoints.rglob("state*"))


def test_a_file_of_weights_says_of_what_network_they_are(whole: Path) -> None:
    for name in ("average-00000010.safetensors", "state.safetensors"):
        _, metadata = load_tensors(whole / "third" / name)
        config = json.loads(metadata["config"])
        assert metadata["run_id"] == "third"
        assert metadata["step"] == ("10" if name.startswith("average") else "32")
        assert config["image_shape"] == [1, 8, 8]
        assert config["labels"] == 10
        assert config["network"] == pack_settings()["network"]
        assert config["formulation"] == pack_settings()["formulation"]
        assert config["training"] == {"ema_decay": 0.9}
        assert {key: config[key] for key in ("train_size", "base_channels", "batch_size", "seed", "subset")} == {
            "train_size": 8,
            "base_channels": 4,
            "batch_size": 4,
            "seed": 1,
            "subset": 0,
        }
