"""Mean losses: by hand, beside regressions of statsmodels, and what their intervals cover."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from memsweep.analysis.collect import KEYS
from memsweep.analysis.mean_losses import mean_and_error, mean_losses
from scipy import stats

ITEMS = 256


def frame(split: str, losses: np.ndarray, time: np.ndarray, index: np.ndarray) -> pd.DataFrame:
    item = np.arange(len(losses))
    return pd.DataFrame(
        {"run_id": "a", "step": 1, "split": split, "item": item, "index": index, "time": time, "loss": losses}
    )


def drawn(source: np.random.Generator, count: int = ITEMS) -> np.ndarray:
    """Stratified times in random order, as evaluations draw them."""
    return source.permutation((np.arange(count) + source.uniform(size=count)) / count)


def along_time(time: np.ndarray) -> np.ndarray:
    """A loss that falls steeply with the noise, as those of denoisers do."""
    return 1.2 * np.exp(-4 * time) + 0.1 * time


def width(rows: pd.DataFrame) -> float:
    return float((rows["ci_high"] - rows["ci_low"]).iloc[0])


@pytest.mark.parametrize("images", [16, 64, 128, 256])
def test_the_interval_of_the_training_loss_covers_the_mean_over_all_noise_and_is_not_too_wide(images: int) -> None:
    """The training images are the same in every draw; times and noise are not."""
    source = np.random.default_rng(images)
    effect = source.normal(0, 0.1, images)
    index = np.arange(ITEMS) % images
    time = (np.arange(1e5) + 0.5) / 1e5
    truth = along_time(time).mean() + effect.mean()
    covered, independent = 0, 0
    for _ in range(600):
        at = drawn(source)
        losses = along_time(at) + effect[index] + source.normal(0, 0.15 * (1.3 - at))
        row = mean_losses(frame("train", losses, at, index), KEYS, 0.95).iloc[0]
        covered += row["ci_low"] <= truth <= row["ci_high"]
        independent += abs(losses.mean() - truth) <= stats.norm.ppf(0.975) * stats.sem(losses)
    assert independent / 600 > 0.985  # what the stratification is ignored for
    if images < 256:
        assert 0.93 <= covered / 600 <= 0.97
    else:  # an image noised once: its effect cannot be told from noise
        assert covered / 600 >= 0.93


@pytest.mark.parametrize("repeats", [1, 4])
def test_the_interval_of_the_held_out_loss_covers_the_mean_over_images_too(repeats: int) -> None:
    source = np.random.default_rng(repeats)
    index = np.arange(ITEMS) % (ITEMS // repeats)
    truth = along_time((np.arange(1e5) + 0.5) / 1e5).mean()
    covered = 0
    for _ in range(600):
        at = drawn(source)
        effect = source.normal(0, 0.1, ITEMS // repeats)
        losses = along_time(at) + effect[index] + source.normal(0, 0.15 * (1.3 - at))
        row = mean_losses(frame("test", losses, at, index), KEYS, 0.95).iloc[0]
        covered += row["ci_low"] <= truth <= row["ci_high"]
    assert 0.93 <= covered / 600 <= 0.97


@pytest.mark.parametrize("known", [True, False])
def test_the_error_is_that_of_a_regression_on_time_and_images(known: bool) -> None:
    source = np.random.default_rng(3)
    at, index = drawn(source, 64), np.arange(64) % 8
    losses = source.normal(size=(64, 2)) + along_time(at)[:, None]
    mean, error, freedom = mean_and_error(losses, at, index, known)
    curve = np.polynomial.legendre.legvander(2 * at - 1, 7)[:, 1:]
    curve -= curve.mean(axis=0)
    dummies = (index[:, None] == np.arange(1, 8)) - 1 / 8  # effects around their mean, so that the intercept is it
    design = sm.add_constant(np.column_stack([curve, dummies] if known else [curve]))
    for column in range(2):
        fit = sm.OLS(losses[:, column], design).fit()
        if not known:
            fit = fit.get_robustcov_results("cluster", groups=index)
        assert mean[column] == pytest.approx(fit.params[0])
        assert error[column] == pytest.approx(fit.bse[0])
    assert freedom == (64 - 8 - 7 if known else 7)


def test_one_item_bounds_nothing_nor_does_a_loss_that_is_no_number() -> None:
    row = mean_losses(frame("train", np.float32([2]), np.array([0.5]), np.array([0])), KEYS, 0.95).iloc[0]
    assert (row["loss"], row["ci_low"], row["ci_high"]) == (2, -np.inf, np.inf)
    source = np.random.default_rng(4)
    two = pd.concat([frame("train", source.normal(size=32), drawn(source, 32), np.arange(32))] * 2)
    two["step"] = np.repeat([1, 2], 32)
    two["time"] = np.tile(two["time"].iloc[:32], 2)
    for worst in (np.nan, np.inf):
        losses = two.assign(loss=[*two["loss"].iloc[:40], worst, *two["loss"].iloc[41:]])
        rows = mean_losses(losses, KEYS, 0.95)
        assert np.isfinite(rows.loc[0, ["loss", "ci_low", "ci_high"]].astype(float)).all()
        assert not np.isfinite(rows.loc[1, ["ci_high"]].astype(float)).any()


def test_noisy_versions_of_a_held_out_image_are_not_independent_and_those_of_a_training_image_are() -> None:
    source = np.random.default_rng(0)
    effect = np.tile(source.normal(size=30), 4)
    losses, at = effect + source.normal(0, 1e-3, 120), drawn(source, 120)
    held_out, train = (
        mean_losses(frame(split, losses, at, np.arange(120) % 30), KEYS, 0.95) for split in ("test", "train")
    )
    assert width(held_out) == pytest.approx(2 * stats.t.ppf(0.975, 29) * effect[:30].std(ddof=1) / 30**0.5, rel=0.15)
    assert width(train) == pytest.approx(2 * stats.t.ppf(0.975, 83) * 1e-3 / 120**0.5, rel=0.3)


def test_no_losses_have_no_means() -> None:
    assert mean_losses(frame("train", np.empty(0), np.empty(0), np.empty(0, int)), KEYS, 0.95).empty
