"""The matrix of what metrics read, and the sheet of the nearest pairs."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from memsweep.figures import pair_sheet
from memsweep.figures.style import save
from memsweep.figures.sweep import metric_check
from memsweep.metrics.constructed import GENERATORS
from memsweep.tables.parquet import write_table

METRICS = {
    "train": ["field_copies", "calibrated_copies", "nearer", "authenticity"],
    "held_out": ["precision", "density", "recall", "coverage", "sliced_wasserstein", "kid", "frechet"],
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Every value is 0.5 within 0.1, but for the precision of the Gaussian, 0.8, and Fréchet distances: none."""
    rows = [
        {
            "generator": generator.name,
            "train_size": size,
            "samples": 50,
            "metric": metric,
            "space": "pixels",
            "reference": reference,
            "value": np.nan
            if metric == "frechet"
            else 0.8
            if (generator.name, metric) == ("gaussian", "precision")
            else 0.5,
        }
        for generator, size in itertools.product(GENERATORS, (16, 128))
        for reference, metrics in METRICS.items()
        for metric in metrics
    ]
    table = pd.DataFrame(rows)
    table = table.assign(ci_low=table["value"] - 0.1, ci_high=table["value"] + 0.1, held_out_value=0.5)
    write_table(tmp_path / "metric_check.parquet", "metric_check", table)
    return tmp_path / "metric_check.parquet"


def drawn(source: Path) -> Figure:
    figure = metric_check.draw({"metric_check": source}, {"confidence": 0.95})
    figure.draw_without_rendering()
    return figure


def test_what_differs_from_a_perfect_sampler_is_seen_and_nothing_else(source: Path) -> None:
    figure = drawn(source)
    words = [text for text in figure.findobj(Text) if text.get_weight() == "bold"]
    assert [text.get_text() for text in words] == [".80", ".80"]
    panel = figure.axes[0]
    coloured = [
        patch for patch in panel.patches if isinstance(patch, Rectangle) and patch.get_facecolor()[:3] != (1, 1, 1)
    ]
    assert len(coloured) == 1
    assert panel.get_title() == ""
    names = [label.get_text() for label in panel.get_yticklabels()]
    assert names == [generator.name.replace("_", " ") for generator in GENERATORS]


def test_a_metric_that_could_not_be_taken_is_none_and_every_size_has_a_panel(source: Path) -> None:
    texts = [text.get_text() for text in drawn(source).findobj(Text)]
    assert texts.count("none") == 2 * len(GENERATORS)
    assert sum("$N$ = 16" in text for text in texts) == sum("$N$ = 128" in text for text in texts) == 1


def test_the_same_table_gives_the_same_file(source: Path, tmp_path: Path) -> None:
    for name in ("a.pdf", "b.pdf"):
        save(drawn(source), [tmp_path / name])
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()


@pytest.mark.parametrize("value", [(0.123, ".12"), (1.0, "1"), (0.0, "0"), (3.27, "3.27"), (-0.0004, "−4e−4")])  # noqa: RUF001
def test_numbers_are_short(value: tuple[float, str]) -> None:
    assert metric_check._number(value[0]) == value[1]


@pytest.mark.parametrize(("count", "shape"), [(1, (8, 8, 1)), (7, (8, 12, 3))])
def test_a_sheet_has_both_images_of_each_pair_and_frames_copies(count: int, shape: tuple[int, int, int]) -> None:
    source = np.random.default_rng(0)
    images = source.integers(0, 256, (count, 2, *shape), dtype=np.uint8)
    pairs = [pair_sheet.Pair(*both, 0.1 * row, row < 3) for row, both in enumerate(images)]
    figure = pair_sheet.draw(pairs, "pairs", "framed: a copy")
    (panel,) = figure.axes
    assert len(panel.images) == 2 * count
    np.testing.assert_array_equal(np.asarray(panel.images[1].get_array()), images[0, 1].squeeze())
    assert len(panel.patches) == min(count, 3)
    ratios = [text.get_text() for text in panel.texts]
    assert ratios == [f"{0.1 * row:.2f}" for row in range(count)]
