"""Losses that need no training: those of the best denoisers there are, where the images' distribution is known.

Of a noisy image x_t = a x + s z no denoiser has less squared error than the one that predicts the
field of the posterior means x̂ = E[x | x_t] and ẑ = E[z | x_t] = (x_t - a x̂) / s. Three of them, by
the distribution that x is taken to have:

- ``gaussian``, N(m, C) of all training images: x̂ = m + a C (a² C + s² I)⁻¹ (x_t - a m), the Wiener
  filter. It is linear in x_t, the best linear denoiser of any images with that mean and covariance.
- ``gaussian_mixture``, N(m_c, C_c) of each class: the Wiener filter of the image's class.
- ``empirical``, the N images that a run is trained on: x̂ = Σ_i w_i x_i over the images of the class,
  w_i ∝ exp(-|x_t - a x_i|² / 2 s²) (Karras et al. 2022, arXiv 2206.00364, appendix B.3). The loss on
  them cannot be less; a network that reaches it has memorised.

The mixture and the empirical denoiser are shown labels as the network is. Without labels, or where
no training image has the label, they are the posterior means over all classes: of the mixture, those
that the test images are of, in their proportions.

Off the training set the loss of ``empirical`` grows as 1 / s² where the noise vanishes. Over all
times of a rectified flow its expectation is then infinite and its mean tells little; at each noise
level it is sound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..data.images import ImageSet, read_images, to_network
from ..data.surrogates import Gaussian, fit_class, fit_gaussian
from ..diffusion.denoiser import Denoiser
from ..diffusion.formulation import Formulation, Process, build_formulation
from ..study.training_sets import TrainingSet
from ..tables.contracts.sweep import axis_columns
from ..tables.parquet import write_table
from ..training.evaluation import NoisyImages, items_of
from .collect import by_noise_level, mean_losses

# Noisy images a pass: a block of 512 rows by the training set fits into memory.
CHUNK = 512
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


@dataclass(frozen=True)
class _Baseline:
    """The denoiser that is best under one distribution."""

    estimator: str
    posterior: Posterior


def write_baselines(settings: Mapping[str, Any], images: Path, surrogates: Path, output: Path) -> None:
    """Write the table ``baselines`` of a study.

    Args:
        settings: ``training_sets``, each a size and a subset; ``formulations``, each the config's section with
            ``values`` of the axes that lead to it, by column; ``confidence``; of ``evaluation`` ``images``,
            ``surrogates`` and ``noise_levels``; ``axes``, of the formulation, as in the settings of ``train``.
        images: the prepared image table.
        surrogates: the table of surrogates.
        output: receives the table.

    Raises:
        UserError: as `images.read_images`, `ImageSet.check_training_sets` and `surrogate.fit_class`.
    """
    data = read_images(images, surrogates)
    sets = [TrainingSet(*each) for each in settings["training_sets"]]
    data.check_training_sets(sets)
    of_surrogates = [_Baseline(name, _of_surrogate(data, name)) for name in settings["surrogates"]]
    parts = []
    for section in settings["formulations"]:
        values = section.get("values", {})
        formulation = build_formulation({key: section[key] for key in section if key != "values"}, data.classes)
        parts += [part.assign(**values) for part in _of_formulation(data, formulation, sets, of_surrogates, settings)]
    table = pd.concat(parts, ignore_index=True).astype({"train_size": "Int64", "subset": "Int64"})
    write_table(output, "baselines", table, {"data_hash": data.data_hash}, extra=axis_columns(settings.get("axes", ())))


def _of_formulation(
    data: ImageSet,
    formulation: Formulation,
    sets: Sequence[TrainingSet],
    of_surrogates: Sequence[_Baseline],
    settings: Mapping[str, Any],
) -> Iterator[pd.DataFrame]:
    """The rows of one formulation: on the splits that all runs share, and of each training set."""
    splits = {"test": data.test, **data.surrogates}
    items = items_of(data.train, splits, settings["images"], formulation)
    del items["train"]
    for baseline in of_surrogates:
        yield _losses(formulation, baseline, items, settings).assign(train_size=None, subset=None)
    for each in sets:
        train = data.training_set(each)
        own = items_of(train, splits, settings["images"], formulation)
        points = to_network(train.images).double().flatten(1)
        memory = _Baseline("empirical", empirical(points, torch.from_numpy(train.labels)))
        of = {"train_size": each.size, "subset": each.subset}
        yield _losses(formulation, memory, own, settings).assign(**of)
        for baseline in of_surrogates:
            yield _losses(formulation, baseline, {"train": own["train"]}, settings).assign(**of)


def _of_surrogate(data: ImageSet, name: str) -> Posterior:
    """The denoiser that is best on a surrogate."""
    if name == "gaussian":
        return wiener(fit_gaussian(data.train.images))
    labels, counts = np.unique(data.test.labels, return_counts=True)
    components = {int(label): fit_class(data, label) for label in labels}
    return mixture(components, dict(zip(components, counts / counts.sum(), strict=True)))


def _losses(
    formulation: Formulation, baseline: _Baseline, items: Mapping[str, NoisyImages], settings: Mapping[str, Any]
) -> pd.DataFrame:
    """Rows of ``baselines``: the loss on each split, over all times and by noise level."""
    network = denoiser(formulation.process, baseline.posterior)
    losses = pd.concat([item_losses(formulation, network, part).assign(split=name) for name, part in items.items()])
    bins = by_noise_level(losses, settings["noise_levels"])
    confidence = settings["confidence"]
    means = [
        mean_losses(losses, ["split"], confidence).assign(noise_level=np.nan),
        mean_losses(bins, ["split", "noise_level"], confidence),
    ]
    return pd.concat(means).assign(estimator=baseline.estimator)


def item_losses(formulation: Formulation, network: Denoiser, items: NoisyImages) -> pd.DataFrame:
    """The loss of each item, computed in float64, as rows of the table ``losses`` without run, step and split."""
    columns = (items.clean.double(), items.noise.double(), items.time.double(), items.label)
    chunks = zip(*(column.split(CHUNK) for column in columns), strict=True)
    losses = torch.cat([formulation.loss(network, *chunk) for chunk in chunks]).numpy()
    index = items.index.numpy()
    return pd.DataFrame({"item": np.arange(len(index)), "index": index, "time": items.time.numpy(), "loss": losses})
