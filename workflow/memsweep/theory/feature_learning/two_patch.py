"""The two-patch data of Han et al. 2025 (arXiv 2412.01021): a signal patch beside a noise patch.

Sample i has the label y_i = ±1, the signal patch μ₊ or μ₋, two orthogonal vectors of one norm,
and the noise patch ξ_i ~ N(0, σ² (I - μ₊μ₊ᵀ/‖μ‖² - μ₋μ₋ᵀ/‖μ‖²)). What can be learnt of it
depends on the signal-to-noise ratio SNR = ‖μ‖ / (σ √d) by way of n · SNR² for n samples.

Gradients of both objectives are linear combinations of the patches and of the weights, so
gradient descent never leaves the span of the patches and of the first weights. In an
orthonormal basis of that span every number is the same and has min(d, n + 2 + m) coordinates
in place of d.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...data.randomness import generator


@dataclass(frozen=True)
class Problem:
    """Training sets of equal size, each with its network's weights; what `descent.descend` works on.

    Attributes:
        points: the different patches of each training set, (problems, points, coordinates), float64.
        pairs: the two patches of each sample, as indices of points, (samples, 2), int64.
        labels: class of each sample, ±1, (samples,), float64.
        weights: first-layer weights at the start, (problems, rows, coordinates), float64.
    """

    points: Tensor
    pairs: Tensor
    labels: Tensor
    weights: Tensor

    def select(self, chosen: Tensor) -> Problem:
        """Some of the problems, by index or mask."""
        return Problem(self.points[chosen], self.pairs, self.labels, self.weights[chosen])

    @property
    def shares(self) -> Tensor:
        """How often each point is a patch, in units of the number of samples, (points,); they sum to 2."""
        counts = torch.bincount(self.pairs.flatten(), minlength=self.points.shape[1])
        return counts.to(self.points.dtype) / len(self.pairs)


def snr(signal_norm: float, dimension: int, noise: float) -> float:
    """SNR = ‖μ‖ / (σ √d)."""
    return signal_norm / (noise * math.sqrt(dimension))


def labels(samples: int) -> Tensor:
    """Labels ±1 in turns, so that both classes are as frequent as they can be, (samples,), float64."""
    return torch.where(torch.arange(samples) % 2 == 0, 1.0, -1.0).double()


def two_patch(
    cases: Sequence[tuple[float, int]],
    *,
    samples: int,
    dimension: int,
    noise: float,
    rows: int,
    initialisation: float,
) -> Problem:
    """Training sets of the two-patch model, and networks to train on them.

    They are given in the coordinates of `span_basis`. The first two points are μ₊ and μ₋, then come
    the noise patches. As everything is invariant under rotations, the signals lie along the first
    two axes.

    Args:
        cases: norm ‖μ‖ of the signals and seed of each problem. Problems of another norm, seed or
            size share no random numbers.
        samples: n.
        dimension: d of a patch, at least 3.
        noise: σ.
        rows: neurons, all together.
        initialisation: standard deviation of the first weights.
    """
    points, weights = [], []
    for norm, seed in cases:
        source = generator(seed, "two-patch", samples, repr(float(norm)))
        signals = norm * torch.eye(2, dimension, dtype=torch.float64)
        noises = noise * torch.randn(samples, dimension, generator=source, dtype=torch.float64)
        noises[:, :2] = 0
        points.append(torch.cat([signals, noises]))
        weights.append(initialisation * torch.randn(rows, dimension, generator=source, dtype=torch.float64))
    of_class = labels(samples)
    pairs = torch.stack([(of_class < 0).long(), torch.arange(samples) + 2], dim=1)
    problem = Problem(torch.stack(points), pairs, of_class, torch.stack(weights))
    return in_basis(problem, span_basis(problem))


def span_basis(problem: Problem) -> Tensor:
    """An orthonormal basis of the span of each problem's points and weights, (problems, d, coordinates).

    The identity where that span is no smaller than the space of the patches.
    """
    vectors = torch.cat([problem.points, problem.weights], dim=1)
    problems, count, dimension = vectors.shape
    if count >= dimension:
        return torch.eye(dimension, dtype=vectors.dtype).expand(problems, -1, -1)
    return torch.linalg.qr(vectors.transpose(1, 2)).Q


def in_basis(problem: Problem, basis: Tensor) -> Problem:
    """The same problems in the coordinates of `span_basis`: inner products, losses and alignments are kept."""
    return Problem(problem.points @ basis, problem.pairs, problem.labels, problem.weights @ basis)
