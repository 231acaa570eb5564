"""Group normalisation, scale and shift, and SiLU in one pass over the images, on a GPU.

Between two convolutions a U-Net normalises, scales, shifts and activates: as kernels of their own these read and
write every image some twenty times a step, which takes longer than the convolutions. Here a first kernel sums
over each image's pixels and a second one writes the result; likewise on the way back. Images are laid out with
their channels side by side (`torch.channels_last`), as the convolutions of a GPU want them. Sums are in float32 and
in a fixed order, so results have the same bits every time.

With x̂ the normalised x + o, o the bias of the convolution before, a the scale and b the shift, z = a x̂ + b and
y = z σ(z). Backwards, with dz = dy · dy/dz and means over a group's channels and pixels:
dx = (a dz - ⟨a dz⟩ - x̂ ⟨a dz x̂⟩) / std, db = Σ dz, da = Σ dz x̂, do = Σ dx. To dx comes the gradient of what
else is done with x.
"""

# mypy: disable-error-code="no-untyped-def,untyped-decorator"

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

# Values that a program works on at a time, and with how many warps; programs that keep a large GPU busy, and the most
# of them for one image
TILE, WARPS, BUSY, MOST = 4096, 4, 1024, 32

# Numbers by which no kernel is compiled anew
COUNTS = (
    "pixels",
    "groups",
    "length",
    "splits",
    "scale_stride",
    "shift_stride",
    "eps",
    "added",
    "activated",
    "biased",
    "joined",
)


@triton.jit
def _tile(image, split, row, pixels, channels, length, channel, inside, ROWS: tl.constexpr):
    """Offsets of the channels of some of a program's pixels, and which of them exist."""
    own = row + tl.arange(0, ROWS)
    pixel = split * length + own
    offset = (image * pixels + pixel)[:, None].to(tl.int64) * channels + channel[None, :]
    return offset, ((own < length) & (pixel < pixels))[:, None] & inside[None, :]


@triton.jit
def _channels(block, groups, PER: tl.constexpr, PADDED: tl.constexpr, GROUPS: tl.constexpr):
    """The channels of a block of groups; those of a group are padded to a power of two."""
    place = tl.arange(0, GROUPS * PADDED)
    group, member = block * GROUPS + place // PADDED, place % PADDED
    # Where no padding is needed, said so that the compiler sees whole rows, to read at once
    channel = block * GROUPS * PADDED + place if PER == PADDED else group * PER + member
    return channel, (member < PER) & (group < groups)


@triton.jit
def _bias(bias, biased, channel, inside):
    """That of the convolution before, or 0 where it left none."""
    return tl.where(biased != 0, tl.load(bias + channel, mask=inside, other=0.0).to(tl.float32), 0.0)


@triton.jit
def _over_group(values, PADDED: tl.constexpr, GROUPS: tl.constexpr):
    """The sum over its group, at each channel."""
    total = tl.sum(tl.reshape(values, (GROUPS, PADDED)), axis=1)
    return tl.reshape(tl.broadcast_to(total[:, None], (GROUPS, PADDED)), (GROUPS * PADDED,))


@triton.jit
def _sum_of_parts(partial, image, splits, channels, channel, inside, MOST_SPLITS: tl.constexpr):
    """What the programs of one image summed, together: (channels,)."""
    part = tl.arange(0, MOST_SPLITS)
    offset = (image * splits + part)[:, None] * channels + channel[None, :]
    return tl.sum(tl.load(partial + offset, mask=(part < splits)[:, None] & inside[None, :], other=0.0), axis=0)


