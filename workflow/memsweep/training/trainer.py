"""Trains one run: an optimiser on the denoising loss, and a moving average of the weights.

A step needs nothing from the host but the order of the images, which is laid down for many
steps ahead: images, step counter and draws are on the device, the loss stays there, and no value
decides what is done next. So a step can be replayed as one CUDA graph, and is the same code on a
CPU.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..data.images import DeviceImages, ImageSet, scaled
from ..data.randomness import BatchOrder, Draws, generator, logit_normal_times, stratified_times
from ..diffusion.formulation import Formulation
from ..models.network import Network
from ..models.registry import build
from ..study.run import Run
from .cuda_graphs import STRIDE, StepGraph
from .optimisation import RateSchedule, build_optimiser

# Steps whose images are laid down at a time, and whose losses are kept.
WINDOW = 256
# The precisions in which a GPU's convolutions want an image's channels side by side. With the fused kernels that take
# them so, a step of the paper's network takes 0.6 of the time on an H100; in float32 it would take a little longer.
CHANNELS_LAST: tuple[str, ...] = ("tf32", "bfloat16")


@dataclass(frozen=True)
class TrainingOptions:
    """What of the config's ``training`` decides a run's numbers.

    Attributes:
        ema_decay: decay of the averaged weights.
        precision: ``float32``; ``tf32``, the same but for products on a GPU, which round their factors to
            ten bits; or ``bfloat16``: forward and backward pass in bfloat16, from float32 weights that
            are updated in float32.
        gradient_clip: largest norm of the gradient; 0 is no limit.
        accumulate: parts in which a batch is computed, one after the other.
        optimizer, weight_decay, momentum: as of `optimisation.build_optimiser`.
        warmup_steps: of `optimisation.RateSchedule`.
        schedule: ``constant``, or ``cosine``: the rate falls until the run ends.
        schedule_floor: the share of the learning rate to which it falls.
        flip: whether each image of a batch is mirrored left to right with probability 1/2.
        time_sampling: distribution of the training times: ``uniform``, or ``logit_normal``.
        time_location, time_scale: of `randomness.logit_normal_times`.
    """

    ema_decay: float
    precision: str = "float32"
    gradient_clip: float = 0.0
    accumulate: int = 1
    optimizer: str = "adam"
    weight_decay: float = 0.0
    momentum: float = 0.0
    warmup_steps: int = 0
    schedule: str = "constant"
    schedule_floor: float = 0.0
    flip: bool = False
    time_sampling: str = "uniform"
    time_location: float = 0.0
    time_scale: float = 1.0

    @classmethod
    def of(cls, training: Mapping[str, Any]) -> TrainingOptions:
        """The options among the settings of a config's ``training``."""
        given = {key: training[key] for key in cls.__dataclass_fields__ if key in training}
        given |= {key: int(given[key]) for key in ("accumulate", "warmup_steps") if key in given}
        return cls(**given)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the numbers in the network's passes."""
        return torch.bfloat16 if self.precision == "bfloat16" else torch.float32

    def rate_schedule(self, length: int) -> RateSchedule:
        """The learning rate along a run of so many steps; errors as of `optimisation.RateSchedule`."""
        return RateSchedule(self.warmup_steps, length if self.schedule == "cosine" else None, self.schedule_floor)


def build_network(data: ImageSet, run: Run, network: Mapping[str, Any], formulation: Formulation) -> Network:
    """The run's network, initialised from its seed. ``network``: as of `models.registry.build`."""
    height, width, channels = data.shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.seed)
        return build((channels, height, width), formulation.labels, run.base_channels, network)


