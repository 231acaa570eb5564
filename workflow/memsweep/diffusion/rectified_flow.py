"""Rectified flow: images and noise joined by straight lines.

Liu, Gong & Liu 2022 (arXiv 2209.03003), with time 0 at the clean image and 1 at pure noise:
x_t = (1 - t) x + t z for z ~ N(0, I), and the network learns the velocity z - x.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .denoiser import Denoiser


@dataclass(frozen=True)
class RectifiedFlow:
    """Velocity prediction, and Euler steps of equal length from time 1 to time 0.

    Attributes:
        sampling_steps: number of Euler steps.
    """

    sampling_steps: int

    def loss(self, network: Denoiser, clean: Tensor, noise: Tensor, time: Tensor, label: Tensor) -> Tensor:
        """Mean squared error per pixel of the predicted velocity; see `formulation.Process.loss`."""
        noisy = torch.lerp(clean, noise, time[:, None, None, None])
        error = network(noisy, time, label) - self.field(clean, noise)
        return error.square().flatten(1).mean(dim=1)

    def shares(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """1 - t and t; see `formulation.Process.shares`."""
        return 1 - time, time

    def field(self, clean: Tensor, noise: Tensor) -> Tensor:
        """The velocity; see `formulation.Process.field`."""
        return noise - clean

    def sample(self, network: Denoiser, latents: Tensor, label: Tensor) -> Tensor:
        """Images by Euler's method; see `formulation.Process.sample`."""
        x = latents
        for k in range(self.sampling_steps):
            time = torch.full((len(x),), 1 - k / self.sampling_steps, device=x.device)
            x = x - network(x, time, label) / self.sampling_steps
        return x
