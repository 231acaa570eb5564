"""The same network on the same images under two objectives, and what its features hold.

The U-Net of the sweep is trained to denoise framed images (`planted`), by the sweep's own
`training.Trainer` and without labels; and, its activations in the middle followed by one linear
layer, to classify them by the hard feature. Features are those activations. A linear probe is
fitted to them on held-out images for the easy feature, the hard feature and the class.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...data.images import ImageSet, Split, read_images, to_network
from ...data.randomness import BatchOrder, generator
from ...diffusion.formulation import Formulation, build_formulation
from ...models.unet import UNet
from ...study.run import Run
from ...tables.parquet import write_table
from ...training.trainer import Trainer, TrainingOptions, build_network
from .planted import Planted, plant
from .probes import probe

OBJECTIVES = ("untrained", "classification", "diffusion")
TASKS = ("easy", "hard", "class")
# Images a forward pass
_CHUNK = 256
# Features keep a grid of so many cells a side of the middle level
_GRID = 2


class Trunk(nn.Module):
    """A U-Net up to its middle: images (B, C, H, W) and times (B,) to features (B, features)."""

    def __init__(self, network: UNet) -> None:
        super().__init__()
        self.network = network
        self._middle: list[Tensor] = []
        network.middle_out.register_forward_hook(lambda _module, _inputs, output: self._middle.append(output))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        self.network(x, time, torch.zeros(len(x), dtype=torch.int64))
        return self.features()

    def features(self) -> Tensor:
        """Those of the images that the network saw last."""
        middle = self._middle.pop()
        return F.adaptive_avg_pool2d(middle, _GRID).flatten(1)


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
    network = build_network(framed, run, settings["network"], formulation)
    trunk = Trunk(network.eval())
    if objective == "classification":
        train_classifier(trunk, train, run)
    return trunk, 0.0


def _formulation(settings: Mapping[str, Any]) -> Formulation:
    process = {"name": settings["formulation"], "sampling_steps": 1}
    return build_formulation({**process, "label_dropout": 0.0, "guidance": 0.0}, classes=1)


def train_denoiser(data: ImageSet, run: Run, settings: Mapping[str, Any], formulation: Formulation) -> UNet:
    """The averaged network after all steps of the sweep's own training."""
    trainer = Trainer(data, run, settings["network"], formulation, TrainingOptions(settings["ema_decay"]))
    trainer.advance(run.max_steps)
    return trainer.average


def train_classifier(trunk: Trunk, train: Planted, run: Run) -> nn.Linear:
    """Train trunk and a linear layer on the hard feature, with the denoiser's batches and optimiser."""
    images, targets = to_network(train.images), torch.from_numpy(train.hard)
    order = BatchOrder(run.seed, run.train_size, run.batch_size)
    with torch.random.fork_rng(devices=[]):  # of the linear layer, and of dropout where there is any
        torch.manual_seed(generator(run.seed, "linear layer").initial_seed())
        width = trunk(images[:1], torch.zeros(1)).shape[1]
        head = nn.Linear(width, 2)
        optimiser = torch.optim.Adam([*trunk.parameters(), *head.parameters()], lr=run.learning_rate, fused=True)
        trunk.train()
        for step in range(run.max_steps):
            index = order(step)
            loss = F.cross_entropy(head(trunk(images[index], torch.zeros(len(index)))), targets[index])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    trunk.eval()
    return head


@torch.no_grad()
def features_of(trunk: Trunk, images: Planted, noise_level: float, formulation: Formulation) -> np.ndarray:
    """Features of images at a noise level, (n, features); an image is under the same noise for every network."""
    clean = to_network(images.images)
    noise = torch.randn(clean.shape, generator=generator("probe noise"))
    parts = []
    for x, z in zip(clean.split(_CHUNK), noise.split(_CHUNK), strict=True):
        # What the formulation shows the network at that time
        formulation.loss(
            trunk.network, x, z, torch.full((len(x),), noise_level), torch.zeros(len(x), dtype=torch.int64)
        )
        parts.append(trunk.features())
    return torch.cat(parts).double().numpy()


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
