"""Which shares of samples a study asks for that it has too few samples to tell."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

# Copies that a share has to be of the samples, so that neither one nor two of them by chance decide
FEWEST_COPIES = 3


def unresolved_shares(config: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each threshold of an onset, on a share of samples, that one or two samples more or less decide.

    Args:
        config: resolved, of a sweep.
    """
    samples = config["evaluation"]["samples"]
    keys = ["f_mem", *(["sscd_score"] if "sscd" in config["metrics"]["spaces"] else [])]
    for key in keys:
        share = config["onset"][key]
        if share * samples < FEWEST_COPIES:
            crossing = math.floor(share * samples) + 1
            copies = "a single sample crosses it" if crossing == 1 else f"{crossing} samples cross it"
            yield (
                f"onset.{key}: {share:g} of {samples} samples (evaluation.samples) is {share * samples:.2g} of them: "
                f"{copies}, and onsets are early and noisy; enough are {math.ceil(FEWEST_COPIES / share)} samples, "
                f"or a share of {FEWEST_COPIES / samples:.2g}"
            )
