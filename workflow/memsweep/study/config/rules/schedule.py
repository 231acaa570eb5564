"""Rules of time: the budget, the evaluations within it, and the ends of runs."""

from __future__ import annotations

from collections.abc import Iterator

from ...schedule import evaluation_steps, sampled_steps
from ..asked import Asked

Schedule = tuple[dict[str, float], dict[str, float], int, int]


def the_first_evaluation_is_within_the_budget(asked: Asked) -> Iterator[str]:
    """Every run is evaluated at least once."""
    ((unit, length),) = asked.config["training"]["budget"].items()
    if any(not evaluation_steps(*schedule) for schedule in _schedules(asked)):
        yield f"{asked.found('evaluation.first')}; accepted is at most the budget, {length:g} {unit}, in the same unit"


def an_evaluation_has_samples(asked: Asked) -> Iterator[str]:
    """Every run that is evaluated generates images at least once."""
    if any(evaluation_steps(*schedule) and not sampled_steps(*schedule) for schedule in _schedules(asked)):
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


def _schedules(asked: Asked) -> list[Schedule]:
    """What decides when runs are evaluated, once for all the runs that share it."""
    budget, evaluation = asked.config["training"]["budget"], asked.config["evaluation"]
    sizes = dict.fromkeys((point["train_size"], point["batch_size"]) for point in asked.points)
    return [(budget, evaluation, train_size, batch_size) for train_size, batch_size in sizes]
