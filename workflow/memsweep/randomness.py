"""Randomness without state: every draw is a function of a seed, a purpose and a step.

A run resumed at any step, or trained beside others, therefore sees the same batches, times
and noise as one trained alone without a break.
"""

from __future__ import annotations

import hashlib

import torch


def generator(*key: int | str) -> torch.Generator:
    """A CPU generator whose stream depends on ``key`` alone.

    Args:
        key: what the draw is for, such as ``(seed, "noise", step)``.
    """
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)


class BatchOrder:
    """Which training images each step sees: shuffled epochs, one after the other.

    The epochs' permutations form one endless sequence, of which step s takes the positions
    s·B to (s + 1)·B, so a batch may span two epochs and no image is ever left out.
    """

    def __init__(self, seed: int, train_size: int, batch_size: int) -> None:
        self.seed = seed
        self.train_size = train_size
        self.batch_size = batch_size
        self._epochs: dict[int, torch.Tensor] = {}

    def __call__(self, step: int) -> torch.Tensor:
        """Indices of the images of step ``step`` (counted from 0), shape (B,), int64."""
        start = step * self.batch_size
        epoch, offset = divmod(start, self.train_size)
        indices = self._epoch(epoch)[offset : offset + self.batch_size]
        while len(indices) < self.batch_size:
            epoch += 1
            indices = torch.cat([indices, self._epoch(epoch)[: self.batch_size - len(indices)]])
        return indices

    def _epoch(self, epoch: int) -> torch.Tensor:
        if epoch not in self._epochs:
            # Two epochs are enough: a batch is at most the training set.
            self._epochs = {kept: order for kept, order in self._epochs.items() if kept == epoch - 1}
            self._epochs[epoch] = torch.randperm(self.train_size, generator=generator(self.seed, "order", epoch))
        return self._epochs[epoch]


def stratified_times(count: int, source: torch.Generator) -> torch.Tensor:
    """``count`` times in [0, 1), one in each of ``count`` equal intervals: a uniform draw of lower variance.

    Returns:
        Increasing times, shape (count,), float32. Pair them with items in random order.
    """
    return (torch.arange(count) + torch.rand(count, generator=source)) / count
