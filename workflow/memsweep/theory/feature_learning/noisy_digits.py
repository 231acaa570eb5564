"""Noisy digits: two classes of images, each beside a patch of noise (Noisy-MNIST of Han et al. 2025).

The first patch is an image, scaled so that the patches' mean norm is SNR · √d; the second is
N(0, I). Two pairs of networks are trained on the same few images, a classifier and a denoiser of
each kind: the quadratic networks of `classifier` and `denoiser`, and small convolutional ones that
share their first layers. What they attend to is shown by the gradient of a classifier's score with
respect to its input and by what a denoiser makes of a noisy image; what their features hold is
measured by linear probes:

* signal: the class, from the features of the image patch, on held-out images;
* noise: the class, from the features of the noise patch of training images, disturbed anew for the
  fit and for the test of the probe. A noise patch says nothing of a class but by which training
  image it belongs to, so this is what was memorised, above what untrained features give.
"""

from __future__ import annotations

import math
import sys
import time as clock
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...base.errors import UserError
from ...data.images import Split, read_images
from ...data.randomness import BatchOrder, generator
from ...metrics.novelty import share
from ...tables.parquet import write_table
from .descent import descend
from .probes import probe
from .two_patch import Problem, in_basis, span_basis
from .two_patch_classifier import logistic_loss, scores
from .two_patch_denoiser import denoise, expected_loss, noise_levels

NETWORKS = ("quadratic", "convolutional")
OBJECTIVES = ("classification", "diffusion")
# Share of the final gradient at which the quadratic denoiser is called stationary
_STATIONARY = 1e-4
# Disturbed copies of each training image's noise patch: to fit the probe, and to test it
_COPIES = 5
_CHANNELS = 16


@dataclass(frozen=True)
class Digits:
    """Patches of one split, on which everything is trained and tested.

    Attributes:
        patches: image and noise, (n, 2, d), float64.
        labels: ±1, (n,), float64.
        side: (height, width) of a patch.
    """

    patches: Tensor
    labels: Tensor
    side: tuple[int, int]

    def as_images(self, patches: Tensor) -> Tensor:
        """Patches side by side, (n, 1, height, 2 · width), float32."""
        height, width = self.side
        return patches.float().reshape(-1, 2, height, width).permute(0, 2, 1, 3).reshape(-1, 1, height, 2 * width)


@dataclass(frozen=True)
class Trained:
    """A network of one objective, by what it does to patches (n, 2, d).

    Attributes:
        features: to (n, 2, features), of each patch.
        shown: to what is drawn, (n, 2, d): the score's gradient, or the denoised patches.
    """

    features: Callable[[Tensor], Tensor]
    shown: Callable[[Tensor], Tensor]


def digits(split: Split, classes: tuple[int, int], images: int, scale: float, seed: int, purpose: str) -> Digits:
    """The first images of two classes, beside noise.

    Args:
        split: where from; several channels are averaged.
        classes: the labels that stand for +1 and -1.
        images: of each class, at most; fewer where there are fewer.
        scale: factor on pixels in [0, 1], as `scale_for` gives it.
        seed, purpose: of the noise patches.

    Raises:
        UserError: the split has no image of one of the classes.
    """
    for label in classes:
        if label not in split.labels:
            raise UserError(
                f"noisy_digits.classes: found {list(classes)}, and none of the {len(split)} images to {purpose} on is "
                f"of class {label}; accepted are classes of them"
            )
    chosen = np.sort(np.concatenate([np.flatnonzero(split.labels == label)[:images] for label in classes]))
    pixels = torch.from_numpy(split.images[chosen]).double().mean(dim=-1) / 255
    noise = torch.randn(
        pixels.flatten(1).shape, generator=generator(seed, "noisy digits", purpose), dtype=torch.float64
    )
    labels = torch.from_numpy(np.where(split.labels[chosen] == classes[0], 1.0, -1.0))
    side = int(pixels.shape[1]), int(pixels.shape[2])
    return Digits(torch.stack([scale * pixels.flatten(1), noise], dim=1), labels, side)


def scale_for(split: Split, classes: tuple[int, int], snr: float) -> float:
    """The factor on pixels in [0, 1] that gives images of two classes a mean norm of SNR · √d."""
    pixels = split.images[np.isin(split.labels, classes)].astype(np.float64).mean(axis=-1) / 255
    norms = np.sqrt((pixels**2).sum(axis=(1, 2)))
    return snr * math.sqrt(pixels[0].size) / float(norms.mean())


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
    scale = scale_for(data.train, classes, settings["snr"])
    rows: list[dict[str, Any]] = []
    drawn: list[dict[str, Any]] = []
    for seed in range(settings["seeds"]):
        train = digits(data.train, classes, settings["images"], scale, seed, "train")
        test = digits(data.test, classes, len(data.test), scale, seed, "test")
        for network in NETWORKS:
            for objective in OBJECTIVES:
                begun = clock.monotonic()
                for trained in (False, True):
                    name = {"network": network, "objective": objective, "seed": seed, "trained": trained}
                    learnt = _BUILDERS[network](objective, train, seed, settings, trained)
                    rows += _probed(learnt, train, test, settings, name)
                if seed == 0:
                    drawn += _drawn(learnt, test, settings, {"network": network, "objective": objective})
                print(f"{network} {objective}, seed {seed}: {clock.monotonic() - begun:.1f} s", file=sys.stderr)
    snr = float(settings["snr"])
    write_table(probes, "noisy_probes", pd.DataFrame(rows).assign(snr=snr))
    shape = {"patch_shape": ",".join(map(str, test.side)), "dataset": settings["dataset"]}
    write_table(maps, "noisy_maps", pd.DataFrame(drawn).assign(snr=snr), shape)


