"""Linear probes and their intervals, planted images, noisy digits, and the networks trained on them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from memsweep.base.errors import UserError
from memsweep.data.images import Split, read_images
from memsweep.study.feature_learning import FRAME
from memsweep.tables.parquet import read_table
from memsweep.theory.feature_learning import (
    noisy_digits,
    noisy_networks,
    noisy_patches,
    planted_features,
    planted_networks,
)
from memsweep.theory.feature_learning.analysis import summarise
from memsweep.theory.feature_learning.planted import plant
from memsweep.theory.feature_learning.probes import accuracy_replicates, percentile_interval, probe

QUADRATIC = {"neurons": 4, "initialisation": 1e-3, "iterations": 60, "learning_rate": 0.1, "classifier_loss": 0.1}
CONVOLUTIONAL = {"steps": 3, "batch_size": 4, "step_size": 1e-3}
NOISY: dict[str, Any] = {"classes": [0, 1], "images": 6, "snr": 0.5, "seeds": 1, "time": 0.2, "confidence": 0.95}
NOISY = {**NOISY, **QUADRATIC, **CONVOLUTIONAL, "dataset": "digits"}
PLANTED: dict[str, Any] = {
    "train_size": 16,
    "agreement": 1.0,
    "seeds": 2,
    "base_channels": 4,
    "batch_size": 8,
    "learning_rate": 1e-3,
    "steps": 3,
    "ema_decay": 0.9,
    "time": 0.1,
    "formulation": "rectified_flow",
    "network": {
        "channel_multipliers": [1, 2],
        "blocks": 1,
        "attention_levels": [],
        "head_channels": 8,
        "embedding": 8,
        "dropout": 0.0,
    },
}


# --- probes -------------------------------------------------------------------------


def test_a_probe_finds_what_features_hold_and_nothing_else() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 600)
    centres = 4 * random.normal(size=(3, 5))
    features = np.hstack([centres[labels] + random.normal(size=(600, 5)), 1000 * random.normal(size=(600, 5))])
    held = probe(features[:300], labels[:300], features[300:], labels[300:])
    assert held.mean() > 0.95
    nothing = probe(features[:300, 5:], labels[:300], features[300:, 5:], labels[300:])
    assert abs(nothing.mean() - 1 / 3) < 0.12


def test_the_bootstrap_over_images_alone_is_the_binomial_spread() -> None:
    """One seed: the replicates' spread is √(p (1 - p) / items); equal seeds add nothing to it."""
    correct = (np.arange(400) < 300).astype(float)
    for seeds in (1, 3):
        found = accuracy_replicates(np.tile(correct, (seeds, 1)), 4000, "key")
        assert found[0] == 0.75
        assert found[1:].std() == pytest.approx(math.sqrt(0.75 * 0.25 / 400), rel=0.05)


def test_seeds_that_differ_widen_the_interval() -> None:
    random = np.random.default_rng(0)
    alike, unlike = (random.random((4, 300)) < np.array(shares)[:, None] for shares in ([0.7] * 4, [0.4, 0.6, 0.8, 1]))
    widths = [
        np.subtract(*percentile_interval(accuracy_replicates(correct.astype(float), 1000, "k")[1:], 0.95)[::-1])
        for correct in (alike, unlike)
    ]
    assert widths[1] > 3 * widths[0]
    assert percentile_interval(np.array([np.nan, np.inf]), 0.95) == pytest.approx((math.nan, math.nan), nan_ok=True)


def outcomes(**shares: float) -> pd.DataFrame:
    """Outcomes on 200 images of two seeds: the first ones right, as many as the objective's share says."""
    rows = [
        pd.DataFrame({"item": np.arange(200), "correct": np.arange(200) < 200 * share}).assign(
            objective=objective,
            task=task,
            seed=seed,
            train_size=64,
            agreement=1.0,
            chance=0.5 if task != "class" else 0.1,
        )
        for objective in planted_features.OBJECTIVES
        for task in planted_features.TASKS
        for share in [1.0 if task == "easy" else shares[objective]]
        for seed in (0, 1)
    ]
    return pd.concat(rows)


def test_balance_and_gains_are_their_formulas() -> None:
    probes, balance = summarise(outcomes(untrained=0.5, classification=0.6, diffusion=0.9), 0.95, 300)
    table = balance.set_index(["objective", "quantity"])
    assert table.loc[("diffusion", "balance"), "value"] == pytest.approx(0.8)
    assert table.loc[("classification", "balance"), "value"] == pytest.approx(0.2)
    assert table.loc[("untrained", "balance"), "value"] == pytest.approx(0)
    gain = table.loc[("diffusion", "hard_gain")]
    assert gain["value"] == pytest.approx(0.3)
    # Paired: the difference is 1 on 30 % of the images and 0 elsewhere
    assert gain["ci_high"] - gain["ci_low"] == pytest.approx(2 * 1.96 * math.sqrt(0.3 * 0.7 / 200), rel=0.2)
    same = table.loc[("classification", "hard_gain")]
    assert (same["ci_low"], same["value"], same["ci_high"]) == (0, 0, 0)
    row = probes.set_index(["objective", "task"]).loc[("diffusion", "hard")]
    assert row["ci_low"] < row["accuracy"] < row["ci_high"]
    assert (row["seeds"], row["images"]) == (2, 200)


