"""Projected online SGD of a single denoising unit, for many replicas and dimensions at once.

The unit D(x_t) = w σ(⟨w, x_t⟩) with tied weights lives on the sphere ‖w‖ = 1. Every step sees one
fresh pattern x of the mixed cumulant model, noised to x_t = √(1 - s²) x + s ξ, and takes one step
of size η down the gradient of ½‖x - D(x_t)‖², projected to the sphere's tangent, and back to the sphere:

    w ← (w + η P_w(σ(h) x + σ'(h) (g - σ(h)) x_t)) / ‖·‖,    h = ⟨w, x_t⟩,  g = ⟨w, x⟩,  P_w = I - w wᵀ.

Nothing here costs more in more dimensions. The patterns are isotropic outside of the plane of u and
v, so a step's effect on the overlaps (α, β) = (⟨w, u⟩, ⟨w, v⟩) depends on x and ξ only through their
coordinates along u, v and the rest of w, ω = w - αu - βv, and through the length of what remains of
σ x + σ' (g - σ) x_t in the d - 3 dimensions beyond, which is √(σ² + 2rσσ'(g - σ) + (σ' (g - σ))²)
(r = √(1 - s²)) times the square root of a χ² variable of d - 3 degrees of freedom. Drawing these is
the same process as drawing vectors, exactly and not in a limit.

The numbers of a step are a function of (seed, dimension, block of steps): a replica's path is the
same in whatever company it is simulated, and wherever it was interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...data.randomness import generator
from .activations import ACTIVATIONS
from .model import MixedCumulantModel

BLOCK = 256
"""Steps whose random numbers are drawn together."""

FEWEST_DIMENSIONS = 4
"""u, v, the rest of w, and one dimension beyond them."""


@dataclass(frozen=True)
class Unit:
    """The single unit, and how it learns.

    Attributes:
        activation: name of σ in `ACTIVATIONS`.
        noise_levels: the values of s, each in (0, 1); every step draws one of them.
        step_size, step_power: the step is η = step_size / d ** step_power.
    """

    activation: str
    noise_levels: tuple[float, ...]
    step_size: float
    step_power: float

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Unit:
        """A unit from its settings, in which the noise levels are a list."""
        return cls(**{**settings, "noise_levels": tuple(settings["noise_levels"])})


@dataclass(frozen=True)
class Draws:
    """What some steps see of their patterns; replicas are the last axis, steps the first.

    Attributes:
        seen: coordinates of x (first) and of x_t (second) along u, v and the rest of w, shape (steps, 2, 3, replicas).
        beyond: squared length of x in the other d - 3 dimensions, of the same law as that of ξ, (steps, replicas).
        signal: r = √(1 - s²), shape (steps, replicas).
    """

    seen: Tensor
    beyond: Tensor
    signal: Tensor


class Learner:
    """Replicas of the unit, in one or several dimensions.

    Attributes:
        step: steps taken, a multiple of `BLOCK`.
        state: α, β and ‖ω‖ of each replica, shape (3, dimensions · replicas), the replicas of one
            dimension side by side.
    """

    def __init__(
        self,
        model: MixedCumulantModel,
        unit: Unit,
        dimensions: Sequence[int],
        replicas: int,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        """Place every replica at random on its sphere.

        Args:
            model: where the patterns come from.
            unit: what learns.
            dimensions: values of d, each at least `FEWEST_DIMENSIONS`.
            replicas: replicas per dimension.
            seed: of everything that is drawn.
            device: where to compute; random numbers are always drawn on the CPU.
        """
        self.model, self.unit = model, unit
        self.dimensions, self.replicas, self.seed = tuple(dimensions), replicas, seed
        self.device = device
        self.step = 0
        sizes = [unit.step_size / d**unit.step_power for d in dimensions]
        self.step_size = torch.tensor(sizes).repeat_interleave(replicas).to(device)
        self.state = torch.cat([self._start(d) for d in dimensions], dim=-1).to(device)

    def _start(self, dimension: int) -> Tensor:
        """A uniform place on the sphere, as α, β and ‖ω‖."""
        source = generator(self.seed, "mixed cumulant start", dimension)
        plane = torch.randn((2, self.replicas), generator=source)
        rest = _chi_squared(dimension - 2, (1, self.replicas), source).sqrt()
        start = torch.cat([plane, rest])
        return start / start.square().sum(0).sqrt()

    def draws(self, dimension: int, block: int) -> Draws:
        """What one dimension's replicas see in the steps of one block."""
        source = generator(self.seed, "mixed cumulant steps", dimension, block)
        shape = (BLOCK, self.replicas)
        latents = self.model.latents(shape, source)
        normal = torch.randn((2, 3, *shape), generator=source)
        levels = torch.tensor(self.unit.noise_levels)
        level = levels[torch.randint(len(levels), shape, generator=source)]
        signal = (1 - level.square()).sqrt()
        clean = torch.cat([self.model.plane(latents, normal[0, :2]), normal[0, 2:]])
        noisy = signal * clean + level * normal[1]
        beyond = _chi_squared(dimension - 3, shape, source)
        return Draws(torch.stack([clean, noisy]).permute(2, 0, 1, 3).contiguous(), beyond, signal)

    def advance(self) -> Tensor:
        """Take the steps of one block.

        Returns:
            α and β after each step, shape (`BLOCK`, 2, dimensions · replicas).
        """
        block = self.step // BLOCK
        parts = [self.draws(dimension, block) for dimension in self.dimensions]
        seen, beyond, signal = (
            torch.cat(columns, dim=-1).to(self.device)
            for columns in zip(*((part.seen, part.beyond, part.signal) for part in parts), strict=True)
        )
        path = torch.empty((BLOCK, *self.state.shape), device=self.device)
        for step, columns in enumerate(zip(seen, beyond, signal, strict=True)):
            self.state = sgd_step(self.state, *columns, self.step_size, self.unit.activation)
            path[step] = self.state
        self.step += BLOCK
        return path[:, :2]


def sgd_step(state: Tensor, seen: Tensor, beyond: Tensor, signal: Tensor, step_size: Tensor, activation: str) -> Tensor:
    """One step of projected SGD in the coordinates that matter.

    Args:
        state: α, β, ‖ω‖, shape (3, replicas), of unit length.
        seen, beyond, signal: one step of `Draws`, without the axis of steps.
        step_size: η, shape (replicas,).
        activation: name of σ.

    Returns:
        The new state, of unit length.
    """
    along, noisy_along = (state * seen).sum(1)
    value, slope = ACTIVATIONS[activation].both(noisy_along)
    pull = slope * (along - value)
    # The new direction is w (1 - η⟨w, δ⟩) + ηδ with δ = σ x + σ' (g - σ) x_t.
    kept = 1 - step_size * (value * along + pull * noisy_along)
    moved = state * kept + step_size * (value * seen[0] + pull * seen[1])
    length = (value.square() + (2 * signal * value + pull) * pull) * beyond * step_size.square()
    moved[2] = (moved[2].square() + length).sqrt()
    return moved / moved.square().sum(0).sqrt()


def _chi_squared(freedom: int, shape: tuple[int, ...], source: torch.Generator) -> Tensor:
    """χ² variables, float32; the seed is drawn from ``source``."""
    seed = int(torch.randint(2**62, (1,), generator=source))
    draws = np.random.default_rng(seed).standard_gamma(freedom / 2, shape, dtype=np.float32)
    return torch.from_numpy(2 * draws)
