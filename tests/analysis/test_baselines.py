"""Losses of denoisers in closed form: as least squares, and on what they are best for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.gaussians import gaussian
from helpers.packs import FORMULATIONS
from memsweep.analysis.baselines import item_losses, write_baselines
from memsweep.closed_form.posterior_means import denoiser, empirical, mixture, wiener
from memsweep.data.images import read_images
from memsweep.data.surrogates import Gaussian, fit_gaussian, write_surrogates
from memsweep.diffusion.formulation import Formulation, build_formulation
from memsweep.study.training_sets import TrainingSet
from memsweep.tables.parquet import read_table
from memsweep.training.evaluation import Evaluator, NoisyImages

PROCESSES = ("rectified_flow", "ddpm")


# --- losses in every formulation ---


def items_of(clean: torch.Tensor, label: torch.Tensor, seed: int = 0) -> NoisyImages:
    source = torch.Generator().manual_seed(seed)
    count = len(clean)
    time = (torch.randperm(count, generator=source) + 0.5) / count
    return NoisyImages(torch.arange(count), clean, torch.randn(clean.shape, generator=source), time, label)


def mean_loss(formulation: Formulation, posterior: Any, items: NoisyImages) -> float:
    return float(item_losses(formulation, denoiser(formulation.process, posterior), items)["loss"].mean())


@pytest.mark.parametrize("name", PROCESSES)
def test_one_image_is_predicted_without_error(name: str) -> None:
    formulation = build_formulation(FORMULATIONS[name], classes=1)
    image = torch.randn(1, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    label = torch.zeros(40, dtype=torch.long)
    memory = empirical(image.double().flatten(1), label[:1])
    losses = item_losses(
        formulation, denoiser(formulation.process, memory), items_of(image.expand(40, -1, -1, -1), label)
    )
    assert losses["loss"].max() < 1e-20


@pytest.mark.parametrize("name", PROCESSES)
def test_the_loss_on_a_gaussian_has_its_closed_form(name: str) -> None:
    """E|field error|² of x̂ and ẑ with errors in the ratio -s/a: posterior variances λ s² / (a² λ + s²)."""
    given = gaussian(5, 8, 6)
    formulation = build_formulation(FORMULATIONS[name], classes=1)
    normal = torch.randn(20_000, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    items = items_of(given.sample(normal).reshape(-1, 2, 2, 2), torch.zeros(20_000, dtype=torch.long))
    rows = item_losses(formulation, denoiser(formulation.process, wiener(given)), items)
    times = items.time.double()
    if name == "ddpm":
        times = torch.floor(times * 1000).clamp(max=999).add(1) / 1000
    a, s = (share.double()[:, None] for share in formulation.process.shares(times))
    left = given.variances * s**2 / (a**2 * given.variances + s**2)
    factor = (1 + a / s) ** 2 if name == "rectified_flow" else (a / s) ** 2
    expected = (left * factor).mean(dim=1)
    error = rows["loss"].to_numpy() - expected.numpy()
    assert abs(error.mean()) < 4 * error.std() / 20_000**0.5
    assert error.std() / 20_000**0.5 < 0.01 * expected.mean()


@pytest.mark.parametrize("name", PROCESSES)
def test_no_affine_denoiser_does_better_than_the_wiener_filter(name: str) -> None:
    """At one time, on images of any law, against least squares on the very items."""
    source = np.random.default_rng(6)
    count = 500
    clean = torch.tensor(source.exponential(size=(count, 3)) @ source.normal(size=(3, 3)))
    noise = torch.tensor(source.normal(size=(count, 3)))
    formulation = build_formulation(FORMULATIONS[name], classes=1)
    process, time = formulation.process, torch.full((count,), 0.4)
    shown = torch.tensor([0.401 if name == "ddpm" else 0.4])  # the end of the step's interval
    a, s = (float(share[0]) for share in process.shares(shown))
    x = a * clean + s * noise
    field = process.field(clean, noise)
    design = np.column_stack([x.numpy(), np.ones(count)])
    best = np.linalg.lstsq(design, field.numpy(), rcond=None)[1].sum() / (3 * count)
    centred = clean - clean.mean(dim=0)
    variances, axes = torch.linalg.eigh(centred.T @ centred / count)
    given = Gaussian(clean.mean(dim=0), variances, axes)
    items = NoisyImages(
        torch.arange(count),
        clean.reshape(-1, 3, 1, 1),
        noise.reshape(-1, 3, 1, 1),
        time,
        torch.zeros(count, dtype=torch.long),
    )
    found = mean_loss(formulation, wiener(given), items)
    # Least squares also fits the chance correlations of noise and image
    assert best <= found < 1.02 * best


@pytest.mark.parametrize("name", PROCESSES)
def test_each_is_best_on_its_own_distribution(name: str) -> None:
    formulation = build_formulation(FORMULATIONS[name], classes=2)
    source = torch.Generator().manual_seed(2)
    label = torch.arange(4000) % 2
    components = {0: gaussian(7, 4, 4), 1: gaussian(8, 4, 4)}
    normal = torch.randn(4000, 4, dtype=torch.float64, generator=source)
    clean = torch.where(label[:, None] == 0, components[0].sample(normal), components[1].sample(normal))
    items = items_of(clean.reshape(-1, 1, 2, 2), label)
    centred = clean - clean.mean(dim=0)
    variances, axes = torch.linalg.eigh(centred.T @ centred / 4000)
    weights = {0: 0.5, 1: 0.5}
    pooled = wiener(Gaussian(clean.mean(dim=0), variances, axes))
    told = mean_loss(formulation, mixture(components, weights), items)
    untold = mean_loss(formulation, mixture({5: components[0], 6: components[1]}, {5: 0.5, 6: 0.5}), items)
    memory = mean_loss(formulation, empirical(clean, label), items)
    assert memory < told < untold < mean_loss(formulation, pooled, items)


@pytest.mark.parametrize("name", PROCESSES)
def test_times_at_both_ends_give_numbers(name: str) -> None:
    formulation = build_formulation(FORMULATIONS[name], classes=1)
    given = gaussian(0, 4, 2)
    normal = torch.randn(2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    clean, label = given.sample(normal).reshape(2, 1, 2, 2), torch.zeros(2, dtype=torch.long)
    items = NoisyImages(torch.arange(2), clean, torch.ones_like(clean), torch.tensor([0.0, 1.0]), label)
    for posterior in (wiener(given), empirical(clean.flatten(1), label), mixture({0: given}, {0: 1.0})):
        losses = item_losses(formulation, denoiser(formulation.process, posterior), items)["loss"]
        assert np.isfinite(losses).all()


# --- the table ---


SURROGATES = ["gaussian", "gaussian_mixture"]
SETTINGS: dict[str, Any] = {
    "training_sets": [[8, 0], [16, 0]],
    "surrogates": SURROGATES,
    "images": 64,
    "noise_levels": 4,
    "confidence": 0.95,
}


@pytest.mark.parametrize("name", ["rectified_flow", "unconditional_ddpm"])
def test_the_table_has_every_estimator_on_the_items_of_the_runs(name: str, digits: Path, tmp_path: Path) -> None:
    surrogates, output = tmp_path / "surrogates.parquet", tmp_path / "baselines.parquet"
    write_surrogates(SURROGATES, digits, surrogates)
    write_baselines({**SETTINGS, "formulations": [FORMULATIONS[name]]}, digits, surrogates, output)
    table = read_table(output, "baselines")
    whole = table[table["noise_level"].isna()]
    assert len(table) == 5 * len(whole)
    assert (table["ci_low"] <= table["loss"]).all()
    assert (table["loss"] <= table["ci_high"]).all()
    keys = zip(whole["estimator"], whole["train_size"].fillna(0).astype(int), whole["split"], strict=True)
    losses = dict(zip(keys, whole["loss"], strict=True))
    splits = {"test", *SURROGATES}
    assert set(losses) == {
        *((estimator, 0, split) for estimator in SURROGATES for split in splits),
        *((estimator, size, "train") for estimator in SURROGATES for size in (8, 16)),
        *(("empirical", size, split) for size in (8, 16) for split in {"train", *splits}),
    }
    # The Wiener filter sees means and covariances only, so images and their surrogate are one to it
    assert losses["gaussian", 0, "test"] == pytest.approx(losses["gaussian", 0, "gaussian"], rel=0.25)
    # On the training images nothing does better than the empirical optimum
    for size in (8, 16):
        ladder = [losses[estimator, size, "train"] for estimator in ("empirical", "gaussian_mixture", "gaussian")]
        assert ladder == sorted(ladder)
    # One of them by hand, on the items of the evaluator of networks
    data = read_images(digits, surrogates)
    formulation = build_formulation(FORMULATIONS[name], data.classes)
    evaluation = {"images": 64, "samples": 2, "surrogates": SURROGATES}
    items = Evaluator(data, TrainingSet(16), evaluation, formulation, "cpu").items
    found = mean_loss(formulation, wiener(fit_gaussian(data.train.images)), items["gaussian_mixture"])
    assert losses["gaussian", 0, "gaussian_mixture"] == pytest.approx(found)


def test_an_unconditional_model_is_compared_with_unconditional_optima(digits: Path, tmp_path: Path) -> None:
    write_surrogates(["gaussian_mixture"], digits, tmp_path / "surrogates.parquet")
    losses = {}
    for dropout in (0, 1):
        formulation = {**FORMULATIONS["rectified_flow"], "label_dropout": dropout}
        settings = {**SETTINGS, "surrogates": ["gaussian_mixture"], "formulations": [formulation]}
        write_baselines(settings, digits, tmp_path / "surrogates.parquet", tmp_path / "baselines.parquet")
        table = read_table(tmp_path / "baselines.parquet", "baselines")
        table = table[table["noise_level"].isna() & (table["split"] == "train") & (table["train_size"] == 16)]
        losses[dropout] = table.set_index("estimator")["loss"]
    assert (losses[0] < losses[1]).all()  # who is told the class knows more