@triton.jit(do_not_specialize=COUNTS)
def _sum_forward(
    x, bias, biased, sums, squares, pixels, channels, groups, length,
    PER: tl.constexpr, PADDED: tl.constexpr, GROUPS: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    image, block, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    channel, inside = _channels(block, groups, PER, PADDED, GROUPS)
    bias_here = _bias(bias, biased, channel, inside)
    total = tl.zeros((ROWS, GROUPS * PADDED), tl.float32)
    square = tl.zeros((ROWS, GROUPS * PADDED), tl.float32)
    for row in range(0, length, ROWS):
        offset, exists = _tile(image, split, row, pixels, channels, length, channel, inside, ROWS)
        value = tl.load(x + offset, mask=exists, other=0.0).to(tl.float32)
        value = tl.where(exists, value + bias_here[None, :], 0.0)
        total += value
        square += value * value
    place = (image * tl.num_programs(2) + split) * channels + channel
    tl.store(sums + place, tl.sum(total, axis=0), mask=inside)
    tl.store(squares + place, tl.sum(square, axis=0), mask=inside)


@triton.jit(do_not_specialize=COUNTS)
def _write_forward(
    x, bias, biased, sums, squares, scale, shift, y, means, inverses, normals, pixels, channels, groups, length, splits,
    scale_stride, shift_stride, eps, added, activated,
    PER: tl.constexpr, PADDED: tl.constexpr, GROUPS: tl.constexpr, ROWS: tl.constexpr,
    MOST_SPLITS: tl.constexpr,
):  # fmt: skip
    image, block, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    channel, inside = _channels(block, groups, PER, PADDED, GROUPS)
    count = pixels * PER
    total = _sum_of_parts(sums, image, splits, channels, channel, inside, MOST_SPLITS)
    mean = _over_group(total, PADDED, GROUPS) / count
    square = _over_group(_sum_of_parts(squares, image, splits, channels, channel, inside, MOST_SPLITS), PADDED, GROUPS)
    inverse = 1 / tl.sqrt(tl.maximum(square / count - mean * mean, 0.0) + eps)
    if split == 0:
        tl.store(means + image * channels + channel, mean, mask=inside)
        tl.store(inverses + image * channels + channel, inverse, mask=inside)
        tl.store(normals + image * channels + channel, (total - pixels * mean) * inverse, mask=inside)
    a = tl.load(scale + image * scale_stride + channel, mask=inside, other=0.0).to(tl.float32) + added
    b = tl.load(shift + image * shift_stride + channel, mask=inside, other=0.0).to(tl.float32)
    slope = a * inverse
    level = b + (_bias(bias, biased, channel, inside) - mean) * slope
    for row in range(0, length, ROWS):
        offset, exists = _tile(image, split, row, pixels, channels, length, channel, inside, ROWS)
        z = tl.load(x + offset, mask=exists, other=0.0).to(tl.float32) * slope[None, :] + level[None, :]
        z = tl.where(activated != 0, z * tl.sigmoid(z), z)
        tl.store(y + offset, z.to(y.dtype.element_ty), mask=exists)


@triton.jit
def _slopes(x, dy, offset, exists, mean, inverse, a, b, activated):
    """x̂ and dz of a tile."""
    normal = (tl.load(x + offset, mask=exists, other=0.0).to(tl.float32) - mean[None, :]) * inverse[None, :]
    dz = tl.load(dy + offset, mask=exists, other=0.0).to(tl.float32)
    z = normal * a[None, :] + b[None, :]
    sigmoid = tl.sigmoid(z)
    dz = tl.where(activated != 0, dz * sigmoid * (1 + z * (1 - sigmoid)), dz)
    return tl.where(exists, normal, 0.0), dz


@triton.jit(do_not_specialize=COUNTS)
def _sum_backward(
    x, bias, biased, dy, scale, shift, means, inverses, shifts, scales, pixels, channels, groups, length,
    scale_stride, shift_stride, added, activated,
    PER: tl.constexpr, PADDED: tl.constexpr, GROUPS: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    image, block, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    channel, inside = _channels(block, groups, PER, PADDED, GROUPS)
    mean = tl.load(means + image * channels + channel, mask=inside, other=0.0)
    mean = mean - _bias(bias, biased, channel, inside)  # of x alone
    inverse = tl.load(inverses + image * channels + channel, mask=inside, other=0.0)
    a = tl.load(scale + image * scale_stride + channel, mask=inside, other=0.0).to(tl.float32) + added
    b = tl.load(shift + image * shift_stride + channel, mask=inside, other=0.0).to(tl.float32)
    of_shift = tl.zeros((ROWS, GROUPS * PADDED), tl.float32)
    of_scale = tl.zeros((ROWS, GROUPS * PADDED), tl.float32)
    for row in range(0, length, ROWS):
        offset, exists = _tile(image, split, row, pixels, channels, length, channel, inside, ROWS)
        normal, dz = _slopes(x, dy, offset, exists, mean, inverse, a, b, activated)
        of_shift += dz
        of_scale += dz * normal
    place = (image * tl.num_programs(2) + split) * channels + channel
    tl.store(shifts + place, tl.sum(of_shift, axis=0), mask=inside)
    tl.store(scales + place, tl.sum(of_scale, axis=0), mask=inside)


@triton.jit(do_not_specialize=COUNTS)
def _write_backward(
    x, bias, biased, dy, scale, shift, means, inverses, shifts, scales, normals, beside, joined,
    dx, dscale, dshift, dbias, pixels, channels, groups, length, splits,
    scale_stride, shift_stride, added, activated,
    PER: tl.constexpr, PADDED: tl.constexpr, GROUPS: tl.constexpr, ROWS: tl.constexpr,
    MOST_SPLITS: tl.constexpr,
):  # fmt: skip
    image, block, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    channel, inside = _channels(block, groups, PER, PADDED, GROUPS)
    mean = tl.load(means + image * channels + channel, mask=inside, other=0.0)
    mean = mean - _bias(bias, biased, channel, inside)  # of x alone
    inverse = tl.load(inverses + image * channels + channel, mask=inside, other=0.0)
    a = tl.load(scale + image * scale_stride + channel, mask=inside, other=0.0).to(tl.float32) + added
    b = tl.load(shift + image * shift_stride + channel, mask=inside, other=0.0).to(tl.float32)
    of_shift = _sum_of_parts(shifts, image, splits, channels, channel, inside, MOST_SPLITS)
    of_scale = _sum_of_parts(scales, image, splits, channels, channel, inside, MOST_SPLITS)
    if split == 0:
        tl.store(dshift + image * channels + channel, of_shift, mask=inside)
        tl.store(dscale + image * channels + channel, of_scale, mask=inside)
    a = tl.where(inside, a, 0.0)
    count = pixels * PER
    constant = _over_group(a * of_shift, PADDED, GROUPS) / count
    linear = _over_group(a * of_scale, PADDED, GROUPS) / count
    if split == 0:
        normal_sum = tl.load(normals + image * channels + channel, mask=inside, other=0.0)
        of_bias = (a * of_shift - pixels * constant - linear * normal_sum) * inverse
        tl.store(dbias + image * channels + channel, of_bias, mask=inside)
    for row in range(0, length, ROWS):
        offset, exists = _tile(image, split, row, pixels, channels, length, channel, inside, ROWS)
        normal, dz = _slopes(x, dy, offset, exists, mean, inverse, a, b, activated)
        value = (dz * a[None, :] - constant[None, :] - normal * linear[None, :]) * inverse[None, :]
        value += tl.load(beside + offset, mask=exists & (joined != 0), other=0.0).to(tl.float32)
        tl.store(dx + offset, value.to(dx.dtype.element_ty), mask=exists)


class _Plan:
    """How the work on images of one shape is divided among programs."""

    def __init__(self, x: Tensor, groups: int) -> None:
        self.images, self.channels, height, width = x.shape
        self.pixels, self.groups = height * width, groups
        per = self.channels // groups
        padded = triton.next_power_of_2(per)
        together = min(triton.next_power_of_2(groups), max(1, 128 // padded))
        rows = max(1, TILE // (together * padded))
        blocks = triton.cdiv(groups, together)
        wanted = triton.next_power_of_2(triton.cdiv(BUSY, self.images * blocks))
        self.splits = min(wanted, triton.next_power_of_2(triton.cdiv(self.pixels, rows)), MOST)
        self.length = triton.cdiv(self.pixels, self.splits)
        self.grid = (self.images, blocks, self.splits)
        self.sizes = {"PER": per, "PADDED": padded, "GROUPS": together, "ROWS": rows, "num_warps": WARPS}


class _FusedNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        bias: Tensor | None,
        scale: Tensor,
        shift: Tensor,
        groups: int,
        eps: float,
        added: int,
        activated: bool,
    ) -> tuple[Tensor, Tensor]:
        given = x.view_as(x)
        x = x.contiguous(memory_format=torch.channels_last)
        plan = _Plan(x, groups)
        partial = x.new_empty((2, plan.images, plan.splits, plan.channels), dtype=torch.float32)
        moments = x.new_empty((3, plan.images, plan.channels), dtype=torch.float32)
        ctx.biased = int(bias is not None)
        bias = scale if bias is None else bias  # of which nothing is used then
        y = torch.empty_like(x)
        strides = [0 if each.dim() == 1 else each.stride(0) for each in (scale, shift)]
        shape, kind = (plan.pixels, plan.channels, plan.groups, plan.length), (float(added), int(activated))
        _sum_forward[plan.grid](x, bias, ctx.biased, *partial, *shape, **plan.sizes)
        _write_forward[plan.grid](
            x, bias, ctx.biased, *partial, scale, shift, y, *moments, *shape, plan.splits, *strides, eps, *kind,
            **plan.sizes, MOST_SPLITS=MOST,
        )  # fmt: skip
        ctx.save_for_backward(x, bias, scale, shift, moments)
        ctx.plan, ctx.strides, ctx.kind = plan, strides, kind
        ctx.set_materialize_grads(False)
        return y, given

    @staticmethod
    def backward(ctx: Any, dy: Tensor, beside: Tensor | None) -> tuple[Tensor | None, ...]:
        x, bias, scale, shift, moments = ctx.saved_tensors
        plan: _Plan = ctx.plan
        dy = dy.contiguous(memory_format=torch.channels_last)
        joined = int(beside is not None)
        beside = dy if beside is None else beside.contiguous(memory_format=torch.channels_last)
        partial = x.new_empty((2, plan.images, plan.splits, plan.channels), dtype=torch.float32)
        slopes = x.new_empty((3, plan.images, plan.channels), dtype=torch.float32)
        dx = torch.empty_like(x)
        shape = plan.pixels, plan.channels, plan.groups, plan.length
        given = x, bias, ctx.biased, dy, scale, shift, *moments[:2], *partial
        _sum_backward[plan.grid](*given, *shape, *ctx.strides, *ctx.kind, **plan.sizes)
        _write_backward[plan.grid](
            *given, moments[2], beside, joined, dx, *slopes, *shape, plan.splits, *ctx.strides, *ctx.kind,
            **plan.sizes, MOST_SPLITS=MOST,
        )  # fmt: skip
        dscale, dshift = (slopes[:2].sum(dim=1) if scale.dim() == 1 else slopes[:2]).to(scale.dtype)
        dbias = slopes[2].sum(dim=0).to(bias.dtype) if ctx.biased else None
        return dx, dbias, dscale, dshift, None, None, None, None


def fused_norm(
    x: Tensor,
    groups: int,
    scale: Tensor,
    shift: Tensor,
    eps: float,
    added: int = 0,
    activated: bool = False,
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Group normalisation of x + bias, times (scale + added), plus shift, and SiLU where ``activated``.

    Args:
        x: (B, C, H, W), float32 or bfloat16; best laid out as `torch.channels_last`.
        groups: of channels, which are normalised together.
        scale, shift: (C,), or one for each image, (B, C), whose channels lie side by side.
        eps: added to the variance.
        added: 1 where the scale is the difference from 1.
        activated: whether SiLU follows.
        bias: (C,), of the convolution that made ``x``, where it left that to this.

    Returns:
        (B, C, H, W), of the type of ``x``, laid out as `torch.channels_last`; and ``x``, for what else is done with
        it: so the gradients of both come to the kernel of the way back, which adds them as it writes.
    """
    result: tuple[Tensor, Tensor] = _FusedNorm.apply(x, bias, scale, shift, groups, eps, added, activated)
    return result
