from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
import yaml
from memsweep.config import resolve
from memsweep.cost import network_cost, study_cost, together
from memsweep.errors import UserError
from memsweep.estimate import print_estimate
from memsweep.grid import runs
from memsweep.unet import UNet, count_parameters
from torch import nn

CONFIG = Path(__file__).parents[1] / "config" / "config.yaml"


def unet(**changes: object) -> UNet:
    settings = {"channel_multipliers": (1, 2), "blocks": 1, "attention_levels": (), "embedding": 16, **changes}
    return UNet((3, 8, 8), 10, 8, **settings)  # type: ignore[arg-type]


def test_operations_are_those_of_the_convolutions_and_linear_layers() -> None:
    """Two for each weight of a convolution at each pixel, and for each weight of a linear layer."""
    network, flops = unet(), 0

    def count(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal flops
        weight = module.weight.numel()  # type: ignore[union-attr, operator]
        flops += 2 * weight * (output.shape[2] * output.shape[3] if output.dim() == 4 else 1)

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    network(torch.zeros(1, 3, 8, 8), torch.zeros(1), torch.zeros(1, dtype=torch.long))
    with torch.device("meta"):
        assert network_cost(unet(), (3, 8, 8)).forward_flops == pytest.approx(flops)


@pytest.mark.parametrize("attention_levels", [(), (0, 1)])
def test_activations_are_what_autograd_keeps_on_a_real_device(attention_levels: tuple[int, ...]) -> None:
    network = unet(attention_levels=attention_levels, head_channels=8)
    weights = {parameter.data_ptr() for parameter in network.parameters()}
    kept: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        network(torch.randn(16, 3, 8, 8), torch.rand(16), torch.zeros(16, dtype=torch.long))
    sizes = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in kept}
    real = sum(size for place, size in sizes.items() if place not in weights) / 16
    with torch.device("meta"):
        predicted = network_cost(unet(attention_levels=attention_levels, head_channels=8), (3, 8, 8)).saved_bytes
    # The attention kernels of the two devices keep different things
    assert predicted == pytest.approx(real, rel=0.02 if not attention_levels else 0.2)


def test_a_study_costs_what_its_runs_cost() -> None:
    config = resolve(yaml.safe_load(CONFIG.read_text()))
    everything = runs(config)
    costs = study_cost(config, everything, (1, 8, 8), 10)
    assert {size: cost.runs for size, cost in costs.items()} == {8: 1, 16: 12, 24: 1}
    with torch.device("meta"):
        network = UNet((1, 8, 8), 10, 8, **config["network"])
    forward = network_cost(network, (1, 8, 8)).forward_flops
    assert costs[8].parameters == count_parameters(network)
    assert costs[8].training_flops == pytest.approx(3 * forward * 16 * 1125)
    evaluations = 20
    assert costs[8].evaluation_flops == pytest.approx(forward * evaluations * (4 * 384 + 100 * 16))
    assert costs[8].sample_bytes == 2 * evaluations * 100 * 64
    total = together(costs.values())
    assert total.hours(1e-3) == pytest.approx((total.training_flops + total.evaluation_flops) / 1e9 / 3600)


def test_the_estimate_is_printed_by_model_size(capsys: pytest.CaptureFixture[str]) -> None:
    print_estimate(CONFIG, 0.05)
    printed = capsys.readouterr().out
    assert "digits: estimated cost at 0.05 TFLOP/s" in printed
    assert "194,321" in printed
    assert "399,897" in printed


def test_a_wrong_study_or_rate_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--tflops: found 0; accepted is greater than 0"):
        print_estimate(CONFIG, 0)
    with pytest.raises(UserError, match="No such file"):
        print_estimate(tmp_path / "no.yaml", 1)
    study = copy.deepcopy(yaml.safe_load(CONFIG.read_text()))
    study["grid"]["products"] = []
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    with pytest.raises(UserError, match=r"grid.products: found \[\]"):
        print_estimate(tmp_path / "study.yaml", 1)
