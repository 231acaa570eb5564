"""Rules of the grid: each of its points can be trained."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ...run import AXES
from ..asked import Asked


def every_product_has_every_axis(asked: Asked) -> Iterator[str]:
    """An axis that a product leaves out has a value in the base."""
    grid = asked.config["grid"]
    for number, product in enumerate(grid["products"]):
        missing = [axis for axis in AXES if axis not in product and axis not in grid["base"]]
        if missing:
            yield f"grid.products[{number}]: no value for {', '.join(missing)}; give it here or in grid.base"


def the_grid_can_be_expanded(asked: Asked) -> Iterator[str]:
    """A grid is counted before it is written out, for which some take more time and memory than there are."""
    grid, most = asked.config["grid"]["products"], asked.config["runs_at_most"]
    size = sum(math.prod(len(product.get(axis, [0])) for axis in AXES) for product in grid)
    if size > most:
        yield (
            f"grid.products: found {size} runs; accepted are at most {most} in one study, which the key runs_at_most "
            f"says"
        )


def training_sets_fit_into_the_data(asked: Asked) -> Iterator[str]:
    """No run is trained on more images than there are."""
    facts, available, held_out = asked.facts, asked.available, asked.config["dataset"]["test_images"]
    less = "" if facts.test else f" less {held_out} for testing"
    for size in dict.fromkeys(size for product in asked.products for size in product["train_size"]):
        if size > available:
            yield (
                f"grid: train_size {size} is larger than the data; accepted is at most {available} "
                f"({facts.train} images{less})"
            )


def batches_fit_into_training_sets(asked: Asked) -> Iterator[str]:
    """No batch holds an image twice."""
    for product in asked.products:
        smallest = min(product["train_size"])
        for size in product["batch_size"]:
            if size > smallest:
                yield (
                    f"grid: batch_size {size} is larger than train_size {smallest}; accepted is a batch of at most the "
                    f"training set"
                )
