"""A file says what it shows, and of which study."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from helpers.drawn_words import faults
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from memsweep.figures import draw, verdicts
from memsweep.figures.page import DOUBLE, SINGLE, page
from memsweep.figures.style import save
from memsweep.figures.sweep import dynamics


@pytest.mark.parametrize(
    ("settings", "title", "subject"),
    [
        (
            {"figure": "dynamics", "study": "digits", "axis": "train_size"},
            b"dynamics, train size",
            b"figure dynamics of the study digits",
        ),
        ({"figure": "claims", "study": "one"}, b"claims of papers", b"figure claims of the study one"),
    ],
)
def test_a_pdf_has_a_title_and_no_date(
    settings: dict[str, Any], title: bytes, subject: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (verdicts, dynamics):
        monkeypatch.setattr(module, "draw", lambda *_: Figure())
    sources = {name: tmp_path / name for name in (*verdicts.SOURCES, *dynamics.SOURCES)}
    draw.draw_figure(settings, sources, [tmp_path / "a.pdf", tmp_path / "a.png"])
    written = (tmp_path / "a.pdf").read_bytes()
    for key, words in ((b"Title", title), (b"Subject", subject)):
        assert re.search(rb"/" + key + rb" \(" + re.escape(words) + rb"\)", written)
    assert b"CreationDate" not in written


@pytest.mark.parametrize(("width", "centimetres"), [("single", 8.6), ("double", 17.78)])
def test_files_are_as_wide_as_the_columns_they_take(width: str, centimetres: float, tmp_path: Path) -> None:
    figure = page({"width": width}).figure(single=2, double=3)
    files = [tmp_path / "a.pdf", tmp_path / "a.png"]
    save(figure, files)
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", files[0].read_bytes())
    assert box
    assert float(box[1]) / 72 * 2.54 == pytest.approx(centimetres, abs=0.01)
    pixels = int.from_bytes(files[1].read_bytes()[16:20])
    assert pixels / 200 * 2.54 == pytest.approx(centimetres, abs=0.02)


def test_a_legend_has_as_many_columns_as_have_room() -> None:
    short, long = (
        [Line2D([], [], label=label)] * 3 for label in ("N", "posterior mean of the training images, on train")
    )
    assert (SINGLE.entries(short, 3), SINGLE.entries(long, 3), DOUBLE.entries(long, 3)) == (3, 1, 3)
    assert SINGLE.entries([], 2) == 2


def test_words_that_cannot_be_read_are_found() -> None:
    """What the tests of every figure rest on."""
    figure = SINGLE.figure(single=2, double=2)
    figure.text(0.5, 0.5, "large", size=6)
    assert faults(figure) == []
    figure.text(0.5, 0.8, "small", size=5.9)
    figure.text(0.99, 0.2, "far right", size=7)
    figure.text(0.5, 0.51, "over", size=7)
    figure.text(0.5, 0.5, "hidden", size=3, visible=False)
    found = faults(figure)
    assert [fault.split("'")[1] for fault in found] == ["small", "far right", "large"]
    assert "over" in found[2]
