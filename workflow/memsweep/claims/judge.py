"""The stage ``judge``: the verdict on each claim that a kind of study can speak to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..tables.parquet import write_table
from ..tables.together import provenance
from . import feature_learning, mixed_cumulant, sweep
from .claim import Claim, Tables, verdicts

CLAIMS: Mapping[str, Callable[[Mapping[str, Any], Tables], list[Claim]]] = {
    "sweep": sweep.claims,
    "mixed_cumulant": mixed_cumulant.claims,
    "feature_learning": feature_learning.claims,
}


def judge(settings: Mapping[str, Any], tables: Path, output: Path) -> None:
    """Write the table ``claims``.

    Args:
        settings: the ``kind`` of the study, and what its claims ask for.
        tables: folder of the study's tables.
        output: file of the table.

    Raises:
        UserError: a table cannot be read.
    """
    held = Tables(tables)
    kind = settings["kind"]
    of = provenance(held["runs"]) if kind == "sweep" else {}
    write_table(output, "claims", verdicts(CLAIMS[kind](settings, held), held), of)
