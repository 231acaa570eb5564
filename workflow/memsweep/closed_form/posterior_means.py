"""The best denoisers there are, in closed form, where the images' distribution is known.

Of a noisy image x_t = a x + s z no denoiser has less squared error than the one that predicts the
field of the posterior means x̂ = E[x | x_t] and ẑ = E[z | x_t] = (x_t - a x̂) / s. Three of them, by
the distribution that x is taken to have:

- ``gaussian``, N(m, C) of all training images: x̂ = m + a C (a² C + s² I)⁻¹ (x_t - a m), the Wiener
  filter. It is linear in x_t, the best linear denoiser of any images with that mean and covariance.
- ``gaussian_mixture``, N(m_c, C_c) of each class: the Wiener filter of the image's class.
- ``empirical``, the N images that a run is trained on: x̂ = Σ_i w_i x_i over the images of the class,
  w_i ∝ exp(-|x_t - a x_i|² / 2 s²) (Karras et al. 2022, arXiv 2206.00364, appendix B.3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ..data.surrogates import Gaussian
from ..diffusion.denoiser import Denoiser
from ..diffusion.formulation import Process

# Times may be 0, where ẑ is 0 / 0.
LEAST_SIGMA = 1e-9

Posterior = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""x̂ (n, d) of noisy images (n, d), their shares a and s of image and noise (n, 1), and labels (n,); float64."""


def denoiser(process: Process, posterior: Posterior) -> Denoiser:
    """The network-shaped function that predicts the field of these posterior means."""

    def network(x: Tensor, time: Tensor, label: Tensor, /) -> Tensor:
        signal, sigma = (share.double()[:, None] for share in process.shares(time))
        sigma = sigma.clamp(min=LEAST_SIGMA)
        noisy = x.flatten(1)
        clean = posterior(noisy, signal, sigma, label)
        return process.field(clean, (noisy - signal * clean) / sigma).reshape(x.shape)

    return network


def wiener(gaussian: Gaussian) -> Posterior:
    """The posterior mean under one Gaussian, whatever the label."""

    def posterior(noisy: Tensor, signal: Tensor, sigma: Tensor, label: Tensor) -> Tensor:
        return _filter(gaussian, noisy, signal, sigma)[0]

    return posterior


def _filter(gaussian: Gaussian, noisy: Tensor, signal: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """x̂ (n, d) under a Gaussian, and the log density (n,) of x_t less a constant that all Gaussians share."""
    parts = (noisy - signal * gaussian.mean) @ gaussian.axes
    variances = (signal.square() * gaussian.variances).add_(sigma.square())
    log_density = -(parts.square() / variances + variances.log()).sum(dim=1) / 2
    parts.mul_(signal * gaussian.variances).div_(variances)
    return gaussian.mean + parts @ gaussian.axes.T, log_density


def mixture(components: Mapping[int, Gaussian], weights: Mapping[int, float]) -> Posterior:
    """The posterior mean under the Gaussian of the label or, for any other label, under their mixture.

    Args:
        components: by label.
        weights: the share of each label, positive.
    """

    def over_all(noisy: Tensor, signal: Tensor, sigma: Tensor) -> Tensor:
        found = [_filter(gaussian, noisy, signal, sigma) for gaussian in components.values()]
        share = torch.tensor([weights[label] for label in components], dtype=torch.float64).log()
        responsibility = torch.stack([log_density for _, log_density in found], dim=1).add_(share).softmax(dim=1)
        return sum((r[:, None] * clean for r, (clean, _) in zip(responsibility.T, found, strict=True)), noisy * 0)

    def posterior(noisy: Tensor, signal: Tensor, sigma: Tensor, label: Tensor) -> Tensor:
        clean = torch.empty_like(noisy)
        for one in label.unique().tolist():
            rows = label == one
            given = noisy[rows], signal[rows], sigma[rows]
            clean[rows] = _filter(components[one], *given)[0] if one in components else over_all(*given)
        return clean

    return posterior


def empirical(images: Tensor, labels: Tensor) -> Posterior:
    """The posterior mean over the training images of the label or, where there are none, over all of them.

    Args:
        images: (N, d) float64. labels: (N,).
    """
    squares = images.square().sum(dim=1)

    def posterior(noisy: Tensor, signal: Tensor, sigma: Tensor, label: Tensor) -> Tensor:
        clean = torch.empty_like(noisy)
        for one in label.unique():
            rows, of_label = label == one, labels == one
            known = of_label if of_label.any() else torch.ones_like(of_label)
            a, s = signal[rows], sigma[rows]
            # -|x_t - a x_i|² / 2 s² without |x_t|², which all i share
            log_weight = (a * (noisy[rows] @ images[known].T) - a.square() * squares[known] / 2) / s.square()
            clean[rows] = log_weight.softmax(dim=1) @ images[known]
        return clean

    return posterior
