"""The averaged weights that a checkpoint holds, and the network that they are of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..base.errors import UserError
from ..base.sealed import Damaged
from ..base.tensors import load_tensors, tensors_metadata
from ..jobs.checkpoints import AVERAGES, STATE, average_weights
from ..models.network import Network
from ..models.registry import build


def kept(checkpoint: Path) -> dict[int, Path]:
    """The file that has averaged weights of a run, by the step that they are of; errors as of `tensors_metadata`.

    Args:
        checkpoint: the run's folder.
    """
    state = [checkpoint / STATE] if (checkpoint / STATE).exists() else []
    return dict(sorted((_step(path), path) for path in [*state, *checkpoint.glob(AVERAGES)]))


def _step(path: Path) -> int:
    try:
        return int(tensors_metadata(path)["step"])
    except (KeyError, ValueError):
        raise Damaged(f"{path}: does not say of which step it is; accepted is a file that memsweep wrote") from None


def chosen_step(checkpoint: Path, step: int | None) -> int:
    """The step whose weights are meant: the last that were kept, where it is not said.

    Raises:
        UserError: those of this step were not kept, or none were.
    """
    steps = list(kept(checkpoint))
    if not steps:
        raise UserError(
            f"{checkpoint}: holds no weights; training.keep_states keeps those of a run's end, training.keep_averages "
            "those of each step at which a run generates images, as long as it is still to reach it"
        )
    if step is None:
        return steps[-1]
    if step not in steps:
        raise UserError(
            f"step: found {step}, whose weights were not kept; accepted is {_one_of(steps)}. training.keep_averages "
            "keeps those of each step at which a run generates images, as long as it is still to reach it"
        )
    return step


def _one_of(steps: list[int]) -> str:
    return f"{steps[0]}, the only one" if len(steps) == 1 else f"one of {', '.join(map(str, steps))}"


def load_model(
    checkpoint: Path,
    step: int,
    image_shape: tuple[int, int, int],
    labels: int,
    base_channels: int,
    network: Mapping[str, Any],
) -> Network:
    """A run's network with its averaged weights, on the CPU, as it is evaluated.

    Args:
        checkpoint: the run's folder, whose name is its id.
        step: one of `kept`.
        image_shape, labels, base_channels, network: as of `models.registry.build`.

    Raises:
        UserError: the file is damaged, or its weights are those of another run or network.
    """
    path = kept(checkpoint)[step]
    tensors, metadata = load_tensors(path)
    if metadata.get("run_id") != checkpoint.name:
        raise Damaged(f"{path}: of the run {metadata.get('run_id')}, not of {checkpoint.name}")
    with torch.random.fork_rng(devices=[]):  # drawing initial weights is nobody's business
        model = build(image_shape, labels, base_channels, network)
    _load(model, average_weights(tensors), path)
    return model.requires_grad_(False).eval()


@torch.no_grad()
def _load(model: Network, weights: Mapping[str, Tensor], path: Path) -> None:
    parameters = dict(model.named_parameters())
    here, there = ({name: tensor.shape for name, tensor in each.items()} for each in (parameters, weights))
    if here != there:
        raise UserError(f"{path}: its weights are those of another network than this version of memsweep builds of it")
    for name, parameter in parameters.items():
        parameter.copy_(weights[name])
