"""The charts of the explorer: Vega-Lite specifications, whose rows the page fills in as runs are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import vl_convert

# Okabe & Ito 2008, told apart by the colour-blind, darkened where they are too pale for lines on white
PALETTE = ("#0072B2", "#D55E00", "#00795B", "#A3507F", "#1F6FA8", "#8A6D00", "#000000", "#6B6B6B")
# Of a panel's series, in their order, with what the page calls them
DASHES = {(1, 0): "solid", (5, 3): "dashed", (2, 2): "dotted"}
MOST_CHOSEN = len(PALETTE)


def bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script, which needs no network."""
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def panel(title: str, series: Sequence[str], logarithmic: bool, steps: tuple[float, float]) -> dict[str, Any]:
    """One panel: curves of the chosen runs against the step, the runs' onsets as rules.

    Args:
        title: of its vertical axis.
        series: what its lines are of, told apart by dashes: the first is drawn through.
        logarithmic: scale of its values.
        steps: the first and the last on its horizontal axis, which stays as runs are chosen.

    Returns:
        A specification with the named data ``curves`` (step, value, low, high, run, colour, series) and ``onsets``
        (step, run, colour), both empty.
    """
    step = alt.X(
        "step:Q",
        title="step",
        scale=alt.Scale(type="log", nice=False, domain=list(steps), padding=8),
        axis=alt.Axis(format="~s", labelOverlap=True),
    )
    scale = alt.Scale(type="log", nice=False, padding=8) if logarithmic else alt.Scale(zero=False)
    colour = alt.Color("colour:N", scale=None)
    # The page has the legend, as text
    scale_of_dashes = alt.Scale(domain=list(series), range=[*DASHES][: len(series)])
    dash = alt.StrokeDash("series:N", legend=None, scale=scale_of_dashes)
    curves = alt.Chart(alt.NamedData("curves")).encode(x=step, color=colour, detail=["run:N"])
    value = alt.Y("value:Q", title=title, scale=scale)
    tooltip = ["run:N", "series:N", alt.Tooltip("step:Q", format=","), alt.Tooltip("value:Q", format=".4~g")]
    lines = curves.mark_line(strokeWidth=1.8).encode(y=value, strokeDash=dash)
    points = curves.mark_circle(size=40, opacity=0.55).encode(y=value, tooltip=tooltip)
    low = alt.Y("low:Q", title=title, scale=scale)
    band = curves.mark_area(opacity=0.12).encode(y=low, y2="high:Q", detail=["run:N", "series:N"])
    onsets = (
        alt.Chart(alt.NamedData("onsets"))
        .mark_rule(strokeWidth=1.2, strokeDash=[1, 3])
        .encode(x=step, color=colour, tooltip=["run:N", alt.Tooltip("step:Q", title="onset at step", format=",.0f")])
    )
    chart = (
        alt.layer(band, lines, points, onsets)
        .properties(width="container", height=210)
        .configure(aria=False)  # the page says what the whole chart is, instead of each of its marks
        .configure_view(stroke="#bbb")
        .configure_axis(gridColor="#e8e8e8", labelColor="#333", titleColor="#222", labelFontSize=12, titleFontSize=12)
    )
    return dict(chart.to_dict())
