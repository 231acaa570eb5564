"""What an answer consists of: passages of sentences, some with a small table beneath."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Grid:
    """A small table of a passage: what it shows, its headings, and rows whose first cell heads them."""

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Passage:
    """Sentences under a heading. Powers are written ``N^1.77``."""

    heading: str
    sentences: Sequence[str]
    grid: Grid | None = field(default=None)
