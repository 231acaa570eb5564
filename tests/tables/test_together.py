"""Files of different studies beside each other are told apart."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from memsweep.base.errors import UserError
from memsweep.tables.contracts import SCHEMAS
from memsweep.tables.parquet import write_table
from memsweep.tables.together import check_together, provenance


def runs(*ids: str, images: str = "a") -> pd.DataFrame:
    return pd.DataFrame({"run_id": ids, "data_hash": images})


def table(path: Path, **metadata: str) -> Path:
    write_table(path, "scaling", pd.DataFrame(columns=SCHEMAS["scaling"].names), metadata)
    return path


def test_the_order_of_runs_does_not_matter_and_each_run_does() -> None:
    assert provenance(runs("x", "y")) == provenance(runs("y", "x"))
    assert provenance(runs("x", "y"))["runs"] != provenance(runs("x"))["runs"]
    with pytest.raises(UserError, match=r"runs were trained on images of different content \(a, b\)"):
        provenance(pd.concat([runs("x"), runs("y", images="b")]))


def test_the_one_that_differs_is_named(tmp_path: Path) -> None:
    same = [table(tmp_path / f"{name}.parquet", **provenance(runs("x"))) for name in "ab"]
    of_none, of_images = table(tmp_path / "theory.parquet"), table(tmp_path / "images.parquet", data_hash="a")
    check_together([*same, of_none, of_images])
    for name, metadata, what in (
        ("other_runs", provenance(runs("z")), "runs"),
        ("other_images", {"data_hash": "b"}, "images"),
    ):
        odd = table(tmp_path / f"{name}.parquet", **metadata)
        with pytest.raises(UserError, match=rf"{name}.parquet: of other {what} than .*a.parquet; delete what is not"):
            check_together([odd, *same, of_none])


def test_a_file_that_is_cut_is_a_sentence(tmp_path: Path) -> None:
    """Also where nothing else has looked at it yet, as where a figure is drawn."""
    cut = table(tmp_path / "cut.parquet")
    cut.write_bytes(cut.read_bytes()[:-40])
    with pytest.raises(UserError, match=r"cut.parquet: not a whole Parquet file of ours \(.*\); delete it"):
        check_together([table(tmp_path / "whole.parquet"), cut])
    with pytest.raises(UserError, match=r"none.parquet: no such file"):
        check_together([tmp_path / "none.parquet"])
