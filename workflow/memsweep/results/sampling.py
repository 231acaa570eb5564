"""From which latents, and with which classes, a run generates images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..base.errors import UserError
from ..data.images import Split
from ..data.randomness import generator
from ..training.evaluation import labels_of, latents_of

# Images that one call generates at most; those of another seed are others
MOST_IMAGES = 1_000_000


def chosen_latents(number: int | None, seed: int | None, own: int, shape: tuple[int, int, int]) -> Tensor:
    """Standard normal latents, (n, C, H, W).

    Args:
        number: how many; ``own`` where it is None.
        seed: the latents of a seed, of which the first of many are those of few; the study's where it is None.
        own: how many the study has.
        shape: (height, width, channels).

    Raises:
        UserError: none are asked for, too many, or more than the study has.
    """
    count = own if number is None else number
    if not isinstance(count, int | np.integer) or not 1 <= count <= MOST_IMAGES:
        raise UserError(f"number: found {count}; accepted is a whole number from 1 to {MOST_IMAGES}")
    if seed is None and count > own:
        raise UserError(
            f"number: found {count}, and the study has {own} latents; accepted are these, or others by a seed"
        )
    if seed is None:
        return latents_of(own, shape)[:count]
    height, width, channels = shape
    each = (torch.randn((channels, height, width), generator=generator(seed, "latent", i)) for i in range(count))
    return torch.stack(list(each))


def chosen_labels(labels: int | Sequence[int] | None, count: int, train: Split, unconditional: bool) -> Tensor:
    """The classes of so many images, (n,) int64: these in turn, or those that were trained.

    Args:
        labels: which; all that were trained where it is None.
        count: of the images.
        train: the training set.
        unconditional: whether the model knows no classes.

    Raises:
        UserError: a class that was not trained, or any of an unconditional model.
    """
    if labels is None:
        return labels_of(count, train)
    wanted, trained = np.atleast_1d(np.asarray(labels)), np.unique(train.labels)
    found = f"labels: found {_listed(wanted)}"
    if unconditional:
        raise UserError(f"{found}; accepted are none, as the run's model is unconditional")
    if not len(wanted) or not np.isin(wanted, trained).all():
        raise UserError(f"{found}; accepted are those that were trained, {_listed(trained)}")
    return torch.from_numpy(wanted.astype(np.int64))[torch.arange(count) % len(wanted)]


def _listed(labels: np.ndarray) -> str:
    return ", ".join(map(str, labels)) or "none"
