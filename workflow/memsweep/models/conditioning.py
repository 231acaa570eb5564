"""How networks of tokens and vectors know times and labels: an embedding, and norms that it scales and shifts."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TimeEmbedding(nn.Module):
    """Times in [0, 1], (B,), to embeddings (B, width): cosines and sines of 1000 t, then two layers.

    That of Peebles & Xie 2023, whose times are whole numbers below 1000.
    """

    frequencies: Tensor

    def __init__(self, width: int, waves: int = 256) -> None:
        super().__init__()
        half = waves // 2
        frequencies = 1000.0 * torch.exp(-math.log(10_000.0) * torch.arange(half) / half)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.first = nn.Linear(waves, width)
        self.second = nn.Linear(width, width)

    def forward(self, time: Tensor) -> Tensor:
        angles = time[:, None] * self.frequencies
        waves = torch.cat([angles.cos(), angles.sin()], dim=1).to(self.first.weight.dtype)
        return self.second(F.silu(self.first(waves)))


class Conditioning(nn.Module):
    """The embeddings of time and label, added and activated: (B,), (B,) to (B, width)."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.time = TimeEmbedding(width)
        self.label = nn.Embedding(classes, width)
        for weight in (self.time.first.weight, self.time.second.weight, self.label.weight):
            nn.init.normal_(weight, std=0.02)

    def forward(self, time: Tensor, label: Tensor) -> Tensor:
        return F.silu(self.time(time) + self.label(label))


def zeroed(layer: nn.Linear) -> nn.Linear:
    """The layer, which gives 0 at first."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Layer normalisation without weights of its own, scaled by 1 + scale and shifted.

    Args:
        x: (..., D).
        shift, scale: that broadcast against it.
    """
    return torch.addcmul(shift, F.layer_norm(x, x.shape[-1:], eps=1e-6), 1 + scale)
