from __future__ import annotations

import torch
from memsweep.flow import sample, squared_error
from torch import Tensor

MEAN, STD = 0.4, 0.3


def gaussian_velocity(x: Tensor, time: Tensor, label: Tensor) -> Tensor:
    """E[z - x_0 | x_t = x] for images whose pixels are independent N(MEAN, STD²)."""
    t = time[:, None, None, None]
    variance = (1 - t) ** 2 * STD**2 + t**2
    residual = (x - (1 - t) * MEAN) / variance
    noise, clean = t * residual, MEAN + (1 - t) * STD**2 * residual
    return noise - clean


def test_the_loss_is_the_mean_square_of_the_velocity_error() -> None:
    torch.manual_seed(0)
    clean, noise = torch.randn(5, 3, 4, 4), torch.randn(5, 3, 4, 4)
    time, label = torch.rand(5), torch.arange(5)

    def network(x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return x * t[:, None, None, None] + y[:, None, None, None]

    losses = squared_error(network, clean, noise, time, label)
    for i in range(5):
        noisy = (1 - time[i]) * clean[i] + time[i] * noise[i]
        expected = ((noisy * time[i] + label[i] - (noise[i] - clean[i])) ** 2).mean()
        torch.testing.assert_close(losses[i], expected)


def test_the_exact_velocity_of_a_gaussian_turns_noise_into_that_gaussian() -> None:
    latents = torch.randn(2000, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    images = sample(gaussian_velocity, latents, torch.zeros(2000, dtype=torch.long), 200)
    assert abs(images.mean().item() - MEAN) < 0.01
    assert abs(images.std().item() - STD) < 0.01


def test_the_exact_velocity_has_the_least_loss() -> None:
    source = torch.Generator().manual_seed(1)
    clean = MEAN + STD * torch.randn(4000, 1, 2, 2, generator=source)
    noise, time = torch.randn(clean.shape, generator=source), torch.rand(4000, generator=source)
    label = torch.zeros(4000, dtype=torch.long)
    best = squared_error(gaussian_velocity, clean, noise, time, label).mean()
    for shift in (-0.1, 0.1):
        worse = squared_error(lambda x, t, y, s=shift: gaussian_velocity(x, t, y) + s, clean, noise, time, label)
        assert worse.mean() > best
