"""What a study will cost, before anything is spent: floating-point operations, memory, disk and hours.

Counted from the shape of the network alone, so that the workflow can ask for time and memory
without loading torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .network_cost import FLOAT, NetworkCost, network_cost
from .run import Run
from .schedule import evaluation_steps, sampled_steps

HALF = 2  # of a bfloat16
WORKSPACES = 512 * 2**20  # that cuBLAS and cuDNN keep for a stream, as seen on an H100
# Activations that a GPU keeps where norms are not fused with what follows them, over those counted: the most seen
UNFUSED = 1.6
# Weights, gradients and averaged weights are on the device while training, beside what the optimiser keeps
COPIES_IN_MEMORY = 3
# Weights and averaged weights are in a checkpoint, beside the same
COPIES_ON_DISK = 2
# The backward pass takes two products for each one of the forward pass
FORWARD_PASSES_A_STEP = 3
# Bytes a noisy image takes in the table of losses, which holds it once an evaluation
LOSS_BYTES = 5


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

    @property
    def disk_bytes(self) -> float:
        """All that stays on disk."""
        return self.checkpoint_bytes + self.sample_bytes + self.loss_bytes

    def times(self, count: int) -> Cost:
        """That of so many runs alike."""
        return replace(self, **{name: count * getattr(self, name) for name in _SUMS})

    def hours(self, tflops: float) -> float:
        """Hours of one device that sustains ``tflops`` 10^12 operations per second."""
        return (self.training_flops + self.evaluation_flops) / (tflops * 1e12) / 3600


def run_cost(config: Mapping[str, Any], run: Run, network: NetworkCost, image_bytes: int) -> Cost:
    """The cost of one run of a resolved configuration; ``image_bytes``: uint8 values of one image."""
    evaluation, training = config["evaluation"], config["training"]
    kept = kept_by_optimiser(training)
    schedule = training["budget"], evaluation, run.train_size, run.batch_size
    evaluations, sampled = len(evaluation_steps(*schedule)), len(sampled_steps(*schedule))
    samples = sampled * evaluation["samples"]
    losses = evaluations * (2 + len(evaluation["surrogates"])) * evaluation["images"]
    copies = (COPIES_ON_DISK + kept) * training["keep_states"] + sampled * training["keep_averages"]
    # Guidance asks the network twice
    passes_a_sample = config["formulation"]["sampling_steps"] * (2 if config["formulation"]["guidance"] else 1)
    forward_passes = losses + samples * passes_a_sample
    return Cost(
        runs=1,
        parameters=network.parameters,
        training_flops=FORWARD_PASSES_A_STEP * network.forward_flops * run.batch_size * run.max_steps,
        evaluation_flops=network.forward_flops * forward_passes,
        memory_bytes=training_memory(network, -(-run.batch_size // training["accumulate"]), kept),
        checkpoint_bytes=copies * FLOAT * network.parameters,
        # Once in the checkpoint folder and once in the pack's table
        sample_bytes=2 * samples * image_bytes,
        loss_bytes=2 * losses * LOSS_BYTES,
    )


def kept_by_optimiser(training: Mapping[str, Any]) -> int:
    """Numbers that the optimiser keeps of each weight, from step to step.

    Args:
        training: the config's section of that name, or of a job's settings, in which options that are off are missing.

    Returns:
        2 for Adam and AdamW, their moments; 1 for SGD with momentum, 0 without.
    """
    if training.get("optimizer") == "sgd":
        return int(training.get("momentum", 0) > 0)
    return 2


def training_memory(network: NetworkCost, images: int, kept: int) -> float:
    """Bytes of device memory that training takes in float32.

    Args:
        network: what is trained.
        images: that are computed at once.
        kept: by `kept_by_optimiser`.
    """
    return (COPIES_IN_MEMORY + kept) * FLOAT * network.parameters + network.saved_bytes * images


def gpu_memory(network: NetworkCost, images: int, precision: str, kept: int) -> float:
    """Bytes that a run takes of a GPU on which others train; arguments as of `training_memory`.

    Beside what `training_memory` counts: the difference that moves the average, libraries' workspaces and, in
    bfloat16, the weights and gradients of the network that computes, whose activations are half as large; in float32
    norms are not fused with what follows them, and more is kept.
    """
    half = precision == "bfloat16"
    copies = (COPIES_IN_MEMORY + kept + 1) * FLOAT + (2 * HALF if half else 0)
    share = {"float32": UNFUSED, "tf32": 1.0, "bfloat16": HALF / FLOAT}[precision]
    return copies * network.parameters + network.saved_bytes * images * share + WORKSPACES


def evaluation_memory(network: NetworkCost, images: int, precision: str) -> float:
    """Bytes that evaluating runs of one architecture takes of a GPU, in passes of so many images."""
    size = HALF if precision == "bfloat16" else FLOAT
    return size * network.parameters + network.forward_bytes * images * size / FLOAT + WORKSPACES


def labels_known(config: Mapping[str, Any], classes: int) -> int:
    """How many labels the networks of a resolved config know, as `formulation.Formulation.labels`."""
    return classes + (config["formulation"]["label_dropout"] > 0)


class Costs:
    """The cost of each run of a study, counted once for all that cost as much."""

    def __init__(self, config: Mapping[str, Any], image_shape: tuple[int, int, int], classes: int) -> None:
        """config: resolved; image_shape: (channels, height, width); classes: number of labels of the images."""
        self._config, self._shape, self._classes = config, image_shape, classes
        self._networks: dict[tuple[Any, ...], NetworkCost] = {}
        self._runs: dict[tuple[Any, ...], Cost] = {}

    def __call__(self, run: Run) -> Cost:
        """The cost of one run.

        Raises:
            UserError: as of `network_cost.network_cost`.
        """
        # In one study the settings tell the sections
        network = run.base_channels, *run.settings.values()
        key = *network, run.train_size, run.batch_size, run.max_steps
        if key not in self._runs:
            config = run.within(self._config)
            if network not in self._networks:
                labels = labels_known(config, self._classes)
                self._networks[network] = network_cost(self._shape, labels, run.base_channels, config["network"])
            self._runs[key] = run_cost(config, run, self._networks[network], math.prod(self._shape))
        return self._runs[key]


def study_cost(
    config: Mapping[str, Any],
    runs: Iterable[tuple[Run, int]],
    image_shape: tuple[int, int, int],
    classes: int,
) -> dict[str, Cost]:
    """The cost of a study by network.

    Args:
        config: resolved configuration.
        runs: each with how many cost as much, as of `grid.kinds_of_runs`.
        image_shape: (channels, height, width).
        classes: number of labels of the images.

    Returns:
        Base channels, and what else tells the network, to the cost of the runs that have it.
    """
    cost_of = Costs(config, image_shape, classes)
    found: dict[str, list[Cost]] = {}
    for run, count in runs:
        found.setdefault(_network_label(run), []).append(cost_of(run).times(count))
    return {label: together(costs) for label, costs in found.items()}


def _network_label(run: Run) -> str:
    """Such as ``16 kind=dit``, of the axes that are the network's."""
    others = (
        f"{axis.removeprefix('network.')}={value}" for axis, value in run.settings.items() if axis.startswith("network")
    )
    return " ".join([str(run.base_channels), *others])


# What adds up over runs
_SUMS = ("runs", "training_flops", "evaluation_flops", "checkpoint_bytes", "sample_bytes", "loss_bytes")


def together(costs: Iterable[Cost]) -> Cost:
    """The cost of several: sums, and the largest network and memory."""
    listed = list(costs)
    largest = ("parameters", "memory_bytes")
    return Cost(
        **{name: sum(getattr(cost, name) for cost in listed) for name in _SUMS},
        **{name: max(getattr(cost, name) for cost in listed) for name in largest},
    )


def bytes_label(count: float) -> str:
    """A number of bytes in three digits and its unit: 1.5 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
