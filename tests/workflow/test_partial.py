"""Tables and figures of what is finished so far, beside a study that goes on."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from helpers.projects import Project
from memsweep.base.errors import UserError
from memsweep.report import partial
from memsweep.study.config import read_yaml
from memsweep.study.kinds import open_study


def test_what_is_finished_is_what_a_study_of_it_would_say(finished: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []

    def draw(settings: Any, sources: Any, outputs: Sequence[Path]) -> None:
        assert all(path.exists() for path in sources.values())
        drawn.append(settings["figure"])

    monkeypatch.setattr(partial, "draw_figure", draw)  # drawing is tested where figures are
    study = open_study(read_yaml(finished.folder / "config" / "tiny.yaml"))
    results = finished.results.parent
    whole = partial.write_partial(study, results)
    assert (whole.runs, whole.of, whole.left_out) == (5, 5, {})
    for name in ("runs", "metrics", "onsets", "scaling", "law", "collapse", "claims"):
        pd.testing.assert_frame_equal(
            finished.table(f"partial/tables/{name}.parquet"), finished.table(f"tables/{name}.parquet")
        )
    shutil.rmtree(finished.results / "measure" / study.jobs[1])
    before = {path: path.stat().st_mtime_ns for path in finished.results.rglob("*") if "partial" not in path.parts}
    drawn.clear()
    made = partial.write_partial(study, results)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    kept = {run.run_id for run in study.packs[study.jobs[0]]}
    assert set(finished.table("partial/tables/runs.parquet")["run_id"]) == kept
    assert (made.runs, made.of) == (len(kept), 5)
    assert (made.folder / "partial.txt").read_text().startswith(f"Partial: {len(kept)} of 5 runs.")
    assert "memorisation_time" in drawn


def test_where_nothing_is_finished_it_is_said(finished: Project) -> None:
    shutil.rmtree(finished.results / "measure")
    study = open_study(read_yaml(finished.folder / "config" / "tiny.yaml"))
    with pytest.raises(UserError, match="no pack is trained and measured yet"):
        partial.write_partial(study, finished.results.parent)
