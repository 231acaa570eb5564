"""What one network costs: parameters, operations and memory, counted from its settings alone.

So the workflow can ask for time and memory without loading torch. Of a network of the user's own nobody knows what it
costs: it is measured once, in a process of its own, and what was found is kept beside the results.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

from ..base.errors import UserError
from ..base.files import read_json, write_json
from ..base.sealed import Damaged
from .networks import is_built_in, kind_of, network_file, network_settings, options

FLOAT = 4  # bytes of a float32
# Waves of the time embedding of `conditioning.TimeEmbedding`
WAVES = 256
CACHE = Path("results/cache/networks")


@dataclass(frozen=True)
class NetworkCost:
    """What one network costs.

    Attributes:
        parameters: P.
        forward_flops: floating-point operations (a multiplication and an addition are two) of one
            image's forward pass.
        saved_bytes: activations that one image keeps for the backward pass, float32.
        forward_bytes: activations that one image takes at most at once where nothing is kept for a backward
            pass, float32.
    """

    parameters: int
    forward_flops: float
    saved_bytes: float
    forward_bytes: float


def network_cost(
    image_shape: tuple[int, int, int], labels: int, base_channels: int, network: Mapping[str, Any]
) -> NetworkCost:
    """Count the operations and activations of a network.

    Args:
        image_shape: (channels, height, width).
        labels: number of labels.
        base_channels: the model size.
        network: the config's section of that name, or what a job is told of it.

    Raises:
        UserError: a network of the user's own cannot be measured, or does not keep the contract.
    """
    if is_built_in(network):
        return _COUNTED[kind_of(network)](image_shape, labels, base_channels, options(network))
    return _measured(image_shape, labels, base_channels, network)


class _Count:
    """Adds up parameters, operations and saved values of layers, each at a number of pixels."""

    def __init__(self, embedding: int) -> None:
        self.embedding = embedding
        self.parameters = 0
        self.operations = 0
        self.saved = 0

    def keep(self, channels: int, pixels: int) -> None:
        """Values that the backward pass needs."""
        self.saved += channels * pixels

    def linear(self, inputs: int, outputs: int) -> None:
        self.parameters += (inputs + 1) * outputs
        self.operations += 2 * inputs * outputs

    def convolution(self, inputs: int, outputs: int, width: int, pixels: int) -> None:
        """A convolution with its input, which it keeps; ``pixels``: of the output."""
        self.parameters += (width**2 * inputs + 1) * outputs
        self.operations += 2 * width**2 * inputs * outputs * pixels

    def norm(self, channels: int, pixels: int) -> None:
        """A group normalisation with scale and shift, which keeps its input."""
        self.parameters += 2 * channels
        self.keep(channels, pixels)

    def conditioned_norm(self, channels: int, pixels: int) -> None:
        """Its scale and shift are linear in the embedding; the input, the normalised input and 1 + scale are kept."""
        self.linear(self.embedding, 2 * channels)
        self.keep(2 * channels, pixels)
        self.keep(channels, 1)

    def activation(self, channels: int, pixels: int) -> None:
        """SiLU before a convolution: its input and its output, that of the convolution, are kept."""
        self.keep(2 * channels, pixels)

    def residual_block(self, inputs: int, outputs: int, pixels: int) -> None:
        self.norm(inputs, pixels)
        self.activation(inputs, pixels)
        self.convolution(inputs, outputs, 3, pixels)
        self.conditioned_norm(outputs, pixels)
        self.activation(outputs, pixels)
        self.convolution(outputs, outputs, 3, pixels)
        if inputs != outputs:
            self.convolution(inputs, outputs, 1, pixels)

    def attention(self, channels: int, pixels: int, head_channels: int) -> None:
        """Kept are queries, keys and values, the result of the heads and the same laid out for the convolution.

        The weights of each head are worked out again on the way back, from one number a pixel.
        """
        heads = max(1, channels // head_channels)
        while channels % heads:
            heads -= 1
        self.norm(channels, pixels)
        self.convolution(channels, 3 * channels, 1, pixels)
        self.convolution(channels, channels, 1, pixels)
        self.operations += 4 * channels * pixels**2
        self.keep(5 * channels + heads, pixels)


def _unet(
    image_shape: tuple[int, int, int], labels: int, base_channels: int, network: Mapping[str, Any]
) -> NetworkCost:
    """Of `unet.UNet`; the size is the channels of the first level."""
    channels, height, width = image_shape
    widths = [base_channels * multiplier for multiplier in network["channel_multipliers"]]
    pixels = [height * width // 4**level for level in range(len(widths))]
    attended: Sequence[int] = network["attention_levels"]
    count = _Count(network["embedding"])

    count.parameters += labels * count.embedding
    count.linear(count.embedding, count.embedding)
    count.linear(count.embedding, count.embedding)
    count.keep(5 * count.embedding, 1)
    count.keep(channels, pixels[0])
    count.convolution(channels, widths[0], 3, pixels[0])

    def stage(inputs: int, level: int, attention: bool) -> None:
        count.residual_block(inputs, widths[level], pixels[level])
        if attention:
            count.attention(widths[level], pixels[level], network["head_channels"])

    skips, skip_pixels = [widths[0]], [pixels[0]]
    for level, outputs in enumerate(widths):
        for _ in range(network["blocks"]):
            stage(outputs, level, level in attended)
            skips.append(outputs)
            skip_pixels.append(pixels[level])
        if level + 1 < len(widths):
            count.conditioned_norm(outputs, pixels[level])
            count.keep(outputs, pixels[level])
            count.convolution(outputs, widths[level + 1], 3, pixels[level + 1])
            skips.append(widths[level + 1])
            skip_pixels.append(pixels[level + 1])

    last = len(widths) - 1
    stage(widths[last], last, last in attended)
    stage(widths[last], last, False)

    current = widths[last]
    held = [size * pixel for size, pixel in zip(skips, skip_pixels, strict=True)]
    most = 0
    for level in reversed(range(len(widths))):
        for _ in range(network["blocks"] + 1):
            inputs = current + skips.pop()
            # A block's input, beside what waits for later blocks: once as it is, once normalised, once activated
            most = max(most, sum(held) + 3 * inputs * pixels[level])
            held.pop()
            stage(inputs, level, level in attended)
            current = widths[level]
        if level > 0:
            count.conditioned_norm(current, pixels[level])
            count.keep(current, pixels[level - 1])
            count.convolution(current, current, 3, pixels[level - 1])

    count.norm(widths[0], pixels[0])
    count.activation(widths[0], pixels[0])
    count.convolution(widths[0], channels, 3, pixels[0])
    return NetworkCost(count.parameters, count.operations, FLOAT * count.saved, FLOAT * most)


def _conditioning(count: _Count, labels: int, width: int) -> None:
    """Of `conditioning.Conditioning`: waves, two layers with an activation between them, and one behind the label."""
    count.parameters += labels * width
    count.linear(WAVES, width)
    count.linear(width, width)
    count.keep(WAVES + 4 * width, 1)


def _dit(image_shape: tuple[int, int, int], labels: int, base_channels: int, network: Mapping[str, Any]) -> NetworkCost:
    """Of `dit.DiT`. Each norm keeps its input, the normalised input, two numbers a token, and 1 + scale."""
    values, patch = prod(image_shape), network["patch"]
    width, heads, ratio = network["width"] * base_channels, network["heads"], network["mlp_ratio"]
    tokens = values // image_shape[0] // patch**2
    count = _Count(width)

    _conditioning(count, labels, width)
    count.convolution(values // tokens, width, 1, tokens)
    count.keep(values // tokens, tokens)
    for _ in range(network["depth"]):
        count.linear(width, 6 * width)
        count.keep(6 * width + 2 * width, 1)
        for inputs, outputs in ((1, 3), (1, 1), (1, ratio), (ratio, 1)):
            count.convolution(inputs * width, outputs * width, 1, tokens)
        count.operations += 4 * width * tokens**2
        # Both norms and what they lead to; the attention's queries, keys, values, result; the perceptron's two sides
        count.keep(2 * (3 * width + 2) + 4 * width + heads + 2 * ratio * width, tokens)
        count.keep(2 * width, tokens)  # what the gates are multiplied with
    count.linear(width, 2 * width)
    count.keep(2 * width + width, 1)
    count.keep(3 * width + 2, tokens)
    count.convolution(width, values // tokens, 1, tokens)
    # The tokens beside both sides of a perceptron
    return NetworkCost(
        count.parameters, count.operations, FLOAT * count.saved, FLOAT * (1 + 2 * ratio) * width * tokens
    )


def _mlp(image_shape: tuple[int, int, int], labels: int, base_channels: int, network: Mapping[str, Any]) -> NetworkCost:
    """Of `mlp.MLP`."""
    values, width, embedding = prod(image_shape), network["width"] * base_channels, network["embedding"]
    count = _Count(embedding)
    _conditioning(count, labels, embedding)
    count.linear(values, width)
    count.keep(values, 1)
    for _ in range(network["blocks"]):
        count.linear(embedding, 2 * width)
        count.linear(width, width)
        count.linear(width, width)
        # The norm's input, normalised and scaled, two numbers, and 1 + scale; what is activated, before and after
        count.keep(3 * width + 2 + width + 2 * width, 1)
    count.norm(width, 1)
    count.keep(2 + 2 * width, 1)
    count.linear(width, values)
    return NetworkCost(count.parameters, count.operations, FLOAT * count.saved, FLOAT * 4 * width)


_COUNTED: Mapping[str, Callable[[tuple[int, int, int], int, int, Mapping[str, Any]], NetworkCost]] = {
    "unet": _unet,
    "dit": _dit,
    "mlp": _mlp,
}


def _measured(
    image_shape: tuple[int, int, int], labels: int, base_channels: int, network: Mapping[str, Any]
) -> NetworkCost:
    """What the stage ``network`` finds of a network of the user's own, whose code it runs, once for each network."""
    size = {"image_shape": list(image_shape), "labels": labels, "base_channels": base_channels}
    settings = json.dumps({**size, "network": network_settings(network)}, sort_keys=True)
    kept = CACHE / f"{hashlib.sha256(settings.encode()).hexdigest()[:16]}.json"
    try:
        return NetworkCost(**read_json(kept))
    except (OSError, Damaged, TypeError):
        cost = _in_a_process(settings, network_file(network))
    with suppress(OSError):  # then it is measured again
        write_json(kept, asdict(cost))
    return cost


def _in_a_process(settings: str, file: Path | None) -> NetworkCost:
    command = [sys.executable, "-m", "memsweep", "network", *(["--networks", str(file)] if file else [])]
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(command, input=settings, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(done.stderr.rpartition("memsweep network: ")[2].strip())
    return NetworkCost(**json.loads(done.stdout.splitlines()[-1]))
