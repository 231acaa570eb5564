"""The laws of all definitions as tables: their terms, how they fit, and what they predict of values left out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..study.axes import Axis
from ..tables.contracts import SCHEMAS
from ..tables.frames import frame_of
from .lack_of_fit import lack_of_fit
from .law import Law, fit_law
from .scaling import numeric_axes
from .shortfall import shortfall


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
    return frame_of(rows, SCHEMAS["law"].names)


def law_fit_table(
    laws: Mapping[str, Law], errors: pd.DataFrame, onsets: pd.DataFrame, runs: pd.DataFrame
) -> pd.DataFrame:
    """Table ``law_fit``, a row for each law.

    Args:
        laws: by definition.
        errors: table ``law_errors``.
        onsets, runs: the tables of these names.
    """
    rows = []
    for definition, law in laws.items():
        model, (p_value, reason) = law.model, lack_of_fit(law)
        predicted = errors[errors["definition"] == definition]
        short = shortfall(law, onsets[onsets["definition"] == definition], runs)
        rows.append(
            {
                "definition": definition,
                "runs": len(law.runs),
                "censored_runs": int(law.runs["censored"].sum()),
                "left_censored_runs": int(law.runs["left_censored"].sum()),
                "sets": law.sets,
                "sigma": model.sigma if model else np.nan,
                "sigma_sets": model.sigma_sets if model else np.nan,
                "lack_of_fit": p_value,
                "lack_of_fit_reason": reason,
                "predicted": len(predicted),
                "inside": _inside(predicted).mean() if len(predicted) else np.nan,
                "short_runs": short.runs,
                "budgets_typical": short.budgets_typical,
                "budgets_most": short.budgets_most,
                "reason": law.reason,
            }
        )
    return frame_of(rows, SCHEMAS["law_fit"].names)


def _inside(errors: pd.DataFrame) -> pd.Series[bool]:
    """Whether an onset is in its interval, or may be there where only one side of it is known."""
    late = (errors["observed"] > errors["ci_high"]) & ~errors["left_censored"]
    early = (errors["observed"] < errors["ci_low"]) & ~errors["censored"]
    return ~(late | early)


def law_errors(onsets: pd.DataFrame, runs: pd.DataFrame, axes: Sequence[Axis], confidence: float) -> pd.DataFrame:
    """What laws say of the runs at each value of each numeric axis when they are fitted without that value.

    Args:
        onsets, runs, axes, confidence: as of `scaling.scaling`.

    Returns:
        Table ``law_errors``, without runs of which the others cannot tell anything: those at the base value of a sweep
        of one axis at a time.
    """
    rows: list[dict[str, Any]] = []
    swept = [axis for axis in numeric_axes(axes, runs) if runs[axis.column].nunique() > 1]
    for definition, under in onsets.groupby("definition", sort=False):
        known = under[under["step"] > 0].merge(runs, on="run_id", validate="many_to_one")
        for axis in swept:
            for value in sorted(known[axis.coordinate].unique()):
                out = known[known[axis.coordinate] == value]
                law = fit_law(under[~under["run_id"].isin(out["run_id"])], runs, axes, confidence)
                of = {"definition": definition, "term": axis.coordinate, "left_out": value}
                rows += ({**of, **row} for row in _predicted(law, out))
    return frame_of(rows, SCHEMAS["law_errors"].names)


def _predicted(law: Law, runs: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """What a law says of runs, beside what they did."""
    for run in runs.to_dict("records"):
        said = law.predict({str(name): value for name, value in run.items()})
        found = {"predicted": said.median, "ci_low": said.pi_low, "ci_high": said.pi_high}
        onset = {"observed": run["step"], "censored": run["censored"], "left_censored": run["left_censored"]}
        if not math.isnan(said.pi_low):
            yield {"run_id": run["run_id"], **found, **onset}
