"""Expands a grid into runs, chooses among them, and groups them into packs."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .axes import AXES, SUBSET, cell, column_of, encoded, is_short, substituted
from .identity import of_length, run_id, trajectory_parameters
from .run import Run
from .schedule import evaluation_steps

Point = dict[str, Any]


def axes_of(grid: Mapping[str, Any]) -> list[str]:
    """The axes of a grid: those that every grid has, and what else its products name, in their order."""
    named = dict.fromkeys(axis for product in grid["products"] for axis in product)
    others = [axis for axis in named if not is_short(axis)]
    subsets = [SUBSET] if SUBSET in named or SUBSET in grid["base"] else []
    return [*AXES, *subsets, *others]


def expand(config: Mapping[str, Any]) -> Iterator[Point]:
    """The distinct points of a config's grid, in the order they are written.

    Args:
        config: its ``grid``, of ``products``, a list of mappings from axis to list of values, and ``base``, the value
            of each axis with a short name that a product leaves out; and the sections that have those of the others.

    Yields:
        Mappings from every axis to one value; a list as a tuple.
    """
    axes = axes_of(config["grid"])
    seen = set()
    for values in products(config):
        for combination in itertools.product(*values.values()):
            if combination not in seen:
                seen.add(combination)
                yield dict(zip(axes, combination, strict=True))


def products(config: Mapping[str, Any]) -> list[dict[str, list[Any]]]:
    """The products of a config's grid, each with the distinct values of every axis, in the order they are written."""
    grid = config["grid"]
    axes = axes_of(grid)
    bases = {axis: [spelled(axis, base_value(config, axis))] for axis in axes}

    def values(product: Mapping[str, Any], axis: str) -> list[Any]:
        if not product.get(axis):
            return bases[axis]
        return list(dict.fromkeys(spelled(axis, value) for value in product[axis]))

    return [{axis: values(product, axis) for axis in axes} for product in grid["products"]]


def base_value(config: Mapping[str, Any], axis: str) -> Any:
    """The value of an axis where a product does not say otherwise.

    None where each product has to, or where an argument of a network of the user's own is not given.
    """
    if is_short(axis):
        return config["grid"]["base"].get(axis, 0 if axis == SUBSET else None)
    *places, key = axis.split(".")
    return functools.reduce(lambda part, place: part[place], places, config).get(key)


def spelled(axis: str, value: Any) -> Any:
    """A value in one spelling, as YAML has several for a number: 1, 1.0, 1.0e-3, 0.001; a list as a tuple."""
    if value is None or not is_short(axis):
        return tuple(value) if isinstance(value, list) else value
    return float(value) if axis == "learning_rate" else int(value)


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


def _matches(point: Mapping[str, Any], values: Mapping[str, Sequence[Any]]) -> bool:
    return all(point[axis] in wanted for axis, wanted in values.items())


def spelled_choice(choice: Mapping[str, Any]) -> dict[str, dict[str, list[Any]]]:
    """A choice whose values are spelled as those of points."""
    return {
        key: {axis: [spelled(axis, value) for value in values] for axis, values in choice[key].items()}
        for key in ("only", "exclude")
        if key in choice
    }


def points(config: Mapping[str, Any]) -> Iterator[Point]:
    """The points of its grid that a resolved configuration chooses."""
    filters = [spelled_choice(choice) for _, choice in choices(config)]
    return (point for point in expand(config) if all(chosen(point, choice) for choice in filters))


@dataclass(frozen=True)
class _Variant:
    """What is the same for all points of a grid with the same values of the sections' keys.

    Attributes:
        settings: these values, as tables hold them.
        sections: those that are not the config's.
        trajectory: `identity.trajectory_parameters`.
    """

    settings: dict[str, Any]
    sections: dict[str, Any]
    trajectory: dict[str, Any]


def _variants(config: Mapping[str, Any]) -> Callable[[Point], _Variant]:
    """The variant of each point, worked out once for each combination of values."""
    axes = [axis for axis in axes_of(config["grid"]) if not is_short(axis)]

    @functools.cache
    def variant(*values: Any) -> _Variant:
        written = dict(zip(axes, values, strict=True))
        settings = {axis: cell(axis, value) for axis, value in written.items()}
        changed = substituted(config, written)
        sections = {name: section for name, section in changed.items() if section != config[name]}
        return _Variant(settings, sections, trajectory_parameters({**config, **sections}))

    return lambda point: variant(*(point[axis] for axis in axes))


def runs(config: Mapping[str, Any]) -> list[Run]:
    """The runs that a resolved configuration chooses of its grid, each with its run id."""
    variant_of = _variants(config)
    last_step = _last_steps(config)

    def run(point: Point) -> Run:
        variant, subset = variant_of(point), point.get(SUBSET, 0)
        length = last_step(point["train_size"], point["batch_size"])
        short = {axis: point[axis] for axis in AXES}
        identity = run_id(of_length(variant.trajectory, length), short, subset)
        return Run(identity, **short, max_steps=length, subset=subset, **_of_run(variant))

    return [run(point) for point in points(config)]


def kinds_of_runs(config: Mapping[str, Any]) -> list[tuple[Run, int]]:
    """The runs of a resolved configuration where only cost counts: one without an id, and how many cost as much."""
    variant_of = _variants(config)
    last_step = _last_steps(config)
    found: dict[tuple[Any, ...], Run] = {}
    counts: Counter[tuple[Any, ...]] = Counter()
    for point in points(config):
        variant = variant_of(point)
        size, channels, batch = (point[axis] for axis in ("train_size", "base_channels", "batch_size"))
        alike = size, channels, batch, id(variant)
        counts[alike] += 1
        if alike not in found:
            length = last_step(size, batch)
            found[alike] = Run("", size, channels, batch, 0, 0, length, **_of_run(variant))
    return [(run, counts[alike]) for alike, run in found.items()]


def _of_run(variant: _Variant) -> dict[str, Any]:
    return {"settings": variant.settings, "sections": variant.sections}


def _last_steps(config: Mapping[str, Any]) -> Callable[[int, int], int]:
    """The step at which a run of so many images, and so many of them a step, ends."""

    @functools.cache
    def last_step(train_size: int, batch_size: int) -> int:
        return evaluation_steps(config["training"]["budget"], config["evaluation"], train_size, batch_size)[-1]

    return last_step


def packs(all_runs: Sequence[Run], axes: Sequence[str]) -> dict[str, list[Run]]:
    """Group runs that have the same values on some axes.

    Returns:
        Job path, such as ``train_size=256/base_channels=16/batch_size=32``, to its runs.
    """
    grouped: dict[str, list[Run]] = {}
    for run in all_runs:
        values = (run.at(axis) for axis in axes)
        path = "/".join(f"{column_of(axis)}={encoded(value)}" for axis, value in zip(axes, values, strict=True))
        grouped.setdefault(path or "all", []).append(run)
    return grouped
