"""How the summary writes numbers: rounded as far as their intervals say, with a proper minus, powers after a caret."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ...figures.wording import MINUS, TIMES, exponent_label
from ...figures.wording import counted as counted

INFINITE = "∞"
UNKNOWN = "\N{EN DASH}"


def steps(value: float) -> str:
    """Steps, or another count, in whole numbers with thousands apart; below 10 with a decimal where there is one."""
    if not math.isfinite(value):
        return INFINITE if value > 0 else "?"
    return f"{value:.1f}" if value < 10 and value != round(value) else f"{round(value):,}"


def share(value: float) -> str:
    """A share in per cent, two digits."""
    return f"{float(f'{100 * value:.2g}'):g} %"


def factor(value: float) -> str:
    """A ratio in two digits: 0.17, 5.0, 12, 340."""
    if not math.isfinite(value):
        return INFINITE if value > 0 else "?"
    if value >= 1e4 or 0 < value < 1e-3:
        mantissa, power = f"{value:.1e}".split("e")
        return f"{mantissa}{TIMES}10^{MINUS if int(power) < 0 else ''}{abs(int(power))}"
    return f"{value:#.2g}".rstrip(".") if value < 100 else f"{float(f'{value:.2g}'):,.0f}"


def exponent(value: float) -> str:
    """An exponent in two decimals, with a proper minus."""
    return exponent_label(value)


def plain(value: float) -> str:
    """A number of theory: as it is, ``∞`` where it has no end."""
    return INFINITE if value == math.inf else UNKNOWN if math.isnan(value) else f"{value:g}"


def interval(row: Mapping[Any, Any], write: Any = exponent, names: Iterable[str] = ("ci_low", "ci_high")) -> str:
    """``[1.70, 1.84]``, or that there is none."""
    ends = [float(row[name]) for name in names]
    if any(math.isnan(end) for end in ends):
        return "[no interval]"
    return f"[{', '.join(_end(end, write) for end in ends)}]"


def _end(value: float, write: Any) -> str:
    if math.isinf(value):
        return INFINITE if value > 0 else f"{MINUS}{INFINITE}"
    return str(write(value))


def listed(parts: Iterable[str], last: str = "and") -> str:
    """``a, b and c``."""
    *first, end = list(parts) or [""]
    return f"{', '.join(first)} {last} {end}" if first else end


def beyond(row: Mapping[Any, Any], null: float) -> int:
    """On which side of a value an interval lies: 1 above, -1 below, 0 where it holds the value or there is none."""
    low, high = float(row["ci_low"]), float(row["ci_high"])
    return int(low > null) - int(high < null)
