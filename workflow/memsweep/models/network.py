"""What training asks of every network, beside its forward pass."""

from __future__ import annotations

import copy
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class Network(nn.Module):
    """Predicts a field of the image's shape from noisy images, their times and their labels.

    A kind of network is a subclass, made of the image shape (C, H, W), the number of labels, the base channels and the
    keys of its kind, whose ``forward`` maps x (B, C, H, W), time (B,) in [0, 1] and label (B,) int64 to (B, C, H, W),
    of the type of its weights. A new one predicts 0, so that a run starts at the loss of no prediction. Its state is in
    its parameters alone: of buffers, none changes.

    Attributes:
        channels_last: whether its convolutions want an image's channels side by side on a GPU.
        dropout: the largest probability with which it drops a value in training.
        recompute: whether activations inside its blocks are computed again in the backward pass rather than kept: less
            memory, a third more time, the same numbers.
    """

    channels_last: ClassVar[bool] = False

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        self.recompute = False

    def in_precision(self, dtype: torch.dtype) -> Self:
        """A copy whose weights are of another type; buffers, such as the angles of noise levels, keep theirs."""
        network = copy.deepcopy(self)
        for weight in network.parameters():
            weight.data = weight.data.to(dtype)
        return network

    def _through(self, block: nn.Module, *inputs: Tensor) -> Tensor:
        """What a block makes of its inputs; its activations are kept unless `recompute`."""
        if self.recompute and torch.is_grad_enabled():
            options: dict[str, Any] = {"use_reentrant": False, "preserve_rng_state": self.dropout > 0}
            found: Tensor = checkpoint(block, *inputs, **options)
            return found
        return block(*inputs)


def count_parameters(network: nn.Module) -> int:
    """The number of trainable parameters P."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
