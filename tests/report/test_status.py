"""How far a study is, from folders in every state that they can be in."""

from __future__ import annotations

import copy
import json
import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.projects import FEATURE_LEARNING, MIXED_CUMULANT, PACKS_OF_TWO
from memsweep.base.errors import UserError
from memsweep.base.files import read_json, write_json
from memsweep.data.datasets import prepare
from memsweep.jobs.packs import train_pack
from memsweep.jobs.workshop import Way
from memsweep.report.calibration import Calibration, Work, line
from memsweep.report.job_logs import failed, failure, has_ended
from memsweep.report.run_states import DIVERGED, DONE, FAILED, RUNNING, WAITING, RunState, run_states
from memsweep.report.status import print_status, status
from memsweep.study.kinds import open_study
from scipy.optimize import minimize


@pytest.fixture
def study() -> Any:
    return open_study(copy.deepcopy(PACKS_OF_TWO))


@pytest.fixture
def place(study: Any, tmp_path: Path) -> Path:
    """The results of the study of which the first of two packs has been trained."""
    folder = tmp_path / "results" / "tiny"
    images = folder / "data" / "images.parquet"
    prepare(json.loads(study.prepare()), images)
    job = study.jobs[0]
    train_pack(json.loads(study.train(job)), images, folder / "checkpoints", folder / "train" / job, Way(device="cpu"))
    return folder


def states(study: Any, place: Path) -> list[RunState]:
    return run_states(study, place)


def log_of(place: Path, job: str, text: str) -> Path:
    log = place / "logs" / "train" / f"{job}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(text)
    return log


def begin(study: Any, place: Path, **said: Any) -> str:
    """The checkpoint of a run of the second pack that has begun; ``said``: of its progress."""
    done, other = study.packs[study.jobs[0]][0].run_id, study.packs[study.jobs[1]][0].run_id
    record = read_json(place / "checkpoints" / done / "run.json")
    write_json(place / "checkpoints" / other / "run.json", {**record, "run_id": other})
    progress = read_json(place / "checkpoints" / done / "progress.json")
    told = {"run_id": other, "step": 7, "running": True, "seconds_left": 30.0, **said}
    write_json(place / "checkpoints" / other / "progress.json", {**progress, **told})
    return other


def test_runs_are_done_or_wait(study: Any, place: Path) -> None:
    found = states(study, place)
    assert [each.state for each in found] == [DONE, DONE, WAITING, WAITING]
    last = max(study.packs[study.jobs[0]][0].max_steps, 0)
    assert [each.step for each in found] == [last, last, 0, 0]
    import pandas as pd

    losses = pd.read_parquet(place / "train" / study.jobs[0] / "losses.parquet")
    mean = losses[(losses["split"] == "train") & (losses["step"] == last)].groupby("run_id")["loss"].mean()
    assert [each.loss for each in found[:2]] == pytest.approx([mean[each.run.run_id] for each in found[:2]])
    assert found[2].loss is None
    assert all(each.seconds_left is None for each in found[:2])
    assert all(0 < (each.seconds_left or 0) < 60 for each in found[2:]), "from what the others took"


def test_a_run_is_running_while_its_process_lives(study: Any, place: Path) -> None:
    begin(study, place, process=os.getpid(), host=socket.gethostname(), images_per_second=5.0)
    run = states(study, place)[2]
    assert (run.state, run.step, run.seconds_left, run.images_per_second) == (RUNNING, 7, 30.0, 5.0)


@pytest.mark.parametrize("age", [0, 7200])
def test_of_another_machine_a_run_is_running_while_it_speaks(study: Any, place: Path, age: int) -> None:
    other = begin(study, place, host="elsewhere", process=1)
    path = place / "checkpoints" / other / "progress.json"
    os.utime(path, (path.stat().st_mtime - age,) * 2)
    assert states(study, place)[2].state == (FAILED if age else RUNNING)


