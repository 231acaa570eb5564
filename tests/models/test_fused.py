"""The kernels of a GPU against torch's own operations in float64, run by Triton's interpreter on the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("triton")

# Each line printed: a name, and the largest relative error of a result or of a gradient
KERNELS = """
import json, torch
from torch.nn import functional as F
from memsweep.models import fused
from memsweep.models.fused import biased, biased_sum, fused_norm, joined

def error(left, right):
    return float((left - right).abs().max() / right.abs().max())

torch.manual_seed(0)
shapes = [(2, 8, 4, 4, 2), (3, 24, 8, 8, 4), (2, 192, 4, 4, 32), (2, 12, 2, 2, 1), (1, 64, 16, 16, 16),
          (2, 20, 6, 10, 5), (2, 128, 6, 6, 32), (3, 192, 7, 9, 32)]
for images, channels, height, width, groups in shapes:
    for of_each_image in (False, True):
        for activated in (False, True):
            x = torch.randn(images, channels, height, width).mul(2).add(1).requires_grad_()
            bias = torch.randn(channels, requires_grad=True)
            size = (images, 2 * channels) if of_each_image else (2 * channels,)
            both = torch.randn(size, requires_grad=True)

            def reference(x, bias, both):
                scale, shift = both.chunk(2, dim=-1)
                x = F.group_norm(x + bias[:, None, None], groups, eps=1e-5)
                x = x * (scale + of_each_image)[..., None, None] + shift[..., None, None]
                return F.silu(x) if activated else x

            scale, shift = both.chunk(2, dim=-1)
            found, beside = fused_norm(x, groups, scale, shift, 1e-5, int(of_each_image), activated, bias)
            exact = reference(*(each.double() for each in (x, bias, both)))
            slope, of_x = torch.randn_like(found), torch.randn_like(x)
            leaves = [x, bias, both]
            outputs, slopes = (found, exact), (slope, slope.double())
            if activated:  # and once with something else done with x
                outputs, slopes = ((found, beside), (exact, x)), ((slope, of_x), (slope.double(), of_x))
            gradients = (torch.autograd.grad(o, leaves, s) for o, s in zip(outputs, slopes))
            name = f"{images}x{channels}x{height}x{width}, {groups} groups, {of_each_image}, {activated}"
            print(json.dumps([name, max(error(found, exact), *map(error, *gradients))]))
def compared(name, found, exact, leaves):
    slope = torch.randn_like(exact)
    gradients = (torch.autograd.grad(each, leaves, slope) for each in (found, exact))
    print(json.dumps([name, max(error(found, exact), *map(error, *gradients))]))

x, y = (torch.randn(3, 12, 5, 6, requires_grad=True) for _ in range(2))
bias = torch.randn(12, requires_grad=True)
compared("sum", biased_sum(x, y, bias), x + y + bias[:, None, None], [x, y, bias])
fused.channels.PARTS = 4  # so that a program of a sum has several tiles to add
for images, channels, height, width in ((3, 12, 5, 6), (1, 1, 1, 1), (9, 200, 24, 24)):
    x, bias = (torch.randn(size, requires_grad=True) for size in ((images, channels, height, width), (channels,)))
    compared(f"bias of {channels}", biased(x + bias.detach()[:, None, None], bias), x + bias[:, None, None], [x, bias])
for first, second in ((12, 5), (1, 1), (64, 130)):
    x, y = (torch.randn(3, channels, 9, 7, requires_grad=True) for channels in (first, second))
    compared(f"{first} and {second} joined", joined(x, y), torch.cat([x, y], dim=1), [x, y])
"""

NETWORK = """
import json, torch
from memsweep.models import blocks, fused, unet

torch.manual_seed(0)
network = unet.UNet((3, 8, 8), 4, 12, channel_multipliers=(1, 2), blocks=1, attention_levels=(1,), embedding=8)
with torch.no_grad():
    for parameter in network.parameters():
        parameter.copy_(0.2 * torch.randn(parameter.shape))
inputs = torch.randn(3, 3, 8, 8), torch.rand(3), torch.tensor([0, 1, 3])
results = []
for kernels in (None, fused):
    blocks._fused = lambda x: kernels
    result = network(*inputs)
    results.append([result, *torch.autograd.grad(result.square().mean(), list(network.parameters()))])
for number, (plain, fused) in enumerate(zip(*results)):
    print(json.dumps([str(number), float((plain - fused).norm() / plain.norm())]))
"""


def errors(code: str) -> dict[str, float]:
    """What a process prints in which the kernels are interpreted, as its name is read when Triton is loaded."""
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines())


def test_the_kernels_agree_with_float64() -> None:
    """Over groups and images of many sizes, whole and in parts, with a scale of their own and one for each image."""
    found = errors(KERNELS)
    assert len(found) == 39
    assert {name: error for name, error in found.items() if error > 3e-6} == {}


def test_a_network_has_the_same_gradients_by_either_way() -> None:
    found = errors(NETWORK)
    assert len(found) > 60
    assert {name: error for name, error in found.items() if error > 2e-5} == {}
