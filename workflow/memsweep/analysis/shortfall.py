"""By how much budgets fall short of onsets that were not reached, as far as a study's own runs tell."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ..study.onsets import MEMORISATION


def shortfalls(onsets: pd.DataFrame, runs: pd.DataFrame, scaling: pd.DataFrame) -> Iterator[str]:
    """A sentence for each definition of memorisation whose onset some runs did not reach within their budget.

    Where others did, the onset of a run that did not is foretold by the study's exponents, each from runs that differ
    on its axis alone, and from the typical one of those that did. That is a guess beyond what was seen, without an
    interval; where no run reached it, nothing in the study says when it would be.

    Args:
        onsets, runs, scaling: the study's tables of these names.
    """
    known = runs[runs["status"] != "diverged"].set_index("run_id")
    of_runs = onsets[onsets["run_id"].isin(known.index)]
    for definition in [name for name in MEMORISATION if name in set(of_runs["definition"])]:
        rows = of_runs[of_runs["definition"] == definition].set_index("run_id")
        missed = rows.index[rows["censored"]]
        if not len(missed):
            continue
        seen = rows.index[~rows["censored"] & ~rows["left_censored"]]
        if not len(seen):
            yield (
                f"{definition}: none of {len(rows)} runs reached its onset within its budget, and so nothing says how "
                f"much longer it takes; a larger training.budget continues them all"
            )
            continue
        fits = scaling[(scaling["definition"] == definition) & np.isfinite(scaling["exponent"])]
        exponents = {term: value for term, value in zip(fits["term"], fits["exponent"], strict=True) if term in known}
        foretold = foretell(known, rows.loc[seen, "step"], exponents, missed)
        short = (foretold / known.loc[missed, "max_steps"]).clip(lower=1.0)
        yield (
            f"{definition}: {len(missed)} of {len(rows)} runs did not reach their onset within their budget; by the "
            f"exponents of this study they would need up to {short.max():.2g} times it, half of them "
            f"{short.median():.2g} times or less"
        )


def foretell(runs: pd.DataFrame, seen: pd.Series, exponents: dict[str, float], missed: pd.Index) -> pd.Series:
    """Onsets of some runs, from those of others and from exponents, as the product of powers that these have.

    Args:
        runs: table ``runs``, by run id.
        seen: onsets that were reached, in steps, by run id.
        exponents: of columns of ``runs``.
        missed: the others' run ids.

    Returns:
        Steps, by run id: x^a of each column times the median of what that leaves of the onsets that were reached.
    """
    logarithms = np.log(runs[list(exponents)].astype(float)) @ pd.Series(exponents, dtype=float)
    constant = (np.log(seen) - logarithms[seen.index]).median()
    foretold: pd.Series = np.exp(logarithms[missed] + constant)
    return foretold
