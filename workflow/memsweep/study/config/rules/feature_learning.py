"""Rules of a study of feature learning."""

from __future__ import annotations

from collections.abc import Iterator

from ...feature_learning import FRAME
from ..asked import Asked
from .learning import network_problems


def probes_have_images_of_their_own(asked: Asked) -> Iterator[str]:
    """Held-out images suffice to fit the probes and to test them."""
    if asked.config["dataset"]["test_images"] < 40:
        yield (
            f"{asked.found('dataset.test_images')}; accepted is at least 40, of which one half fits the probes and the "
            f"other tests them"
        )


def noisy_digits_are_labels_of_the_data(asked: Asked) -> Iterator[str]:
    """The two labels to tell apart are labels that images have."""
    labels = asked.facts.classes
    if any(label >= labels for label in asked.config["noisy_digits"]["classes"]):
        yield f"{asked.found('noisy_digits.classes')}; accepted are labels 0 to {labels - 1} of the dataset"


def noisy_digits_have_their_images(asked: Asked) -> Iterator[str]:
    """Each of the two labels has as many images as are to be trained on; once some are held out, it may have fewer."""
    noisy, of_class = asked.config["noisy_digits"], asked.facts.of_class
    labels = [label for label in noisy["classes"] if label < len(of_class)]
    most = min([asked.available - 1, *(of_class[label] for label in labels)])
    if noisy["images"] > most:
        yield f"{asked.found('noisy_digits.images')}; accepted is at most {most}, as one of the classes has no more"


def planted_sets_fit_into_the_data(asked: Asked) -> Iterator[str]:
    """No network is trained on more images than there are."""
    for size in asked.config["planted"]["train_sizes"]:
        if size > asked.available:
            yield f"planted.train_sizes: {size} is larger than the data; accepted is at most {asked.available}"


def planted_batches_fit_into_their_sets(asked: Asked) -> Iterator[str]:
    """No batch holds an image twice."""
    for size in asked.config["planted"]["train_sizes"]:
        if asked.config["planted"]["batch_size"] > size:
            yield (
                f"{asked.found('planted.batch_size')} with a training size of {size}; accepted is a batch of at most "
                f"the training set"
            )


def the_planted_network_fits_framed_images(asked: Asked) -> Iterator[str]:
    """A U-Net can halve images with their frame from level to level."""
    height, width = (side + 2 * FRAME for side in (asked.facts.height, asked.facts.width))
    network = asked.config["planted"]["network"]
    levels = network["channel_multipliers"], network["attention_levels"]
    yield from network_problems(asked.found, "planted.network", *levels, (height, width), "framed images")


def objects_are_of_two_kinds(asked: Asked) -> Iterator[str]:
    """The frame tells one half of the classes from the other."""
    if asked.facts.classes < 2:
        yield (
            f"dataset: found {asked.facts.classes} class; accepted is two or more, for the object to be of either half"
        )
