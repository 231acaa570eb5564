"""The command ``estimate``: says what a study will cost before it starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..base.durations import duration
from ..base.errors import UserError
from ..base.machine import available_cores
from ..study.catalogue import describe
from ..study.cost import Cost, Costs, bytes_label, study_cost, together
from ..study.grid import kinds_of_runs
from ..study.kinds import open_sweep

# 10^12 operations per second: of some thousand a second, and of every computer there is
SLOWEST, FASTEST = 1e-9, 1e9


def print_estimate(file: Path, tflops: float | None = None, measured: bool = False) -> None:
    """Print the cost of a study, by network and in all.

    Args:
        file: the study's YAML file.
        tflops: 10^12 floating-point operations per second that the device sustains; by default the
            study's ``requests.tflops``.
        measured: time this machine for some ten seconds first, and say what the study takes on it.

    Raises:
        UserError: the file or the throughput is wrong.
    """
    if tflops is not None and not SLOWEST <= tflops <= FASTEST:
        raise UserError(f"--tflops: found {tflops:g}; accepted is a number from {SLOWEST:g} to {FASTEST:g}")
    if measured and tflops is not None:
        raise UserError("--tflops, --measure: found both; accepted is one of them, as the one is what the other finds")
    study = open_sweep(file, "the one whose cost is known")
    config = study.config
    if tflops is None:
        tflops = float(config["requests"]["tflops"])
    facts = describe(config["dataset"])
    shape = (facts.channels, facts.height, facts.width)
    runs = kinds_of_runs(config)
    timed = _timed(study, shape, facts.classes) if measured else None
    if timed:
        tflops = timed.tflops
    costs = study_cost(config, runs, shape, facts.classes)
    whole = together(costs.values())

    def thinner(every: int) -> Cost:
        thinned = {**config, "evaluation": {**config["evaluation"], "sample_every": every}}
        return together(study_cost(thinned, runs, shape, facts.classes).values())

    table = Table(title=f"{config['study']}: estimated cost at {tflops:g} TFLOP/s", title_justify="left")
    headings = ("network", "runs", "parameters", "training", "evaluation", "memory of a run", "on disk", "time")
    for heading in headings:
        table.add_column(heading, justify="right")
    for network, cost in sorted(costs.items(), key=lambda item: item[1].parameters):
        table.add_row(network, *_cells(cost, tflops))
    table.add_section()
    table.add_row("all", *_cells(whole, tflops))
    console = Console(width=120)
    console.print(table)
    if timed:
        console.print(timed.sentence(len(study.job_files) + len(study.drawn)), highlight=False)
    for warning in study.warnings:
        console.print(f"warning: {warning}", highlight=False)
    console.print(_share_of_evaluations(config, whole, thinner), highlight=False)
    console.print(
        "Training and evaluation are floating-point operations. Memory is that of the largest run in float32, "
        "without the device's own overhead; disk is checkpoints, samples before compression and losses. "
        "Time is that of one device that sustains the given rate all the time. What measuring the samples "
        "takes is not among them; published networks look at every sample once in each of their spaces.",
        highlight=False,
    )


# Seconds for which the machine is timed, about
MEASURED_SECONDS = 10.0


@dataclass(frozen=True)
class _Timed:
    """What a study takes on this machine: its rate, and seconds of all runs and of the start of a job."""

    device: str
    cores: int
    tflops: float
    seconds: float
    start: float

    def sentence(self, jobs: int) -> str:
        """What was measured; ``jobs``: all that the workflow starts."""
        starts = jobs * self.start
        at_a_time = "" if self.device == "cuda" else f" of one core, of which this machine has {self.cores}"
        return (
            f"Measured on {self.device}: training and evaluating takes {duration(self.seconds)}{at_a_time}, that is "
            f"{self.tflops:.2g} TFLOP/s; and the start of some {jobs} jobs, {duration(self.start)} each, another "
            f"{duration(starts)}. For the requests of jobs on such machines, write requests: {{tflops: "
            f"{self.tflops:.2g}}} into the study."
        )


def _timed(study: Any, shape: tuple[int, int, int], classes: int) -> _Timed:
    """Time this machine. The rate is that at which the study's operations take the seconds that were found."""
    from .timing import seconds_of, time_study, work_of

    speed = time_study(study, MEASURED_SECONDS, shape, classes)
    costs = Costs(study.config, shape, classes)
    works = [(work_of(study.config, run, costs), count) for run, count in kinds_of_runs(study.config)]
    seconds = seconds_of(works, speed.calibration)
    flops = sum(
        count * (work.steps * work.step_flops + work.evaluations * work.evaluation_flops) for work, count in works
    )
    return _Timed(speed.device, available_cores(), flops / seconds / 1e12, seconds, speed.start)


# Evaluations with samples in a thinner schedule, of all, as an example of what that saves
THINNER = 4


def _share_of_evaluations(config: Mapping[str, Any], whole: Cost, thinner: Callable[[int], Cost]) -> str:
    """A sentence: which share of the operations the schedule of evaluations decides, and what a thinner one saves.

    Args:
        config: resolved configuration.
        whole: what the study costs.
        thinner: what it would cost with another ``sample_every``.
    """
    every = THINNER * config["evaluation"]["sample_every"]
    now, then = (
        cost.evaluation_flops / (cost.evaluation_flops + cost.training_flops) for cost in (whole, thinner(every))
    )
    return (
        f"Evaluations are {now:.0%} of all operations, as evaluation.per_decade, samples and sample_every "
        f"say; with evaluation.sample_every: {every} they are {then:.0%}."
    )


def _cells(cost: Cost, tflops: float) -> list[str]:
    return [
        str(cost.runs),
        f"{cost.parameters:,}",
        f"{cost.training_flops:.2g}",
        f"{cost.evaluation_flops:.2g}",
        bytes_label(cost.memory_bytes),
        bytes_label(cost.disk_bytes),
        duration(3600 * cost.hours(tflops)),
    ]
