"""The U-Net denoiser of Marion & Wu 2026 (arXiv 2605.06077), for images of any size.

The paper states the base channels, the multipliers, the number of residual blocks,
the attention head dimension and the width of the embeddings. What it leaves open was
fixed so that the quadratic coefficient of its five published parameter counts is met
exactly (P = 5090 c² + O(c) for base channels c):

* a level has ``blocks`` residual blocks on the way down and ``blocks + 1`` on the way
  up; every stage of the way down (stem, block, downsampling) hands one skip to one
  block of the way up;
* attention follows every block of the levels in ``attention_levels``, and the middle is
  block - attention - block;
* downsampling is a strided 3x3 convolution that already moves to the next level's
  channels; upsampling is nearest-neighbour followed by a 3x3 convolution;
* noise level and label embeddings are added and reach every residual block and every
  resampling convolution as the scale and shift of a group normalisation, which has no
  scale and shift of its own.

The counts then agree with the published ones to 0.03 % at each of the five sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from .blocks import Downsample, NoiseLevelEmbedding, Stage, Upsample, convolved, group_norm, joined, normalised
from .network import Network


class UNet(Network):
    """Predicts a field of the image's shape from a noisy image, its time and its label.

    Args:
        image_shape: (channels, height, width); height and width must be divisible by
            2 ** (levels - 1).
        classes: number of labels.
        base_channels: channels of the first level, the paper's model size axis.
        channel_multipliers: channels of each level, in units of ``base_channels``.
        blocks: residual blocks per level on the way down (one more on the way up).
        attention_levels: indices of the levels with attention; the middle has attention
            when the last level has.
        head_channels: channels of one attention head.
        embedding: width of the noise-level and label embeddings.
        dropout: dropout probability inside the residual blocks.

    Raises:
        ValueError: the image cannot be halved often enough.
    """

    channels_last: ClassVar[bool] = True

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        base_channels: int,
        channel_multipliers: Sequence[int] = (1, 2, 4),
        blocks: int = 3,
        attention_levels: Sequence[int] = (1, 2),
        head_channels: int = 64,
        embedding: int = 512,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(dropout)
        channels, height, width = image_shape
        halvings = len(channel_multipliers) - 1
        if height % 2**halvings or width % 2**halvings:
            raise ValueError(
                f"images of {height}x{width} pixels cannot be halved {halvings} times; use fewer channel_multipliers"
            )
        widths = [base_channels * multiplier for multiplier in channel_multipliers]
        heads = [head_channels if level in attention_levels else None for level in range(len(widths))]

        self.noise_level = NoiseLevelEmbedding(embedding)
        self.label = nn.Embedding(classes, embedding)
        self.stem = nn.Conv2d(channels, widths[0], 3, padding=1)

        skips = [widths[0]]
        self.down = nn.ModuleList()
        self.downsample = nn.ModuleList()
        for level, width_ in enumerate(widths):
            stages = [Stage(width_, width_, embedding, dropout, heads[level]) for _ in range(blocks)]
            self.down.append(nn.ModuleList(stages))
            skips += [width_] * blocks
            if level < halvings:
                self.downsample.append(Downsample(width_, widths[level + 1], embedding))
                skips.append(widths[level + 1])

        self.middle_in = Stage(widths[-1], widths[-1], embedding, dropout, heads[-1])
        self.middle_out = Stage(widths[-1], widths[-1], embedding, dropout, None)

        current = widths[-1]
        self.up = nn.ModuleList()
        self.upsample = nn.ModuleList()
        for level in reversed(range(len(widths))):
            stages = []
            for _ in range(blocks + 1):
                stages.append(Stage(current + skips.pop(), widths[level], embedding, dropout, heads[level]))
                current = widths[level]
            self.up.append(nn.ModuleList(stages))
            if level > 0:
                self.upsample.append(Upsample(current, embedding))

        self.norm_out = group_norm(widths[0])
        self.conv_out = nn.Conv2d(widths[0], channels, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.bias)  # type: ignore[arg-type]  # bias is on

    def forward(self, x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        """x: (B, C, H, W); time: (B,) in [0, 1]; label: (B,) int64. Returns (B, C, H, W), of the weights' type."""
        embedding = F.silu(self.noise_level(time) + self.label(label))
        x = convolved(self.stem, x.to(self.stem.weight.dtype))
        skips = [x]
        for level, stages in enumerate(self.down):
            for stage in stages:  # type: ignore[attr-defined]  # a ModuleList iterates
                x = self._through(stage, x, embedding)
                skips.append(x)
            if level < len(self.downsample):
                x = self.downsample[level](x, embedding)
                skips.append(x)
        x = self._through(self.middle_in, x, embedding)
        x = self._through(self.middle_out, x, embedding)
        for level, stages in enumerate(self.up):
            for stage in stages:  # type: ignore[attr-defined]
                x = self._through(stage, joined(x, skips.pop()), embedding)
            if level < len(self.upsample):
                x = self.upsample[level](x, embedding)
        x, _ = normalised(self.norm_out, x, activated=True)
        return convolved(self.conv_out, x)
