"""A study as the workflow sees it: what each stage needs of the config.

A stage's settings are canonical JSON, so that Snakemake reruns a job when something in them
really changed and at no other time. Nothing here, or in the modules of the kinds of study,
imports more than the standard library and the configuration's own checks: Snakemake reads it
again for every job on a cluster.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from .catalogue import sources
from .config import resolve

# The class of each kind of study, by module: a kind is imported only where it is studied.
_CLASSES = {
    "sweep": ("sweep", "Sweep"),
    "mixed_cumulant": ("mixed_cumulant.study", "MixedCumulant"),
    "feature_learning": ("feature_learning.study", "FeatureLearning"),
}


class Study:
    """A checked configuration, and what every kind of study needs of it.

    Attributes:
        config: the configuration with every default filled in.
        kind: what is studied.
        name: name of the study, that of its results folder.
        place: folder below ``results`` that receives tables and figures.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        """config: as `config.resolve` returns it."""
        self.config = config
        self.kind: str = config["kind"]
        self.name: str = config["study"]
        self.place: str = self.name

    def _section(self, *names: str) -> dict[str, Any]:
        return {name: self.config[name] for name in names}

    def prepare(self) -> str:
        """Settings of ``prepare``."""
        return canonical(self.config["dataset"])

    def dataset(self) -> dict[str, Any]:
        """The dataset, wherever it lies: moving the files changes no number."""
        return {key: value for key, value in self.config["dataset"].items() if key not in ("path", "test_path")}

    def sources(self) -> list[str]:
        """The user's own files and folders that ``prepare`` reads; a change of theirs prepares again."""
        paths = map(str, sources(self.config["dataset"]))
        return [path for path in paths if "{" not in path]  # Snakemake has no way to write a brace in a path


def open_study(config: Mapping[str, Any], files: list[Path] | None = None) -> Any:
    """The study of a configuration, an object of the class that its kind has.

    Args:
        config: as read from YAML.
        files: where it was read from.

    Raises:
        UserError: as `config.resolve` does.
    """
    resolved = resolve(config, files)
    module, name = _CLASSES[resolved["kind"]]
    return getattr(import_module(f".{module}", __package__), name)(resolved)


def lineage(*parts: str) -> str:
    """A short hash of what a result rests on: settings and fingerprints of the stages before it.

    Snakemake does not make a missing intermediate file again when the files that follow from it
    are there. A rule that carries the lineage of its inputs is run again all the same, when a job
    before it failed after its settings, code or data had changed.
    """
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def canonical(value: Any) -> str:
    """One spelling of a value as JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
