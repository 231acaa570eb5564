"""How far the tables of the embedded study may be from those of `results/reference/digits`.

What is drawn, counted or computed in closed form is the same everywhere, to rounding. What is learnt is not: the order
in which a machine sums moves the last bits, and training moves them on. The tolerances there are chosen, at about the
width of the intervals that these numbers have, and not measured over machines: a study within them says the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from memsweep.tables.parquet import read_table


@dataclass(frozen=True)
class Tolerance:
    """Of a number: of either kind, the larger one counts."""

    absolute: float = 0.0
    relative: float = 0.0

    def holds(self, found: pd.Series, expected: pd.Series) -> pd.Series:
        """Where two columns of numbers agree; missing and infinite ones where both are."""
        with np.errstate(invalid="ignore"):
            near = (found - expected).abs() <= np.maximum(self.absolute, self.relative * expected.abs())
        return near | (found == expected) | (found.isna() & expected.isna())


EXACT = Tolerance()


@dataclass(frozen=True)
class Compared:
    """What of a table is compared.

    Attributes:
        keys: columns that tell rows apart, the same everywhere.
        values: columns of numbers, each with its tolerance.
        off: share of the rows that may be off, of a table of very many.
    """

    keys: tuple[str, ...]
    values: Mapping[str, Tolerance]
    off: float = 0.0


def differences(found: Mapping[str, pd.DataFrame], expected: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """A sentence for each column of a table that is farther off than it may be."""
    for name, compared in TABLES.items():
        here, there = (tables[name].reset_index(drop=True) for tables in (found, expected))
        keys = list(compared.keys)
        if not here[keys].equals(there[keys]):
            yield f"{name}: other rows: {len(here)} for {len(there)}, by {', '.join(keys)}"
            continue
        for column, tolerance in compared.values.items():
            off = ~tolerance.holds(here[column].astype(float), there[column].astype(float))
            if off.mean() > compared.off:
                row = int(off.idxmax())
                yield (
                    f"{name}: {column} is off in {int(off.sum())} of {len(off)} rows, first in row {row}: "
                    f"{here.loc[row, column]!r} for {there.loc[row, column]!r}"
                )
    yield from _verdicts(found["claims"], expected["claims"])


def _verdicts(found: pd.DataFrame, expected: pd.DataFrame) -> Iterator[str]:
    """Verdicts differ only where an end of the interval lies within a tenth of its width of a margin."""
    both = found.merge(expected, on="claim", suffixes=("", "_there"))
    for row in both[both["verdict"] != both["verdict_there"]].to_dict("records"):
        width = row["ci_high_there"] - row["ci_low_there"]
        ends, margins = ("ci_low_there", "ci_high_there"), ("margin_low", "margin_high")
        if not any(abs(row[end] - row[margin]) <= width / 10 for end in ends for margin in margins):
            yield f"claims: {row['claim']!r} is {row['verdict']} for {row['verdict_there']}"


def read(folder: Path) -> dict[str, pd.DataFrame]:
    """The tables of a folder that are compared."""
    return {name: read_table(folder / f"{name}.parquet", name) for name in TABLES}


ROUNDING = Tolerance(absolute=1e-9, relative=1e-6)
TABLES: Mapping[str, Compared] = {
    # Exact: what is drawn and counted
    "runs": Compared(
        ("run_id", "train_size", "base_channels", "batch_size", "seed", "subset", "status", "data_hash"),
        {"learning_rate": EXACT, "parameters": EXACT, "max_steps": EXACT},
    ),
    # To rounding: what is computed in closed form
    "baselines": Compared(("estimator", "train_size", "subset", "split"), {"noise_level": EXACT, "loss": ROUNDING}),
    # What is learnt
    "trajectories": Compared(("run_id", "step", "split"), {"loss": Tolerance(relative=0.1)}, off=0.02),
    "metrics": Compared(
        ("run_id", "step", "metric", "space", "reference", "generated"), {"value": Tolerance(0.1, 0.2)}, off=0.05
    ),
    "onsets": Compared(("run_id", "definition"), {"step": Tolerance(relative=0.2)}, off=0.1),
    "law": Compared(("definition", "term", "value", "order"), {"estimate": Tolerance(0.3)}, off=0.1),
    "claims": Compared(("claim", "measure", "primary"), {"estimate": Tolerance(0.3, 0.3)}, off=0.1),
}
