"""The study of the mixed cumulant model: its jobs, one for each experiment and dimension, and their settings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .figures import Figure
from .kind import Study, canonical

_MODEL = ("beta_u", "beta_v", "correlation")
_UNIT = ("activation", "noise_levels", "step_size", "step_power")


_SHARED = ("palette", "departure", "confidence", "experiments")
FIGURES = (
    Figure(
        name="mixed_cumulant_loss",
        shows="population loss",
        tables=("loss_terms", "information_exponents"),
        settings=_SHARED,
    ),
    Figure(name="mixed_cumulant_overlaps", shows="overlaps", tables=("overlaps",), settings=_SHARED),
    Figure(
        name="mixed_cumulant_scaling",
        shows="sample complexity",
        tables=("recoveries", "recovery_times", "recovery_exponents"),
        settings=_SHARED,
    ),
    Figure(
        name="mixed_cumulant_network",
        shows="network",
        tables=("network_curves", "network_departures", "network_exponents", "recovery_times"),
        settings=(*_SHARED, "networks"),
        when=lambda study: bool(study.network_jobs),
    ),
    Figure(name="mixed_cumulant_claims", shows="claims of papers", tables=("claims",), settings=(), shared="verdicts"),
)


class MixedCumulant(Study):
    """A checked configuration of a study of the mixed cumulant model.

    Attributes:
        unit_jobs: job path, such as ``experiment=independent/dimension=32``, to the single unit's
            experiment and its dimension.
        network_jobs: likewise, ``network=independent/dimension=8`` and the like.
    """

    rules = ("mixed_cumulant", "judge")
    figures = FIGURES

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.unit_jobs = _jobs("experiment", config["experiments"])
        self.network_jobs = _jobs("network", config["networks"])

    def _shared(self) -> dict[str, Any]:
        return {"seed": self.config["seed"], "per_decade": self.config["evaluation"]["per_decade"]}

    def learn_unit(self, job: str) -> str:
        """Settings of ``learn_unit`` for one job."""
        experiment, dimension = self.unit_jobs[job]
        return canonical(
            {
                "model": _part(experiment, *_MODEL),
                "unit": _part(experiment, *_UNIT),
                "dimension": dimension,
                "steps": math.ceil(experiment["samples"] * dimension ** experiment["samples_power"]),
                "hold": self.config["recovery"]["hold"],
                **_part(experiment, "replicas", "threshold"),
                **self._shared(),
            }
        )

    def unit_theory(self) -> str:
        """Settings of ``unit_theory``."""
        return canonical(
            {
                "experiments": [_described(experiment) for experiment in self.config["experiments"]],
                "patterns": self.config["evaluation"]["cumulant_patterns"],
                **self._section("seed", "confidence"),
            }
        )

    def unit_recovery(self) -> str:
        """Settings of ``unit_recovery``."""
        experiments = [
            {**_described(experiment), "jobs": _by_dimension(self.unit_jobs, experiment)}
            for experiment in self.config["experiments"]
        ]
        bootstrap = self.config["recovery"]["bootstrap"]
        return canonical({"experiments": experiments, "bootstrap": bootstrap, **self._section("confidence")})

    def learn_network(self, job: str) -> str:
        """Settings of ``learn_network`` for one job."""
        network, dimension = self.network_jobs[job]
        own = ("noise_level", "replicas", "width", "batch_size", "learning_rate", "steps", "test_patterns")
        model = _part(network, *_MODEL)
        return canonical({"model": model, "dimension": dimension, **_part(network, *own), **self._shared()})

    def network_departure(self) -> str:
        """Settings of ``network_departure``."""
        networks = [
            {
                "model": _part(network, *_MODEL),
                **_part(network, "name", "noise_level", "batch_size"),
                "jobs": _by_dimension(self.network_jobs, network),
            }
            for network in self.config["networks"]
        ]
        recovery = self.config["recovery"]
        levels = {"threshold": recovery["departure"], "bootstrap": recovery["bootstrap"]}
        return canonical({"networks": networks, **levels, **self._section("confidence")})

    def judge(self) -> str:
        """Settings of ``judge``."""
        experiments = [_part(experiment, "name", *_MODEL) for experiment in self.config["experiments"]]
        return canonical({"kind": self.kind, "experiments": experiments, **self._section("confidence")})

    @property
    def job_files(self) -> dict[str, tuple[str, ...]]:
        units = {f"learn/{job}": ("unit_paths", "unit_recoveries") for job in self.unit_jobs}
        return {**units, **{f"learn/{job}": ("network_losses",) for job in self.network_jobs}}

    @property
    def told(self) -> dict[str, Any]:
        """Sections of the config, and what all figures share."""
        shared = {"palette": self.config["figures"]["palette"], "departure": self.config["recovery"]["departure"]}
        return {**shared, **self._section("confidence", "experiments", "networks")}


def _jobs(kind: str, experiments: list[dict[str, Any]]) -> dict[str, tuple[dict[str, Any], int]]:
    return {
        f"{kind}={experiment['name']}/dimension={dimension}": (experiment, dimension)
        for experiment in experiments
        for dimension in experiment["dimensions"]
    }


def _by_dimension(jobs: Mapping[str, tuple[dict[str, Any], int]], experiment: dict[str, Any]) -> dict[str, str]:
    return {str(dimension): job for job, (member, dimension) in jobs.items() if member is experiment}


def _part(section: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: section[name] for name in names}


def _described(experiment: Mapping[str, Any]) -> dict[str, Any]:
    model, unit = _part(experiment, *_MODEL), _part(experiment, *_UNIT)
    return {"name": experiment["name"], "model": model, "unit": unit}
