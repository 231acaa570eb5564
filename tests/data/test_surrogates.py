"""Surrogates: the moments they are fitted to, draws that have them and are Gaussian, and their table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.packs import FORMULATIONS, pack_settings
from memsweep.base.errors import UserError
from memsweep.data.datasets import prepare
from memsweep.data.images import ImageSet, Split, read_images, to_network
from memsweep.data.randomness import generator
from memsweep.data.surrogates import fit_gaussian, surrogate, write_surrogates
from memsweep.diffusion.formulation import build_formulation
from memsweep.jobs.packs import train_pack
from memsweep.jobs.workshop import Way
from memsweep.study.training_sets import TrainingSet
from memsweep.tables.parquet import read_table
from memsweep.training.evaluation import Evaluator
from scipy import stats


def images(count: int, shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Correlated images: smooth waves with noise on them."""
    source = np.random.default_rng(seed)
    ramp = np.linspace(0, 3, np.prod(shape)).reshape(shape)
    waves = np.cos(ramp * source.uniform(1, 4, (count, 1, 1, 1)) + source.uniform(0, 6, (count, 1, 1, 1)))
    return np.clip(128 + 60 * waves + 10 * source.normal(size=(count, *shape)), 0, 255).astype(np.uint8)


def points(pixels: np.ndarray) -> np.ndarray:
    return to_network(pixels).double().flatten(1).numpy()


def covariance(gaussian) -> np.ndarray:
    return (gaussian.axes * gaussian.variances @ gaussian.axes.T).numpy()


def draws(gaussian, count: int) -> np.ndarray:
    normal = torch.randn(count, len(gaussian.mean), dtype=torch.float64, generator=generator("test", count))
    return gaussian.sample(normal).numpy()


# More images than a piece of the sum, fewer than dimensions, colours, one image, one value per pixel
@pytest.mark.parametrize(("count", "shape"), [(5000, (4, 4, 1)), (20, (6, 5, 3)), (300, (3, 4, 3)), (1, (4, 4, 1))])
def test_the_moments_are_those_of_the_images(count: int, shape: tuple[int, int, int]) -> None:
    pixels = images(count, shape)
    gaussian, x = fit_gaussian(pixels), points(pixels)
    np.testing.assert_allclose(gaussian.mean.numpy(), x.mean(axis=0), atol=1e-12)
    expected = np.atleast_2d(np.cov(x, rowvar=False, bias=True)) if count > 1 else np.zeros([x.shape[1]] * 2)
    np.testing.assert_allclose(covariance(gaussian), expected, atol=1e-12)
    assert (gaussian.variances > 0).sum() == min(count - 1, x.shape[1])


