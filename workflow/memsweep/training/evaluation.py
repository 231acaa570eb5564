"""What is measured of a run while it trains: paired losses, and samples from fixed latents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..base.errors import UserError
from ..data.images import ImageSet, Split, to_network, to_pixels
from ..data.randomness import generator, stratified_times
from ..diffusion.denoiser import Denoiser
from ..diffusion.formulation import Formulation
from ..models.network import Network
from ..study.training_sets import TrainingSet
from .cuda_graphs import GraphedDenoiser

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

    def to(self, device: torch.device | str) -> NoisyImages:
        """These items on a device."""
        return NoisyImages(**{name: tensor.to(device) for name, tensor in vars(self).items()})


@dataclass(frozen=True)
class Evaluation:
    """What one evaluation found.

    Attributes:
        losses: by split, squared error per pixel of each item, (n,) float32.
        samples: generated images, (n, H, W, C) uint8; none where images were not generated.
    """

    losses: dict[str, np.ndarray]
    samples: np.ndarray

    @property
    def finite(self) -> bool:
        """Whether every loss is a number."""
        return all(np.isfinite(losses).all() for losses in self.losses.values())


def items_of(
    train: Split, splits: Mapping[str, Split], images: int, formulation: Formulation
) -> dict[str, NoisyImages]:
    """The items of runs with one training set: its own, under the name ``train``, and those of further splits.

    Of every split only images whose label was trained: a small training set may lack some, and a network's embedding
    of a label that it never saw is what it was at the start. A model without labels is shown all images.

    Args:
        train: the training set.
        splits: the others, by name.
        images: items of each.
        formulation: of the denoisers.

    Raises:
        UserError: no image of a split has a label that was trained.
    """
    trained = np.unique(train.labels)
    items = {}
    for name, split in {"train": train, **splits}.items():
        known = np.ones(len(split), bool) if formulation.unconditional else np.isin(split.labels, trained)
        if not known.any():
            raise UserError(
                f"grid: found a training set of {len(train)} images with the labels {', '.join(map(str, trained))}, of "
                f"which the split {name} has none; accepted is one of which it has some"
            )
        items[name] = noisy_images(split, images, np.flatnonzero(known))
    return items


def noisy_images(split: Split, images: int, rows: np.ndarray) -> NoisyImages:
    """Pair some of a split's images with times and noise, the same for every split; few are used several times.

    Args:
        split: the images.
        images: how many items.
        rows: which of the images, (n,), at least one.
    """
    source = generator("evaluation", "items")
    index = torch.from_numpy(rows)[torch.arange(images) % len(rows)]
    order = torch.randperm(images, generator=source)
    clean = to_network(split.images[index.numpy()])
    return NoisyImages(
        index=index,
        clean=clean,
        noise=torch.randn(clean.shape, generator=source),
        time=stratified_times(torch.rand(images, generator=source))[order],
        label=torch.from_numpy(split.labels)[index],
    )


def latents_of(count: int, shape: tuple[int, int, int]) -> Tensor:
    """The latents from which all runs of a study are sampled, (count, C, H, W) float32.

    Args:
        count: the config's ``evaluation.samples``; the first of more are others.
        shape: (height, width, channels).
    """
    height, width, channels = shape
    return torch.randn((count, channels, height, width), generator=generator("evaluation", "latents"))


def labels_of(count: int, train: Split) -> Tensor:
    """The labels of these samples, (count,): only those that were trained, as a small set may lack some, in turn."""
    labels = torch.from_numpy(np.unique(train.labels))
    return labels[torch.arange(count) % len(labels)]


class Evaluator:
    """Evaluates denoisers of one training set, always on the same noisy images and latents.

    Everything lies on the device from the beginning; the results leave it once an evaluation.
    """

    def __init__(
        self,
        data: ImageSet,
        training_set: TrainingSet,
        settings: Mapping[str, Any],
        formulation: Formulation,
        device: torch.device | str = "cpu",
    ) -> None:
        """settings: the config's ``evaluation``; formulation: that of the denoisers.

        Raises:
            UserError: as `images.ImageSet.drawn`, of the settings' ``surrogates``, and as `items_of`.
        """
        train = data.training_set(training_set)
        splits = {"test": data.test, **data.drawn(settings.get("surrogates", ()))}
        items = items_of(train, splits, settings["images"], formulation)
        # Of the training set, too, an image's place is that in its split
        items["train"] = replace(items["train"], index=items["train"].index + training_set.first)
        self.items = {name: part.to(device) for name, part in items.items()}
        self.formulation = formulation
        self.latents = latents_of(settings["samples"], data.shape).to(device)
        self.labels = labels_of(settings["samples"], train).to(device)

    @torch.no_grad()
    def __call__(self, network: Denoiser, sampled: bool = True) -> Evaluation:
        """Evaluate.

        Args:
            network: the denoiser, on the device.
            sampled: whether images are generated too.
        """
        losses = {name: self._losses(network, items) for name, items in self.items.items()}
        return Evaluation(losses, self._samples(network, len(self.latents) if sampled else 0))

    def _losses(self, network: Denoiser, items: NoisyImages) -> np.ndarray:
        columns = (items.clean, items.noise, items.time, items.label)
        chunks = zip(*(column.split(images_a_pass(len(items.index))) for column in columns), strict=True)
        result: np.ndarray = torch.cat([self.formulation.loss(network, *chunk) for chunk in chunks]).cpu().numpy()
        return result

    def _samples(self, network: Denoiser, count: int) -> np.ndarray:
        if not count:
            return np.empty((0, *self.latents.permute(0, 2, 3, 1).shape[1:]), np.uint8)
        return generated(self.formulation, network, self.latents, self.labels)


def generated(formulation: Formulation, network: Denoiser, latents: Tensor, labels: Tensor) -> np.ndarray:
    """The images that a denoiser generates, (n, H, W, C) uint8, from latents (n, C, H, W) and labels (n,)."""
    size = images_a_pass(len(latents))
    chunks = zip(latents.split(size), labels.split(size), strict=True)
    return to_pixels(torch.cat([formulation.sample(network, *chunk) for chunk in chunks]))


def images_a_pass(count: int) -> int:
    """Images of a forward pass: at most `CHUNK`, and about the same in each of the passes that so many take."""
    passes = -(-count // CHUNK)
    return -(-count // passes)


class InferenceNetwork:
    """A network to evaluate averaged weights with: on a GPU, its passes are replayed as CUDA graphs.

    Networks of one architecture share one, so that its graphs are captured once a job.
    """

    def __init__(self, network: Network, dtype: torch.dtype) -> None:
        """network: any of its architecture; dtype: the type of the numbers in its passes."""
        self._network = network.in_precision(dtype).requires_grad_(False).eval()
        self._weights: list[Tensor] = list(self._network.parameters())
        on_gpu = self._weights[0].device.type == "cuda"
        self._denoiser: Denoiser = GraphedDenoiser(self._network) if on_gpu else self._network

    @torch.no_grad()
    def load(self, average: Network) -> Denoiser:
        """The denoiser with these weights, until the next call."""
        averages: list[Tensor] = list(average.parameters())
        torch._foreach_copy_(self._weights, averages)
        return self._denoiser
