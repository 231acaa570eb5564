"""A study of feature learning as the workflow sees it: its jobs, and the settings of their stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .figures import Figure
from .kind import Study, canonical

CLASSIFICATION, DIFFUSION = "classification", "diffusion"

FRAME = 2
"""Width of the planted frame in pixels; it is laid around the image and hides none of it."""

_MODEL = ("dimension", "neurons", "noise", "initialisation")


FIGURES = (
    Figure(
        name="feature_alignment",
        shows="alignments",
        axis="iteration",
        tables=("alignments", "growth"),
        settings=("model", "learning_rates"),
    ),
    Figure(
        name="feature_phase_diagram",
        shows="phase diagram",
        axis="n, SNR",
        tables=("phase", "phase_fits"),
        settings=("model", "learning_rates"),
    ),
    Figure(name="noisy_digit_maps", shows="noisy digits", axis="SNR", tables=("noisy_maps",), settings=("jobs",)),
    Figure(
        name="feature_probes",
        shows="probes",
        axis="all",
        tables=("noisy_probes", "planted_probes", "feature_balance"),
        settings=("dataset",),
    ),
    Figure(name="feature_claims", shows="claims of papers", tables=("claims",), settings=(), shared="verdicts"),
)


class FeatureLearning(Study):
    """A checked configuration of a study of feature learning.

    Attributes:
        jobs: of each stage, job path to what is particular to the job. A job is one objective and
            one training size, SNR, or training set, so that a longer list computes what is new.
    """

    rules = ("prepare", "feature_learning", "judge")
    figures = FIGURES

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        two_patch, noisy, planted = (config[name] for name in ("two_patch", "noisy_digits", "planted"))
        objectives = [(CLASSIFICATION, 0.0), *((DIFFUSION, float(time)) for time in two_patch["times"])]
        self.jobs: dict[str, dict[str, dict[str, Any]]] = {
            "dynamics": _by_path({"objective": name, "time": time} for name, time in objectives),
            "phase": _by_path(
                {"objective": name, "time": time, "train_size": size}
                for name, time in objectives
                for size in two_patch["phase"]["train_sizes"]
            ),
            "noisy_digits": _by_path({"snr": float(snr)} for snr in noisy["snrs"]),
            "planted": _by_path(
                {"train_size": size, "agreement": float(agreement)}
                for size in planted["train_sizes"]
                for agreement in planted["agreements"]
            ),
        }

    def _model(self) -> dict[str, Any]:
        return {name: self.config["two_patch"][name] for name in _MODEL}

    def dynamics(self, job: str) -> str:
        """Settings of ``two_patch_dynamics`` for one objective."""
        point, section = self.jobs["dynamics"][job], dict(self.config["two_patch"]["dynamics"])
        del section["growth_factor"]
        return canonical({**self._model(), **section, **point, "learning_rate": self._rate(point)})

    def phase(self, job: str) -> str:
        """Settings of ``two_patch_phase`` for one objective and training size."""
        point, section = self.jobs["phase"][job], dict(self.config["two_patch"]["phase"])
        del section["train_sizes"]
        return canonical({**self._model(), **section, **point, "learning_rate": self._rate(point)})

    def _rate(self, point: Mapping[str, Any]) -> float:
        rates: dict[str, float] = self.config["two_patch"]["learning_rates"]
        return rates[point["objective"]]

    def noisy_digits(self, job: str) -> str:
        """Settings of ``noisy_digits`` for one SNR."""
        section = dict(self.config["noisy_digits"])
        del section["snrs"]
        dataset = {"dataset": self.config["dataset"]["name"]}
        return canonical({**section, **self.jobs["noisy_digits"][job], **dataset, **self._section("confidence")})

    def planted(self, job: str) -> str:
        """Settings of ``planted_features`` for one training set."""
        section = dict(self.config["planted"])
        del section["train_sizes"], section["agreements"]
        return canonical({**section, **self.jobs["planted"][job]})

    def analysis(self) -> str:
        """Settings of ``feature_analysis``."""
        two_patch = self.config["two_patch"]
        fits = {
            "learning_rates": two_patch["learning_rates"],
            "growth_factor": two_patch["dynamics"]["growth_factor"],
        }
        jobs = {stage: list(found) for stage, found in self.jobs.items()}
        return canonical(
            {"jobs": jobs, "two_patch": {**self._model(), **fits}, **self._section("bootstrap", "confidence")}
        )

    @property
    def job_files(self) -> dict[str, tuple[str, ...]]:
        written = {
            "dynamics": ("alignments",),
            "phase": ("stationary",),
            "noisy_digits": ("noisy_probes", "noisy_maps"),
            "planted": ("probe_outcomes",),
        }
        return {f"{stage}/{job}": written[stage] for stage, jobs in self.jobs.items() for job in jobs}

    @property
    def told(self) -> dict[str, Any]:
        """What figures hold fixed, the dataset's name, and the maps of noisy digits by their paths."""
        return {
            "model": self._model(),
            "learning_rates": self.config["two_patch"]["learning_rates"],
            "dataset": self.config["dataset"]["name"],
            "jobs": [f"{job}/noisy_maps.parquet" for job in self.jobs["noisy_digits"]],
        }


def _by_path(points: Any) -> dict[str, dict[str, Any]]:
    """Each point under its path, such as ``objective=diffusion/time=0.2``."""
    return {"/".join(f"{key}={value}" for key, value in point.items()): dict(point) for point in points}
