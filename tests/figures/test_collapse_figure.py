"""The figure of collapse: curves in three times, and the numbers over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from memsweep.analysis.collapse import collapse as collapse_table
from memsweep.figures import style
from memsweep.figures.sweep import collapse
from memsweep.study.axes import Axis
from memsweep.study.config.schemas import schema
from memsweep.tables.contracts import SCHEMAS
from memsweep.tables.parquet import write_table

RULES = schema()["properties"]["grid"]["properties"]["base"]["properties"]
BASE = {"train_size": 16, "base_channels": 4, "batch_size": 8, "learning_rate": 1e-3, "seed": 0}
GRID = [Axis.of(name, RULES[name], base) for name, base in BASE.items()]
SETTINGS: dict[str, Any] = {
    "axes": [axis.described() for axis in GRID],
    "onset": "f_mem",
    "thresholds": {"f_mem": 0.1, "loss_gap_relative": 0.5},
    "palette": "viridis",
}
STEPS = np.geomspace(10, 10_000, 20).astype(int)


def study(sizes: tuple[int, ...] = (16, 32, 64), reached: float = 1.0) -> dict[str, pd.DataFrame]:
    """Two seeds of each size, whose copies and gaps come in proportion to N, up to a level."""
    runs = pd.DataFrame([{**BASE, "train_size": n, "seed": s} for n in sizes for s in (0, 1)])
    about = {"subset": 0, "dataset": "digits", "parameters": 100, "max_steps": 9, "status": "finished"}
    runs = runs.assign(run_id=[f"run{n}" for n in range(len(runs))], **about, data_hash="0", code_version="0")
    shares, losses = [], []
    for run in runs.to_dict("records"):
        rise = reached / (1 + (STEPS / ((10 + 0.3 * run["seed"]) * run["train_size"])) ** -2.0)
        known = {"run_id": run["run_id"], "step": STEPS}
        ends = {"ci_low": rise, "ci_high": rise}
        of = {"metric": "f_mem", "space": "pixels", "reference": "train", "generated": 9}
        shares.append(pd.DataFrame({**known, **of, "value": rise, **ends}))
        for split, loss in (("train", np.full(20, 0.5)), ("test", 0.5 + 0.5 * rise)):
            losses.append(pd.DataFrame({**known, "split": split, "loss": loss, "ci_low": loss, "ci_high": loss}))
    levels = [(name, level, 0) for name in ("f_mem", "loss_gap_relative") for level in (0.1, 0.5)]
    found = {
        "runs": runs,
        "trajectories": pd.concat(losses),
        "metrics": pd.concat(shares).astype({"step": "Int64"}),
        "onsets": pd.DataFrame(columns=SCHEMAS["onsets"].names),
        "thresholds": pd.DataFrame(levels, columns=["definition", "threshold", "runs_in_noise"]),
    }
    return {**found, "collapse": collapse_table(found, GRID, 0.95)}


def drawn(folder: Path, tables: dict[str, pd.DataFrame], **settings: Any) -> Figure:
    sources = {name: folder / f"{name}.parquet" for name in collapse.SOURCES}
    for name, path in sources.items():
        write_table(path, name, tables[name])
    with style.styled():
        figure = collapse.draw(sources, {**SETTINGS, **settings})
        figure.draw_without_rendering()
    return figure


def words(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def curves_of(figure: Figure, panel: int) -> list[np.ndarray]:
    lines = [line for line in figure.axes[panel].lines if len(np.asarray(line.get_xdata())) == len(STEPS)]
    return [np.asarray(line.get_xdata(), float) for line in lines]


def test_curves_stand_at_the_step_and_at_rescaled_times(tmp_path: Path) -> None:
    tables = study()
    figure = drawn(tmp_path, tables)
    assert len(figure.axes) == 4  # three times, and the legend
    for panel, exponent in ((0, 0.0), (1, 1.0)):
        found = curves_of(figure, panel)
        assert len(found) == 6
        for size, steps in zip((16, 16, 32, 32, 64, 64), found, strict=True):
            assert steps == pytest.approx(STEPS * (size / 16) ** -exponent)
    rows = tables["collapse"].query("curve == 'f_mem' and axis == 'train_size'").set_index("exponents")
    for panel, way in enumerate(("none", "paper", "fitted")):
        assert f"{rows.loc[way, 'ratio']:.2g}" in figure.axes[panel].get_title(loc="left").replace("1.0", "1")
    looks = {str(line._unscaled_dash_pattern) for line in figure.axes[0].lines[1:]}  # type: ignore[attr-defined]
    assert len(looks) == 3  # values are told apart in grey, too


def test_the_curve_is_that_of_the_onset(tmp_path: Path) -> None:
    gap = drawn(tmp_path, study(), onset="loss_gap_relative")
    assert "test over training" in gap.axes[0].get_ylabel()
    assert gap.axes[0].get_ylim()[1] == pytest.approx(3)
    share = drawn(tmp_path, study(), onset="test_loss_minimum")  # which is no curve's threshold
    assert "mem" in share.axes[0].get_ylabel()


def test_curves_that_pass_no_level_have_no_number(tmp_path: Path) -> None:
    assert words(drawn(tmp_path, study(reached=0.05))).count("not every run passes") == 3


def test_an_axis_of_two_values_is_enough_and_none_is_said(tmp_path: Path) -> None:
    assert len(curves_of(drawn(tmp_path, study((16, 32))), 2)) == 4
    assert "is swept" in words(drawn(tmp_path, study((16,))))
