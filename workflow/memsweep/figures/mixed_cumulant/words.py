"""What the figures of the mixed cumulant model share: their words for spikes, experiments and predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from .. import style, wording

SPIKE_LABELS = {"u": r"$\langle w, u\rangle$", "v": r"$\langle w, v\rangle$"}

DIMENSION = "dimension $d$"

DASHES: dict[str, Any] = {"u": (0, ()), "v": (0, (3.5, 1.8))}
"""Line style of each spike."""

MARKERS = {"u": "o", "v": "s"}
"""Marker of each spike where both are lines of one style."""

COLOURS = {"u": (0.0, 0.447, 0.698), "v": (0.835, 0.369, 0.0)}
"""Colour of each spike where colour stands for no dimension: blue and vermilion of Okabe & Ito."""


def latents_label(experiment: Mapping[str, Any]) -> str:
    """The latents of an experiment or network in words."""
    if experiment["beta_u"] == 0 or experiment["beta_v"] == 0:
        return f"${'v' if experiment['beta_u'] == 0 else 'u'}$ alone"
    correlation = experiment["correlation"]
    if correlation == 0:
        return "independent latents"
    if abs(correlation) == 1:
        return rf"$\nu$ = {'' if correlation > 0 else wording.MINUS}sign $\lambda$"
    return rf"$E[\nu\,$sign$\,\lambda]$ = {correlation:g}"


def spike_label(experiment: Mapping[str, Any], spike: str) -> str:
    """A spike of an experiment in words."""
    latents = latents_label(experiment)
    return latents if latents.endswith("alone") else f"${spike}$: {latents}"


def strengths_label(experiment: Mapping[str, Any]) -> str:
    """The spikes' strengths."""
    return rf"$\beta_u$ = {experiment['beta_u']:g},  $\beta_v$ = {experiment['beta_v']:g}"


def unit_label(experiment: Mapping[str, Any]) -> str:
    """What is held fixed for a single unit."""
    levels = ", ".join(f"{level:g}" for level in experiment["noise_levels"])
    step = rf"$\eta$ = {experiment['step_size']:g}{power_label(-experiment['step_power'])}"
    activation = experiment["activation"].replace("_", " ")
    return rf"{strengths_label(experiment)},  $\sigma$ = {activation},  $s$ = {levels},  {step}"


def power_label(power: float) -> str:
    """d to a power, as a factor: nothing for 0."""
    if power == 0:
        return ""
    sign = wording.MINUS if power < 0 else ""
    return r" $d$" if power == 1 else rf" $d^{{{sign}{abs(power):g}}}$"


def dimension_colours(dimensions: list[int], palette: str) -> dict[float, style.Colour]:
    """A colour for each dimension."""
    return style.colours([float(d) for d in dimensions], palette)


def interval_label(row: Mapping[Any, Any]) -> str:
    """An exponent and its interval in words."""
    if not np.isfinite(row["exponent"]):
        return "not estimable"
    exponent, low, high = (wording.exponent_label(float(row[key])) for key in ("exponent", "ci_low", "ci_high"))
    return f"{exponent} [{low}, {high}]"


def dimension_axis(ax: Axes, dimensions: list[int]) -> None:
    """A logarithmic axis of dimensions with a tick at each."""
    ax.set_xscale("log")
    ax.set_xlim(min(dimensions) / 1.3, max(dimensions) * 1.3)
    ax.set_xticks(dimensions, [f"{d:g}" for d in dimensions])
    ax.set_xticks([], minor=True)
