"""Figures, one module each: touching one redraws that one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import UserError


def draw_figure(settings: Mapping[str, Any], sources: Mapping[str, Path], outputs: Sequence[Path]) -> None:
    """Draw a figure from tables and save it in each format.

    Args:
        settings: ``figure``, the name of its module, and what that module needs.
        sources: table name to Parquet file.
        outputs: files whose suffix says the format.

    Raises:
        UserError: a table that the figure shows is not among the sources, or cannot be read.
    """
    from .style import save

    module = import_module(f"{__name__}.{settings['figure']}")
    missing = [name for name in module.SOURCES if name not in sources]
    if missing:
        raise UserError(f"figure {settings['figure']}: no source for {', '.join(missing)}")
    save(module.draw(sources, settings), outputs)
