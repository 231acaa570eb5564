"""What is measured of a run while it trains: paired losses, and samples from fixed latents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .denoiser import Denoiser
from .errors import UserError
from .formulation import Formulation
from .images import ImageSet, Split, to_network, to_pixels
from .randomness import generator, stratified_times

# Images a forward pass of an evaluation: large enough to be fast, small enough for any memory.
CHUNK = 512


@dataclass(frozen=True)
class NoisyImages:
    """Items on which the loss is evaluated: the same images, times and noise at every step of every run.

    Attributes:
        index: rows of the clean images in their split, (n,).
        clean, noise: (n, C, H, W). time: (n,) in [0, 1]. label: (n,).
    """

    index: Tensor
    clean: Tensor
    noise: Tensor
    time: Tensor
    label: Tensor


@dataclass(frozen=True)
class Evaluation:
    """What one evaluation found.

    Attributes:
        losses: by split, squared error a pixel of each item, (n,) float32.
        samples: generated images, (n, H, W, C) uint8.
    """

    losses: dict[str, np.ndarray]
    samples: np.ndarray

    @property
    def finite(self) -> bool:
        """Whether every loss is a number."""
        return all(np.isfinite(losses).all() for losses in self.losses.values())


def noisy_images(split: Split, images: int) -> NoisyImages:
    """Pair a split's images with times and noise, the same for every split; a small one is used several times."""
    source = generator("evaluation", "items")
    index = torch.arange(images) % len(split)
    order = torch.randperm(images, generator=source)
    clean = to_network(split.images[index.numpy()])
    return NoisyImages(
        index=index,
        clean=clean,
        noise=torch.randn(clean.shape, generator=source),
        time=stratified_times(images, source)[order],
        label=torch.from_numpy(split.labels)[index],
    )


class Evaluator:
    """Evaluates denoisers of one training set, always on the same noisy images and latents."""

    def __init__(
        self, data: ImageSet, train_size: int, settings: Mapping[str, Any], formulation: Formulation, device: str
    ) -> None:
        """settings: the config's ``evaluation``; formulation: that of the denoisers.

        Raises:
            UserError: the data hold no draws of a surrogate that the settings name.
        """
        train = Split(data.train.images[:train_size], data.train.labels[:train_size])
        missing = [name for name in settings.get("surrogates", ()) if name not in data.surrogates]
        if missing:
            raise UserError(f"evaluation.surrogates: found {', '.join(missing)}, of which no draws are given")
        surrogates = {name: data.surrogates[name] for name in settings.get("surrogates", ())}
        self.items = {
            name: noisy_images(split, settings["images"])
            for name, split in {"train": train, "test": data.test, **surrogates}.items()
        }
        height, width, channels = data.shape
        self.formulation = formulation
        self.device = device
        self.latents = torch.randn(
            (settings["samples"], channels, height, width), generator=generator("evaluation", "latents")
        )
        # Only labels that were trained, each as often: a small training set may lack some
        trained = torch.from_numpy(train.labels).unique()
        self.labels = trained[torch.arange(settings["samples"]) % len(trained)]

    @torch.no_grad()
    def __call__(self, network: Denoiser) -> Evaluation:
        losses = {name: self._losses(network, items) for name, items in self.items.items()}
        chunks = zip(self.latents.split(CHUNK), self.labels.split(CHUNK), strict=True)
        samples = [
            to_pixels(self.formulation.sample(network, latents.to(self.device), labels.to(self.device)))
            for latents, labels in chunks
        ]
        return Evaluation(losses, np.concatenate(samples))

    def _losses(self, network: Denoiser, items: NoisyImages) -> np.ndarray:
        columns = (items.clean, items.noise, items.time, items.label)
        chunks = zip(*(column.split(CHUNK) for column in columns), strict=True)
        losses = [self.formulation.loss(network, *(part.to(self.device) for part in chunk)).cpu() for chunk in chunks]
        result: np.ndarray = torch.cat(losses).numpy()
        return result
