from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from memsweep.errors import UserError
from memsweep.files import replacing
from memsweep.tables import SCHEMAS, read_table, write_table

ONSETS = pd.DataFrame(
    {"run_id": ["a"], "definition": ["f_mem"], "step": [3.0], "censored": [False], "ci_low": [2.0], "ci_high": [np.inf]}
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
    with pytest.raises(UserError, match="not a table of metrics: no column metric"):
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
