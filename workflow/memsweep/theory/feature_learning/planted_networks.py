"""The same network under two objectives: the U-Net of the sweep, and its activations in the middle as features.

It is trained to denoise framed images (`planted`), by the sweep's own `training.trainer.Trainer` and without labels;
and, its activations in the middle followed by one linear layer, to classify them by the hard feature.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...data.images import ImageSet, to_network
from ...data.randomness import BatchOrder, generator
from ...diffusion.formulation import Formulation
from ...models.unet import UNet
from ...study.run import Run
from ...training.trainer import Trainer, TrainingOptions
from .planted import Planted

# Images a forward pass
_CHUNK = 256

# Features keep a grid of so many cells a side of the middle level
_GRID = 2


class Trunk(nn.Module):
    """A U-Net up to its middle: images (B, C, H, W) and times (B,) to features (B, features)."""

    def __init__(self, network: UNet) -> None:
        super().__init__()
        self.network = network
        self._middle: list[Tensor] = []
        network.middle_out.register_forward_hook(lambda _module, _inputs, output: self._middle.append(output))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        self.network(x, time, torch.zeros(len(x), dtype=torch.int64))
        return self.features()

    def features(self) -> Tensor:
        """Those of the images that the network saw last."""
        middle = self._middle.pop()
        return F.adaptive_avg_pool2d(middle, _GRID).flatten(1)


def train_denoiser(data: ImageSet, run: Run, settings: Mapping[str, Any], formulation: Formulation) -> UNet:
    """The averaged U-Net after all steps of the sweep's own training."""
    trainer = Trainer(data, run, settings["network"], formulation, TrainingOptions(settings["ema_decay"]))
    trainer.advance(run.max_steps)
    return cast(UNet, trainer.average)


def train_classifier(trunk: Trunk, train: Planted, run: Run) -> nn.Linear:
    """Train trunk and a linear layer on the hard feature, with the denoiser's batches and optimiser."""
    images, targets = to_network(train.images), torch.from_numpy(train.hard)
    order = BatchOrder(run.seed, run.train_size, run.batch_size)
    with torch.random.fork_rng(devices=[]):  # of the linear layer, and of dropout where there is any
        torch.manual_seed(generator(run.seed, "linear layer").initial_seed())
        width = trunk(images[:1], torch.zeros(1)).shape[1]
        head = nn.Linear(width, 2)
        optimiser = torch.optim.Adam([*trunk.parameters(), *head.parameters()], lr=run.learning_rate, fused=True)
        trunk.train()
        for step in range(run.max_steps):
            index = order(step)
            loss = F.cross_entropy(head(trunk(images[index], torch.zeros(len(index)))), targets[index])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    trunk.eval()
    return head


@torch.no_grad()
def features_of(trunk: Trunk, images: Planted, noise_level: float, formulation: Formulation) -> np.ndarray:
    """Features of images at a noise level, (n, features); an image is under the same noise for every network."""
    clean = to_network(images.images)
    noise = torch.randn(clean.shape, generator=generator("probe noise"))
    parts = []
    for x, z in zip(clean.split(_CHUNK), noise.split(_CHUNK), strict=True):
        # What the formulation shows the network at that time
        formulation.loss(
            trunk.network, x, z, torch.full((len(x),), noise_level), torch.zeros(len(x), dtype=torch.int64)
        )
        parts.append(trunk.features())
    return torch.cat(parts).double().numpy()
