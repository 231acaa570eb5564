"""The kinds of study, and the study that a configuration describes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .config import resolve
from .feature_learning import FeatureLearning
from .kind import Study
from .mixed_cumulant import MixedCumulant
from .sweep import Sweep

KINDS: Mapping[str, type[Study]] = {
    "sweep": Sweep,
    "mixed_cumulant": MixedCumulant,
    "feature_learning": FeatureLearning,
}


def open_study(config: Mapping[str, Any], files: list[Path] | None = None) -> Any:
    """The study of a configuration, an object of the class that its kind has.

    Args:
        config: as read from YAML.
        files: where it was read from.

    Raises:
        UserError: as `config.resolve` does.
    """
    resolved = resolve(config, files)
    return KINDS[resolved["kind"]](resolved)
