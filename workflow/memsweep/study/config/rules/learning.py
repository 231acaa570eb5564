"""Rules of what learns: the network against its images, the formulation against itself."""

from __future__ import annotations

import math
from collections.abc import Iterator

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
