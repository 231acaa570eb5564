"""The methods of a study as a paper would have them, from its configuration: what was trained, measured, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ...figures.wording import MINUS, count_label
from ...study.axes import read_axes
from ...study.identity import training_parameters
from ...study.networks import network_settings
from ...study.onsets import ONSETS
from . import amounts, words
from .passages import Passage

_FORMULATIONS = {
    "rectified_flow": "rectified flow (Liu et al. 2022): the network predicts the velocity from image to noise",
    "ddpm": "denoising diffusion (Ho et al. 2020): the network predicts the noise, in 1000 steps",
}
_SAMPLERS = {"rectified_flow": "Euler's method", "ddpm": "DDIM"}
_NETWORKS = {"unet": "a U-Net", "dit": "a diffusion transformer (DiT)", "mlp": "a multilayer perceptron"}
_OPTIMISERS = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD"}
_DISTANCES = {
    "sliced_wasserstein": "sliced Wasserstein",
    "frechet": "Fréchet",
    "frechet_infinity": "Fréchet at infinitely many samples",
    "kid": "kernel",
}
_ORDERS = {
    "permuted": "in a fixed random order, classes taking turns",
    "stored": "in the order in which they are stored",
}


def methods(study: Any, tables: Mapping[str, pd.DataFrame]) -> list[Passage]:
    """Paragraphs on how a study was made, under headings; ``tables`` by name, those that there are."""
    return _of_sweep(study, tables) if study.kind == "sweep" else [Passage("Settings", _settings(study.config))]


def _of_sweep(study: Any, tables: Mapping[str, pd.DataFrame]) -> list[Passage]:
    config, runs = study.config, tables.get("runs")
    told = [
        Passage("Images", _images(config["dataset"], runs)),
        Passage("Runs", _grid(study, runs)),
        Passage("Network", _network(config["network"], runs)),
        Passage("What is learnt", _formulation(config["formulation"])),
        Passage("Training", _training(config["training"])),
        Passage("Evaluation", _evaluation(config)),
        Passage("Copies and distances", _measures(config["metrics"])),
        Passage("Onsets", _onsets(study)),
        Passage("Intervals", _intervals(config)),
    ]
    if study.compared:
        swept = amounts.listed(
            axis.title for axis in read_axes(study.told) if not axis.repeats and axis.column in study.axes
        )
        told.insert(
            2, Passage("What differs between runs", [f"Settings below are those of the base; {swept} are swept."])
        )
    return told


def _images(dataset: Mapping[str, Any], runs: pd.DataFrame | None) -> list[str]:
    size = f", {dataset['size']} by {dataset['size']} pixels" if "size" in dataset else ""
    told = [
        f"The images are those of {dataset['name']}{size}, {_ORDERS[dataset['order']]} (seed {dataset['seed']}); "
        f"{dataset['test_images']:,} are held out of training. A run of N images and subset s is trained on images s N "
        f"to (s + 1) N {MINUS} 1 of that order: subsets of one N are disjoint, and first subsets of growing N nested."
    ]
    hashes = sorted(set(runs["data_hash"])) if runs is not None else []
    return told + ([f"Content hash of the images: {', '.join(hashes)}."] if hashes else [])


def _grid(study: Any, runs: pd.DataFrame | None) -> list[str]:
    axes = read_axes(study.told)
    count = len(study.runs)
    if runs is None or runs.empty:
        return [f"{amounts.counted(count, 'run')} in {amounts.counted(len(study.packs), 'training job')}."]
    fixed: list[str] = []
    varied: list[str] = []
    for axis in axes:
        cells = {run[axis.coordinate]: words.cell(axis, run) for run in runs.to_dict("records")}
        written = list(dict(sorted(cells.items())).values() if axis.numeric else cells.values())
        (varied if len(written) > 1 else fixed).append(f"{_named(axis)} {amounts.listed(written)}")
    told = f"{amounts.counted(len(runs), 'run')} in {amounts.counted(len(study.packs), 'training job')}"
    over = f", over {'; '.join(varied)}" if varied else ""
    held = f" Held fixed: {'; '.join(fixed)}." if fixed else ""
    return [f"{told}{over}.{held} Not every combination need be there: the table of runs has those that are."]


def _named(axis: Any) -> str:
    letter = words.symbol(axis)
    return axis.title if letter == axis.title else f"{axis.title} {letter} ="


def _network(network: Mapping[str, Any], runs: pd.DataFrame | None) -> list[str]:
    kind = str(network["kind"])
    name = _NETWORKS.get(kind, f"one of the user's own, {kind.rpartition(':')[2]}")
    settings = {
        key: value for key, value in network_settings(network).items() if key not in ("kind", "content", "file")
    }
    details = f" ({'; '.join(f'{_key(key)} {_written(value)}' for key, value in settings.items())})" if settings else ""
    sizes = ""
    if runs is not None and len(runs):
        ends = dict.fromkeys(count_label(int(size)) for size in (runs["parameters"].min(), runs["parameters"].max()))
        sizes = f", of {' to '.join(ends)} parameters"
    return [f"The network is {name}{sizes}{details}."]


def _formulation(formulation: Mapping[str, Any]) -> list[str]:
    name = formulation["name"]
    told = f"{_FORMULATIONS[name][0].upper()}{_FORMULATIONS[name][1:]}."
    told += f" Samples are drawn in {formulation['sampling_steps']:,} steps of {_SAMPLERS[name]}."
    match formulation["label_dropout"]:
        case 0:
            told += " The network is told the class."
        case 1:
            told += " The network is told no class."
        case dropout:
            told += f" The network is told the class but for a share of {dropout:g} of the images"
            told += f"; guidance has weight {formulation['guidance']:g}." if formulation["guidance"] else "."
    return [told]


def _training(training: Mapping[str, Any]) -> list[str]:
    unit, length = next(iter(training["budget"].items()))
    told = (
        f"{_OPTIMISERS[training['optimizer']]} for {length:,g} {unit}, at a {training['schedule']} learning rate, in "
        f"{training['precision']}; evaluated and sampled from are weights averaged with decay "
        f"{training['ema_decay']:g}."
    )
    if training["stop_memorised"]:
        told += " A run ends early once it has memorised."
    # What is off leaves no trace among what decides a trajectory
    said = ("optimizer", "schedule", "precision", "ema_decay")
    others = {key: value for key, value in training_parameters(training).items() if key not in said}
    options = "; ".join(f"{_key(key)} {_written(value)}" for key, value in others.items())
    return [told, *([f"Further options: {options}."] if options else [])]


def _evaluation(config: Mapping[str, Any]) -> list[str]:
    evaluation = config["evaluation"]
    unit = next(iter(config["training"]["budget"]))
    told = (
        f"From {evaluation['first']:g} {unit} on, {evaluation['per_decade']} times per factor of ten, the loss is "
        f"taken on {evaluation['images']:,} noisy images of each split, the same at every step, and "
        f"{evaluation['samples']:,} images are generated from the same latents and labels."
    )
    if evaluation["surrogates"]:
        told += " The loss is also taken on draws from the Gaussians of all images and of each class."
    return [told]


def _measures(metrics: Mapping[str, Any]) -> list[str]:
    return [
        f"A sample is a copy when its distance d1 to the nearest training image, in pixels, is below "
        f"{metrics['f_mem_threshold']:.3g} of that to the second nearest, d2 (Gu et al. 2023); f_mem is the share of "
        "copies. The calibrated rule has the threshold on d1 / d2 at which "
        f"{amounts.share(metrics['false_positive_rate'])} of held-out images are called copies.",
        f"Distances ({amounts.listed(_DISTANCES[name] for name in metrics['distances'])}) are taken to the training "
        f"images and to the held-out ones in the space of {amounts.listed(metrics['spaces'])}; their floor is that of "
        f"{metrics['floor_draws']} draws of as many real images.",
    ]


def _onsets(study: Any) -> list[str]:
    onset = study.config["onset"]
    return [f"{words.definition(name, onset)}: {ONSETS[name].meaning}." for name in study.definitions]


def _intervals(config: Mapping[str, Any]) -> list[str]:
    return [
        f"Intervals are at a level of {100 * config['confidence']:g} %. Those of onsets are bootstrap intervals over "
        f"noisy images and samples ({config['onset']['bootstrap']} resamples); those of exponents and ratios are of a "
        "log-normal model of the onsets in which censored runs enter as such. Seeds of one N and subset share their "
        "training images: with a single subset, intervals hold for these images."
    ]


def _settings(config: Mapping[str, Any]) -> list[str]:
    """Every section of a configuration that is no list of experiments, in a line."""
    return [
        f"{_key(key).capitalize()}: {_written(value)}."
        for key, value in config.items()
        if key not in ("study", "figures")
    ]


def _key(key: str) -> str:
    return key.replace("_", " ")


def _written(value: Any) -> str:
    match value:
        case dict():
            return ", ".join(f"{_key(key)} {_written(part)}" for key, part in value.items()) or "none"
        case list() | tuple():
            return f"[{', '.join(_written(part) for part in value)}]" if value else "none"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case _:
            return str(value)
