"""Gaussians with random means and covariances."""

from __future__ import annotations

import numpy as np
import torch
from memsweep.data.surrogates import Gaussian


def gaussian(seed: int, dimension: int = 3, rank: int = 3) -> Gaussian:
    source = np.random.default_rng(seed)
    root = source.normal(size=(dimension, rank))
    variances, axes = np.linalg.eigh(root @ root.T)
    variances[: dimension - rank] = 0
    return Gaussian(*map(torch.tensor, (source.normal(size=dimension), variances, axes)))
