"""Claims of papers, one a line, each with its evidence on a scale of its own and the verdict."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..tables.parquet import read_table
from . import claim_wording, style

Row = Mapping[Hashable, Any]
Lines = Sequence[tuple[str, Mapping[str, Any]]]  # and how each looks

SOURCES = ("claims",)

# Told apart without colours: what is known has a filled mark
MARKS: Mapping[str, tuple[str, bool]] = {
    "supported": ("o", True),
    "refuted": ("X", True),
    "undecided": ("o", False),
    "not testable": ("_", False),
}
_LINE = 0.135  # inches from line to line of text
_GAP = 0.13  # between rows
_LETTERS = 50  # of a line of a statement
_SCALE = (0.0, 1.0)
_TEXT, _VERDICT = -0.05, 1.06  # where statements end and verdicts begin, in scales
_MARGIN, _RULE, _SOFT = "0.85", "0.9", "0.4"


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw on a scale of each row's own where the claim holds, the estimate and its interval.

    Args:
        sources: the table ``claims``.
        settings: none that matter.
    """
    del settings
    return drawn(read_table(sources["claims"], "claims"))


def drawn(claims: pd.DataFrame) -> Figure:
    """The figure of a table ``claims``."""
    rows: Sequence[Row] = claims.to_dict("records")
    statements = [_statement(row) for row in rows]
    verdicts = [_verdict(row) for row in rows]
    heights = [max(len(left), len(right)) * _LINE + _GAP for left, right in zip(statements, verdicts, strict=True)]
    with style.styled():
        figure = Figure(figsize=(style.WIDTH, sum(heights) + 0.55))
        ax = figure.add_axes((0.415, 0.45 / figure.get_figheight(), 0.25, sum(heights) / figure.get_figheight()))
        ax.set(xlim=_SCALE, ylim=(sum(heights), 0))
        ax.axis("off")
        top = 0.0
        for row, left, right, height in zip(rows, statements, verdicts, heights, strict=True):
            _draw_row(ax, row, top, height, left, right)
            top += height
        _legend(figure)
        return figure


def _draw_row(ax: Axes, row: Row, top: float, height: float, left: Lines, right: Lines) -> None:
    middle = top + height / 2
    _write(ax, _TEXT, middle, left, "right")
    _write(ax, _VERDICT, middle, right, "left")
    ax.axhline(top, color=_RULE, linewidth=0.5, xmin=-2, xmax=3, clip_on=False)
    if row["verdict"] == "not testable":
        return
    low, high = _limits(row)

    def placed(value: float) -> float:
        return min(max((value - low) / (high - low), 0.0), 1.0)

    edges = placed(row["margin_low"]), placed(row["margin_high"])
    holds = [side for side in ((0.0, edges[0]), (edges[1], 1.0)) if side[0] < side[1]] if row["outside"] else [edges]
    for start, end in holds:
        ax.fill_betweenx([top + 0.03, top + height - 0.03], start, max(end, start + 0.008), color=_MARGIN, linewidth=0)
    ax.plot([placed(row["ci_low"]), placed(row["ci_high"])], [middle] * 2, color=style.INK, linewidth=1.3)
    for end, edge, marker in ((row["ci_low"], low, "<"), (row["ci_high"], high, ">")):
        if not low <= end <= high:
            ax.plot(placed(edge), middle, marker=marker, color=style.INK, markersize=4, clip_on=False)
    marker, filled = MARKS[row["verdict"]]
    ax.plot(placed(row["estimate"]), middle, marker, color=style.INK, markersize=5.5, mfc=style.INK if filled else "w")
    if math.isfinite(row["published"]):
        ax.plot(placed(row["published"]), middle, "|", color=style.INK, markersize=11)


def _write(ax: Axes, across: float, middle: float, lines: Lines, side: str) -> None:
    """Write lines, each with its look, around the middle of a row."""
    for number, (line, look) in enumerate(lines):
        place = middle + (number - (len(lines) - 1) / 2) * _LINE
        ax.text(across, place, line, ha=side, va="center", fontsize=7, **look)


def _statement(row: Row) -> Lines:
    """The lines of a statement with its source, which is not broken, and of what it asks of which number."""
    said = f"{row['statement']} ({row['source']})"
    unbroken = said.replace(row["source"], row["source"].replace(" ", "\N{NO-BREAK SPACE}"))
    asked = claim_wording.asked(row)
    decides = f"{row['measure']}: {asked}" if asked else ""
    return [*_wrapped(unbroken, {}), *_wrapped(decides, {"color": _SOFT})]


def _wrapped(text: str, look: Mapping[str, Any], width: int = _LETTERS) -> Lines:
    return [(line, look) for line in textwrap.wrap(text, width, break_on_hyphens=False)]


def _limits(row: Row) -> tuple[float, float]:
    """Ends of a row's scale: the estimate, its interval where that is not endless, and where the claim holds."""
    shown = [row[name] for name in ("estimate", "margin_low", "margin_high", "published")]
    known = [float(value) for value in shown if math.isfinite(value)]
    reach = max(abs(value - row["estimate"]) for value in known) or abs(row["estimate"]) or 1.0
    ends = [row[name] for name in ("ci_low", "ci_high") if abs(row[name] - row["estimate"]) < 6 * reach]
    low, high = min([*known, *ends]), max([*known, *ends])
    room = 0.12 * (high - low or abs(low) or 1.0)
    return low - room, high + room


def _verdict(row: Row) -> Lines:
    """The lines of a verdict: the word, the numbers, and what else decides."""
    if row["verdict"] == "not testable":
        return [("not testable", {}), *_wrapped(row["lacking"], {}, 40)]
    numbers = claim_wording.found(row)
    if math.isfinite(row["published"]):
        numbers += f", published {claim_wording.number(row['published'])}"
    lines = [numbers, f"{claim_wording.behind(row)}; {claim_wording.agreeing(row)}"]
    if row["verdict"] == "undecided":
        lines.append(claim_wording.deciding(row))
    return [(row["verdict"], {"fontweight": "bold"}), *((line, {}) for line in lines)]


def _legend(figure: Figure) -> None:
    def mark(marker: str, filled: bool, label: str) -> Line2D:
        face = style.INK if filled else "w"
        return Line2D([], [], marker=marker, linestyle="none", color=style.INK, mfc=face, label=label)

    marks = [mark(*MARKS[verdict], verdict) for verdict in MARKS if verdict != "not testable"]
    published = mark("|", True, "published")
    holds = Patch(color=_MARGIN, label="where the claim holds")
    figure.legend(handles=[holds, *marks, published], loc="lower center", ncols=5, fontsize=7, frameon=False)
