"""Durations as people say them."""

from __future__ import annotations

import math


def duration(seconds: float) -> str:
    """A duration in two digits and the unit that suits it: ``8 s``, ``2.5 min``, ``40 h``, ``12 days``."""
    if not math.isfinite(seconds):
        return "-"
    for unit, length, most in (("s", 1, 90), ("min", 60, 90), ("h", 3600, 48)):
        if seconds < most * length:
            return f"{_two_digits(seconds / length)} {unit}"
    return f"{_two_digits(seconds / 86400)} days"


def _two_digits(value: float) -> str:
    """1.4, 14, 140: a whole number where it has two digits before the point."""
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}".removesuffix(".0")
