"""The kinds of network, and the network that a job's settings describe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .dit import DiT
from .mlp import MLP
from .network import Network
from .own import own_network
from .unet import UNet

# As `study.networks` and the costs of `study.network_cost` know them
KINDS: Mapping[str, Callable[..., Network]] = {"unet": UNet, "dit": DiT, "mlp": MLP}


def build(image_shape: tuple[int, int, int], classes: int, base_channels: int, network: Mapping[str, Any]) -> Network:
    """A new network; its weights are drawn from torch's own state.

    Args:
        image_shape: (channels, height, width).
        classes: number of labels.
        base_channels: the model size.
        network: its kind and keys, as `study.networks.network_settings` and `study.networks.located` write them: those
            of a U-Net alone, of another kind below its name, of the user's own below ``own``.

    Raises:
        ValueError: such images are none for such a network.
        UserError: the user's own network cannot be made.
    """
    if "source" in network:
        return own_network(image_shape, classes, base_channels, network)
    kind = network.get("kind", "unet")
    keys = network if kind == "unet" else network[kind]
    return KINDS[kind](image_shape, classes, base_channels, **keys)
