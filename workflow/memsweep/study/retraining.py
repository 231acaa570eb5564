"""Stops a change of mind, of code or of data before it trains again what is finished.

Beside a pack's tables lies a record of what they come from (`base.records`). A run is trained again when the same
point of the grid has another run id now, unless a checkpoint of the new run is there already; or the same id and
other training code, or no checkpoint any more that holds what was found.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..base.errors import UserError
from ..base.files import read_json
from ..base.records import Record
from ..base.sealed import Damaged
from .axes import AXES
from .identity import of_length, trajectory_parameters
from .run import Run


@dataclass
class Retraining:
    """Finished runs that would be trained again.

    Attributes:
        runs: the new runs in place of them.
        reasons: what differs, each as a phrase.
    """

    runs: list[Run] = field(default_factory=list)
    reasons: set[str] = field(default_factory=set)


def retraining(
    config: Mapping[str, Any], runs: Sequence[Run], records: Iterable[Record], code_version: str, checkpoints: Path
) -> Retraining:
    """Which finished runs a study would train again, and why.

    Args:
        config: resolved.
        runs: its runs.
        records: of the packs that are about to be trained.
        code_version: version of the training code.
        checkpoints: folder with one checkpoint per run id.
    """
    found = Retraining()
    for run, reasons in trained_again(config, runs, records, code_version, checkpoints):
        found.runs.append(run)
        found.reasons |= reasons
    return found


def trained_again(
    config: Mapping[str, Any], runs: Sequence[Run], records: Iterable[Record], code_version: str, checkpoints: Path
) -> Iterator[tuple[Run, set[str]]]:
    """Each run that would be trained in place of a finished one, and what differs; arguments as of `retraining`."""
    in_place_of = _successors(runs)
    for record in records:
        replaced = [(old, run) for old in record["settings"]["runs"] if (run := in_place_of(old))]
        for old, run in replaced:
            other, other_code = old["run_id"] != run.run_id, record["code_version"] != code_version
            checkpoint = checkpoints / run.run_id
            if _started(checkpoint, code_version) if other else not other_code and _holds_results(checkpoint):
                continue
            reasons = set()
            if other:
                before = of_length(_parameters(record["settings"], old), old["max_steps"])
                now = of_length(trajectory_parameters(run.within(config)), run.max_steps)
                reasons |= _differences(_flat(before), _flat(now))
            elif not other_code:
                reasons.add(f"their checkpoints are no longer in {checkpoints}")
            if other_code:
                reasons.add(f"the training code was {record['code_version']}, is {code_version}")
            yield run, reasons


def guard(found: Retraining, hours: float, tflops: float, accepted: int) -> None:
    """Refuse to train more than ``accepted`` finished runs again.

    Args:
        found: by `retraining`.
        hours: that these runs would take on a device that sustains ``tflops``.

    Raises:
        UserError: there are more.
    """
    count = len(found.runs)
    if count <= accepted:
        return
    reasons = "; ".join(sorted(found.reasons)) or "their parameters changed"
    raise UserError(
        f"retrain_at_most: {_count(count)} would be trained again, some {hours:.2g} hours of a device at {tflops:g} "
        f"TFLOP/s, because {reasons}; accepted is at most {accepted}. To go on: the same command with "
        f"--config retrain_at_most={count}. To keep them: undo the change, or give the study another name."
    )


def guard_data(data_hash: str, records: Iterable[Record], accepted: int) -> None:
    """Refuse other images under more than ``accepted`` finished runs.

    Raises:
        UserError: more runs were trained on images of another content.
    """
    runs = [run for record in records if record["data_hash"] != data_hash for run in record["settings"]["runs"]]
    if len(runs) > accepted:
        raise UserError(
            f"retrain_at_most: {_count(len(runs))} would be trained again, because the images changed (their content "
            f"hash is {data_hash} now); accepted is at most {accepted}. To go on: the same command with "
            f"--config retrain_at_most={len(runs)}. To keep them: put the images back, or give the study another name."
        )


def _count(runs: int) -> str:
    return f"{runs} finished run{'s' if runs > 1 else ''}"


def _successors(runs: Sequence[Run]) -> Callable[[Mapping[str, Any]], Run | None]:
    """Finds the run that takes the place of one in a record: itself, or the one at its point of the grid, if any.

    On an axis that the grid did not have at that time, a run lay where one would lie that is not said to lie
    elsewhere: any of the runs that are equal on all other axes is one in place of it, and the first is taken.
    """
    themselves = {run.run_id: run for run in runs}
    axes = list(runs[0].settings) if runs else []

    @functools.cache
    def at_points_of(known: tuple[str, ...]) -> dict[tuple[Any, ...], Run]:
        found: dict[tuple[Any, ...], Run] = {}
        for run in runs:
            found.setdefault(_point(vars(run), known), run)
        return found

    def successor(old: Mapping[str, Any]) -> Run | None:
        known = tuple(axis for axis in axes if axis in old.get("settings", {}))
        return themselves.get(old["run_id"]) or at_points_of(known).get(_point(old, known))

    return successor


def _point(run: Mapping[str, Any], axes: Iterable[str]) -> tuple[Any, ...]:
    """Where a run lies on the grid, as far as these of the axes without short names tell."""
    short = (*(run[axis] for axis in AXES), run.get("subset", 0))
    return *short, *(run["settings"][axis] for axis in axes)


def _started(checkpoint: Path, code_version: str) -> bool:
    """Whether a run was begun with this code, so that it is continued rather than trained anew."""
    try:
        record = read_json(checkpoint / "run.json")
        return bool(record["provenance"]["code_version"] == code_version)
    except (OSError, Damaged, KeyError, TypeError):
        return False


def _holds_results(checkpoint: Path) -> bool:
    """Whether a checkpoint still has something of a finished run: that it diverged, a state or an evaluation."""
    try:
        diverged = read_json(checkpoint / "run.json")["diverged_at"] is not None
    except (OSError, Damaged, KeyError):
        return False
    others = ("damaged-", "average-")
    return diverged or any(not path.name.startswith(others) for path in checkpoint.glob("[!.]*.safetensors"))


def _parameters(settings: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    """The trajectory parameters of a run in a pack's settings."""
    return trajectory_parameters({**settings, **run.get("sections", {})})


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat.update(_flat(item, f"{prefix}{key}.") if isinstance(item, Mapping) else {f"{prefix}{key}": item})
    return flat


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> set[str]:
    keys = {key for key in {*old, *new} if old.get(key) != new.get(key)}
    return {f"{key} was {old.get(key, 'not set')}, is {new.get(key, 'not set')}" for key in keys}
