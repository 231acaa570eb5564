"""A study as the workflow sees it: what each stage needs of the config.

A stage's settings are canonical JSON, so that Snakemake reruns a job when something in them
really changed and at no other time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from .catalogue import sources


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
