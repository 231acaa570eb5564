"""Runs trained side by side: the same numbers as alone, and no run harmed by another's end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import torch
from helpers.packs import pack_settings, start_training
from memsweep.base.errors import UserError
from memsweep.base.interruption import StartAgain, StopRequest
from memsweep.base.tensors import load_tensors, save_tensors
from memsweep.data.images import read_images
from memsweep.jobs import concurrency, member
from memsweep.jobs.concurrency import places, train_in_turn
from memsweep.jobs.life import Life
from memsweep.jobs.member import Member
from memsweep.jobs.pace import Pace
from memsweep.jobs.packs import train_pack, write_tables
from memsweep.jobs.progress import TrainingProgress
from memsweep.jobs.workshop import Way, Workshop
from memsweep.study.run import Run
from memsweep.tables.frames import with_plain_text
from memsweep.tables.parquet import read_table
from memsweep.training.cuda_graphs import CaptureFailed

TABLES = ("runs", "losses", "samples")


def mixed_settings(steps: int = 32) -> dict[str, Any]:
    """Runs of every kind in one pack: sizes of training set, batch and network, rates and seeds."""
    settings = pack_settings()
    axes = ("train_size", "base_channels", "batch_size", "learning_rate", "seed")
    points = [(8, 4, 4, 1e-3, 0), (16, 8, 2, 5e-3, 0), (8, 4, 8, 1e-3, 1), (12, 8, 4, 2e-3, 2)]
    settings["runs"] = [
        {"run_id": f"run{number}", **dict(zip(axes, point, strict=True)), "max_steps": steps}
        for number, point in enumerate(points)
    ]
    settings["training"] = {**settings["training"], "budget": {"steps": steps}}
    return settings


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    return {name: read_table(folder / "tables" / f"{name}.parquet", name) for name in TABLES}


def train(settings: dict[str, Any], digits: Path, folder: Path, **way: Any) -> dict[str, pd.DataFrame]:
    train_pack(settings, digits, folder / "checkpoints", folder / "tables", Way(**{"device": "cpu", **way}))
    return tables(folder)


def assert_same(left: dict[str, pd.DataFrame], right: dict[str, pd.DataFrame]) -> None:
    for name in TABLES:
        pd.testing.assert_frame_equal(left[name], right[name], check_exact=True)


@pytest.fixture(scope="module")
def alone(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """The mixed pack, one run after the other."""
    return train(mixed_settings(), digits, tmp_path_factory.mktemp("alone"))


class Turns:
    """Trains runs in turn in this process, as on a GPU's streams."""

    def __init__(self, settings: dict[str, Any], digits: Path, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        self.workshop = Workshop(settings, read_images(digits), Way(device="cpu"), torch.device("cpu"))
        provenance = {"data_hash": self.workshop.data.data_hash, "code_version": "test"}
        self.members = [
            Member.open(Run(**fields), folder / "checkpoints", provenance, settings) for fields in settings["runs"]
        ]

    def train(self, limit: int, stop: StopRequest | None = None) -> None:
        with TrainingProgress(Pace(1, {})) as progress:
            train_in_turn(self.members, limit, self.workshop, progress, stop or StopRequest())

    def tables(self) -> dict[str, pd.DataFrame]:
        write_tables(self.members, self.workshop.data, self.settings, self.folder / "tables")
        return tables(self.folder)


def with_code(found: dict[str, pd.DataFrame], version: str) -> dict[str, pd.DataFrame]:
    return {**found, "runs": with_plain_text(found["runs"].assign(code_version=version))}


@pytest.mark.parametrize("limit", [2, 4])
def test_runs_that_take_turns_equal_runs_alone(
    limit: int, alone: dict[str, pd.DataFrame], digits: Path, tmp_path: Path
) -> None:
    turns = Turns(mixed_settings(), digits, tmp_path)
    turns.train(limit)
    assert_same(turns.tables(), with_code(alone, "test"))


def test_runs_in_processes_equal_runs_alone(alone: dict[str, pd.DataFrame], digits: Path, tmp_path: Path) -> None:
    assert_same(train(mixed_settings(), digits, tmp_path, threads=3), alone)


def test_where_memory_runs_out_fewer_go_on_from_where_they_are(
    alone: dict[str, pd.DataFrame],
    digits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The third run to be built beside others finds no memory; the allocator's own error is raised."""
    built: list[str] = []
    proceed = Life.proceed

    def crowded(life: Life) -> bool:
        built.append(life.member.run.run_id)
        if len(built) == 30:
            torch.empty(2**62, dtype=torch.uint8)
        return proceed(life)

    monkeypatch.setattr(Life, "proceed", crowded)
    turns = Turns(mixed_settings(), digits, tmp_path)
    turns.train(4)
    said = capsys.readouterr().err
    assert "out of memory: 2 at a time from here on" in said
    assert said.count("continues from step") >= 1
    assert_same(turns.tables(), with_code(alone, "test"))


def test_a_run_that_fits_nowhere_is_named_and_the_others_are_done(
    alone: dict[str, pd.DataFrame], digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Workshop.trainer

    def vast(workshop: Workshop, run: Run) -> Any:
        if run.run_id == "run1":
            torch.empty(2**62, dtype=torch.uint8)
        return trainer(workshop, run)

    turns = Turns(mixed_settings(), digits, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Workshop, "trainer", vast)
        said = (
            r"run1 .*does not fit into memory alone: base_channels=8 at batch_size=\d+ takes some .* to be trained and"
        )
        with pytest.raises(UserError, match=f"{said} .* to be evaluated, and .* are free; training.accumulate and"):
            turns.train(3)
    assert [member.complete for member in turns.members] == [True, False, True, True]
    turns.train(1)
    assert_same(turns.tables(), with_code(alone, "test"))


def test_what_an_evaluation_takes_is_what_it_is_shown_and_a_pass(digits: Path) -> None:
    few, many = (
        pack_settings(evaluation={"first": 2, "per_decade": 4, "images": images, "samples": 6})
        for images in (512, 100_000)
    )
    data = read_images(digits)
    takes = []
    for settings in (few, many):
        workshop = Workshop(settings, data, Way(device="cpu"), torch.device("cpu"))
        takes.append(workshop.evaluating_alone(Run(**settings["runs"][0])))
    # Two splits of images and noise, of 64 values of four bytes
    assert takes[1] - takes[0] == pytest.approx(2 * 2 * 64 * 4 * (100_000 - 512), rel=0.01)


@pytest.mark.parametrize("living", [1, 3])
def test_a_capture_that_fails_is_taken_for_want_of_memory_where_others_train(
    living: int,
    alone: dict[str, pd.DataFrame],
    digits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    proceed, failed = Life.proceed, list[str]()

    def captured(life: Life) -> bool:
        if life.member.run.run_id == "run2" and not failed:
            failed.append(life.member.run.run_id)
            raise CaptureFailed("a CUDA graph could not be captured: no engine was found")
        return proceed(life)

    monkeypatch.setattr(Life, "proceed", captured)
    turns = Turns(mixed_settings(), digits, tmp_path)
    if living == 1:  # alone, it is no want of memory
        with pytest.raises(UserError, match=r"run2 .*: CaptureFailed: a CUDA graph could not be captured"):
            turns.train(1)
        assert [member.complete for member in turns.members] == [True, True, False, True]
        turns.train(1)
    else:
        turns.train(3)
        assert "out of memory: 1 at a time from here on" in capsys.readouterr().err
    assert_same(turns.tables(), with_code(alone, "test"))


def test_a_process_that_cannot_give_memory_back_saves_its_runs_and_asks_for_another(
    alone: dict[str, pd.DataFrame], digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, proceed = Turns(mixed_settings(), digits, tmp_path), Life.proceed
    slices: list[str] = []

    def crowded(life: Life) -> bool:
        slices.append(life.member.run.run_id)
        if len(slices) == 40:
            torch.empty(2**62, dtype=torch.uint8)
        return proceed(life)

    with monkeypatch.context() as patch:
        patch.setattr(Life, "proceed", crowded)
        patch.setattr(concurrency, "_release", lambda: False)
        with pytest.raises(StartAgain) as again:
            turns.train(4)
    assert again.value.together == 2
    saved = [member.checkpoint.load_state() for member in turns.members]
    assert sum(state is not None for state in saved) == 3  # all but the one that failed
    turns.train(again.value.together)
    assert_same(turns.tables(), with_code(alone, "test"))


def test_a_job_goes_on_in_a_new_process_where_this_one_cannot(
    alone: dict[str, pd.DataFrame], digits: Path, tmp_path: Path
) -> None:
    """The first process gives up before it trains; the one that takes its place is the library as it is."""
    code = """
import sys
from memsweep.base.tensors import load_tensors, save_tensors
from memsweep.base.interruption import StartAgain
from memsweep.jobs import packs

def gives_up(*given):
    raise StartAgain(2)

packs.train_pack = gives_up
from memsweep.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
    command = [sys.executable, "-c", code, "train", "--images", str(digits), "--device", "cpu"]
    command += ["--checkpoints", str(tmp_path / "checkpoints"), "--output", str(tmp_path / "tables")]
    done = subprocess.run(command, input=json.dumps(mixed_settings()), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "goes on in a new process, 2 runs at a time" in done.stderr
    assert_same(tables(tmp_path), alone)


def test_an_error_that_a_device_tells_late_is_the_run_s_and_the_others_go_on(
    alone: dict[str, pd.DataFrame], digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a GPU did wrong shows when it is asked how far it is."""

    def asked(life: Life) -> bool:
        if life.member.run.run_id == "run1":
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return True

    turns = Turns(mixed_settings(), digits, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Life, "ready", property(asked))
        with pytest.raises(UserError, match=r"run1 .*: RuntimeError: CUDA error: an illegal memory access"):
            turns.train(3)
    assert [member.complete for member in turns.members] == [True, False, True, True]
    turns.train(1)
    assert_same(turns.tables(), with_code(alone, "test"))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_run_that_fails_is_reported_once_the_others_are_done(
    threads: int, alone: dict[str, pd.DataFrame], digits: Path, tmp_path: Path
) -> None:
    settings = mixed_settings()
    train(settings | {"runs": settings["runs"][1:2], **budget(18)}, digits, tmp_path)
    state = tmp_path / "checkpoints" / "run1" / "state.safetensors"
    whole = state.read_bytes()
    # A state of another network, which no run of this pack can continue from
    tensors, metadata = load_tensors(state)
    save_tensors(state, {"count": tensors["count"]}, metadata)
    with pytest.raises(UserError, match=r"run1 \(learning_rate=0.005 seed=0\): .*the training state is that of"):
        train(settings, digits, tmp_path, threads=threads)
    assert all((tmp_path / "checkpoints" / f"run{n}" / "evaluation-00000032.safetensors").exists() for n in (0, 2, 3))
    state.write_bytes(whole)
    assert_same(train(settings, digits, tmp_path), alone)


def budget(steps: int) -> dict[str, Any]:
    return {"training": {**mixed_settings()["training"], "budget": {"steps": steps}}}


@pytest.fixture(scope="module")
def without_a_break(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """The tables of a pack long enough to be met while it is trained."""
    return train(mixed_settings(300), digits, tmp_path_factory.mktemp("without a break"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_processes_end_with_their_job_and_nothing_is_lost(
    number: signal.Signals, without_a_break: dict[str, pd.DataFrame], digits: Path, tmp_path: Path
) -> None:
    settings = mixed_settings(300)
    begun = [tmp_path / "checkpoints" / f"run{n}" / "evaluation-00000010.safetensors" for n in (0, 1)]
    job = start_training(settings, digits, tmp_path, "--threads", "2", "--checkpoint-seconds", "0.5", until=begun)
    family = psutil.Process(job.pid).children(recursive=True)
    job.send_signal(number)
    assert job.wait() == (-signal.SIGKILL if number == signal.SIGKILL else 128 + signal.SIGTERM)
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive
    # Nor did they train to their ends first
    assert not (tmp_path / "checkpoints" / "run0" / "evaluation-00000300.safetensors").exists()
    assert not (tmp_path / "tables").exists()
    assert not (tmp_path / "checkpoints" / "run3" / "state.safetensors").exists()
    assert_same(train(settings, digits, tmp_path), without_a_break)


def test_as_many_runs_at_a_time_as_there_are_cores_or_memory(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def at_a_time(**way: Any) -> int:
        turns = Turns(mixed_settings(), digits, tmp_path)
        turns.workshop.way = Way(device="cpu", **way)
        return places(turns.members, turns.workshop, said.append)

    assert at_a_time() == 1
    assert at_a_time(threads=3) == 3
    assert at_a_time(threads=16) == 4
    assert not said
    largest = Turns(mixed_settings(), digits, tmp_path).workshop.memory(Run("", 16, 8, 4, 1e-3, 0, 1))
    monkeypatch.setattr(concurrency, "free_memory", lambda device: int(2.6 * largest / concurrency.PLANNED))
    assert at_a_time(threads=16) == 2
    assert "2 at a time, as a run takes some" in said[0]


PEAK = """
import json, sys
from pathlib import Path
import torch
from memsweep.data.images import read_images
from memsweep.training.cuda_graphs import CaptureFailed
from memsweep.jobs.workshop import Way, Workshop
from memsweep.study.run import Run

def resident(what):
    return 1024 * next(int(line.split()[1]) for line in Path("/proc/self/status").open() if line.startswith(what))

torch.set_num_threads(1)
settings = json.loads(sys.argv[2])
run = Run(**settings["runs"][0])
workshop = Workshop(settings, read_images(Path(sys.argv[1])), Way(device="cpu"), torch.device("cpu"))
workshop.trainer(Run(**{**settings["runs"][0], "batch_size": 1})).advance(1)  # what a first step loads
before = resident("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
workshop.trainer(run).advance(2)
print(json.dumps([workshop.memory(run), resident("VmHWM") - before]))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="this system counts no peak from a point on")
def test_the_estimate_of_memory_is_near_what_a_step_takes(digits: Path) -> None:
    """By how much the process grows at its peak."""
    settings = mixed_settings()
    axes = {"train_size": 1024, "base_channels": 32, "batch_size": 512}
    settings["runs"] = [{**settings["runs"][0], **axes}]
    command = [sys.executable, "-c", PEAK, str(digits), json.dumps(settings)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    estimated, measured = json.loads(result.stdout)
    assert measured > 1e8
    assert 0.5 < estimated / measured < 1.5, (estimated, measured)


def test_the_log_says_what_evaluations_took_and_what_is_on_disk(digits: Path, tmp_path: Path, capsys: Any) -> None:
    train(mixed_settings(), digits, tmp_path)
    said = capsys.readouterr().err
    assert "evaluations took" in said
    states = sum(path.stat().st_size for path in tmp_path.rglob("state.safetensors")) / 1e6
    assert f"on disk, of 4 runs: states {states:.3g} MB, evaluations" in said


def test_states_of_finished_runs_are_kept_or_not(digits: Path, tmp_path: Path) -> None:
    settings = pack_settings()
    kept = train(settings, digits, tmp_path / "kept")
    dropped = train(settings, digits, tmp_path / "dropped", keep_states=False, checkpoint_seconds=0)
    assert_same(kept, dropped)
    assert len(list((tmp_path / "kept").rglob("state.safetensors"))) == 3
    assert not list((tmp_path / "dropped").rglob("state.safetensors"))
    # A longer budget starts such runs at their beginning, and ends in the same numbers
    longer = {**settings, "runs": [{**run, "max_steps": 56} for run in settings["runs"]]}
    longer["training"] = {**settings["training"], "budget": {"steps": 56}}
    assert_same(train(longer, digits, tmp_path / "dropped"), train(longer, digits, tmp_path / "kept"))


def test_samples_are_drawn_at_some_evaluations_only(digits: Path, tmp_path: Path) -> None:
    settings = pack_settings()
    settings["runs"] = settings["runs"][:1]
    all_of_them = train(settings, digits, tmp_path / "all")
    settings["evaluation"] = {**settings["evaluation"], "sample_every": 2}
    some = train(settings, digits, tmp_path / "some")
    pd.testing.assert_frame_equal(some["losses"], all_of_them["losses"])
    steps = sorted(some["samples"]["step"].unique())
    assert steps == [3, 10, 32]
    expected = all_of_them["samples"].query("step in @steps").reset_index(drop=True)
    pd.testing.assert_frame_equal(some["samples"], expected)


def test_the_end_of_the_parent_is_a_request_to_stop() -> None:
    """That processes hear of it is tested above; here, that only they ask."""
    assert not StopRequest().received
    assert not StopRequest(with_parent=True).received  # this process was made by none of ours
    assert member.FINISHED == "finished"
