"""Rules of time: the budget, the evaluations within it, and the ends of runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...schedule import evaluation_steps, sampled_steps
from ..asked import Asked


def the_first_evaluation_is_within_the_budget(asked: Asked) -> Iterator[str]:
    """Every run is evaluated at least once."""
    ((unit, length),) = asked.config["training"]["budget"].items()
    if not evaluation_steps(*_schedule(asked)):
        yield f"{asked.found('evaluation.first')}; accepted is at most the budget, {length:g} {unit}, in the same unit"


def an_evaluation_has_samples(asked: Asked) -> Iterator[str]:
    """Every run that is evaluated generates images at least once."""
    if evaluation_steps(*_schedule(asked)) and not sampled_steps(*_schedule(asked)):
        yield (
            f"{asked.found('evaluation.sample_every')}; accepted is less: no evaluation within the budget would have "
            f"samples"
        )


def runs_outlast_their_onset(asked: Asked) -> Iterator[str]:
    """A run that may end once it has memorised has then passed the onset."""
    share, onset = asked.config["training"]["stop_memorised"], asked.config["onset"]["f_mem"]
    if 0 < share <= onset:
        yield (
            f"{asked.found('training.stop_memorised')}; accepted is 0, or more than onset.f_mem, which is {onset:g}: "
            f"runs would end before that onset"
        )


def _schedule(asked: Asked) -> tuple[dict[str, float], dict[str, Any], int, int]:
    """What decides when a run is evaluated; in the budget's unit that is the same for all, and so is any of them."""
    return asked.config["training"]["budget"], asked.config["evaluation"], 1, 1
