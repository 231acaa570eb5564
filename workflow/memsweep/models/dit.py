"""The diffusion transformer with adaLN-zero of Peebles & Xie 2023 (arXiv 2212.09748), for images of any size.

An image is cut into patches; each is a token, with a fixed place in sines and cosines. A block is attention and a
perceptron, each behind a layer normalisation that time and label scale and shift, and before a gate of theirs that is
closed at first, so that a new network predicts 0. Where the paper's images are latents of 32x32 values and its
widths 384 to 1152, here the width is a multiple of the base channels, the axis of model sizes; and there is no
prediction of variances.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .conditioning import Conditioning, modulated, zeroed
from .network import Network


class TransformerBlock(nn.Module):
    """Self-attention over tokens, then a perceptron at each; tokens (B, N, D) and conditioning (B, D) to tokens."""

    def __init__(self, width: int, heads: int, mlp_ratio: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.first = nn.Linear(width, mlp_ratio * width)
        self.second = nn.Linear(mlp_ratio * width, width)
        for layer in (self.qkv, self.out, self.first, self.second):
            _initialise(layer)
        self.dropout = nn.Dropout(dropout)
        self.modulation = zeroed(nn.Linear(width, 6 * width))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift, scale, gate, shift_mlp, scale_mlp, gate_mlp = self.modulation(condition)[:, None].chunk(6, dim=-1)
        x = torch.addcmul(x, gate, self.dropout(self._attention(modulated(x, shift, scale))))
        hidden = F.gelu(self.first(modulated(x, shift_mlp, scale_mlp)), approximate="tanh")
        return torch.addcmul(x, gate_mlp, self.second(self.dropout(hidden)))

    def _attention(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        # A head's channels side by side, as the fused kernels want them
        qkv = self.qkv(x).view(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        h = F.scaled_dot_product_attention(*qkv.unbind())
        return self.out(h.transpose(1, 2).reshape(batch, tokens, width))


class DiT(Network):
    """Predicts a field of the image's shape from a noisy image, its time and its label.

    Args:
        image_shape: (channels, height, width); ``patch`` divides height and width.
        classes: number of labels.
        base_channels: the model size axis, a multiple of 4.
        patch: side of a patch, in pixels.
        width: channels of a token, in units of ``base_channels``.
        depth: blocks.
        heads: of the attention; they divide the channels of a token.
        mlp_ratio: hidden width of a block's perceptron, in units of a token's.
        dropout: dropout probability behind the attention and inside the perceptron; the paper has none.

    Raises:
        ValueError: patches do not fit into the image, or heads into a token.
    """

    places: Tensor

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        base_channels: int,
        patch: int = 2,
        width: int = 8,
        depth: int = 6,
        heads: int = 4,
        mlp_ratio: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(dropout)
        channels, height, width_ = image_shape
        hidden = width * base_channels
        if height % patch or width_ % patch:
            raise ValueError(f"images of {height}x{width_} pixels cannot be cut into patches of {patch}x{patch}")
        if hidden % heads or hidden % 4:
            raise ValueError(f"tokens of {hidden} channels cannot have {heads} heads, or places in four waves")
        self.patch = patch
        self.conditioning = Conditioning(classes, hidden)
        self.embed = nn.Linear(channels * patch**2, hidden)
        _initialise(self.embed)
        self.register_buffer("places", places(height // patch, width_ // patch, hidden), persistent=False)
        self.blocks = nn.ModuleList([TransformerBlock(hidden, heads, mlp_ratio, dropout) for _ in range(depth)])
        self.modulation_out = zeroed(nn.Linear(hidden, 2 * hidden))
        self.out = zeroed(nn.Linear(hidden, channels * patch**2))

    def forward(self, x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        """x: (B, C, H, W); time: (B,) in [0, 1]; label: (B,) int64. Returns (B, C, H, W), of the weights' type."""
        condition = self.conditioning(time, label)
        tokens = self.embed(self._cut(x.to(self.embed.weight.dtype))) + self.places.to(self.embed.weight.dtype)
        for block in self.blocks:
            tokens = self._through(block, tokens, condition)
        shift, scale = self.modulation_out(condition)[:, None].chunk(2, dim=-1)
        return self._joined(self.out(modulated(tokens, shift, scale)), x.shape)

    def _cut(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) as patches (B, N, C·p·p), row by row."""
        batch, channels, height, width = x.shape
        rows, columns = height // self.patch, width // self.patch
        parts = x.reshape(batch, channels, rows, self.patch, columns, self.patch)
        return parts.permute(0, 2, 4, 1, 3, 5).reshape(batch, rows * columns, channels * self.patch**2)

    def _joined(self, patches: Tensor, shape: torch.Size) -> Tensor:
        """Patches (B, N, p·p·C) as images of this shape."""
        batch, channels, height, width = shape
        rows, columns = height // self.patch, width // self.patch
        parts = patches.view(batch, rows, columns, self.patch, self.patch, channels)
        return parts.permute(0, 5, 1, 3, 2, 4).reshape(shape)


def places(rows: int, columns: int, width: int) -> Tensor:
    """The place of each token, row by row, as sines and cosines: (rows · columns, width), a multiple of 4.

    The first half is of the column, the second of the row; each half sines, then cosines (the paper's appendix, after
    Vaswani et al. 2017).
    """
    frequencies = 10_000.0 ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = [place.reshape(-1, 1) * frequencies for place in (column, row)]
    return torch.cat([wave for angle in angles for wave in (angle.sin(), angle.cos())], dim=1).float()


def _initialise(layer: nn.Linear) -> None:
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
