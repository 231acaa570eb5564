"""What is wrong with a part of a config that its schema cannot say, for the kinds of study that share the part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def network_problems(key: str, network: Mapping[str, Any], height: int, width: int, images: str) -> Iterator[str]:
    """A U-Net against the size of its images, one sentence a problem.

    Args:
        key: where the network stands in the config, such as ``network``.
        network: its section.
        height, width: of the images that it sees, in pixels.
        images: what they are called in a sentence.
    """
    levels = len(network["channel_multipliers"])
    if height % 2 ** (levels - 1) or width % 2 ** (levels - 1):
        yield (
            f"{key}.channel_multipliers: found {levels} levels; accepted is as many as {height}x{width} "
            f"{images} can be halved between"
        )
    if any(level >= levels for level in network["attention_levels"]):
        yield (
            f"{key}.attention_levels: found {network['attention_levels']}; accepted are levels "
            f"0 to {levels - 1}, as channel_multipliers has {levels}"
        )
