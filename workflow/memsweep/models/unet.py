"""The U-Net denoiser of Marion & Wu 2026 (arXiv 2605.06077), for images of any size.

The paper states the base channels, the multipliers, the number of residual blocks,
the attention head dimension and the width of the embeddings. What it leaves open was
fixed so that the quadratic coefficient of its five published parameter counts is met
exactly (P = 5090 c² + O(c) for base channels c):

* a level has ``blocks`` residual blocks on the way down and ``blocks + 1`` on the way
  up; every stage of the way down (stem, block, downsampling) hands one skip to one
  block of the way up;
* attention follows every block of the levels in ``attention_levels``, and the middle is
  block - attention - block;
* downsampling is a strided 3x3 convolution that already moves to the next level's
  channels; upsampling is nearest-neighbour followed by a 3x3 convolution;
* noise level and label embeddings are added and reach every residual block and every
  resampling convolution as the scale and shift of a group normalisation, which has no
  scale and shift of its own.

The counts then agree with the published ones to 0.03 % at each of the five sizes.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


def group_norm(channels: int, affine: bool = True) -> nn.GroupNorm:
    """Group normalisation with at least 4 channels a group and at most 32 groups."""
    groups = min(32, max(1, channels // 4))
    while channels % groups:
        groups -= 1
    return nn.GroupNorm(groups, channels, affine=affine)


# Whether norms on a GPU use the kernels of `fused_norm`. They agree with torch's own in Triton's interpreter but
# have not been timed: off until `benchmarks/gpu.py`, which times both, shows that they pay.
FUSED = False


@functools.cache
def _kernels() -> ModuleType | None:
    """The module `fused_norm`; none where torch comes without the compiler of its kernels."""
    try:
        from . import fused_norm
    except ImportError:
        return None
    return fused_norm


def _fused(x: Tensor) -> ModuleType | None:
    return _kernels() if FUSED and x.is_cuda else None


def normalised(
    norm: nn.GroupNorm,
    x: Tensor,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    activated: bool = False,
    bias: Tensor | None = None,
) -> Tensor:
    """Group normalisation of x + bias, scaled and shifted, and SiLU where ``activated``: on a GPU as one kernel.

    Args:
        norm: says which groups, and has a scale and shift of its own where none is given.
        x: (B, C, H, W).
        scale, shift: of each image, (B, C); the scale is the difference from 1.
        activated: whether SiLU follows.
        bias: (C,), what the convolution before left to be added.
    """
    if kernels := _fused(x):
        own = norm.weight, norm.bias
        given, added = ((scale, shift), 1) if scale is not None else (own, 0)
        fused: Tensor = kernels.fused_norm(x, norm.num_groups, *given, norm.eps, added, activated, bias)
        return fused
    x = norm(x if bias is None else x + bias[:, None, None])
    if scale is not None and shift is not None:
        x = torch.addcmul(shift[:, :, None, None], x, 1 + scale[:, :, None, None])
    return F.silu(x) if activated else x


def _unbiased(convolution: nn.Conv2d, x: Tensor) -> Tensor:
    """A convolution whose bias is left to the kernel that comes next."""
    return F.conv2d(x, convolution.weight, None, convolution.stride, convolution.padding)


class ConditionedNorm(nn.Module):
    """Group normalisation whose scale and shift are linear in the embedding."""

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.norm = group_norm(channels, affine=False)
        self.condition = nn.Linear(embedding, 2 * channels)

    def forward(self, x: Tensor, embedding: Tensor, activated: bool = False, bias: Tensor | None = None) -> Tensor:
        scale, shift = self.condition(embedding).chunk(2, dim=1)
        return normalised(self.norm, x, scale, shift, activated, bias)


class NoiseLevelEmbedding(nn.Module):
    """Maps times in [0, 1], shape (B,), to embeddings, shape (B, width): sines and cosines, then two layers."""

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        frequencies = 1000.0 * torch.exp(-torch.arange(half) * (torch.log(torch.tensor(10_000.0)) / half))
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)

    def forward(self, time: Tensor) -> Tensor:
        angles = time[:, None] * self.frequencies
        waves = torch.cat([angles.sin(), angles.cos()], dim=1).to(self.first.weight.dtype)
        return self.second(F.silu(self.first(waves)))


class ResidualBlock(nn.Module):
    """Two normalised convolutions around a residual path, conditioned by scale and shift."""

    def __init__(self, inputs: int, outputs: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = group_norm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = ConditionedNorm(outputs, embedding)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip: nn.Module = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]  # bias is on

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        kernels = _fused(x)
        h = normalised(self.norm1, x, activated=True)
        if kernels is None:
            h = self.norm2(self.conv1(h), embedding, activated=True)
            return self.skip(x) + self.conv2(self.dropout(h))
        h = self.norm2(_unbiased(self.conv1, h), embedding, activated=True, bias=self.conv1.bias)
        h, bias = _unbiased(self.conv2, self.dropout(h)), self.conv2.bias
        if isinstance(self.skip, nn.Conv2d):
            x, bias = _unbiased(self.skip, x), bias + self.skip.bias  # type: ignore[operator]  # biases are on
        total: Tensor = kernels.biased_sum(x, h, bias)
        return total


class Attention(nn.Module):
    """Multi-head self-attention over pixels, with heads of ``head_channels`` channels."""

    def __init__(self, channels: int, head_channels: int) -> None:
        super().__init__()
        # As many heads of this width as fit; a little wider where the channels are no multiple of it
        self.heads = max(1, channels // head_channels)
        while channels % self.heads:
            self.heads -= 1
        self.norm = group_norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]  # bias is on

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        # Laid out anew, as the fused kernels want a head's channels side by side; else torch takes the slowest one
        qkv = self.qkv(normalised(self.norm, x)).flatten(2).transpose(1, 2).contiguous()
        q, k, v = qkv.view(batch, height * width, 3, self.heads, channels // self.heads).permute(2, 0, 3, 1, 4)
        h = F.scaled_dot_product_attention(q, k, v)
        h = h.transpose(1, 2).reshape(batch, height * width, channels).transpose(1, 2)
        return x + self.out(h.reshape(batch, channels, height, width))


class Stage(nn.Module):
    """A residual block, with attention behind it where the level has attention."""

    def __init__(self, inputs: int, outputs: int, embedding: int, dropout: float, head_channels: int | None) -> None:
        super().__init__()
        self.block = ResidualBlock(inputs, outputs, embedding, dropout)
        self.attention = Attention(outputs, head_channels) if head_channels else None

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        x = self.block(x, embedding)
        return x if self.attention is None else self.attention(x)


class Downsample(nn.Module):
    """Halves height and width by a strided convolution that also changes the channels."""

    def __init__(self, inputs: int, outputs: int, embedding: int) -> None:
        super().__init__()
        self.norm = ConditionedNorm(inputs, embedding)
        self.conv = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        return self.conv(self.norm(x, embedding))


class Upsample(nn.Module):
    """Doubles height and width: nearest neighbour, then a convolution."""

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.norm = ConditionedNorm(channels, embedding)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        return self.conv(F.interpolate(self.norm(x, embedding), scale_factor=2.0, mode="nearest"))


class UNet(nn.Module):
    """Predicts a field of the image's shape from a noisy image, its time and its label.

    Args:
        image_shape: (channels, height, width); height and width must be divisible by
            2 ** (levels - 1).
        classes: number of labels.
        base_channels: channels of the first level, the paper's model size axis.
        channel_multipliers: channels of each level, in units of ``base_channels``.
        blocks: residual blocks per level on the way down (one more on the way up).
        attention_levels: indices of the levels with attention; the middle has attention
            when the last level has.
        head_channels: channels of one attention head.
        embedding: width of the noise-level and label embeddings.
        dropout: dropout probability inside the residual blocks.

    Attributes:
        recompute: whether activations inside the blocks are computed again in the backward pass
            rather than kept: less memory, a third more time, the same numbers.

    Raises:
        ValueError: the image cannot be halved often enough.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        base_channels: int,
        channel_multipliers: Sequence[int] = (1, 2, 4),
        blocks: int = 3,
        attention_levels: Sequence[int] = (1, 2),
        head_channels: int = 64,
        embedding: int = 512,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.recompute = False
        self._dropout = dropout > 0
        channels, height, width = image_shape
        halvings = len(channel_multipliers) - 1
        if height % 2**halvings or width % 2**halvings:
            raise ValueError(
                f"images of {height}x{width} pixels cannot be halved {halvings} times; use fewer channel_multipliers"
            )
        widths = [base_channels * multiplier for multiplier in channel_multipliers]
        heads = [head_channels if level in attention_levels else None for level in range(len(widths))]

        self.noise_level = NoiseLevelEmbedding(embedding)
        self.label = nn.Embedding(classes, embedding)
        self.stem = nn.Conv2d(channels, widths[0], 3, padding=1)

        skips = [widths[0]]
        self.down = nn.ModuleList()
        self.downsample = nn.ModuleList()
        for level, width_ in enumerate(widths):
            stages = [Stage(width_, width_, embedding, dropout, heads[level]) for _ in range(blocks)]
            self.down.append(nn.ModuleList(stages))
            skips += [width_] * blocks
            if level < halvings:
                self.downsample.append(Downsample(width_, widths[level + 1], embedding))
                skips.append(widths[level + 1])

        self.middle_in = Stage(widths[-1], widths[-1], embedding, dropout, heads[-1])
        self.middle_out = Stage(widths[-1], widths[-1], embedding, dropout, None)

        current = widths[-1]
        self.up = nn.ModuleList()
        self.upsample = nn.ModuleList()
        for level in reversed(range(len(widths))):
            stages = []
            for _ in range(blocks + 1):
                stages.append(Stage(current + skips.pop(), widths[level], embedding, dropout, heads[level]))
                current = widths[level]
            self.up.append(nn.ModuleList(stages))
            if level > 0:
                self.upsample.append(Upsample(current, embedding))

        self.norm_out = group_norm(widths[0])
        self.conv_out = nn.Conv2d(widths[0], channels, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.bias)  # type: ignore[arg-type]  # bias is on

    def in_precision(self, dtype: torch.dtype) -> UNet:
        """A copy whose weights are of another type; angles of the noise level stay float32."""
        network = copy.deepcopy(self).to(dtype)
        network.noise_level.frequencies = self.noise_level.frequencies
        return network

    def forward(self, x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        """x: (B, C, H, W); time: (B,) in [0, 1]; label: (B,) int64. Returns (B, C, H, W), of the weights' type."""
        embedding = F.silu(self.noise_level(time) + self.label(label))
        x = self.stem(x.to(self.stem.weight.dtype))
        skips = [x]
        for level, stages in enumerate(self.down):
            for stage in stages:  # type: ignore[attr-defined]  # a ModuleList iterates
                x = self._through(stage, x, embedding)
                skips.append(x)
            if level < len(self.downsample):
                x = self.downsample[level](x, embedding)
                skips.append(x)
        x = self._through(self.middle_in, x, embedding)
        x = self._through(self.middle_out, x, embedding)
        for level, stages in enumerate(self.up):
            for stage in stages:  # type: ignore[attr-defined]
                x = self._through(stage, torch.cat([x, skips.pop()], dim=1), embedding)
            if level < len(self.upsample):
                x = self.upsample[level](x, embedding)
        return self.conv_out(normalised(self.norm_out, x, activated=True))

    def _through(self, stage: nn.Module, x: Tensor, embedding: Tensor) -> Tensor:
        if self.recompute and torch.is_grad_enabled():
            found: Tensor = checkpoint(stage, x, embedding, use_reentrant=False, preserve_rng_state=self._dropout)
            return found
        return stage(x, embedding)


def count_parameters(network: nn.Module) -> int:
    """The number of trainable parameters P."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
