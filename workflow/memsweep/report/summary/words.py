"""What the summary calls axes and definitions: the figures' words, without TeX."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...figures.wording import count_label
from ...study.axes import Axis, text
from ...study.onsets import ONSETS
from . import amounts

_GREEK = {r"\eta": "η", r"\beta": "β", r"\lambda": "λ", r"\tau": "τ"}


def plain(tex: str) -> str:
    """A label of a figure without TeX: ``$f_\\mathrm{mem}$ > 10 %`` is f_mem > 10 %."""
    for command, letter in _GREEK.items():
        tex = tex.replace(command, letter)
    return re.sub(r"\\mathrm\{([^}]*)\}", r"\1", tex).replace("$", "").replace("{", "").replace("}", "")


def definition(name: str, thresholds: Mapping[str, float]) -> str:
    """A definition of an onset with its threshold, which stands beside everything that is said of it."""
    known = ONSETS.get(name)
    return plain(known.label(thresholds)) if known else name


def symbol(axis: Axis) -> str:
    """The letter of an axis, or what it is called."""
    return plain(axis.symbol) or axis.title


def number(value: Any) -> str:
    """A value of an axis in a sentence: ``0.003``, ``1,024``."""
    if isinstance(value, float | np.floating) and not float(value).is_integer():
        return f"{value:g}"
    return amounts.steps(float(value))


def cell(axis: Axis, run: Mapping[Any, Any]) -> str:
    """A run's value on an axis; of a model size, its parameters."""
    if axis.coordinate != axis.column:
        return count_label(run[axis.coordinate])
    return number(run[axis.column]) if axis.numeric else text(run[axis.column])
