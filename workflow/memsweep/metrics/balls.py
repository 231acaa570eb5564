"""Precision, recall, density and coverage: which images lie in balls to the k-th nearest neighbour of others.

Kynkäänniemi et al. 2019 (precision, recall) and Naeem et al. 2020 (density, coverage). Written here as the package of
the latter, `prdc`, holds every distance within and between both sets in memory, and as its rounding decides where a
sample lies on the edge of a ball, as each copy of a training image does; the tests compare with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .neighbours import nearest

# Distances that differ by less, as a share of the squares of what they are taken between, count as equal
_EQUAL = 1e-9

# Centres whose distances are held at a time
_BLOCK = 2048


@dataclass(frozen=True)
class Balls:
    """Balls around points, each as far as its k-th nearest other point.

    Attributes:
        centres: (n, d), float32.
        radii: (n,), float64.
        k: neighbours within a ball, its edge included.
    """

    centres: np.ndarray
    radii: np.ndarray
    k: int

    @classmethod
    def around(cls, points: np.ndarray, k: int) -> Balls:
        """Those around points (n, d), float32.

        Raises:
            ValueError: there are no k others.
        """
        # A point is its own nearest, or one that equals it is
        return cls(points, nearest(points, points, k + 1).distance[:, k], k)

    def holding(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How many balls each point lies in, and in how many balls some point lies; edges are outside.

        Args:
            points: (m, d), float32.

        Returns:
            Balls of each point, (m,), int64, and whether each ball holds a point, (n,), bool.
        """
        centre = self.centres.mean(axis=0, dtype=np.float64)
        right = points - centre
        right_squares = np.square(right).sum(axis=1)
        balls, held = np.zeros(len(points), np.int64), []
        for start in range(0, len(self.centres), _BLOCK):
            left = self.centres[start : start + _BLOCK] - centre
            scale = np.square(left).sum(axis=1)[:, None] + right_squares
            squared = scale - 2 * left @ right.T
            inside = squared < np.square(self.radii[start : start + _BLOCK])[:, None] - _EQUAL * scale
            balls += inside.sum(axis=0)
            held.append(inside.any(axis=1))
        return balls, np.concatenate(held)


@dataclass(frozen=True)
class Support:
    """What the balls of both sets say, image by image; each metric is a mean.

    Attributes:
        is_real: precision: whether each generated image lies in a ball of the reference, (m,), bool.
        balls: density: in how many it lies over k, (m,), float64; 1 on average where both sets are of one distribution.
        is_covered: coverage: whether the ball of each reference image holds a generated one, (n,), bool.
        is_recalled: recall: whether each reference image lies in a ball of the generated ones, (n,), bool.
    """

    is_real: np.ndarray
    balls: np.ndarray
    is_covered: np.ndarray
    is_recalled: np.ndarray


def support(generated: Balls, reference: Balls) -> Support:
    """Compare generated features with reference features, by the balls around both.

    Raises:
        ValueError: the dimensions differ.
    """
    balls, is_covered = reference.holding(generated.centres)
    recalled, _ = generated.holding(reference.centres)
    return Support(balls > 0, balls / reference.k, is_covered, recalled > 0)
