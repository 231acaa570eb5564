"""Rules of the grid: each of its points can be trained."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator

from ...axes import AXES, OF_A_PROCESS, SUBSET, swept_keys
from ...grid import axes_of
from ..asked import Asked
from ..schemas import schema
from ..sentences import shown


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
    size = sum(math.prod(map(len, product.values())) for product in grid)
    if size > most:
        yield (
            f"grid.products: found {size} runs; accepted are at most {most} in one study, which the key runs_at_most "
            f"says"
        )


def repetitions_are_packed(asked: Asked) -> None:
    """The default packs: runs that differ in how they are trained, or are repetitions, cost the same."""
    if "pack" not in asked.given:
        trained = (axis for axis in axes_of(asked.config["grid"]) if axis.startswith("training."))
        asked.config["pack"] += [SUBSET, *(axis for axis in trained if axis not in OF_A_PROCESS)]


def packed_axes_are_axes(asked: Asked) -> Iterator[str]:
    """What is packed can be an axis, and can differ between the runs of one process."""
    others = [name for name, _ in swept_keys(schema()["properties"])]
    known = {*AXES, SUBSET, *others, *axes_of(asked.config["grid"])}
    for axis in asked.config["pack"]:
        if axis not in known:
            close = difflib.get_close_matches(axis, sorted(known), n=1)
            hint = f" (did you mean '{close[0]}'?)" if close else ""
            yield (
                f"pack: found {shown(axis)}{hint}; accepted are axes: {', '.join((*AXES, SUBSET))}, and keys of "
                f"network, formulation and training such as training.weight_decay"
            )
        elif axis in OF_A_PROCESS:
            yield f"pack: found {shown(axis)}; accepted are other axes, as it is set for a whole process"


def training_sets_fit_into_the_data(asked: Asked) -> Iterator[str]:
    """No run is trained on images that are not there."""
    facts, available, held_out = asked.facts, asked.available, asked.config["dataset"]["test_images"]
    less = "" if facts.test else f" less {held_out} for testing"
    images = f"{facts.train} images{less}"
    last: dict[int, int] = {}  # subset by size
    for product in asked.products:
        for size in product["train_size"]:
            last[size] = max(last.get(size, 0), *product.get(SUBSET, [0]))
    for size, subset in last.items():
        if size > available:
            yield f"grid: train_size {size} is larger than the data; accepted is at most {available} ({images})"
        elif (subset + 1) * size > available:
            fit = available // size
            yield (
                f"grid: subset {subset} of train_size {size} is beyond the data; accepted are subsets below {fit}, as "
                f"{fit} sets of {size} fit into the {available} to train on ({images})"
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
