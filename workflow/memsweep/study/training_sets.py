"""Which images of a dataset a run is trained on, and which others it is held against."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class TrainingSet:
    """Images of the fixed order: number ``subset`` of the sets of ``size`` that follow one another in it.

    Sets of one size share no image. Subset 1 of N images lies inside of subset 0 of 2 N.
    """

    size: int
    subset: int = 0

    @property
    def first(self) -> int:
        """Place of the first image among all that there are to train on."""
        return self.subset * self.size

    @property
    def stop(self) -> int:
        """Place behind the last image."""
        return self.first + self.size

    @property
    def rows(self) -> slice:
        """Places of the images among all that there are to train on."""
        return slice(self.first, self.stop)

    def control(self, train: int, test: int) -> list[int]:
        """Places of as many images that are none of the set's: the next ones of the order, or as many as there are.

        After the last image of the order comes its first one, and after all of them the held-out ones.

        Args:
            train: images that there are to train on.
            test: images that are held out; their places follow those of the others.
        """
        following = itertools.chain(range(self.stop, train), range(self.first), range(train, train + test))
        return list(itertools.islice(following, self.size))

    def others(self, train: int) -> Iterator[TrainingSet]:
        """The other training sets of this size, which share no image with it or with one another.

        Args:
            train: images that there are to train on.
        """
        return (TrainingSet(self.size, subset) for subset in range(train // self.size) if subset != self.subset)

    def __str__(self) -> str:
        return f"{self.size} images" if not self.subset else f"{self.size} images, subset {self.subset}"
