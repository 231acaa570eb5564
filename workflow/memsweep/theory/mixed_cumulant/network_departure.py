"""The stage ``network_departure``: when networks use more of their patterns than pairs of coordinates.

The departure is that of `departure`, the step at which surrogate loss over test loss minus one rises
above a threshold, but for one thing: it is sought along the whole run, not only up to the lowest test
loss. Every pattern is fresh, so nothing is memorised that could raise the excess later.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...analysis.departure import excess
from ...analysis.onset import confirmable, crossing, resampled, with_interval
from ...analysis.scaling import exponent
from ...tables.parquet import read_table, write_table
from .model import MixedCumulantModel
from .network import linear_loss


def network_departure(settings: Mapping[str, Any], learnt: Path, output: Path) -> None:
    """Write ``network_curves``, ``network_departures`` and ``network_exponents`` of a study.

    Only one of the d directions is not Gaussian, so that the most that the excess can be falls as 1/d:
    the threshold on surrogate loss over test loss minus one is ``threshold`` / d.

    Args:
        settings: ``networks``, each with ``name``, ``model``, ``noise_level``, ``batch_size`` and ``jobs``,
            dimension to job path; ``threshold``, ``bootstrap`` and ``confidence``.
        learnt: folder of what `learn_network` wrote, one folder per job path.
        output: folder that receives the tables.
    """
    curves, found, fits = [], [], []
    for network in settings["networks"]:
        for dimension, job in sorted(network["jobs"].items(), key=lambda item: int(item[0])):
            losses = read_table(learnt / job / "network_losses.parquet", "network_losses")
            best = linear_loss(MixedCumulantModel(**network["model"]), int(dimension), network["noise_level"])
            place = {"network": network["name"], "dimension": int(dimension)}
            for replica, rows in losses.groupby("replica"):
                here = {**place, "replica": replica}
                key = f"{job} {replica}"
                curve, departed = _replica(key, rows, settings, int(dimension))
                samples = curve["step"] * network["batch_size"]
                curves.append(curve.assign(**here, samples=samples, linear_loss=best))
                found.append({**here, **departed, "samples": departed["step"] * network["batch_size"]})
        mine = pd.DataFrame([row for row in found if row["network"] == network["name"]])
        fits.append({"network": network["name"], **_exponent(mine, settings["confidence"])})
    write_table(output / "network_curves.parquet", "network_curves", pd.concat(curves, ignore_index=True))
    write_table(output / "network_departures.parquet", "network_departures", pd.DataFrame(found))
    write_table(output / "network_exponents.parquet", "network_exponents", pd.DataFrame(fits))


def _replica(
    key: str, losses: pd.DataFrame, settings: Mapping[str, Any], dimension: int
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Curves and departure of one replica; a pattern's group is resampled with its surrogates."""
    sides = {}
    for split in ("test", "surrogate"):
        items = losses[losses["split"] == split].pivot(index="item", columns="step", values="loss")
        steps = items.columns.to_numpy(np.float64)
        sides[split] = resampled(key, items.to_numpy(np.float64), np.ones(len(items)), settings["bootstrap"])
    test, surrogate = sides["test"], sides["surrogate"]
    found = crossing(steps, surrogate / test - 1, settings["threshold"] / dimension)
    departed = with_interval(confirmable(steps), found[0], found[1:], settings["confidence"])
    curve = excess(steps, test, surrogate, confidence=settings["confidence"])
    tail = (1 - settings["confidence"]) / 2
    for name, side in sides.items():
        curve[f"{name}_loss"] = side[0]
        curve[f"{name}_ci_low"], curve[f"{name}_ci_high"] = np.quantile(side[1:], [tail, 1 - tail], axis=0)
    return curve, vars(departed)


def _exponent(found: pd.DataFrame, confidence: float) -> dict[str, Any]:
    """The exponent of the samples to departure in d."""
    sides = found["censored"], found["left_censored"]
    fit = exponent(found["dimension"], found["samples"], *sides, np.zeros(len(found)), confidence)
    return {**vars(fit), "replicas": len(found), "censored_replicas": int(found["censored"].sum())}
