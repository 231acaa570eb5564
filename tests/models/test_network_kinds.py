"""What holds for networks of every kind."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from memsweep.models.mlp import MLP
from memsweep.models.network import Network
from memsweep.models.registry import KINDS, build
from memsweep.study import networks
from torch import Tensor, nn
from torch.nn import functional as F

NETWORKS: dict[str, dict[str, Any]] = {
    "unet": {"channel_multipliers": [1, 2], "blocks": 1, "attention_levels": [1], "head_channels": 8, "embedding": 16},
    "dit": {"kind": "dit", "dit": {"depth": 2}},
    "mlp": {"kind": "mlp", "mlp": {"blocks": 2, "embedding": 16}},
}


def made(kind: str, stirred: bool = True, dropout: float = 0.0) -> Network:
    """A small network; by default of no weights at 0."""
    settings = NETWORKS[kind]
    keys = {**settings.get(kind, settings), "dropout": dropout}
    torch.manual_seed(0)
    network = build((1, 8, 8), 10, 4, {"kind": kind, kind: keys} if kind in settings else keys)
    if stirred:
        for weight in network.parameters():
            nn.init.normal_(weight, std=0.2)
    return network


def inputs(images: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(images, 1, 8, 8, generator=generator), torch.linspace(0.1, 0.9, images), torch.arange(images)


def test_the_kinds_of_configs_are_those_that_can_be_built() -> None:
    assert set(NETWORKS) == set(KINDS) == set(networks.KINDS)


def test_images_are_laid_out_by_channels_for_the_one_with_convolutions() -> None:
    assert [kind for kind in KINDS if made(kind).channels_last] == ["unet"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_network_predicts_nothing(kind: str) -> None:
    assert not made(kind, stirred=False)(*inputs()).any()


@pytest.mark.parametrize("kind", KINDS)
def test_the_output_depends_on_image_time_and_label_of_its_own_item_only(kind: str) -> None:
    network, (x, time, label) = made(kind).eval(), inputs()
    reference = network(x, time, label)
    assert reference.shape == x.shape
    for changed in (
        network(torch.cat([x[:1] + 1, x[1:]]), time, label),
        network(x, torch.cat([time[:1] * 3, time[1:]]), label),
        network(x, time, torch.cat([label[:1] + 5, label[1:]])),
    ):
        assert not torch.allclose(changed[0], reference[0], atol=1e-3)
        torch.testing.assert_close(changed[1:], reference[1:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_in_bfloat16_it_predicts_about_the_same_and_keeps_its_angles(kind: str) -> None:
    network = made(kind).eval()
    half = network.in_precision(torch.bfloat16)
    assert {weight.dtype for weight in half.parameters()} == {torch.bfloat16}
    assert {buffer.dtype for buffer in half.buffers()} == {torch.float32}
    assert {weight.dtype for weight in network.parameters()} == {torch.float32}
    with torch.no_grad():
        whole, found = network(*inputs()), half(*inputs())
    assert found.dtype == torch.bfloat16
    assert float((found.float() - whole).norm() / whole.norm()) < 0.05


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("kind", KINDS)
def test_recomputed_activations_change_no_gradient(kind: str, dropout: float) -> None:
    found = []
    for recompute in (False, True):
        network = made(kind, dropout=dropout).train()
        network.recompute = recompute
        torch.manual_seed(1)
        network(*inputs()).square().mean().backward()
        found.append([weight.grad for weight in network.parameters()])
    assert all(torch.equal(kept, again) for kept, again in zip(*found, strict=True))


@torch.no_grad()
def test_a_perceptron_is_its_formula() -> None:
    """Written out once more, without its modules."""
    network = made("mlp").eval()
    assert isinstance(network, MLP)
    x, time, label = inputs()
    w = dict(network.named_parameters())

    def linear(name: str, values: Tensor) -> Tensor:
        return values @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def silu(values: Tensor) -> Tensor:
        return values / (1 + (-values).exp())

    def norm(values: Tensor) -> Tensor:
        return (values - values.mean(1, keepdim=True)) / (values.var(1, correction=0, keepdim=True) + 1e-6).sqrt()

    angles = time[:, None] * 1000 / 10_000 ** (torch.arange(128) / 128)
    embedding = linear("conditioning.time.first", torch.cat([angles.cos(), angles.sin()], dim=1))
    embedding = linear("conditioning.time.second", silu(embedding)) + w["conditioning.label.weight"][label]
    hidden = linear("embed", x.reshape(4, 64))
    for block in range(2):
        shift, scale = linear(f"blocks.{block}.condition", silu(embedding)).split(64, dim=1)
        inner = silu(linear(f"blocks.{block}.first", norm(hidden) * (1 + scale) + shift))
        hidden = hidden + linear(f"blocks.{block}.second", inner)
    normalised = F.layer_norm(hidden, (64,), w["norm_out.weight"], w["norm_out.bias"])
    expected = linear("out", silu(normalised)).reshape(4, 1, 8, 8)
    torch.testing.assert_close(network(x, time, label), expected, rtol=1e-4, atol=1e-3)
