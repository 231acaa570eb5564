"""A file says what it shows, and of which study."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from memsweep.figures import draw, verdicts
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
