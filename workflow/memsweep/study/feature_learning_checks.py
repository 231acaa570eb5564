"""What is wrong with the config of a study of feature learning that its schema cannot say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..base.errors import UserError
from .catalogue import DatasetFacts, describe
from .feature_learning import FRAME
from .network_checks import network_problems


def feature_learning_problems(config: Mapping[str, Any]) -> Iterator[str]:
    """One sentence per problem of a resolved config."""
    dataset = config["dataset"]
    try:
        facts = describe(dataset)
        available = facts.training_images(dataset["name"], dataset["test_images"])
    except UserError as error:
        yield str(error)
        return
    if dataset["test_images"] < 40:
        yield (
            f"dataset.test_images: found {dataset['test_images']}; accepted is at least 40, of which one half fits "
            f"the probes and the other tests them"
        )
    yield from _noisy_problems(config["noisy_digits"], facts)
    yield from _planted_problems(config["planted"], facts, available)


def _noisy_problems(noisy: Mapping[str, Any], facts: DatasetFacts) -> Iterator[str]:
    unknown = [label for label in noisy["classes"] if label >= facts.classes]
    if unknown:
        yield (
            f"noisy_digits.classes: found {noisy['classes']}; accepted are labels 0 to {facts.classes - 1} "
            f"of the dataset"
        )


def _planted_problems(planted: Mapping[str, Any], facts: DatasetFacts, available: int) -> Iterator[str]:
    for size in planted["train_sizes"]:
        if size > available:
            yield f"planted.train_sizes: {size} is larger than the data; accepted is at most {available}"
        if planted["batch_size"] > size:
            yield (
                f"planted.batch_size: found {planted['batch_size']} with a training size of {size}; accepted is a "
                f"batch of at most the training set"
            )
    height, width = facts.height + 2 * FRAME, facts.width + 2 * FRAME
    yield from network_problems("planted.network", planted["network"], height, width, "framed images")
    if facts.classes < 2:
        yield f"dataset: found {facts.classes} class; accepted is two or more, for the object to be of either half"
