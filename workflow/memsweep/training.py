"""Trains one run: Adam on the denoising loss, and a moving average of the weights."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .formulation import Formulation
from .images import ImageSet, to_network
from .randomness import BatchOrder, generator, stratified_times
from .run import Run
from .unet import UNet


def build_network(data: ImageSet, run: Run, network: Mapping[str, Any], formulation: Formulation) -> UNet:
    """The run's U-Net, initialised from its seed. ``network``: the config's section of that name."""
    height, width, channels = data.shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.seed)
        return UNet((channels, height, width), formulation.labels, run.base_channels, **network)


class Trainer:
    """The state of one run, and the step that advances it.

    The state after s steps is a function of the run's parameters and of the data alone:
    batches, noise, times and dropped labels are derived from (seed, step).

    Attributes:
        step: optimiser steps taken.
        network: the weights being trained.
        average: their exponential moving average, which is evaluated and sampled from.
    """

    def __init__(
        self,
        data: ImageSet,
        run: Run,
        network: Mapping[str, Any],
        formulation: Formulation,
        ema_decay: float,
        device: str,
    ) -> None:
        self.run = run
        self.formulation = formulation
        self.device = device
        self.ema_decay = ema_decay
        self.step = 0
        self.network = build_network(data, run, network, formulation).to(device)
        self.average = copy.deepcopy(self.network).requires_grad_(False).eval()
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=run.learning_rate, fused=True)
        self.images = to_network(data.train.images[: run.train_size]).to(device)
        self.labels = torch.from_numpy(data.train.labels[: run.train_size]).to(device)
        self._dropout = network["dropout"] > 0
        self._order = BatchOrder(run.seed, run.train_size, run.batch_size)
        self._weights = [parameter.detach() for parameter in self.network.parameters()]
        self._averages: list[Tensor] = list(self.average.parameters())

    def advance(self) -> Tensor:
        """Take one optimiser step; returns the batch's loss, a scalar that stays on the device."""
        source = generator(self.run.seed, "step", self.step)
        index = self._order(self.step).to(self.device)
        clean = self.images[index]
        noise = torch.randn(clean.shape, generator=source).to(self.device)
        time = stratified_times(len(clean), source).to(self.device)
        label = self.formulation.drop_labels(self.labels[index], source)
        if self._dropout:  # the one draw that torch makes from its global state
            torch.manual_seed(generator(self.run.seed, "dropout", self.step).initial_seed())
        loss = self.formulation.loss(self.network, clean, noise, time, label).mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.step += 1
        torch._foreach_lerp_(self._averages, self._weights, 1 - self._decay())
        return loss.detach()

    def _decay(self) -> float:
        """The average's decay: shorter in the first steps, so that it forgets the initialisation."""
        return min(self.ema_decay, (1 + self.step) / (10 + self.step))

    def state(self) -> dict[str, Any]:
        """Everything needed to continue from this step."""
        return {
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `state` returned."""
        self.step = state["step"]
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
