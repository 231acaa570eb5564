"""How weights follow their gradients: the optimiser, and its learning rate as a function of the step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer


def build_optimiser(
    weights: Sequence[Tensor], name: str, rate: float | Tensor, weight_decay: float = 0.0, momentum: float = 0.0
) -> Optimizer:
    """An optimiser whose memory is laid out: what is allocated while a CUDA graph is captured is cleared with it.

    Args:
        weights: what it moves, leaves on one device, which stay as they are.
        name: ``adam`` (Kingma & Ba 2015, arXiv 1412.6980); ``adamw``, whose weights shrink by the share
            ``rate * weight_decay`` at a step, beside Adam's move (Loshchilov & Hutter 2019, arXiv 1711.05101); or
            ``sgd``, in which ``weight_decay`` times the weights is added to the gradient, and so has momentum too.
        rate: step size; a tensor on the device of the weights where it changes, or where steps are captured.
        weight_decay: as ``name`` says; 0 for ``adam``.
        momentum: of ``sgd`` (Polyak 1964): the share of the last move's direction that the next one keeps.
    """
    # What can be captured keeps its step counters on the device, and SGD has none
    capturable = weights[0].device.type == "cuda"
    if name == "sgd":
        optimiser: Optimizer = SGD(weights, lr=rate, momentum=momentum, weight_decay=weight_decay, fused=True)
    elif name == "adamw":
        optimiser = AdamW(weights, lr=rate, weight_decay=weight_decay, fused=True, capturable=capturable)
    else:
        optimiser = Adam(weights, lr=rate, fused=True, capturable=capturable)
    _lay_out_memory(optimiser, weights)
    return optimiser


def _lay_out_memory(optimiser: Optimizer, weights: Sequence[Tensor]) -> None:
    """Make the optimiser allocate all that it keeps, at what it is before any step.

    By a step at a rate of 0, as weight decay moves weights also where gradients are 0.
    """
    for weight in weights:
        weight.grad = torch.zeros_like(weight)
    (group,) = optimiser.param_groups
    rate = group["lr"]
    group["lr"] = torch.zeros_like(rate) if isinstance(rate, Tensor) else 0.0
    optimiser.step()
    group["lr"] = rate
    for memory in optimiser.state.values():
        for tensor in memory.values():
            tensor.zero_()
    optimiser.zero_grad()


@dataclass(frozen=True)
class RateSchedule:
    """The learning rate along a run, as a share of the one that the run has.

    Attributes:
        warmup_steps: w, over which the share grows linearly, from 1 / w at the first step to 1 at step w (Goyal et al.
            2017, arXiv 1706.02677); 0 begins at 1.
        length: T, the steps over which the share then falls to ``floor`` along half a cosine (Loshchilov & Hutter
            2017, arXiv 1608.03983), warm-up included; None where it does not fall.
        floor: the share at the end, after step T.

    Raises:
        ValueError: warm-up takes the whole length.
    """

    warmup_steps: int = 0
    length: int | None = None
    floor: float = 0.0

    def __post_init__(self) -> None:
        if self.length is not None and self.length <= self.warmup_steps:
            raise ValueError(f"a warm-up of {self.warmup_steps} steps is not shorter than all {self.length}")

    @property
    def constant(self) -> bool:
        """Whether the share is 1 at every step."""
        return self.warmup_steps == 0 and self.length is None

    def share(self, taken: Tensor) -> Tensor:
        """The share at the step that follows so many, computed where that number lies; int64 to float64, any shape."""
        done = taken.double()  # float32 has no room for a step among 10^8
        share = ((done + 1) / max(1, self.warmup_steps)).clamp(max=1)
        if self.length is not None:
            way = ((done - self.warmup_steps) / (self.length - self.warmup_steps)).clamp(0, 1)
            share = share * (self.floor + (1 - self.floor) * (1 + torch.cos(math.pi * way)) / 2)
        return share
