"""The time that is left of runs, told from a clock that is turned by hand, and the file that tells of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.packs import pack_settings
from hypothesis import given
from hypothesis import strategies as st
from memsweep.base.durations import duration
from memsweep.base.files import read_json
from memsweep.jobs.pace import Pace
from memsweep.jobs.packs import train_pack
from memsweep.jobs.workshop import Way
from memsweep.study.schedule import evaluation_steps


class Clock:
    """A clock that stands until it is turned."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


STEPS = evaluation_steps({"steps": 100_000}, {"first": 1, "per_decade": 8}, 128, 16)


@pytest.mark.parametrize(("step", "evaluation"), [(0.01, 1.0), (0.1, 0.01), (0.001, 20.0)])
def test_an_early_estimate_is_right_though_most_evaluations_come_early(step: float, evaluation: float) -> None:
    clock = Clock()
    pace = Pace(100_000 * 16, {True: len(STEPS)}, clock)
    clock.now += 7  # until kernels are loaded
    pace.skip(16)
    done = 1
    for target in STEPS:
        while done < target:
            clock.now += step
            pace.trained(1, 16)
            done += 1
        clock.now += evaluation
        pace.was_evaluated(True)
        if done >= 100:
            break
    truth = (100_000 - done) * step + sum(target > done for target in STEPS) * evaluation
    assert pace.images_per_second == pytest.approx(16 / step)
    assert pace.seconds_left == pytest.approx(truth)
    if (step, evaluation) == (0.01, 1.0):  # what it would be if evaluations were steps
        assert (100_000 - done) * (clock.now - 100) / done > 10 * truth


def test_before_a_step_was_timed_nothing_is_said() -> None:
    pace = Pace(1000, {True: 5, False: 5}, Clock())
    assert pace.images_per_second is None
    assert pace.seconds_left is None


def test_evaluations_with_images_are_not_those_without() -> None:
    clock = Clock()
    pace = Pace(64, {True: 2, False: 10}, clock)
    clock.now += 1
    pace.trained(1, 32)
    clock.now += 5
    pace.was_evaluated(True)
    assert pace.seconds_left == pytest.approx(1 + 5 + 10 * 5)  # of those that were not seen, as of the others
    clock.now += 0.5
    pace.was_evaluated(False)
    assert pace.seconds_left == pytest.approx(1 + 5 + 9 * 0.5)


def test_the_speed_follows_a_machine_that_others_use_too() -> None:
    clock = Clock()
    pace = Pace(10**9, {}, clock)
    for seconds in (0.1, 1.0):
        for _ in range(400):
            clock.now += seconds
            pace.trained(1, 10)
    assert pace.images_per_second == pytest.approx(10, rel=0.02)


def test_what_a_run_leaves_undone_is_no_part_of_what_is_left() -> None:
    clock = Clock()
    whole, run = Pace(200, {True: 4}, clock), Pace(100, {True: 2}, clock)
    clock.now += 1
    for pace in (whole, run):
        pace.trained(1, 10)
    whole.leave(run)
    assert whole.images == 100
    assert whole.seconds_left == pytest.approx(10)


@given(st.floats(min_value=0, max_value=1e9))
def test_durations_keep_two_digits(seconds: float) -> None:
    number, unit = duration(seconds).split(" ")
    told = float(number) * {"s": 1, "min": 60, "h": 3600, "days": 86400}[unit]
    assert told == pytest.approx(seconds, rel=0.06, abs=0.06)


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.04, "0 s"), (8, "8 s"), (89, "89 s"), (150, "2.5 min"), (7200, "2 h"), (864000, "10 days")]
)
def test_durations_are_in_the_unit_that_suits_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_run_says_beside_its_checkpoint_how_far_it_is(digits: Path, tmp_path: Path) -> None:
    settings = pack_settings()
    train_pack(settings, digits, tmp_path / "checkpoints", tmp_path / "tables", Way(device="cpu"))
    for run in settings["runs"]:
        told = read_json(tmp_path / "checkpoints" / run["run_id"] / "progress.json")
        assert (told["run_id"], told["step"], told["running"]) == (run["run_id"], 32, False)
        assert told["seconds_left"] == 0
        assert told["trained"]["steps"] == 31, "all but the first"
        assert told["trained"]["seconds"] > 0
        assert told["images_per_second"] > 0
        evaluations = len(list((tmp_path / "checkpoints" / run["run_id"]).glob("evaluation-*")))
        assert told["evaluated"]["count"] == evaluations > 2
        assert told["evaluated"]["seconds"] > 0


def test_what_a_run_says_decides_nothing(digits: Path, tmp_path: Path) -> None:
    settings, place = pack_settings(), tmp_path / "checkpoints"
    train_pack(settings, digits, place, tmp_path / "tables", Way(device="cpu"))
    before = (tmp_path / "tables" / "losses.parquet").read_bytes()
    (place / "first" / "progress.json").unlink()
    (place / "second" / "progress.json").write_text("{")
    (place / "third" / "evaluation-00000032.safetensors").unlink()
    train_pack(settings, digits, place, tmp_path / "tables", Way(device="cpu"))
    assert (tmp_path / "tables" / "losses.parquet").read_bytes() == before


def test_a_disk_that_takes_no_word_of_it_stops_no_training(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from memsweep.jobs import checkpoints

    write = checkpoints.write_json

    def full(path: Path, value: dict[str, object]) -> None:
        if path.name == "progress.json":
            raise OSError(28, "No space left on device")
        write(path, value)

    monkeypatch.setattr(checkpoints, "write_json", full)
    train_pack(pack_settings(), digits, tmp_path / "checkpoints", tmp_path / "tables", Way(device="cpu"))
    assert (tmp_path / "tables" / "runs.parquet").exists()
    assert not list((tmp_path / "checkpoints").rglob("progress.json"))
