"""The figure of exponents against thresholds: what it shows, where, and what it leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from memsweep.figures import style
from memsweep.figures.sweep import thresholds
from memsweep.study.axes import AXES, Axis
from memsweep.study.config.schemas import schema
from memsweep.tables.parquet import write_table

RULES = schema()["properties"]["grid"]["properties"]["base"]["properties"]
SETTINGS: dict[str, Any] = {
    "axes": [Axis.of(name, RULES[name], None).described() for name in AXES],
    "thresholds": {"f_mem": 0.1, "loss_gap_relative": 0.5, "bias": 0.7},
}
LEVELS = {"f_mem": (0.05, 0.1, 0.5), "loss_gap_relative": (0.1, 0.5)}


def exponents() -> pd.DataFrame:
    rows = []
    for definition, levels in LEVELS.items():
        for term, k in (("train_size", 1.5), ("batch_size", -1.0)):
            for place, level in enumerate(levels):
                value = k + 0.1 * place
                law = "rejected" if (term, level) == ("train_size", 0.5) else "not rejected"
                fit = {"exponent": value, "ci_low": value - 0.2, "ci_high": value + 0.2, "power_law": law}
                rows.append({"definition": definition, "term": term, "threshold": level, **fit})
    counts = {"runs": 8, "censored_runs": 0, "left_censored_runs": 0, "runs_in_noise": 0, "p_value": 0.5}
    return pd.DataFrame(rows).assign(noise=0.07, **counts)


def drawn(folder: Path, table: pd.DataFrame) -> Figure:
    columns = ["definition", "term", "threshold", "exponent", "ci_low", "ci_high"]
    slopes = table[columns].assign(low=8.0, high=16.0, runs=4, censored_runs=0, left_censored_runs=0)
    sources = {name: folder / f"{name}.parquet" for name in thresholds.SOURCES}
    write_table(sources["thresholds"], "thresholds", table)
    write_table(sources["local_slopes"], "local_slopes", slopes.assign(exponent=slopes["exponent"] + 0.3))
    with style.styled():
        figure = thresholds.draw(sources, SETTINGS)
        figure.draw_without_rendering()
    return figure


def words(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def marks(ax: Axes, marker: str) -> list[Any]:
    return [line for line in ax.lines if line.get_marker() == marker]


def test_each_definition_has_a_panel_with_each_axis_in_it(tmp_path: Path) -> None:
    figure = drawn(tmp_path, exponents())
    assert len(figure.axes) == 2
    gap, share = figure.axes  # in the order of the registry
    assert "50 %" in gap.get_title(loc="left")
    assert "10 %" in share.get_title(loc="left")
    for ax, name in ((gap, "loss_gap_relative"), (share, "f_mem")):
        for marker, k in (("o", 1.5), ("s", -1.0)):
            heights = [line.get_ydata()[0] for line in marks(ax, marker)]
            assert heights == pytest.approx([k + 0.1 * place for place in range(len(LEVELS[name]))])
        assert len(marks(ax, "_")) == 2 * len(LEVELS[name])
    text = words(figure)
    assert "training images $N$" in text
    assert "batch size $B$" in text
    assert "learning rate" not in text  # which is not swept


def test_symbols_are_hollow_where_a_power_law_is_rejected(tmp_path: Path) -> None:
    _, share = drawn(tmp_path, exponents()).axes
    hollow = [line for marker in ("o", "s") for line in marks(share, marker) if line.get_markerfacecolor() == "w"]
    assert [line.get_ydata()[0] for line in hollow] == pytest.approx([1.7])


def test_noise_is_shaded_up_to_its_level_and_no_further_than_the_panel(tmp_path: Path) -> None:
    gap, share = drawn(tmp_path, exponents()).axes
    assert not gap.patches  # every threshold is above it
    (shade,) = share.patches
    assert shade.get_extents().transformed(share.transData.inverted()).x1 == pytest.approx(0.07)
    _, loud = drawn(tmp_path, exponents().assign(noise=9.0)).axes
    assert loud.patches[0].get_extents().transformed(loud.transData.inverted()).x1 == pytest.approx(loud.get_xlim()[1])


def test_an_exponent_that_is_not_known_is_left_out(tmp_path: Path) -> None:
    table = exponents()
    table.loc[table["threshold"] == 0.5, ["exponent", "ci_low", "ci_high"]] = np.nan
    _, share = drawn(tmp_path, table).axes
    assert len(marks(share, "o")) == 2
    assert not drawn(tmp_path, table.assign(noise=np.nan)).axes[1].patches
    vague = exponents().assign(ci_low=-400.0, ci_high=np.inf)
    low, high = drawn(tmp_path, vague).axes[0].get_ylim()
    assert -3.5 < low < -3
    assert 1.7 < high < 2.5


def test_nothing_to_show_is_said(tmp_path: Path) -> None:
    assert "no onset has a threshold" in words(drawn(tmp_path, exponents().head(0)))
