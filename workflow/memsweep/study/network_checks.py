"""What is wrong with a part of a config that its schema cannot say, for the kinds of study that share the part."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any


def network_problems(key: str, network: Mapping[str, Any], height: int, width: int, images: str) -> Iterator[str]:
    """A U-Net against the size of its images, one sentence per problem.

    Args:
        key: where the network stands in the config, such as ``network``.
        network: its section.
        height, width: of the images that it sees, in pixels.
        images: what they are called in a sentence.
    """
    levels = len(network["channel_multipliers"])
    divisor = math.gcd(height, width)
    most = (divisor & -divisor).bit_length()  # halvings until one of the sides is odd, and the level before them
    if levels > most:
        yield (
            f"{key}.channel_multipliers: found {levels} levels; accepted is at most {most}, as {height}x{width} "
            f"{images} are halved from level to level"
        )
    if any(level >= levels for level in network["attention_levels"]):
        yield (
            f"{key}.attention_levels: found {network['attention_levels']}; accepted are levels "
            f"0 to {levels - 1}, as channel_multipliers has {levels}"
        )
