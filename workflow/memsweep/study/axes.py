"""The axes of a sweep: what the runs of one study can differ in.

Five have short names and are in every grid; which images are trained on, `subset`, may be in one. Every other axis is a
key of the sections `SECTIONS` that decides a run's numbers, by its dotted path; where a product of the grid does not
say otherwise, its value is that of the section.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

from .identity import TRAINING_KEYS
from .networks import split_path

# Of every grid, in the order of its runs
AXES = ("train_size", "base_channels", "batch_size", "learning_rate", "seed")
# Which training set of a size
SUBSET = "subset"
# Along them nothing is looked for: runs that differ only there are repetitions
REPEATED = ("seed", SUBSET)
# Their keys can be axes
SECTIONS = ("network", "formulation", "training")
# Of a network of the user's own, any argument
OWN_KEYS = r"^network\.own\.[A-Za-z_]\w*$"
# Set for a whole process, and so the same for all runs of a job
OF_A_PROCESS = ("training.precision",)


@dataclass(frozen=True)
class Axis:
    """An axis as tables, analysis and figures know it.

    Attributes:
        name: as it stands in a grid, such as ``training.weight_decay``.
        column: of the table ``runs``, such as ``training_weight_decay``.
        type: of its values, in JSON Schema's words: integer, number, boolean, string or array.
        title: what figures call it.
        symbol: its letter in formulas, in TeX; empty where it has none.
        meaning: its description.
        base: the value that other axes are swept at; None where each product has its own.
        coordinate: the column of ``runs`` that stands for it where numbers are compared.
        repeats: whether runs that differ only here are repetitions.
    """

    name: str
    column: str
    type: str
    title: str
    symbol: str
    meaning: str
    base: Any
    coordinate: str
    repeats: bool

    @classmethod
    def of(cls, name: str, rules: Mapping[str, Any], base: Any) -> Axis:
        """An axis from the schema of its values."""
        return cls(
            name=name,
            column=column_of(name),
            type=_type(rules),
            title=rules.get("title", name.rpartition(".")[2].replace("_", " ")),
            symbol=rules.get("symbol", ""),
            meaning=rules.get("description", f"the key {name}"),
            base=None if base is None else cell(name, base),
            coordinate="parameters" if name == "base_channels" else column_of(name),
            repeats=name in REPEATED,
        )

    def described(self) -> dict[str, Any]:
        """As settings of a stage; ``Axis(**described)`` is the axis again."""
        return asdict(self)

    @property
    def numeric(self) -> bool:
        """Whether its values are numbers."""
        return self.type in ("integer", "number")


def _type(rules: Mapping[str, Any]) -> str:
    return str(rules.get("type", "string"))  # names of an enumeration


def column_of(name: str) -> str:
    """The column of ``runs``, and the key of a job's folder, of an axis."""
    return name.replace(".", "_")


def is_short(name: str) -> bool:
    """Whether an axis is none of the sections' keys."""
    return name in (*AXES, SUBSET)


def swept_keys(properties: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Dotted path and schema of each key that can be an axis.

    Args:
        properties: those of a sweep's schema, by section.
    """
    for section in SECTIONS:
        for key, rules in properties[section]["properties"].items():
            if section == "training" and key not in TRAINING_KEYS:
                continue
            if rules.get("type") == "object":
                yield from ((f"{section}.{key}.{name}", part) for name, part in rules.get("properties", {}).items())
            else:
                yield f"{section}.{key}", rules


def substituted(sections: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Sections of a config with other values at some dotted paths; those where nothing changes are left out."""
    changed: dict[str, Any] = {}
    for name, value in values.items():
        section, *inner, key = name.split(".")
        part = changed.setdefault(section, dict(sections[section]))
        for step in inner:
            part[step] = dict(part[step])
            part = part[step]
        if value is not None:
            part[key] = list(value) if isinstance(value, tuple) else value
    return changed


def cell(name: str, value: Any) -> Any:
    """A value as tables hold it: a number, true or false, or a text.

    A network of the user's own goes by its class, wherever its file lies.
    """
    if name == "network.kind":
        return split_path(value)[1]
    return value if value is None or isinstance(value, bool | int | float | str) else json.dumps(value)


def text(value: Any) -> str:
    """A table's value in words, as paths and tables of ratios have it."""
    return json.dumps(value) if isinstance(value, bool) else str(value)


@functools.lru_cache(maxsize=10_000, typed=True)  # 1 is not true
def encoded(value: Any) -> str:
    """A table's value as the partition of a path, such as ``%5B1%5D`` for ``[1]``."""
    return quote(text(value), safe="")


def read_axes(settings: Mapping[str, Any]) -> list[Axis]:
    """The axes of the grid among a stage's settings, ``axes``."""
    return [Axis(**described) for described in settings["axes"]]


def other_columns(axes: Iterable[Axis], axis: Axis) -> list[str]:
    """The columns of ``runs`` that have to be equal for runs to differ in one axis only, repetitions aside."""
    return [other.column for other in axes if other != axis and not other.repeats]
