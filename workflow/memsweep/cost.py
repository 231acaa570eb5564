"""What a study will cost, before anything is spent: floating-point operations, memory, disk and hours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from .run import Run
from .schedule import evaluation_steps
from .unet import UNet, count_parameters

FLOAT = 4  # bytes of a float32
# Weights, gradients, Adam's two moments and the averaged weights are on the device while training
COPIES_IN_MEMORY = 5
# Weights, averaged weights and Adam's two moments are in a checkpoint
COPIES_ON_DISK = 4
# The backward pass takes two products for each one of the forward pass
FORWARD_PASSES_A_STEP = 3
# Bytes a noisy image takes in the table of losses, which holds it once an evaluation
LOSS_BYTES = 5


@dataclass(frozen=True)
class NetworkCost:
    """What one network costs.

    Attributes:
        parameters: P.
        forward_flops: floating-point operations (a multiplication and an addition are two) of one
            image's forward pass.
        saved_bytes: activations that one image keeps for the backward pass, float32.
    """

    parameters: int
    forward_flops: float
    saved_bytes: float


@dataclass(frozen=True)
class Cost:
    """What runs cost together.

    Attributes:
        runs: number of runs.
        parameters: of the largest network.
        training_flops, evaluation_flops: floating-point operations.
        memory_bytes: device memory of the largest run when it trains alone in float32.
        checkpoint_bytes, sample_bytes, loss_bytes: disk; samples before compression.
    """

    runs: int
    parameters: int
    training_flops: float
    evaluation_flops: float
    memory_bytes: float
    checkpoint_bytes: float
    sample_bytes: float
    loss_bytes: float

    def hours(self, tflops: float) -> float:
        """Hours of one device that sustains ``tflops`` 10^12 operations a second."""
        return (self.training_flops + self.evaluation_flops) / (tflops * 1e12) / 3600


def network_cost(network: UNet, image_shape: tuple[int, int, int]) -> NetworkCost:
    """Count a network's operations and activations, without data and without memory.

    Args:
        network: on the device ``meta``.
        image_shape: (channels, height, width).
    """
    images, time = torch.zeros(2, *image_shape, device="meta"), torch.zeros(2, device="meta")
    label = torch.zeros(2, dtype=torch.long, device="meta")
    weights = {_storage(parameter) for parameter in network.parameters()}
    kept: list[Tensor] = []  # alive, so that no storage is given out twice

    def remember(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with FlopCounterMode(display=False) as counter, torch.autograd.graph.saved_tensors_hooks(remember, lambda t: t):
        network(images, time, label)
    saved = {_storage(tensor): tensor.untyped_storage().nbytes() for tensor in kept}
    activations = sum(size for storage, size in saved.items() if storage not in weights)
    return NetworkCost(count_parameters(network), counter.get_total_flops() / 2, activations / 2)


def _storage(tensor: Tensor) -> int:
    """What tells apart the memory of two tensors, also on the device ``meta``."""
    return tensor.untyped_storage()._cdata


def run_cost(config: Mapping[str, Any], run: Run, network: NetworkCost, image_bytes: int) -> Cost:
    """The cost of one run of a resolved configuration; ``image_bytes``: uint8 values of one image."""
    evaluation, training = config["evaluation"], config["training"]
    evaluations = len(evaluation_steps(training["budget"], evaluation, run.train_size, run.batch_size))
    sampled = evaluation["samples"] * config["formulation"]["sampling_steps"]
    forward_passes = evaluations * (2 * evaluation["images"] + sampled)
    return Cost(
        runs=1,
        parameters=network.parameters,
        training_flops=FORWARD_PASSES_A_STEP * network.forward_flops * run.batch_size * run.max_steps,
        evaluation_flops=network.forward_flops * forward_passes,
        memory_bytes=training_memory(network, run.batch_size),
        checkpoint_bytes=COPIES_ON_DISK * FLOAT * network.parameters,
        # Once in the checkpoint folder and once in the pack's table
        sample_bytes=2 * evaluations * evaluation["samples"] * image_bytes,
        loss_bytes=2 * evaluations * 2 * evaluation["images"] * LOSS_BYTES,
    )


def training_memory(network: NetworkCost, images: int) -> float:
    """Bytes of device memory that training takes in float32, when so many images are computed at once."""
    return COPIES_IN_MEMORY * FLOAT * network.parameters + network.saved_bytes * images


def study_cost(
    config: Mapping[str, Any], runs: Iterable[Run], image_shape: tuple[int, int, int], classes: int
) -> dict[int, Cost]:
    """The cost of a study by model size.

    Args:
        config: resolved configuration.
        runs: its runs.
        image_shape: (channels, height, width).
        classes: number of labels.

    Returns:
        Base channels to the cost of the runs that have them.
    """
    networks: dict[int, NetworkCost] = {}
    costs: dict[int, Cost] = {}
    channels, height, width = image_shape
    for run in runs:
        size = run.base_channels
        if size not in networks:
            with torch.device("meta"):
                networks[size] = network_cost(UNet(image_shape, classes, size, **config["network"]), image_shape)
        one = run_cost(config, run, networks[size], channels * height * width)
        costs[size] = together([costs[size], one]) if size in costs else one
    return costs


def together(costs: Iterable[Cost]) -> Cost:
    """The cost of several: sums, and the largest network and memory."""
    listed = list(costs)
    sums = ("runs", "training_flops", "evaluation_flops", "checkpoint_bytes", "sample_bytes", "loss_bytes")
    largest = ("parameters", "memory_bytes")
    return Cost(
        **{name: sum(getattr(cost, name) for cost in listed) for name in sums},
        **{name: max(getattr(cost, name) for cost in listed) for name in largest},
    )
