"""Exact nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

# Candidates that the fast search hands to the exact one.
CANDIDATES = 8
# Entries of the largest matrix of distances held at once: 64 MiB of float32.
BLOCK_ENTRIES = 2**24


@dataclass(frozen=True)
class Neighbours:
    """The nearest references of each query.

    Attributes:
        index: rows of the references, nearest first, (queries, k), int64.
        distance: Euclidean distances, (queries, k), float64.
    """

    index: np.ndarray
    distance: np.ndarray


def nearest(queries: np.ndarray, references: np.ndarray, k: int = 2, device: str = "cpu") -> Neighbours:
    """The exact k nearest references of each query, in Euclidean distance.

    A blocked matrix product in float32 finds a few more candidates than asked for, whose
    distances are then computed in float64. Memory does not grow with the number of
    references times queries.

    Args:
        queries: (m, d), float32.
        references: (n, d), float32, with n >= k.

    Raises:
        ValueError: there are fewer than k references.
    """
    if len(references) < k:
        raise ValueError(f"{k} neighbours asked for among {len(references)} references")
    candidates = min(len(references), max(CANDIDATES, 2 * k))
    # Centring keeps |q|^2 - 2 q.r + |r|^2 from cancelling.
    centre = references.mean(axis=0, dtype=np.float64).astype(np.float32)
    right = torch.from_numpy(references - centre).to(device)
    right_norms = right.square().sum(dim=1)
    rows = max(1, BLOCK_ENTRIES // len(references))
    indices, distances = [], []
    for start in range(0, len(queries), rows):
        block = queries[start : start + rows]
        left = torch.from_numpy(block - centre).to(device)
        # |q|^2 is the same for all references of a query, so it does not change their order
        approximate = torch.addmm(right_norms, left, right.T, alpha=-2)
        found = approximate.topk(candidates, dim=1, largest=False, sorted=False).indices.cpu().numpy()
        difference = references[found].astype(np.float64) - block[:, None, :].astype(np.float64)
        exact = np.sqrt(np.square(difference).sum(axis=2))
        # ties go to the lower index, as in a stable sort of all references
        order = np.lexsort((found, exact), axis=1)[:, :k]
        indices.append(np.take_along_axis(found, order, axis=1))
        distances.append(np.take_along_axis(exact, order, axis=1))
    return Neighbours(np.concatenate(indices), np.concatenate(distances))


def cosine_similarity(samples: np.ndarray, references: np.ndarray) -> np.ndarray:
    """The cosine similarity of each sample to the most similar reference.

    Args:
        samples: features (m, d), float32. references: (n, d), float32.

    Returns:
        (m,), float64, in [-1, 1]. A sample without direction, of length 0, is similar to nothing: 0.
    """
    directed = np.linalg.norm(samples, axis=1) > 0
    similarity = np.zeros(len(samples))
    if directed.any():
        # Between unit vectors, |a - b|^2 = 2 - 2 a.b
        distance = nearest(_unit(samples[directed]), _unit(references), k=1).distance[:, 0]
        similarity[directed] = 1 - np.square(distance) / 2
    return similarity


def _unit(features: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1; a row of zeros stays one."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    unit: np.ndarray = features / np.maximum(length, np.finfo(np.float32).tiny)
    return unit
