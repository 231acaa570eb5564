"""Expands a grid into runs, chooses among them, and groups them into packs."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from .identity import of_length, run_id, trajectory_parameters
from .run import AXES, Run
from .schedule import evaluation_steps

Point = dict[str, Any]


def expand(grid: Mapping[str, Any]) -> Iterator[Point]:
    """The distinct points of a grid, in the order they are written.

    Args:
        grid: ``products``, a list of mappings from axis to list of values, and ``base``,
            the value of each axis that a product leaves out.

    Yields:
        Mappings from every axis to one value.
    """
    seen = set()
    for values in products(grid):
        for combination in itertools.product(*values.values()):
            if combination not in seen:
                seen.add(combination)
                yield dict(zip(AXES, combination, strict=True))


def products(grid: Mapping[str, Any]) -> list[dict[str, list[Any]]]:
    """The products of a grid, each with the distinct values of every axis, in the order they are written."""
    # YAML may spell one number in several ways: 1, 1.0, 1.0e-3, 0.001
    spelled = {axis: float if axis == "learning_rate" else int for axis in AXES}
    return [
        {axis: list(dict.fromkeys(map(spelled[axis], product.get(axis) or [grid["base"][axis]]))) for axis in AXES}
        for product in grid["products"]
    ]


def choices(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The parts of a resolved configuration that choose among the runs of its grid.

    Yields:
        Where it stands (empty for the study itself, the name of the substudy in use with a dot
        behind it), and a mapping with ``only`` and ``exclude``, either of which may be missing.
    """
    yield "", config
    if "substudy" in config:
        name = config["substudy"]
        yield f"substudies.{name}.", config["substudies"][name]


def chosen(point: Mapping[str, Any], choice: Mapping[str, Any]) -> bool:
    """Whether a point of the grid is kept: each axis of ``only`` has one of its values, and not so with ``exclude``."""
    only, exclude = choice.get("only"), choice.get("exclude")
    return (only is None or _matches(point, only)) and not (exclude is not None and _matches(point, exclude))


def _matches(point: Mapping[str, Any], values: Mapping[str, Sequence[float]]) -> bool:
    return all(point[axis] in wanted for axis, wanted in values.items())


def points(config: Mapping[str, Any]) -> Iterator[Point]:
    """The points of its grid that a resolved configuration chooses."""
    filters = [choice for _, choice in choices(config)]
    return (point for point in expand(config["grid"]) if all(chosen(point, choice) for choice in filters))


def runs(config: Mapping[str, Any]) -> list[Run]:
    """The runs that a resolved configuration chooses of its grid, each with its run id."""
    shared = trajectory_parameters(config)
    last_step = _last_steps(config)

    def run(point: Point) -> Run:
        length = last_step(point["train_size"], point["batch_size"])
        return Run(run_id=run_id(of_length(shared, length), point), **point, max_steps=length)

    return [run(point) for point in points(config)]


def kinds_of_runs(config: Mapping[str, Any]) -> dict[Run, int]:
    """The runs of a resolved configuration where only cost counts: one without an id, to how many cost as much."""
    costly = ("train_size", "base_channels", "batch_size")
    last_step = _last_steps(config)
    counts = Counter(tuple(point[axis] for axis in costly) for point in points(config))
    return {
        Run("", size, channels, batch, learning_rate=0, seed=0, max_steps=last_step(size, batch)): count
        for (size, channels, batch), count in counts.items()
    }


def _last_steps(config: Mapping[str, Any]) -> Callable[[int, int], int]:
    """The step at which a run of so many images, and so many of them a step, ends."""

    @functools.cache
    def last_step(train_size: int, batch_size: int) -> int:
        return evaluation_steps(config["training"]["budget"], config["evaluation"], train_size, batch_size)[-1]

    return last_step


def packs(all_runs: Sequence[Run], packed_axes: Sequence[str]) -> dict[str, list[Run]]:
    """Group runs by the axes that are not packed.

    Returns:
        Job path, such as ``train_size=256/base_channels=16/batch_size=32``, to its runs.
    """
    path_axes = [axis for axis in AXES if axis not in packed_axes]
    grouped: dict[str, list[Run]] = {}
    for run in all_runs:
        path = "/".join(f"{axis}={getattr(run, axis)!r}" for axis in path_axes) or "all"
        grouped.setdefault(path, []).append(run)
    return grouped
