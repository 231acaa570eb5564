"""Configs of every kind of study, changed at random.

Values at the ends of what is accepted and beyond them, values of other types, keys that are misspelt, missing, doubled
or exchanged.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Iterator
from typing import Any

from memsweep.study.config import schema

Path = tuple[str | int, ...]
# What people and other programs write where something else is wanted
ODD: list[Any] = [
    None, True, False, 0, 1, 2, 3, 7, -1, 0.5, 1.5, 1e-3, 1e300, -1e300, 1e-300, math.inf, -math.inf, math.nan,
    2**31, 2**63, 10**400, "", " ", "x", "1", "1e-3", "true", "null", "auto", "é", "e\u0301", "a/b", "../up", "/",
    "a b", "a\nb", "{x}", "$(id)", "x" * 300, [], {}, [1], [[1]], [None], ["x"], {"a": 1}, [1, 1], [1, 2, 3],
    [0.001, "x"], {"": None},
]  # fmt: skip
# Ways to change a config, the more telling ones more often
WAYS = ("odd", *2 * ("end", "near", "known"), "drop", "misspell", "double", "exchange")


def _leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """Paths of all that a config holds, the whole of it left out."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from _leaves(inner, (*path, key))


def _at(config: Any, path: Path) -> Any:
    for key in path:
        config = config[key]
    return config


def _documents(document: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Paths of the keys that a schema knows, without places in lists, with what it says of each."""
    for key, inner in document.get("properties", {}).items():
        yield (*path, key), inner
        yield from _documents(inner, (*path, key))
    if "items" in document:
        yield from _documents(document["items"], path)


def _ends(document: Any) -> list[Any]:
    """Values at the ends of what a schema accepts, and on either side of them."""
    found: list[Any] = list(document.get("enum", []))
    for end, sign in (("minimum", -1), ("exclusiveMinimum", -1), ("maximum", 1), ("exclusiveMaximum", 1)):
        if end in document:
            limit = document[end]
            found += [limit, limit + sign, limit - sign, limit * 10, float(limit)]
    if "items" in document:
        found += [[end] for end in _ends(document["items"])]
    return found + ([document["default"]] if "default" in document else [])


class Mutator:
    """Changes configs of one kind, each time otherwise, the same in every run.

    Args:
        config: a config that is right and small.
        seed: of the changes.
    """

    def __init__(self, config: dict[str, Any], seed: int) -> None:
        self._config = config
        self._source = random.Random(seed)
        self._documents = dict(_documents(schema(config.get("kind", "sweep"))))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while True:
            config = copy.deepcopy(self._config)
            for _ in range(self._source.choice((1, 1, 1, 2, 3))):
                self._change(config)
            yield config

    def _change(self, config: dict[str, Any]) -> None:
        source = self._source
        paths = list(_leaves(config))
        if not paths:
            return
        path = source.choice(paths)
        parent, key = _at(config, path[:-1]), path[-1]
        way = source.choice(
            ("odd", "end", "end", "near", "near", "known", "known", "drop", "misspell", "double", "exchange")
        )
        if way == "odd":
            parent[key] = copy.deepcopy(source.choice(ODD))
        elif way == "end":
            named = tuple(each for each in path if isinstance(each, str))
            parent[key] = source.choice(_ends(self._documents.get(named, {})) or ODD)
        elif way == "near":
            parent[key] = self._near(parent[key])
        elif way == "known":
            self._set_known(config)
        elif way == "drop":
            del parent[key]
        elif way == "misspell" and isinstance(parent, dict):
            name = str(key)
            parent[source.choice((name + "s", name[:-1], name.upper(), name.replace("_", "-")))] = parent.pop(key)
        elif way == "double" and isinstance(parent[key], list):
            parent[key] = parent[key] * 2
        elif way == "exchange":
            other = source.choice(paths)
            value, instead = (copy.deepcopy(_at(config, each)) for each in (path, other))
            if other[: len(path)] != path and path[: len(other)] != other:
                parent[key] = instead
                _at(config, other[:-1])[other[-1]] = value

    def _near(self, value: Any) -> Any:
        """A value of the same type, not far away."""
        source = self._source
        if isinstance(value, bool) or value is None:
            return not value
        if isinstance(value, int):
            return value + source.choice((-1, 1, 2)) if source.random() < 0.7 else value * 2
        if isinstance(value, float):
            return value * source.choice((0.5, 2, -1))
        if isinstance(value, list):
            return value[:-1] if source.random() < 0.5 else value + [self._near(each) for each in value[:1]]
        return value

    def _set_known(self, config: dict[str, Any]) -> None:
        """Give a key that the schema knows a value at the ends of what it accepts, or something odd."""
        path, document = self._source.choice(list(self._documents.items()))
        section: Any = config
        for key in path:
            if isinstance(section, list) and section:
                section = self._source.choice(section)
            if not isinstance(section, dict):
                return
            if key == path[-1]:
                section[key] = copy.deepcopy(self._source.choice(_ends(document) or ODD))
            else:
                section = section.setdefault(key, {})
