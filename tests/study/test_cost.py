from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from helpers.configs import ROOT, once
from memsweep.base.errors import UserError
from memsweep.models.network import count_parameters
from memsweep.models.registry import build
from memsweep.models.unet import UNet
from memsweep.report.estimate import print_estimate
from memsweep.study.config import resolve
from memsweep.study.cost import kept_by_optimiser, study_cost, together
from memsweep.study.grid import kinds_of_runs, runs
from memsweep.study.identity import training_parameters
from memsweep.study.network_cost import network_cost
from memsweep.study.networks import network_settings
from memsweep.training.optimisation import build_optimiser
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

CONFIG = ROOT / "config" / "config.yaml"


NETWORKS = [
    {"channel_multipliers": (1, 2), "blocks": 1, "attention_levels": (), "head_channels": 64, "embedding": 16},
    {"channel_multipliers": (1, 2, 4), "blocks": 3, "attention_levels": (1, 2), "head_channels": 64, "embedding": 64},
    {"channel_multipliers": (1, 3), "blocks": 2, "attention_levels": (0, 1), "head_channels": 8, "embedding": 32},
    {"channel_multipliers": (2,), "blocks": 1, "attention_levels": (0,), "head_channels": 12, "embedding": 16},
    {"kind": "dit", "dit": {"patch": 2, "width": 8, "depth": 2, "heads": 4, "mlp_ratio": 4}},
    {"kind": "dit", "dit": {"patch": 4, "width": 6, "depth": 3, "heads": 2, "mlp_ratio": 2}},
    {"kind": "mlp", "mlp": {"width": 16, "blocks": 3, "embedding": 24}},
]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("base_channels", [8, 20])
def test_a_network_costs_what_torch_counts(network: dict[str, Any], base_channels: int) -> None:
    shape, batch = (3, 16, 8), 4
    built = build(shape, 10, base_channels, network)
    weights = {parameter.data_ptr() for parameter in built.parameters()}
    kept: list[torch.Tensor] = []

    def remember(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(remember, lambda tensor: tensor)
    inputs = torch.randn(batch, *shape), torch.rand(batch), torch.zeros(batch, dtype=torch.long)
    with hooks:
        built(*inputs)
    # torch counts the products of this kernel alone
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        built(*inputs)
    sizes = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in kept}
    cost = network_cost(shape, 10, base_channels, network)
    assert cost.parameters == count_parameters(built)
    assert cost.forward_flops == counter.get_total_flops() / batch
    activations = sum(size for place, size in sizes.items() if place not in weights) / batch
    assert cost.saved_bytes == pytest.approx(activations, rel=0.02)


@pytest.mark.parametrize("network", NETWORKS[-3:])
def test_an_evaluation_takes_less_than_training(network: dict[str, Any]) -> None:
    cost = network_cost((3, 16, 8), 10, 8, network)
    assert 0 < cost.forward_bytes < cost.saved_bytes


@pytest.mark.parametrize("base_channels", [16, 32, 64, 128, 192])
def test_the_networks_of_the_paper_have_its_parameters(base_channels: int) -> None:
    config = resolve(yaml.safe_load((CONFIG.parent / "cifar10.yaml").read_text()))
    cost = network_cost((3, 32, 32), 10, base_channels, config["network"])
    with torch.device("meta"):
        assert cost.parameters == count_parameters(
            UNet((3, 32, 32), 10, base_channels, **network_settings(config["network"]))
        )


def test_a_study_costs_what_its_runs_cost() -> None:
    config = resolve(yaml.safe_load(CONFIG.read_text()))
    everything = runs(config)
    costs = study_cost(config, once(everything), (1, 8, 8), 10)
    assert {size: cost.runs for size, cost in costs.items()} == {"8": 1, "16": 15, "24": 1}
    network = network_cost((1, 8, 8), 10, 8, config["network"])
    forward = network.forward_flops
    assert costs["8"].parameters == network.parameters
    assert costs["8"].training_flops == pytest.approx(3 * forward * 16 * 1125)
    evaluations = 20
    assert costs["8"].evaluation_flops == pytest.approx(forward * evaluations * (4 * 256 + 100 * 16))
    assert costs["8"].sample_bytes == 2 * evaluations * 100 * 64
    # Where labels are dropped the network knows one more, and has an embedding of it
    config["formulation"]["label_dropout"] = 0.1
    with_null = study_cost(config, once(everything), (1, 8, 8), 10)["8"]
    assert with_null.parameters - network.parameters == config["network"]["embedding"]
    total = together(costs.values())
    assert total.hours(1e-3) == pytest.approx((total.training_flops + total.evaluation_flops) / 1e9 / 3600)


