"""Denoising diffusion: a Markov chain that turns images into noise, and the prediction of that noise.

Ho, Jain & Abbeel 2020 (arXiv 2006.11239) with the 1000 steps and linear β of that paper, which
Gu et al. 2023 and Bonnaire et al. 2025 keep: x_t = √ᾱ_t x + √(1 - ᾱ_t) z for z ~ N(0, I) and
t = 0 ... 1000, where ᾱ_t = Π_{s ≤ t} (1 - β_s), so t = 0 is the clean image; the network learns
the noise z. Sampling is the deterministic DDIM of Song, Meng & Ermon 2021 (arXiv 2010.02502).
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from .denoiser import Denoiser

STEPS = 1000
FIRST_BETA, LAST_BETA = 1e-4, 0.02


@functools.cache
def scales(device: torch.device) -> tuple[Tensor, Tensor]:
    """√ᾱ_t and √(1 - ᾱ_t), the shares of image and noise, for t = 0 ... STEPS; each (STEPS + 1,) float32."""
    beta = torch.linspace(FIRST_BETA, LAST_BETA, STEPS, dtype=torch.float64)
    kept = torch.cat([torch.ones(1, dtype=torch.float64), (1 - beta).cumprod(0)])
    return kept.sqrt().float().to(device), (1 - kept).sqrt().float().to(device)


def step_of(time: Tensor) -> Tensor:
    """Times in [0, 1] as steps t = 1 ... STEPS of the chain, int64: equal intervals of time, one per step.

    A uniform time is a uniform step; the network is given t / STEPS, the end of the interval.
    """
    # A time just below 1 may be rounded to 1
    return (time * STEPS).long().clamp(max=STEPS - 1) + 1


@dataclass(frozen=True)
class DDPM:
    """Noise prediction, and DDIM steps with η = 0.

    Attributes:
        sampling_steps: number S of DDIM steps, at most ``STEPS``. They visit the steps
            ⌊k · STEPS / S⌋ for k = S ... 0: equally spaced, from pure noise to the clean image.
    """

    sampling_steps: int

    def loss(self, network: Denoiser, clean: Tensor, noise: Tensor, time: Tensor, label: Tensor) -> Tensor:
        """Mean squared error per pixel of the noise (L_simple of Ho et al.); see `formulation.Process.loss`."""
        step = step_of(time)
        signal, sigma = (scale[step][:, None, None, None] for scale in scales(clean.device))
        error = network(signal * clean + sigma * noise, step / STEPS, label) - self.field(clean, noise)
        return error.square().flatten(1).mean(dim=1)

    def shares(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """√ᾱ_t and √(1 - ᾱ_t); see `formulation.Process.shares`."""
        step = (time * STEPS).round().long()
        signal, sigma = scales(time.device)
        return signal[step], sigma[step]

    def field(self, clean: Tensor, noise: Tensor) -> Tensor:
        """The noise; see `formulation.Process.field`."""
        return noise

    def sample(self, network: Denoiser, latents: Tensor, label: Tensor) -> Tensor:
        """Images by eq. 12 of Song et al. with σ = 0, nothing clipped; see `formulation.Process.sample`."""
        signal, sigma = (scale.tolist() for scale in scales(torch.device("cpu")))
        steps = [k * STEPS // self.sampling_steps for k in range(self.sampling_steps, -1, -1)]
        x = latents
        for step, following in itertools.pairwise(steps):
            noise = network(x, torch.full((len(x),), step / STEPS, device=x.device), label)
            clean = (x - sigma[step] * noise) / signal[step]
            x = signal[following] * clean + sigma[following] * noise
        return x
