"""By how much budgets fall short of onsets that were not reached, as far as a study's own law tells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..study.onsets import MEMORISATION
from .law import Law


@dataclass(frozen=True)
class Shortfall:
    """The runs that ended before their onset under one definition; one that diverged is none of them.

    Attributes:
        runs: how many there are.
        budgets_typical, budgets_most: how many of their own budgets these would take to the onset that the law has at
            the middle of runs like them: the median and the largest over those of which it knows; NaN without any.
    """

    runs: int
    budgets_typical: float
    budgets_most: float


def shortfall(law: Law, onsets: pd.DataFrame, runs: pd.DataFrame) -> Shortfall:
    """What the law of a definition says of the runs that ended before their onset.

    That is a guess beyond what was seen, without an interval: the law knows of these runs that they are late, but where
    the onsets that were reached bend, it goes on straight.

    Args:
        law: of the onsets.
        onsets: rows of the table ``onsets``, of one definition.
        runs: table ``runs``.
    """
    ended = runs[runs["status"] != "diverged"].merge(onsets.loc[onsets["censored"], ["run_id"]], on="run_id")
    points = ({str(name): value for name, value in run.items()} for run in ended.to_dict("records"))
    foretold = np.array([law.predict(point).median for point in points], dtype=float)
    # The law may have it that an onset has come already: the run was a late one
    budgets = np.maximum(foretold / ended["max_steps"].to_numpy(float), 1)
    known = budgets[np.isfinite(budgets)]
    if not len(known):
        return Shortfall(len(ended), np.nan, np.nan)
    return Shortfall(len(ended), float(np.median(known)), float(known.max()))


def shortfalls(law_fit: pd.DataFrame) -> Iterator[str]:
    """A sentence for each definition of memorisation under which some runs did not reach their onset.

    Args:
        law_fit: the table of that name.
    """
    fits = {fit["definition"]: fit for fit in law_fit.to_dict("records") if fit["short_runs"]}
    for definition in [name for name in MEMORISATION if name in fits]:
        fit = fits[definition]
        missed = fit["short_runs"]
        count = "1 run" if missed == 1 else f"{missed} runs"
        ended = f"{definition}: {count} ended before the onset"
        if np.isnan(fit["budgets_most"]):
            yield (
                f"{ended}, and too few reached it to say how much longer it takes; a larger training.budget continues "
                f"them all"
            )
        else:
            yield (
                f"{ended}; by the law of this study that takes up to {fit['budgets_most']:.2g} times their budget, of "
                f"half of them {fit['budgets_typical']:.2g} times or less"
            )
