"""Rules of the choices among the runs of the grid: ``only`` and ``exclude``, of the study and of its substudies."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...grid import axes_of, spelled_choice
from ..asked import Asked
from ..sentences import shown


def the_substudy_has_a_name(asked: Asked) -> Iterator[str]:
    """The substudy to make is one that the study lists."""
    named = asked.config["substudies"]
    if "substudy" in asked.config and asked.config["substudy"] not in named:
        accepted = f"one of {', '.join(named)}" if named else "a name listed under substudies, and there is none"
        yield f"{asked.found('substudy')}; accepted is {accepted}"


def chosen_values_are_on_the_grid(asked: Asked) -> Iterator[str]:
    """A choice names axes and values that the grid has."""
    on_grid = _values(asked)
    for place, part in _choices(asked):
        for key in ("only", "exclude"):
            for axis, values in part.get(key, {}).items():
                unknown = [value for value in values if value not in on_grid.get(axis, ())]
                if axis not in on_grid:
                    yield f"{place}{key}.{axis}: no axis of the grid; accepted are {', '.join(on_grid)}"
                elif unknown:
                    yield (
                        f"{place}{key}.{axis}: found {_listed(unknown)}; accepted are values of the grid, "
                        f"{_listed(sorted(on_grid[axis]))}"
                    )


def a_choice_leaves_a_run(asked: Asked) -> Iterator[str]:
    """A choice whose values are on the grid leaves a run of it."""
    on_grid = _values(asked)
    for place, part in _choices(asked):
        wanted = [item for key in ("only", "exclude") for item in part.get(key, {}).items()]
        if any(value not in on_grid.get(axis, ()) for axis, values in wanted for value in values):
            continue
        if not any(_leaves_a_run(product, [spelled_choice(asked.config), part]) for product in asked.products):
            where = place.rstrip(".") or "only, exclude"
            yield f"{where}: no run of the grid is left; accepted is a choice of at least one"


def _leaves_a_run(product: Mapping[str, Sequence[Any]], filters: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a point of a product is kept by all of these, found out without going through its points."""
    kept = {axis: set(values) for axis, values in product.items()}
    for choice in filters:
        for axis, values in choice.get("only", {}).items():
            kept[axis] &= set(values)
    if not all(kept.values()):
        return False
    # A point avoids an exclusion by a value outside of it on some axis: two of them on two axes, or both on one
    exclusions = [choice["exclude"] for choice in filters if "exclude" in choice]
    return any(_left_over(kept, exclusions, axes) for axes in itertools.product(*exclusions))


def _left_over(
    kept: Mapping[str, set[Any]], exclusions: Sequence[Mapping[str, Sequence[Any]]], axes: Sequence[str]
) -> bool:
    """Whether every exclusion leaves, on its axis, values that no other with the same axis takes away."""
    left = dict(kept)
    for excluded, axis in zip(exclusions, axes, strict=True):
        left[axis] = left[axis] - set(excluded[axis])
    return all(left[axis] for axis in axes)


def _choices(asked: Asked) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every part of the config that chooses, with the place of its keys."""
    yield "", spelled_choice(asked.config)
    for name, part in asked.config["substudies"].items():
        yield f"substudies.{name}.", spelled_choice(part)


def _values(asked: Asked) -> dict[str, set[Any]]:
    """The values that each axis takes on the grid."""
    axes = axes_of(asked.config["grid"])
    return {axis: {value for product in asked.products for value in product[axis]} for axis in axes}


# Of a long list so many are shown
SHOWN = 12


def _listed(values: Sequence[Any]) -> str:
    more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
    return ", ".join(_written(value) for value in values[:SHOWN]) + more


def _written(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}"
    return shown(list(value) if isinstance(value, tuple) else value)
