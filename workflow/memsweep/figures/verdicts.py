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
from .page import DOUBLE, Page, page

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
_LINE = 0.125  # inches from line to line of text
_GAP = 0.1  # between rows
_SCALE = (0.0, 1.0)
_TEXT, _VERDICT = -0.05, 1.06  # where statements end and verdicts begin, in scales
_MARGIN, _RULE, _SOFT = "0.85", "0.9", "0.4"


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw on a scale of each row's own where the claim holds, the estimate and its interval.

    Args:
        sources: the table ``claims``.
        settings: those of the page.
    """
    return drawn(read_table(sources["claims"], "claims"), page(settings))


def drawn(claims: pd.DataFrame, on: Page = DOUBLE) -> Figure:
    """The figure of a table ``claims``: a statement left of its scale, or over one column of a page above it."""
    rows: Sequence[Row] = claims.to_dict("records")
    single = on.is_single
    statements = [_statement(row, 58 if single else 44) for row in rows]
    verdicts = [_verdict(row, 31 if single else 38) for row in rows]
    # Where a row's scale begins below its top, and the height of the row
    tops = [len(lines) * _LINE + _GAP / 2 if single else 0.0 for lines in statements]
    heights = [
        (top + len(right) * _LINE if single else max(len(left), len(right)) * _LINE) + _GAP
        for top, left, right in zip(tops, statements, verdicts, strict=True)
    ]
    legend = 0.75 if single else 0.45
    left, width = (0.04, 0.36) if single else (0.415, 0.25)
    with style.styled():
        figure = Figure(figsize=(on.width, sum(heights) + legend + 0.1))
        tall = figure.get_figheight()
        ax = figure.add_axes((left, legend / tall, width, sum(heights) / tall))
        ax.set(xlim=_SCALE, ylim=(sum(heights), 0))
        ax.axis("off")
        top = 0.0
        for row, statement, verdict, beneath, height in zip(rows, statements, verdicts, tops, heights, strict=True):
            ax.axhline(top, color=_RULE, linewidth=0.5, xmin=-2, xmax=3, clip_on=False)
            if single:
                _write(ax, 0, top + (beneath + _GAP / 2) / 2, statement, "left")
            else:
                _write(ax, _TEXT, top + height / 2, statement, "right")
            _draw_row(ax, row, top + beneath, height - beneath, verdict)
            top += height
        _legend(figure, on)
        return figure


def _draw_row(ax: Axes, row: Row, top: float, height: float, verdict: Lines) -> None:
    """The scale of a row and its verdict in words."""
    middle = top + height / 2
    _write(ax, _VERDICT, middle, verdict, "left")
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


def _statement(row: Row, letters: int) -> Lines:
    """The lines of a statement with its source, which is not broken, and of what it asks of which number."""
    said = f"{row['statement']} ({row['source']})"
    unbroken = said.replace(row["source"], row["source"].replace(" ", "\N{NO-BREAK SPACE}"))
    asked = claim_wording.asked(row)
    decides = f"{row['measure']}: {asked}" if asked else ""
    return [*_wrapped(unbroken, {}, letters), *_wrapped(decides, {"color": _SOFT}, letters)]


def _wrapped(text: str, look: Mapping[str, Any], letters: int) -> Lines:
    return [(line, look) for line in textwrap.wrap(text, letters, break_on_hyphens=False)]


def _limits(row: Row) -> tuple[float, float]:
    """Ends of a row's scale: the estimate, its interval where that is not endless, and where the claim holds."""
    shown = [row[name] for name in ("estimate", "margin_low", "margin_high", "published")]
    known = [float(value) for value in shown if math.isfinite(value)]
    reach = max(abs(value - row["estimate"]) for value in known) or abs(row["estimate"]) or 1.0
    ends = [row[name] for name in ("ci_low", "ci_high") if abs(row[name] - row["estimate"]) < 6 * reach]
    low, high = min([*known, *ends]), max([*known, *ends])
    room = 0.12 * (high - low or abs(low) or 1.0)
    return low - room, high + room


def _verdict(row: Row, letters: int) -> Lines:
    """The lines of a verdict, of so many letters: the word, the numbers, and what else decides."""
    if row["verdict"] == "not testable":
        return [("not testable", {}), *_wrapped(row["lacking"], {}, letters)]
    numbers = claim_wording.found(row)
    if math.isfinite(row["published"]):
        numbers += f", published {claim_wording.number(row['published'])}"
    lines = [numbers, f"{claim_wording.behind(row)}; {claim_wording.agreeing(row)}"]
    if row["verdict"] == "undecided":
        lines.append(claim_wording.deciding(row))
    rest = [line for text in lines for line in _wrapped(text, {}, letters)]
    return [(row["verdict"], {"fontweight": "bold"}), *rest]


def _legend(figure: Figure, on: Page) -> None:
    def mark(marker: str, filled: bool, label: str) -> Line2D:
        face = style.INK if filled else "w"
        return Line2D([], [], marker=marker, linestyle="none", color=style.INK, mfc=face, label=label)

    marks = [mark(*MARKS[verdict], verdict) for verdict in MARKS if verdict != "not testable"]
    published = mark("|", True, "published")
    holds = Patch(color=_MARGIN, label="where the claim holds")
    handles = [holds, *marks, published]
    figure.legend(handles=handles, loc="lower center", ncols=on.entries(handles, 5), fontsize=7, frameon=False)
