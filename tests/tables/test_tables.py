from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from memsweep.base.errors import UserError
from memsweep.base.files import replacing
from memsweep.tables import parquet as tables
from memsweep.tables.contracts import SCHEMAS
from memsweep.tables.frames import frame_of
from memsweep.tables.parquet import read_parts, read_table, table_writer, write_table

ONSETS = frame_of(
    [
        {
            "run_id": "a",
            "definition": "f_mem",
            "step": 3.0,
            "censored": False,
            "left_censored": False,
            "ci_low": 2.0,
            "ci_high": np.inf,
        }
    ]
)


def test_a_table_comes_back_as_it_was_written_with_its_meanings(tmp_path: Path) -> None:
    write_table(tmp_path / "onsets.parquet", "onsets", ONSETS[ONSETS.columns[::-1]], {"note": "kept"})
    pd.testing.assert_frame_equal(read_table(tmp_path / "onsets.parquet", "onsets"), ONSETS)
    schema = pq.read_schema(tmp_path / "onsets.parquet")
    assert schema.metadata[b"note"] == b"kept"
    assert schema.field("step").metadata[b"unit"] == b"steps"


def test_every_column_says_what_it_means() -> None:
    for schema in SCHEMAS.values():
        assert all(field.metadata[b"meaning"] for field in schema)


def test_a_column_that_is_missing_or_of_another_type_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "onsets.parquet"
    with pytest.raises(KeyError):
        write_table(path, "onsets", ONSETS.drop(columns="censored"))
    with pytest.raises(pa.ArrowException):
        write_table(path, "onsets", ONSETS.assign(step="soon"))
    assert not list(tmp_path.iterdir())


def test_images_have_the_size_their_shape_says(tmp_path: Path) -> None:
    rows = pd.DataFrame({"index": [0], "split": ["train"], "label": [1], "image": [b"1234"]})
    write_table(tmp_path / "images.parquet", "images", rows, {"shape": "2,2,1"})
    assert str(pq.read_schema(tmp_path / "images.parquet").field("image").type) == "fixed_size_binary[4]"
    with pytest.raises(pa.ArrowInvalid):
        write_table(tmp_path / "images.parquet", "images", rows, {"shape": "2,2,3"})


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all, but long enough to be taken for it"])
def test_a_file_that_is_not_a_whole_table_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "onsets.parquet"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"{path}: not a whole Parquet file"):
        read_table(path, "onsets")
    assert path.read_bytes() == content


def test_a_missing_or_another_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_table(tmp_path / "onsets.parquet", "onsets")
    write_table(tmp_path / "onsets.parquet", "onsets", ONSETS)
    with pytest.raises(UserError, match="not a table of metrics but of onsets; delete it to make it again"):
        read_table(tmp_path / "onsets.parquet", "metrics")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == (tmp_path / "file").stat().st_mode & 0o777


def many(folder: Path, count: int) -> list[Path]:
    """Files of one row each, whose steps count up."""
    paths = [folder / f"{number}" / "onsets.parquet" for number in range(count)]
    for number, path in enumerate(paths):
        write_table(path, "onsets", ONSETS.assign(step=float(number)))
    return paths


def test_many_files_are_read_in_their_order_and_written_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROW_GROUP", 7)
    monkeypatch.setattr(tables, "FILES_AT_ONCE", 8)
    paths = many(tmp_path, 30)[::-1]
    with table_writer(tmp_path / "all.parquet", "onsets") as writer:
        for part in read_parts(paths, "onsets"):
            writer.add(part)
    assert list(read_table(tmp_path / "all.parquet", "onsets")["step"]) == list(range(29, -1, -1))
    assert pq.ParquetFile(tmp_path / "all.parquet").num_row_groups == 5
    assert pq.read_schema(tmp_path / "all.parquet").metadata[b"table"] == b"onsets"


def test_a_table_without_rows_is_a_table(tmp_path: Path) -> None:
    with table_writer(tmp_path / "none.parquet", "onsets"):
        pass
    assert read_table(tmp_path / "none.parquet", "onsets").empty


def test_of_many_files_the_bad_one_is_named(tmp_path: Path) -> None:
    paths = many(tmp_path, 12)
    paths[8].write_bytes(paths[8].read_bytes()[:200])
    with pytest.raises(UserError, match=f"{paths[8]}: not a whole Parquet file"):
        list(read_parts(paths, "onsets"))
    write_table(paths[8], "trajectories", pd.DataFrame(columns=SCHEMAS["trajectories"].names))
    with pytest.raises(UserError, match=f"{paths[8]}: not a table of onsets but of trajectories; delete it"):
        list(read_parts(paths, "onsets"))
    paths[8].unlink()
    with pytest.raises(UserError, match=f"{paths[8]}: no such file"):
        list(read_parts(paths, "onsets"))


def test_a_table_whose_parts_end_early_is_not_written(tmp_path: Path) -> None:
    def write() -> None:
        with table_writer(tmp_path / "all.parquet", "onsets") as writer:
            writer.add(ONSETS)
            raise UserError("no more")

    with pytest.raises(UserError, match="no more"):
        write()
    assert not list(tmp_path.iterdir())
