"""What the study says to the claims of papers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ...tables.parquet import read_table
from .. import verdicts

SOURCES = ("claims",)


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw the verdicts.

    Args:
        sources: the table ``claims``.
        settings: none that matter.
    """
    del settings
    return verdicts.draw(read_table(sources["claims"], "claims"))
