"""The figure of which images are copied first: which it shows, at which steps, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.text import Text
from memsweep.analysis.copied_first import CopiedFirst
from memsweep.data.images import encode
from memsweep.figures import style
from memsweep.figures.sweep import copied_images
from memsweep.study.axes import AXES, Axis
from memsweep.study.config.schemas import schema
from memsweep.tables.parquet import image_metadata, write_table

BASE = {"train_size": 24, "base_channels": 4, "batch_size": 8, "learning_rate": 1e-3, "seed": 0}
RULES = schema()["properties"]["grid"]["properties"]["base"]["properties"]
SETTINGS: dict[str, Any] = {
    "axes": [Axis.of(name, RULES[name], BASE[name]).described() for name in AXES],
    "run_id": "run2",
    "palette": "viridis",
}
PIXELS = np.random.default_rng(0).integers(0, 256, (48, 3, 4, 1), dtype=np.uint8)
POINTS = [(12, 0), (12, 1), (24, 0), (48, 0)]


def copied() -> pd.DataFrame:
    """Runs in which images come in the order of their distance to the class's mean, the last third never."""
    source, parts = np.random.default_rng(1), []
    for number, (size, _) in enumerate(POINTS):
        rank = source.permutation(size)
        step = pd.Series(np.where(rank < 2 * size / 3, 10.0 * size * 2 ** (4 * rank // size), np.nan)).astype("Int64")
        samples = np.where(step.isna(), 0, size - rank)
        measures = {"to_class_mean": 1 + rank / size, "to_nearest": source.random(size)}
        counts = {"first_step": step, "samples": samples, "share": samples / samples.sum(), **measures}
        parts.append(pd.DataFrame({"run_id": f"run{number}", "index": range(size), "label": 0, **counts}))
    return pd.concat(parts, ignore_index=True)


def drawn(folder: Path, rows: pd.DataFrame, pixels: np.ndarray = PIXELS, **settings: Any) -> Figure:
    runs = pd.DataFrame([{**BASE, "train_size": size, "seed": seed} for size, seed in POINTS]).assign(
        run_id=[f"run{number}" for number in range(len(POINTS))],
        **{"subset": 0, "dataset": "digits", "parameters": 100, "max_steps": 10, "status": "finished"},
        **{"data_hash": "0", "code_version": "0"},
    )
    first = CopiedFirst(rows["index"].to_numpy(), 50)
    for _, own in rows.groupby("run_id"):
        first.add(own)
    # Images that are held out come first, and are none of those that are counted
    table = pd.DataFrame({"index": range(-2, 48), "split": ["test"] * 2 + ["train"] * 48, "label": 0})
    table["image"] = encode(np.concatenate([255 - pixels[:2], pixels]))
    sources = {name: folder / f"{name}.parquet" for name in copied_images.SOURCES}
    write_table(sources["runs"], "runs", runs)
    write_table(sources["images"], "images", table, image_metadata(pixels.shape[1:]))
    write_table(sources["copied_images"], "copied_images", rows)
    write_table(sources["copied_first"], "copied_first", first.table(0.95))
    figure = copied_images.draw(sources, {**SETTINGS, **settings})
    figure.draw_without_rendering()
    return figure


def words(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def shown(figure: Figure) -> list[bytes]:
    return [np.asarray(image.get_array()).astype(np.uint8).tobytes() for image in figure.axes[0].images]


def test_images_copied_most_stand_above_those_that_never_are(tmp_path: Path) -> None:
    rows = copied()
    figure = drawn(tmp_path, rows)
    own = rows[rows["run_id"] == "run2"]
    most = own.sort_values("samples", ascending=False)["index"].head(10).tolist()
    never = own[own["first_step"].isna()]["index"].tolist()
    late = own[own["first_step"] == own["first_step"].max()].sort_values(["samples", "index"])["index"].tolist()
    assert len(never) == 8
    assert shown(figure) == [PIXELS[index].tobytes() for index in [*most, *never, *late[:2]]]
    beneath = [text.get_text() for text in figure.axes[0].texts]
    assert beneath.count("never") == 8
    assert beneath[0] == "copied by most samples, first at step"
    assert beneath[1:11] == [f"{step}" for step in own.set_index("index").loc[most, "first_step"]]
    assert "copied last, or never" in beneath


def test_what_is_copied_last_is_named_as_it_is(tmp_path: Path) -> None:
    rows = copied()
    assert "copied by no sample" in words(drawn(tmp_path, rows, run_id="run3"))  # 16 of 48 never are
    always = rows.assign(first_step=rows["first_step"].fillna(9999))
    text = words(drawn(tmp_path, always))
    assert "copied last, first at step" in text
    assert "never" not in text


def test_points_are_images_of_all_runs_and_hollow_where_they_were_never_copied(tmp_path: Path) -> None:
    rows = copied()
    figure = drawn(tmp_path, rows)
    assert len(figure.axes) == 3
    for ax in figure.axes[1:]:
        points = [line for line in ax.lines if line.get_linestyle() == "None"]
        hollow = [line for line in points if line.get_markerfacecolor() == "none"]
        assert sum(len(line.get_xdata()) for line in points) == len(rows)  # type: ignore[arg-type]
        assert sum(len(line.get_xdata()) for line in hollow) == rows["first_step"].isna().sum()  # type: ignore[arg-type]
        assert len({line.get_marker() for line in points}) == 3  # sizes are told apart in grey, too
    (medians,) = [line for line in figure.axes[1].lines if line.get_linestyle() == "-" and line.get_marker() == "s"]
    assert np.all(np.diff(np.asarray(medians.get_ydata(), float)) > 0)


def test_correlations_are_said_with_their_intervals(tmp_path: Path) -> None:
    text = words(drawn(tmp_path, copied()))
    for size in (12, 24, 48):
        assert f"$N$ = {size}: 0.9" in text
    assert "all runs: 0.9" in text
    assert "within classes: 0.9" in text
    assert text.count("above 0: typical first") == 2


def test_colour_images_are_shown_in_colour(tmp_path: Path) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (48, 3, 4, 3), dtype=np.uint8)
    assert np.asarray(drawn(tmp_path, copied(), pixels).axes[0].images[0].get_array()).shape == (3, 4, 3)


def test_runs_without_a_threshold_leave_panels_that_say_so(tmp_path: Path) -> None:
    text = words(drawn(tmp_path, copied().head(0)))
    assert "no threshold for copies of this run's images" in text
    assert text.count("no values") == 2
    never = copied().assign(first_step=pd.array([pd.NA] * 96, "Int64"), samples=0, share=0.0)
    assert words(drawn(tmp_path, never)).count("no image was copied") == 2


def test_the_same_tables_give_the_same_files(tmp_path: Path) -> None:
    for name in ("first", "second"):
        style.save(drawn(tmp_path, copied()), [tmp_path / f"{name}.{kind}" for kind in ("pdf", "png")])
    for kind in ("pdf", "png"):
        assert (tmp_path / f"first.{kind}").read_bytes() == (tmp_path / f"second.{kind}").read_bytes()
