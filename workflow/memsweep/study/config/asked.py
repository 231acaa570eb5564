"""What rules are asked about: a config as it was written and filled in, with what several of them look up."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from ..catalogue import DatasetFacts, describe
from ..grid import products
from .sentences import found, shown

Config = dict[str, Any]


class Asked:
    """A config that its schema accepts.

    Attributes:
        given: as it was written.
        config: with every default filled in.
    """

    def __init__(self, given: Mapping[str, Any], config: Config) -> None:
        self.given = given
        self.config = config

    def value(self, key: str) -> Any:
        """What stands at a dotted key."""
        return functools.reduce(lambda part, name: part[name], key.split("."), cast(Any, self.config))

    def found(self, key: str, text: str = "") -> str:
        """The beginning of a sentence: the key, its value and, where nobody wrote it, that it is the default.

        Args:
            key: dotted, such as ``evaluation.first``.
            text: what is shown of the value, where it is not all of it.
        """
        return found(self.given, key.split("."), text or shown(self.value(key)))

    @functools.cached_property
    def facts(self) -> DatasetFacts:
        """Size and shape of the data; of a folder, its files are counted.

        Raises:
            UserError: it is missing, or is not laid out as one.
        """
        return describe(self.config["dataset"])

    @property
    def available(self) -> int:
        """Images to train on.

        Raises:
            UserError: there are none, the others being held out.
        """
        dataset = self.config["dataset"]
        return self.facts.training_images(dataset["name"], dataset["test_images"])

    @functools.cached_property
    def products(self) -> list[dict[str, list[Any]]]:
        """The products of the grid, which rules look at, as their runs may be more than can be looked at."""
        return products(self.config)

    def combinations(self, *keys: str) -> Iterator[Combination]:
        """The values of some keys that runs have together, each once; those of other keys are not gone through.

        Args:
            keys: axes with a short name, or dotted ones, which may be axes.
        """
        written = self.config["grid"]["products"]
        seen = set()
        for number, product in enumerate(self.products):
            lists = [product[key] if key in product else [_hashable(self.value(key))] for key in keys]
            for values in itertools.product(*lists):
                if values not in seen:
                    seen.add(values)
                    swept = {key: f"grid.products[{number}].{key}" for key in keys if key in written[number]}
                    yield Combination(self, dict(zip(keys, values, strict=True)), swept)


@dataclass(frozen=True)
class Combination:
    """Values that runs have together.

    Attributes:
        asked: the config.
        values: of each key; a list as a tuple.
        swept: of the keys that a product of the grid has, where they stand in it.
    """

    asked: Asked
    values: Mapping[str, Any]
    swept: Mapping[str, str]

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    def found(self, key: str, text: str = "") -> str:
        """As `Asked.found`, of the value that a run has, wherever it is from."""
        value = self[key]
        text = text or shown(list(value) if isinstance(value, tuple) else value)
        return f"{self.swept[key]}: found {text}" if key in self.swept else self.asked.found(key, text)


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
