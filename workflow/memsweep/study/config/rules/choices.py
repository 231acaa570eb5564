"""Rules of the choices among the runs of the grid: ``only`` and ``exclude``, of the study and of its substudies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...grid import chosen
from ...run import AXES
from ..asked import Asked


def the_substudy_has_a_name(asked: Asked) -> Iterator[str]:
    """The substudy to make is one that the study lists."""
    named = asked.config["substudies"]
    if "substudy" in asked.config and asked.config["substudy"] not in named:
        accepted = f"one of {', '.join(named)}" if named else "a name listed under substudies, and there is none"
        yield f"{asked.found('substudy')}; accepted is {accepted}"


def chosen_values_are_on_the_grid(asked: Asked) -> Iterator[str]:
    """A choice names values that the grid has."""
    on_grid = _values(asked)
    for place, part in _choices(asked):
        for key in ("only", "exclude"):
            for axis, values in part.get(key, {}).items():
                unknown = [value for value in values if value not in on_grid[axis]]
                if unknown:
                    yield (
                        f"{place}{key}.{axis}: found {_listed(unknown)}; accepted are values of the grid, "
                        f"{_listed(on_grid[axis])}"
                    )


def a_choice_leaves_a_run(asked: Asked) -> Iterator[str]:
    """A choice whose values are on the grid leaves a run of it."""
    on_grid = _values(asked)
    for place, part in _choices(asked):
        wanted = [item for key in ("only", "exclude") for item in part.get(key, {}).items()]
        if any(value not in on_grid[axis] for axis, values in wanted for value in values):
            continue
        if not any(chosen(point, asked.config) and chosen(point, part) for point in asked.points):
            where = place.rstrip(".") or "only, exclude"
            yield f"{where}: no run of the grid is left; accepted is a choice of at least one"


def _choices(asked: Asked) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every part of the config that chooses, with the place of its keys."""
    yield "", asked.config
    for name, part in asked.config["substudies"].items():
        yield f"substudies.{name}.", part


def _values(asked: Asked) -> dict[str, list[float]]:
    """The values that each axis takes on the grid."""
    return {axis: sorted({point[axis] for point in asked.points}) for axis in AXES}


def _listed(values: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
