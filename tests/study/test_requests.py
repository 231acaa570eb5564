"""A training job asks for what its runs need, more at each attempt, and no longer than is allowed."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
from typing import Any

import pytest
import yaml
from helpers.configs import ROOT, once
from memsweep.study.config import resolve
from memsweep.study.cost import study_cost, together
from memsweep.study.grid import runs
from memsweep.study.requests import Requests

FOLDER = ROOT / "config"


def requests(name: str = "cifar10", **changes: Any) -> tuple[Requests, dict[str, Any]]:
    config = resolve({**copy.deepcopy(yaml.safe_load((FOLDER / f"{name}.yaml").read_text())), "requests": changes})
    return Requests(config), config


def test_time_is_that_of_the_estimate_with_its_margin() -> None:
    ask, config = requests(tflops=40, margin=1.5, base_minutes=7, longest_minutes=10**6)
    everything = runs(config)
    estimated = together(study_cost(config, once(everything), (3, 32, 32), 10).values()).hours(40)
    assert ask.hours(everything) == pytest.approx(estimated)
    assert ask(everything).minutes == math.ceil(7 + 1.5 * 60 * estimated)


def test_memory_holds_the_largest_run_and_the_images() -> None:
    ask, config = requests(margin=1, base_mb=1)
    everything = runs(config)
    largest = max(everything, key=lambda run: (run.base_channels, run.batch_size))
    cost = study_cost(config, once([largest]), (3, 32, 32), 10)[str(largest.base_channels)]
    images = 60_000 * 3072
    assert ask([largest]).megabytes > (cost.memory_bytes + 5 * images) / 1e6
    assert ask(everything).megabytes >= ask([largest]).megabytes


def test_runs_side_by_side_need_memory_each() -> None:
    ask, config = requests("config")
    job = runs(config)[:2]
    alone = ask(job)
    config["training"]["threads"] = 8
    assert Requests(config)(job).megabytes == pytest.approx(2 * alone.megabytes, rel=0.02)
    assert Requests(config)(job).minutes == alone.minutes


def test_each_attempt_asks_for_as_much_again_up_to_the_longest_time() -> None:
    ask, config = requests("config", longest_minutes=25)
    job = runs(config)[:2]
    first, second, third = (ask(job, attempt) for attempt in (1, 2, 3))
    assert second.megabytes == pytest.approx(2 * first.megabytes, abs=1)
    assert third.megabytes == pytest.approx(3 * first.megabytes, abs=2)
    assert first.minutes < second.minutes < third.minutes == 25


def test_the_workflow_asks_without_torch_or_pandas() -> None:
    code = (
        "import sys, yaml; from memsweep.study.kinds import open_study; "
        f"study = open_study(yaml.safe_load(open({str(FOLDER / 'cifar10.yaml')!r}))); "
        "[study.request(job, 1) for job in study.jobs]; "
        "assert not {'torch', 'pandas', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
