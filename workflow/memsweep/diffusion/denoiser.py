"""A denoiser: what is trained and sampled from; and classifier-free guidance, which makes one of two."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Denoiser(Protocol):
    """A network of (noisy images (B, C, H, W), times (B,), labels (B,)) to a field (B, C, H, W)."""

    def __call__(self, x: Tensor, time: Tensor, label: Tensor, /) -> Tensor: ...


def guided(network: Denoiser, null_label: int, weight: float) -> Denoiser:
    """The denoiser of classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598, eq. 6).

    It predicts (1 + w) · conditional - w · unconditional. The formula is stated for the noise;
    as its weights sum to one, it means the same for any field that is affine in the noise at
    given noisy image and time, such as the velocity of a rectified flow.

    Args:
        network: the denoiser, trained with and without labels.
        null_label: the label that stands for none.
        weight: w; 0 is plain conditional prediction.
    """

    def field(x: Tensor, time: Tensor, label: Tensor, /) -> Tensor:
        conditional = network(x, time, label)
        unconditional = network(x, time, torch.full_like(label, null_label))
        return (1 + weight) * conditional - weight * unconditional

    return field
