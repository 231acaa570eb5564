"""The laws of all definitions as tables."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ..tables.contracts import SCHEMAS
from .law import Law


def law_table(laws: Mapping[str, Law]) -> pd.DataFrame:
    """Table ``law``, a row for each term of each law, by definition."""
    rows = []
    for definition, law in laws.items():
        behind = {"runs": len(law.runs), "sets": law.sets}
        for term in law.terms:
            ends = {"ci_low": term.estimate.ci_low, "ci_high": term.estimate.ci_high}
            of = {"definition": definition, "term": term.term, "value": term.value, "order": term.order}
            found = {"estimate": term.estimate.value, **ends, "freedom": term.estimate.freedom}
            rows.append({**of, **found, **behind, "kept": term.kept, "reason": term.reason})
    return pd.DataFrame(rows, columns=SCHEMAS["law"].names)
