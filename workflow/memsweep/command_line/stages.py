"""The stages of the workflow, each as a command that Snakemake calls.

Files are arguments. What a stage needs of the configuration comes as JSON on standard input, where no length limit
cuts off the runs of a large pack.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.interruption import StartAgain

Settings = Mapping[str, Any]
Arguments = argparse.Namespace


# Each imports its stage when it runs, so that none waits for another's libraries.


def prepare(settings: Settings, files: Arguments) -> None:
    from ..base.records import read_records
    from ..data.datasets import prepare
    from ..study.retraining import guard_data

    data_hash = prepare(settings, files.output)
    if files.trained:
        records = read_records(path.parent for path in sorted(files.trained.rglob("trained.json")))
        guard_data(data_hash, records, files.retrain_at_most)


def surrogates(settings: Settings, files: Arguments) -> None:
    from ..data.surrogates import write_surrogates

    write_surrogates(settings["surrogates"], files.images, files.output)


def baselines(settings: Settings, files: Arguments) -> None:
    from ..analysis.baselines import write_baselines

    write_baselines(settings, files.images, files.surrogates, files.output)


def empirical_samples(settings: Settings, files: Arguments) -> None:
    from ..closed_form.empirical_sampler import write_empirical_samples

    write_empirical_samples(settings, files.images, files.output)


def network(settings: Settings, files: Arguments) -> None:
    from ..models.measuring import measure
    from ..models.own import check
    from ..study.networks import located

    channels, height, width = settings["image_shape"]
    size = (channels, height, width), settings["labels"], settings["base_channels"]
    found = located(settings["network"], files.networks)
    check(*size, found, labelled=False)  # whether labels have to be heeded, the stage `train` knows
    print(json.dumps(measure(*size, found)))


def train(settings: Settings, files: Arguments) -> None:
    from ..jobs.packs import train_pack
    from ..jobs.workshop import Way
    from ..metrics.novelty import share_of_copies

    started = time.monotonic()
    way = Way(**{name: getattr(files, name) for name in Way.__dataclass_fields__})
    try:
        train_pack(settings, files.images, files.checkpoints, files.output, way, files.surrogates, share_of_copies)
    except StartAgain as again:
        options = ["--together", str(again.together)]
        if way.stop_after_minutes:
            left = way.stop_after_minutes - (time.monotonic() - started) / 60
            options += ["--stop-after-minutes", str(max(left, 1e-3))]
        _start_again(settings, again.together, options)


def _start_again(settings: Settings, together: int, options: Sequence[str]) -> None:
    """Go on in a new process that takes the place of this one, which cannot use the GPU any further."""
    print(f"goes on in a new process, {together} runs at a time", file=sys.stderr, flush=True)
    with tempfile.TemporaryFile("w+") as file:
        json.dump(settings, file)
        file.seek(0)
        os.dup2(file.fileno(), sys.stdin.fileno())
        os.execv(sys.executable, [sys.executable, "-m", "memsweep", *sys.argv[1:], *options])


def classifier(settings: Settings, files: Arguments) -> None:
    from ..metrics.classifier import train_classifier

    train_classifier(files.images, files.output)


def features(settings: Settings, files: Arguments) -> None:
    from ..metrics.features import write_features

    write_features(settings, files.images, files.classifier, files.cache, files.output)


def measure(settings: Settings, files: Arguments) -> None:
    from threadpoolctl import threadpool_limits

    from ..metrics.measure import measure_pack

    inputs = files.images, files.train, files.features, files.classifier
    with threadpool_limits(1, "blas"):
        measure_pack(settings, *inputs, files.output, files.threads, files.empirical)


def agree(settings: Settings, files: Arguments) -> None:
    from ..metrics.agree import agree_runs

    agree_runs(settings, files.images, files.train, files.features, files.classifier, files.output, files.empirical)


def metric_check(settings: Settings, files: Arguments) -> None:
    from ..metrics.metric_check import write_metric_check

    write_metric_check(settings, files.images, files.output)


def collect(settings: Settings, files: Arguments) -> None:
    from ..analysis.collect import collect

    collect(settings, files.train, files.measured, files.agreed, files.output)


def analyse(settings: Settings, files: Arguments) -> None:
    from ..analysis.analyse import analyse

    losses = {job: files.train / job / "losses.parquet" for job in settings["jobs"]}
    neighbours = {job: files.measured / job / "neighbours.parquet" for job in settings["jobs"]}
    analyse(settings, files.images, files.tables, losses, neighbours, files.agreed, files.output)


def conclude(settings: Settings, files: Arguments) -> None:
    from ..analysis.conclude import conclude

    conclude(settings, files.tables, files.output)


def judge(settings: Settings, files: Arguments) -> None:
    from ..claims.judge import judge

    judge(settings, files.tables, files.output)


@contextmanager
def _device_of(files: Arguments) -> Iterator[Any]:
    """The device that a job of a single unit or network learns on."""
    import torch

    from ..base.devices import claimed_device

    torch.set_num_threads(files.threads)
    with claimed_device(files.device, lambda message: print(message, file=sys.stderr)) as device:
        yield device


def learn_unit(settings: Settings, files: Arguments) -> None:
    from ..theory.mixed_cumulant.unit import learn_unit

    with _device_of(files) as device:
        learn_unit(settings, files.output, device)


def unit_theory(settings: Settings, files: Arguments) -> None:
    from ..theory.mixed_cumulant.expectations import unit_theory

    unit_theory(settings, files.output)


def unit_recovery(settings: Settings, files: Arguments) -> None:
    from ..theory.mixed_cumulant.recovery import unit_recovery

    unit_recovery(settings, files.learnt, files.output)


def learn_network(settings: Settings, files: Arguments) -> None:
    from ..theory.mixed_cumulant.network import learn_network

    with _device_of(files) as device:
        learn_network(settings, files.output, device)


def network_departure(settings: Settings, files: Arguments) -> None:
    from ..theory.mixed_cumulant.network_departure import network_departure

    network_departure(settings, files.learnt, files.output)


def figure(settings: Settings, files: Arguments) -> None:
    from ..figures.draw import draw_figure

    draw_figure(settings, dict(files.source), files.output)


def pages(settings: Settings, files: Arguments) -> None:
    from ..report.pages import write_pages

    write_pages(settings["tables"], files.tables, files.output)


def summarise(settings: Settings, files: Arguments) -> None:
    from ..report.summary.page import write_summary

    write_summary(settings["config"], files.study, files.output, settings["tables"], settings["asked"])


def two_patch_dynamics(settings: Settings, files: Arguments) -> None:
    from ..theory.feature_learning.alignment import follow

    follow(settings, files.output)


def two_patch_phase(settings: Settings, files: Arguments) -> None:
    from ..theory.feature_learning.alignment import settle

    settle(settings, files.output)


def noisy_digits(settings: Settings, files: Arguments) -> None:
    from ..theory.feature_learning.noisy_digits import train_noisy

    train_noisy(settings, files.images, files.output / "noisy_probes.parquet", files.output / "noisy_maps.parquet")


def planted_features(settings: Settings, files: Arguments) -> None:
    from ..theory.feature_learning.planted_features import train_planted

    train_planted(settings, files.images, files.output)


def feature_analysis(settings: Settings, files: Arguments) -> None:
    from ..theory.feature_learning.analysis import analyse_features

    analyse_features(settings, files.study, files.output)


def _named_path(text: str) -> tuple[str, Path]:
    """``runs=tables/runs.parquet`` as a name and a path."""
    name, separator, path = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"found {text!r}; accepted is TABLE=PATH")
    return name, Path(path)


def _guard(stage: argparse.ArgumentParser) -> None:
    stage.add_argument("--trained", type=Path, help="folder of what was trained on the images")
    stage.add_argument("--retrain-at-most", type=int, default=0, help="of these runs; none by default")


def _own_space(stage: argparse.ArgumentParser) -> None:
    stage.add_argument("--classifier", type=Path, nargs="?", help="of the study, for its own space")


def _measuring(stage: argparse.ArgumentParser) -> None:
    _own_space(stage)
    stage.add_argument("--threads", type=int, default=1, help="CPU cores")
    _against_memories(stage)


def _against_memories(stage: argparse.ArgumentParser) -> None:
    stage.add_argument("--empirical", type=Path, nargs="*", default=[], help="what perfect memories generate")


def _agreeing(stage: argparse.ArgumentParser) -> None:
    _own_space(stage)
    stage.add_argument("--train", type=Path, nargs="+", required=True, help="folders of packs")
    _against_memories(stage)


def _device(stage: argparse.ArgumentParser) -> None:
    stage.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    stage.add_argument("--threads", type=int, default=1, help="CPU cores")


def _networks(stage: argparse.ArgumentParser) -> None:
    stage.add_argument("--networks", type=Path, nargs="*", default=[], help="files of networks of one's own")


def _way(stage: argparse.ArgumentParser) -> None:
    """How to train, which changes no number, and so is no setting."""
    stage.add_argument("--surrogates", type=Path, nargs="?")
    _device(stage)
    _networks(stage)
    stage.add_argument("--together", type=int, default=16, help="runs side by side on a GPU, at most")
    stage.add_argument("--checkpoint-seconds", type=float, default=60)
    stage.add_argument(
        "--stop-after-minutes", type=float, default=0, help="then save and end with exit status 99; 0 is never"
    )
    stage.add_argument(
        "--drop-states", dest="keep_states", action="store_false", help="delete the training states of finished runs"
    )
    stage.add_argument(
        "--keep-averages", action="store_true", help="keep the averaged weights of each step with samples"
    )
    stage.add_argument(
        "--recompute", action="store_true", help="compute activations again in the backward pass, to save memory"
    )
    stage.add_argument(
        "--deterministic", action="store_true", help="use only GPU kernels that give the same bits every time"
    )


def _tables_to_figures(stage: argparse.ArgumentParser) -> None:
    stage.add_argument("--source", nargs="+", type=_named_path, required=True, metavar="TABLE=PATH")
    stage.add_argument("--output", nargs="+", type=Path, required=True)


@dataclass(frozen=True)
class Stage:
    """A stage as a command.

    Attributes:
        run: what it does with its settings and arguments.
        purpose: what it writes, as a phrase.
        files: options that each name a file or folder, all of them required.
        options: adds what else it takes.
    """

    run: Callable[[Settings, Arguments], None]
    purpose: str
    files: Sequence[str]
    options: Callable[[argparse.ArgumentParser], None] | None = None


STAGES: dict[str, Stage] = {
    "prepare": Stage(prepare, "the dataset as an image table", ["output"], _guard),
    "surrogates": Stage(surrogates, "Gaussian surrogates of the dataset", ["images", "output"]),
    "baselines": Stage(baselines, "losses that need no training", ["images", "surrogates", "output"]),
    "empirical_samples": Stage(empirical_samples, "what perfect memories of one size generate", ["images", "output"]),
    "network": Stage(network, "what a network of one's own costs, measured", [], _networks),
    "train": Stage(train, "the runs of one pack", ["images", "checkpoints", "output"], _way),
    "classifier": Stage(classifier, "the study's own classifier", ["images", "output"]),
    "features": Stage(features, "features of every image in one space", ["images", "cache", "output"], _own_space),
    "measure": Stage(measure, "metrics of one pack", ["images", "train", "features", "output"], _measuring),
    "agree": Stage(agree, "how far runs agree", ["images", "features", "output"], _agreeing),
    "metric_check": Stage(metric_check, "what each metric reads of constructed generators", ["images", "output"]),
    "collect": Stage(collect, "the study's tables", ["train", "measured", "agreed", "output"]),
    "analyse": Stage(
        analyse,
        "onsets, exponents, ratios, peaks, and what is copied first",
        ["images", "tables", "train", "measured", "agreed", "output"],
    ),
    "conclude": Stage(conclude, "what all runs say together", ["tables", "output"]),
    "judge": Stage(judge, "the verdict on the claims of papers", ["tables", "output"]),
    "unit_theory": Stage(unit_theory, "what theory says of the mixed cumulant model's units", ["output"]),
    "learn_unit": Stage(learn_unit, "the replicas of a single unit in one dimension", ["output"], _device),
    "unit_recovery": Stage(
        unit_recovery,
        "the overlaps, recovery times and exponents of single units",
        ["learnt", "output"],
    ),
    "learn_network": Stage(learn_network, "the replicas of a network in one dimension", ["output"], _device),
    "network_departure": Stage(
        network_departure,
        "the departures of networks from pair-wise statistics",
        ["learnt", "output"],
    ),
    "two_patch_dynamics": Stage(two_patch_dynamics, "alignments of one objective, step by step", ["output"]),
    "two_patch_phase": Stage(two_patch_phase, "alignments of one objective and training size, at the end", ["output"]),
    "noisy_digits": Stage(noisy_digits, "probes and maps of networks trained on noisy digits", ["images", "output"]),
    "planted_features": Stage(planted_features, "what features hold of one planted training set", ["images", "output"]),
    "feature_analysis": Stage(feature_analysis, "the tables of a study of feature learning", ["study", "output"]),
    "figure": Stage(figure, "one figure", [], _tables_to_figures),
    "pages": Stage(pages, "the study's tables as pages to read", ["tables", "output"]),
    "summarise": Stage(summarise, "the page that gives the answer first", ["study", "output"]),
}
