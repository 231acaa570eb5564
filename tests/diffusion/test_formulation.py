from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from hypothesis import given
from hypothesis import strategies as st
from memsweep.data.randomness import generator
from memsweep.diffusion import ddpm
from memsweep.diffusion.ddpm import DDPM
from memsweep.diffusion.denoiser import Denoiser, guided
from memsweep.diffusion.formulation import PROCESSES, Formulation, Process, build_formulation
from memsweep.diffusion.rectified_flow import RectifiedFlow
from memsweep.study.config import schema
from torch import Tensor

MEAN, STD = 0.4, 0.3


def gaussian_velocity(x: Tensor, time: Tensor, label: Tensor) -> Tensor:
    """E[z - x_0 | x_t = x] for images whose pixels are independent N(MEAN, STD²)."""
    t = time[:, None, None, None]
    variance = (1 - t) ** 2 * STD**2 + t**2
    residual = (x - (1 - t) * MEAN) / variance
    noise, clean = t * residual, MEAN + (1 - t) * STD**2 * residual
    return noise - clean


# Ho et al. 2020, section 4: β from 1e-4 to 0.02 in a straight line, and its running products
BETA = np.linspace(1e-4, 0.02, 1000)
ALPHA_BAR = np.concatenate([[1.0], np.cumprod(1 - BETA)])


def gaussian_noise(x: Tensor, time: Tensor, label: Tensor) -> Tensor:
    """E[z | x_t = x] for the same images under DDPM, at step t of 1 ... 1000."""
    kept = torch.from_numpy(ALPHA_BAR)[(time * 1000).round().long()].float()[:, None, None, None]
    return (1 - kept).sqrt() * (x - kept.sqrt() * MEAN) / (kept * STD**2 + 1 - kept)


EXACT = {"rectified_flow": gaussian_velocity, "ddpm": gaussian_noise}
processes = pytest.mark.parametrize("name", PROCESSES)


def labels(count: int) -> Tensor:
    return torch.zeros(count, dtype=torch.long)


@processes
@pytest.mark.parametrize("steps", [100, 1000])
def test_the_exact_field_of_a_gaussian_turns_noise_into_that_gaussian(name: str, steps: int) -> None:
    latents = torch.randn(2000, 1, 4, 4, generator=generator("latents"))
    images = PROCESSES[name](steps).sample(EXACT[name], latents, labels(2000))
    assert abs(images.mean().item() - MEAN) < 0.01
    assert abs(images.std().item() - STD) < (0.01 if steps == 1000 else 0.02)
    # The probability flow of a Gaussian moves each pixel by one linear map
    assert torch.corrcoef(torch.stack([images.flatten(), latents.flatten()]))[0, 1] > 0.9999


@processes
def test_the_exact_field_has_the_least_loss(name: str) -> None:
    process, exact = PROCESSES[name](1), EXACT[name]
    source = generator("pairs")
    clean = MEAN + STD * torch.randn(4000, 1, 2, 2, generator=source)
    noise, time = torch.randn(clean.shape, generator=source), torch.rand(4000, generator=source)
    best = process.loss(exact, clean, noise, time, labels(4000)).mean()
    for shift, scale in ((-0.1, 1), (0.1, 1), (0, 0.9), (0, 1.1)):
        worse = process.loss(lambda *x, s=shift, k=scale: k * exact(*x) + s, clean, noise, time, labels(4000))
        assert worse.mean() > best


def test_the_exact_noise_has_the_loss_of_the_closed_form() -> None:
    """Var[z | x_t] = ᾱ STD² / (ᾱ STD² + 1 - ᾱ), averaged over steps."""
    source = generator("pairs")
    clean = MEAN + STD * torch.randn(20_000, 1, 4, 4, generator=source)
    noise, time = torch.randn(clean.shape, generator=source), (torch.arange(20_000) + 0.5) / 20_000
    losses = DDPM(1).loss(gaussian_noise, clean, noise, time, labels(20_000))
    expected = (ALPHA_BAR * STD**2 / (ALPHA_BAR * STD**2 + 1 - ALPHA_BAR))[1:].mean()
    assert losses.mean().item() == pytest.approx(expected, rel=0.02)


def test_the_loss_of_rectified_flow_is_the_mean_square_of_the_velocity_error() -> None:
    torch.manual_seed(0)
    clean, noise = torch.randn(5, 3, 4, 4), torch.randn(5, 3, 4, 4)
    time, label = torch.rand(5), torch.arange(5)

    losses = RectifiedFlow(1).loss(by_time_and_label, clean, noise, time, label)
    for i in range(5):
        noisy = (1 - time[i]) * clean[i] + time[i] * noise[i]
        expected = ((noisy * time[i] + label[i] - (noise[i] - clean[i])) ** 2).mean()
        torch.testing.assert_close(losses[i], expected)


