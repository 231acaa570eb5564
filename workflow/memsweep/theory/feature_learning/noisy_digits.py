"""Noisy digits: networks trained on images beside noise, what they attend to and hold (Noisy-MNIST of Han et al. 2025).

Two pairs of networks (`noisy_networks`) are trained on the same few images (`noisy_patches`). What they attend to is
shown by the gradient of a classifier's score with respect to its input and by what a denoiser makes of a noisy image;
what their features hold is measured by linear probes:

* signal: the class, from the features of the image patch, on held-out images;
* noise: the class, from the features of the noise patch of training images, disturbed anew for the
  fit and for the test of the probe. A noise patch says nothing of a class but by which training
  image it belongs to, so this is what was memorised, above what untrained features give.
"""

from __future__ import annotations

import sys
import time as clock
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ...data.images import read_images
from ...data.randomness import generator
from ...metrics.novelty import share
from ...tables.parquet import write_table
from .noisy_networks import BUILDERS, Trained
from .noisy_patches import Digits, check_images, digits, scale_for
from .probes import probe
from .two_patch_denoiser import noise_levels

OBJECTIVES = ("classification", "diffusion")

# Disturbed copies of each training image's noise patch: to fit the probe, and to test it
_COPIES = 5


def train_noisy(settings: Mapping[str, Any], images: Path, probes: Path, maps: Path) -> None:
    """Train and probe both kinds of networks at one SNR; writes ``noisy_probes`` and ``noisy_maps``.

    Args:
        settings: ``snr``; ``classes``, two labels; ``images`` a class; ``seeds``, how many;
            ``time``; ``neurons``, ``initialisation``, ``iterations``, ``learning_rate`` and
            ``classifier_loss`` of the quadratic networks; ``steps``, ``batch_size`` and
            ``step_size`` of the convolutional ones; ``confidence``; ``dataset``, its name.
        images: the prepared image table; held-out images are those to probe on.
        probes, maps: the tables.
    """
    torch.set_num_threads(1)
    data = read_images(images)
    classes = settings["classes"][0], settings["classes"][1]
    check_images(data.train, classes, settings["images"])
    scale = scale_for(data.train, classes, settings["snr"])
    rows: list[dict[str, Any]] = []
    drawn: list[dict[str, Any]] = []
    for seed in range(settings["seeds"]):
        train = digits(data.train, classes, settings["images"], scale, seed, "train")
        test = digits(data.test, classes, len(data.test), scale, seed, "test")
        for network, build in BUILDERS.items():
            for objective in OBJECTIVES:
                begun = clock.monotonic()
                for trained in (False, True):
                    name = {"network": network, "objective": objective, "seed": seed, "trained": trained}
                    learnt = build(objective, train, seed, settings, trained)
                    rows += _probed(learnt, train, test, settings, name)
                if seed == 0:
                    drawn += _drawn(learnt, test, settings, {"network": network, "objective": objective})
                print(f"{network} {objective}, seed {seed}: {clock.monotonic() - begun:.1f} s", file=sys.stderr)
    snr = float(settings["snr"])
    write_table(probes, "noisy_probes", pd.DataFrame(rows).assign(snr=snr))
    shape = {"patch_shape": ",".join(map(str, test.side)), "dataset": settings["dataset"]}
    write_table(maps, "noisy_maps", pd.DataFrame(drawn).assign(snr=snr), shape)


def _probed(
    learnt: Trained, train: Digits, test: Digits, settings: Mapping[str, Any], name: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Rows of ``noisy_probes``: what the features of either patch say of the class."""
    alpha, beta = noise_levels(settings["time"])
    labels = train.labels.numpy()
    signal = probe(_of_patch(learnt, train.patches, 0), labels, _of_patch(learnt, test.patches, 0), test.labels.numpy())
    source = generator(name["seed"], "noisy digits", "disturbed")
    shape = (2, _COPIES, *train.patches.shape)
    disturbed = alpha * train.patches + beta * torch.randn(shape, generator=source, dtype=torch.float64)
    fitted, tested = (_of_patch(learnt, part.flatten(0, 1), 1) for part in disturbed)
    noise = probe(fitted, np.tile(labels, _COPIES), tested, np.tile(labels, _COPIES))
    # A training image counts as one: it is right where most of its copies are
    noise = noise.reshape(_COPIES, -1).mean(axis=0) > 0.5
    rows = []
    for task, correct in (("signal", signal), ("noise", noise)):
        found = share(correct, settings["confidence"])
        interval = {"ci_low": found.ci_low, "ci_high": found.ci_high, "images": found.count}
        rows.append({**name, "task": task, "accuracy": found.value, **interval})
    return rows


def _of_patch(learnt: Trained, patches: Tensor, which: int) -> np.ndarray:
    features: np.ndarray = learnt.features(patches)[:, which].numpy()
    return features


def _drawn(learnt: Trained, test: Digits, settings: Mapping[str, Any], name: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of ``noisy_maps``: one held-out image of each class, what is seen of it and what is made of it."""
    alpha, beta = noise_levels(settings["time"])
    chosen = torch.stack([(test.labels == label).nonzero()[0, 0] for label in (1, -1)])
    clean = test.patches[chosen]
    noise = torch.randn(clean.shape, generator=generator("noisy digits", "maps"), dtype=torch.float64)
    seen = alpha * clean + beta * noise if name["objective"] == "diffusion" else clean
    kinds = {"clean": clean, "seen": seen, "shown": learnt.shown(seen)}
    return [
        {**name, "example": example, "kind": kind, "values": patches[example].flatten().tolist()}
        for kind, patches in kinds.items()
        for example in range(len(chosen))
    ]
