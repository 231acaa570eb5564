"""Small tables of a sweep, made by hand, for tests of what is said of them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from memsweep.study.kinds import open_study
from memsweep.tables.contracts import SCHEMAS
from memsweep.tables.frames import frame_of

from helpers.projects import TINY


def study_of(**changes: Any) -> Any:
    """The tiny study with whole sections replaced."""
    return open_study(copy.deepcopy({**TINY, **changes}))


def runs_of(study: Any, statuses: Mapping[int, str] | None = None) -> pd.DataFrame:
    """The table ``runs`` of a study as if all of it had been trained; statuses by place, ``finished`` by default."""
    rows = [
        {
            **{axis: getattr(run, axis) for axis in ("run_id", "train_size", "base_channels", "batch_size")},
            "learning_rate": run.learning_rate,
            "seed": run.seed,
            "subset": run.subset,
            "dataset": "digits",
            "parameters": 1000 * run.base_channels,
            "max_steps": 4000,
            "status": (statuses or {}).get(place, "finished"),
            "data_hash": "0123456789abcdef",
            "code_version": "1",
            **{name.replace(".", "_"): value for name, value in run.settings.items()},
        }
        for place, run in enumerate(study.runs)
    ]
    return pd.DataFrame(rows)


def table(name: str, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A table of some rows; columns that they lack are missing values."""
    return frame_of(rows, SCHEMAS[name].names)


def onsets_of(
    runs: pd.DataFrame,
    steps: Sequence[float],
    definition: str = "f_mem",
    censored: Sequence[bool] | None = None,
    left_censored: Sequence[bool] | None = None,
) -> pd.DataFrame:
    """The table ``onsets`` under one definition, a step for each run."""
    none = [False] * len(runs)
    columns = {
        "run_id": runs["run_id"],
        "definition": definition,
        "step": [float(step) for step in steps],
        "censored": censored or none,
        "left_censored": left_censored or none,
    }
    return pd.DataFrame(columns).assign(ci_low=lambda rows: rows["step"] * 0.9, ci_high=lambda rows: rows["step"] * 1.1)


def fit(
    term: str, exponent: float, low: float, high: float, definition: str = "f_mem", **counts: int
) -> dict[str, Any]:
    """A row of the table ``scaling``."""
    behind = {"runs": 8, "censored_runs": 0, "left_censored_runs": 0, **counts}
    return {"definition": definition, "term": term, "exponent": exponent, "ci_low": low, "ci_high": high, **behind}