def test_a_run_whose_process_was_killed_has_failed_and_its_log_is_named(study: Any, place: Path) -> None:
    begin(study, place, process=2**22 + 1, host=socket.gethostname())
    run = states(study, place)[2]
    assert (run.state, run.step) == (FAILED, 7)
    assert "its process is gone" in run.said
    assert run.log == place / "logs" / "train" / f"{study.jobs[1]}.log"


def test_of_a_job_that_failed_the_run_that_did_is_told(study: Any, place: Path) -> None:
    first, second = (run.run_id for run in study.packs[study.jobs[1]])
    said = f"{second} (learning_rate=0.001 seed=1): No space left on device"
    log = log_of(place, study.jobs[1], f"training 2 of 2 runs\n{said}; the others go on\nmemsweep train: {said}\n")
    found = {each.run.run_id: each for each in states(study, place)}
    assert (found[second].state, found[second].said, found[second].log) == (FAILED, said, log)
    assert found[first].state == WAITING


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("memsweep train: data/images.parquet: damaged\n", FAILED),
        ("Traceback (most recent call last):\n  File ...\nRuntimeError: no\n", FAILED),
        ("memsweep train: stopped on request; run it again to continue from here\n", WAITING),
        ("memsweep train: the time is up, and all is saved; run it again\n", WAITING),
        ("training 2 of 2 runs on cpu, 1 at a time\n", WAITING),
        ("", WAITING),
    ],
)
def test_of_a_job_that_failed_all_runs_have_that_are_not_done(study: Any, place: Path, text: str, state: str) -> None:
    log_of(place, study.jobs[1], text)
    assert [each.state for each in states(study, place)] == [DONE, DONE, state, state]


def test_a_run_has_diverged(study: Any, place: Path) -> None:
    other = begin(study, place, running=False)
    path = place / "checkpoints" / other / "run.json"
    write_json(path, {**read_json(path), "diverged_at": 9})
    run = states(study, place)[2]
    assert (run.state, run.step, run.seconds_left) == (DIVERGED, 9, None)


def test_what_another_training_code_left_counts_for_nothing(
    study: Any, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memsweep.report.run_states.TRAINING_VERSION", "another")
    found = states(study, place)
    assert [(each.state, each.step, each.loss) for each in found] == [(WAITING, 0, None)] * 4


def test_a_longer_budget_makes_finished_runs_wait_at_their_step(place: Path) -> None:
    longer = copy.deepcopy(PACKS_OF_TWO)
    longer["training"]["budget"]["steps"] = 100
    found = run_states(open_study(longer), place)
    # Their tables are there, but not of all evaluations
    assert [each.state for each in found] == [WAITING] * 4
    assert [each.step for each in found][:2] != [0, 0]


@pytest.mark.parametrize("name", ["progress.json", "run.json", "evaluation-00000022.safetensors"])
def test_a_damaged_file_stops_no_look(study: Any, place: Path, name: str) -> None:
    path = place / "checkpoints" / study.packs[study.jobs[0]][0].run_id / name
    path.write_text("{")
    (place / "train" / study.jobs[0] / "runs.parquet").write_bytes(b"PAR1")
    assert len(states(study, place)) == 4


def test_text_is_aligned_and_says_the_sum(study: Any, place: Path, tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(PACKS_OF_TWO))
    print_status(file, results=tmp_path / "results")
    printed = capsys.readouterr().out.splitlines()
    starts = [match.start() for match in re.finditer(r"\S+( \S+)*", printed[0])]
    assert printed[0].split("  ")[0].strip() == "run"
    for row in printed[1:5]:
        assert all(row[at - 1] == " " for at in starts[1:] if at < len(row)), "columns begin where their heading does"
    assert re.fullmatch(r"4 runs: 2 done, 2 waiting; training takes another [\d.]+ (s|min), 1 at a time", printed[5])
    assert "0 of 2 packs are measured" in printed
    assert re.fullmatch(r"0 of \d+ figures are drawn", printed[-1])


def test_watching_ends_with_the_study(place: Path, tmp_path: Path, capsys: Any) -> None:
    smaller = copy.deepcopy(PACKS_OF_TWO)
    smaller["grid"]["products"][0]["train_size"] = [8]
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(smaller))
    print_status(file, watch=0.5, results=tmp_path / "results")
    assert "2 runs: 2 done" in capsys.readouterr().out


