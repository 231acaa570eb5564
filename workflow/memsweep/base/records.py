"""What a pack's tables come from, kept beside them: the settings, the code and the data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .errors import UserError
from .files import replacing

RECORD = "trained.json"
Record = dict[str, Any]


def record_pack(settings: Mapping[str, Any], provenance: Mapping[str, str], folder: Path) -> None:
    """Keep what a pack's tables come from.

    Args:
        settings: of the stage ``train``.
        provenance: ``code_version`` and ``data_hash`` of its runs.
        folder: that of the pack's tables.
    """
    with replacing(folder / RECORD) as temporary:
        temporary.write_text(json.dumps({**provenance, "settings": settings}, sort_keys=True) + "\n")


def read_records(folders: Iterable[Path]) -> Iterator[Record]:
    """The records in these folders; a folder without one holds nothing finished."""
    for folder in folders:
        try:
            record: Record = json.loads((folder / RECORD).read_text())
            record["settings"]["runs"], record["code_version"], record["data_hash"]
        except FileNotFoundError:
            continue
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{folder / RECORD}: not the record of a pack; delete it to go on without it") from None
        yield record
