"""How similar samples are to images in a feature space in which directions count."""

from __future__ import annotations

import numpy as np

from .neighbours import nearest


def cosine_similarity(samples: np.ndarray, references: np.ndarray) -> np.ndarray:
    """The cosine similarity of each sample to the most similar reference.

    Args:
        samples: features (m, d), float32. references: (n, d), float32.

    Returns:
        (m,), float64, in [-1, 1]. What has no direction, being of length 0, is similar to nothing: 0.
    """
    directed = np.linalg.norm(samples, axis=1) > 0
    undirected = np.linalg.norm(references, axis=1) == 0
    similarity = np.zeros(len(samples))
    if directed.any() and not undirected.all():
        # Between unit vectors, |a - b|^2 = 2 - 2 a.b
        distance = nearest(_unit(samples[directed]), _unit(references[~undirected]), k=1).distance[:, 0]
        similarity[directed] = 1 - np.square(distance) / 2
    return np.maximum(similarity, 0) if undirected.any() else similarity


def _unit(features: np.ndarray) -> np.ndarray:
    """Rows, none of them of length 0, scaled to length 1."""
    unit: np.ndarray = features / np.linalg.norm(features, axis=1, keepdims=True)
    return unit