# --- planted images ------------------------------------------------------------------


def split(images: int, classes: int = 10) -> Split:
    random = np.random.default_rng(0)
    return Split(random.integers(0, 256, (images, 8, 8, 3), dtype=np.uint8), np.arange(images) % classes)


def test_a_frame_hides_nothing_and_says_what_it_should() -> None:
    source = split(50)
    planted = plant(source, 10, 0.5, 0, "test")
    assert planted.images.shape == (50, 8 + 2 * FRAME, 8 + 2 * FRAME, 3)
    np.testing.assert_array_equal(planted.images[:, FRAME:-FRAME, FRAME:-FRAME], source.images)
    frames = planted.images.copy()
    frames[:, FRAME:-FRAME, FRAME:-FRAME] = 0
    np.testing.assert_array_equal(np.unique(frames[planted.easy == 0]), [0])
    assert (planted.images[planted.easy == 1][:, 0] == 255).all()
    np.testing.assert_array_equal(planted.hard, (source.labels >= 5).astype(int))


@pytest.mark.parametrize("agreement", [0.5, 0.9, 1.0])
def test_easy_and_hard_agree_as_often_as_asked(agreement: float) -> None:
    planted = plant(split(4000), 10, agreement, 0, "test")
    spread = math.sqrt(agreement * (1 - agreement) / 4000)
    assert abs((planted.easy == planted.hard).mean() - agreement) <= 4 * spread
    fewer = plant(split(100), 10, agreement, 0, "test")
    np.testing.assert_array_equal(fewer.easy, planted.easy[:100])
    assert agreement == 1 or (plant(split(100), 10, agreement, 1, "test").easy != fewer.easy).any()


def test_both_objectives_are_trained_and_probed_on_the_same_images(digits: Path, tmp_path: Path) -> None:
    path = tmp_path / "outcomes.parquet"
    planted_features.train_planted(PLANTED, digits, path)
    table = read_table(path, "probe_outcomes")
    assert len(table) == 2 * 3 * 3 * 250
    assert set(table["item"]) == set(range(250, 500))
    easy = table[table["task"] == "easy"].groupby("objective")["correct"].mean()
    assert (easy > 0.9).all(), "a bright frame is seen by any features"
    again = tmp_path / "again.parquet"
    planted_features.train_planted(PLANTED, digits, again)
    assert path.read_bytes() == again.read_bytes()


def test_features_are_the_pooled_middle_of_the_network(digits: Path) -> None:
    data = read_images(digits)
    planted = plant(planted_features._first(data.test, 5), 10, 0.5, 0, "test")
    trunk, _ = planted_features._trained("untrained", planted, 0, PLANTED)
    found = planted_networks.features_of(trunk, planted, 0.0, planted_features._formulation(PLANTED))
    assert found.shape == (5, 8 * 2 * 2)
    seen: list[torch.Tensor] = []
    trunk.network.middle_out.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    x = torch.from_numpy(planted.images).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        trunk.network(x, torch.zeros(5), torch.zeros(5, dtype=torch.int64))
    expected = seen[0].unflatten(2, (2, 3)).unflatten(4, (2, 3)).mean(dim=(3, 5)).flatten(1)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_the_classifier_learns_a_frame_that_decides(digits: Path) -> None:
    data = read_images(digits)
    settings = {**PLANTED, "steps": 60, "learning_rate": 5e-3}
    planted = plant(planted_features._first(data.train, 32), 10, 1.0, 0, "train")
    trunk, _ = planted_features._trained("untrained", planted, 0, settings)
    run = planted_networks.Run("planted", 32, 4, 8, 5e-3, 0, 60)
    head = planted_networks.train_classifier(trunk, planted, run)
    x = torch.from_numpy(planted.images).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        predicted = head(trunk(x, torch.zeros(32))).argmax(dim=1)
    assert (predicted.numpy() == planted.hard).mean() > 0.95


def test_dropout_acts_on_the_classifier_too_and_only_while_it_learns(digits: Path) -> None:
    data = read_images(digits)
    planted = plant(planted_features._first(data.train, 16), 10, 1.0, 0, "train")

    def learnt(dropout: float) -> np.ndarray:
        settings = {**PLANTED, "network": {**PLANTED["network"], "dropout": dropout}}
        trunk, _ = planted_features._trained("classification", planted, 0, settings)
        return planted_networks.features_of(trunk, planted, 0.0, planted_features._formulation(settings))

    assert np.array_equal(learnt(0.5), learnt(0.5))
    assert not np.allclose(learnt(0.5), learnt(0.0))


# --- noisy digits ---------------------------------------------------------------------


