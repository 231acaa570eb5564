"""Data frames hold the same values under pandas 2 and 3; a ``str`` column, that of pandas 3, is made under both."""

from __future__ import annotations

import ast
import inspect
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from helpers.configs import ROOT
from memsweep.tables.contracts import SCHEMAS
from memsweep.tables.frames import frame_of, to_frame, with_plain_text
from memsweep.tables.parquet import read_table, write_table

PACKAGE = ROOT / "workflow" / "memsweep"

# In these a null text counts as true; pandas 2.2 has no other name for it
NAMED = "na_value" in inspect.signature(pd.StringDtype).parameters
STR: Any = pd.StringDtype(na_value=np.nan) if NAMED else pd.StringDtype("pyarrow_numpy")


def as_in_pandas_3(**columns: list[str | None]) -> pd.DataFrame:
    frame = pd.DataFrame({name: pd.array(values, dtype=STR) for name, values in columns.items()})
    assert all(math.isnan(value) for column in frame for value in frame[column][frame[column].isna()].tolist())
    return frame


def assert_plain(frame: pd.DataFrame, **columns: list[Any]) -> None:
    for name, values in columns.items():
        assert frame[name].dtype == object
        assert [row[name] for row in frame.to_dict("records")] == values
        assert [getattr(row, name) for row in frame.itertuples()] == values
        assert [type(value) for value in frame[name].tolist()] == [type(value) for value in values]


@pytest.mark.parametrize("texts", [["a", None], [None, None], ["a", "b"], []])
def test_a_text_that_is_null_is_none(texts: list[str | None]) -> None:
    assert_plain(with_plain_text(as_in_pandas_3(text=texts)), text=texts)
    assert_plain(with_plain_text(pd.DataFrame({"text": pd.Series(texts, dtype=object)})), text=texts)
    assert_plain(to_frame(pa.table({"text": pa.array(texts, pa.string())})), text=texts)
    assert_plain(to_frame(pa.table({"text": pa.array(texts, pa.string()).dictionary_encode()})), text=texts)
    assert_plain(frame_of(({"text": text} for text in texts), ["text"]), text=texts)


def test_what_rows_lack_is_null_and_numbers_stay_numbers() -> None:
    frame = frame_of([{"text": "a", "number": 1.0, "whole": 1, "said": True}, {"number": 2.0, "whole": 2}])
    assert_plain(frame, text=["a", None], said=[True, None])
    assert [str(frame[name].dtype) for name in ("number", "whole")] == ["float64", "int64"]
    assert math.isnan(frame_of([{"number": 1.0}, {}])["number"][1])


def test_the_frame_that_was_given_is_left_as_it_was() -> None:
    given = pd.DataFrame({"text": pd.Series(["a", np.nan], dtype=object)})
    assert_plain(with_plain_text(given), text=["a", None])
    assert math.isnan(given["text"][1])


def test_rows_keep_their_index_and_columns_their_order() -> None:
    given = as_in_pandas_3(b=["x", None], a=[None, "y"]).set_index(pd.Index([7, 3]))
    frame = with_plain_text(given.assign(c=[1, 2]))
    assert list(frame) == ["b", "a", "c"]
    assert frame.index.tolist() == [7, 3]


def test_bytes_and_lists_stay_what_they_are() -> None:
    table = pa.table({"image": [b"12", None], "list": [[1, 2], None]})
    frame = to_frame(table)
    assert frame["image"].tolist() == [b"12", None]
    assert frame["list"][0].tolist() == [1, 2]
    assert frame["list"][1] is None


def test_every_null_text_of_a_contract_comes_back_as_none(tmp_path: Path) -> None:
    schema = SCHEMAS["claims"]
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    rows = {field.name: pa.nulls(2, field.type) for field in schema}
    rows |= {"claim": pa.array(["one", "two"]), "lacking": pa.array(["all of it", None])}
    write_table(tmp_path / "claims.parquet", "claims", pa.table(rows))
    frame = read_table(tmp_path / "claims.parquet", "claims")
    assert_plain(frame, claim=["one", "two"], lacking=["all of it", None])
    assert_plain(frame, **{name: [None, None] for name in texts if name not in ("claim", "lacking")})
    assert [bool(text) for text in frame["lacking"]] == [True, False]


def test_a_null_text_is_written_as_null_whatever_holds_it(tmp_path: Path) -> None:
    texts = as_in_pandas_3(claim=["one", None])
    blank = pd.DataFrame({name: [None, None] for name in SCHEMAS["claims"].names})
    write_table(tmp_path / "claims.parquet", "claims", blank.assign(claim=texts["claim"]))
    assert_plain(read_table(tmp_path / "claims.parquet", "claims"), claim=["one", None])


def test_no_other_module_makes_data_frames_of_files_or_arrow() -> None:
    makers = {"to_pandas", "read_parquet", "read_csv", "read_json", "read_feather"}
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in makers
    }
    assert found == {"tables/frames.py"}
