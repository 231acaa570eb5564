from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.packs import FORMULATIONS, pack_settings
from memsweep.base.errors import UserError
from memsweep.data.images import ImageSet, Split, read_images
from memsweep.data.randomness import BatchOrder, Draws, stratified_times
from memsweep.diffusion.formulation import Formulation, build_formulation
from memsweep.study.run import Run
from memsweep.study.training_sets import TrainingSet
from memsweep.training.evaluation import Evaluator
from memsweep.training.trainer import WINDOW, Trainer, TrainingOptions

RUN = Run("id", train_size=10, base_channels=4, batch_size=4, learning_rate=2e-3, seed=3, max_steps=100)


formulations = pytest.mark.parametrize("formulation", FORMULATIONS)


def of_name(formulation: str, data: ImageSet) -> Formulation:
    return build_formulation(FORMULATIONS[formulation], data.classes)


def trainer(
    data: ImageSet,
    formulation: str = "rectified_flow",
    run: Run = RUN,
    options: TrainingOptions = TrainingOptions(ema_decay=0.9),  # noqa: B008  # it cannot change
    recompute: bool = False,
    device: str = "cpu",
    **network: Any,
) -> Trainer:
    settings = {**pack_settings()["network"], **network}
    return Trainer(data, run, settings, of_name(formulation, data), options, device, recompute=recompute)


def advance(trained: Trainer, steps: int) -> Trainer:
    trained.advance(steps)
    return trained


def memory(trained: Trainer) -> list[torch.Tensor]:
    """Adam's first moments."""
    return [tensor for name, tensor in trained.state().items() if name.startswith("exp_avg.")]


def assert_same_state(left: Trainer, right: Trainer) -> None:
    """Bitwise equality of weights, averages and the optimiser's memory."""
    torch.testing.assert_close(left.state(), right.state(), rtol=0, atol=0)


@formulations
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_resumed_run_equals_one_without_a_break(noise_images: ImageSet, formulation: str, dropout: float) -> None:
    whole = advance(trainer(noise_images, formulation, dropout=dropout), 13)
    first = advance(trainer(noise_images, formulation, dropout=dropout), 6)
    saved = copy.deepcopy(first.state())
    torch.manual_seed(99)  # whatever else the process draws
    resumed = trainer(noise_images, formulation, dropout=dropout)
    resumed.restore(saved)
    assert_same_state(advance(resumed, 7), whole)


def test_a_run_is_a_function_of_its_seed(noise_images: ImageSet) -> None:
    assert_same_state(advance(trainer(noise_images), 3), advance(trainer(noise_images), 3))
    other = trainer(noise_images, run=Run(**{**RUN.__dict__, "seed": 4}))
    with pytest.raises(AssertionError):
        torch.testing.assert_close(other.network.state_dict(), trainer(noise_images).network.state_dict())


