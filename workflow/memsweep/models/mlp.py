"""A residual perceptron over all pixels: a network that knows nothing of where they lie."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .conditioning import Conditioning, modulated, zeroed
from .network import Network


class ResidualLayer(nn.Module):
    """Two layers beside a residual path, behind a layer normalisation that time and label scale and shift."""

    def __init__(self, width: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.condition = nn.Linear(embedding, 2 * width)
        self.first = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.second = zeroed(nn.Linear(width, width))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift, scale = self.condition(condition).chunk(2, dim=1)
        return x + self.second(self.dropout(F.silu(self.first(modulated(x, shift, scale)))))


class MLP(Network):
    """Predicts a field of the image's shape from a noisy image, its time and its label.

    Args:
        image_shape: (channels, height, width), of any size.
        classes: number of labels.
        base_channels: the model size axis.
        width: of the hidden layers, in units of ``base_channels``.
        blocks: residual blocks of two layers.
        embedding: width of the time and label embeddings.
        dropout: dropout probability between the layers of a block.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        base_channels: int,
        width: int = 16,
        blocks: int = 4,
        embedding: int = 128,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(dropout)
        hidden, values = width * base_channels, torch.Size(image_shape).numel()
        self.conditioning = Conditioning(classes, embedding)
        self.embed = nn.Linear(values, hidden)
        self.blocks = nn.ModuleList([ResidualLayer(hidden, embedding, dropout) for _ in range(blocks)])
        self.norm_out = nn.LayerNorm(hidden)
        self.out = zeroed(nn.Linear(hidden, values))

    def forward(self, x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        """x: (B, C, H, W); time: (B,) in [0, 1]; label: (B,) int64. Returns (B, C, H, W), of the weights' type."""
        condition = self.conditioning(time, label)
        hidden = self.embed(x.flatten(1).to(self.embed.weight.dtype))
        for block in self.blocks:
            hidden = self._through(block, hidden, condition)
        return self.out(F.silu(self.norm_out(hidden))).view(x.shape)
