"""The commands for people: what is asked of a study's file, and is no stage of it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Arguments = argparse.Namespace


# Each imports what it needs when it runs, so that an answer comes at once.


def estimate(arguments: Arguments) -> None:
    from ..report.estimate import print_estimate

    print_estimate(arguments.study, arguments.tflops)


def usage(arguments: Arguments) -> None:
    from ..report.usage import print_usage

    print_usage(arguments.study)


def _study(command: argparse.ArgumentParser) -> None:
    command.add_argument("study", type=Path, help="the study's YAML file")


def _study_and_rate(command: argparse.ArgumentParser) -> None:
    _study(command)
    tflops = "10^12 operations per second that the device sustains; by default, what the study says in requests"
    command.add_argument("--tflops", type=float, help=tflops)


@dataclass(frozen=True)
class Command:
    """A command for people.

    Attributes:
        run: what it does with its arguments.
        purpose: what it says, as a phrase.
        options: adds its arguments.
    """

    run: Callable[[Arguments], None]
    purpose: str
    options: Callable[[argparse.ArgumentParser], None]


COMMANDS: dict[str, Command] = {
    "estimate": Command(estimate, "what a study will cost: operations, memory, disk and hours", _study_and_rate),
    "usage": Command(usage, "what training jobs asked for, beside what they used", _study),
}
