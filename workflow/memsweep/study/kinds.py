"""The kinds of study, and the study that a configuration describes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..base.errors import UserError
from .config import read_yaml, resolve
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


def open_sweep(file: Path, because: str) -> Sweep:
    """The sweep that a YAML file describes.

    Args:
        file: the study's YAML file.
        because: what sweeps alone have, as the end of a sentence.

    Raises:
        UserError: the file is wrong, or its study is of another kind.
    """
    study = open_study(read_yaml(file), [file])
    if not isinstance(study, Sweep):
        raise UserError(f"{file}: found kind {study.kind!r}; accepted is sweep, {because}")
    return study