class Trainer:
    """The state of one run, and the step that advances it.

    The state after s steps is a function of the run's parameters and of the data alone:
    batches, noise, times and dropped labels are derived from (seed, step).

    Attributes:
        step: optimiser steps taken, or handed to the device.
        network: the weights being trained, float32.
        average: their exponential moving average, which is evaluated and sampled from.
    """

    def __init__(
        self,
        data: ImageSet,
        run: Run,
        network: Mapping[str, Any],
        formulation: Formulation,
        options: TrainingOptions,
        device: torch.device | str = "cpu",
        images: DeviceImages | None = None,
        recompute: bool = False,
    ) -> None:
        """Build the run at its step 0.

        Args:
            data: the prepared dataset.
            run: the run.
            network: as of `build_network`.
            formulation: what is learnt.
            options: how it is learnt.
            device: where.
            images: the training images there, the run's in their places, to share them with other runs.
            recompute: keep activations of no block, and compute them again in the backward pass.
        """
        self.run = run
        self.formulation = formulation
        self.device = torch.device(device)
        self.options = options
        self.step = self._begun = 0
        self.network = build_network(data, run, network, formulation).to(self.device)
        if self.device.type == "cuda" and self.network.channels_last and options.precision in CHANNELS_LAST:
            self.network.to(memory_format=torch.channels_last)  # as its convolutions want it
        self.average = copy.deepcopy(self.network).requires_grad_(False).eval()
        self._working = self.network
        if options.dtype != torch.float32:
            self._working = self.network.in_precision(options.dtype)
        self._working.recompute = recompute
        self._weights: list[Tensor] = list(self.network.parameters())
        self._working_weights: list[Tensor] = list(self._working.parameters())
        self._averages: list[Tensor] = list(self.average.parameters())
        self._images = images or DeviceImages.load(data, run.training_set.stop, self.device)
        self._order = BatchOrder(run.seed, run.train_size, run.batch_size)
        self._noise, self._times, self._drops, self._flips = (
            Draws(run.seed, purpose, device=self.device) for purpose in ("noise", "time", "labels", "flips")
        )
        self._dropout = self.network.dropout > 0
        self._count = torch.zeros((), dtype=torch.int64, device=self.device)
        self._window = torch.zeros((WINDOW, run.batch_size), dtype=torch.int64, device=self.device)
        self._seeds = torch.zeros((WINDOW, 4), dtype=torch.int64, device=self.device)
        self._losses = torch.zeros(WINDOW, device=self.device)
        self._schedule = options.rate_schedule(run.max_steps)
        self._rate = torch.tensor(run.learning_rate, device=self.device)
        self._optimiser = self._build_optimiser()
        self._lay_down()
        self._graph: StepGraph | None = None
        # torch draws dropout masks from a state of its own, which must be set before every step
        self._graphed = self.device.type == "cuda" and not self._dropout

    def advance(self, steps: int) -> None:
        """Take several optimiser steps; on a GPU, hand them to it."""
        if self._graphed and self._graph is None:
            self._graph = StepGraph(self._take_step, list(self.state().values()))
            self._refresh_working_weights()
        for _ in range(steps):
            if self._dropout:
                torch.manual_seed(generator(self.run.seed, "dropout", self.step).initial_seed())
            if self._graph:
                self._graph.replay()
            else:
                self._take_step()
            self.step += 1
            if self.step % WINDOW == 0:
                self._lay_down()

    @property
    def stride(self) -> int:
        """Steps to take at a time: one on a CPU, and as many on a GPU as keep it busy meanwhile."""
        return STRIDE if self._graphed else 1

    @property
    def finite(self) -> bool:
        """Whether the losses of the latest batches are numbers; waits for the device."""
        return bool(torch.isfinite(self._losses).all())

    @property
    def ready(self) -> bool:
        """Whether the device has little left to do for this run, so that more may be handed to it."""
        return self._graph is None or self._graph.ready

    def recent_loss(self) -> float:
        """Mean loss of the latest batches that this object was trained on, at most `WINDOW`; waits for the device."""
        steps = torch.arange(max(self._begun, self.step - WINDOW), self.step)
        return float(self._losses[(steps % WINDOW).to(self.device)].mean()) if len(steps) else math.nan

    def _build_optimiser(self) -> torch.optim.Optimizer:
        options, changes = self.options, not self._schedule.constant
        # A rate that stays is a number of the host's where nothing is captured: it has the more digits
        rate = self._rate if changes or self.device.type == "cuda" else self.run.learning_rate
        return build_optimiser(self._weights, options.optimizer, rate, options.weight_decay, options.momentum)

    def _lay_down(self) -> None:
        """Put the order of the images of the coming steps, and the seeds of their draws, on the device."""
        first = self.step - self.step % WINDOW
        steps = torch.arange(first, first + WINDOW)
        order = self.run.training_set.first + torch.stack([self._order(step) for step in steps.tolist()])
        draws = (self._noise, self._times, self._drops, self._flips)
        seeds = torch.stack([each.seeds(steps) for each in draws], dim=1)
        for place, laid in ((self._window, order), (self._seeds, seeds)):
            # Pinned, else the copy would wait for all that the device still has to do
            place.copy_(laid.pin_memory() if self.device.type == "cuda" else laid, non_blocking=True)

    def _take_step(self) -> None:
        slot = (self._count % WINDOW).view(1)
        loss = self._backward(*self._batch(slot))
        if self.options.gradient_clip:
            torch.nn.utils.clip_grad_norm_(self._weights, self.options.gradient_clip)
        if not self._schedule.constant:
            self._rate.copy_(self.run.learning_rate * self._schedule.share(self._count))
        self._optimiser.step()
        self._optimiser.zero_grad()
        self._losses.index_copy_(0, slot, loss.view(1))
        self._count += 1
        with torch.no_grad():
            self._refresh_working_weights()
            self._update_average()

    def _batch(self, slot: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Images, noise, times and labels of the step at a place of the window, (1,)."""
        index = self._window.index_select(0, slot).view(-1)
        noise_seed, time_seed, drop_seed, flip_seed = self._seeds.index_select(0, slot).view(-1)
        clean, label = scaled(self._images.images[index]), self._images.labels[index]
        if self.options.flip:
            clean = _mirrored(clean, self._flips.uniform(flip_seed, len(clean)) < 0.5)
        noise = self._noise.normal(noise_seed, clean.shape)
        time = stratified_times(self._times.uniform(time_seed, len(clean)))
        if self.options.time_sampling == "logit_normal":
            time = logit_normal_times(time, self.options.time_location, self.options.time_scale)
        if self.formulation.label_dropout:
            label = self.formulation.drop_labels(label, self._drops.uniform(drop_seed, len(clean)))
        return clean, noise, time, label

    def _backward(self, clean: Tensor, noise: Tensor, time: Tensor, label: Tensor) -> Tensor:
        """Gradients of the batch's mean loss, which is returned, without dimensions."""
        total = torch.zeros((), device=self.device)
        for part in _parts(len(clean), self.options.accumulate):
            # Every n-th item, so that each part spans all times
            losses = self.formulation.loss(self._working, clean[part], noise[part], time[part], label[part])
            loss = losses.sum() / len(clean)
            loss.backward()
            total = total + loss.detach()
            if self._working is not self.network:
                self._take_over_gradients()
        return total

    @torch.no_grad()
    def _take_over_gradients(self) -> None:
        """Add the gradients of the network that computes to those of the weights, in float32."""
        gradients = [torch.empty_like(weight) for weight in self._weights]
        torch._foreach_copy_(gradients, _gradients(self._working_weights))
        if self._weights[0].grad is not None:
            torch._foreach_add_(gradients, _gradients(self._weights))
        for weight, working, gradient in zip(self._weights, self._working_weights, gradients, strict=True):
            weight.grad, working.grad = gradient, None

    @torch.no_grad()
    def _refresh_working_weights(self) -> None:
        """Round the weights to the precision of the network that computes."""
        if self._working is not self.network:
            torch._foreach_copy_(self._working_weights, self._weights)

    def _update_average(self) -> None:
        """Move the average by a share that is larger in the first steps, so that it forgets the initialisation."""
        warm_up = (1 + self._count) / (10 + self._count)
        share = 1 - warm_up.clamp(max=self.options.ema_decay)
        if self.device.type == "cpu":
            torch._foreach_lerp_(self._averages, self._weights, float(share))
            return
        # The same by tensors alone, as a GPU would have to tell the host a number
        moves = torch._foreach_sub(self._weights, self._averages)
        torch._foreach_mul_(moves, share)
        torch._foreach_add_(self._averages, moves)

    def state(self) -> dict[str, Tensor]:
        """Everything that a step changes and the next one needs, by name.

        ``count``, the steps taken; and of each weight of the network, under ``network.`` and ``average.`` with the
        weight's name, itself and its average, and what the optimiser keeps of it: ``exp_avg.``, ``exp_avg_sq.`` and
        ``step.`` of Adam and AdamW, ``momentum_buffer.`` of SGD with momentum, nothing of SGD without.
        """
        tensors = {"count": self._count}
        for (name, weight), average in zip(self.network.named_parameters(), self._averages, strict=True):
            tensors |= {f"network.{name}": weight.detach(), f"average.{name}": average}
            tensors |= {f"{kind}.{name}": memory for kind, memory in self._optimiser.state[weight].items()}
        return tensors

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a state that `state` returned.

        Raises:
            ValueError: it is that of another network.
        """
        tensors = self.state()
        here, there = ({name: tensor.shape for name, tensor in each.items()} for each in (tensors, state))
        if here != there:
            raise ValueError("the training state is that of another network")
        for name, tensor in tensors.items():
            tensor.copy_(state[name])
        self.step = self._begun = int(state["count"])
        self._refresh_working_weights()
        self._lay_down()


def _mirrored(images: Tensor, chosen: Tensor) -> Tensor:
    """Images (B, C, H, W), left and right exchanged in those that are chosen, (B,)."""
    return torch.where(chosen[:, None, None, None], images.flip(-1), images)


def _gradients(weights: Sequence[Tensor]) -> list[Tensor]:
    return [weight.grad for weight in weights if weight.grad is not None]


def _parts(items: int, parts: int) -> Iterator[slice]:
    """Slices that part so many items; each takes every ``parts``-th."""
    return (slice(start, None, parts) for start in range(min(items, parts)))
