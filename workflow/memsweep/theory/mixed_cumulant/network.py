"""The bridge to deep networks: a residual perceptron that learns to denoise the mixed cumulant model.

D(x_t) = x_t + W₂ φ(W₁ x_t + b₁) + b₂ with φ = SiLU is trained online: every step of Adam sees a batch of
fresh patterns, noised to x_t = √(1 - s²) x + s ξ. Its loss on held-out patterns is compared with
that on Gaussian surrogates of the same mean and covariance, as Bardone, Merger & Goldt 2026 (arXiv
2603.12901) compare a U-Net's loss on images. Both stay together as long as the network uses pairs of
coordinates only; where they part is the departure (`departure`).

The best that a linear denoiser, or any denoiser that knows only mean and covariance Σ, can do is that
of Wiener: D(x_t) = r Σ (r² Σ + s² I)⁻¹ x_t with r = √(1 - s²), on patterns and surrogates alike.

Replicas differ in their spikes, initialisation and patterns, and are trained side by side as one batch
of matrices: all that joins them is the sum of their losses, which every weight sees its own term of.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from ...data.randomness import generator
from ...study.schedule import evaluation_steps
from ...tables.parquet import write_table
from .model import MixedCumulantModel

ITEMS = 64
"""Groups of held-out patterns whose mean losses are kept; the bootstrap resamples groups."""


@dataclass(frozen=True)
class HeldOut:
    """Patterns that are never trained on, their surrogates, and the noise of both.

    Attributes:
        clean: by ``test`` and ``surrogate``, shape (replicas, patterns, d). Pattern i and surrogate i are
            made with the same λ and z.
        noise: ξ, shape (1, patterns, d).
    """

    clean: dict[str, Tensor]
    noise: Tensor


class Networks:
    """Replicas of the network in one dimension.

    Attributes:
        step: steps of Adam taken.
        weights: W₁, b₁, W₂ and b₂, each of shape (replicas, ...).
    """

    def __init__(self, settings: Mapping[str, Any], device: torch.device | str = "cpu") -> None:
        """settings: as of `learn_network`."""
        self.model = MixedCumulantModel(**settings["model"])
        self.dimension, self.replicas, self.seed = settings["dimension"], settings["replicas"], settings["seed"]
        self.batch_size, self.noise_level = settings["batch_size"], settings["noise_level"]
        self.signal = math.sqrt(1 - self.noise_level**2)
        self.device = device
        self.step = 0
        source = generator(self.seed, "network start", self.dimension)
        axes = torch.linalg.qr(torch.randn((self.replicas, self.dimension, 2), generator=source))[0].to(device)
        self.u, self.v = axes[:, None, :, 0], axes[:, None, :, 1]
        width = settings["width"]
        first = torch.randn((self.replicas, self.dimension, width), generator=source) / math.sqrt(self.dimension)
        shapes = [(self.replicas, 1, width), (self.replicas, width, self.dimension), (self.replicas, 1, self.dimension)]
        # The second layer starts at 0: before the first step the network is the identity
        self.weights = [part.to(device).requires_grad_() for part in (first, *map(torch.zeros, shapes))]
        self.optimiser = torch.optim.Adam(self.weights, lr=settings["learning_rate"], fused=True)

    def __call__(self, noisy: Tensor) -> Tensor:
        """Denoise; shape (replicas, patterns, d)."""
        first, first_bias, second, second_bias = self.weights
        hidden = functional.silu(torch.baddbmm(first_bias, noisy, first))
        return noisy + torch.baddbmm(second_bias, hidden, second)

    def losses(self, clean: Tensor, noise: Tensor) -> Tensor:
        """Squared error per coordinate of each pattern, shape (replicas, patterns)."""
        denoised = self(self.signal * clean + self.noise_level * noise)
        return (denoised - clean).square().mean(-1)

    def advance(self) -> None:
        """Take one step of Adam on fresh patterns."""
        source = generator(self.seed, "network patterns", self.dimension, self.step)
        shape = (self.replicas, self.batch_size)
        latents = self.model.latents(shape, source).to(self.device)
        noise = torch.randn((2, *shape, self.dimension), generator=source).to(self.device)
        clean = self.model.patterns(latents, noise[0], self.u, self.v)
        self.optimiser.zero_grad(set_to_none=True)
        self.losses(clean, noise[1]).mean(-1).sum().backward()
        self.optimiser.step()
        self.step += 1

    def held_out(self, patterns: int) -> HeldOut:
        """Held-out patterns and their surrogates, the same whenever they are asked for."""
        source = generator(self.seed, "network held out", self.dimension)
        latents = self.model.latents((1, patterns), source)
        surrogate = self.model.gaussian_latents(latents, source)
        noise = torch.randn((2, 1, patterns, self.dimension), generator=source).to(self.device)
        clean = {
            name: self.model.patterns(latents_.to(self.device), noise[0], self.u, self.v)
            for name, latents_ in (("test", latents), ("surrogate", surrogate))
        }
        return HeldOut(clean, noise[1])

    @torch.no_grad()
    def evaluate(self, held_out: HeldOut) -> dict[str, np.ndarray]:
        """Mean loss of each group of held-out patterns, by ``test`` and ``surrogate``, shape (replicas, `ITEMS`)."""
        return {
            name: self.losses(clean, held_out.noise).unflatten(1, (ITEMS, -1)).mean(-1).cpu().numpy()
            for name, clean in held_out.clean.items()
        }


def linear_loss(model: MixedCumulantModel, dimension: int, noise_level: float) -> float:
    """Loss of the best linear denoiser: tr(Σ - r² Σ (r² Σ + s² I)⁻¹ Σ) / d, squared error per coordinate.

    Every eigenvalue ρ of Σ adds s² ρ / (r² ρ + s²); all but two of them are 1.
    """
    spiked = np.linalg.eigvalsh(np.array(model.covariance()))
    eigenvalues = np.concatenate([np.ones(dimension - 2), spiked])
    noise = noise_level**2
    return float(np.mean(noise * eigenvalues / ((1 - noise) * eigenvalues + noise)))


def learn_network(settings: Mapping[str, Any], output: Path, device: torch.device | str = "cpu") -> None:
    """Write ``network_losses``: losses of the replicas of one network in one dimension.

    Args:
        settings: ``model`` (see `MixedCumulantModel`), ``noise_level`` s, ``dimension``, ``replicas``, ``width``,
            ``batch_size``, ``learning_rate``, ``steps`` (the last evaluation within it ends the run),
            ``per_decade``, ``test_patterns`` (a multiple of `ITEMS`) and ``seed``.
        output: folder that receives the table.
        device: where to learn.
    """
    networks = Networks(settings, device)
    held_out = networks.held_out(settings["test_patterns"])
    evaluation = {"first": 1, "per_decade": settings["per_decade"]}
    parts = []
    for step in evaluation_steps({"steps": settings["steps"]}, evaluation, 1, 1):
        while networks.step < step:
            networks.advance()
        for split, losses in networks.evaluate(held_out).items():
            replica, item = np.indices(losses.shape).reshape(2, -1)
            columns = {"replica": replica, "item": item, "loss": losses.ravel()}
            parts.append(pd.DataFrame({"step": step, "split": split, **columns}))
    write_table(output / "network_losses.parquet", "network_losses", pd.concat(parts, ignore_index=True))
