"""The claims of Han, Huang, Cao & Zou 2025 (arXiv 2412.01021) on two patches, one of signal and one of noise."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd

from .claim import MARGIN, Claim, Evidence, Tables

SOURCE = "Han et al. 2025"
ABSENT = "no such cells"


def fitted(tables: Tables, way: str, objective: str, quantity: str) -> Evidence:
    """A law of the stationary ratio over all cells.

    Args:
        way: measure and diffusion time, as ``mean alignment, t = 0.2``.
    """
    fits = tables["phase_fits"]
    rows = fits[(fits["objective"] == objective) & (fits["quantity"] == quantity) & (_ways(fits) == way)]
    return Evidence.of(rows, "value", f"no cells of {objective}", "too few cells, {runs}", runs="cells")


def grown(tables: Tables, way: str, objective: str) -> Evidence:
    """log10 of the exponential's residuals over the line's: above 0 where early growth is linear."""
    growth = tables["growth"]
    of = (growth["objective"] == objective) & (growth["quantity"] == "log_ratio")
    rows = growth[of & (_growth_ways(growth) == way)]
    unknown = "{runs} seeds with an early growth; two are needed"
    return Evidence.of(rows, "value", f"no early growth of {objective}", unknown, runs="seeds")


def at_end(tables: Tables, measure: str, end: str) -> Evidence:
    """The classifier's ratio of signal to noise in the cell of the least or greatest n SNR²."""
    phase = tables["phase"]
    rows = phase[(phase["objective"] == "classification") & (phase["measure"] == measure)]
    ordered = rows.sort_values("n_snr2")
    last = ordered.head(1) if end == "least" else ordered.tail(1)
    return Evidence.of(last, "ratio", "no cells of classification", "{runs} seeds; two are needed", runs="seeds")


def _ways(rows: pd.DataFrame) -> pd.Series[Any]:
    return rows["measure"] + " alignment, t = " + rows["time"].map("{:g}".format)


def _growth_ways(rows: pd.DataFrame) -> pd.Series[Any]:
    return rows["feature"] + ", " + _ways(rows) + ", n SNR² = " + rows["n_snr2"].map("{:.3g}".format)


def _known(ways: pd.Series[Any], rows: pd.DataFrame, objective: str) -> list[str]:
    """The ways of an objective, those of mean alignments first: the largest of many that grow linearly is convex."""
    of = ways[rows["objective"] == objective]
    found = list(dict.fromkeys(of))
    return sorted(found, key=lambda way: "max" in way) or [ABSENT]


def claims(settings: Mapping[str, Any], tables: Tables) -> list[Claim]:
    """The claims, in the order of the paper.

    Args:
        settings: none that matter.
        tables: ``phase``, ``phase_fits`` and ``growth`` of the study.
    """
    del settings
    fits, growth = tables["phase_fits"], tables["growth"]
    slopes = {name: _known(_ways(fits), fits, name) for name in ("diffusion", "classification")}
    early = {name: _known(_growth_ways(growth), growth, name) for name in ("diffusion", "classification")}
    laws = (("slope", "n SNR²"), ("slope_n", "n"), ("slope_snr2", "SNR²"))
    return [
        *(
            Claim(
                f"diffusion follows {of}",
                SOURCE,
                f"Diffusion learns signal and noise in a ratio proportional to {of}.",
                f"exponent of the stationary ratio in {of}",
                slopes["diffusion"],
                partial(fitted, objective="diffusion", quantity=quantity),
                unit="cell",
                low=1 - MARGIN,
                high=1 + MARGIN,
                published=1,
            )
            for quantity, of in laws
        ),
        Claim(
            "classification jumps",
            SOURCE,
            "The classifier's ratio is steeper in n SNR² than that of diffusion.",
            "exponent of its ratio in n SNR²",
            slopes["classification"],
            partial(fitted, objective="classification", quantity="slope"),
            low=1 + MARGIN,
            unit="cell",
        ),
        Claim(
            "classification memorises noise",
            SOURCE,
            "At a low signal-to-noise ratio the classifier learns the noise.",
            "its ratio of signal to noise at the least n SNR²",
            ("mean", "max"),
            partial(at_end, end="least"),
            high=1,
            unit="seed",
        ),
        Claim(
            "classification learns the signal",
            SOURCE,
            "At a high signal-to-noise ratio the classifier learns the signal.",
            "its ratio of signal to noise at the greatest n SNR²",
            ("mean", "max"),
            partial(at_end, end="greatest"),
            low=1,
            unit="seed",
        ),
        Claim(
            "diffusion grows linearly",
            SOURCE,
            "Alignments of diffusion grow linearly at first.",
            "log10 of the exponential's residuals over the line's",
            early["diffusion"],
            partial(grown, objective="diffusion"),
            low=0,
            unit="seed",
        ),
        Claim(
            "classification grows exponentially",
            SOURCE,
            "Alignments of the classifier grow exponentially.",
            "log10 of the exponential's residuals over the line's",
            early["classification"],
            partial(grown, objective="classification"),
            high=0,
            unit="seed",
        ),
    ]
