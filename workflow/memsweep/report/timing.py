"""How fast this machine trains the runs of a study: some steps and an evaluation of each of its networks, timed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..base.devices import claimed_device, set_up_gpu
from ..data.images import ImageSet, Split
from ..jobs.workshop import Way, Workshop
from ..study.cost import FORWARD_PASSES_A_STEP, Costs
from ..study.run import Run
from ..study.schedule import evaluation_steps
from ..study.sweep import Sweep
from ..training.trainer import TrainingOptions
from .calibration import Calibration, Work

# Of an evaluation so many noisy images and samples are timed, as one of a large network takes minutes
FEW_IMAGES, FEW_SAMPLES = 64, 16
# Networks that are timed at most: of more, those of the fewest and the most operations and some between
MOST_NETWORKS = 6


@dataclass(frozen=True)
class Speed:
    """What was timed.

    Attributes:
        calibration: seconds of steps and evaluations.
        start: seconds until a job has loaded its libraries.
        device: where it was.
    """

    calibration: Calibration
    start: float
    device: str


def work_of(config: Mapping[str, Any], run: Run, costs: Costs) -> Work:
    """What a run takes, counted. ``config``: resolved."""
    own, cost = run.within(config), costs(run)
    schedule = own["training"]["budget"], own["evaluation"], run.train_size, run.batch_size
    evaluations = len(evaluation_steps(*schedule))
    step, evaluation = cost.training_flops / run.max_steps, cost.evaluation_flops / evaluations
    return Work(run.max_steps, evaluations, step, evaluation)


def time_study(study: Sweep, seconds: float, shape: tuple[int, int, int], classes: int) -> Speed:
    """Train and evaluate runs of a study on noise for some seconds: how fast that is, no image decides.

    Args:
        study: the sweep.
        seconds: for all networks together; a step and an evaluation are timed of each, however long they take.
        shape: (channels, height, width) of its images.
        classes: their labels.

    Raises:
        UserError: the device does not exist.
    """
    calibration = Calibration()
    chosen = _spread(study, Costs(study.config, shape, classes))
    torch.set_num_threads(1)  # as jobs do, which train runs side by side instead
    with claimed_device(study.config["training"]["device"], lambda said: print(said, file=sys.stderr)) as device:
        if device.type == "cuda":
            set_up_gpu(False, TrainingOptions.of(study.config["training"]).precision)
        for run in chosen:
            _time_run(study, run, seconds / len(chosen), shape, classes, device, calibration)
    return Speed(calibration, _seconds_to_start(), device.type)


def _spread(study: Sweep, costs: Costs) -> list[Run]:
    """A run of each cost of a step, from the least to the greatest; of many, some."""
    by_cost = {work_of(study.config, run, costs).step_flops: run for run in study.runs}
    ordered = [by_cost[flops] for flops in sorted(by_cost)]
    places = np.linspace(0, len(ordered) - 1, min(MOST_NETWORKS, len(ordered))).round().astype(int)
    return [ordered[place] for place in dict.fromkeys(places.tolist())]


def _time_run(
    study: Sweep,
    run: Run,
    seconds: float,
    shape: tuple[int, int, int],
    classes: int,
    device: torch.device,
    calibration: Calibration,
) -> None:
    few = {"images": FEW_IMAGES, "samples": FEW_SAMPLES}
    job = next(job for job, runs in study.packs.items() if run in runs)
    settings = {**json.loads(study.train(job)), "evaluation": few}
    way = Way(device=device.type, recompute=study.config["training"]["recompute"])
    workshop = Workshop(settings, _noise(run, shape, classes), way, device)
    trainer = workshop.trainer(run)
    stride = trainer.stride
    trainer.advance(stride)  # loads kernels
    _ = trainer.finite  # waits for the device
    started, steps = time.monotonic(), 0
    while not steps or time.monotonic() - started < seconds / 2:
        trainer.advance(stride)
        _ = trainer.finite
        steps += stride
    trained = time.monotonic() - started
    workshop.evaluate(trainer, True)  # loads kernels
    started, evaluations = time.monotonic(), 0
    while not evaluations or time.monotonic() - started < seconds / 4:
        workshop.evaluate(trainer, True)
        evaluations += 1
    evaluated = time.monotonic() - started
    counted = work_of(study.config, run, Costs(study.config, shape, classes))
    forward = counted.step_flops / (FORWARD_PASSES_A_STEP * run.batch_size)
    formulation = run.within(study.config)["formulation"]
    passes = 2 * FEW_IMAGES + FEW_SAMPLES * formulation["sampling_steps"] * (2 if formulation["guidance"] else 1)
    calibration.add(Work(steps, evaluations, counted.step_flops, forward * passes), trained, evaluated)


def _noise(run: Run, shape: tuple[int, int, int], classes: int) -> ImageSet:
    """As many images of noise as the run is trained on, and some held out."""
    source = np.random.default_rng(0)
    channels, height, width = shape

    def split(size: int) -> Split:
        images = source.integers(0, 256, (size, height, width, channels), dtype=np.uint8)
        return Split(images, np.arange(size) % classes)

    return ImageSet(split(run.training_set.stop), split(FEW_IMAGES), "noise", classes)


def _seconds_to_start() -> float:
    """Seconds in which a job loads its libraries, as each does before it begins."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", "import memsweep.jobs.packs"], check=True)
    return time.monotonic() - started


def seconds_of(works: Sequence[tuple[Work, int]], calibration: Calibration) -> float:
    """Seconds of all runs, one after the other; each kind of them with how many there are."""
    return sum(count * (calibration.seconds(work) or 0.0) for work, count in works)
