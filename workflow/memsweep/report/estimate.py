"""The command ``estimate``: says what a study will cost before it starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..base.errors import UserError
from ..study.catalogue import describe
from ..study.config import read_yaml, resolve
from ..study.cost import Cost, bytes_label, study_cost, together
from ..study.grid import kinds_of_runs

# 10^12 operations per second: of some thousand a second, and of every computer there is
SLOWEST, FASTEST = 1e-9, 1e9


def print_estimate(file: Path, tflops: float | None = None) -> None:
    """Print the cost of a study, by network and in all.

    Args:
        file: the study's YAML file.
        tflops: 10^12 floating-point operations per second that the device sustains; by default the
            study's ``requests.tflops``.

    Raises:
        UserError: the file or the throughput is wrong.
    """
    if tflops is not None and not SLOWEST <= tflops <= FASTEST:
        raise UserError(f"--tflops: found {tflops:g}; accepted is a number from {SLOWEST:g} to {FASTEST:g}")
    config = resolve(read_yaml(file), [file])
    if config["kind"] != "sweep":
        raise UserError(f"{file}: found kind {config['kind']!r}; accepted is sweep, the one whose cost is known")
    if tflops is None:
        tflops = float(config["requests"]["tflops"])
    facts = describe(config["dataset"])
    shape = (facts.channels, facts.height, facts.width)
    runs = kinds_of_runs(config)
    costs = study_cost(config, runs, shape, facts.classes)
    whole = together(costs.values())

    def thinner(every: int) -> Cost:
        thinned = {**config, "evaluation": {**config["evaluation"], "sample_every": every}}
        return together(study_cost(thinned, runs, shape, facts.classes).values())

    table = Table(title=f"{config['study']}: estimated cost at {tflops:g} TFLOP/s", title_justify="left")
    headings = ("network", "runs", "parameters", "training", "evaluation", "memory of a run", "on disk", "hours")
    for heading in headings:
        table.add_column(heading, justify="right")
    for network, cost in sorted(costs.items(), key=lambda item: item[1].parameters):
        table.add_row(network, *_cells(cost, tflops))
    table.add_section()
    table.add_row("all", *_cells(whole, tflops))
    console = Console(width=120)
    console.print(table)
    console.print(_share_of_evaluations(config, whole, thinner), highlight=False)
    console.print(
        "Training and evaluation are floating-point operations. Memory is that of the largest run in float32, "
        "without the device's own overhead; disk is checkpoints, samples before compression and losses. "
        "Hours are those of one device that sustains the given rate all the time. What measuring the samples "
        "takes is not among them; published networks look at every sample once in each of their spaces.",
        highlight=False,
    )


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
        f"{cost.hours(tflops):.3g}",
    ]
