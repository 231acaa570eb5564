"""The project's folder, and its embedded study, for tests to change."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from memsweep.study.run import Run

ROOT = Path(__file__).parents[2]
DEFAULT: dict[str, Any] = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())


def changed(path: str, value: Any) -> dict[str, Any]:
    """The embedded study with one key, given as dotted path, set to ``value``; a value of ... removes it."""
    config = copy.deepcopy(DEFAULT)
    *parents, last = path.split(".")
    section = config
    for name in parents:
        section = section.setdefault(name, {})
    if value is ...:
        del section[last]
    else:
        section[last] = value
    return config


def once(runs: Iterable[Run]) -> list[tuple[Run, int]]:
    """Runs as `cost.study_cost` counts them, each by itself."""
    return [(run, 1) for run in runs]