def test_what_is_not_sampled_kept_or_computed_at_once_costs_nothing() -> None:
    study = yaml.safe_load(CONFIG.read_text())
    whole = together(study_cost(resolve(study), once(runs(resolve(study))), (1, 8, 8), 10).values())
    study["evaluation"]["sample_every"] = 2
    study["training"] |= {"keep_states": False, "accumulate": 4}
    sparing = together(study_cost(resolve(study), once(runs(resolve(study))), (1, 8, 8), 10).values())
    assert sparing.sample_bytes == whole.sample_bytes / 2
    assert sparing.loss_bytes == whole.loss_bytes
    assert sparing.checkpoint_bytes == 0
    assert sparing.memory_bytes < 0.7 * whole.memory_bytes
    study["training"]["keep_averages"] = True
    for keeping in study_cost(resolve(study), once(runs(resolve(study))), (1, 8, 8), 10).values():
        sampled = keeping.sample_bytes / (2 * 100 * 64)  # evaluations with images: two copies of 100 of 8x8 pixels
        assert keeping.checkpoint_bytes == 4 * keeping.parameters * sampled
    study["formulation"] |= {"guidance": 1, "label_dropout": 0.1}
    guided = together(study_cost(resolve(study), once(runs(resolve(study))), (1, 8, 8), 10).values())
    assert guided.evaluation_flops > 1.3 * sparing.evaluation_flops
    assert guided.training_flops == pytest.approx(sparing.training_flops, rel=0.01)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, 2),
        ({"optimizer": "adamw", "weight_decay": 0.1}, 2),
        ({"optimizer": "sgd", "momentum": 0.9}, 1),
        ({"optimizer": "sgd"}, 0),
    ],
)
def test_what_an_optimiser_keeps_is_counted_as_it_is_kept(options: dict[str, Any], kept: int) -> None:
    study = yaml.safe_load(CONFIG.read_text())
    plain = study_cost(resolve(study), once(runs(resolve(study))), (1, 8, 8), 10)["8"]
    study["training"] |= options
    config = resolve(study)
    found = study_cost(config, once(runs(config)), (1, 8, 8), 10)["8"]
    assert kept_by_optimiser(training_parameters(config["training"])) == kept
    assert plain.memory_bytes - found.memory_bytes == (2 - kept) * 4 * found.parameters
    assert found.checkpoint_bytes == (2 + kept) * 4 * found.parameters
    weights = [torch.zeros(5, requires_grad=True)]
    optimiser = build_optimiser(weights, config["training"]["optimizer"], 0.1, momentum=config["training"]["momentum"])
    assert sum(tensor.numel() for tensor in optimiser.state[weights[0]].values() if tensor.ndim) == 5 * kept


def test_the_estimate_is_printed_by_model_size(capsys: pytest.CaptureFixture[str]) -> None:
    print_estimate(CONFIG, 0.05)
    printed = capsys.readouterr().out
    assert "digits: estimated cost at 0.05 TFLOP/s" in printed
    assert "194,321" in printed
    assert "399,897" in printed
    study = yaml.safe_load(CONFIG.read_text())
    shares = []
    for every in (1, 4):
        config = resolve({**study, "evaluation": {**study["evaluation"], "sample_every": every}})
        total = together(study_cost(config, once(runs(config)), (1, 8, 8), 10).values())
        shares.append(f"{total.evaluation_flops / (total.evaluation_flops + total.training_flops):.0%}")
    assert f"Evaluations are {shares[0]} of all operations" in " ".join(printed.split())
    assert f"with evaluation.sample_every: 4 they are {shares[1]}." in " ".join(printed.split())


def test_the_estimate_of_a_network_of_ones_own_is_what_was_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text("from memsweep.models.mlp import MLP as Net\n")
    study = {**yaml.safe_load(CONFIG.read_text()), "network": {"kind": "net.py:Net"}}
    study["grid"]["products"] = [{"seed": [0]}]
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    print_estimate(tmp_path / "study.yaml", 1)
    own = capsys.readouterr().out
    study["network"] = {"kind": "mlp"}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    print_estimate(tmp_path / "study.yaml", 1)
    cells = [
        next(line.split() for line in text.splitlines() if " all " in line) for text in (own, capsys.readouterr().out)
    ]
    assert cells[0][:6] == cells[1][:6]


def test_a_wrong_study_or_rate_is_a_sentence(tmp_path: Path) -> None:
    for rate in (0, -1, 1e-320, 1e300, float("inf"), float("nan")):
        with pytest.raises(UserError, match=rf"--tflops: found {rate:g}".replace("+", r"\+")):
            print_estimate(CONFIG, rate)
    with pytest.raises(UserError, match="No such file"):
        print_estimate(tmp_path / "no.yaml", 1)
    study = copy.deepcopy(yaml.safe_load(CONFIG.read_text()))
    study["grid"]["products"] = []
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    with pytest.raises(UserError, match=r"grid.products: found \[\]"):
        print_estimate(tmp_path / "study.yaml", 1)


def test_runs_that_cost_as_much_are_counted_once() -> None:
    config = resolve(yaml.safe_load((CONFIG.parent / "cifar10_factorial.yaml").read_text()))
    every, kinds = runs(config), kinds_of_runs(config)
    assert sum(count for _, count in kinds) == len(every)
    assert len(kinds) < len(every)
    one_by_one, counted = (study_cost(config, part, (3, 32, 32), 10) for part in (once(every), kinds))
    assert one_by_one == counted


def test_a_study_that_is_no_sweep_has_no_estimate() -> None:
    path = CONFIG.parent / "mixed_cumulant.yaml"
    with pytest.raises(UserError, match=f"{path}: found kind 'mixed_cumulant'; accepted is sweep, the one whose cost"):
        print_estimate(path, 1)
