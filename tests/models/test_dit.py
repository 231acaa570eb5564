"""The diffusion transformer against that of diffusers, an independent implementation of Peebles & Xie 2023."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from memsweep.models.dit import DiT
from memsweep.models.network import count_parameters
from torch import nn

CLASSES, DEPTH, HEADS, PATCH, WIDTH = 5, 3, 4, 2, 32


def ours(**changes: Any) -> DiT:
    """A small one, of no weights at 0."""
    torch.manual_seed(0)
    network = DiT((3, 8, 8), CLASSES, 4, **{"depth": DEPTH, "heads": HEADS, "patch": PATCH, **changes})
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.1)
    return network.eval()


def theirs() -> nn.Module:
    """That of diffusers, of the same shape."""
    diffusers = pytest.importorskip("diffusers")
    network: nn.Module = diffusers.DiTTransformer2DModel(
        num_attention_heads=HEADS,
        attention_head_dim=WIDTH // HEADS,
        in_channels=3,
        num_layers=DEPTH,
        sample_size=8,
        patch_size=PATCH,
        num_embeds_ada_norm=CLASSES - 1,  # and one for none
        norm_eps=1e-6,
    )
    return network.eval()


def copied(network: DiT, other: Any) -> None:
    """Give the other network the weights of ours."""

    def linear(target: nn.Module, weight: torch.Tensor, bias: torch.Tensor) -> None:
        target.load_state_dict({"weight": weight, "bias": bias})

    def taken(target: nn.Module, source: nn.Linear) -> None:
        linear(target, source.weight, source.bias)

    weight = network.embed.weight.view(WIDTH, 3, PATCH, PATCH)
    linear(other.pos_embed.proj, weight, network.embed.bias)
    for block, target in zip(network.blocks, other.transformer_blocks, strict=True):
        embedding, conditioning = target.norm1.emb, network.conditioning
        taken(embedding.timestep_embedder.linear_1, conditioning.time.first)
        taken(embedding.timestep_embedder.linear_2, conditioning.time.second)
        embedding.class_embedder.embedding_table.load_state_dict({"weight": conditioning.label.weight})
        # diffusers counts the waves as the paper's code does not, up to the lowest one
        embedding.time_proj.downscale_freq_shift = 0
        taken(target.norm1.linear, block.modulation)
        parts = zip(block.qkv.weight.chunk(3), block.qkv.bias.chunk(3), strict=True)
        for layer, part in zip((target.attn1.to_q, target.attn1.to_k, target.attn1.to_v), parts, strict=True):
            linear(layer, *part)
        taken(target.attn1.to_out[0], block.out)
        taken(target.ff.net[0].proj, block.first)
        taken(target.ff.net[2], block.second)
    taken(other.proj_out_1, network.modulation_out)
    taken(other.proj_out_2, network.out)


@torch.no_grad()
def test_it_predicts_what_diffusers_predicts_with_its_weights() -> None:
    network, other = ours(), theirs()
    copied(network, other)
    x, time, label = torch.randn(4, 3, 8, 8), torch.tensor([0.0, 0.25, 0.7, 1.0]), torch.tensor([0, 3, 4, 1])
    expected = other(x, timestep=1000 * time, class_labels=label).sample
    found = network(x, time, label)
    assert found.shape == expected.shape == x.shape
    assert float(expected.std()) > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_it_has_as_many_parameters() -> None:
    """But for the embedding, which each block of theirs has for itself."""
    network, other = ours(), theirs()
    embedding = count_parameters(network.conditioning)
    assert count_parameters(network) == count_parameters(other) - (DEPTH - 1) * embedding


def test_places_of_images_that_are_no_squares_tell_rows_from_columns() -> None:
    network = DiT((1, 4, 8), 2, 4)
    assert network.places.shape == (8, 32)
    assert len({tuple(place) for place in network.places.tolist()}) == 8
    x = torch.randn(2, 1, 4, 8)
    assert torch.equal(network._joined(_as_joined(network, x), x.shape), x)


def _as_joined(network: DiT, x: torch.Tensor) -> torch.Tensor:
    """Patches in the order in which they are predicted, values of a channel beside each other last."""
    cut = network._cut(x)
    return cut.view(*cut.shape[:2], x.shape[1], -1).transpose(2, 3).flatten(2)


@pytest.mark.parametrize(
    ("shape", "options", "expected"),
    [
        ((1, 8, 6), {"patch": 4}, "images of 8x6 pixels cannot be cut into patches of 4x4"),
        ((1, 8, 8), {"heads": 3}, "tokens of 32 channels cannot have 3 heads"),
    ],
)
def test_what_does_not_fit_is_refused(shape: tuple[int, int, int], options: dict[str, int], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        DiT(shape, 10, 4, **options)


def test_attention_is_laid_out_for_the_fused_kernels(attended: list[int]) -> None:
    ours()(torch.randn(2, 3, 8, 8), torch.rand(2), torch.zeros(2, dtype=torch.long))
    assert attended == [1, 1, 1, 0] * DEPTH
