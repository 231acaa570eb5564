"""Randomness without state: every draw is a function of a seed, a purpose and a step.

A run resumed at any step, or trained beside others, therefore sees the same batches, times
and noise as one trained alone without a break.

What a training step draws is computed on the run's device from a seed that was laid down there
for many steps ahead, so that they can be taken with no word from the host. The generator is SplitMix64 (Steele, Lea
& Flood 2014, "Fast splittable pseudorandom number generators", fig. 16), whose output is a hash
of its state and whose state is an arithmetic sequence: any draw can be had by itself.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor


def key_of(*key: int | str) -> int:
    """63 bits that depend on all of ``key``, which says what draws are for, such as ``(seed, "noise")``."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(*key: int | str) -> torch.Generator:
    """A CPU generator whose stream depends on ``key`` alone."""
    return torch.Generator().manual_seed(key_of(*key))


def _signed(bits: int) -> int:
    """64 bits as the int64 that holds them: torch has no unsigned arithmetic, and its products wrap around."""
    return bits - 2**64 if bits >= 2**63 else bits


_GAMMA = _signed(0x9E3779B97F4A7C15)
_FIRST, _SECOND = _signed(0xBF58476D1CE4E5B9), _signed(0x94D049BB133111EB)


def _mixed(z: Tensor, scratch: Tensor) -> Tensor:
    """The output function of SplitMix64, in place. ``z``, ``scratch``: int64 of one shape."""
    for shift, factor in ((30, _FIRST), (27, _SECOND)):
        z.bitwise_xor_(_shifted(z, shift, scratch)).mul_(factor)
    return z.bitwise_xor_(_shifted(z, 31, scratch))


def _shifted(z: Tensor, places: int, out: Tensor) -> Tensor:
    """Bits moved to the right, zeros following."""
    return torch.bitwise_right_shift(z, places, out=out).bitwise_and_(2 ** (64 - places) - 1)


class Draws:
    """Random numbers for one purpose of one run, computed on its device.

    `seeds` says, on the host, from which seed a step's own sequence starts. The other methods take one of
    these as an int64 tensor without dimensions on the device, and return the same numbers whenever they
    are given the same one.
    """

    def __init__(self, *key: int | str, device: torch.device | str = "cpu") -> None:
        """key: what the draws are for, such as ``(seed, "noise")``."""
        self._key = key_of(*key)
        self._device = device
        # By number of words: the sequence that is hashed, and room to work in
        self._room: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def seeds(self, steps: Tensor) -> Tensor:
        """The seeds of these steps, (n,) int64; their words are the hashes of seed + gamma, seed + 2 gamma, ..."""
        seeds = (steps + 1).mul_(_GAMMA).add_(self._key)
        return _mixed(seeds, torch.empty_like(seeds))

    def uniform(self, seed: Tensor, count: int) -> Tensor:
        """``count`` numbers uniform in [0, 1), multiples of 2^-24, (count,), float32."""
        words, scratch = self._bits(seed, count)
        return _shifted(words, 40, scratch).to(torch.float32).mul_(2.0**-24)

    def normal(self, seed: Tensor, shape: Sequence[int]) -> Tensor:
        """Standard normal numbers of this shape, float32: two of each word (Box & Muller 1958)."""
        size = math.prod(shape)
        words, scratch = self._bits(seed, -(-size // 2))
        # Half a unit keeps the logarithm's argument from 0
        radius = _shifted(words, 32, scratch).to(torch.float32).add_(0.5).mul_(2.0**-32).log_().mul_(-2).sqrt_()
        angle = words.bitwise_and_(2**32 - 1).to(torch.float32).mul_(2 * math.pi * 2.0**-32)
        pairs = torch.cat([angle.cos(), angle.sin_()]).view(2, -1).mul_(radius)
        return pairs.view(-1)[:size].view(*shape)

    def _bits(self, seed: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """``count`` words of 64 random bits, and room for as many; good until the next call. (count,), int64."""
        if count not in self._room:
            sequence = torch.arange(1, count + 1, device=self._device) * _GAMMA
            self._room[count] = sequence, torch.empty_like(sequence), torch.empty_like(sequence)
        sequence, words, scratch = self._room[count]
        torch.add(sequence, seed, out=words)
        return _mixed(words, scratch), scratch


class BatchOrder:
    """Which training images each step sees: shuffled epochs, one after the other.

    The epochs' permutations form one endless sequence, of which step s takes the positions
    s·B to (s + 1)·B, so a batch may span two epochs and no image is ever left out.
    """

    def __init__(self, seed: int, train_size: int, batch_size: int) -> None:
        self.seed = seed
        self.train_size = train_size
        self.batch_size = batch_size
        self._epochs: dict[int, Tensor] = {}

    def __call__(self, step: int) -> Tensor:
        """Indices of the images of step ``step`` (counted from 0), shape (B,), int64."""
        start = step * self.batch_size
        epoch, offset = divmod(start, self.train_size)
        indices = self._epoch(epoch)[offset : offset + self.batch_size]
        while len(indices) < self.batch_size:
            epoch += 1
            indices = torch.cat([indices, self._epoch(epoch)[: self.batch_size - len(indices)]])
        return indices

    def _epoch(self, epoch: int) -> Tensor:
        if epoch not in self._epochs:
            # Two epochs are enough: a batch is at most the training set.
            self._epochs = {kept: order for kept, order in self._epochs.items() if kept == epoch - 1}
            self._epochs[epoch] = torch.randperm(self.train_size, generator=generator(self.seed, "order", epoch))
        return self._epochs[epoch]


def stratified_times(uniform: Tensor) -> Tensor:
    """Times in [0, 1], one in each of as many equal intervals as there are: a uniform draw of lower variance.

    Args:
        uniform: independent draws in [0, 1), (count,), float32.

    Returns:
        Increasing times, shape (count,), float32. Pair them with items in random order.
    """
    count = len(uniform)
    return (torch.arange(count, device=uniform.device) + uniform) / count


def logit_normal_times(uniform: Tensor, location: float, scale: float) -> Tensor:
    """Times whose logit is normal: uniform ones mapped through the quantile function of that distribution.

    Esser et al. 2024 (arXiv 2403.03206, section 3.1), who draw training times so. Stratified uniform times become
    stratified ones, one in each of as many intervals of equal probability.

    Args:
        uniform: in [0, 1], of any shape, float32.
        location, scale: mean and standard deviation (above 0) of log(t / (1 - t)); above 0 the former prefers noise.

    Returns:
        Times in [0, 1], of the same shape and order, float32.
    """
    return torch.sigmoid(location + scale * torch.special.ndtri(uniform))
