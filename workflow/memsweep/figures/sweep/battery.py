"""How close samples are to the training set, how good and how diverse, as one axis is swept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from . import dynamics

SOURCES = dynamics.SOURCES


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw the metrics of the battery against time for each value of an axis.

    Args:
        sources: the tables of `SOURCES`.
        settings: those of `dynamics.draw`, with ``battery``, the metrics, in place of ``panels``.
    """
    return dynamics.draw(sources, {**settings, "panels": settings["battery"]})
