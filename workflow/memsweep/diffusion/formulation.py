"""What the network learns and how images are drawn from it, as the config's ``formulation`` says.

A formulation is a process between images and noise (`flow.RectifiedFlow` or `ddpm.DDPM`) and
what is done with labels: dropped in training for some of the images, so that one network is
conditional and unconditional, and used for guidance in sampling (Ho & Salimans 2022, arXiv
2207.12598). The common currency is the time: 0 at the clean image, 1 at pure noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from .ddpm import DDPM
from .denoiser import Denoiser, guided
from .rectified_flow import RectifiedFlow


class Process(Protocol):
    """A way from images to noise, the field that a network learns of it, and the way back."""

    def loss(self, network: Denoiser, clean: Tensor, noise: Tensor, time: Tensor, label: Tensor) -> Tensor:
        """Mean squared error per pixel of the network's prediction.

        Args:
            network: the denoiser.
            clean: images scaled to [-1, 1], (B, C, H, W).
            noise: standard normal, (B, C, H, W).
            time: noise levels in [0, 1], (B,).
            label: classes, (B,), int64.

        Returns:
            One loss per image, (B,).
        """
        ...

    def shares(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """The shares a and s of a noisy image a x + s z, at the times (B,) that `loss` shows the network."""
        ...

    def field(self, clean: Tensor, noise: Tensor) -> Tensor:
        """What the network is to predict of an image and a noise; linear in both. All are (B, ...) of one shape."""
        ...

    def sample(self, network: Denoiser, latents: Tensor, label: Tensor) -> Tensor:
        """Generate images, deterministically.

        Args:
            network: the denoiser.
            latents: standard normal, (B, C, H, W).
            label: classes, (B,), int64.

        Returns:
            Images on the scale of the training images, (B, C, H, W), not clipped.
        """
        ...


PROCESSES: Mapping[str, Callable[[int], Process]] = {"rectified_flow": RectifiedFlow, "ddpm": DDPM}


@dataclass(frozen=True)
class Formulation:
    """A process, and the use of labels.

    Attributes:
        process: what is learnt, and how it is sampled from.
        classes: number of classes, whose labels are 0 ... classes - 1.
        label_dropout: probability that an image is trained on without its label. At 1 the
            model is unconditional: losses and samples, too, are those without a label.
        guidance: weight w of `denoiser.guided`; 0 is plain sampling.
    """

    process: Process
    classes: int
    label_dropout: float = 0.0
    guidance: float = 0.0

    @property
    def labels(self) -> int:
        """How many labels the network must know: the classes and, where labels are dropped, the null label."""
        return self.classes + (self.label_dropout > 0)

    @property
    def null_label(self) -> int:
        """The label that stands for none."""
        return self.classes

    @property
    def unconditional(self) -> bool:
        """Whether no image ever has a label."""
        return self.label_dropout == 1

    def drop_labels(self, label: Tensor, chance: Tensor) -> Tensor:
        """The labels (B,) of a training step, each replaced by the null label with probability ``label_dropout``.

        Args:
            label: classes, (B,), int64.
            chance: independent draws, uniform in [0, 1), (B,).
        """
        return label.masked_fill(chance < self.label_dropout, self.null_label)

    def loss(self, network: Denoiser, clean: Tensor, noise: Tensor, time: Tensor, label: Tensor) -> Tensor:
        """Squared error per pixel of each image, (B,); as `Process.loss`."""
        return self.process.loss(network, clean, noise, time, self._shown(label))

    @torch.no_grad()
    def sample(self, network: Denoiser, latents: Tensor, label: Tensor) -> Tensor:
        """Generate images, (B, C, H, W); as `Process.sample`, with guidance."""
        if self.guidance:
            network = guided(network, self.null_label, self.guidance)
        return self.process.sample(network, latents, self._shown(label))

    def _shown(self, label: Tensor) -> Tensor:
        return torch.full_like(label, self.null_label) if self.unconditional else label


def build_formulation(settings: Mapping[str, Any], classes: int) -> Formulation:
    """The formulation of a config.

    Args:
        settings: the config's ``formulation``.
        classes: number of classes of the dataset.
    """
    process = PROCESSES[settings["name"]](settings["sampling_steps"])
    return Formulation(process, classes, settings["label_dropout"], settings["guidance"])
