"""What is trained on noisy digits: a classifier and a denoiser of each kind.

The kinds are the quadratic networks of `two_patch_classifier` and `two_patch_denoiser`, and small convolutional ones
that share their first layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...data.randomness import BatchOrder, generator
from .descent import descend
from .noisy_patches import Digits
from .two_patch import Problem, in_basis, span_basis
from .two_patch_classifier import logistic_loss, scores
from .two_patch_denoiser import denoise, expected_loss, noise_levels

# Share of the final gradient at which the quadratic denoiser is called stationary
_STATIONARY = 1e-4
_CHANNELS = 16


@dataclass(frozen=True)
class Trained:
    """A network of one objective, by what it does to patches (n, 2, d).

    Attributes:
        features: to (n, 2, features), of each patch.
        shown: to what is drawn, (n, 2, d): the score's gradient, or the denoised patches.
    """

    features: Callable[[Tensor], Tensor]
    shown: Callable[[Tensor], Tensor]


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


BUILDERS: Mapping[str, Callable[[str, Digits, int, Mapping[str, Any], bool], Trained]] = {
    "quadratic": quadratic,
    "convolutional": convolutional,
}


def _input_gradient(score: Callable[[Tensor], Tensor], patches: Tensor) -> Tensor:
    """The gradient of each sample's score with respect to its patches, of their shape."""
    variable = patches.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(score(variable).sum(), variable)
    return gradient
