"""The stage ``unit_theory``: the population loss, its information exponents, and a check of the sampler."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import t

from ...data.randomness import generator
from ...tables.parquet import write_table
from .hermite import expansion, leading, sample_exponent
from .learning import Unit
from .model import MixedCumulantModel


def unit_theory(settings: Mapping[str, Any], output: Path) -> None:
    """Write ``loss_terms``, ``information_exponents`` and ``cumulants``: what can be known without learning.

    Args:
        settings: ``experiments`` (each with ``name``, ``model`` and ``unit``), ``patterns`` behind
            each estimated cumulant, ``seed`` and ``confidence``.
        output: folder that receives the tables.
    """
    terms, orders, cumulants = [], [], []
    for experiment in settings["experiments"]:
        name, model, unit = experiment["name"], MixedCumulantModel(**experiment["model"]), Unit.of(experiment["unit"])
        found = expansion(model, unit.activation, unit.noise_levels)
        terms += [{"experiment": name, **vars(term)} for term in found]
        for spike in model.spikes:
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
