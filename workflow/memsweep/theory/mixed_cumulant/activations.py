"""The non-linearities of the single unit, each with its derivative."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Activation:
    """A non-linearity σ.

    Attributes:
        both: h to (σ(h), σ'(h)), element by element; where σ has a kink, either one-sided derivative.
        kinks: places where σ or a derivative of it jumps.
    """

    both: Callable[[Tensor], tuple[Tensor, Tensor]]
    kinks: tuple[float, ...] = ()


CLIP = 3.0
"""Where `cubic` becomes constant: |h| at which -He₃(h)/6 = ∓3."""

SHRINKAGE = 1.0
"""Below this |h|, `soft_threshold` is 0."""


def _identity(h: Tensor) -> tuple[Tensor, Tensor]:
    return h, torch.ones_like(h)


def _relu(h: Tensor) -> tuple[Tensor, Tensor]:
    return h.clamp(min=0), (h > 0).to(h.dtype)


def _tanh(h: Tensor) -> tuple[Tensor, Tensor]:
    value = torch.tanh(h)
    return value, 1 - value.square()


def _sine(h: Tensor) -> tuple[Tensor, Tensor]:
    return torch.sin(h), torch.cos(h)


def _cubic(h: Tensor) -> tuple[Tensor, Tensor]:
    """-He₃(h)/6 = (3h - h³)/6, its argument clipped to [-3, 3]."""
    inside = h.clamp(-CLIP, CLIP)
    square = inside.square()
    return inside * (3 - square) / 6, (1 - square) / 2 * (h == inside)


def _soft_threshold(h: Tensor) -> tuple[Tensor, Tensor]:
    value = h - h.clamp(-SHRINKAGE, SHRINKAGE)
    return value, (value != 0).to(h.dtype)


ACTIVATIONS = {
    "identity": Activation(_identity),
    "relu": Activation(_relu, (0.0,)),
    "tanh": Activation(_tanh),
    "sine": Activation(_sine),
    "cubic": Activation(_cubic, (-CLIP, CLIP)),
    "soft_threshold": Activation(_soft_threshold, (-SHRINKAGE, SHRINKAGE)),
}
"""By the name that a config gives them."""
