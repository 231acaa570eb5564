"""memsweep: sweeps of diffusion models that say when they start to memorise.

Its packages stand in the order in which data flow: ``base``, ``study``, ``tables``, ``data``, ``diffusion`` and
``models``, ``training``, ``jobs`` and ``metrics``, ``analysis``, ``theory``, ``figures``, ``report``,
``results``, ``command_line``. What most users need of them can be imported from here, and is loaded when it is first
used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .analysis.onset import Onset as Onset
    from .analysis.onset import copy_onset as copy_onset
    from .analysis.onset import loss_onsets as loss_onsets
    from .analysis.scaling import scaling as scaling
    from .base.errors import UserError as UserError
    from .data.datasets import prepare as prepare
    from .jobs.packs import train_pack as train_pack
    from .jobs.workshop import Way as Way
    from .metrics.measure import measure_pack as measure_pack
    from .report.comparison import compare as compare
    from .report.comparison_result import Comparison as Comparison
    from .results.images import Samples as Samples
    from .results.run import RunResults as RunResults
    from .results.study import StudyResults as StudyResults
    from .results.study import open as open
    from .study.config import read_yaml as read_yaml
    from .study.config import resolve as resolve
    from .study.kinds import open_study as open_study
    from .tables.parquet import read_table as read_table

__version__ = "0.1.0"

_FACE = {
    "Comparison": "report.comparison_result",
    "Onset": "analysis.onset",
    "RunResults": "results.run",
    "Samples": "results.images",
    "StudyResults": "results.study",
    "UserError": "base.errors",
    "Way": "jobs.workshop",
    "compare": "report.comparison",
    "copy_onset": "analysis.onset",
    "loss_onsets": "analysis.onset",
    "measure_pack": "metrics.measure",
    "open": "results.study",
    "open_study": "study.kinds",
    "prepare": "data.datasets",
    "read_table": "tables.parquet",
    "read_yaml": "study.config",
    "resolve": "study.config",
    "scaling": "analysis.scaling",
    "train_pack": "jobs.packs",
}

__all__ = ["__version__", *_FACE]


def __getattr__(name: str) -> Any:
    if name not in _FACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_FACE[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
