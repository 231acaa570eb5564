"""The two-layer denoiser with tied weights and quadratic activation, and its loss without noise draws.

On each patch x_t = α x + β ε, ε ~ N(0, I), with α = e^{-t} and β = √(1 - e^{-2t}), the network
predicts the noise ε as

    f(x_t) = m^{-1/2} Σ_r ⟨w_r, x_t⟩² w_r

(Han et al. 2025, arXiv 2412.01021). The loss is the mean over samples of half the squared error
summed over both patches. Its expectation over ε is a polynomial: with the projections
h_r = ⟨w_r, x_t⟩ ~ N(a_r, β² G_rr), a_r = α ⟨w_r, x⟩, G = W Wᵀ, the moments of the normal
distribution (Isserlis) give

    E ‖f‖² = m⁻¹ Σ_rs G_rs (q_r q_s + 2 β⁴ G_rs² + 4 β² a_r a_s G_rs),    q_r = a_r² + β² G_rr,
    E ⟨f, ε⟩ = 2 β m^{-1/2} Σ_r a_r G_rr.

So one evaluation is exact and costs less than a single noise draw in many dimensions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .two_patch import Problem


def noise_levels(time: float) -> tuple[float, float]:
    """(α, β) at diffusion time t > 0: α = e^{-t}, β = √(1 - e^{-2t}), the Ornstein-Uhlenbeck process."""
    return math.exp(-time), math.sqrt(-math.expm1(-2 * time))


def predict(weights: Tensor, x: Tensor) -> Tensor:
    """The predicted noise f(x), of the shape of x, (..., patches, d), for weights (..., m, d)."""
    return (x @ weights.transpose(-1, -2)).square() @ weights / math.sqrt(weights.shape[-2])


def denoise(weights: Tensor, x: Tensor, time: float) -> Tensor:
    """The clean patch that the predicted noise implies, (x - β f(x)) / α; shapes as in `predict`."""
    alpha, beta = noise_levels(time)
    return (x - beta * predict(weights, x)) / alpha


def expected_loss(weights: Tensor, problem: Problem, time: float) -> Tensor:
    """The loss averaged over all noise, less d, its value for weights of zero.

    Args:
        weights: (problems, m, coordinates).
        problem: the training sets.
        time: diffusion time t.

    Returns:
        One loss per problem, (problems,): L - d, with d the dimension of a patch.
    """
    alpha, beta = noise_levels(time)
    neurons, shares = weights.shape[-2], problem.shares
    gram = weights @ weights.transpose(1, 2)
    norms = gram.diagonal(dim1=1, dim2=2)
    mean = alpha * weights @ problem.points.transpose(1, 2)
    second = mean.square() + beta**2 * norms[..., None]
    seconds = (second * shares) @ second.transpose(1, 2)
    means = (mean * shares) @ mean.transpose(1, 2)
    squares = gram.square()
    power = gram * (seconds + 2 * beta**4 * shares.sum() * squares) + 4 * beta**2 * means * squares
    overlap = (mean @ shares * norms).sum(dim=1)
    return power.sum(dim=(1, 2)) / (2 * neurons) - 2 * beta / math.sqrt(neurons) * overlap


def sampled_loss(weights: Tensor, problem: Problem, time: float, noise: Tensor) -> Tensor:
    """The same loss, L - d, estimated with given noise; what `expected_loss` is the expectation of.

    Args:
        weights: (problems, m, coordinates).
        problem: the training sets.
        time: diffusion time t.
        noise: standard normal, (draws, problems, points, coordinates).

    Returns:
        (problems,).
    """
    alpha, beta = noise_levels(time)
    error = predict(weights, alpha * problem.points + beta * noise) - noise
    losses = (error.square() - noise.square()).sum(dim=-1) / 2
    return torch.einsum("dbp,p->b", losses, problem.shares) / len(noise)
