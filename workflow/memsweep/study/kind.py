"""A study as the workflow sees it: what each stage needs of the config.

A stage's settings are canonical JSON, so that Snakemake reruns a job when something in them
really changed and at no other time.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from .catalogue import sources, without_paths
from .contents import content_hash
from .figures import Figure


class Study:
    """A checked configuration, and what every kind of study needs of it.

    A kind of study brings

    * a schema, ``schemas/<kind>.schema.yaml``, and in `config.rules` the rules that it cannot say;
    * a subclass of this one, named in `kinds`, with the settings of its stages;
    * ``rules``: its files of rules, in their order, the last ``judge``. Those before it define ``ESTIMATES``, the
      tables, ``ESTIMATED``, what they rest on, and ``SOURCES``, where figures find their tables;
    * a module below ``claims``, with what papers claim of it;
    * ``figures``: the table of its figures, each a module below ``figures/<kind>``;
    * captions below ``workflow/report``: ``kinds/<kind>.rst``, and one for each figure and each table.

    Attributes:
        config: the configuration with every default filled in.
        kind: what is studied.
        name: name of the study, that of its results folder.
        place: folder below ``results`` that receives tables and figures.
    """

    rules: ClassVar[tuple[str, ...]]
    figures: ClassVar[tuple[Figure, ...]]

    def __init__(self, config: Mapping[str, Any]) -> None:
        """config: as `config.resolve` returns it."""
        self.config = config
        self.kind: str = config["kind"]
        self.name: str = config["study"]
        self.place: str = self.name

    @property
    def axes(self) -> list[str]:
        """The axes that have a figure each, where the file of a figure has such a wildcard."""
        return []

    @property
    def warnings(self) -> list[str]:
        """What to know of the study before it starts, a sentence each."""
        return []

    @property
    def drawn(self) -> list[str]:
        """The files of the study's figures, without a suffix."""
        paths = [figure.path for figure in self.figures if figure.when(self)]
        return [path.format(axis=axis) for path in paths for axis in (self.axes if "{axis}" in path else [""])]

    @property
    def job_files(self) -> dict[str, tuple[str, ...]]:
        """The tables that each job of the study writes, by the job's folder below the study's; its log lies likewise.

        Such as ``learn/experiment=both/dimension=8`` to ``("unit_paths", "unit_recoveries")``.
        """
        raise NotImplementedError

    @property
    def explored_files(self) -> list[str]:
        """The files besides tables and figures that the summary reads, below the study's results."""
        return []

    @property
    def told(self) -> dict[str, Any]:
        """What figures can ask of the study, by name."""
        raise NotImplementedError

    def figure(self, figure: Figure, **wildcards: str) -> str:
        """Settings of a figure; ``wildcards``: of its file."""
        return canonical(
            {
                "figure": figure.name,
                "study": self.name,
                "width": self.config["figures"]["width"],
                **{key: self.told[key] for key in figure.settings},
                **wildcards,
            }
        )

    def judge(self) -> str:
        """Settings of ``judge``."""
        return canonical({"kind": self.kind, **self._section("confidence")})

    def _section(self, *names: str) -> dict[str, Any]:
        return {name: self.config[name] for name in names}

    def prepare(self) -> str:
        """Settings of ``prepare``."""
        return canonical(self.config["dataset"])

    def dataset(self) -> dict[str, Any]:
        """The dataset, wherever it lies."""
        return without_paths(self.config["dataset"])

    def sources(self) -> list[str]:
        """The user's own files and folders that ``prepare`` reads."""
        return watchable(map(str, sources(self.config["dataset"])))

    def networks(self) -> list[str]:
        """The files of the user's own networks."""
        return []

    def measure_networks(self) -> None:
        """Measure networks of the user's own, whose cost nobody can count, before it is asked for.

        Raises:
            UserError: as `network_cost.network_cost`.
        """

    @functools.cached_property
    def content(self) -> str:
        """A hash of what the user's own files hold: a change of theirs prepares again."""
        return content_hash(self.config["dataset"], Path("results/cache/contents"))


def watchable(paths: Iterable[str]) -> list[str]:
    """Those of some paths that Snakemake can watch: it has no way to write a brace, or what is no Unicode."""
    return [path for path in paths if not {"{", "}"} & set(path) and path.isprintable()]


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
