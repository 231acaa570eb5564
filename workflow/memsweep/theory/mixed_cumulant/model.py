"""The mixed cumulant model: a direction seen in the covariance, and one seen first in the fourth cumulant.

    x = √β_u λ u + S (√β_v ν v + z),    S = I - β_v / (1 + β_v + √(1 + β_v)) v vᵀ

with unit vectors u ⟂ v, z ~ N(0, I_d), λ ~ N(0, 1) and ν = ±1 (Bardone, Merger & Goldt 2026,
arXiv 2603.12901; Bardone & Goldt 2024, arXiv 2404.08602). S divides the direction v by √(1 + β_v):
the variance along v is 1, as along every direction without a spike, while that along u is 1 + β_u.

The latents may be correlated: given λ, ν = sign λ with probability (1 + q) / 2, and -sign λ
otherwise. q = E[ν sign λ] is 0 for independent latents and 1 for ν = sign λ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from numpy.polynomial.hermite_e import hermeval
from torch import Tensor

# E|λ| of a standard normal λ
MEAN_ABSOLUTE = math.sqrt(2 / math.pi)


@dataclass(frozen=True)
class MixedCumulantModel:
    """The distribution of x; everything about it that is not N(0, 1) happens in the plane of u and v.

    Attributes:
        beta_u: strength of the spike in the covariance, at least 0.
        beta_v: strength of the spike in the fourth cumulant, at least 0.
        correlation: q = E[ν sign λ], between -1 and 1.
    """

    beta_u: float
    beta_v: float
    correlation: float = 0.0

    @property
    def spikes(self) -> list[str]:
        """The spikes of a strength above 0, of ``u`` and ``v``."""
        return [name for name, strength in (("u", self.beta_u), ("v", self.beta_v)) if strength > 0]

    @property
    def latent_correlation(self) -> float:
        """E[λν] = q √(2/π)."""
        return self.correlation * MEAN_ABSOLUTE

    @property
    def share_v(self) -> float:
        """√(β_v / (1 + β_v)), the factor of ν in ⟨v, x⟩."""
        return math.sqrt(self.beta_v / (1 + self.beta_v))

    def latents(self, shape: tuple[int, ...], source: torch.Generator) -> Tensor:
        """Draws of λ and ν, shape (2, \\*shape), float32."""
        latent = torch.randn(shape, generator=source)
        agree = torch.rand(shape, generator=source) < (1 + self.correlation) / 2
        sign = torch.where((latent >= 0) == agree, 1.0, -1.0)
        return torch.stack([latent, sign])

    def gaussian_latents(self, latents: Tensor, source: torch.Generator) -> Tensor:
        """Latents of the Gaussian surrogate: the same λ, and a Gaussian ν with the same variance and E[λν].

        x made of these is Gaussian with exactly the mean and the covariance of the model. As λ
        is kept, a pattern and its surrogate made with the same z differ along v alone.

        Args:
            latents: as `latents` returns them.
            source: of the new draws.
        """
        rho = self.latent_correlation
        fresh = torch.randn(latents[0].shape, generator=source)
        return torch.stack([latents[0], rho * latents[0] + math.sqrt(1 - rho**2) * fresh])

    def plane(self, latents: Tensor, noise: Tensor) -> Tensor:
        """(⟨u, x⟩, ⟨v, x⟩) from latents and (⟨u, z⟩, ⟨v, z⟩), all of shape (2, ...)."""
        return torch.stack(
            [
                math.sqrt(self.beta_u) * latents[0] + noise[0],
                (math.sqrt(self.beta_v) * latents[1] + noise[1]) / math.sqrt(1 + self.beta_v),
            ]
        )

    def patterns(self, latents: Tensor, noise: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """The patterns x.

        Args:
            latents: λ and ν, shape (2, ...).
            noise: z, shape (..., d).
            u, v: orthonormal, shape (d,), or any that broadcasts with ``noise``.

        Returns:
            Shape (..., d).
        """
        along_u, along_v = (noise * u).sum(-1), (noise * v).sum(-1)
        plane = self.plane(latents, torch.stack([along_u, along_v]))
        return noise + (plane[0] - along_u)[..., None] * u + (plane[1] - along_v)[..., None] * v

    def covariance(self) -> list[list[float]]:
        """Covariance of (⟨u, x⟩, ⟨v, x⟩); outside of their plane it is the identity."""
        across = self.cumulant(1, 1)
        return [[self.cumulant(2, 0), across], [across, self.cumulant(0, 2)]]

    def cumulant(self, order_u: int, order_v: int) -> float:
        """The joint cumulant of ⟨u, x⟩, ``order_u`` times, and ⟨v, x⟩, ``order_v`` times.

        Any cumulant of x that involves another direction is that of N(0, I). Odd orders vanish, as
        -x has the law of x. With m = E[λν] = q √(2/π) and E[λ³ν] = 2m the joint cumulants of
        (λ, ν) are κ₁₁ = m, κ₃₁ = 2m - 3m, κ₂₂ = 1 - 1 - 2m², κ₁₃ = m - 3m and κ₀₄ = 1 - 3.

        Raises:
            ValueError: the orders do not add up to 1, 2, 3 or 4.
        """
        if not 1 <= order_u + order_v <= 4 or min(order_u, order_v) < 0:
            raise ValueError(f"cumulant of orders {order_u}, {order_v}; known are those of orders 1 to 4 in all")
        if (order_u, order_v) == (2, 0):
            return 1 + self.beta_u
        if (order_u, order_v) == (0, 2):
            return 1.0
        m = self.latent_correlation
        of_latents = {(1, 1): m, (3, 1): -m, (2, 2): -2 * m**2, (1, 3): -2 * m, (0, 4): -2.0}
        return of_latents.get((order_u, order_v), 0.0) * self.beta_u ** (order_u / 2) * self.share_v**order_v

    def hermite_moment(self, order_u: int, order_v: int) -> float:
        """E[He_j(⟨u, x⟩) He_k(⟨v, x⟩)], He_j being the probabilists' Hermite polynomials.

        As E[He_j(y + z)] = yʲ and E[He_k(ρy + √(1 - ρ²) z)] = ρᵏ He_k(y) for a standard normal z,
        it is √β_uʲ √(β_v / (1 + β_v))ᵏ E[λʲ He_k(ν)], where He_k(-1) = (-1)ᵏ He_k(1).
        """
        if (order_u + order_v) % 2:
            return 0.0
        at_one = float(hermeval(1.0, [0.0] * order_v + [1.0]))
        # E|λ|ʲ = √2ʲ Γ((j + 1) / 2) / √π; an odd j comes with the sign of λ
        absolute = 2 ** (order_u / 2) * math.gamma((order_u + 1) / 2) / math.sqrt(math.pi)
        latents = absolute * at_one * (self.correlation if order_u % 2 else 1.0)
        return float(self.beta_u ** (order_u / 2) * self.share_v**order_v * latents)
