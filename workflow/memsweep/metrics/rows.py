"""Rows of the table ``metrics``, less the run and the step that they are of."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from .estimate import Distance
from .novelty import Share, share

Row = dict[str, Any]


def row_of_hits(metric: str, space: str, reference: str, hits: np.ndarray, confidence: float) -> Row:
    """The share of images that are hits, (n,) bool, with its interval."""
    return row_of_share(metric, space, reference, share(hits, confidence))


def row_of_share(metric: str, space: str, reference: str, found: Share) -> Row:
    """A share and its interval."""
    return row_of_distance(metric, space, reference, Distance(found.value, found.ci_low, found.ci_high), found.count)


def row_of_distance(metric: str, space: str, reference: str, distance: Distance, generated: int) -> Row:
    """A value and its interval, of so many images."""
    return {"metric": metric, "space": space, "reference": reference, **asdict(distance), "generated": generated}
