"""The population loss of the single unit as a power series in its overlaps, and the information exponent.

The unit D(x_t) = w σ(⟨w, x_t⟩), ‖w‖ = 1, x_t = √(1 - s²) x + s ξ, ξ ~ N(0, I), has the denoising loss

    ½ E‖x - D(x_t)‖² = ½ E[σ(h)² - 2 σ(h) g] + const,    h = ⟨w, x_t⟩,  g = ⟨w, x⟩,

an average of a function ℓ(g) of the projection g alone. Where no spike is seen, g ~ N(0, 1) and
(g, h) are jointly Gaussian with correlation r = √(1 - s²), so that the Hermite coefficients of ℓ,

    c_k = E[ℓ(g) He_k(g)] = ½ rᵏ b_k - rᵏ⁺¹ a_{k+1} - k rᵏ⁻¹ a_{k-1},

follow from a_k = E[σ(h) He_k(h)] and b_k = E[σ(h)² He_k(h)] over a standard normal h (Mehler's
formula, and g He_k = He_{k+1} + k He_{k-1}). With overlaps α = ⟨w, u⟩ and β = ⟨w, v⟩ the addition
theorem of the Hermite polynomials gives

    loss(α, β) - loss(0, 0) = Σ_{(j, k) ≠ 0} c_{j+k} / (j! k!) E[He_j(⟨u, x⟩) He_k(⟨v, x⟩)] αʲ βᵏ.

The diffusion information exponent of a spike is the order of the first term that does not vanish
(Bardone, Merger & Goldt 2026, arXiv 2603.12901): online SGD needs some d^max(1, order - 1) samples
(Ben Arous, Gheissari & Jagannath 2021, arXiv 2003.10409).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.polynomial.hermite_e import hermeval
from numpy.polynomial.legendre import leggauss
from numpy.typing import ArrayLike, NDArray

from .activations import ACTIVATIONS, Activation
from .model import MixedCumulantModel

Array = NDArray[np.float64]

# The Gaussian weight is below 1e-31 beyond this, times any polynomial that is used here.
EDGE = 14.0
# Gauss-Legendre nodes between two kinks: more than a smooth activation needs
NODES = 400
# A coefficient below this share of the largest is rounding.
VANISHING = 1e-9

HIGHEST_ORDER = 6
"""Order up to which the loss is expanded where no other is given."""

OTHER = {"u": "v", "v": "u"}


@dataclass(frozen=True)
class Term:
    """One term of the population loss.

    Attributes:
        order_u, order_v: j and k.
        coefficient: what stands before αʲ βᵏ.
    """

    order_u: int
    order_v: int
    coefficient: float

    def order(self, spike: str) -> int:
        """Its order in the overlap with ``u`` or ``v``."""
        return self.order_u if spike == "u" else self.order_v

    def lowers(self, spike: str) -> bool:
        """Whether the loss falls as the overlap with this spike grows, or grows with one of the two signs."""
        return self.coefficient < 0 or self.order(spike) % 2 == 1


def gaussian_means(activation: Activation, orders: int) -> tuple[Array, Array]:
    """a_k = E[σ(h) He_k(h)] and b_k = E[σ(h)² He_k(h)] for a standard normal h and k < ``orders``.

    Gauss-Legendre quadrature between the kinks of σ.

    Returns:
        Two arrays of shape (orders,), float64.
    """
    nodes, weights = leggauss(NODES)
    low, high = np.array([-EDGE, *activation.kinks]), np.array([*activation.kinks, EDGE])
    h = ((low + high)[:, None] / 2 + (high - low)[:, None] / 2 * nodes).ravel()
    weight = ((high - low)[:, None] / 2 * weights).ravel()
    density = weight * np.exp(-(h**2) / 2) / math.sqrt(2 * math.pi)
    value = activation.both(torch.from_numpy(h))[0].numpy()
    polynomials = np.stack([hermeval(h, [0.0] * k + [1.0]) for k in range(orders)])
    return polynomials @ (density * value), polynomials @ (density * value**2)


def coefficients(activation: str, noise_levels: Sequence[float], orders: int) -> Array:
    """The Hermite coefficients c_k of ℓ for k < ``orders``, averaged over the noise levels s; shape (orders,)."""
    a, b = gaussian_means(ACTIVATIONS[activation], orders + 1)
    k = np.arange(orders)
    below = np.concatenate([[0.0], a[: orders - 1]])
    return np.mean([_at_level(math.sqrt(1 - s**2), k, a[1:], below, b[:-1]) for s in noise_levels], axis=0)


def _at_level(r: float, k: NDArray[np.int_], above: Array, below: Array, squares: Array) -> Array:
    return 0.5 * r**k * squares - r ** (k + 1) * above - k * r ** np.maximum(k - 1, 0) * below


def expansion(
    model: MixedCumulantModel, activation: str, noise_levels: Sequence[float], order: int = HIGHEST_ORDER
) -> list[Term]:
    """The terms of the population loss up to an order that do not vanish, by order and then by that in u."""
    c = coefficients(activation, noise_levels, order + 1)
    terms = [
        Term(
            j, total - j, c[total] / math.factorial(j) / math.factorial(total - j) * model.hermite_moment(j, total - j)
        )
        for total in range(1, order + 1)
        for j in range(total, -1, -1)
    ]
    largest = max(np.abs(c).max(), *(abs(term.coefficient) for term in terms))
    return [term for term in terms if abs(term.coefficient) > VANISHING * largest]


def leading(terms: Sequence[Term], spike: str, other_learnt: bool = False) -> Term | None:
    """The first term in the overlap with one spike; its order in that spike is the information exponent.

    Args:
        terms: as `expansion` returns them.
        spike: ``u`` or ``v``.
        other_learnt: whether the overlap with the other spike is of order 1, so that terms in
            both count by their order in this one. Otherwise only terms in this one alone do.

    Returns:
        None where no term up to the order of the expansion holds the overlap.
    """
    other = OTHER[spike]
    holding = [term for term in terms if term.order(spike) and (other_learnt or not term.order(other))]
    return min(holding, key=lambda term: (term.order(spike), term.order(other)), default=None)


def sample_exponent(terms: Sequence[Term], spike: str) -> float:
    """The power of d that the samples to learn a spike grow with, up to logarithms: max(1, k* - 1).

    A spike is learnt by itself or, where that needs fewer samples, once the other one is.

    Returns:
        Infinite where the first term does not lower the loss, or there is none.
    """

    def needed(name: str, other_learnt: bool) -> float:
        first = leading(terms, name, other_learnt)
        return max(1.0, first.order(name) - 1) if first is not None and first.lowers(name) else math.inf

    return min(needed(spike, False), max(needed(OTHER[spike], False), needed(spike, True)))


def series(terms: Sequence[Term], u: ArrayLike, v: ArrayLike) -> Array:
    """loss(α, β) - loss(0, 0) from the terms, at overlaps α and β that broadcast."""
    u, v = np.broadcast_arrays(np.asarray(u, np.float64), np.asarray(v, np.float64))
    total = np.zeros(u.shape)
    for term in terms:
        total += term.coefficient * u**term.order_u * v**term.order_v
    return total
