"""What the workflow and the report know of a figure; each kind of study has one table of its figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


def always(study: Any) -> bool:
    """Of every study of the kind."""
    return True


@dataclass(frozen=True)
class Figure:
    """A figure of a kind of study. Its caption is ``report/figures/<name>.rst``.

    Attributes:
        name: of the module that draws it, below ``figures/<kind>``, and of its rule.
        shows: what it is called in the report.
        tables: what it is drawn from. Of several tables of one name, those of a single pack have ``pack/`` before it.
        settings: what it asks of the study, keys of `kind.Study.told`.
        axis: the swept axis that it shows, for the report; empty where it shows none.
        file: its file, where that differs from the name: one with a wildcard is a figure for each axis.
        when: which studies of the kind have it.
        shared: the module below ``figures`` that draws it for several kinds of study; by default its own kind's does.
    """

    name: str
    shows: str
    tables: tuple[str, ...]
    settings: tuple[str, ...]
    axis: str = ""
    file: str = ""
    when: Callable[[Any], bool] = always
    shared: str = ""

    def module(self, kind: str) -> str:
        """The module that draws it, below ``figures``."""
        return self.shared or f"{kind}.{self.name}"

    @property
    def path(self) -> str:
        """The figure's files below the folder of figures, without a suffix."""
        return self.file or self.name

    @property
    def labels(self) -> dict[str, str]:
        """Under which it is found in the report."""
        return {"figure": self.shows, **({"axis": self.axis} if self.axis else {})}