def test_a_linear_map_of_normal_draws_has_exactly_the_covariance() -> None:
    """Draws are m + R z; R Rᵀ is the covariance of the draws, with no error of sampling."""
    for pixels in (images(500, (4, 4, 1)), images(9, (4, 4, 1))):
        gaussian = fit_gaussian(pixels)
        zero = gaussian.sample(torch.zeros(1, 16, dtype=torch.float64))
        root = (gaussian.sample(torch.eye(16, dtype=torch.float64)) - zero).numpy()
        np.testing.assert_allclose(zero[0].numpy(), points(pixels).mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(root.T @ root, np.cov(points(pixels), rowvar=False, bias=True), atol=1e-12)
        np.testing.assert_allclose(root, root.T, atol=1e-12)  # the symmetric root, the only one there is


def test_draws_of_fewer_images_than_dimensions_stay_in_their_span() -> None:
    pixels = images(7, (4, 4, 1))
    x = points(pixels)
    basis = np.linalg.svd(x - x.mean(axis=0))[2][:6]
    left = draws(fit_gaussian(pixels), 50) - x.mean(axis=0)
    np.testing.assert_allclose(left - left @ basis.T @ basis, 0, atol=1e-7)


def test_projections_of_many_draws_are_normal_with_the_images_moments() -> None:
    pixels = images(400, (4, 4, 1))
    gaussian, x = fit_gaussian(pixels), points(pixels)
    drawn = draws(gaussian, 4000)
    directions = np.vstack([np.eye(16), np.random.default_rng(1).normal(size=(20, 16))])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    laws = [stats.norm(along.mean(), along.std()).cdf for along in (x @ directions.T).T]
    p = [stats.kstest(along, law).pvalue for along, law in zip((drawn @ directions.T).T, laws, strict=True)]
    assert min(p) > 0.001
    # The test would see that the pixels of the images themselves are not Gaussian
    p = [stats.kstest(pixel, law).pvalue for pixel, law in zip(x.T, laws, strict=False)]
    assert np.median(p) < 0.001
    # Mahalanobis distances from the mean are chi-squared
    inverse = np.linalg.inv(np.cov(x, rowvar=False, bias=True))
    centred = drawn - x.mean(axis=0)
    assert stats.kstest(np.einsum("ni,ij,nj->n", centred, inverse, centred), stats.chi2(16).cdf).pvalue > 0.001
    # Mean and covariance, within their standard errors
    assert (abs(drawn.mean(axis=0) - x.mean(axis=0)) < 4.5 * x.std(axis=0) / 4000**0.5).all()
    expected = np.cov(x, rowvar=False, bias=True)
    variance = (expected**2 + np.outer(expected.diagonal(), expected.diagonal())) / 4000  # Wishart
    assert (abs(np.cov(drawn, rowvar=False) - expected) < 4.5 * variance**0.5).all()


def two_classes() -> ImageSet:
    """Class 0 dark, class 1 bright."""
    source = np.random.default_rng(0)

    def split(size: int) -> Split:
        labels = source.integers(0, 2, size)
        pixels = source.integers(0, 60, (size, 4, 4, 3)) + 180 * labels[:, None, None, None]
        return Split(pixels.astype(np.uint8), labels)

    return ImageSet(split(200), split(150), "hash", classes=2)


def test_surrogates_have_the_labels_of_the_test_images_and_a_mixture_their_classes() -> None:
    data = two_classes()
    pooled, mixture = surrogate(data, "gaussian"), surrogate(data, "gaussian_mixture")
    for split in (pooled, mixture):
        assert split.images.shape == data.test.images.shape
        assert split.images.dtype == np.float32
        np.testing.assert_array_equal(split.labels, data.test.labels)
    brightness = mixture.images.mean(axis=(1, 2, 3))
    np.testing.assert_array_equal(brightness > 120, data.test.labels == 1)
    # One Gaussian has no gap between two classes
    assert abs(np.corrcoef(pooled.images.mean(axis=(1, 2, 3)), data.test.labels)[0, 1]) < 0.2
    # Layout: the mean of each pixel and channel is where the images have it
    difference = mixture.images[data.test.labels == 1].mean(axis=0) - data.train.images[data.train.labels == 1].mean(0)
    assert abs(difference).max() < 10


def test_one_class_is_one_gaussian(noise_images: ImageSet) -> None:
    train, test = noise_images.train, noise_images.test
    one = ImageSet(Split(train.images, train.labels * 0), Split(test.images, test.labels * 0), "hash", classes=1)
    np.testing.assert_array_equal(surrogate(one, "gaussian").images, surrogate(one, "gaussian_mixture").images)


def test_the_table_comes_back_and_its_draws_do_not_depend_on_the_other_surrogates(digits: Path, tmp_path: Path) -> None:
    write_surrogates(["gaussian", "gaussian_mixture"], digits, tmp_path / "both.parquet")
    write_surrogates(["gaussian_mixture"], digits, tmp_path / "one.parquet")
    both, one = (read_images(digits, tmp_path / name) for name in ("both.parquet", "one.parquet"))
    assert list(both.surrogates) == ["gaussian", "gaussian_mixture"]
    assert list(one.surrogates) == ["gaussian_mixture"]
    for name, split in both.surrogates.items():
        np.testing.assert_array_equal(split.images, surrogate(both, name).images)
        np.testing.assert_array_equal(split.labels, both.test.labels)
    np.testing.assert_array_equal(one.surrogates["gaussian_mixture"].images, both.surrogates["gaussian_mixture"].images)
    table = read_table(tmp_path / "both.parquet", "surrogates")
    assert len(table) == 2 * 500
    # Digits have pixels that are always 0: no variance, no draws but 0
    constant = (both.train.images == 0).all(axis=0)
    assert constant.any()
    np.testing.assert_allclose(both.surrogates["gaussian"].images[:, constant], 0, atol=1e-3)


def test_surrogates_of_other_images_are_refused(digits: Path, tmp_path: Path) -> None:
    path = tmp_path / "surrogates.parquet"
    write_surrogates(["gaussian"], digits, path)
    other = tmp_path / "other.parquet"
    prepare({"name": "digits", "test_images": 400, "seed": 0}, other)
    with pytest.raises(UserError, match=f"{path}: surrogates of other images"):
        read_images(other, path)


def test_a_class_without_training_images_is_a_sentence() -> None:
    data = two_classes()
    dark = data.train.labels == 0
    lacking = ImageSet(Split(data.train.images[dark], data.train.labels[dark]), data.test, "hash", classes=2)
    with pytest.raises(UserError, match=r"evaluation.surrogates: found gaussian_mixture, but .* of class 1") as error:
        surrogate(lacking, "gaussian_mixture")
    assert len(str(error.value).splitlines()) == 1
    assert len(surrogate(lacking, "gaussian")) == 150


def test_rows_of_the_table_say_what_they_stand_in_for(digits: Path, tmp_path: Path) -> None:
    write_surrogates(["gaussian"], digits, tmp_path / "a.parquet")
    table = read_table(tmp_path / "a.parquet", "surrogates")
    assert table["index"].tolist() == list(range(500))
    pd.testing.assert_series_equal(
        table["label"], pd.Series(read_images(digits).test.labels, name="label"), check_dtype=False
    )


# --- what a run records of them ---


EVALUATION = {"first": 2, "per_decade": 4, "images": 12, "samples": 6, "surrogates": ["gaussian", "gaussian_mixture"]}


def test_a_run_is_evaluated_on_surrogates_beside_the_test_images_and_trained_as_without(
    digits: Path, tmp_path: Path
) -> None:
    write_surrogates(["gaussian", "gaussian_mixture"], digits, tmp_path / "surrogates.parquet")
    losses = {}
    for name, evaluation in (("with", EVALUATION), ("without", {**EVALUATION, "surrogates": []})):
        settings = pack_settings(evaluation=evaluation)
        settings["runs"] = settings["runs"][:1]
        given = tmp_path / "surrogates.parquet" if name == "with" else None
        train_pack(settings, digits, tmp_path / name / "checkpoints", tmp_path / name, Way(device="cpu"), given)
        losses[name] = read_table(tmp_path / name / "losses.parquet", "losses")
    splits = dict(iter(losses["with"].groupby("split")))
    assert set(splits) == {"train", "test", "gaussian", "gaussian_mixture"}
    for name in EVALUATION["surrogates"]:  # type: ignore[attr-defined]
        for column in ("step", "item", "index", "time"):
            np.testing.assert_array_equal(splits[name][column], splits["test"][column])
        assert not np.allclose(splits[name]["loss"], splits["test"]["loss"])
    old = losses["with"][losses["with"]["split"].isin(["train", "test"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(old, losses["without"], check_exact=True)


def test_surrogates_share_labels_times_and_noise_with_the_test_images(digits: Path, tmp_path: Path) -> None:
    write_surrogates(["gaussian", "gaussian_mixture"], digits, tmp_path / "surrogates.parquet")
    data = read_images(digits, tmp_path / "surrogates.parquet")
    formulation = build_formulation(FORMULATIONS["ddpm"], data.classes)
    # Sixteen images of ten classes have them all, so that all held-out images are evaluated; some twice
    items = Evaluator(data, TrainingSet(16), {**EVALUATION, "images": 700}, formulation, "cpu").items
    for name in ("gaussian", "gaussian_mixture"):
        for field in ("index", "label", "time", "noise"):
            torch.testing.assert_close(getattr(items[name], field), getattr(items["test"], field), rtol=0, atol=0)
        np.testing.assert_allclose(items[name].clean[:500], to_network(data.surrogates[name].images), rtol=0, atol=1e-6)


def test_a_surrogate_that_is_not_given_is_a_sentence(digits: Path, tmp_path: Path) -> None:
    write_surrogates(["gaussian"], digits, tmp_path / "surrogates.parquet")
    settings = pack_settings(evaluation=EVALUATION)
    for given, missing in ((None, "gaussian, gaussian_mixture"), (tmp_path / "surrogates.parquet", "gaussian_mixture")):
        with pytest.raises(UserError, match=f"^evaluation.surrogates: found {missing}, of which no draws are given$"):
            train_pack(settings, digits, tmp_path / "checkpoints", tmp_path / "tables", Way(device="cpu"), given)
    assert not (tmp_path / "tables").exists()
