"""What the command ``compare`` finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from ..analysis.given import Course


@dataclass(frozen=True)
class Comparison:
    """What there is to say of generated images beside training and held-out ones.

    Attributes:
        answer: in words.
        remarks: what of the images was converted, equal or left out, in sentences.
        copy_shares: the share of copies by each rule, with its false-positive rate; of a training at its last step, as
            are the next two.
        battery: each metric against training and held-out images.
        nearest_pairs: each generated image and its two nearest training images, the least d1 / d2 first. Columns of
            the three tables are explained in `tables.contracts.comparison`.
        course: of a training its curves and onsets; None of images without steps.
        files: what was written, by name; empty where there was no folder for it.
    """

    answer: str
    remarks: tuple[str, ...]
    copy_shares: pd.DataFrame
    battery: pd.DataFrame
    nearest_pairs: pd.DataFrame
    course: Course | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
