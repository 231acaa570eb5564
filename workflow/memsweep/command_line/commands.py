"""The commands for people: what is asked of a study's file, or of anybody's images, and is no stage of it."""

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


def verify(arguments: Arguments) -> None:
    from ..report.verify import verify

    verify(arguments.study)


def compare(arguments: Arguments) -> None:
    from ..report.comparison import compare, print_comparison

    print_comparison(compare(**{name: value for name, value in vars(arguments).items() if name != "command"}))


def _study(command: argparse.ArgumentParser) -> None:
    command.add_argument("study", type=Path, help="the study's YAML file")


def _study_and_rate(command: argparse.ArgumentParser) -> None:
    _study(command)
    tflops = "10^12 operations per second that the device sustains; by default, what the study says in requests"
    command.add_argument("--tflops", type=float, help=tflops)


def _images(command: argparse.ArgumentParser) -> None:
    command.add_argument("generated", metavar="GENERATED", help="images: a folder, a zip file, an .npz or .npy file")
    command.add_argument("train", metavar="TRAIN", help="the images that the model was trained on")
    held_out = "images drawn like these that it was not trained on; without them no false-positive rate is known"
    command.add_argument("held_out", metavar="HELD_OUT", nargs="?", help=held_out)
    command.add_argument("--space", default="pixels", help="pixels (the default), inception, sscd or dinov2")
    command.add_argument(
        "--output", type=Path, default=Path("comparison"), help="folder for what is found (comparison)"
    )
    command.add_argument("--size", type=int, help="resize the central square of each image to so many pixels")
    rate = "share of held-out images that the calibrated rule may call copies (0.01)"
    command.add_argument("--rate", type=float, default=0.01, help=rate)
    command.add_argument("--confidence", type=float, default=0.95, help="level of intervals (0.95)")
    command.add_argument("--weights", type=Path, help="file of the weights of the space's network, not to fetch them")


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
    "compare": Command(compare, "whether generated images copy the images of a training set", _images),
    "verify": Command(verify, "whether a study's results are whole and belong together", _study),
}
