"""The stage ``train``: the runs that one job trains, each resumed from where it stands."""

from __future__ import annotations

import dataclasses
import functools
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..base.devices import claimed_device, set_up_gpu
from ..base.interruption import stop_requests
from ..base.records import record_pack
from ..data.images import ImageSet, encode, read_images
from ..diffusion.formulation import build_formulation
from ..models.network import count_parameters
from ..models.own import check
from ..study.kind import canonical
from ..study.networks import is_built_in, located, options
from ..study.run import Run
from ..study.training_sets import TrainingSet
from ..tables.contracts import SCHEMAS
from ..tables.contracts.sweep import axis_columns
from ..tables.parquet import image_metadata, write_table
from ..training.evaluation import Evaluator, NoisyImages
from ..training.trainer import TrainingOptions, build_network
from ..training.version import TRAINING_VERSION
from .concurrency import places, train_in_processes, train_in_turn
from .member import Member, pace_of
from .progress import TrainingProgress
from .stopping import ShareOfCopies
from .workshop import Way, Workshop


def train_pack(
    settings: Mapping[str, Any],
    images: Path,
    checkpoints: Path,
    output: Path,
    way: Way,
    surrogates: Path | None = None,
    share_of_copies: ShareOfCopies | None = None,
) -> None:
    """Train the runs of a pack that are not finished, and write the tables of all of them.

    Args:
        settings: ``runs`` (fields of `study.run.Run`), and the config's ``dataset``, ``network``,
            ``formulation``, ``training`` and ``evaluation``; where the runs have more axes, ``axes``: of each
            its ``name``, and ``column``, ``type`` and ``meaning`` in the table ``runs``.
        images: the prepared image table.
        checkpoints: folder with one checkpoint per run id.
        output: folder that receives ``runs``, ``losses`` and ``samples``, as Parquet, and what they come from.
        way: how the runs are trained.
        surrogates: the table of those that ``evaluation`` names; not needed where it names none.
        share_of_copies: by what runs have memorised; not needed where none may end for that.

    Raises:
        UserError: the device does not exist, a checkpoint is damaged, a surrogate or training
            images are missing, the images are those of another study, or a run failed.
        Interrupted: the job received SIGTERM or SIGINT.
        TimeIsUp: it has taken as long as ``way`` lets it.
        StartAgain: a GPU's memory ran out in a way that only a new process can get over.
    """
    torch.set_num_threads(1)
    read = functools.partial(read_images, images, surrogates)
    data = read()
    # Before any run starts
    data.check_settings(images, settings["dataset"])
    data.drawn(settings["evaluation"].get("surrogates", ()))
    runs = [Run(**fields) for fields in settings["runs"]]
    data.check_training_sets(run.training_set for run in runs)
    provenance = {"data_hash": data.data_hash, "code_version": TRAINING_VERSION}
    members = []
    for run in runs:
        source = _network_source(run.within(settings)["network"])
        members.append(Member.open(_at_hand(run, settings, way), checkpoints, {**provenance, **source}, settings))
    waiting = [member for member in members if not member.complete]
    if waiting:
        _check_networks(waiting, data)
        _train(waiting, len(members), settings, data, read, way, share_of_copies)
    write_tables(members, data, settings, output)
    record_pack(settings, provenance, output)
    _say_sizes(members, output)


def _at_hand(run: Run, settings: Mapping[str, Any], way: Way) -> Run:
    """The run whose network of the user's own says where it lies here; errors as of `networks.located`."""
    network = run.within(settings)["network"]
    if is_built_in(network):
        return run
    return dataclasses.replace(run, sections={**run.sections, "network": located(network, way.networks)})


def _network_source(network: Mapping[str, Any]) -> dict[str, str]:
    """What is recorded of a network of the user's own: its name and what it is known by."""
    return {} if is_built_in(network) else {"network": f"{network['kind']} {network['source']}"}


def _check_networks(waiting: Sequence[Member], data: ImageSet) -> None:
    """Hold networks of the user's own, in each of their sizes, against what they have to be.

    Raises:
        UserError: as of `models.own.check`.
    """
    height, width, channels = data.shape
    seen = set()
    for member in waiting:
        settings, size = member.settings, member.run.base_channels
        formulation = build_formulation(settings["formulation"], data.classes)
        dtype = TrainingOptions.of(settings["training"]).dtype
        key = canonical([settings["network"], size, formulation.labels, formulation.unconditional, str(dtype)])
        if not is_built_in(settings["network"]) and key not in seen:
            seen.add(key)
            network = (channels, height, width), formulation.labels, size, settings["network"]
            check(*network, tuple(dict.fromkeys([torch.float32, dtype])), labelled=not formulation.unconditional)


def _say_sizes(members: Sequence[Member], output: Path) -> None:
    """Say what the pack takes on disk."""
    sizes = {"states": 0, "evaluations": 0}
    for member in members:
        for name, size in member.checkpoint.sizes().items():
            sizes[name] += size
    sizes["tables"] = sum(file.stat().st_size for file in output.glob("[!.]*.parquet"))
    listed = ", ".join(f"{name} {size / 1e6:.3g} MB" for name, size in sizes.items())
    print(f"on disk, of {len(members)} runs: {listed}", file=sys.stderr)


