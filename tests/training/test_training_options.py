"""Options of training, each by itself and all together, against a loop written out with torch, numpy and scipy."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from helpers.configs import changed
from helpers.packs import FORMULATIONS, pack_settings
from helpers.properties import examples
from hypothesis import given
from hypothesis import strategies as st
from memsweep.base.errors import UserError
from memsweep.data.images import ImageSet, to_network
from memsweep.data.randomness import BatchOrder, Draws
from memsweep.diffusion.formulation import build_formulation
from memsweep.jobs.workshop import Way, Workshop
from memsweep.study.config import resolve
from memsweep.study.grid import runs
from memsweep.study.identity import training_parameters
from memsweep.study.run import Run
from memsweep.training.trainer import Trainer, TrainingOptions
from scipy import special, stats

RUN = Run("id", train_size=10, base_channels=4, batch_size=4, learning_rate=2e-3, seed=3, max_steps=24)
OPTIONS: dict[str, dict[str, Any]] = {
    "adamw": {"optimizer": "adamw", "weight_decay": 0.5},
    "sgd": {"optimizer": "sgd"},
    "momentum": {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.5},
    "warm-up": {"warmup_steps": 5},
    "cosine": {"schedule": "cosine", "schedule_floor": 0.1},
    "flip": {"flip": True},
    "logit_normal": {"time_sampling": "logit_normal", "time_location": -0.5, "time_scale": 1.5},
    "all": {
        "optimizer": "sgd",
        "momentum": 0.5,
        "weight_decay": 0.1,
        "warmup_steps": 3,
        "schedule": "cosine",
        "flip": True,
        "time_sampling": "logit_normal",
    },
}
every_option = pytest.mark.parametrize("option", OPTIONS)


def trainer(
    data: ImageSet, formulation: str = "rectified_flow", run: Run = RUN, device: str = "cpu", **options: Any
) -> Trainer:
    learnt = build_formulation(FORMULATIONS[formulation], data.classes)
    chosen = TrainingOptions.of({"ema_decay": 0.9, **options})
    return Trainer(data, run, pack_settings()["network"], learnt, chosen, device)


def advance(trained: Trainer, steps: int) -> Trainer:
    trained.advance(steps)
    return trained


def assert_same_state(left: Trainer, right: Trainer) -> None:
    torch.testing.assert_close(left.state(), right.state(), rtol=0, atol=0)


def optimiser_of_torch(weights: list[torch.Tensor], options: TrainingOptions) -> torch.optim.Optimizer:
    settings: dict[str, Any] = {"lr": RUN.learning_rate, "foreach": False, "weight_decay": options.weight_decay}
    if options.optimizer == "sgd":
        return torch.optim.SGD(weights, momentum=options.momentum, **settings)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[options.optimizer](weights, **settings)


def share_of_rate(step: int, options: TrainingOptions) -> float:
    """The closed forms of linear warm-up and of half a cosine."""
    share = min(1.0, (step + 1) / options.warmup_steps) if options.warmup_steps else 1.0
    if options.schedule == "cosine":
        way = max(0, step - options.warmup_steps) / (RUN.max_steps - options.warmup_steps)
        share *= options.schedule_floor + (1 - options.schedule_floor) * np.cos(np.pi * way / 2) ** 2
    return float(share)


def drawn(purpose: str, step: int, count: int) -> np.ndarray:
    draws = Draws(RUN.seed, purpose)
    return draws.uniform(draws.seeds(torch.tensor(step)), count).double().numpy()


@every_option
@pytest.mark.parametrize("formulation", ["rectified_flow", "ddpm"])
def test_a_run_is_what_a_plain_loop_makes(noise_images: ImageSet, formulation: str, option: str) -> None:
    found = trainer(noise_images, formulation, **OPTIONS[option])
    options, network = found.options, copy.deepcopy(found.network)
    weights: list[torch.Tensor] = list(network.parameters())
    optimiser = optimiser_of_torch(weights, options)
    order, count = BatchOrder(RUN.seed, RUN.train_size, RUN.batch_size), RUN.batch_size
    for step in range(6):
        index = order(step).numpy()
        images = noise_images.train.images[index]
        if options.flip:
            mirrored = drawn("flips", step, count) < 0.5
            images = np.where(mirrored[:, None, None, None], images[:, :, ::-1], images)
        time = (np.arange(count) + drawn("time", step, count)) / count
        if options.time_sampling == "logit_normal":
            time = special.expit(stats.norm.ppf(time, options.time_location, options.time_scale))
        noise = Draws(RUN.seed, "noise")
        loss = found.formulation.loss(
            network,
            to_network(images),
            noise.normal(noise.seeds(torch.tensor(step)), (count, 3, 8, 8)),
            torch.from_numpy(time).float(),
            torch.from_numpy(noise_images.train.labels[index]),
        )
        optimiser.zero_grad()
        loss.mean().backward()
        optimiser.param_groups[0]["lr"] = RUN.learning_rate * share_of_rate(step, options)
        optimiser.step()
        found.advance(1)
        assert float(found._losses[step]) == pytest.approx(loss.mean().item(), rel=1e-4)
    # Where a gradient is nearly 0, Adam turns its rounding into a share of a step
    for weight, expected in zip(found.network.parameters(), weights, strict=True):
        torch.testing.assert_close(weight, expected, rtol=1e-4, atol=2e-5)


@given(
    warmup=st.integers(0, 3000),
    epochs=st.integers(10, 700),
    sizes=st.lists(st.integers(16, 200), min_size=1, max_size=3),
)
@examples(30)
def test_every_run_of_a_study_that_is_accepted_has_a_rate_at_each_of_its_steps(
    warmup: int, epochs: int, sizes: list[int]
) -> None:
    study = changed("training.budget", {"epochs": epochs})
    study["training"] |= {"schedule": "cosine", "warmup_steps": warmup}
    study["grid"]["products"] = [{"train_size": sizes, "batch_size": [8, 16]}]
    try:
        config = resolve(study)
    except UserError as error:
        assert "training.warmup_steps" in str(error)  # noqa: PT017  # most are accepted
        return
    for run in runs(config):
        schedule = TrainingOptions.of(training_parameters(config["training"])).rate_schedule(run.max_steps)
        shares = schedule.share(torch.arange(run.max_steps))
        assert (shares > 0).all()
        assert shares.max() == 1


@every_option
def test_a_resumed_run_equals_one_without_a_break(noise_images: ImageSet, option: str) -> None:
    whole = advance(trainer(noise_images, **OPTIONS[option]), 13)
    saved = copy.deepcopy(advance(trainer(noise_images, **OPTIONS[option]), 6).state())
    resumed = trainer(noise_images, **OPTIONS[option])
    resumed.restore(saved)
    assert_same_state(advance(resumed, 7), whole)


@every_option
def test_an_option_that_is_on_makes_another_run(noise_images: ImageSet, option: str) -> None:
    plain, other = advance(trainer(noise_images), 3), advance(trainer(noise_images, **OPTIONS[option]), 3)
    weights = zip(plain.network.parameters(), other.network.parameters(), strict=True)
    assert not all(torch.equal(left, right) for left, right in weights)


def test_options_at_the_values_at_which_they_are_off_change_no_bit(noise_images: ImageSet) -> None:
    off = {"optimizer": "adam", "weight_decay": 0.0, "momentum": 0.0, "warmup_steps": 0, "schedule": "constant"}
    off |= {"schedule_floor": 0.0, "flip": False, "time_sampling": "uniform", "time_location": 0.0, "time_scale": 1.0}
    assert set(off) | {"ema_decay", "precision", "gradient_clip", "accumulate"} == set(
        TrainingOptions.__dataclass_fields__
    )
    assert_same_state(advance(trainer(noise_images, **off), 4), advance(trainer(noise_images), 4))


def test_under_a_constant_rate_a_longer_run_begins_as_a_shorter_one(noise_images: ImageSet) -> None:
    longer = Run(**{**vars(RUN), "max_steps": 240})
    for options, same in (({"warmup_steps": 5}, True), ({"warmup_steps": 5, "schedule": "cosine"}, False)):
        short, long = (advance(trainer(noise_images, run=run, **options), 8).state() for run in (RUN, longer))
        assert all(torch.equal(short[name], long[name]) for name in short) == same


def test_the_state_holds_what_each_optimiser_keeps(noise_images: ImageSet) -> None:
    always = {"count", "network", "average"}
    for options, kept in (
        ({}, {"exp_avg", "exp_avg_sq", "step"}),
        ({"optimizer": "adamw", "weight_decay": 0.1}, {"exp_avg", "exp_avg_sq", "step"}),
        ({"optimizer": "sgd", "momentum": 0.9}, {"momentum_buffer"}),
        ({"optimizer": "sgd"}, set()),
    ):
        state = trainer(noise_images, **options).state()
        assert {name.partition(".")[0] for name in state} == always | kept
    with pytest.raises(ValueError, match="the training state is that of another network"):
        trainer(noise_images).restore(state)


def test_images_of_a_batch_are_mirrored_independently_with_probability_one_half() -> None:
    draws = Draws(3, "flips")
    chosen = torch.stack([draws.uniform(seed, 16) for seed in draws.seeds(torch.arange(4000))]) < 0.5
    assert stats.binomtest(int(chosen.sum()), chosen.numel()).pvalue > 1e-3
    counts = torch.bincount(chosen.sum(dim=1), minlength=17).numpy()
    expected = stats.binom.pmf(np.arange(17), 16, 0.5) * 4000
    inner = slice(3, 14)  # where enough are expected
    assert stats.chisquare(counts[inner], expected[inner] * counts[inner].sum() / expected[inner].sum()).pvalue > 1e-3
    other = Draws(3, "time")
    times = torch.stack([other.uniform(seed, 16) for seed in other.seeds(torch.arange(4000))]) < 0.5
    assert stats.binomtest(int((chosen == times).sum()), chosen.numel()).pvalue > 1e-3


@pytest.mark.parametrize("option", ["flip", "logit_normal"])
def test_evaluations_know_nothing_of_how_training_images_and_times_are_drawn(
    noise_images: ImageSet, option: str
) -> None:
    items = {}
    for name, on in (("plain", {}), ("on", OPTIONS[option])):
        settings = pack_settings(training={"budget": {"steps": 32}, "ema_decay": 0.9, **on})
        workshop = Workshop(settings, noise_images, Way(), torch.device("cpu"))
        items[name] = workshop.evaluator(Run(**settings["runs"][0])).items
    for split in ("train", "test"):
        plain, on_ = items["plain"][split], items["on"][split]
        assert all(
            torch.equal(left, right) for left, right in zip(vars(plain).values(), vars(on_).values(), strict=True)
        )
        images = getattr(noise_images, split).images[on_.index.numpy()]
        assert torch.equal(on_.clean, to_network(images))
        assert stats.kstest(on_.time.numpy(), "uniform").pvalue > 0.9  # stratified


@pytest.mark.gpu
@every_option
def test_a_graph_takes_the_steps_that_a_cpu_takes(noise_images: ImageSet, option: str) -> None:
    with torch.cuda.stream(torch.cuda.Stream()):
        graphed = advance(trainer(noise_images, device="cuda", **OPTIONS[option]), 20)
    exact = advance(trainer(noise_images, **OPTIONS[option]), 20)
    assert graphed.recent_loss() == pytest.approx(exact.recent_loss(), rel=1e-3)
    assert float(graphed._rate) == pytest.approx(float(exact._rate), rel=1e-6)
    with torch.cuda.stream(torch.cuda.Stream()):
        saved = copy.deepcopy(advance(trainer(noise_images, device="cuda", **OPTIONS[option]), 7).state())
        resumed = trainer(noise_images, device="cuda", **OPTIONS[option])
        resumed.restore(saved)
        advance(resumed, 13)
    assert resumed.recent_loss() == pytest.approx(float(graphed._losses[7:20].mean()), rel=1e-3)
