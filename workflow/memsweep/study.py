"""A study as the workflow sees it: its runs and packs, and what each stage needs of the config.

A stage's settings are canonical JSON, so that Snakemake reruns a job when something in them
really changed and at no other time. Nothing here imports more than the standard library and
the configuration's own checks: Snakemake reads it again for every job on a cluster.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .catalogue import sources
from .config import resolve
from .grid import evaluation_parameters, packs, runs
from .run import AXES, Run

SWEPT_AXES = tuple(axis for axis in AXES if axis != "seed")


class Study:
    """A checked configuration, expanded.

    Attributes:
        name: name of the study, that of its results folder.
        config: the configuration with every default filled in.
        runs: all runs of the grid.
        packs: job path to the runs that one training job trains.
    """

    def __init__(self, config: Mapping[str, Any], files: list[Path] | None = None) -> None:
        """Check and expand; raises `errors.UserError` as `config.resolve` does."""
        self.config = resolve(config, files)
        self.name: str = self.config["study"]
        self.runs = runs(self.config)
        self.packs = packs(self.runs, self.config["pack"])

    @property
    def jobs(self) -> list[str]:
        """The packs' job paths."""
        return list(self.packs)

    @property
    def axes(self) -> list[str]:
        """The axes, seeds aside, on which the grid takes more than one value."""
        return [axis for axis in SWEPT_AXES if len({getattr(run, axis) for run in self.runs}) > 1]

    def sheet_run(self) -> tuple[str, Run]:
        """Job path and run of the sample sheet: the first run that takes the most values of ``grid.base``."""
        base = self.config["grid"]["base"]
        candidates = [(job, run) for job, members in self.packs.items() for run in members]
        return max(candidates, key=lambda item: sum(getattr(item[1], axis) == base[axis] for axis in base))

    def _section(self, *names: str) -> dict[str, Any]:
        return {name: self.config[name] for name in names}

    def prepare(self) -> str:
        """Settings of ``prepare``."""
        return canonical(self.config["dataset"])

    def dataset(self) -> dict[str, Any]:
        """The dataset, wherever it lies: moving the files changes no trajectory."""
        return {key: value for key, value in self.config["dataset"].items() if key not in ("path", "test_path")}

    def sources(self) -> list[str]:
        """The user's own files and folders that ``prepare`` reads; a change of theirs prepares again."""
        paths = map(str, sources(self.config["dataset"]))
        return [path for path in paths if "{" not in path]  # Snakemake has no way to write a brace in a path

    def train(self, job: str) -> str:
        """Settings of ``train`` for one pack: what decides its numbers."""
        training = {key: self.config["training"][key] for key in ("budget", "ema_decay")}
        evaluation = evaluation_parameters(self.config)
        sections = self._section("network", "formulation")
        runs_ = [asdict(run) for run in self.packs[job]]
        changing = {"dataset": self.dataset(), "training": training, "evaluation": evaluation}
        return canonical({"runs": runs_, **sections, **changing})

    def features(self, space: str) -> str:
        """Settings of ``features`` for one space."""
        weights = self.config["metrics"]["weights"]
        return canonical({"space": space, "weights": {name: weights[name] for name in weights if name == space}})

    def weights(self, *spaces: str) -> list[str]:
        """The files of weights that the config gives for these spaces."""
        given = self.config["metrics"]["weights"]
        return [given[space] for space in spaces if space in given]

    def measure(self) -> str:
        """Settings of ``measure``."""
        return canonical({**self.config["metrics"], **self._section("confidence")})

    def collect(self) -> str:
        """Settings of ``collect``."""
        return canonical(
            {
                "jobs": self.jobs,
                "noise_levels": self.config["evaluation"]["noise_levels"],
                **self._section("confidence"),
            }
        )

    def analyse(self) -> str:
        """Settings of ``analyse``."""
        threshold = {"f_mem_threshold": self.config["metrics"]["f_mem_threshold"]}
        return canonical({"jobs": self.jobs, **self.config["onset"], **threshold, **self._section("confidence")})

    def figure(self, name: str, *keys: str, **details: Any) -> str:
        """Settings of a figure: of the config's ``figures`` (and ``thresholds``, ``confidence``) the given keys."""
        onset = self.config["onset"]
        shared = {
            **self.config["figures"],
            "thresholds": {key: onset[key] for key in ("loss_gap_absolute", "loss_gap_relative", "f_mem")},
            "f_mem_threshold": self.config["metrics"]["f_mem_threshold"],
            "confidence": self.config["confidence"],
            "formulation": self.config["formulation"]["name"],
        }
        return canonical({"figure": name, **{key: shared[key] for key in keys}, **details})


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
