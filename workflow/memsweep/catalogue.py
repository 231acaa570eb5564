"""The known datasets, by name: what a config can be checked against before any data is read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetFacts:
    """Size and shape of a dataset.

    Attributes:
        images: number of images.
        height, width: pixels.
        channels: 1 for grey, 3 for RGB.
        classes: number of labels, which are 0 ... classes - 1.
    """

    images: int
    height: int
    width: int
    channels: int
    classes: int


CATALOGUE = {
    "digits": DatasetFacts(images=1797, height=8, width=8, channels=1, classes=10),
}
