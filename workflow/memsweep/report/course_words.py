"""When a training started to copy, in sentences: one for each definition of an onset."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import pandas as pd

from ..analysis.given import METRICS, Course
from ..data.given import Given
from ..data.given_losses import GivenLosses
from ..metrics.comparison import Compared
from ..study.onsets import LOSS_DEFINITIONS, ONSETS
from .comparison_words import Row, by, calibrated_rule, percent


def answer(course: Course, found: Compared) -> Iterator[str]:
    """When each definition says that memorisation starts.

    Args:
        course: of the training.
        found: the comparison of its last step.
    """
    onsets, shares = by("definition", course.onsets), by("rule", found.copy_shares)
    for rule, row in shares.items():
        if (name := METRICS[rule]) in onsets:
            words = "the field's rule (d1/d2 < 1/3)" if rule == "field" else calibrated_rule(row)
            yield _copying(course, onsets[name], name, words)
    if "calibrated" in shares and "f_mem_calibrated" not in onsets:
        yield (
            f"When copying starts by the calibrated rule cannot be said: it calls {percent(found.rate)} of images that "
            f"copy nothing copies, and copying would start at {_level(course.onset['f_mem'])}."
        )
    of_losses = [onsets[name] for name in LOSS_DEFINITIONS if name in onsets]
    for row in of_losses:
        phrase = _phrase(course, row["definition"])
        yield f"{phrase[0].upper()}{phrase[1:]} {_when(row, course.trajectories['step'])}."
    if of_losses and math.isnan(of_losses[0]["ci_low"]):
        yield "How sure the onsets of losses are cannot be said, as mean losses without standard errors do not tell."


def remarks(course: Course, found: Compared, steps: Mapping[int, Given], losses: GivenLosses | None) -> Iterator[str]:
    """What of a training's images and losses is to be known beside the answer."""
    yield from _of_steps(steps)
    numbers = [len(each) for each in steps.values()]
    if min(numbers) < max(numbers):
        yield (
            f"GENERATED: from {min(numbers):,} to {max(numbers):,} images a step, so the samples of each step were "
            f"resampled by themselves."
        )
    if "calibrated" not in by("rule", found.copy_shares):
        yield "Without HELD_OUT there is no onset by a rule of known false-positive rate."
    if losses is not None:
        yield from losses.remarks
        for name in LOSS_DEFINITIONS:
            if name not in by("definition", course.onsets):
                yield f"--losses: training losses that are not above 0 have no {name}."


def _of_steps(steps: Mapping[int, Given]) -> Iterator[str]:
    """What was done to the images, what is the same of several steps once."""
    roles: dict[str, list[str]] = {}
    for each in steps.values():
        for remark in each.remarks:
            roles.setdefault(remark.removeprefix(f"{each.role}: "), []).append(each.role)
    for done, where in roles.items():
        others = len(where) - 1
        also = "" if not others else f" and {others} other steps" if others > 1 else " and another step"
        yield f"{'GENERATED, every step' if len(where) == len(steps) > 1 else where[0] + also}: {done}"


def _copying(course: Course, row: Row, metric: str, rule: str) -> str:
    level = _level(course.onset["f_mem"])
    curve = course.metrics[(course.metrics["metric"] == metric) & course.metrics["step"].notna()]
    if row["censored"]:
        highest = curve.iloc[int(curve["value"].to_numpy().argmax())]
        if highest["value"] > course.onset["f_mem"] and highest["step"] == curve["step"].max():
            seen = f"more than {level} are copies at step {highest['step']:,}, which no later step confirms"
        elif highest["value"] > course.onset["f_mem"]:
            seen = f"more than {level} are copies at step {highest['step']:,}, but not at the next one"
        else:
            seen = f"no step has more than {level} copies"
    elif row["left_censored"]:
        seen = f"{percent(curve['value'].iloc[0])} of its samples are copies"
    else:
        seen = f"from there on more than {level} of the samples are copies"
    return f"Copying starts {_when(row, curve['step'])} by {rule}: {seen}."


def _phrase(course: Course, name: str) -> str:
    """What happens at an onset, with its threshold."""
    definition = ONSETS[name]
    if not definition.threshold:
        return definition.meaning
    value = course.onset[definition.threshold]
    level = _level(value) if "{percent}" in definition.words else f"{value:g}"
    said = definition.meaning.replace("a threshold", level)
    return said if said != definition.meaning else f"{said} ({level})"


def _level(share: float) -> str:
    return f"{100 * share:g} %"


def _when(row: Row, steps: pd.Series[int]) -> str:
    """Where an onset lies, with its interval where that says more."""
    first, seen = int(steps.min()), int(row["step"])
    low = "before the first step" if row["ci_low"] == 0 else _number(row["ci_low"])
    high = "no end" if math.isinf(row["ci_high"]) else _number(row["ci_high"])
    interval = f" [{low}, {high}]"
    if row["censored"]:
        if not seen:
            return f"at a step that step {first:,} alone cannot tell"
        return f"later than step {seen:,} (the last that another confirms){interval if row['ci_low'] < seen else ''}"
    if row["left_censored"]:
        return f"at or before step {first:,} (the first one){interval if row['ci_high'] > first else ''}"
    return f"at step {_number(row['step'])}{'' if math.isnan(row['ci_low']) else interval}"


def _number(step: float) -> str:
    return f"{step:,.0f}" if step >= 100 else f"{step:.3g}"