def test_the_loss_of_ddpm_is_the_mean_square_of_the_noise_error() -> None:
    torch.manual_seed(0)
    clean, noise = torch.randn(5, 3, 4, 4), torch.randn(5, 3, 4, 4)
    time, label = torch.tensor([0.0, 0.0015, 0.4, 0.99905, 1.0]), torch.arange(5)
    losses = DDPM(1).loss(by_time_and_label, clean, noise, time, label)
    for i, step in enumerate((1, 2, 401, 1000, 1000)):
        noisy = ALPHA_BAR[step] ** 0.5 * clean[i] + (1 - ALPHA_BAR[step]) ** 0.5 * noise[i]
        expected = ((noisy * step / 1000 + label[i] - noise[i]) ** 2).mean()
        torch.testing.assert_close(losses[i], expected)


def by_time_and_label(x: Tensor, time: Tensor, label: Tensor) -> Tensor:
    return x * time[:, None, None, None] + label[:, None, None, None]


def test_the_forward_process_is_the_composition_of_its_steps() -> None:
    """q(x_t | x_{t-1}) = N(√(1 - β_t) x_{t-1}, β_t I), eq. 2 of Ho et al., step by step."""
    signal, sigma = ddpm.scales(torch.device("cpu"))
    share, variance = 1.0, 0.0
    for step, beta in enumerate(BETA, start=1):
        share, variance = share * (1 - beta) ** 0.5, (1 - beta) * variance + beta
        assert signal[step].item() == pytest.approx(share, rel=1e-6)
        assert sigma[step].item() ** 2 == pytest.approx(variance, rel=1e-6)
    assert (signal[0], sigma[0]) == (1, 0)
    torch.testing.assert_close(signal**2 + sigma**2, torch.ones(1001))


@given(st.integers(1, 1000), st.floats(0, 1, exclude_max=True, width=32))
def test_a_time_belongs_to_the_step_that_ends_its_interval(step: int, fraction: float) -> None:
    # In hundredths of an interval, so that rounding leaves its ends where they are
    inside = 0.01 + 0.98 * fraction
    assert ddpm.step_of(torch.tensor([(step - 1 + inside) / 1000])).item() == step


def test_uniform_times_are_uniform_steps() -> None:
    steps = ddpm.step_of((torch.arange(5000) + 0.5) / 5000)
    assert steps.bincount().tolist() == [0] + [5] * 1000


def wavy(x: Tensor, time: Tensor, label: Tensor) -> Tensor:
    """A field with no special structure."""
    return torch.sin(2 * x + time[:, None, None, None]) * 0.8 + 0.1 * label[:, None, None, None]


