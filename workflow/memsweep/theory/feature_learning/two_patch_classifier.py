"""The two-layer classifier with quadratic activation, shared over the patches.

F_j(x) = m⁻¹ Σ_r Σ_p ⟨w_{j,r}, x⁽ᵖ⁾⟩² for the classes j = ±1, the second layer fixed at ±1, and the
logistic loss log(1 + exp(-y (F₊ - F₋))) (Han et al. 2025, arXiv 2412.01021). The weights of both
classes are stacked: the first m rows are those of class +1.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .two_patch import Problem


def scores(weights: Tensor, x: Tensor) -> Tensor:
    """F₊ - F₋ of each patch on its own, (..., patches), for weights (..., 2 m, d) and x (..., patches, d)."""
    squares = (x @ weights.transpose(-1, -2)).square()
    positive, negative = squares.chunk(2, dim=-1)
    return positive.mean(dim=-1) - negative.mean(dim=-1)


def margins(weights: Tensor, problem: Problem) -> Tensor:
    """y (F₊ - F₋) of each sample, (problems, samples)."""
    return problem.labels * scores(weights, problem.points)[:, problem.pairs].sum(dim=-1)


def logistic_loss(weights: Tensor, problem: Problem) -> Tensor:
    """The mean logistic loss of each training set, (problems,); log 2 for weights of zero."""
    return F.softplus(-margins(weights, problem)).mean(dim=1)


def own_class(rows: int, of_points: Tensor) -> Tensor:
    """Which weight belongs to the class of which point, (rows, points), bool.

    Args:
        rows: 2 m.
        of_points: class of each point, ±1, (points,).
    """
    of_rows = torch.ones(rows, dtype=of_points.dtype)
    of_rows[rows // 2 :] = -1
    return of_rows[:, None] == of_points[None, :]
