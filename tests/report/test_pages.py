from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from memsweep.base.errors import UserError
from memsweep.report import pages
from memsweep.tables.parquet import write_table


def test_a_page_explains_the_columns_and_shows_the_rows(tmp_path: Path) -> None:
    rows = pd.DataFrame(
        {
            "definition": ["f_mem"],
            "threshold": 0.1,
            "term": "train_size",
            "exponent": 1.25,
            "ci_low": float("nan"),
            "ci_high": 2.0,
        }
    ).assign(runs=8, censored_runs=1, left_censored_runs=0)
    write_table(tmp_path / "scaling.parquet", "scaling", rows)
    pages.write_page(tmp_path / "scaling.parquet", tmp_path / "scaling.html")
    page = (tmp_path / "scaling.html").read_text()
    assert "<dt>exponent</dt><dd>k in: onset is proportional to axis ** k" in page
    assert "<td>train_size</td>" in page
    assert "<td>1.25</td>" in page


def test_a_long_table_is_cut_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST_ROWS", 3)
    rows = pd.DataFrame({"run_id": "a", "step": range(5), "split": "test", "loss": 0.5, "ci_low": 0.4, "ci_high": 0.6})
    write_table(tmp_path / "trajectories.parquet", "trajectories", rows)
    pages.write_page(tmp_path / "trajectories.parquet", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "the first 3 of 5 rows of trajectories.parquet" in page
    assert page.count("<td>a</td>") == 3


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        pages.write_page(tmp_path / "onsets.parquet", tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