@pytest.mark.parametrize("steps", [1, 10, 100, 1000])
def test_ddim_equals_that_of_diffusers(steps: int) -> None:
    scheduler = DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=1e-4,
        beta_end=0.02,
        beta_schedule="linear",
        clip_sample=False,
        set_alpha_to_one=True,
        timestep_spacing="trailing",
    )
    scheduler.set_timesteps(steps)
    latents, label = torch.randn(3, 1, 4, 4, generator=generator("latents")), torch.arange(3)
    x = latents
    for timestep in scheduler.timesteps.tolist():  # 0 ... 999 there
        noise = wavy(x, torch.full((3,), (timestep + 1) / 1000), label)
        x = scheduler.step(noise, timestep, x, eta=0.0).prev_sample
    torch.testing.assert_close(DDPM(steps).sample(wavy, latents, label), x, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("steps", [7, 300, 999, 1000])
def test_ddim_equals_a_loop_in_double_precision(steps: int) -> None:
    """Every step of the chain, or numbers of steps that do not divide it."""
    latents, label = torch.randn(3, 1, 4, 4, generator=generator("latents")), torch.arange(3)
    x = latents.double()
    grid = [int(k * 1000 // steps) for k in range(steps + 1)]
    assert len(set(grid)) == steps + 1
    for now, earlier in zip(grid[:0:-1], grid[-2::-1], strict=True):
        noise = wavy(x, torch.full((3,), now / 1000, dtype=torch.float64), label)
        clean = (x - (1 - ALPHA_BAR[now]) ** 0.5 * noise) / ALPHA_BAR[now] ** 0.5
        x = ALPHA_BAR[earlier] ** 0.5 * clean + (1 - ALPHA_BAR[earlier]) ** 0.5 * noise
    torch.testing.assert_close(DDPM(steps).sample(wavy, latents, label).double(), x, rtol=1e-3, atol=1e-3)


def test_euler_steps_are_those_of_a_loop() -> None:
    latents, label = torch.randn(3, 1, 4, 4, generator=generator("latents")), torch.arange(3)
    x = latents
    for time in (1.0, 0.75, 0.5, 0.25):
        x = x - 0.25 * wavy(x, torch.full((3,), time), label)
    torch.testing.assert_close(RectifiedFlow(4).sample(wavy, latents, label), x)


@processes
def test_guidance_is_the_stated_combination(name: str) -> None:
    x, time, label = torch.randn(6, 1, 2, 2), torch.rand(6), torch.arange(6)
    conditional, unconditional = wavy(x, time, label), wavy(x, time, torch.full((6,), 10))
    expected = 3.5 * conditional - 2.5 * unconditional
    torch.testing.assert_close(guided(wavy, 10, 2.5)(x, time, label), expected)
    process = PROCESSES[name](5)
    formulation = Formulation(process, classes=10, label_dropout=0.1, guidance=2.5)
    found = formulation.sample(wavy, x, label)
    torch.testing.assert_close(found, process.sample(guided(wavy, 10, 2.5), x, label))
    # Weight 0 is plain conditional sampling
    plain = Formulation(process, classes=10, label_dropout=0.1)
    torch.testing.assert_close(plain.sample(wavy, x, label), process.sample(wavy, x, label), rtol=0, atol=0)


def test_guidance_means_the_same_in_noise_and_in_velocity() -> None:
    """The combination of velocities is the velocity of the combined noise."""
    clean, noise = torch.randn(4, 1, 2, 2), torch.randn(4, 1, 2, 2)
    time = torch.tensor([0.2, 0.4, 0.6, 0.8])
    t = time[:, None, None, None]
    noisy = (1 - t) * clean + t * noise

    def velocity_of(predicted: Denoiser) -> Denoiser:
        # x_t = (1 - t) x + t z, so z - x = (z - x_t) / (1 - t)
        return lambda x, time, label: (predicted(x, time, label) - x) / (1 - time[:, None, None, None])

    label = torch.arange(4)
    left = guided(velocity_of(wavy), 10, 1.5)(noisy, time, label)
    right = velocity_of(guided(wavy, 10, 1.5))(noisy, time, label)
    torch.testing.assert_close(left, right)


@pytest.mark.parametrize("probability", [0.1, 0.5])
def test_labels_are_dropped_as_often_as_stated(probability: float) -> None:
    formulation = Formulation(RectifiedFlow(1), classes=10, label_dropout=probability)
    label = torch.arange(20_000) % 10
    found = formulation.drop_labels(label, torch.rand(20_000, generator=generator("labels")))
    dropped = found == formulation.null_label
    assert torch.equal(found[~dropped], label[~dropped])
    assert dropped.float().mean().item() == pytest.approx(probability, abs=0.015)


def test_without_label_dropout_no_label_is_added() -> None:
    formulation = Formulation(RectifiedFlow(1), classes=10)
    assert formulation.labels == 10
    assert Formulation(RectifiedFlow(1), classes=10, label_dropout=0.1).labels == 11


@processes
def test_an_unconditional_model_never_sees_a_class(name: str) -> None:
    seen = []

    def network(x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        seen.append(label)
        return torch.zeros_like(x)

    formulation = build_formulation({"name": name, "sampling_steps": 4, "label_dropout": 1, "guidance": 0}, 10)
    clean, label = torch.randn(5, 1, 2, 2), torch.arange(5)
    formulation.loss(network, clean, clean, torch.rand(5), formulation.drop_labels(label, torch.rand(5)))
    formulation.loss(network, clean, clean, torch.rand(5), label)
    formulation.sample(network, clean, label)
    assert len(seen) == 6
    assert all((labels == formulation.null_label).all() for labels in seen)


@processes
@pytest.mark.parametrize("label_dropout", [0, 0.5])
def test_a_conditional_loss_sees_the_labels_it_is_given(name: str, label_dropout: float) -> None:
    process: Process = PROCESSES[name](2)
    formulation = Formulation(process, 10, label_dropout)
    clean, noise, time = torch.randn(5, 1, 2, 2), torch.randn(5, 1, 2, 2), torch.rand(5)
    expected = process.loss(wavy, clean, noise, time, torch.arange(5))
    assert torch.equal(formulation.loss(wavy, clean, noise, time, torch.arange(5)), expected)


def test_every_name_of_the_schema_is_a_process_and_its_limit_that_of_the_chain() -> None:
    section: dict[str, Any] = schema()["properties"]["formulation"]
    assert section["properties"]["name"]["enum"] == list(PROCESSES)
    assert section["then"]["properties"]["sampling_steps"]["maximum"] == ddpm.STEPS
