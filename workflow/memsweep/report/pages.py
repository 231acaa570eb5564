"""Tables as pages to read: what each column means, then the rows."""

from __future__ import annotations

import html
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from ..base.files import replacing
from ..tables.contracts import SCHEMAS
from ..tables.parquet import read_table
from ..tables.together import check_together

# A page with more rows is slow to open; the Parquet file has them all.
MOST_ROWS = 2000

STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem; color: #222; }
table { border-collapse: collapse; margin-top: 1rem; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
th { position: sticky; top: 0; background: #fff; border-bottom: 2px solid #222; }
th:first-child, td:first-child { text-align: left; }
dt { font-weight: 600; float: left; clear: left; width: 11rem; }
dd { margin-left: 11.5rem; }
"""


def write_pages(names: Iterable[str], tables: Path, output: Path) -> None:
    """Write the tables of a study as pages.

    Args:
        names: of the tables.
        tables: folder of their Parquet files.
        output: folder that receives the pages.

    Raises:
        UserError: a table is damaged, or of other images or runs than the others.
    """
    paths = [tables / f"{name}.parquet" for name in names]
    check_together(paths)
    for path in paths:
        write_page(path, output / f"{path.stem}.html")


def write_page(table: Path, output: Path) -> None:
    """Write a table as one self-contained HTML page.

    Args:
        table: Parquet file named after its table, such as ``tables/onsets.parquet``.
        output: the page.

    Raises:
        UserError: the table is missing, damaged or another one.
    """
    name = table.stem
    rows = read_table(table, name)
    shown = rows.head(MOST_ROWS)
    count = f"{len(rows)} rows" if len(shown) == len(rows) else f"the first {len(shown)} of {len(rows)} rows"
    meanings = "".join(_meaning(field) for field in SCHEMAS[name])
    body = shown.to_html(index=False, border=0, na_rep="", float_format=lambda value: f"{value:.4g}")
    page = (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{name}</title><style>{STYLE}</style>"
        f"<h1>{name}</h1><dl>{meanings}</dl><p>{count} of {name}.parquet</p>{body}</html>\n"
    )
    with replacing(output) as temporary:
        temporary.write_text(page)


def _meaning(field: pa.Field) -> str:
    metadata = {key.decode(): value.decode() for key, value in field.metadata.items()}
    unit = f" ({metadata['unit']})" if "unit" in metadata else ""
    return f"<dt>{html.escape(field.name)}</dt><dd>{html.escape(metadata['meaning'] + unit)}</dd>"
