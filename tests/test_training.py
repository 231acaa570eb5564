from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from conftest import pack_settings
from memsweep.evaluation import Evaluator
from memsweep.flow import squared_error
from memsweep.images import ImageSet
from memsweep.randomness import BatchOrder, generator, stratified_times
from memsweep.run import Run
from memsweep.training import Trainer

RUN = Run("id", train_size=10, base_channels=4, batch_size=4, learning_rate=2e-3, seed=3, max_steps=100)


def trainer(data: ImageSet, **network: Any) -> Trainer:
    return Trainer(data, RUN, {**pack_settings()["network"], **network}, ema_decay=0.9, device="cpu")


def advance(trained: Trainer, steps: int) -> Trainer:
    for _ in range(steps):
        trained.advance()
    return trained


def assert_same_state(left: Trainer, right: Trainer) -> None:
    """Bitwise equality of weights, averages and the optimiser's memory."""
    torch.testing.assert_close(left.state(), right.state(), rtol=0, atol=0)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_resumed_run_equals_one_without_a_break(noise_images: ImageSet, dropout: float) -> None:
    whole = advance(trainer(noise_images, dropout=dropout), 13)
    first = advance(trainer(noise_images, dropout=dropout), 6)
    saved = copy.deepcopy(first.state())
    torch.manual_seed(99)  # whatever else the process draws
    resumed = trainer(noise_images, dropout=dropout)
    resumed.restore(saved)
    assert_same_state(advance(resumed, 7), whole)


def test_a_run_is_a_function_of_its_seed(noise_images: ImageSet) -> None:
    assert_same_state(advance(trainer(noise_images), 3), advance(trainer(noise_images), 3))
    other = Trainer(noise_images, Run(**{**RUN.__dict__, "seed": 4}), pack_settings()["network"], 0.9, "cpu")
    with pytest.raises(AssertionError):
        torch.testing.assert_close(other.network.state_dict(), trainer(noise_images).network.state_dict())


def test_the_step_is_adam_on_the_denoising_loss_and_an_average_of_the_weights(noise_images: ImageSet) -> None:
    """Against Adam (Kingma & Ba 2015, algorithm 1) written out, tensor by tensor."""
    found = trainer(noise_images)
    network = copy.deepcopy(found.network)
    weights = list(network.parameters())
    average = [weight.detach().clone() for weight in weights]
    first = [torch.zeros_like(weight) for weight in weights]
    second = [torch.zeros_like(weight) for weight in weights]
    order = BatchOrder(RUN.seed, RUN.train_size, RUN.batch_size)
    for step in range(4):
        index = order(step)
        clean = torch.from_numpy(noise_images.train.images[index.numpy()]).permute(0, 3, 1, 2) / 127.5 - 1
        source = generator(RUN.seed, "step", step)
        noise = torch.randn(clean.shape, generator=source)
        time = stratified_times(RUN.batch_size, source)
        label = torch.from_numpy(noise_images.train.labels[index.numpy()])
        gradients = torch.autograd.grad(squared_error(network, clean, noise, time, label).mean(), weights)
        decay = min(0.9, (2 + step) / (11 + step))
        with torch.no_grad():
            for i, gradient in enumerate(gradients):
                first[i] = 0.9 * first[i] + 0.1 * gradient
                second[i] = 0.999 * second[i] + 0.001 * gradient**2
                corrected = first[i] / (1 - 0.9 ** (step + 1))
                scale = (second[i] / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8
                weights[i] -= RUN.learning_rate * corrected / scale
                average[i] = decay * average[i] + (1 - decay) * weights[i]
        found.advance()
    for i, (weight, mean) in enumerate(zip(found.network.parameters(), found.average.parameters(), strict=True)):
        torch.testing.assert_close(weight, weights[i], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(mean, average[i], rtol=1e-4, atol=1e-6)


def test_training_lowers_the_loss_on_the_training_images(digits: Any) -> None:
    from memsweep.images import read_images

    data = read_images(digits)
    trained = trainer(data)
    evaluator = Evaluator(data, RUN.train_size, {"images": 40, "samples": 2}, 2, "cpu")
    before = evaluator(trained.average).losses["train"].mean()
    after = evaluator(advance(trained, 100).average).losses["train"].mean()
    assert after < 0.8 * before


def test_evaluations_are_paired(noise_images: ImageSet) -> None:
    settings = {"images": 30, "samples": 7}
    network = trainer(noise_images).average
    small, large = (Evaluator(noise_images, size, settings, 2, "cpu") for size in (5, 20))
    first, again = small(network), small(network)
    np.testing.assert_array_equal(first.losses["test"], again.losses["test"])
    np.testing.assert_array_equal(first.samples, again.samples)
    # Held-out items and latents do not depend on the training set
    np.testing.assert_array_equal(first.losses["test"], large(network).losses["test"])
    np.testing.assert_array_equal(first.samples, large(network).samples)
    assert set(small.items["train"].index.tolist()) == set(range(5))


def test_an_evaluated_loss_is_that_of_its_item(noise_images: ImageSet) -> None:
    network = advance(trainer(noise_images), 2).average
    evaluator = Evaluator(noise_images, 10, {"images": 15, "samples": 2}, 2, "cpu")
    losses = evaluator(network).losses["test"]
    items = evaluator.items["test"]
    for i in (0, 7, 14):
        one = slice(i, i + 1)
        expected = squared_error(network, items.clean[one], items.noise[one], items.time[one], items.label[one])
        assert losses[i] == pytest.approx(expected.item(), rel=1e-4)
