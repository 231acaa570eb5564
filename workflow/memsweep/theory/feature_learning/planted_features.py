"""What features hold of a planted training set, learnt under either objective.

The networks of `planted_networks` are trained on framed images. A linear probe is fitted to their features on held-out
images for the easy feature, the hard feature and the class.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch

from ...data.images import ImageSet, Split, read_images
from ...diffusion.formulation import Formulation, build_formulation
from ...models.unet import UNet
from ...study.run import Run
from ...study.training_sets import TrainingSet
from ...tables.parquet import write_table
from ...training.trainer import build_network
from .planted import Planted, plant
from .planted_networks import Trunk, features_of, train_classifier, train_denoiser
from .probes import probe

OBJECTIVES = ("untrained", "classification", "diffusion")
TASKS = ("easy", "hard", "class")


def train_planted(settings: Mapping[str, Any], images: Path, output: Path) -> None:
    """Train both objectives on one training set and probe their features; writes ``probe_outcomes``.

    Args:
        settings: ``train_size``, ``agreement`` and ``seeds``, how many; ``base_channels``,
            ``batch_size``, ``learning_rate``, ``steps``, ``ema_decay`` and ``time``; ``network`` as in a
            sweep; ``formulation``, its name.
        images: the prepared image table. The held-out images in their order are split in two:
            the probes are fitted to the first half and tested on the second.
        output: the table.
    """
    torch.set_num_threads(1)
    data = read_images(images)
    data.check_training_sets([TrainingSet(settings["train_size"])])
    held_out = plant(data.test, data.classes, 0.5, 0, "held out")
    rows = []
    for seed in range(settings["seeds"]):
        train = plant(_first(data.train, settings["train_size"]), data.classes, settings["agreement"], seed, "train")
        for objective in OBJECTIVES:
            begun = time.monotonic()
            trunk, noise_level = _trained(objective, train, seed, settings)
            features = features_of(trunk, held_out, noise_level, _formulation(settings))
            rows += _outcomes(features, held_out, {"objective": objective, "seed": seed})
            print(f"{objective}, seed {seed}: {time.monotonic() - begun:.1f} s", file=sys.stderr)
    table = pd.concat(rows, ignore_index=True)
    table = table.assign(train_size=settings["train_size"], agreement=float(settings["agreement"]))
    write_table(output, "probe_outcomes", table)


def _first(split: Split, count: int) -> Split:
    return Split(split.images[:count], split.labels[:count])


def _trained(objective: str, train: Planted, seed: int, settings: Mapping[str, Any]) -> tuple[Trunk, float]:
    """The trunk of one objective, and the noise level that its images have."""
    # One label: the denoiser never learns of classes
    framed = ImageSet(Split(train.images, np.zeros_like(train.label)), Split(train.images, train.label), "", 1)
    run = Run(
        run_id="planted",
        train_size=len(train),
        base_channels=settings["base_channels"],
        batch_size=settings["batch_size"],
        learning_rate=settings["learning_rate"],
        seed=seed,
        max_steps=settings["steps"],
    )
    formulation = _formulation(settings)
    if objective == "diffusion":
        return Trunk(train_denoiser(framed, run, settings, formulation)), settings["time"]
    network = cast(UNet, build_network(framed, run, settings["network"], formulation))
    trunk = Trunk(network.eval())
    if objective == "classification":
        train_classifier(trunk, train, run)
    return trunk, 0.0


def _formulation(settings: Mapping[str, Any]) -> Formulation:
    process = {"name": settings["formulation"], "sampling_steps": 1}
    return build_formulation({**process, "label_dropout": 0.0, "guidance": 0.0}, classes=1)


def _outcomes(features: np.ndarray, images: Planted, columns: Mapping[str, Any]) -> list[pd.DataFrame]:
    half = len(images) // 2
    answers = {"easy": images.easy, "hard": images.hard, "class": images.label}
    tables = []
    for task in TASKS:
        labels = answers[task]
        correct = probe(features[:half], labels[:half], features[half:], labels[half:])
        tested = {"item": np.arange(half, len(labels)), "correct": correct}
        chance = np.unique(labels[half:], return_counts=True)[1].max() / len(correct)
        tables.append(pd.DataFrame({**columns, "task": task, "chance": float(chance), **tested}))
    return tables
