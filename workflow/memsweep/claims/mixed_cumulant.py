"""The claims of Bardone, Merger & Goldt 2026 (arXiv 2603.12901) on the mixed cumulant model.

Each experiment of a study is one of three kinds: u and v with independent latents, with correlated ones, or v alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from .claim import MARGIN, Claim, Evidence, Tables

SOURCE = "Bardone, Merger & Goldt 2026"
ABSENT = "no experiment"


def exponent(tables: Tables, way: str, spike: str) -> Evidence:
    """The exponent of the samples to recovery in d.

    Args:
        way: experiment and law, as ``independent, power_log``.
        spike: u or v.
    """
    experiment, _, law = way.partition(", ")
    found = tables["recovery_exponents"]
    rows = found[(found["experiment"] == experiment) & (found["spike"] == spike) & (found["law"] == law)]
    absent, unknown = f"no experiment of this kind recovers {spike}", f"{spike} is recovered in too few dimensions"
    return Evidence.of(rows, "exponent", absent, unknown, runs="replicas")


def order(tables: Tables, experiment: str, spike: str) -> Evidence:
    """The diffusion information exponent, which has no scatter: it comes from quadrature."""
    found = tables["information_exponents"]
    of_spike = (found["experiment"] == experiment) & (found["spike"] == spike)
    return _exactly(found[of_spike & ~found["other_learnt"]], "order", f"no experiment with {spike}")


def samples_once_learnt(tables: Tables, experiment: str) -> Evidence:
    """The exponent of the samples that v takes once u is learnt, as the population loss has it."""
    found = tables["information_exponents"]
    of_v = (found["experiment"] == experiment) & (found["spike"] == "v") & found["other_learnt"]
    return _exactly(found[of_v], "sample_exponent", "no experiment with correlated latents")


def _exactly(rows: Any, column: str, lacking: str) -> Evidence:
    if rows.empty or not math.isfinite(value := float(rows[column].iloc[0])):
        return Evidence(lacking=lacking)
    return Evidence(value, value, value, len(rows))


def later(tables: Tables, experiment: str, confidence: float) -> Evidence:
    """The share of replicas that recover v after u, or not at all, among those that recover u."""
    found = tables["recoveries"]
    rows = found[found["experiment"] == experiment]
    both = rows.pivot(index=["dimension", "replica"], columns="spike", values=["samples", "censored"])
    if not {("samples", "u"), ("samples", "v")} <= set(both.columns):
        return Evidence(lacking="no experiment with both spikes")
    known = both[~both["censored", "u"].astype(bool)]
    hits = int((known["censored", "v"].astype(bool) | (known["samples", "v"] > known["samples", "u"])).sum())
    return Evidence.of_share(hits, len(known), confidence, "no replica recovers u")


def _ways(experiments: Iterable[str], *laws: str) -> Sequence[str]:
    return [f"{experiment}, {law}" for law in laws for experiment in experiments] or [ABSENT]


def claims(settings: Mapping[str, Any], tables: Tables) -> list[Claim]:
    """The claims, in the order of the paper.

    Args:
        settings: ``experiments``, each with ``name``, ``beta_u``, ``beta_v`` and ``correlation``; ``confidence``.
        tables: those of the study.
    """
    del tables
    experiments = settings["experiments"]
    with_u = [each["name"] for each in experiments if each["beta_u"] > 0]
    correlated = [each["name"] for each in experiments if each["beta_u"] > 0 and each["correlation"]]
    # Where u is there too, unit and noise are spent on it: v alone tells what v takes
    independent = sorted(
        (each for each in experiments if each["beta_v"] > 0 and not each["correlation"]),
        key=lambda each: each["beta_u"] > 0,
    )
    with_v = [each["name"] for each in independent]
    both = [each["name"] for each in experiments if each["beta_u"] > 0 and each["beta_v"] > 0]
    measure = "exponent of the samples to recovery in d"
    return [
        Claim(
            "k* of the covariance",
            SOURCE,
            "The information exponent of a spike in the covariance is 2.",
            "order of the first term of the population loss",
            with_u or [ABSENT],
            partial(order, spike="u"),
            low=2,
            high=2,
            unit="experiment",
        ),
        Claim(
            "k* of the fourth cumulant",
            SOURCE,
            "The information exponent of a spike in the fourth cumulant is 4.",
            "order of the first term of the population loss",
            with_v or [ABSENT],
            partial(order, spike="v"),
            low=4,
            high=4,
            unit="experiment",
        ),
        Claim(
            "covariance with d samples",
            SOURCE,
            "A spike in the covariance is learnt with some d samples, up to a logarithm.",
            measure,
            _ways(with_u, "power_log", "power", "lognormal"),
            partial(exponent, spike="u"),
            low=1 - MARGIN,
            high=1 + MARGIN,
            published=1,
            unit="replica",
        ),
        Claim(
            "fourth cumulant with d³ samples",
            SOURCE,
            "A spike in the fourth cumulant alone is learnt with some d³ samples.",
            measure,
            _ways(with_v, "power", "lognormal", "power_log"),
            partial(exponent, spike="v"),
            low=3 - MARGIN,
            high=3 + MARGIN,
            published=3,
            unit="replica",
        ),
        Claim(
            "fourth cumulant with d samples where latents correlate",
            SOURCE,
            "With correlated latents the fourth cumulant is learnt with some d samples, too, up to a logarithm.",
            measure,
            _ways(correlated, "power_log", "power", "lognormal"),
            partial(exponent, spike="v"),
            low=1 - MARGIN,
            high=1 + MARGIN,
            published=1,
            unit="replica",
        ),
        Claim(
            "once the covariance is learnt",
            SOURCE,
            "Once the covariance is learnt, correlated latents leave the fourth cumulant a power of d of 1.",
            "exponent of the samples that the population loss implies",
            correlated or [ABSENT],
            samples_once_learnt,
            low=1,
            high=1,
            unit="experiment",
        ),
        Claim(
            "easy before hard",
            SOURCE,
            "The covariance is learnt before the fourth cumulant.",
            "share of replicas that recover v after u, or not at all",
            both or [ABSENT],
            partial(later, confidence=settings["confidence"]),
            low=0.5,
            unit="replica",
        ),
    ]
