"""What a model that memorises perfectly generates: the study's own sampler, run with the posterior mean of N images.

From the latents and labels that all runs of a study are sampled from, in float64: the images of a training set, and of
the control set that is disjoint from it, of which a run knows nothing. Only labels that the set has images of are
sampled. How much closer a run's samples come to the first than to the second is the metric ``empirical_distance``.

A posterior mean is a sum over images whose weights soon fall on one of them, and then stay there. At x_t = a x_i + s z,
with z the noise that is predicted where only image i has weight, the log weight of image j is less by

    ρ² |x_i - x_j|² / 2 + ρ z·(x_i - x_j),    ρ = a / s.

Where that is positive it grows with ρ, and ρ grows along every sampler here, each of which keeps x_i and z of a field
that predicts them. So a sample whose other weights have all vanished beside 1 ends at image i: it is looked up no more.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..base.errors import UserError
from ..data.images import ImageSet, Split, encode, read_images, scaled, to_pixels
from ..diffusion.formulation import Formulation, build_formulation
from ..study.training_sets import TrainingSet
from ..tables.contracts.sweep import axis_columns
from ..tables.parquet import image_metadata, write_table
from ..training.evaluation import labels_of, latents_of
from .posterior_means import denoiser

# At most so many samples at a time, and of their values as float64
CHUNK, CHUNK_VALUES = 1024, 2**22
# And of the images
BLOCK, BLOCK_VALUES = 4096, 2**23


def _rows(most: int, values: int, size: int) -> int:
    """How many images of a size fit into a block."""
    return max(1, min(most, values // size))


class Memory:
    """The posterior mean of some noisy images under a set of images, at one noise level after another.

    A `posterior_means.Posterior` for a sampler: it is called with the same noisy images on their way, without labels,
    and follows which of them have come so close to one image that they end there.
    """

    def __init__(self, images: np.ndarray, noisy: int) -> None:
        """images: (n, H, W, C) uint8, n at least 1; noisy: how many images are on their way."""
        size = images[0].size
        self._pixels = torch.from_numpy(images).permute(0, 3, 1, 2).flatten(1).split(_rows(BLOCK, BLOCK_VALUES, size))
        # A set of one block is converted once, a larger one at every step, so that memory does not grow with it
        self._only = [scaled(pixels).double() for pixels in self._pixels] if len(self._pixels) == 1 else None
        self._squares = [block.square().sum(dim=1) for block in self._blocks()]
        self._open = torch.ones(noisy, dtype=torch.bool)
        self._ends = torch.empty((noisy, size), dtype=torch.float64)

    def _blocks(self) -> Iterator[Tensor]:
        """The images as networks see them, (n, d) float64, a block at a time."""
        return iter(self._only) if self._only else (scaled(pixels).double() for pixels in self._pixels)

    def __call__(self, noisy: Tensor, signal: Tensor, sigma: Tensor, label: Tensor) -> Tensor:
        """x̂ (m, d) of the noisy images (m, d) and their shares a and s of image and noise, (m, 1); float64."""
        if self._open.any():
            mean, alone = self._mean(noisy[self._open], signal[self._open], sigma[self._open])
            self._ends[self._open] = mean
            self._open[self._open.clone()] = ~alone
        return self._ends.clone()

    def _mean(self, noisy: Tensor, signal: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """x̂ of some noisy images, and of each whether all weight lies on one image, (m,)."""
        highest = torch.full_like(signal, -torch.inf)
        total, mean = torch.zeros_like(signal), torch.zeros_like(noisy)
        for block, squares in zip(self._blocks(), self._squares, strict=True):
            # -|x_t - a x_i|² / 2 s² without |x_t|², which all i share
            weight = (noisy @ block.T).mul_(signal).sub_(signal.square() / 2 * squares).div_(sigma.square())
            before, highest = highest, torch.maximum(highest, weight.amax(dim=1, keepdim=True))
            weight.sub_(highest).exp_()
            shrunk = (before - highest).exp_()
            total.mul_(shrunk).add_(weight.sum(dim=1, keepdim=True))
            mean.mul_(shrunk).addmm_(weight, block)
        return mean.div_(total), total[:, 0] == 1


def generate(formulation: Formulation, images: Split, latents: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """What the posterior mean of some images generates, by label as a network does.

    Args:
        formulation: without guidance.
        images: at least one.
        latents: (m, C, H, W).
        labels: of the samples, (m,); without meaning to a model that is unconditional.

    Returns:
        Which of the latents have a label that the images have, (k,), increasing; and their samples, (k, C, H, W)
        float64 on the scale of the networks.

    Raises:
        UserError: the formulation has guidance.
    """
    if formulation.guidance:
        raise UserError(
            f"formulation.guidance: found {formulation.guidance:g}; accepted is 0, as a model that memorises is known "
            "in closed form without guidance alone"
        )
    samples = latents.double()
    known = torch.zeros(len(latents), dtype=torch.bool)
    for label in [None] if formulation.unconditional else labels.unique().tolist():
        own = images.images if label is None else images.images[images.labels == label]
        if not len(own):
            continue
        of_label = torch.ones_like(known) if label is None else labels == label
        for rows in of_label.nonzero()[:, 0].split(_rows(CHUNK, CHUNK_VALUES, latents[0].numel())):
            network = denoiser(formulation.process, Memory(own, len(rows)))
            samples[rows] = formulation.sample(network, samples[rows], labels[rows])
        known |= of_label
    return known.nonzero()[:, 0], samples[known]


def write_empirical_samples(settings: Mapping[str, Any], images: Path, output: Path) -> None:
    """Write the table ``empirical_samples`` of all training sets of one size.

    Args:
        settings: ``train_size``; ``subsets`` of this size; ``formulations``, each the config's section with ``values``
            of the axes that lead to it, by column; ``axes``, of the formulation, as in the settings of ``train``;
            ``samples``, of ``evaluation``.
        images: the prepared image table.
        output: receives the table.

    Raises:
        UserError: as `images.read_images`, `ImageSet.check_training_sets` and `generate`.
    """
    torch.set_num_threads(1)
    data = read_images(images)
    sets = [TrainingSet(settings["train_size"], subset) for subset in settings["subsets"]]
    data.check_training_sets(sets)
    parts = []
    for section, chosen in itertools.product(settings["formulations"], sets):
        formulation = build_formulation({key: section[key] for key in section if key != "values"}, data.classes)
        for part in _of_training_set(data, formulation, chosen, settings["samples"]):
            parts.append(part.assign(train_size=chosen.size, subset=chosen.subset, **section["values"]))
    metadata = {**image_metadata(data.shape), "data_hash": data.data_hash}
    write_table(output, "empirical_samples", pd.concat(parts), metadata, extra=axis_columns(settings["axes"]))


def _of_training_set(
    data: ImageSet, formulation: Formulation, chosen: TrainingSet, count: int
) -> Iterator[pd.DataFrame]:
    """What a training set, and what its control set generates from the latents and labels of its runs.

    As for other metrics, a single image is no control set.
    """
    train = data.training_set(chosen)
    latents, labels = latents_of(count, data.shape), labels_of(count, train)
    sets = {"train": train}
    if len(control := control_set(data, chosen)) > 1:
        sets["control"] = control
    for reference, own in sets.items():
        index, samples = generate(formulation, own, latents, labels)
        yield pd.DataFrame(
            {
                "reference": reference,
                "index": index.numpy(),
                "label": None if formulation.unconditional else labels[index].numpy(),
                "image": encode(to_pixels(samples)),
            }
        )


def control_set(data: ImageSet, chosen: TrainingSet) -> Split:
    """The images of `TrainingSet.control`."""
    rows = np.array(chosen.control(len(data.train), len(data.test)), dtype=np.int64)
    both: Sequence[Split] = (data.train, data.test)
    images, labels = (np.concatenate([getattr(split, part) for split in both])[rows] for part in ("images", "labels"))
    return Split(images, labels)
