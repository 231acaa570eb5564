"""The network of the bridge against single networks and closed forms, and the figures of the mixed cumulant model."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.text import Text
from memsweep.base.errors import UserError
from memsweep.figures import style
from memsweep.figures.draw import draw_figure
from memsweep.figures.mixed_cumulant import (
    mixed_cumulant_loss,
    mixed_cumulant_network,
    mixed_cumulant_overlaps,
    mixed_cumulant_scaling,
)
from memsweep.study.config import resolve
from memsweep.study.mixed_cumulant import MixedCumulant
from memsweep.tables.parquet import read_table, write_table
from memsweep.theory.mixed_cumulant.expectations import unit_theory
from memsweep.theory.mixed_cumulant.model import MixedCumulantModel
from memsweep.theory.mixed_cumulant.network import ITEMS, Networks, learn_network, linear_loss
from memsweep.theory.mixed_cumulant.network_departure import network_departure
from memsweep.theory.mixed_cumulant.recovery import unit_recovery
from memsweep.theory.mixed_cumulant.unit import learn_unit

NETWORK: dict[str, Any] = {
    "model": {"beta_u": 1, "beta_v": 8, "correlation": 0.5},
    "noise_level": 0.4,
    "dimension": 6,
    "replicas": 3,
    "width": 10,
    "batch_size": 16,
    "learning_rate": 0.01,
    "steps": 40,
    "per_decade": 4,
    "test_patterns": 128,
    "seed": 2,
}


@pytest.mark.parametrize("correlation", [0, 0.7, -1])
def test_the_linear_loss_is_that_of_a_regression(correlation: float) -> None:
    """Least squares from noisy to clean patterns, on many of them."""
    model, d, s, n = MixedCumulantModel(2, 8, correlation), 5, 0.5, 400_000
    source = torch.Generator().manual_seed(0)
    u, v = torch.eye(d)[:2]
    x = model.patterns(model.latents((n,), source), torch.randn((n, d), generator=source), u, v).double().numpy()
    noisy = math.sqrt(1 - s**2) * x + s * torch.randn((n, d), generator=source).double().numpy()
    left = x - noisy @ np.linalg.lstsq(noisy, x)[0]
    assert linear_loss(model, d, s) == pytest.approx(np.mean(left**2), rel=0.004)


def test_replicas_trained_together_are_those_trained_alone() -> None:
    """A plain two-layer network in torch.nn, on one replica's patterns, takes the same steps."""
    networks = Networks(NETWORK)
    alone = torch.nn.Sequential(torch.nn.Linear(6, 10), torch.nn.SiLU(), torch.nn.Linear(10, 6))
    with torch.no_grad():
        for parameter, weight in zip(alone.parameters(), _as_linear(networks, 1), strict=True):
            parameter.copy_(weight)
    optimiser = torch.optim.Adam(alone.parameters(), lr=0.01)
    clean: list[torch.Tensor] = []
    original = networks.losses

    def spy(x: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        clean[:] = [x[1], networks.signal * x[1] + networks.noise_level * noise[1]]
        return original(x, noise)

    networks.losses = spy  # type: ignore[method-assign]
    for _ in range(20):
        networks.advance()
        x, noisy = clean
        optimiser.zero_grad()
        (noisy + alone(noisy) - x).square().mean().backward()
        optimiser.step()
    for parameter, weight in zip(alone.parameters(), _as_linear(networks, 1), strict=True):
        torch.testing.assert_close(parameter.detach(), weight, atol=1e-5, rtol=1e-3)


def _as_linear(networks: Networks, replica: int) -> list[torch.Tensor]:
    first, first_bias, second, second_bias = (weight.detach()[replica] for weight in networks.weights)
    return [first.T, first_bias[0], second.T, second_bias[0]]


def test_before_the_first_step_the_network_is_the_identity_and_its_losses_are_known() -> None:
    networks = Networks({**NETWORK, "noise_level": 0.3})
    held_out = networks.held_out(64 * 256)
    losses = networks.evaluate(held_out)
    assert losses["test"].shape == (3, ITEMS)
    r, s = math.sqrt(1 - 0.09), 0.3
    trace = 6 + 1  # of the covariance: β_u = 1
    for side in losses.values():
        assert side.mean() == pytest.approx((r - 1) ** 2 * trace / 6 + s**2, rel=0.01)
    again = networks.held_out(64 * 256)
    assert all(torch.equal(again.clean[name], held_out.clean[name]) for name in held_out.clean)


def test_a_pattern_and_its_surrogate_differ_along_v_alone() -> None:
    networks = Networks(NETWORK)
    held_out = networks.held_out(64)
    difference = held_out.clean["test"] - held_out.clean["surrogate"]
    along = (difference * networks.v).sum(-1, keepdim=True) * networks.v
    torch.testing.assert_close(difference, along, atol=1e-5, rtol=0)
    assert float(along.abs().max()) > 0.1


def test_losses_are_the_same_however_often_they_are_made(tmp_path: Path) -> None:
    learn_network(NETWORK, tmp_path / "a")
    learn_network({**NETWORK, "steps": 20}, tmp_path / "b")
    whole, short = (read_table(tmp_path / name / "network_losses.parquet", "network_losses") for name in "ab")
    assert sorted(whole["step"].unique()) == [1, 2, 3, 6, 10, 18, 32]
    assert len(whole) == 7 * 3 * ITEMS * 2
    pd.testing.assert_frame_equal(whole[whole["step"] <= 20].reset_index(drop=True), short, check_exact=True)


def made_losses(step_of_departure: float, replica: int, noise: np.random.Generator) -> pd.DataFrame:
    """Losses of a replica whose excess is 0 and, from a step on, 0.5 / d."""
    rows = []
    for step in sorted({round(10 ** (k / 8)) for k in range(33)}):
        common = 0.1 * (1 + 0.02 * noise.standard_normal(ITEMS))
        gain = 0.5 / 8 if step > step_of_departure else 0.0
        for split, loss in (("test", common / (1 + gain)), ("surrogate", common)):
            rows.append(
                pd.DataFrame({"replica": replica, "step": step, "split": split, "item": np.arange(ITEMS), "loss": loss})
            )
    return pd.concat(rows, ignore_index=True)


def test_departures_are_found_and_censored(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    losses = pd.concat([made_losses(step, replica, noise) for replica, step in enumerate((500, 2000, 1e9))])
    write_table(tmp_path / "learn" / "d8" / "network_losses.parquet", "network_losses", losses)
    network = {
        "name": "made",
        "model": {"beta_u": 1, "beta_v": 8, "correlation": 0},
        "noise_level": 0.3,
        "batch_size": 10,
        "jobs": {"8": "d8"},
    }
    settings = {"networks": [network], "threshold": 0.2, "bootstrap": 100, "confidence": 0.95}
    network_departure(settings, tmp_path / "learn", tmp_path / "tables")
    found = read_table(tmp_path / "tables" / "network_departures.parquet", "network_departures")
    assert found["censored"].tolist() == [False, False, True]
    for row, step in zip(found.to_dict("records"), (500, 2000), strict=False):
        assert step / 1.4 < row["step"] < step * 1.4
        assert row["ci_low"] <= row["step"] <= row["ci_high"]
        assert row["samples"] == 10 * row["step"]
    fit = read_table(tmp_path / "tables" / "network_exponents.parquet", "network_exponents").iloc[0]
    assert math.isnan(fit["exponent"])  # one dimension says nothing
    assert fit["censored_replicas"] == 1


# --- figures -------------------------------------------------------------------------

STUDY: dict[str, Any] = {
    "study": "drawn",
    "kind": "mixed_cumulant",
    "experiments": [
        {"name": "both", "beta_u": 1, "beta_v": 8, "step_size": 0.3, "dimensions": [8, 12, 18, 27], "samples": 40},
        {
            "name": "joined",
            "beta_u": 1,
            "beta_v": 8,
            "correlation": 1,
            "step_size": 0.3,
            "dimensions": [8, 12],
            "samples": 40,
        },
        {"name": "short", "beta_u": 0, "beta_v": 8, "step_size": 0.3, "dimensions": [8, 12], "samples": 1},
    ],
    "networks": [
        {"name": "both", "beta_u": 1, "beta_v": 8, "dimensions": [5, 7], "steps": 20, "width": 8, "replicas": 2}
    ],
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[MixedCumulant, Path]:
    """A tiny study, run stage by stage as the workflow does."""
    folder = tmp_path_factory.mktemp("drawn")
    for experiment in STUDY["experiments"]:
        experiment["replicas"] = 16
    study = MixedCumulant(resolve(STUDY))
    for job in study.unit_jobs:
        learn_unit(json.loads(study.learn_unit(job)), folder / "learn" / job)
    for job in study.network_jobs:
        learn_network(json.loads(study.learn_network(job)), folder / "learn" / job)
    unit_theory(json.loads(study.unit_theory()), folder)
    unit_recovery(json.loads(study.unit_recovery()), folder / "learn", folder)
    network_departure(json.loads(study.network_departure()), folder / "learn", folder)
    return study, folder


def test_a_jobs_settings_do_not_depend_on_the_other_jobs() -> None:
    study = MixedCumulant(resolve(STUDY))
    fewer = {**STUDY, "experiments": [{**STUDY["experiments"][0], "dimensions": [12]}]}
    job = "experiment=both/dimension=12"
    assert MixedCumulant(resolve(fewer)).learn_unit(job) == study.learn_unit(job)
    assert list(study.unit_jobs)[:2] == ["experiment=both/dimension=8", job]


def test_the_tables_tell_of_every_experiment(drawn: tuple[MixedCumulant, Path]) -> None:
    _, folder = drawn
    times = read_table(folder / "recovery_times.parquet", "recovery_times")
    assert len(times) == 4 * 2 + 2 * 2 + 2
    short = times[times["experiment"] == "short"]
    assert (short["ci_high"] == math.inf).all()
    recoveries = read_table(folder / "recoveries.parquet", "recoveries")
    assert len(recoveries) == 16 * len(times)
    fits = read_table(folder / "recovery_exponents.parquet", "recovery_exponents")
    predicted = fits.drop_duplicates(["experiment", "spike"]).set_index(["experiment", "spike"])["predicted"]
    assert predicted.to_dict() == {
        ("both", "u"): 1,
        ("both", "v"): 3,
        ("joined", "u"): 1,
        ("joined", "v"): 1,
        ("short", "v"): 3,
    }
    overlaps = read_table(folder / "overlaps.parquet", "overlaps")
    assert (overlaps["ci_low"] <= overlaps["median"]).all()
    assert (overlaps["median"] <= overlaps["ci_high"]).all()
    assert overlaps[["low", "high"]].stack().between(0, 1).all()


@pytest.mark.parametrize(
    "module", [mixed_cumulant_overlaps, mixed_cumulant_scaling, mixed_cumulant_loss, mixed_cumulant_network]
)
def test_a_figure_draws_a_tiny_study_and_says_what_it_shows(
    module: Any, drawn: tuple[MixedCumulant, Path], tmp_path: Path
) -> None:
    study, folder = drawn
    name = module.__name__.rpartition(".")[2]
    sources = {table: folder / f"{table}.parquet" for table in module.SOURCES}
    settings = json.loads(study.figure(next(figure for figure in study.figures if figure.name == name)))
    figure = module.draw(sources, settings)
    texts = [text.get_text() for text in figure.findobj(Text)]
    assert any("independent latents" in text for text in texts)
    if module is mixed_cumulant_scaling:
        assert "no exponent: fewer than half recovered" in texts
        assert any("32 replicas, " in text for text in texts)
    style.save(figure, [tmp_path / "a.pdf"])
    assert (tmp_path / "a.pdf").stat().st_size > 5000
    with pytest.raises(UserError, match=f"figure {name}: no source for {module.SOURCES[0]}"):
        draw_figure(settings, {}, [tmp_path / "b.pdf"])
