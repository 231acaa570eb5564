"""Rules of a study of the mixed cumulant model."""

from __future__ import annotations

from collections.abc import Iterator

from ..asked import Asked

_LEARNERS = ("experiments", "networks")


def names_stand_for_one_thing(asked: Asked) -> Iterator[str]:
    """No two experiments, and no two networks, have one name."""
    for kind in _LEARNERS:
        names = [experiment["name"] for experiment in asked.config[kind]]
        for name in dict.fromkeys(name for name in names if names.count(name) > 1):
            yield f"{kind}: found the name {name!r} twice; accepted is a name of its own for each"


def there_is_a_spike(asked: Asked) -> Iterator[str]:
    """There is something to learn."""
    for kind in _LEARNERS:
        for number, experiment in enumerate(asked.config[kind]):
            if experiment["beta_u"] == experiment["beta_v"] == 0:
                yield f"{kind}[{number}]: found beta_u 0 and beta_v 0; accepted is at least one spike above 0"
