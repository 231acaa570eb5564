"""How many examples a property is tried on."""

from __future__ import annotations

from hypothesis import settings


def examples(count: int) -> settings:
    """This many, where another property is tried on a hundred; in proportion in a profile that tries more."""
    return settings(max_examples=count * settings().max_examples // 100)