def _train(
    waiting: Sequence[Member],
    total: int,
    settings: Mapping[str, Any],
    data: ImageSet,
    read: Callable[[], ImageSet],
    way: Way,
    share_of_copies: ShareOfCopies | None,
) -> None:
    with (
        stop_requests(seconds=60 * way.stop_after_minutes or math.inf) as stop,
        TrainingProgress(pace_of(waiting)) as progress,
        claimed_device(way.device, progress.message, stop) as device,
    ):
        if device.type == "cuda":
            # One for all runs of a pack
            set_up_gpu(way.deterministic, TrainingOptions.of(waiting[0].settings["training"]).precision)
            if any(options(member.settings["network"]).get("dropout") for member in waiting):
                progress.message("with dropout, steps are launched kernel by kernel: packs gain little")
        workshop = Workshop(settings, data, way, device, share_of_copies)
        limit = places(waiting, workshop, progress.message)
        progress.message(
            f"training {len(waiting)} of {total} runs on {device.type}, {limit} at a time; the others are finished"
        )
        if device.type == "cpu" and limit > 1:
            alone = functools.partial(
                train_alone, settings=settings, read=read, way=way, share_of_copies=share_of_copies
            )
            train_in_processes(waiting, limit, alone, workshop, progress, stop)
            return
        started = time.monotonic()
        train_in_turn(waiting, limit, workshop, progress, stop)
        elapsed = time.monotonic() - started
        share = workshop.evaluating / max(1e-9, elapsed)
        progress.message(f"evaluations took {100 * share:.1f} % of {elapsed:.1f} s")


def train_alone(
    member: Member,
    settings: Mapping[str, Any],
    read: Callable[[], ImageSet],
    way: Way,
    share_of_copies: ShareOfCopies | None,
) -> None:
    """Train one run in a process of its own, on the data that ``read`` reads; else as `train_pack`."""
    workshop = Workshop(settings, read(), way, torch.device("cpu"), share_of_copies)
    with stop_requests(with_parent=True) as stop, TrainingProgress(pace_of([member]), plain=True) as progress:
        train_in_turn([member], 1, workshop, progress, stop)


def write_tables(members: Sequence[Member], data: ImageSet, settings: Mapping[str, Any], output: Path) -> None:
    """Write the pack's ``runs``, ``losses`` and ``samples`` from the members' checkpoints."""
    losses, samples = [], []
    evaluators: dict[tuple[TrainingSet, str], Evaluator] = {}
    for member in members:
        key = member.run.training_set, canonical(member.settings["formulation"])
        if key not in evaluators:
            formulation = build_formulation(member.settings["formulation"], data.classes)
            evaluators[key] = Evaluator(data, member.run.training_set, settings["evaluation"], formulation)
        evaluator = evaluators[key]
        for step in member.evaluated_steps:
            evaluation = member.checkpoint.load_evaluation(step)
            position = {"run_id": member.run.run_id, "step": step}
            losses += [
                pd.DataFrame({**position, "split": split, **_loss_columns(items, evaluation.losses[split])})
                for split, items in evaluator.items.items()
            ]
            if step in member.sampled:
                samples.append(pd.DataFrame({**position, **_sample_columns(evaluator, evaluation.samples)}))
    axes = settings.get("axes", ())
    runs = pd.DataFrame([_run_row(member, data, axes) for member in members])
    write_table(output / "runs.parquet", "runs", runs, extra=axis_columns(axes))
    write_table(output / "losses.parquet", "losses", _stacked(losses, "losses"))
    write_table(output / "samples.parquet", "samples", _stacked(samples, "samples"), image_metadata(data.shape))


def _loss_columns(items: NoisyImages, losses: np.ndarray) -> dict[str, Any]:
    index, time = items.index.numpy(), items.time.numpy()
    return {"item": np.arange(len(losses)), "index": index, "time": time, "loss": losses}


def _sample_columns(evaluator: Evaluator, images: np.ndarray) -> dict[str, Any]:
    labels = None if evaluator.formulation.unconditional else evaluator.labels.numpy()
    return {"index": np.arange(len(images)), "label": labels, "image": encode(images)}


def _run_row(member: Member, data: ImageSet, axes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    settings, run = member.settings, member.run
    formulation = build_formulation(settings["formulation"], data.classes)
    with torch.device("meta"):
        parameters = count_parameters(build_network(data, run, settings["network"], formulation))
    return {
        **{name: value for name, value in vars(run).items() if name not in ("settings", "sections")},
        **{axis["column"]: run.settings[axis["name"]] for axis in axes},
        "dataset": settings["dataset"]["name"],
        "parameters": parameters,
        "status": member.status,
        **{key: member.checkpoint.provenance[key] for key in ("data_hash", "code_version")},
    }


def _stacked(frames: Sequence[pd.DataFrame], name: str) -> pd.DataFrame:
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=SCHEMAS[name].names)
