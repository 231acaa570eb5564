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
    return with_plain_text(table.to_pandas())


def frame_of(rows: Iterable[Mapping[str, Any]], columns: list[str] | None = None) -> pd.DataFrame:
    """Rows found in memory.

    Args:
        rows: values by column.
        columns: those of the frame, in this order, where it may have no rows; those of the rows, where it is None.
    """
    return with_plain_text(pd.DataFrame(list(rows), columns=columns))


def with_plain_text(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows; of each column of text or other objects, what is null is None."""
    texts = {str(name): column for name, column in frame.items() if _holds_objects(column)}
    return frame.assign(**{name: column.astype(object).where(column.notna(), None) for name, column in texts.items()})


def _holds_objects(column: pd.Series[Any]) -> bool:
    return column.dtype == object or isinstance(column.dtype, pd.StringDtype)
