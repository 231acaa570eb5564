from __future__ import annotations

import pytest
import torch
from memsweep.models.network import count_parameters
from memsweep.models.unet import UNet

# Marion & Wu 2026: base channels and parameter counts
PUBLISHED = {16: 2_926_690, 32: 7_929_010, 64: 25_751_890, 128: 92_670_610, 192: 201_286_610}


@pytest.mark.parametrize(("base_channels", "published"), PUBLISHED.items())
def test_parameter_counts_are_those_of_the_paper(base_channels: int, published: int) -> None:
    with torch.device("meta"):
        found = count_parameters(UNet((3, 32, 32), 10, base_channels))
    assert abs(found / published - 1) < 0.0005


def test_a_label_costs_its_embedding() -> None:
    with torch.device("meta"):
        counts = [count_parameters(UNet((3, 32, 32), labels, 16, embedding=64)) for labels in (10, 11)]
    assert counts[1] == counts[0] + 64


def small(**changes: object) -> UNet:
    torch.manual_seed(0)
    network = UNet((1, 8, 8), 10, 8, **{"channel_multipliers": (1, 2), "blocks": 1, "embedding": 16, **changes})  # type: ignore[arg-type]
    for parameter in network.parameters():  # the last convolutions start at zero
        torch.nn.init.normal_(parameter, std=0.2)
    return network.eval()


@pytest.mark.parametrize("attention_levels", [(), (1,), (0, 1)])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 8), (1, 28, 28)])
def test_the_output_has_the_shape_of_the_images(attention_levels: tuple[int, ...], shape: tuple[int, int, int]) -> None:
    network = UNet(shape, 10, 8, (1, 2), 2, attention_levels, head_channels=4, embedding=16)
    x = torch.randn(3, *shape)
    assert network(x, torch.rand(3), torch.arange(3)).shape == x.shape


def test_the_output_depends_on_image_time_and_label_of_its_own_item_only() -> None:
    network = small(attention_levels=(1,), head_channels=8)
    x, time, label = torch.randn(4, 1, 8, 8), torch.rand(4), torch.arange(4)
    reference = network(x, time, label)
    for changed in (
        network(torch.cat([x[:1] + 1, x[1:]]), time, label),
        network(x, torch.cat([time[:1] / 2, time[1:]]), label),
        network(x, time, torch.cat([label[:1] + 5, label[1:]])),
    ):
        assert not torch.allclose(changed[0], reference[0], atol=1e-3)
        torch.testing.assert_close(changed[1:], reference[1:])


def test_a_new_network_predicts_nothing() -> None:
    network = UNet((1, 8, 8), 10, 8, (1, 2), 1, (), embedding=16)
    assert not network(torch.randn(2, 1, 8, 8), torch.rand(2), torch.zeros(2, dtype=torch.long)).any()


@pytest.mark.parametrize("base_channels", [4, 20, 36, 52, 56])
def test_heads_divide_any_number_of_channels(base_channels: int) -> None:
    network = UNet((1, 8, 8), 10, base_channels, (1, 2, 3), 1, (0, 1, 2), head_channels=16, embedding=8)
    assert network(torch.randn(1, 1, 8, 8), torch.rand(1), torch.zeros(1, dtype=torch.long)).shape == (1, 1, 8, 8)


def test_images_that_cannot_be_halved_are_refused() -> None:
    with pytest.raises(ValueError, match="images of 6x6 pixels cannot be halved 2 times"):
        UNet((1, 6, 6), 10, 8)


def test_attention_is_laid_out_for_the_fused_kernels(attended: list[int]) -> None:
    """They want a head's channels side by side; torch silently takes its slowest kernel otherwise."""
    network = UNet((3, 8, 8), 4, 16, channel_multipliers=(1, 2), blocks=1, attention_levels=(1,), embedding=8)
    network(torch.randn(2, 3, 8, 8), torch.rand(2), torch.zeros(2, dtype=torch.long))
    assert attended == [1, 1, 1, 0] * (len(attended) // 4)
    assert attended
