"""The stages of the single unit: learning in one dimension, theory, and recovery over all dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..randomness import generator
from ..schedule import evaluation_steps
from ..tables import read_table, write_table
from .hermite import expansion, leading, sample_exponent
from .learning import Learner, Unit
from .model import MixedCumulantModel
from .recovery import SPIKES, Tracker, exponents, medians, recovery_time

HIGHEST_ORDER = 6
"""Order up to which the population loss is expanded."""


def learn_unit(settings: Mapping[str, Any], output: Path, device: str = "cpu") -> None:
    """Write ``unit_paths`` and ``unit_recoveries`` of the replicas of one experiment in one dimension.

    The run ends with the first whole block of steps that holds the budget.

    Args:
        settings: ``model``, ``unit`` (see `MixedCumulantModel` and `Unit`), ``dimension``, ``replicas``,
            ``seed``, ``steps`` (the budget), ``per_decade``, ``threshold`` and ``hold``.
        output: folder that receives the tables.
        device: ``cpu`` or ``cuda``.
    """
    learner = Learner(
        MixedCumulantModel(**settings["model"]),
        as_unit(settings["unit"]),
        [settings["dimension"]],
        settings["replicas"],
        settings["seed"],
        device,
    )
    tracker = Tracker((2, settings["replicas"]), settings["threshold"], settings["hold"])
    wanted = torch.tensor(recorded_steps(settings["steps"], settings["per_decade"]))
    kept = []
    while learner.step < settings["steps"]:
        start = learner.step
        overlaps = learner.advance().cpu()
        tracker.follow(overlaps, start)
        kept.append(overlaps[wanted[(wanted > start) & (wanted <= learner.step)] - start - 1])
    paths = torch.cat(kept).numpy()
    replicas = settings["replicas"]
    table = pd.DataFrame(
        {
            "replica": np.tile(np.arange(replicas), len(wanted)),
            "samples": np.repeat(wanted.numpy(), replicas),
            "overlap_u": paths[:, 0].ravel(),
            "overlap_v": paths[:, 1].ravel(),
        }
    )
    write_table(output / "unit_recoveries.parquet", "unit_recoveries", tracker.table())
    write_table(output / "unit_paths.parquet", "unit_paths", table)


def as_unit(settings: Mapping[str, Any]) -> Unit:
    """A unit from its settings, in which the noise levels are a list."""
    return Unit(**{**settings, "noise_levels": tuple(settings["noise_levels"])})


def recorded_steps(budget: int, per_decade: int) -> list[int]:
    """The steps whose overlaps are kept: evenly spaced on a logarithmic axis, whatever the budget."""
    return evaluation_steps({"steps": budget}, {"first": 1, "per_decade": per_decade}, 1, 1)


def unit_theory(settings: Mapping[str, Any], output: Path) -> None:
    """Write ``loss_terms``, ``information_exponents`` and ``cumulants``: what can be known without learning.

    Args:
        settings: ``experiments`` (each with ``name``, ``model`` and ``unit``), ``patterns`` behind
            each estimated cumulant, ``seed`` and ``confidence``.
        output: folder that receives the tables.
    """
    terms, orders, cumulants = [], [], []
    for experiment in settings["experiments"]:
        name, model, unit = experiment["name"], MixedCumulantModel(**experiment["model"]), as_unit(experiment["unit"])
        found = expansion(model, unit.activation, unit.noise_levels, HIGHEST_ORDER)
        terms += [{"experiment": name, **vars(term)} for term in found]
        for spike in spikes(model):
            for other_learnt in (False, True):
                first = leading(found, spike, other_learnt)
                orders.append(
                    {
                        "experiment": name,
                        "spike": spike,
                        "other_learnt": other_learnt,
                        "order": None if first is None else first.order(spike),
                        "coefficient": np.nan if first is None else first.coefficient,
                        "lowers_loss": first is not None and first.lowers(spike),
                        "sample_exponent": sample_exponent(found, spike),
                    }
                )
        cumulants += [{"experiment": name, **row} for row in measured_cumulants(model, settings)]
    write_table(output / "loss_terms.parquet", "loss_terms", pd.DataFrame(terms))
    table = pd.DataFrame(orders).astype({"order": "Int64"})
    write_table(output / "information_exponents.parquet", "information_exponents", table)
    write_table(output / "cumulants.parquet", "cumulants", pd.DataFrame(cumulants))


def spikes(model: MixedCumulantModel) -> list[str]:
    """The spikes that the model has: those of a strength above 0."""
    return [spike for spike, strength in zip(SPIKES, (model.beta_u, model.beta_v), strict=True) if strength > 0]


GROUPS = 50
"""Groups of patterns, whose cumulants differ by chance alone: the interval rests on their spread."""


def measured_cumulants(model: MixedCumulantModel, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Cumulants of the sampler's patterns along u and v to fourth order, beside those of theory.

    Every cumulant is the mean of its estimates on `GROUPS` groups of patterns, with the t interval of
    that mean.

    Args:
        model: the distribution.
        settings: as of `unit_theory`.
    """
    from scipy.stats import t

    source = generator(settings["seed"], "mixed cumulant cumulants")
    shape = (GROUPS, max(settings["patterns"] // GROUPS, 2))
    latents = model.latents(shape, source)
    plane = model.plane(latents, torch.randn((2, *shape), generator=source)).double().numpy()
    margin = float(t.ppf((1 + settings["confidence"]) / 2, GROUPS - 1)) / np.sqrt(GROUPS)
    rows = []
    for total in range(1, 5):
        for order_v in range(total + 1):
            order_u = total - order_v
            estimates = sample_cumulant(plane, order_u, order_v)
            middle, width = float(estimates.mean()), margin * float(estimates.std(ddof=1))
            rows.append(
                {
                    "order_u": order_u,
                    "order_v": order_v,
                    "theory": model.cumulant(order_u, order_v),
                    "estimate": middle,
                    "ci_low": middle - width,
                    "ci_high": middle + width,
                }
            )
    return rows


def sample_cumulant(plane: np.ndarray, order_u: int, order_v: int) -> np.ndarray:
    """The joint cumulant of two variables, from their moments about the known mean 0.

    Args:
        plane: draws of the two, shape (2, ..., draws).
        order_u, order_v: how often each enters; 1 to 4 in all.

    Returns:
        Shape (...).
    """

    def moment(j: int, k: int) -> np.ndarray:
        return np.asarray((plane[0] ** j * plane[1] ** k).mean(axis=-1))

    value = moment(order_u, order_v)
    if order_u + order_v < 4:
        return value
    # Of four variables of mean 0: the moment less the three products of covariances of pairs
    first, *others = [0] * order_u + [1] * order_v
    for number, partner in enumerate(others):
        rest = others[:number] + others[number + 1 :]
        pairs = [(first, partner), tuple(rest)]
        value = value - np.prod([moment(pair.count(0), pair.count(1)) for pair in pairs], axis=0)
    return value


def unit_recovery(settings: Mapping[str, Any], learnt: Path, output: Path) -> None:
    """Write ``overlaps``, ``recoveries``, ``recovery_times`` and ``recovery_exponents`` of a study.

    Args:
        settings: ``experiments``, each with ``name``, ``model``, ``unit`` and ``jobs``, dimension to job
            path; ``bootstrap`` and ``confidence``.
        learnt: folder of what `learn_unit` wrote, one folder a job path.
        output: folder that receives the tables.
    """
    overlaps, recoveries = [], []
    predicted: dict[tuple[str, str], float] = {}
    for experiment in settings["experiments"]:
        name, model, unit = experiment["name"], MixedCumulantModel(**experiment["model"]), as_unit(experiment["unit"])
        terms = expansion(model, unit.activation, unit.noise_levels, HIGHEST_ORDER)
        present = spikes(model)
        predicted |= {(name, spike): sample_exponent(terms, spike) for spike in present}
        for dimension, job in experiment["jobs"].items():
            place = {"experiment": name, "dimension": int(dimension)}
            paths = read_table(learnt / job / "unit_paths.parquet", "unit_paths")
            overlaps += [_overlaps(paths, spike, settings["confidence"]).assign(**place) for spike in present]
            times = read_table(learnt / job / "unit_recoveries.parquet", "unit_recoveries")
            recoveries.append(times[times["spike"].isin(present)].assign(**place))
    table = pd.concat(recoveries, ignore_index=True)
    write_table(output / "overlaps.parquet", "overlaps", pd.concat(overlaps, ignore_index=True))
    write_table(output / "recoveries.parquet", "recoveries", table)
    write_table(output / "recovery_times.parquet", "recovery_times", _recovery_times(table, settings["confidence"]))
    fits = exponents(table, predicted, settings["bootstrap"], settings["confidence"])
    write_table(output / "recovery_exponents.parquet", "recovery_exponents", fits)


def _overlaps(paths: pd.DataFrame, spike: str, confidence: float) -> pd.DataFrame:
    """Medians over replicas of one spike's |overlap| at every kept step."""
    wide = paths.pivot(index="samples", columns="replica", values=f"overlap_{spike}").abs()
    columns = medians(wide.to_numpy(np.float64), confidence)
    return pd.DataFrame({"spike": spike, "samples": wide.index, **columns})


def _recovery_times(recoveries: pd.DataFrame, confidence: float) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    keys: Sequence[str] = ["experiment", "dimension", "spike"]
    for names, group in recoveries.groupby(list(keys), sort=False):
        censored = group["censored"].to_numpy(bool)
        time = recovery_time(group["samples"].to_numpy(np.float64), censored, confidence)
        counts = {"replicas": len(group), "censored_replicas": int(censored.sum())}
        rows.append({**dict(zip(keys, names, strict=True)), **time, **counts})
    return pd.DataFrame(rows)
