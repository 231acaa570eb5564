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

    print_estimate(arguments.study, arguments.tflops, arguments.measure)


def usage(arguments: Arguments) -> None:
    from ..report.usage import print_usage

    print_usage(arguments.study)


def verify(arguments: Arguments) -> None:
    from ..report.verify import verify

    verify(arguments.study)


def predict(arguments: Arguments) -> None:
    from ..report.prediction import predict

    predict(arguments.study, arguments.set, arguments.risk, arguments.output)


def status(arguments: Arguments) -> None:
    from ..report.status import print_status

    print_status(arguments.study, arguments.watch)


def plan(arguments: Arguments) -> None:
    from ..report.plan import print_plan

    print_plan(arguments.study, arguments.config)


def summary(arguments: Arguments) -> None:
    from ..report.partial import print_partial

    print_partial(arguments.study)


def compare(arguments: Arguments) -> None:
    from ..report.comparison import compare
    from ..report.comparison_page import print_comparison

    options = {name: value for name, value in vars(arguments).items() if name != "command"}
    print_comparison(compare(**{**options, "onset": dict(arguments.onset)}))


def sample(arguments: Arguments) -> None:
    from ..results.command import sample

    sample(**{name: value for name, value in vars(arguments).items() if name != "command"})


def export(arguments: Arguments) -> None:
    from ..results.tensorboard import export

    export(arguments.study, arguments.tensorboard)


def _study(command: argparse.ArgumentParser) -> None:
    command.add_argument("study", type=Path, help="the study's YAML file")


def _study_and_watch(command: argparse.ArgumentParser) -> None:
    _study(command)
    seconds = "look again every so many seconds (5), until nothing is left to be done or Ctrl-C"
    command.add_argument("--watch", metavar="SECONDS", type=float, nargs="?", const=5.0, help=seconds)


def _study_and_changes(command: argparse.ArgumentParser) -> None:
    _study(command)
    changes = "what would be if the study said this, such as 'onset={f_mem: 0.2}'; written as Snakemake's --config is"
    command.add_argument("--config", metavar="KEY=VALUE", nargs="+", default=[], action="extend", help=changes)


def _study_and_part(command: argparse.ArgumentParser) -> None:
    _study(command)
    part = "of what is finished so far: tables and figures in results/<study>/partial; does not touch a running sweep"
    command.add_argument("--partial", action="store_true", required=True, help=part)


def _study_and_rate(command: argparse.ArgumentParser) -> None:
    _study(command)
    tflops = "10^12 operations per second that the device sustains; by default, what the study says in requests"
    command.add_argument("--tflops", type=float, help=tflops)
    measure = "train and evaluate the study's networks here for some ten seconds first, and go by what that took"
    command.add_argument("--measure", action="store_true", help=measure)


def _point(command: argparse.ArgumentParser) -> None:
    _study(command)
    axis = "an axis of the run, such as train_size=50000; may be repeated; others have the value of the base point"
    command.add_argument("--set", metavar="AXIS=VALUE", type=_pair, action="append", default=[], help=axis)
    risk = "of memorising before the step that training may last to (0.05)"
    command.add_argument("--risk", type=float, default=0.05, help=risk)
    command.add_argument("--output", type=Path, help="a figure of the extrapolation to draw, such as prediction.pdf")


def _images(command: argparse.ArgumentParser) -> None:
    generated = (
        "images: a folder, a zip file, an .npz or .npy file; or of a training a folder with one of these for each "
        "step, called step=1000, step=1000.npz and so on"
    )
    command.add_argument("generated", metavar="GENERATED", help=generated)
    command.add_argument("train", metavar="TRAIN", help="the images that the model was trained on")
    held_out = "images drawn like these that it was not trained on; without them no false-positive rate is known"
    command.add_argument("held_out", metavar="HELD_OUT", nargs="?", help=held_out)
    losses = "of a training, a CSV file with columns step, train_loss and test_loss, and perhaps their standard errors"
    command.add_argument("--losses", type=Path, help=f"{losses} train_loss_se and test_loss_se")
    onset = "of a training, a threshold other than a study's, such as f_mem=0.1; may be repeated"
    command.add_argument("--onset", metavar="KEY=VALUE", type=_pair, action="append", default=[], help=onset)
    command.add_argument("--space", default="pixels", help="pixels (the default), inception, sscd or dinov2")
    command.add_argument(
        "--output", type=Path, default=Path("comparison"), help="folder for what is found (comparison)"
    )
    command.add_argument("--size", type=int, help="resize the central square of each image to so many pixels")
    rate = "share of held-out images that the calibrated rule may call copies (0.01)"
    command.add_argument("--rate", type=float, default=0.01, help=rate)
    command.add_argument("--confidence", type=float, default=0.95, help="level of intervals (0.95)")
    command.add_argument("--weights", type=Path, help="file of the weights of the space's network, not to fetch them")


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"found {text!r}; accepted is a key and its value, such as f_mem=0.1")
    return key, value


def _results(command: argparse.ArgumentParser) -> None:
    command.add_argument("study", type=Path, help="the study's YAML file, or its folder of results")


def _sampling(command: argparse.ArgumentParser) -> None:
    _results(command)
    run = (
        "the run: values on axes, such as train_size=64 seed=1, those of the base point on all others; or the first "
        "digits of its id"
    )
    command.add_argument("--run", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help=run)
    command.add_argument("--step", type=int, help="of the weights; by default the last that were kept")
    command.add_argument("--number", type=int, help="of images (64, or as many as the study has latents)")
    command.add_argument("--labels", type=_whole_numbers, help="their classes, in turn, such as 0,1; by default all")
    seed = "of latents of their own; by default those that the study samples from"
    command.add_argument("--seed", type=int, help=seed)
    output = "a sheet of all images (.png), an array (.npz), or a new folder of pictures"
    command.add_argument("--output", type=Path, required=True, help=output)


def _exporting(command: argparse.ArgumentParser) -> None:
    _results(command)
    folder = "a new folder for what TensorBoard reads: losses, metrics and samples of every run"
    command.add_argument("--tensorboard", metavar="FOLDER", type=Path, required=True, help=folder)


def _whole_numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"found {text!r}; accepted are whole numbers, such as 0,1") from None


@dataclass(frozen=True)
class Command:
    """A command for people.

    Attributes:
        run: what it does with its arguments.
        purpose: what it says or writes, as a phrase.
        options: adds its arguments.
        verb: what it does with that.
    """

    run: Callable[[Arguments], None]
    purpose: str
    options: Callable[[argparse.ArgumentParser], None]
    verb: str = "Says"


COMMANDS: dict[str, Command] = {
    "status": Command(status, "how far a study is, run by run, also while it runs", _study_and_watch),
    "plan": Command(plan, "what snakemake would do with a study now, and why", _study_and_changes),
    "summary": Command(summary, "what runs that are finished say, while others go on", _study_and_part),
    "estimate": Command(estimate, "what a study will cost: operations, memory, disk and hours", _study_and_rate),
    "usage": Command(usage, "what training jobs asked for, beside what they used", _study),
    "predict": Command(predict, "when one more run would memorise, by the law of a study", _point),
    "compare": Command(compare, "whether images copy a training set, and since when", _images),
    "sample": Command(sample, "images that a run of a study generates", _sampling, "Writes"),
    "export": Command(export, "the runs of a study for other programs", _exporting, "Writes"),
    "verify": Command(verify, "whether a study's results are whole and belong together", _study),
}
