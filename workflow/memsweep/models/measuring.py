"""What a network of the user's own costs: nobody can count it, so it is looked at while it computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from .network import count_parameters
from .own import own_network

_IMAGES = 2


def measure(
    image_shape: tuple[int, int, int], classes: int, base_channels: int, network: Mapping[str, Any]
) -> dict[str, float]:
    """The fields of `study.network_cost.NetworkCost`, of a forward pass on the CPU; arguments as of `registry.build`.

    Counted are the operations of products, convolutions and attention that torch knows; one's own kernels count for
    nothing. Where nothing is kept for a backward pass it is taken to need as much at once as is kept with one.
    """
    built = own_network(image_shape, classes, base_channels, network)
    inputs = torch.randn(_IMAGES, *image_shape), torch.rand(_IMAGES), torch.zeros(_IMAGES, dtype=torch.int64)
    kept: dict[int, int] = {}

    def remember(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        held.append(tensor)  # so that no other takes its place
        return tensor

    held: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(remember, lambda tensor: tensor):
        built(*inputs)
    # torch counts the products of this kernel of attention alone
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        built(*inputs)
    weights = {weight.untyped_storage().data_ptr() for weight in built.parameters()}
    saved = sum(size for place, size in kept.items() if place not in weights) / _IMAGES
    return {
        "parameters": count_parameters(built),
        "forward_flops": counter.get_total_flops() / _IMAGES,
        "saved_bytes": saved,
        "forward_bytes": saved,
    }