def test_patches_have_the_asked_snr_and_class(digits: Path) -> None:
    data = read_images(digits)
    scale = noisy_patches.scale_for(data.train, (3, 7), 0.4)
    everything = noisy_patches.digits(data.train, (3, 7), len(data.train), scale, 0, "test")
    norms = everything.patches.norm(dim=2)
    assert float(norms[:, 0].mean()) == pytest.approx(0.4 * 8)
    assert float(everything.patches[:, 1].std()) == pytest.approx(1, abs=0.02)
    few = noisy_patches.digits(data.train, (3, 7), 5, scale, 0, "test")
    assert few.labels.tolist().count(1) == 5
    assert len(few.labels) == 10
    first = data.train.images[data.train.labels == 3][0, :, :, 0] / 255 * scale
    three = few.patches[few.labels == 1][0, 0].reshape(8, 8)
    torch.testing.assert_close(three, torch.from_numpy(first))
    side_by_side = few.as_images(few.patches)
    assert side_by_side.shape == (10, 1, 8, 16)
    torch.testing.assert_close(side_by_side[:, 0, :, 8:].flatten(1), few.patches[:, 1].float())


def test_input_gradients_are_those_of_the_score(digits: Path) -> None:
    """The quadratic score is homogeneous of degree 2: ⟨gradient, x⟩ is twice the score (Euler)."""
    data = read_images(digits)
    train = noisy_patches.digits(data.train, (0, 1), 4, 1.0, 0, "test")
    learnt = noisy_networks.quadratic("classification", train, 0, NOISY, True)
    features = learnt.features(train.patches)
    score = (features[:, :, :4].mean(dim=2) - features[:, :, 4:].mean(dim=2)).sum(dim=1)
    gradient = learnt.shown(train.patches)
    torch.testing.assert_close((gradient * train.patches).sum(dim=(1, 2)), 2 * score)
    found = noisy_networks._input_gradient(lambda x: (x**3).sum(dim=(1, 2)), train.patches)
    torch.testing.assert_close(found, 3 * train.patches**2)


def test_denoised_patches_are_what_the_predicted_noise_leaves(digits: Path) -> None:
    """A network with a zero last layer predicts no noise: the patches are only scaled back."""
    data = read_images(digits)
    train = noisy_patches.digits(data.train, (0, 1), 4, 1.0, 0, "test")
    learnt = noisy_networks.quadratic("diffusion", train, 0, {**NOISY, "initialisation": 1e-12}, False)
    torch.testing.assert_close(learnt.shown(train.patches), train.patches * math.exp(NOISY["time"]))
    # The convolutional one keeps the patches apart: its output's shape and order are those of its input
    shown = noisy_networks.convolutional("diffusion", train, 0, {**NOISY, "time": 1e-9}, False).shown(train.patches)
    torch.testing.assert_close(shown, train.patches, atol=1e-3, rtol=0)


def test_classes_without_images_are_named(digits: Path) -> None:
    data = read_images(digits)
    with pytest.raises(UserError, match=r"classes: found \[0, 11\], and none of .* to test on is of class 11"):
        noisy_patches.digits(data.test, (0, 11), 4, 1.0, 0, "test")


def test_training_a_quadratic_classifier_separates_its_images(digits: Path) -> None:
    data = read_images(digits)
    train = noisy_patches.digits(data.train, (0, 1), 6, 1.0, 0, "test")
    settings = {**NOISY, "iterations": 3000}
    learnt = noisy_networks.quadratic("classification", train, 0, settings, True)
    features = learnt.features(train.patches)
    assert features.shape == (12, 2, 8)
    score = (features[:, :, :4].mean(dim=2) - features[:, :, 4:].mean(dim=2)).sum(dim=1)
    assert (score.sign() == train.labels).all()


def test_noisy_digits_end_in_probes_and_maps(digits: Path, tmp_path: Path) -> None:
    probes_path, maps_path = tmp_path / "probes.parquet", tmp_path / "maps.parquet"
    noisy_digits.train_noisy(NOISY, digits, probes_path, maps_path)
    probes, maps = read_table(probes_path, "noisy_probes"), read_table(maps_path, "noisy_maps")
    assert len(probes) == 2 * 2 * 2 * 2
    assert (probes["ci_low"] <= probes["accuracy"]).all()
    assert set(probes.loc[probes["task"] == "noise", "images"]) == {12}
    assert len(maps) == 2 * 2 * 3 * 2
    assert {len(values) for values in maps["values"]} == {128}
    # All denoisers are shown the same noisy image, and classifiers the clean one
    seen = (
        maps[maps["kind"] == "seen"].groupby("objective")["values"].agg(lambda rows: len({tuple(row) for row in rows}))
    )
    assert seen.to_dict() == {"classification": 2, "diffusion": 2}
    assert json.dumps(maps["snr"].unique().tolist()) == "[0.5]"


def test_more_noisy_digits_than_there_are_is_a_sentence(digits: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"noisy_digits\.images: found 130; accepted is at most 129, the training images"
    ):
        noisy_digits.train_noisy({**NOISY, "images": 130}, digits, tmp_path / "probes", tmp_path / "maps")
    assert not any(tmp_path.iterdir())
