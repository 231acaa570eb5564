"""Which runs are compared with which: those that differ only in their training images, or only in their seed."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

from .run import Run

Differs = Literal["subset", "seed"]


@dataclass(frozen=True)
class Pair:
    """Two runs, the earlier in the grid first.

    Attributes:
        run_id, other_run_id: the runs.
        differs: in what: the training set, which share no image, or the seed.
    """

    run_id: str
    other_run_id: str
    differs: Differs


def pairs(runs: Sequence[Run]) -> list[Pair]:
    """All pairs of runs that differ only in the subset, or only in the seed."""
    return [*_pairs(runs, "subset"), *_pairs(runs, "seed")]


def _pairs(runs: Sequence[Run], differs: Differs) -> list[Pair]:
    groups: dict[Hashable, list[Run]] = {}
    for run in runs:
        fixed = {**vars(run), "run_id": "", "sections": "", "settings": tuple(run.settings.items()), differs: ""}
        groups.setdefault(tuple(fixed.values()), []).append(run)
    return [
        Pair(first.run_id, second.run_id, differs)
        for group in groups.values()
        for first, second in itertools.combinations(group, 2)
    ]
