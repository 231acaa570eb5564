"""What first-layer weights hold of signal and noise, along gradient descent and where it ends."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ...tables.parquet import write_table
from .descent import Objective, descend
from .two_patch import Problem, two_patch
from .two_patch_classifier import logistic_loss, own_class
from .two_patch_denoiser import expected_loss

CLASSIFICATION, DIFFUSION = "classification", "diffusion"
# Recorded iterations: every one up to this, then evenly on a logarithmic axis
_EVERY, _PER_DECADE = 60, 40


def alignments(weights: Tensor, problem: Problem, objective: str) -> dict[str, Tensor]:
    """How strongly weights of a two-patch problem point at signal and noise, (problems,) each.

    A classifier's quadratic neurons do not know the sign of their input, so of its alignments the
    absolute values are meant, and only those with patches of a weight's own class, which are the
    ones that grow. The denoiser, with its tied weights, knows the sign, and turns towards the data.

    Returns:
        ``signal_max``: max over neurons r and classes j of ⟨w_r, μ_j⟩; ``noise_max``: max over r
        and samples i of ⟨w_r, ξ_i⟩; ``signal_mean`` and ``noise_mean``: the means over all of these,
        as an absolute value.
    """
    values = weights @ problem.points.transpose(1, 2)
    of_points = torch.cat([torch.tensor([1.0, -1.0], dtype=torch.float64), problem.labels])
    counted = torch.ones(values.shape[1:], dtype=torch.bool)
    if objective == CLASSIFICATION:
        counted = own_class(weights.shape[1], of_points)
        values = values.abs() * counted
    found = {}
    for name, part in (("signal", slice(0, 2)), ("noise", slice(2, None))):
        found[f"{name}_max"] = values[:, :, part].amax(dim=(1, 2))
        found[f"{name}_mean"] = values[:, :, part].sum(dim=(1, 2)).abs() / counted[:, part].sum()
    return found


def recorded(iterations: int) -> list[int]:
    """The iterations that are written down: every early one, then evenly on a logarithmic axis, and the last."""
    steps = np.arange(0, int(np.ceil(np.log10(max(iterations, 1)) * _PER_DECADE)) + 1)
    spread = np.round(10 ** (steps / _PER_DECADE)).astype(int)
    return sorted(
        {*range(min(_EVERY, iterations) + 1), *(int(step) for step in spread if step <= iterations), iterations}
    )


def follow(settings: Mapping[str, Any], output: Path) -> None:
    """Follow the alignments of one objective through plain gradient descent; writes ``alignments``.

    Args:
        settings: ``objective`` and ``time``; ``dimension``, ``neurons``, ``noise`` and
            ``initialisation`` of the model; ``train_size``, ``signal_norms`` and ``seeds``, how many;
            ``learning_rate`` and ``iterations``.
        output: the table.
    """
    cases, problem, objective = _problem(settings)
    rows: list[pd.DataFrame] = []

    def record(iteration: int, weights: Tensor, loss: Tensor, step: Tensor) -> None:
        found = {"loss": loss, "step_size": step, **alignments(weights, problem, settings["objective"])}
        columns = {name: value.numpy() for name, value in found.items()}
        rows.append(_cases(settings, cases).assign(iteration=iteration, **columns))

    descend(
        objective,
        problem,
        learning_rate=settings["learning_rate"],
        iterations=settings["iterations"],
        record=record,
        at=set(recorded(settings["iterations"])),
    )
    write_table(output, "alignments", pd.concat(rows, ignore_index=True))


def settle(settings: Mapping[str, Any], output: Path) -> None:
    """Train one objective to its end, on every norm of the signal; writes ``stationary``.

    The denoiser's end is a stationary point: a relative gradient of at most ``gradient``. Its
    step grows by a tenth a step, which leads there in fewer of them. A classifier has none,
    since its loss falls for ever: it ends at a training loss of at most ``classifier_loss``.

    Args:
        settings: as for `follow`; ``gradient`` and ``classifier_loss``.
        output: the table.
    """
    cases, problem, objective = _problem(settings)
    diffusion = settings["objective"] == DIFFUSION

    def finished(loss: Tensor, gradient: Tensor) -> Tensor:
        return gradient <= settings["gradient"] if diffusion else loss <= settings["classifier_loss"]

    end = descend(
        objective,
        problem,
        learning_rate=settings["learning_rate"],
        iterations=settings["iterations"],
        growth=1.1 if diffusion else 1.0,
        finished=finished,
    )
    columns = {
        "loss": end.loss,
        "gradient": end.gradient,
        "iterations": end.iterations,
        "finished": end.finished,
        **alignments(end.weights, problem, settings["objective"]),
    }
    table = _cases(settings, cases).assign(**{name: value.numpy() for name, value in columns.items()})
    write_table(output, "stationary", table)


def _problem(settings: Mapping[str, Any]) -> tuple[list[tuple[float, int]], Problem, Objective]:
    torch.set_num_threads(1)
    diffusion = settings["objective"] == DIFFUSION
    cases = list(itertools.product(settings["signal_norms"], range(settings["seeds"])))
    problem = two_patch(
        cases,
        samples=settings["train_size"],
        dimension=settings["dimension"],
        noise=settings["noise"],
        rows=settings["neurons"] * (1 if diffusion else 2),
        initialisation=settings["initialisation"],
    )
    return cases, problem, partial(expected_loss, time=settings["time"]) if diffusion else logistic_loss


def _cases(settings: Mapping[str, Any], cases: list[tuple[float, int]]) -> pd.DataFrame:
    norms = np.array([norm for norm, _ in cases], float)
    share = norms**2 / (settings["noise"] ** 2 * settings["dimension"])
    return pd.DataFrame(
        {
            "objective": settings["objective"],
            "time": float(settings["time"]),
            "train_size": settings["train_size"],
            "signal_norm": norms,
            "n_snr2": settings["train_size"] * share,
            "seed": [seed for _, seed in cases],
        }
    )
