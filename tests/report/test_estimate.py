"""An estimate that goes by what this machine took."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.projects import TINY
from memsweep.base.errors import UserError
from memsweep.report import estimate, timing
from memsweep.report.calibration import Calibration, Work
from memsweep.report.timing import Speed, seconds_of, time_study, work_of
from memsweep.study.cost import Costs
from memsweep.study.grid import kinds_of_runs
from memsweep.study.kinds import open_study

SHAPE, CLASSES = (1, 8, 8), 10


@pytest.fixture
def study(tmp_path: Path) -> Any:
    return open_study(copy.deepcopy(TINY))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return path


def test_every_network_is_timed_in_the_time_that_there_is(study: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "_seconds_to_start", lambda: 2.0)
    wider = copy.deepcopy(TINY)
    wider["grid"]["products"].append({"base_channels": [4, 8, 12]})
    opened = open_study(wider)
    speed = time_study(opened, 0.6, SHAPE, CLASSES)
    assert speed.device in ("cpu", "cuda")
    assert len(speed.calibration.steps) == len(speed.calibration.evaluations) == 3
    flops = [timed.flops for timed in speed.calibration.steps]
    assert flops == sorted(flops)
    assert all(timed.seconds > 0 for timed in [*speed.calibration.steps, *speed.calibration.evaluations])


def test_a_study_takes_what_its_parts_take() -> None:
    """A machine of 1 ms a step and 2 ns an operation, and of 3 ms an evaluation."""
    calibration = Calibration()
    opened = open_study(copy.deepcopy(TINY))
    for flops in (1e6, 5e6):
        calibration.add(Work(10, 10, flops, flops), 10 * (1e-3 + 2e-9 * flops), 10 * (3e-3 + 2e-9 * flops))
    costs = Costs(opened.config, SHAPE, CLASSES)
    works = [(work_of(opened.config, run, costs), count) for run, count in kinds_of_runs(opened.config)]
    by_hand = sum(
        run.max_steps * 1e-3 + 3e-3 * work_of(opened.config, run, costs).evaluations
        + 2e-9 * (costs(run).training_flops + costs(run).evaluation_flops)
        for run in opened.runs
    )  # fmt: skip
    assert seconds_of(works, calibration) == pytest.approx(by_hand, rel=1e-6)


def test_what_was_measured_is_said_and_goes_into_the_table(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calibration = Calibration()
    calibration.add(Work(10, 10, 1e6, 1e6), 10 * 0.5, 10 * 0.5)  # 2 MFLOP/s
    monkeypatch.setattr(timing, "time_study", lambda *asked: Speed(calibration, 3.0, "cpu"))
    estimate.print_estimate(file, measured=True)
    printed = " ".join(capsys.readouterr().out.split())
    assert "tiny: estimated cost at 2e-06 TFLOP/s" in printed
    said = re.search(r"Measured on cpu: training and evaluating takes (\S+ \S+) of one core", printed)
    assert said
    assert f"{said[1]} │" in printed, "as in the table's last column"
    assert re.search(r"the start of some \d+ jobs, 3 s each", printed)
    assert "requests: {tflops: 2e-06}" in printed


def test_a_rate_and_a_measurement_are_two_answers(file: Path) -> None:
    with pytest.raises(UserError, match="--tflops, --measure: found both"):
        estimate.print_estimate(file, 1.0, measured=True)


def test_too_few_samples_are_said_in_the_estimate(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    estimate.print_estimate(file)  # 8 samples
    assert "warning: onset.f_mem: 0.05 of 8 samples" in " ".join(capsys.readouterr().out.split())