@pytest.mark.parametrize("seconds", [0.0, -1.0, 0.1, 1e9, float("nan")])
def test_watching_takes_a_time(seconds: float, tmp_path: Path) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(PACKS_OF_TWO))
    with pytest.raises(UserError, match="--watch: found"):
        print_status(file, watch=seconds, results=tmp_path)


def test_nothing_was_begun(study: Any, tmp_path: Path) -> None:
    found = status(study, tmp_path / "results")
    assert [row[found.headings.index("state")] for row in found.rows] == [WAITING] * 4
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("config", [MIXED_CUMULANT, FEATURE_LEARNING], ids=["mixed_cumulant", "feature_learning"])
def test_studies_of_theory_are_told_job_by_job(config: dict[str, Any], tmp_path: Path) -> None:
    study = open_study(copy.deepcopy(config))
    folder = tmp_path / "results" / "tiny"
    first, second, *_ = study.job_files
    for name in study.job_files[first]:
        (folder / first).mkdir(parents=True, exist_ok=True)
        (folder / first / f"{name}.parquet").touch()
    log = folder / "logs" / f"{second}.log"
    log.parent.mkdir(parents=True)
    log.write_text("memsweep learn_unit: no device 'cuda' here\n")
    found = status(study, tmp_path / "results")
    rows = {row[0]: row[1:] for row in found.rows}
    assert rows[first][0] == DONE
    assert rows[second] == [FAILED, "no device 'cuda' here", str(log)]
    others = [row[0] for job, row in rows.items() if job not in (first, second)]
    assert others == [WAITING] * (len(study.job_files) - 2)
    assert not found.over


def test_logs_of_other_stages_that_failed_are_named(study: Any, place: Path, tmp_path: Path) -> None:
    log = place / "logs" / "collect.log"
    log.parent.mkdir(parents=True)
    log.write_text("memsweep collect: No space left on device\nand more\n")
    assert f"{log}: No space left on device\nand more" in status(study, tmp_path / "results").lines
    assert failed(place / "logs") == {log: "No space left on device\nand more"}
    assert has_ended(log)
    assert failure(tmp_path / "none.log") == ""


def test_a_line_through_times_is_that_of_an_optimiser() -> None:
    calibration = Calibration()
    for flops, seconds in ((1e6, 0.011), (4e6, 0.014), (1.6e7, 0.029)):
        calibration.add(Work(100, 0, flops, 0), 100 * seconds, 0)
    constant, rate = line(calibration.steps)

    def misfit(x: Any) -> float:
        return sum(t.total * ((x[0] + x[1] * t.flops / 1e6) / t.seconds - 1) ** 2 for t in calibration.steps)

    best = minimize(misfit, [0.01, 0.001], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-14}).x
    assert [constant, rate * 1e6] == pytest.approx(list(best), rel=1e-4)
    assert calibration.seconds(Work(10, 0, 2e6, 0)) == pytest.approx(10 * (constant + rate * 2e6))
    assert calibration.seconds(Work(10, 1, 2e6, 1e6)) is None, "no evaluation was timed"


def test_of_one_size_only_time_goes_with_operations() -> None:
    calibration = Calibration()
    calibration.add(Work(10, 2, 1e6, 1e7), 1.0, 4.0)
    assert calibration.seconds(Work(5, 3, 2e6, 1e7)) == pytest.approx(5 * 0.2 + 3 * 2.0)
