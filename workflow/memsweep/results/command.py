"""The command ``sample``: images that a run of a study generates, as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..base.errors import UserError
from ..study.axes import column_of
from .choosing import meant
from .images import check_output
from .run import RunResults
from .study import StudyResults, open

# Images where no number is given, as far as the study has latents for them
NUMBER = 64


def sample(
    study: Path,
    run: Sequence[str],
    step: int | None,
    number: int | None,
    labels: Sequence[int] | None,
    seed: int | None,
    output: Path,
) -> None:
    """Generate images and write them, and say what was written.

    Args:
        study: its YAML file, or its folder of results.
        run: values on axes, such as ``train_size=64``, or the first digits of an id; nothing for the base point.
        step, labels, seed: as of `run.RunResults.sample`.
        number: likewise; `NUMBER` where it is None.
        output: as of `images.Samples.save`.

    Raises:
        UserError: as of `study.open`, `study.StudyResults.run`, `run.RunResults.sample` and `images.Samples.save`.
    """
    check_output(output)  # before anything is generated
    chosen = chosen_run(open(study), run)
    if number is None:
        own: int = chosen.settings["evaluation"]["samples"]
        number = NUMBER if seed is not None else min(NUMBER, own)
    samples = chosen.sample(number, labels, seed, step)
    samples.save(output)
    print(f"{output}: {samples!r}".replace("<", "").replace(">", ""))


def chosen_run(study: StudyResults, written: Sequence[str]) -> RunResults:
    """The run that is meant by what was typed; errors as of `study.StudyResults.run`."""
    if len(written) == 1 and "=" not in written[0]:
        return study.run(written[0])
    values: dict[str, Any] = {}
    for part in written:
        axis, equals, value = part.partition("=")
        if not equals:
            raise UserError(f"--run: found {part!r}; accepted are values on axes, such as train_size=64, or one id")
        if axis in values:
            raise UserError(f"--run: found {axis} twice; accepted is once")
        column = column_of(axis)
        values[axis] = meant(value, study.table("runs")[column]) if column in study.axes else value
    return study.run(**values)
