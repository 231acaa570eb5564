"""The stage ``figure``: draws one figure and saves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from ..base.errors import UserError
from ..study.kinds import KINDS
from ..tables.together import check_together
from .style import save


def draw_figure(settings: Mapping[str, Any], sources: Mapping[str, Path], outputs: Sequence[Path]) -> None:
    """Draw a figure from tables and save it in each format.

    Args:
        settings: ``figure``, the name of its module, and what that module needs.
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
    save(module.draw(sources, settings), outputs)


def _module_of(figure: str) -> ModuleType:
    """The module that draws a figure, among those of its kind of study."""
    modules = {known.name: known.module(kind) for kind, study in KINDS.items() for known in study.figures}
    if figure not in modules:
        raise UserError(f"figure: found {figure!r}; accepted is one of {', '.join(modules)}")
    return import_module(f"{__package__}.{modules[figure]}")