def quadratic(objective: str, train: Digits, seed: int, settings: Mapping[str, Any], trained: bool) -> Trained:
    """The two-layer quadratic network, by full-batch descent on the exact loss."""
    samples, _, dimension = train.patches.shape
    rows = settings["neurons"] * (1 if objective == "diffusion" else 2)
    source = generator(seed, "noisy digits", "quadratic")
    first = settings["initialisation"] * torch.randn(rows, dimension, generator=source, dtype=torch.float64)
    points = torch.cat([train.patches[:, 0], train.patches[:, 1]])
    pairs = torch.arange(2 * samples).reshape(2, samples).T
    problem = Problem(points[None], pairs, train.labels, first[None])
    weights = first
    if trained:
        basis = span_basis(problem)
        weights = (_descended(objective, in_basis(problem, basis), settings) @ basis.transpose(1, 2))[0]

    def shown(patches: Tensor) -> Tensor:
        if objective == "diffusion":
            return denoise(weights, patches, settings["time"])
        return _input_gradient(lambda x: scores(weights, x).sum(dim=-1), patches)

    return Trained(features=lambda patches: (patches @ weights.T).square(), shown=shown)


def _descended(objective: str, problem: Problem, settings: Mapping[str, Any]) -> Tensor:
    if objective == "diffusion":
        return descend(
            partial(expected_loss, time=settings["time"]),
            problem,
            learning_rate=settings["learning_rate"],
            iterations=settings["iterations"],
            growth=1.1,
            finished=lambda _, gradient: gradient <= _STATIONARY,
        ).weights
    return descend(
        logistic_loss,
        problem,
        learning_rate=settings["learning_rate"],
        iterations=settings["iterations"],
        finished=lambda loss, _: loss <= settings["classifier_loss"],
    ).weights


class Trunk(nn.Module):
    """Three convolutions that keep the size: images (B, 1, H, W) to channels (B, 16, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        widths = (1, _CHANNELS, _CHANNELS, _CHANNELS)
        self.layers = nn.ModuleList(nn.Conv2d(inputs, outputs, 3, padding=1) for inputs, outputs in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = F.relu(layer(x))
        return x


class ConvolutionalClassifier(nn.Module):
    """The trunk, its mean over the pixels of both patches, and a linear layer to one score."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.head = nn.Linear(_CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The score for class +1, (B,)."""
        return self.head(self.trunk(x).mean(dim=(2, 3))).squeeze(1)


class ConvolutionalDenoiser(nn.Module):
    """The trunk and one more convolution, to the noise of a noisy image."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.head = nn.Conv2d(_CHANNELS, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """The predicted noise, of the shape of x, (B, 1, H, W)."""
        return self.head(self.trunk(x))


def convolutional(objective: str, train: Digits, seed: int, settings: Mapping[str, Any], trained: bool) -> Trained:
    """A small convolutional network, by Adam on batches, with fresh noise at every step of a denoiser."""
    diffusion = objective == "diffusion"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ConvolutionalDenoiser() if diffusion else ConvolutionalClassifier()
    if trained:
        _fit(network, objective, train, seed, settings)
    height, width = train.side
    alpha, beta = noise_levels(settings["time"])

    def apart(images: Tensor) -> Tensor:
        """(n, 1, height, 2 · width) as patches (n, 2, d)."""
        return images.double().reshape(-1, height, 2, width).permute(0, 2, 1, 3).flatten(2)

    @torch.no_grad()
    def features(patches: Tensor) -> Tensor:
        halves = network.trunk(train.as_images(patches)).unflatten(3, (2, width))
        return halves.mean(dim=(2, 4)).transpose(1, 2).double()

    def shown(patches: Tensor) -> Tensor:
        if diffusion:
            with torch.no_grad():
                return (patches - beta * apart(network(train.as_images(patches)))) / alpha
        return _input_gradient(lambda x: network(train.as_images(x)).double(), patches)

    return Trained(features=features, shown=shown)


def _fit(network: nn.Module, objective: str, train: Digits, seed: int, settings: Mapping[str, Any]) -> None:
    images, targets = train.as_images(train.patches), (train.labels > 0).float()
    alpha, beta = noise_levels(settings["time"])
    order = BatchOrder(seed, len(images), min(settings["batch_size"], len(images)))
    optimiser = torch.optim.Adam(network.parameters(), lr=settings["step_size"], fused=True)
    for step in range(settings["steps"]):
        index = order(step)
        if objective == "diffusion":
            noise = torch.randn(images[index].shape, generator=generator(seed, "noisy digits", "step", step))
            loss = F.mse_loss(network(alpha * images[index] + beta * noise), noise)
        else:
            loss = F.binary_cross_entropy_with_logits(network(images[index]), targets[index])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


_BUILDERS: Mapping[str, Callable[[str, Digits, int, Mapping[str, Any], bool], Trained]] = {
    "quadratic": quadratic,
    "convolutional": convolutional,
}


def _input_gradient(score: Callable[[Tensor], Tensor], patches: Tensor) -> Tensor:
    """The gradient of each sample's score with respect to its patches, of their shape."""
    variable = patches.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(score(variable).sum(), variable)
    return gradient


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
