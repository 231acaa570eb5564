"""How loss, copying and fidelity develop as one axis is swept: the panels of Marion & Wu (2026)."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from ...analysis import published
from ...study.axes import read_axes
from ...tables.parquet import read_table
from .. import selection, style, wording
from ..curves import TEST, TRAIN, banded, fit_shares, linear, logarithmic, threshold
from ..page import Page, page
from ..swept_axis import SweptAxis

SOURCES = ("runs", "trajectories", "metrics", "agreement_over_pairs")

# Of the battery, those that are taken in pixels alone, and all
CLOSENESS = ("nearer", "authenticity")
BATTERY = (*CLOSENESS, "precision", "recall", "density", "coverage")


_EVERY = 0.2  # of the diagonal of a panel, from marker to marker of a curve
_ASIDE = 6  # points from the first to the last interval right of the curves

# What two seeds of one training set show
SEEDS: style.Dashes = (0, (5, 1.2, 1, 1.2, 1, 1.2))

_CROSS: dict[str, Any] = {"marker": "X", "markersize": 7, "markeredgecolor": "w", "markeredgewidth": 0.7}


@dataclass(frozen=True)
class _Curves:
    """What the panels draw from: the runs along one axis, their tables and their colours."""

    swept: SweptAxis
    losses: pd.DataFrame
    metrics: pd.DataFrame
    of_runs: pd.DataFrame  # metrics that hold for whole runs
    of_seeds: pd.DataFrame  # what runs show together that differ in their seed
    colours: Mapping[Any, style.Colour]
    settings: Mapping[str, Any]

    def floor(self, name: str) -> tuple[float, float, float] | None:
        return selection.floor(self.of_runs, self.swept.runs, name, self.settings["distance"])

    def metric(self, name: str, reference: str, space: str) -> pd.DataFrame:
        return selection.metric(self.metrics, name, reference, space)

    def seeds_floor(self) -> pd.DataFrame:
        """What the distances of two seeds to a perfect memory of their training set are at least, in the mean."""
        return self.of_seeds[self.of_seeds["measure"] == "empirical_distance_floor"]

    def split(self, name: str) -> pd.DataFrame:
        return self.losses[self.losses["split"] == name]

    def draw(self, ax: Axes, rows: pd.DataFrame, dashes: style.Dashes, width: float = 1.2, band: bool = True) -> None:
        """The mean over repetitions as a line, its band behind it, for each value of the axis."""
        for value, colour in self.colours.items():
            curve = self._of(rows, value)
            if not curve.empty:
                banded(ax, curve, colour, dashes, width, band)
                if dashes in (TRAIN, TEST):
                    ax.lines[-1].set(marker=self.swept.markers[value], markersize=2.8, markevery=_EVERY)

    def both(self, ax: Axes, metric: str, space: str) -> None:
        """A metric against both splits.

        Bands of both would hide each other: that against training images has its interval at the last step alone,
        right of the curves.
        """
        known = self.metric(metric, "train", space)
        self.draw(ax, known, TRAIN, band=not len(self.metric(metric, "test", space)))
        self.draw(ax, self.metric(metric, "test", space), TEST)
        if not len(self.metric(metric, "test", space)):
            return
        for place, (value, colour) in enumerate(self.colours.items()):
            for last in self._of(known, value).tail(1).to_dict("records"):
                right = 3 + _ASIDE * place / max(len(self.colours) - 1, 1)
                aside = ScaledTranslation(right / 72, 0, ax.figure.dpi_scale_trans)
                look: dict[str, Any] = {"transform": ax.transData + aside, "color": colour, "linewidth": 1}
                ax.vlines(last["time"], last["low"], last["high"], **look)

    def _of(self, rows: pd.DataFrame, value: Any) -> pd.DataFrame:
        """The mean over repetitions at one value of the axis, as of `selection.over_repetitions`."""
        return selection.over_repetitions(rows[rows[self.swept.column] == value], self.swept.axis)


def draw(sources: Mapping[str, Path], settings: Mapping[str, Any]) -> Figure:
    """Draw loss, share of copies and distances against time for each value of an axis.

    Args:
        sources: the tables of `SOURCES`.
        settings: ``axes`` of the grid; ``axis``, the column of the swept one; ``palette``;
            ``time``, ``normalised_step`` or ``step``; ``panels``, names of `PANELS`;
            ``distance``, the feature space; ``thresholds`` of the onset.
    """
    axes, panels = read_axes(settings), settings["panels"]
    axis = next(axis for axis in axes if axis.column == settings["axis"])
    swept = SweptAxis.among(read_table(sources["runs"], "runs"), axes, axis)
    runs = swept.runs
    losses = selection.timed(read_table(sources["trajectories"], "trajectories"), runs, settings["time"])
    losses = losses.rename(columns={"loss": "value"})
    metrics = read_table(sources["metrics"], "metrics")
    together = selection.over_runs(read_table(sources["agreement_over_pairs"], "agreement_over_pairs"))
    curves = _Curves(
        swept,
        losses[np.isfinite(losses["value"])],
        selection.timed(metrics, runs, settings["time"]),
        metrics[metrics["step"].isna()],
        selection.timed(together[together["differs"] == "seed"], runs, settings["time"]),
        swept.colours(settings["palette"]),
        settings,
    )
    on = page(settings)
    columns = on.across(min(2, len(panels)))
    rows = -(-len(panels) // columns)
    with style.styled():
        figure = on.figure(single=1.3 + 1.45 * rows, double=0.8 + 2.3 * rows)
        drawn = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel().tolist()
        for ax in drawn[len(panels) :]:
            ax.remove()
        drawn = drawn[: len(panels)]
        for ax, name, letter in zip(drawn, panels, string.ascii_lowercase, strict=False):
            title, label = PANELS[name](ax, curves)
            style.lettered(ax, letter, title)
            ax.set_ylabel(label, fontsize=on.label)
            if not ax.lines:
                style.note(ax, "no values")
        for ax in drawn[-columns:]:
            ax.set_xlabel(wording.TIME_LABELS[settings["time"]])
            ax.tick_params(labelbottom=True)
        style.logarithmic(drawn[0], "x")
        _legends(figure, curves, on)
    return figure


def _loss(ax: Axes, curves: _Curves) -> tuple[str, str]:
    curves.draw(ax, curves.split("train"), TRAIN)
    curves.draw(ax, curves.split("test"), TEST)
    _mark_diverged(ax, curves)
    logarithmic(ax)
    return "loss", "squared error per pixel"


def _loss_gap(ax: Axes, curves: _Curves) -> tuple[str, str]:
    threshold(ax, curves.settings["thresholds"]["loss_gap_absolute"])
    curves.draw(ax, _gaps(curves.losses), TRAIN)
    linear(ax)
    return "loss gap", f"test loss {wording.MINUS} training loss"


def _f_mem(ax: Axes, curves: _Curves) -> tuple[str, str]:
    level = curves.settings["thresholds"]["f_mem"]
    threshold(ax, level)
    _shares(ax, curves, "f_mem", "pixels")
    fit_shares(ax, level)
    return "memorised share", r"$f_\mathrm{mem}$"


def _calibrated(ax: Axes, curves: _Curves) -> tuple[str, str]:
    level = curves.settings["thresholds"]["f_mem"]
    threshold(ax, level)
    _shares(ax, curves, "f_mem_calibrated", "pixels")
    fit_shares(ax, level)
    return "memorised share, calibrated", "calibrated copies"


def _sscd_score(ax: Axes, curves: _Curves) -> tuple[str, str]:
    _shares(ax, curves, "sscd_score", "sscd")
    for number in _published_scores(curves):
        ax.plot(*number, **style.PUBLISHED)
    ax.set_ylim(-0.03, max(ax.get_ylim()[1], 0.1))
    return "memorised share, by SSCD", "SSCD score"


def _published_scores(curves: _Curves) -> list[tuple[float, float]]:
    """Time and height of the published scores of these runs."""
    runs = curves.swept.runs
    rows = published.scores(runs, curves.swept.axis.coordinate, curves.settings["formulation"])
    if not rows:
        return []
    numbers = selection.timed(pd.DataFrame(rows, columns=["run_id", "step", "score"]), runs, curves.settings["time"])
    return list(zip(numbers["time"], numbers["score"], strict=True))


def _shares(ax: Axes, curves: _Curves, metric: str, space: str) -> None:
    curves.draw(ax, curves.metric(metric, "control", space), style.DOTS, width=0.9, band=False)
    curves.draw(ax, curves.metric(metric, "train", space), TRAIN)
    linear(ax)


def _distance(metric: str) -> _Panel:
    def panel(ax: Axes, curves: _Curves) -> tuple[str, str]:
        space = curves.settings["distance"]
        curves.both(ax, metric, space)
        if (floor := curves.floor(metric)) and ax.lines:
            style.floor(ax, floor)
        if metric in ("kid", "frechet_infinity"):  # unbiased, so it may be below 0
            linear(ax)
        else:
            logarithmic(ax)
        of = "" if page(curves.settings).is_single else " of the generated images"
        return wording.distance_name(metric, space), f"distance{of}\n({space} space)"

    return panel


def _battery(metric: str, label: str) -> _Panel:
    def panel(ax: Axes, curves: _Curves) -> tuple[str, str]:
        space = "pixels" if metric in CLOSENESS else curves.settings["distance"]
        curves.draw(ax, curves.metric(metric, "control", space), style.DOTS, width=0.9, band=False)
        curves.both(ax, metric, space)
        linear(ax)
        return metric.replace("nearer", "nearer than held-out images"), label

    return panel


def _empirical_distance(ax: Axes, curves: _Curves) -> tuple[str, str]:
    ax.axhline(1, color="0.45", linestyle=style.DOTS, linewidth=0.8, zorder=1)
    curves.draw(ax, curves.metric("empirical_distance", "train", "pixels"), TRAIN)
    curves.draw(ax, curves.seeds_floor(), SEEDS, width=0.9, band=False)
    if curves.seeds_floor().empty:
        words = "no floor: no training set has two seeds"
        ax.text(0.03, 0.03, words, transform=ax.transAxes, ha="left", va="bottom", size=7, color="0.25")
    linear(ax)
    return "distance to a perfect memory", "over that to another set's"


_Panel = Callable[[Axes, _Curves], tuple[str, str]]

PANELS: Mapping[str, _Panel] = {
    "loss": _loss,
    "loss_gap": _loss_gap,
    "f_mem": _f_mem,
    "f_mem_calibrated": _calibrated,
    "sscd_score": _sscd_score,
    "sliced_wasserstein": _distance("sliced_wasserstein"),
    "frechet": _distance("frechet"),
    "frechet_infinity": _distance("frechet_infinity"),
    "kid": _distance("kid"),
    "nearer": _battery("nearer", "probability"),
    "authenticity": _battery("authenticity", "share of generated images"),
    "precision": _battery("precision", "share of generated images"),
    "recall": _battery("recall", "share of real images"),
    "density": _battery("density", "balls of a generated image"),
    "coverage": _battery("coverage", "share of real images"),
    "empirical_distance": _empirical_distance,
}
"""What a panel can show, by name: each draws on an axes, and returns the title and the label of the y axis."""


def _gaps(losses: pd.DataFrame) -> pd.DataFrame:
    """Test loss minus training loss of each run and step.

    The two splits' intervals are combined as in Zou & Donner (2008), who recover the
    variances from the intervals' arms.
    """
    keys = ["run_id", "step"]
    train, test = (losses[losses["split"] == split] for split in ("train", "test"))
    both = test.merge(train[[*keys, "value", "ci_low", "ci_high"]], on=keys, suffixes=("", "_train"))
    gap = both["value"] - both["value_train"]
    low = gap - np.hypot(both["value"] - both["ci_low"], both["ci_high_train"] - both["value_train"])
    high = gap + np.hypot(both["ci_high"] - both["value"], both["value_train"] - both["ci_low_train"])
    return both.assign(value=gap, ci_low=low, ci_high=high)


def _diverged(curves: _Curves) -> pd.DataFrame:
    """The last finite training loss of each run that diverged."""
    names = curves.swept.runs.query("status == 'diverged'")["run_id"]
    train = curves.split("train")
    lasts: pd.DataFrame = train[train["run_id"].isin(names)].groupby("run_id").last()
    return lasts


def _mark_diverged(ax: Axes, curves: _Curves) -> None:
    for _, last in _diverged(curves).iterrows():
        ax.plot(last["time"], last["value"], color=curves.colours[last[curves.swept.column]], **_CROSS)


def _legends(figure: Figure, curves: _Curves, on: Page) -> None:
    panels, values = curves.settings["panels"], curves.swept.handles(curves.colours)
    styles = [("train", TRAIN), ("test", TEST)]
    shares = {"f_mem": "pixels", "f_mem_calibrated": "pixels", "sscd_score": "sscd"}
    shares |= {name: "pixels" if name in CLOSENESS else curves.settings["distance"] for name in BATTERY}
    if any(len(curves.metric(name, "control", space)) for name, space in shares.items() if name in panels):
        styles.append(("control", style.DOTS))
    if {"f_mem", "f_mem_calibrated", "loss_gap"} & set(panels):
        styles.append(("onset threshold", style.DASH_DOTS))
    if "empirical_distance" in panels and len(curves.seeds_floor()):
        styles.append(("floor: two seeds", SEEDS))
    lines = [Line2D([], [], color=style.INK, linestyle=dashes, label=name) for name, dashes in styles]
    if any(curves.floor(name) for name in panels):
        lines.append(Line2D([], [], label="real images, to test", **style.FLOOR))
    if "sscd_score" in panels and _published_scores(curves):
        lines.append(Line2D([], [], label=published.LABEL, **style.PUBLISHED))
    diverged = "loss" in panels and len(_diverged(curves)) > 0
    if diverged:
        lines.append(Line2D([], [], color=style.INK, linewidth=0, label="a run diverged", **_CROSS))
    heading, title = curves.swept.held_fixed(on.line), wording.axis_label(curves.swept.axis)
    on.around(figure, heading, values, title, lines, 3 if diverged else 2)
