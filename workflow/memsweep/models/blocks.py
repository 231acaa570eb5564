"""What a U-Net is made of: norms conditioned on the embedding, residual blocks, attention, resampling."""

from __future__ import annotations

import functools
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def group_norm(channels: int, affine: bool = True) -> nn.GroupNorm:
    """Group normalisation with at least 4 channels a group and at most 32 groups."""
    groups = min(32, max(1, channels // 4))
    while channels % groups:
        groups -= 1
    return nn.GroupNorm(groups, channels, affine=affine)


# Whether norms on a GPU use the kernels of `fused`; off to time what they gain.
FUSED = True


@functools.cache
def _kernels() -> ModuleType | None:
    """The kernels of `fused`; none where torch comes without their compiler."""
    try:
        from . import fused
    except ImportError:
        return None
    return fused


def _fused(x: Tensor) -> ModuleType | None:
    """The kernels, where images lie on a GPU with their channels side by side, as they want them."""
    wanted = FUSED and x.is_cuda and x.is_contiguous(memory_format=torch.channels_last)
    return _kernels() if wanted else None


def normalised(
    norm: nn.GroupNorm,
    x: Tensor,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
    activated: bool = False,
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Group normalisation of x + bias, scaled and shifted, and SiLU where ``activated``: on a GPU as one kernel.

    Args:
        norm: says which groups, and has a scale and shift of its own where none is given.
        x: (B, C, H, W).
        scale, shift: of each image, (B, C); the scale is the difference from 1.
        activated: whether SiLU follows.
        bias: (C,), what the convolution before left to be added.

    Returns:
        What it makes of ``x``, and ``x`` for what else is done with it: so the gradients of both meet in one kernel.
    """
    if kernels := _fused(x):
        own = norm.weight, norm.bias
        given, added = ((scale, shift), 1) if scale is not None else (own, 0)
        fused: tuple[Tensor, Tensor] = kernels.fused_norm(x, norm.num_groups, *given, norm.eps, added, activated, bias)
        return fused
    y = norm(x if bias is None else x + bias[:, None, None])
    if scale is not None and shift is not None:
        y = torch.addcmul(shift[:, :, None, None], y, 1 + scale[:, :, None, None])
    return F.silu(y) if activated else y, x


def joined(x: Tensor, y: Tensor) -> Tensor:
    """The channels of two images side by side."""
    both: Tensor = kernels.joined(x, y) if (kernels := _fused(x)) else torch.cat([x, y], dim=1)
    return both


def convolved(convolution: nn.Conv2d, x: Tensor) -> Tensor:
    """The convolution; where torch's gradient of the bias would be slow, by a kernel of our own."""
    kernels, weight, bias = _fused(x), convolution.weight, convolution.bias
    if kernels is None or bias is None:
        return convolution(x)
    if convolution.kernel_size == (1, 1):  # as a product, which adds the bias by itself
        y = F.linear(x.permute(0, 2, 3, 1), weight.flatten(1), bias.detach()).permute(0, 3, 1, 2)
    else:
        y = F.conv2d(x, weight, bias.detach(), convolution.stride, convolution.padding)
    found: Tensor = kernels.biased(y, bias)
    return found


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
        return normalised(self.norm, x, scale, shift, activated, bias)[0]


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
        h, x = normalised(self.norm1, x, activated=True)
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
        kernels = _fused(x)
        h, x = normalised(self.norm, x)
        # Laid out anew, as the fused kernels want a head's channels side by side; else torch takes the slowest one
        qkv = convolved(self.qkv, h).flatten(2).transpose(1, 2).contiguous()
        q, k, v = qkv.view(batch, height * width, 3, self.heads, channels // self.heads).permute(2, 0, 3, 1, 4)
        h = F.scaled_dot_product_attention(q, k, v)
        h = h.transpose(1, 2).reshape(batch, height * width, channels).transpose(1, 2)
        h = h.reshape(batch, channels, height, width)
        if kernels is None:
            return x + self.out(h)
        total: Tensor = kernels.biased_sum(x, _unbiased(self.out, h), self.out.bias)
        return total


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
        return convolved(self.conv, self.norm(x, embedding))


class Upsample(nn.Module):
    """Doubles height and width: nearest neighbour, then a convolution."""

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.norm = ConditionedNorm(channels, embedding)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        return convolved(self.conv, F.interpolate(self.norm(x, embedding), scale_factor=2.0, mode="nearest"))
