"""The sampler of posterior means: against high precision, on the images that it has to end at, and its table."""

from __future__ import annotations

import itertools
from decimal import Decimal, getcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.packs import FORMULATIONS, pack_settings
from memsweep.base.errors import UserError
from memsweep.closed_form import empirical_sampler
from memsweep.closed_form.empirical_sampler import CHUNK, control_set, generate, write_empirical_samples
from memsweep.data.images import ImageSet, Split, read_images, scaled, to_pixels
from memsweep.diffusion.formulation import build_formulation
from memsweep.study.run import Run
from memsweep.study.training_sets import TrainingSet
from memsweep.tables.parquet import read_table
from memsweep.training.evaluation import Evaluator, latents_of
from memsweep.training.trainer import build_network

PROCESSES = ("rectified_flow", "ddpm")
of_processes = pytest.mark.parametrize("name", PROCESSES)


def formulation(name: str, steps: int, **changes: Any) -> Any:
    return build_formulation({**FORMULATIONS[name], "sampling_steps": steps, **changes}, classes=3)


def exactly(values: Any) -> np.ndarray:
    """Numbers as those of 40 digits that they are."""
    return np.vectorize(lambda value: Decimal(float(value)), otypes=[object])(np.asarray(values))


def levels(name: str, steps: int) -> list[tuple[Decimal, Decimal, Decimal]]:
    """Time, and shares of image and noise, from pure noise to the clean image, rounded where samplers round them."""
    if name == "rectified_flow":
        times = [1 - k / steps for k in range(steps + 1)]
        shares = [(np.float32(1) - np.float32(time), np.float32(time)) for time in times]
        return [
            (Decimal(time), Decimal(float(a)), Decimal(float(s))) for time, (a, s) in zip(times, shares, strict=True)
        ]
    kept = np.concatenate([[1.0], np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))])
    chain = [k * 1000 // steps for k in range(steps, -1, -1)]
    shares = [[Decimal(float(np.float32(value**0.5))) for value in (kept[t], 1 - kept[t])] for t in chain]
    return [(Decimal(0), a, s) for a, s in shares]


def by_hand(name: str, steps: int, images: np.ndarray, latents: np.ndarray) -> np.ndarray:
    """What images (n, d) make of latents (m, d), in 40 digits: Bayes' rule at every step, nothing left out."""
    getcontext().prec = 40
    x, images = exactly(latents), exactly(images)
    path = levels(name, steps)
    for (time, a, s), (next_time, next_a, next_s) in itertools.pairwise(path):
        squares = ((x[:, None] - a * images) ** 2).sum(axis=-1)
        weights = np.vectorize(lambda z: z.exp(), otypes=[object])(-squares / (2 * s * s))
        clean = (weights @ images) / weights.sum(axis=1, keepdims=True)
        noise = (x - a * clean) / s
        if name == "rectified_flow":
            x = x - (time - next_time) * (noise - clean)
        else:
            x = next_a * (x - s * noise) / a + next_s * noise
    return x.astype(float)


def drawn(images: int, side: int = 2, seed: int = 0) -> Split:
    """Images of noise with three labels."""
    source = np.random.default_rng(seed)
    return Split(source.integers(0, 256, (images, side, side, 1), dtype=np.uint8), np.arange(images) % 3)


def points(images: np.ndarray) -> np.ndarray:
    """Images as the network sees them, (n, d), in the float32 that it sees."""
    return (images.astype(np.float32) / np.float32(127.5) - 1).reshape(len(images), -1)


def latents_and_labels(count: int, side: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    return latents_of(count, (side, side, 1)), torch.arange(count) % 3


# --- against arithmetic in 40 digits ---


@of_processes
@pytest.mark.parametrize("steps", [1, 3, 20])
def test_samples_are_those_of_exact_arithmetic(name: str, steps: int) -> None:
    """Of images that lie close together, so that weights are shared for long, and apart, so that they soon are not."""
    latents, labels = latents_and_labels(9)
    for images in (drawn(12), Split(drawn(12).images // 16 + 100, drawn(12).labels)):
        index, samples = generate(formulation(name, steps), images, latents, labels)
        assert index.tolist() == list(range(9))
        assert samples.dtype == torch.float64
        for label in range(3):
            own = points(images.images[images.labels == label])
            expected = by_hand(name, steps, own, latents[labels == label].flatten(1).numpy())
            np.testing.assert_allclose(samples[labels == label].flatten(1).numpy(), expected, rtol=0, atol=1e-11)


@of_processes
def test_a_model_without_labels_has_all_images(name: str) -> None:
    (latents, labels), images = latents_and_labels(6), drawn(7)
    unconditional = formulation(name, 10, label_dropout=1)
    samples = generate(unconditional, images, latents, labels)[1]
    expected = by_hand(name, 10, points(images.images), latents.flatten(1).numpy())
    np.testing.assert_allclose(samples.flatten(1).numpy(), expected, rtol=0, atol=1e-11)


@of_processes
@pytest.mark.parametrize("steps", [1, 2, 16])
def test_of_one_image_every_sample_is_that_image(name: str, steps: int) -> None:
    (latents, _), image = latents_and_labels(20), drawn(1)
    _, samples = generate(formulation(name, steps), image, latents, torch.zeros(20, dtype=torch.long))
    assert (to_pixels(samples) == image.images).all()
    np.testing.assert_allclose(samples.flatten(1), np.repeat(points(image.images), 20, axis=0), atol=1e-12)


@of_processes
def test_samples_end_at_images_of_their_label_and_at_those_where_exact_arithmetic_ends(name: str) -> None:
    images, (latents, labels) = drawn(30, side=4), latents_and_labels(12, side=4)
    samples = generate(formulation(name, 30), images, latents, labels)[1].flatten(1).numpy()
    distance = np.abs(samples[:, None] - points(images.images)).max(axis=-1)
    assert distance.min(axis=1).max() < 1e-6
    ends = distance.argmin(axis=1)
    assert (images.labels[ends] == labels.numpy()).all()
    assert len(set(ends)) > 3
    for label in range(3):
        own, of_label = np.flatnonzero(images.labels == label), labels == label
        expected = by_hand(name, 30, points(images.images[own]), latents[of_label].flatten(1).numpy())
        apart = np.abs(expected[:, None] - points(images.images[own])).max(axis=-1)
        assert (own[apart.argmin(axis=1)] == ends[of_label]).all()


@of_processes
def test_an_image_that_is_there_twice_counts_twice(name: str) -> None:
    """Weights that are never one image's alone, to the end."""
    one, (latents, _) = drawn(4), latents_and_labels(5)
    twice = Split(one.images[[0, 0, 1, 2, 3]], np.zeros(5, dtype=np.int64))
    samples = generate(formulation(name, 20), twice, latents, torch.zeros(5, dtype=torch.long))[1]
    expected = by_hand(name, 20, points(twice.images), latents.flatten(1).numpy())
    np.testing.assert_allclose(samples.flatten(1).numpy(), expected, rtol=0, atol=1e-11)


# --- blocks ---


@of_processes
def test_images_and_samples_in_blocks_are_the_same_numbers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    images, (latents, labels) = drawn(50), latents_and_labels(40)
    whole = generate(formulation(name, 12), images, latents, labels)[1]
    for images_at_once, values, samples in ((1, 2**23, CHUNK), (7, 2**23, 5), (4096, 5 * 4, 3)):
        monkeypatch.setattr(empirical_sampler, "BLOCK", images_at_once)
        monkeypatch.setattr(empirical_sampler, "BLOCK_VALUES", values)
        monkeypatch.setattr(empirical_sampler, "CHUNK", samples)
        parts = generate(formulation(name, 12), images, latents, labels)[1]
        torch.testing.assert_close(parts, whole, rtol=0, atol=1e-11)


def test_of_a_set_larger_than_a_block_one_block_is_converted_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    most = 0

    def counted(pixels: torch.Tensor) -> torch.Tensor:
        nonlocal most
        most = max(most, len(pixels))
        return scaled(pixels)

    monkeypatch.setattr(empirical_sampler, "scaled", counted)
    monkeypatch.setattr(empirical_sampler, "BLOCK", 8)
    generate(formulation("ddpm", 3, label_dropout=1), drawn(50), *latents_and_labels(4))
    assert most == 8


# --- latents and labels ---


@pytest.mark.parametrize("name", ["rectified_flow", "ddpm", "unconditional_ddpm"])
def test_latents_and_labels_are_those_of_runs(name: str, digits: Path) -> None:
    """The first step from noise, with a network that predicts nothing: its sample is its latent, or a multiple."""
    data = read_images(digits)
    run = Run("id", train_size=14, base_channels=4, batch_size=4, learning_rate=1e-3, seed=0, max_steps=1, subset=1)
    asked = build_formulation({**FORMULATIONS[name], "sampling_steps": 1}, data.classes)
    network = build_network(data, run, pack_settings()["network"], asked)
    evaluator = Evaluator(data, run.training_set, {"images": 2, "samples": 20}, asked)
    latents, train = latents_of(20, data.shape), data.training_set(run.training_set)
    assert torch.equal(evaluator.latents, latents)
    grown = 1 if name == "rectified_flow" else 1 / float(asked.process.shares(torch.ones(1))[0])
    off = np.abs(evaluator(network).samples.astype(int) - to_pixels(latents * grown))
    assert off.max() <= (0 if name == "rectified_flow" else 1)
    index, _ = generate(asked, train, latents, evaluator.labels)
    assert index.tolist() == list(range(20))  # the labels of runs are those of their images


# --- the table ---


SETTINGS: dict[str, Any] = {
    "train_size": 16,
    "subsets": [0, 1],
    "formulations": [{**FORMULATIONS["rectified_flow"], "values": {}}],
    "axes": [],
    "samples": 24,
}
NAME = {"name": "formulation.name", "column": "formulation_name", "type": "string", "meaning": "process"}


def test_the_table_has_both_sets_of_every_formulation(digits: Path, tmp_path: Path) -> None:
    several = [{**FORMULATIONS[name], "values": {"formulation_name": name}} for name in PROCESSES]
    write_empirical_samples({**SETTINGS, "formulations": several, "axes": [NAME]}, digits, tmp_path / "samples.parquet")
    table = read_table(tmp_path / "samples.parquet", "empirical_samples")
    assert set(table["formulation_name"]) == set(PROCESSES)
    data = read_images(digits)
    for subset in (0, 1):
        chosen = TrainingSet(16, subset)
        of_references = {"train": data.training_set(chosen), "control": control_set(data, chosen)}
        for reference, own in of_references.items():
            of_set = (table["subset"] == subset) & (table["reference"] == reference)
            rows = table[of_set & (table["formulation_name"] == "ddpm")]
            latents, labels = latents_of(24, data.shape), torch.from_numpy(rows["label"].to_numpy())
            assert rows["index"].tolist() == list(range(24))
            assert rows["label"].tolist() == (np.unique(data.training_set(chosen).labels)[np.arange(24) % 10]).tolist()
            found = np.stack([np.frombuffer(image, np.uint8) for image in rows["image"]]).reshape(-1, *data.shape)
            expected = generate(build_formulation(FORMULATIONS["ddpm"], 10), own, latents, labels)[1]
            assert (found == to_pixels(expected)).all()


def test_a_control_set_is_sampled_on_the_labels_that_it_has(digits: Path, tmp_path: Path) -> None:
    """Of ten digits in turn, seven have three of their labels among the next seven."""
    settings = {**SETTINGS, "train_size": 7, "subsets": [0]}
    write_empirical_samples(settings, digits, tmp_path / "samples.parquet")
    table = read_table(tmp_path / "samples.parquet", "empirical_samples")
    data = read_images(digits)
    own, control = (set(data.train.labels[rows]) for rows in (slice(0, 7), slice(7, 14)))
    labels = table.groupby("reference")["label"].agg(set)
    assert labels["train"] == own
    assert labels["control"] == own & control
    assert 0 < len(own & control) < 7
    # Which sample is which stays
    both = table.pivot(index="index", columns="reference", values="label").dropna()
    assert (both["train"] == both["control"]).all()
    assert len(both) == (table["reference"] == "control").sum()


def test_a_model_without_labels_has_none_in_the_table(digits: Path, tmp_path: Path) -> None:
    formulations = [{**FORMULATIONS["unconditional_ddpm"], "values": {}}]
    write_empirical_samples({**SETTINGS, "formulations": formulations}, digits, tmp_path / "samples.parquet")
    table = read_table(tmp_path / "samples.parquet", "empirical_samples")
    assert table["label"].isna().all()
    assert len(table) == 2 * 2 * 24


def test_without_other_images_there_is_no_control(tmp_path: Path, noise_images: ImageSet) -> None:
    everything = ImageSet(noise_images.train, Split(noise_images.test.images[:0], noise_images.test.labels[:0]), "", 3)
    assert len(control_set(everything, TrainingSet(40))) == 0
    assert len(control_set(noise_images, TrainingSet(40))) == 20


def test_what_cannot_be_sampled_is_one_sentence(digits: Path, tmp_path: Path) -> None:
    guided = [{**FORMULATIONS["guided_flow"], "values": {}}]
    for changes, expected in (
        ({"formulations": guided}, "formulation.guidance: found 1.5; accepted is 0"),
        ({"subsets": [0, 90]}, "train_size: found 16 images, subset 90; accepted is at most 1297"),
    ):
        with pytest.raises(UserError, match=expected):
            write_empirical_samples({**SETTINGS, **changes}, digits, tmp_path / "samples.parquet")
    assert not (tmp_path / "samples.parquet").exists()
