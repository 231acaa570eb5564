"""Losses that need no training: those of the best denoisers there are (`closed_form.posterior_means`).

On the N images that a run is trained on, the loss cannot be less than that of ``empirical``, their own posterior mean;
a network that reaches it has memorised.

The mixture and the empirical denoiser are shown labels as the network is. Without labels, or where
no training image has the label, they are the posterior means over all classes: of the mixture, those
that the test images are of, in their proportions.

Off the training set the loss of ``empirical`` grows as 1 / s² where the noise vanishes. Over all
times of a rectified flow its expectation is then infinite and its mean tells little; at each noise
level it is sound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..closed_form.posterior_means import Posterior, denoiser, empirical, mixture, wiener
from ..data.images import ImageSet, read_images, to_network
from ..data.surrogates import fit_class, fit_gaussian
from ..diffusion.denoiser import Denoiser
from ..diffusion.formulation import Formulation, build_formulation
from ..study.training_sets import TrainingSet
from ..tables.contracts.sweep import axis_columns
from ..tables.parquet import write_table
from ..training.evaluation import NoisyImages, items_of
from .collect import by_noise_level
from .mean_losses import mean_losses

# Noisy images a pass: a block of 512 rows by the training set fits into memory.
CHUNK = 512


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
