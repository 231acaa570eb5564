"""The command line: ``python -m memsweep <stage>``, one command per stage.

Files are arguments. What the stage needs of the configuration comes as JSON on standard
input, where no length limit cuts off the runs of a large pack.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import __version__
from .base.errors import UserError
from .base.interruption import Interrupted, StartAgain
from .base.stage_settings import read_settings

Settings = Mapping[str, Any]
Arguments = argparse.Namespace


# Each command imports its stage when it runs, so that none waits for another's libraries.


def prepare(settings: Settings, files: Arguments) -> None:
    from .base.records import read_records
    from .data.datasets import prepare
    from .study.retraining import guard_data

    data_hash = prepare(settings, files.output)
    if files.trained:
        records = read_records(path.parent for path in sorted(files.trained.rglob("trained.json")))
        guard_data(data_hash, records, files.retrain_at_most)


def surrogates(settings: Settings, files: Arguments) -> None:
    from .data.surrogates import write_surrogates

    write_surrogates(settings["surrogates"], files.images, files.output)


def baselines(settings: Settings, files: Arguments) -> None:
    from .analysis.baselines import write_baselines

    write_baselines(settings, files.images, files.surrogates, files.output)


def train(settings: Settings, files: Arguments) -> None:
    from .jobs.life import Way
    from .jobs.packs import train_pack
    from .metrics.novelty import share_of_copies

    way = Way(**{name: getattr(files, name) for name in Way.__dataclass_fields__})
    try:
        train_pack(settings, files.images, files.checkpoints, files.output, way, files.surrogates, share_of_copies)
    except StartAgain as again:
        _start_again(settings, again.together)


def _start_again(settings: Settings, together: int) -> None:
    """Go on in a new process that takes the place of this one, which cannot use the GPU any further."""
    print(f"goes on in a new process, {together} runs at a time", file=sys.stderr, flush=True)
    with tempfile.TemporaryFile("w+") as file:
        json.dump(settings, file)
        file.seek(0)
        os.dup2(file.fileno(), sys.stdin.fileno())
        os.execv(sys.executable, [sys.executable, "-m", "memsweep", *sys.argv[1:], "--together", str(together)])


def classifier(settings: Settings, files: Arguments) -> None:
    from .metrics.classifier import train_classifier

    train_classifier(files.images, files.output)


def features(settings: Settings, files: Arguments) -> None:
    from .metrics.features import write_features

    write_features(settings, files.images, files.classifier, files.cache, files.output)


def measure(settings: Settings, files: Arguments) -> None:
    from .metrics.measure import measure_pack

    measure_pack(settings, files.images, files.train, files.features, files.classifier, files.output)


def collect(settings: Settings, files: Arguments) -> None:
    from .analysis.collect import collect

    collect(settings, files.train, files.measured, files.output)


def analyse(settings: Settings, files: Arguments) -> None:
    from .analysis.analyse import analyse

    losses = [files.train / job / "losses.parquet" for job in settings["jobs"]]
    neighbours = [files.measured / job / "neighbours.parquet" for job in settings["jobs"]]
    analyse(settings, files.tables, losses, neighbours, files.output)


@contextmanager
def _device_of(files: Arguments) -> Iterator[Any]:
    """The device that a job of a single unit or network learns on."""
    import torch

    from .base.devices import claimed_device

    torch.set_num_threads(files.threads)
    with claimed_device(files.device, lambda message: print(message, file=sys.stderr)) as device:
        yield device


def learn_unit(settings: Settings, files: Arguments) -> None:
    from .theory.mixed_cumulant.unit import learn_unit

    with _device_of(files) as device:
        learn_unit(settings, files.output, device)


def unit_theory(settings: Settings, files: Arguments) -> None:
    from .theory.mixed_cumulant.expectations import unit_theory

    unit_theory(settings, files.output)


def unit_recovery(settings: Settings, files: Arguments) -> None:
    from .theory.mixed_cumulant.recovery import unit_recovery

    unit_recovery(settings, files.learnt, files.output)


def learn_network(settings: Settings, files: Arguments) -> None:
    from .theory.mixed_cumulant.network import learn_network

    with _device_of(files) as device:
        learn_network(settings, files.output, device)


def network_departure(settings: Settings, files: Arguments) -> None:
    from .theory.mixed_cumulant.network_departure import network_departure

    network_departure(settings, files.learnt, files.output)


def figure(settings: Settings, files: Arguments) -> None:
    from .figures.draw import draw_figure

    draw_figure(settings, dict(files.source), files.output)


def pages(settings: Settings, files: Arguments) -> None:
    from .report.pages import write_page

    for table in sorted(files.tables.glob("*.parquet")):
        write_page(table, files.output / f"{table.stem}.html")


def two_patch_dynamics(settings: Settings, files: Arguments) -> None:
    from .theory.feature_learning.alignment import follow

    follow(settings, files.output)


def two_patch_phase(settings: Settings, files: Arguments) -> None:
    from .theory.feature_learning.alignment import settle

    settle(settings, files.output)


def noisy_digits(settings: Settings, files: Arguments) -> None:
    from .theory.feature_learning.noisy_digits import train_noisy

    train_noisy(settings, files.images, files.output / "noisy_probes.parquet", files.output / "noisy_maps.parquet")


def planted_features(settings: Settings, files: Arguments) -> None:
    from .theory.feature_learning.planted_features import train_planted

    train_planted(settings, files.images, files.output)


def feature_analysis(settings: Settings, files: Arguments) -> None:
    from .theory.feature_learning.analysis import analyse_features

    analyse_features(settings, files.study, files.output)


def estimate(arguments: Arguments) -> None:
    from .report.estimate import print_estimate

    print_estimate(arguments.study, arguments.tflops)


def usage(arguments: Arguments) -> None:
    from .report.usage import print_usage

    print_usage(arguments.study)


# What is asked of a study's file, and is no stage of it
COMMANDS: dict[str, Callable[[Arguments], None]] = {"estimate": estimate, "usage": usage}

STAGES: dict[str, tuple[Callable[[Settings, Arguments], None], str, Sequence[str]]] = {
    "prepare": (prepare, "the dataset as an image table", ["output"]),
    "surrogates": (surrogates, "Gaussian surrogates of the dataset", ["images", "output"]),
    "baselines": (baselines, "losses that need no training", ["images", "surrogates", "output"]),
    "train": (train, "the runs of one pack", ["images", "checkpoints", "output"]),
    "classifier": (classifier, "the study's own classifier", ["images", "output"]),
    "features": (features, "features of every image in one space", ["images", "cache", "output"]),
    "measure": (measure, "metrics of one pack", ["images", "train", "features", "output"]),
    "collect": (collect, "the study's tables", ["train", "measured", "output"]),
    "analyse": (analyse, "onsets, scaling exponents and peaks", ["tables", "train", "measured", "output"]),
    "unit_theory": (unit_theory, "what theory says of the mixed cumulant model's units", ["output"]),
    "learn_unit": (learn_unit, "the replicas of a single unit in one dimension", ["output"]),
    "unit_recovery": (
        unit_recovery,
        "the overlaps, recovery times and exponents of single units",
        ["learnt", "output"],
    ),
    "learn_network": (learn_network, "the replicas of a network in one dimension", ["output"]),
    "network_departure": (
        network_departure,
        "the departures of networks from pair-wise statistics",
        ["learnt", "output"],
    ),
    "two_patch_dynamics": (two_patch_dynamics, "alignments of one objective, step by step", ["output"]),
    "two_patch_phase": (two_patch_phase, "alignments of one objective and training size, at the end", ["output"]),
    "noisy_digits": (noisy_digits, "probes and maps of networks trained on noisy digits", ["images", "output"]),
    "planted_features": (planted_features, "what features hold of one planted training set", ["images", "output"]),
    "feature_analysis": (feature_analysis, "the tables of a study of feature learning", ["study", "output"]),
    "figure": (figure, "one figure", []),
    "pages": (pages, "the study's tables as pages to read", ["tables", "output"]),
}


def named_path(text: str) -> tuple[str, Path]:
    """``runs=tables/runs.parquet`` as a name and a path."""
    name, separator, path = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"found {text!r}; accepted is TABLE=PATH")
    return name, Path(path)


def parse(arguments: Sequence[str] | None) -> Arguments:
    parser = argparse.ArgumentParser(
        prog="python -m memsweep",
        description="One stage of a memsweep study, or the estimate of its cost. "
        "A stage's settings are read from standard input, as JSON.",
    )
    parser.add_argument("--version", action="version", version=f"memsweep {__version__}")
    stages = parser.add_subparsers(dest="stage", required=True)
    purpose = "what a study will cost: operations, memory, disk and hours"
    cost = stages.add_parser("estimate", help=purpose, description=f"Says {purpose}.")
    cost.add_argument("study", type=Path, help="the study's YAML file")
    tflops = "10^12 operations per second that the device sustains; by default, what the study says in requests"
    cost.add_argument("--tflops", type=float, help=tflops)
    purpose = "what training jobs asked for, beside what they used"
    used = stages.add_parser("usage", help=purpose, description=f"Says {purpose}.")
    used.add_argument("study", type=Path, help="the study's YAML file")
    for name, (_, purpose, files) in STAGES.items():
        stage = stages.add_parser(name, help=purpose, description=f"Writes {purpose}.")
        for file in files:
            stage.add_argument(f"--{file}", type=Path, required=True)
        if name == "prepare":
            stage.add_argument("--trained", type=Path, help="folder of what was trained on the images")
            stage.add_argument("--retrain-at-most", type=int, default=0, help="of these runs; none by default")
        if name in ("features", "measure"):
            stage.add_argument("--classifier", type=Path, nargs="?", help="of the study, for its own space")
        if name == "train":
            stage.add_argument("--surrogates", type=Path, nargs="?")
            _add_way(stage)
        if name in ("learn_unit", "learn_network"):
            stage.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
            stage.add_argument("--threads", type=int, default=1)
        if name == "figure":
            stage.add_argument("--source", nargs="+", type=named_path, required=True, metavar="TABLE=PATH")
            stage.add_argument("--output", nargs="+", type=Path, required=True)
    return parser.parse_args(arguments)


def _add_way(stage: argparse.ArgumentParser) -> None:
    """How to train, which changes no number, and so is no setting."""
    stage.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    stage.add_argument("--threads", type=int, default=1, help="CPU cores")
    stage.add_argument("--together", type=int, default=16, help="runs side by side on a GPU, at most")
    stage.add_argument("--checkpoint-seconds", type=float, default=60)
    stage.add_argument(
        "--drop-states", dest="keep_states", action="store_false", help="delete the training states of finished runs"
    )
    stage.add_argument(
        "--recompute", action="store_true", help="compute activations again in the backward pass, to save memory"
    )
    stage.add_argument(
        "--deterministic", action="store_true", help="use only GPU kernels that give the same bits every time"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one stage; returns the exit status."""
    # Else Python, as it ends, looks through all that libraries hold for garbage: a third of the time of a short job
    atexit.register(gc.freeze)
    files = parse(arguments)
    try:
        if files.stage in COMMANDS:
            COMMANDS[files.stage](files)
        else:
            STAGES[files.stage][0](read_settings(), files)
    except Interrupted:
        print(f"memsweep {files.stage}: stopped on request; run it again to continue from here", file=sys.stderr)
        return 128 + signal.SIGTERM
    except UserError as error:
        print(f"memsweep {files.stage}: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # a full disk, a folder that may not be written
        print(f"memsweep {files.stage}: {error.strerror or error}: {error.filename or ''}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
