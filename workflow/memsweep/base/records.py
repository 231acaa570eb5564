"""What a pack's tables come from, kept beside them: the settings, the code and the data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .errors import UserError
from .files import read_json, write_json
from .sealed import Damaged

RECORD = "trained.json"
# In the folder of a run's checkpoint: how far it is, for whoever watches
PROGRESS = "progress.json"
Record = dict[str, Any]


def record_pack(settings: Mapping[str, Any], provenance: Mapping[str, str], folder: Path) -> None:
    """Keep what a pack's tables come from.

    Args:
        settings: of the stage ``train``.
        provenance: ``code_version`` and ``data_hash`` of its runs.
        folder: that of the pack's tables.
    """
    write_json(folder / RECORD, {**provenance, "settings": settings})


def read_records(folders: Iterable[Path]) -> Iterator[Record]:
    """The records in these folders; a folder without one holds nothing finished."""
    for folder in folders:
        try:
            record: Record = read_json(folder / RECORD)
            record["settings"]["runs"], record["code_version"], record["data_hash"]
        except FileNotFoundError:
            continue
        except (Damaged, KeyError, TypeError):
            raise UserError(f"{folder / RECORD}: not the record of a pack; delete it to go on without it") from None
        yield record
