"""Rectified flow: what the network learns and how images are drawn from it.

Liu, Gong & Liu 2022 (arXiv 2209.03003), with time 0 at the clean image and 1 at pure noise:
x_t = (1 - t) x + t z for z ~ N(0, I), and the network learns the velocity z - x.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Denoiser(Protocol):
    """A network of (noisy images (B, C, H, W), times (B,), labels (B,)) to a field (B, C, H, W)."""

    def __call__(self, x: Tensor, time: Tensor, label: Tensor, /) -> Tensor: ...


def squared_error(network: Denoiser, clean: Tensor, noise: Tensor, time: Tensor, label: Tensor) -> Tensor:
    """Mean squared error a pixel of the predicted velocity.

    Args:
        network: the denoiser.
        clean: images scaled to [-1, 1], (B, C, H, W).
        noise: standard normal, (B, C, H, W).
        time: noise levels in [0, 1], (B,).
        label: classes, (B,), int64.

    Returns:
        One loss an image, (B,).
    """
    noisy = torch.lerp(clean, noise, time[:, None, None, None])
    error = network(noisy, time, label) - (noise - clean)
    return error.square().flatten(1).mean(dim=1)


@torch.no_grad()
def sample(network: Denoiser, latents: Tensor, label: Tensor, steps: int) -> Tensor:
    """Generate images by Euler steps of equal length from time 1 to time 0.

    Args:
        network: the denoiser.
        latents: standard normal, (B, C, H, W).
        label: classes, (B,), int64.
        steps: number of Euler steps.

    Returns:
        Images on the scale of the training images, (B, C, H, W), not clipped.
    """
    x = latents
    for k in range(steps):
        time = torch.full((len(x),), 1 - k / steps, device=x.device)
        x = x - network(x, time, label) / steps
    return x
