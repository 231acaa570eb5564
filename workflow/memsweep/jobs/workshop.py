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
from ..study.axes import AXES, SUBSET
from ..study.cost import evaluation_memory, gpu_memory, kept_by_optimiser, training_memory
from ..study.identity import of_length, training_parameters
from ..study.kind import canonical
from ..study.network_cost import FLOAT, NetworkCost, network_cost
from ..study.networks import network_settings
from ..study.run import Run
from ..study.training_sets import TrainingSet
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
        keep_averages: whether the averaged weights of each step at which images are generated are kept.
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
    keep_averages: bool = False
    recompute: bool = False
    deterministic: bool = False
    networks: Sequence[Path] = ()


@dataclass
class Workshop:
    """What the runs of a job share: data and settings, and what of them lies on the device.

    Attributes:
        settings: of the job; of a run they are `Run.within` these.
    """

    settings: Mapping[str, Any]
    data: ImageSet
    way: Way
    device: torch.device
    share_of_copies: ShareOfCopies | None = None  # for runs that may end once they have memorised
    _images: DeviceImages | None = None
    _evaluators: dict[tuple[TrainingSet, str], Evaluator] = field(default_factory=dict)
    _networks: dict[str, InferenceNetwork] = field(default_factory=dict)
    evaluating: float = 0.0  # seconds that evaluations of these runs have taken so far
    longest_evaluation: float | None = None  # of them, in seconds

    def __post_init__(self) -> None:
        self.streams = Streams(self.device)
        # Evaluations have one that never trains, of another priority and so not among those: their graphs, captured
        # once, go on using its workspace, and must neither share it with a run nor lose it when the run ends
        on_gpu = self.device.type == "cuda"
        self._evaluation_stream = torch.cuda.Stream(self.device, priority=-1) if on_gpu else None

    def trainer(self, run: Run) -> Trainer:
        """The run at its step 0."""
        if self._images is None:
            sets = (TrainingSet(told["train_size"], told.get("subset", 0)) for told in self.settings["runs"])
            self._images = DeviceImages.load(self.data, max(each.stop for each in sets), self.device)
        settings = run.within(self.settings)
        return Trainer(
            self.data,
            run,
            settings["network"],
            self.formulation(run),
            TrainingOptions.of(settings["training"]),
            self.device,
            self._images,
            recompute=self.way.recompute,
        )

    def evaluate(self, trainer: Trainer, sampled: bool) -> Evaluation:
        """Evaluate the averaged weights of a run whose steps are all done; with images where ``sampled``."""
        started = time.monotonic()
        try:
            with torch.cuda.stream(self._evaluation_stream):
                denoiser = self._inference(trainer).load(trainer.average)
                return self.evaluator(trainer.run)(denoiser, sampled)
        finally:
            if self._evaluation_stream:  # what failed may have left work behind that reads the run's weights
                self._evaluation_stream.synchronize()
            took = time.monotonic() - started
            self.evaluating += took
            self.longest_evaluation = max(took, self.longest_evaluation or 0.0)

    def formulation(self, run: Run) -> Formulation:
        """What the run learns."""
        return build_formulation(run.within(self.settings)["formulation"], self.data.classes)

    def config(self, run: Run) -> str:
        """What a file of the run's weights says of it, as JSON: of what network they are, trained on what, and how.

        How long it was trained is not among it, unless the learning rate follows the length.
        """
        settings, (height, width, channels) = run.within(self.settings), self.data.shape
        said = {
            "dataset": settings["dataset"],
            "network": network_settings(settings["network"]),
            "image_shape": [channels, height, width],
            "labels": self.formulation(run).labels,
            "formulation": settings["formulation"],
            "training": of_length(training_parameters(settings["training"]), run.max_steps),
        }
        point = {axis: getattr(run, axis) for axis in (*AXES, SUBSET)}
        return canonical({**said, **point})

    def evaluator(self, run: Run) -> Evaluator:
        """Of the runs with this one's training set and formulation."""
        key = run.training_set, canonical(run.within(self.settings)["formulation"])
        if key not in self._evaluators:
            self._evaluators[key] = Evaluator(
                self.data, run.training_set, self.settings["evaluation"], self.formulation(run), self.device
            )
        return self._evaluators[key]

    def _inference(self, trainer: Trainer) -> InferenceNetwork:
        """The network that evaluates runs of this one's architecture."""
        run, dtype = trainer.run, trainer.options.dtype
        network = run.within(self.settings)["network"]
        key = canonical([run.base_channels, network, trainer.formulation.labels, str(dtype)])
        if key not in self._networks:
            self._networks[key] = InferenceNetwork(trainer.average, dtype)
        return self._networks[key]

    def memory(self, run: Run) -> int:
        """Bytes that training the run takes, about: its state, and the activations of a batch."""
        training = run.within(self.settings)["training"]
        options, kept = TrainingOptions.of(training), kept_by_optimiser(training)
        images = -(-run.batch_size // options.accumulate)
        if self.device.type == "cpu":
            return int(training_memory(self._cost(run), images, kept))
        return int(gpu_memory(self._cost(run), images, options.precision, kept))

    def evaluation_memory(self, runs: Iterable[Run]) -> int:
        """Bytes of a GPU that evaluating these runs takes, once for all of an architecture."""
        if self.device.type == "cpu":
            return 0  # where each run's process evaluates when it does not train
        images = images_a_pass(max(self.settings["evaluation"][key] for key in ("images", "samples")))
        costs = {}
        for run in runs:
            settings = run.within(self.settings)
            precision = TrainingOptions.of(settings["training"]).precision
            key = canonical([run.base_channels, settings["network"], precision])
            costs[key] = evaluation_memory(self._cost(run), images, precision)
        return int(sum(costs.values()))

    def evaluating_alone(self, run: Run) -> int:
        """Bytes that evaluating the run takes beside its training: what it is evaluated on, and a pass, about."""
        evaluation, cost = self.settings["evaluation"], self._cost(run)
        splits = 2 + len(evaluation.get("surrogates", ()))
        held = FLOAT * math.prod(self.data.shape) * (2 * splits * evaluation["images"] + evaluation["samples"])
        a_pass = images_a_pass(max(evaluation["images"], evaluation["samples"]))
        return int(held + FLOAT * cost.parameters + cost.forward_bytes * a_pass)

    def _cost(self, run: Run) -> NetworkCost:
        height, width, channels = self.data.shape
        shape, labels = (channels, height, width), self.formulation(run).labels
        return network_cost(shape, labels, run.base_channels, run.within(self.settings)["network"])
