"""Tables as data frames, with the same values whatever the version of pandas.

Text is held as objects, and is None where it is null, so that ``if text:`` and ``text is None`` say what they seem to.
pandas 3 infers a type ``str`` instead, in which null is NaN, which counts as true; here no frame that may hold a null
text comes to be in another way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
import pyarrow as pa


def to_frame(table: pa.Table) -> pd.DataFrame:
    """The rows of an Arrow table."""
    texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
    # By way of categories each distinct text is made once, which takes a fraction of the time and of the memory
    return with_plain_text(table.to_pandas(categories=texts))


def frame_of(rows: Iterable[Mapping[str, Any]], columns: list[str] | None = None) -> pd.DataFrame:
    """Rows found in memory.

    Args:
        rows: values by column.
        columns: those of the frame, in this order, where it may have no rows; those of the rows, where it is None.
    """
    return with_plain_text(pd.DataFrame(list(rows), columns=columns))


def with_plain_text(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows; columns of text, of categories and of other objects hold objects, and None where they are null."""
    return frame.assign(**{str(name): _plain(column) for name, column in frame.items() if not _is_plain(column)})


def _is_plain(column: pd.Series[Any]) -> bool:
    holds_text = isinstance(column.dtype, (pd.StringDtype, pd.CategoricalDtype))
    return not holds_text and (column.dtype != object or not column.hasnans)


def _plain(column: pd.Series[Any]) -> pd.Series[Any]:
    objects = column.astype(object)
    return objects.where(column.notna(), None) if column.hasnans else objects
