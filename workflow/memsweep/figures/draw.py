"""The stage ``figure``: draws one figure and saves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from ..base.errors import UserError
from ..study.figures import Figure
from ..study.kinds import KINDS
from ..tables.together import check_together
from .style import save


def draw_figure(settings: Mapping[str, Any], sources: Mapping[str, Path], outputs: Sequence[Path]) -> None:
    """Draw a figure from tables and save it in each format.

    Args:
        settings: ``figure``, the name of its module, ``study``, that of the study, and what that module needs.
        sources: table name to Parquet file.
        outputs: files whose suffix says the format.

    Raises:
        UserError: a table that the figure shows is not among the sources, cannot be read, or is that of another study.
    """
    module = _module_of(settings["figure"])
    missing = [name for name in module.SOURCES if name not in sources]
    if missing:
        raise UserError(f"figure {settings['figure']}: no source for {', '.join(missing)}")
    check_together(path for path in sources.values() if path.is_file())
    save(module.draw(sources, settings), outputs, *_named(settings))


def _figures() -> dict[str, tuple[str, Figure]]:
    """Each figure with its kind of study, by name."""
    return {figure.name: (kind, figure) for kind, study in KINDS.items() for figure in study.figures}


def _module_of(figure: str) -> ModuleType:
    """The module that draws a figure, among those of its kind of study."""
    figures = _figures()
    if figure not in figures:
        raise UserError(f"figure: found {figure!r}; accepted is one of {', '.join(figures)}")
    kind, known = figures[figure]
    return import_module(f"{__package__}.{known.module(kind)}")


def _named(settings: Mapping[str, Any]) -> tuple[str, str]:
    """Title and subject of a file: what a figure shows and along which axis, and of which study it is."""
    _, figure = _figures()[settings["figure"]]
    axis = str(settings.get("axis", "")).replace("_", " ")
    title = f"{figure.shows}, {axis}" if axis else figure.shows
    return title, f"figure {figure.name} of the study {settings['study']}" if "study" in settings else ""