@pytest.mark.parametrize("formulation", ["rectified_flow", "guided_ddpm"])
def test_the_step_is_adam_on_the_denoising_loss_and_an_average_of_the_weights(
    noise_images: ImageSet, formulation: str
) -> None:
    """Against Adam (Kingma & Ba 2015, algorithm 1) written out, tensor by tensor."""
    found = trainer(noise_images, formulation)
    network = copy.deepcopy(found.network)
    weights = list(network.parameters())
    average = [weight.detach().clone() for weight in weights]
    first = [torch.zeros_like(weight) for weight in weights]
    second = [torch.zeros_like(weight) for weight in weights]
    order = BatchOrder(RUN.seed, RUN.train_size, RUN.batch_size)
    for step in range(4):
        index = order(step)
        clean = torch.from_numpy(noise_images.train.images[index.numpy()]).permute(0, 3, 1, 2) / 127.5 - 1
        at = torch.tensor(step)
        noise, time, dropped = (Draws(RUN.seed, purpose) for purpose in ("noise", "time", "labels"))
        noise = noise.normal(noise.seeds(at), clean.shape)
        time = stratified_times(time.uniform(time.seeds(at), RUN.batch_size))
        label = torch.from_numpy(noise_images.train.labels[index.numpy()])
        label = found.formulation.drop_labels(label, dropped.uniform(dropped.seeds(at), RUN.batch_size))
        loss = found.formulation.loss(network, clean, noise, time, label).mean()
        gradients = torch.autograd.grad(loss, weights)
        decay = min(0.9, (2 + step) / (11 + step))
        with torch.no_grad():
            for i, gradient in enumerate(gradients):
                first[i] = 0.9 * first[i] + 0.1 * gradient
                second[i] = 0.999 * second[i] + 0.001 * gradient**2
                corrected = first[i] / (1 - 0.9 ** (step + 1))
                scale = (second[i] / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8
                weights[i] -= RUN.learning_rate * corrected / scale
                average[i] = decay * average[i] + (1 - decay) * weights[i]
        found.advance(1)
    # Where a gradient is nearly 0, Adam turns its rounding into a share of a step, here of 2e-3
    for i, (weight, mean) in enumerate(zip(found.network.parameters(), found.average.parameters(), strict=True)):
        torch.testing.assert_close(weight, weights[i], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(mean, average[i], rtol=1e-4, atol=1e-5)


def test_dropped_labels_leave_batches_noise_and_times_as_they_are(noise_images: ImageSet) -> None:
    """Two runs that differ in dropped labels only are paired."""
    seen: dict[str, list[torch.Tensor]] = {"rectified_flow": [], "guided_flow": []}
    for name, inputs in seen.items():
        trained = trainer(noise_images, name)
        trained.network.register_forward_pre_hook(lambda _, given, inputs=inputs: inputs.extend(given))
        advance(trained, 12)
    for position in (0, 1):  # noisy images and times
        for left, right in zip(seen["rectified_flow"][position::3], seen["guided_flow"][position::3], strict=True):
            assert torch.equal(left, right)
    assert not (torch.cat(seen["rectified_flow"][2::3]) == noise_images.classes).any()
    assert 0 < (torch.cat(seen["guided_flow"][2::3]) == noise_images.classes).float().mean() < 0.5


@pytest.mark.parametrize("formulation", ["rectified_flow", "ddpm"])
def test_training_lowers_the_loss_on_the_training_images(digits: Any, formulation: str) -> None:
    data = read_images(digits)
    trained = trainer(data, formulation)
    evaluator = Evaluator(data, RUN.training_set, {"images": 40, "samples": 2}, trained.formulation)
    before = evaluator(trained.average).losses["train"].mean()
    after = evaluator(advance(trained, 100).average).losses["train"].mean()
    assert after < 0.8 * before


def test_evaluations_are_paired(noise_images: ImageSet) -> None:
    settings = {"images": 30, "samples": 7}
    network, formulation = trainer(noise_images).average, of_name("rectified_flow", noise_images)
    small, large = (Evaluator(noise_images, TrainingSet(size), settings, formulation) for size in (5, 20))
    first, again = small(network), small(network)
    np.testing.assert_array_equal(first.losses["test"], again.losses["test"])
    np.testing.assert_array_equal(first.samples, again.samples)
    # Held-out items and latents do not depend on the training set
    np.testing.assert_array_equal(first.losses["test"], large(network).losses["test"])
    np.testing.assert_array_equal(first.samples, large(network).samples)
    assert set(small.items["train"].index.tolist()) == set(range(5))


def test_only_labels_that_were_trained_are_evaluated(noise_images: ImageSet) -> None:
    """A network says nothing of a label that it never saw; a model without labels is shown every image."""
    labels = noise_images.train.labels.copy()
    labels[:5] = [0, 2, 2, 0, 0]
    data = replace(noise_images, train=Split(noise_images.train.images, labels))
    settings = {"images": 30, "samples": 7}
    evaluator = Evaluator(data, TrainingSet(5), settings, of_name("rectified_flow", data))
    rows = np.flatnonzero(data.test.labels != 1)
    assert 0 < len(rows) < len(data.test)
    np.testing.assert_array_equal(evaluator.items["test"].index, np.resize(rows, 30))
    np.testing.assert_array_equal(evaluator.items["test"].label, data.test.labels[np.resize(rows, 30)])
    assert set(evaluator.labels.tolist()) == {0, 2}
    whole = Evaluator(data, TrainingSet(5), settings, of_name("unconditional_ddpm", data)).items["test"]
    assert set(whole.index.tolist()) == set(range(len(data.test)))
    # Noise and times are those of every other training set
    assert torch.equal(whole.noise, evaluator.items["test"].noise)
    assert torch.equal(whole.time, evaluator.items["test"].time)
    none = replace(data, test=Split(data.test.images, np.ones_like(data.test.labels)))
    with pytest.raises(UserError, match="5 images with the labels 0, 2, of which the split test has none"):
        Evaluator(none, TrainingSet(5), settings, of_name("rectified_flow", none))


@formulations
def test_an_evaluated_loss_is_that_of_its_item(noise_images: ImageSet, formulation: str) -> None:
    trained = advance(trainer(noise_images, formulation), 2)
    network, process = trained.average, trained.formulation.process
    evaluator = Evaluator(noise_images, TrainingSet(10), {"images": 15, "samples": 2}, trained.formulation)
    losses = evaluator(network).losses["test"]
    items = evaluator.items["test"]
    for i in (0, 7, 14):
        one = slice(i, i + 1)
        # With the image's label, also where some are dropped in training; a model without labels has none
        label = items.label[one] if formulation != "unconditional_ddpm" else torch.tensor([noise_images.classes])
        expected = process.loss(network, items.clean[one], items.noise[one], items.time[one], label)
        assert losses[i] == pytest.approx(expected.item(), rel=1e-4)


def test_the_order_of_images_goes_on_where_a_window_ends(noise_images: ImageSet) -> None:
    """Also in a run that is resumed in the middle of one."""
    run = Run("id", train_size=10, base_channels=4, batch_size=1, learning_rate=1e-5, seed=3, max_steps=1000)
    whole, seen = trainer(noise_images, run=run), []
    whole.network.register_forward_pre_hook(lambda _, given: seen.append(given[2]))
    advance(whole, WINDOW - 3)
    resumed = trainer(noise_images, run=run)
    resumed.restore(copy.deepcopy(whole.state()))
    assert_same_state(advance(resumed, 9), advance(whole, 9))
    order = BatchOrder(run.seed, run.train_size, run.batch_size)
    assert resumed.recent_loss() != whole.recent_loss()  # it knows only of its own steps
    labels = [noise_images.train.labels[order(step).numpy()].tolist() for step in range(WINDOW + 6)]
    assert [label.tolist() for label in seen] == labels


def test_the_recent_loss_is_the_mean_of_the_batches_since_a_run_was_built_or_resumed(noise_images: ImageSet) -> None:
    trained, seen = trainer(noise_images), []
    assert np.isnan(trained.recent_loss())
    for _ in range(WINDOW + 40):
        advance(trained, 1)
        seen.append(trained.recent_loss() if trained.step == 1 else float(trained._losses[(trained.step - 1) % WINDOW]))
    assert trained.recent_loss() == pytest.approx(np.mean(seen[-WINDOW:]), rel=1e-5)
    resumed = trainer(noise_images)
    resumed.restore(copy.deepcopy(trained.state()))
    assert np.isnan(resumed.recent_loss())
    assert advance(resumed, 2).recent_loss() == pytest.approx(np.mean([float(x) for x in resumed._losses[40:42]]))


def test_recomputed_activations_change_no_bit(noise_images: ImageSet) -> None:
    for dropout in (0.0, 0.3):
        kept = advance(trainer(noise_images, dropout=dropout), 5)
        assert_same_state(advance(trainer(noise_images, dropout=dropout, recompute=True), 5), kept)


def test_a_batch_in_parts_has_the_gradient_of_the_whole(noise_images: ImageSet) -> None:
    whole, parts = (trainer(noise_images, options=TrainingOptions(0.9, accumulate=count)) for count in (1, 3))
    advance(whole, 1), advance(parts, 1)
    assert parts.recent_loss() == pytest.approx(whole.recent_loss(), rel=1e-6)
    for left, right in zip(memory(whole), memory(parts), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-7)


def test_parts_in_bfloat16_are_added_in_float32(noise_images: ImageSet) -> None:
    """The gradient of a batch in parts is the sum of those that each part has by itself, which are bfloat16 numbers."""
    options = TrainingOptions(0.9, precision="bfloat16", accumulate=3)
    found = trainer(noise_images, options=options)
    advance(found, 3)  # so that the last layer is no longer 0
    reference = trainer(noise_images, options=options)
    reference.restore(copy.deepcopy(found.state()))
    parts: list[list[torch.Tensor]] = []
    take_over = reference._take_over_gradients

    def remembered() -> None:
        parts.append([weight.grad.float() for weight in reference._working_weights if weight.grad is not None])
        take_over()

    reference._take_over_gradients = remembered  # type: ignore[method-assign]
    before = copy.deepcopy(memory(reference))
    advance(reference, 1)
    assert len(parts) == 3
    for new, old, *gradients in zip(memory(reference), before, *parts, strict=True):
        torch.testing.assert_close(new, 0.9 * old + 0.1 * sum(gradients), rtol=1e-5, atol=1e-9)


def test_tf32_is_float32_on_a_cpu(noise_images: ImageSet) -> None:
    rounded = trainer(noise_images, options=TrainingOptions(0.9, precision="tf32"))
    assert_same_state(advance(rounded, 5), advance(trainer(noise_images), 5))


def test_a_gradient_is_no_longer_than_allowed(noise_images: ImageSet) -> None:
    free, clipped = (trainer(noise_images, options=TrainingOptions(0.9, gradient_clip=clip)) for clip in (0.0, 0.01))
    advance(free, 1), advance(clipped, 1)
    # Adam's first moment is a tenth of the first gradient
    lengths = [torch.cat([each.flatten() for each in memory(t)]).norm() * 10 for t in (free, clipped)]
    assert lengths[0] > 0.02
    assert lengths[1].item() == pytest.approx(0.01, rel=1e-3)
    for left, right in zip(memory(free), memory(clipped), strict=True):
        torch.testing.assert_close(left * 0.01 / lengths[0], right, rtol=1e-3, atol=1e-9)


def test_bfloat16_trains_float32_weights_to_about_the_same_loss(noise_images: ImageSet) -> None:
    options = TrainingOptions(0.9, precision="bfloat16")
    found, exact = advance(trainer(noise_images, options=options), 60), advance(trainer(noise_images), 60)
    assert all(tensor.dtype == torch.float32 for name, tensor in found.state().items() if name != "count")
    assert found.recent_loss() == pytest.approx(exact.recent_loss(), rel=0.02)
    # Updates far below what bfloat16 resolves, 2^-9 of a weight, are not lost
    moved = [
        (weight - start).abs().max()
        for weight, start in zip(found.network.parameters(), trainer(noise_images).network.parameters(), strict=True)
    ]
    assert all(move > 0 for move in moved)
    resumed = trainer(noise_images, options=options)
    resumed.restore(copy.deepcopy(found.state()))
    assert_same_state(advance(resumed, 3), advance(found, 3))


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("network", [{}, {"kind": "dit", "dit": {"depth": 2}}, {"kind": "mlp", "mlp": {"blocks": 2}}])
def test_a_graph_takes_the_steps_that_a_cpu_takes(
    noise_images: ImageSet, precision: str, network: dict[str, Any]
) -> None:
    options = TrainingOptions(0.9, precision=precision)
    with torch.cuda.stream(torch.cuda.Stream()):
        graphed = advance(trainer(noise_images, options=options, device="cuda", **network), 20)
    exact = advance(trainer(noise_images, options=options, **network), 20)
    assert graphed.recent_loss() == pytest.approx(exact.recent_loss(), rel=1e-3 if precision == "float32" else 2e-2)
    assert graphed.step == int(graphed.state()["count"]) == 20


@pytest.mark.gpu
def test_a_run_resumed_on_a_gpu_equals_one_without_a_break(noise_images: ImageSet) -> None:
    torch.use_deterministic_algorithms(True)
    try:
        with torch.cuda.stream(torch.cuda.Stream()):
            whole = advance(trainer(noise_images, device="cuda"), 30)
            first = advance(trainer(noise_images, device="cuda"), 11)
            resumed = trainer(noise_images, device="cuda")
            resumed.restore(copy.deepcopy(first.state()))
            assert_same_state(advance(resumed, 19), whole)
    finally:
        torch.use_deterministic_algorithms(False)
