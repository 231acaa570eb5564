"""How the runs of a job are trained, and what they share: data, settings, and what of them lies on the device."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..base.devices import Streams
from ..data.images import DeviceImages, ImageSet
from ..diffusion.formulation import Formulation, build_formulation
from ..study.cost import evaluation_memory, gpu_memory, kept_by_optimiser, training_memory
from ..study.network_cost import FLOAT, NetworkCost, network_cost
from ..study.run import Run
from ..training.evaluation import Evaluation, Evaluator, InferenceNetwork, images_a_pass
from ..training.trainer import Trainer, TrainingOptions
from .stopping import ShareOfCopies


@dataclass(frozen=True)
class Way:
    """How runs are trained, which changes none of their numbers.

    Attributes:
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: CPU cores of the job: as many runs are trained side by side there.
        together: runs that are trained side by side on a GPU, at most.
        checkpoint_seconds: least time between two checkpoints of a run.
        stop_after_minutes: of the job, which then saves and ends; 0 is no limit.
        keep_states: whether the training state of a finished run is kept, to continue from.
        recompute: whether activations are computed again in the backward pass, to save memory.
        deterministic: whether only GPU kernels are used that give the same bits every time.
        networks: files of the user's own networks; by its content a run's is found among them.
    """

    device: str = "auto"
    threads: int = 1
    together: int = 16
    checkpoint_seconds: float = 60.0
    stop_after_minutes: float = 0.0
    keep_states: bool = True
    recompute: bool = False
    deterministic: bool = False
    networks: Sequence[Path] = ()


@dataclass
class Workshop:
    """What the runs of a job share: data and settings, and what of them lies on the device."""

    settings: Mapping[str, Any]
    data: ImageSet
    way: Way
    device: torch.device
    share_of_copies: ShareOfCopies | None = None  # for runs that may end once they have memorised
    _images: DeviceImages | None = None
    _evaluators: dict[int, Evaluator] = field(default_factory=dict)
    _networks: dict[int, InferenceNetwork] = field(default_factory=dict)
    evaluating: float = 0.0  # seconds that evaluations of these runs have taken so far
    longest_evaluation: float | None = None  # of them, in seconds

    def __post_init__(self) -> None:
        self.streams = Streams(self.device)
        # Evaluations have one that never trains, of another priority and so not among those: their graphs, captured
        # once, go on using its workspace, and must neither share it with a run nor lose it when the run ends
        on_gpu = self.device.type == "cuda"
        self._evaluation_stream = torch.cuda.Stream(self.device, priority=-1) if on_gpu else None

    @property
    def formulation(self) -> Formulation:
        return build_formulation(self.settings["formulation"], self.data.classes)

    @property
    def options(self) -> TrainingOptions:
        return TrainingOptions.of(self.settings["training"])

    def trainer(self, run: Run) -> Trainer:
        """The run at its step 0."""
        if self._images is None:
            largest = max(fields["train_size"] for fields in self.settings["runs"])
            self._images = DeviceImages.load(self.data, largest, self.device)
        network, recompute = self.settings["network"], self.way.recompute
        return Trainer(
            self.data, run, network, self.formulation, self.options, self.device, self._images, recompute=recompute
        )

    def evaluator(self, train_size: int) -> Evaluator:
        """Of the runs with this training set."""
        if train_size not in self._evaluators:
            self._evaluators[train_size] = Evaluator(
                self.data, train_size, self.settings["evaluation"], self.formulation, self.device
            )
        return self._evaluators[train_size]

    def evaluate(self, trainer: Trainer, sampled: bool) -> Evaluation:
        """Evaluate the averaged weights of a run whose steps are all done; with images where ``sampled``."""
        started = time.monotonic()
        try:
            with torch.cuda.stream(self._evaluation_stream):
                denoiser = self._inference(trainer).load(trainer.average)
                return self.evaluator(trainer.run.train_size)(denoiser, sampled)
        finally:
            if self._evaluation_stream:  # what failed may have left work behind that reads the run's weights
                self._evaluation_stream.synchronize()
            took = time.monotonic() - started
            self.evaluating += took
            self.longest_evaluation = max(took, self.longest_evaluation or 0.0)

    def _inference(self, trainer: Trainer) -> InferenceNetwork:
        """The network that evaluates runs of this one's architecture."""
        size = trainer.run.base_channels
        if size not in self._networks:
            self._networks[size] = InferenceNetwork(trainer.average, self.options.dtype)
        return self._networks[size]

    def memory(self, run: Run) -> int:
        """Bytes that training the run takes, about: its state, and the activations of a batch."""
        images, kept = -(-run.batch_size // self.options.accumulate), kept_by_optimiser(self.settings["training"])
        if self.device.type == "cpu":
            return int(training_memory(self._cost(run), images, kept))
        return int(gpu_memory(self._cost(run), images, self.options.precision, kept))

    def evaluation_memory(self, runs: Iterable[Run]) -> int:
        """Bytes of a GPU that evaluating these runs takes, once for all of an architecture."""
        if self.device.type == "cpu":
            return 0  # where each run's process evaluates when it does not train
        images = images_a_pass(max(self.settings["evaluation"][key] for key in ("images", "samples")))
        costs = {run.base_channels: self._cost(run) for run in runs}
        return int(sum(evaluation_memory(cost, images, self.options.precision) for cost in costs.values()))

    def evaluating_alone(self, run: Run) -> int:
        """Bytes that evaluating the run takes beside its training: what it is evaluated on, and a pass, about."""
        evaluation, cost = self.settings["evaluation"], self._cost(run)
        splits = 2 + len(evaluation.get("surrogates", ()))
        held = FLOAT * math.prod(self.data.shape) * (2 * splits * evaluation["images"] + evaluation["samples"])
        a_pass = images_a_pass(max(evaluation["images"], evaluation["samples"]))
        return int(held + FLOAT * cost.parameters + cost.forward_bytes * a_pass)

    def _cost(self, run: Run) -> NetworkCost:
        height, width, channels = self.data.shape
        shape, labels = (channels, height, width), self.formulation.labels
        return network_cost(shape, labels, run.base_channels, self.settings["network"])
