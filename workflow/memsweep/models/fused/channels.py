# mypy: disable-error-code="no-untyped-def,untyped-decorator"
"""Channels of images put side by side and parted again, and sums over them, on a GPU.

Images are laid out with their channels side by side (`torch.channels_last`), as everywhere here; for what torch does
with parts of such images, and with sums over all their pixels, its kernels take several times as long.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

# Values that a program works on at a time; channels, and programs, of a sum
SIZE, WIDTH, PARTS = 4096, 64, 512


@triton.jit
def _add(x, y, bias, total, channels, count, SIZE: tl.constexpr):
    offset = tl.program_id(0).to(tl.int64) * SIZE + tl.arange(0, SIZE)
    exists = offset < count
    value = tl.load(x + offset, mask=exists).to(tl.float32) + tl.load(y + offset, mask=exists).to(tl.float32)
    value += tl.load(bias + offset % channels, mask=exists).to(tl.float32)
    tl.store(total + offset, value.to(total.dtype.element_ty), mask=exists)


@triton.jit
def _part(both, x, y, of_x, of_y, count, SIZE: tl.constexpr):
    offset = tl.program_id(0).to(tl.int64) * SIZE + tl.arange(0, SIZE)
    exists = offset < count
    pixel, channel = offset // (of_x + of_y), offset % (of_x + of_y)
    value = tl.load(both + offset, mask=exists)
    tl.store(x + pixel * of_x + channel, value, mask=exists & (channel < of_x))
    tl.store(y + pixel * of_y + channel - of_x, value, mask=exists & (channel >= of_x))


@triton.jit(do_not_specialize=["pixels", "length"])
def _sum(x, partial, pixels, channels, length, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    part, channel = tl.program_id(0), tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    total = tl.zeros((ROWS, WIDTH), tl.float32)
    for row in range(0, length, ROWS):
        own = row + tl.arange(0, ROWS)
        pixel = part * length + own
        exists = ((own < length) & (pixel < pixels))[:, None] & (channel < channels)[None, :]
        offset = pixel[:, None].to(tl.int64) * channels + channel[None, :]
        total += tl.load(x + offset, mask=exists, other=0.0).to(tl.float32)
    tl.store(partial + part * channels + channel, tl.sum(total, axis=0), mask=channel < channels)


def _channel_sums(x: Tensor) -> Tensor:
    """Of images (B, C, H, W), over all pixels of all: (C,), float32, in a fixed order."""
    x = x.contiguous(memory_format=torch.channels_last)
    channels = x.shape[1]
    pixels, rows = x.numel() // channels, SIZE // WIDTH
    parts = min(PARTS, triton.cdiv(pixels, rows))
    length = triton.cdiv(pixels, parts)
    partial = x.new_empty((parts, channels), dtype=torch.float32)
    _sum[(parts, triton.cdiv(channels, WIDTH))](x, partial, pixels, channels, length, ROWS=rows, WIDTH=WIDTH)
    return partial.sum(dim=0)


class _BiasedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, bias: Tensor) -> Tensor:
        x, y = (each.contiguous(memory_format=torch.channels_last) for each in (x, y))
        total, count = torch.empty_like(x), x.numel()
        _add[(triton.cdiv(count, SIZE),)](x, y, bias, total, len(bias), count, SIZE=SIZE)
        ctx.dtype = bias.dtype
        return total

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, ...]:
        return slope, slope, _channel_sums(slope).to(ctx.dtype)


def biased_sum(x: Tensor, y: Tensor, bias: Tensor) -> Tensor:
    """x + y + bias: of images (B, C, H, W) and a bias (C,), in one pass."""
    result: Tensor = _BiasedSum.apply(x, y, bias)
    return result


class _Biased(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor) -> Tensor:
        ctx.dtype = bias.dtype
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor]:
        return slope, _channel_sums(slope).to(ctx.dtype)


def biased(x: Tensor, bias: Tensor) -> Tensor:
    """Images (B, C, H, W) to which a bias (C,) has been added already, outside its gradient, which they now bring."""
    result: Tensor = _Biased.apply(x, bias)
    return result


class _Joined(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        ctx.channels = x.shape[1], y.shape[1]
        return torch.cat([x, y], dim=1)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor]:
        slope = slope.contiguous(memory_format=torch.channels_last)
        x, y = (torch.empty_like(slope[:, :channels], memory_format=torch.channels_last) for channels in ctx.channels)
        count = slope.numel()
        _part[(triton.cdiv(count, SIZE),)](slope, x, y, *ctx.channels, count, SIZE=SIZE)
        return x, y


def joined(x: Tensor, y: Tensor) -> Tensor:
    """The channels of two images side by side: (B, C, H, W), (B, D, H, W) to (B, C + D, H, W)."""
    result: Tensor = _Joined.apply(x, y)
    return result
