"""Denoisers in closed form, by brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers.gaussians import gaussian
from memsweep.closed_form.posterior_means import empirical, mixture, wiener
from scipy import integrate, stats


def noisy(count: int, dimension: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Noisy images with their shares of image and noise."""
    source = np.random.default_rng(seed)
    time = source.uniform(0.05, 0.95, (count, 1))
    return tuple(map(torch.tensor, (source.normal(size=(count, dimension)), 1 - time, time)))


LABELS = torch.tensor([0, 1, 0, 1, 2, 2, 7, 0])


@pytest.mark.parametrize("rank", [3, 2])
def test_the_wiener_filter_is_the_conditional_mean_of_the_joint_gaussian(rank: int) -> None:
    given, (x, a, s) = gaussian(0, rank=rank), noisy(8, 3)
    covariance = (given.axes * given.variances @ given.axes.T).numpy()
    mean = given.mean.numpy()
    found = wiener(given)(x, a, s, LABELS).numpy()
    for row in range(8):
        signal, sigma = float(a[row]), float(s[row])
        of_noisy = signal**2 * covariance + sigma**2 * np.eye(3)
        gain = signal * covariance @ np.linalg.inv(of_noisy)
        np.testing.assert_allclose(found[row], mean + gain @ (x[row].numpy() - signal * mean), rtol=1e-10)


def test_the_mixture_is_the_integral_of_bayes_in_one_dimension() -> None:
    components = {0: gaussian(1, 1, 1), 1: gaussian(2, 1, 1)}
    weights = {0: 0.3, 1: 0.7}
    (x, a, s) = noisy(8, 1)
    found = mixture(components, weights)(x, a, s, LABELS).numpy()

    def normal(label: int) -> Any:
        return stats.norm(float(components[label].mean), float(components[label].variances) ** 0.5)

    value = np.linspace(-20, 20, 40_001)
    for row, label in enumerate(LABELS.tolist()):
        shown = {label: 1.0} if label in components else weights

        prior = sum(weight * normal(one).pdf(value) for one, weight in shown.items())
        joint = prior * stats.norm(float(a[row]) * value, float(s[row])).pdf(float(x[row]))
        mean = integrate.trapezoid(value * joint, value) / integrate.trapezoid(joint, value)
        assert found[row, 0] == pytest.approx(mean, abs=1e-9)


def test_a_mixture_weighs_components_by_their_densities_in_any_dimension() -> None:
    components = {label: gaussian(label, 4, 2 + label) for label in range(3)}
    weights = {0: 0.2, 1: 0.3, 2: 0.5}
    x, a, s = noisy(8, 4)
    null = torch.full((8,), 9)
    found = mixture(components, weights)(x, a, s, null).numpy()
    for row in range(8):
        signal, sigma = float(a[row]), float(s[row])
        parts, density = [], []
        for label, one in components.items():
            of_noisy = signal**2 * (one.axes * one.variances @ one.axes.T).numpy() + sigma**2 * np.eye(4)
            law = stats.multivariate_normal(signal * one.mean.numpy(), of_noisy)
            density.append(weights[label] * law.pdf(x[row].numpy()))
            parts.append(wiener(one)(x[row : row + 1], a[row : row + 1], s[row : row + 1], null)[0].numpy())
        np.testing.assert_allclose(found[row], np.average(parts, axis=0, weights=density), rtol=1e-8)


def test_the_empirical_posterior_mean_by_brute_force() -> None:
    source = np.random.default_rng(3)
    images, labels = source.normal(size=(10, 4)), np.array([0, 0, 0, 1, 1, 1, 1, 2, 2, 0])
    x, a, s = noisy(8, 4)
    found = empirical(torch.tensor(images), torch.tensor(labels))(x, a, s, LABELS).numpy()
    for row, label in enumerate(LABELS.tolist()):
        known = images[labels == label] if label < 3 else images
        weight = np.exp(-((x[row].numpy() - float(a[row]) * known) ** 2).sum(axis=1) / (2 * float(s[row]) ** 2))
        np.testing.assert_allclose(found[row], np.average(known, axis=0, weights=weight), rtol=1e-9)
