"""Rules of what learns, and how: the network against its images, formulation and training against themselves."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ...schedule import evaluation_steps
from ..asked import Asked


def the_network_fits_its_images(asked: Asked) -> Iterator[str]:
    """A U-Net can halve its images from level to level."""
    yield from network_problems(asked, "network", asked.facts.height, asked.facts.width, "images")


def network_problems(asked: Asked, key: str, height: int, width: int, images: str) -> Iterator[str]:
    """A U-Net against the size of its images, for every kind of study that has one.

    Args:
        asked: the config.
        key: where the network stands in the config, such as ``network``.
        height, width: of the images that it sees, in pixels.
        images: what they are called in a sentence.
    """
    levels = len(asked.value(f"{key}.channel_multipliers"))
    divisor = math.gcd(height, width)
    most = (divisor & -divisor).bit_length()  # halvings until one of the sides is odd, and the level before them
    if levels > most:
        yield (
            f"{asked.found(f'{key}.channel_multipliers', f'{levels} levels')}; accepted is at most {most}, as "
            f"{height}x{width} {images} are halved from level to level"
        )
    if any(level >= levels for level in asked.value(f"{key}.attention_levels")):
        yield (
            f"{asked.found(f'{key}.attention_levels')}; accepted are levels 0 to {levels - 1}, as channel_multipliers "
            f"has {levels}"
        )


def guidance_has_both_kinds_of_training(asked: Asked) -> Iterator[str]:
    """Guidance needs a network that was trained both with and without labels."""
    label_dropout, guidance = (asked.config["formulation"][key] for key in ("label_dropout", "guidance"))
    if guidance and not 0 < label_dropout < 1:
        lacking = "without" if label_dropout == 0 else "with"
        yield (
            f"{asked.found('formulation.guidance')} with formulation.label_dropout {label_dropout:g}; accepted is "
            f"0, or a label_dropout between 0 and 1: guidance needs a network trained with and without labels, and "
            f"this one never is trained {lacking} them"
        )


# Options that do something at certain values of another: key, the value at which it is off, the other key, its values
_NEEDS = (
    ("weight_decay", 0, "optimizer", ("adamw", "sgd")),
    ("momentum", 0, "optimizer", ("sgd",)),
    ("schedule_floor", 0, "schedule", ("cosine",)),
    ("time_location", 0, "time_sampling", ("logit_normal",)),
    ("time_scale", 1, "time_sampling", ("logit_normal",)),
)


def options_have_something_to_change(asked: Asked) -> Iterator[str]:
    """An option that would do nothing is a mistake, and would make other runs of those that are there."""
    training = asked.config["training"]
    for key, off, other, values in _NEEDS:
        if training[key] != off and training[other] not in values:
            yield (
                f"{asked.found(f'training.{key}')} with training.{other} {training[other]}; accepted is {off}, or a "
                f"training.{other} of {' or '.join(values)}"
            )


def runs_outlast_their_warm_up(asked: Asked) -> Iterator[str]:
    """Every run reaches its learning rate."""
    budget, evaluation = asked.config["training"]["budget"], asked.config["evaluation"]
    sizes = [(min(product["train_size"]), max(product["batch_size"])) for product in asked.products]
    images, batch = min(sizes, key=lambda size: size[0] / size[1])  # whose epochs have the fewest steps
    steps = evaluation_steps(budget, evaluation, images, batch)
    if steps and asked.value("training.warmup_steps") >= steps[-1]:
        yield (
            f"{asked.found('training.warmup_steps')}; accepted is less than {steps[-1]}, the steps of the shortest run "
            f"of the grid"
        )


def decay_leaves_some_of_the_weights(asked: Asked) -> Iterator[str]:
    """A step takes no more from a weight than all of it."""
    decay = asked.value("training.weight_decay")
    fastest = max(rate for product in asked.products for rate in product["learning_rate"])
    if decay * fastest >= 1:
        yield (
            f"{asked.found('training.weight_decay')}; accepted is less than {1 / fastest:g}, as a step at the learning "
            f"rate {fastest:g} would take all of each weight"
        )
