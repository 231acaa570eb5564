"""Runs Snakemake on a tiny study in a copy of the project, so that tests may edit code and config."""

from __future__ import annotations

import copy
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import yaml
from memsweep.tables.contracts import SCHEMAS
from memsweep.tables.frames import with_plain_text

from helpers.configs import ROOT
from helpers.loaded import programs

PARTS = ("Snakefile", "config", "profiles", "workflow")

TINY: dict[str, Any] = {
    "study": "tiny",
    # The fewer images to train on, the sooner the classifier is trained
    "dataset": {"name": "digits", "test_images": 1600},
    "grid": {
        "base": {"train_size": 8, "base_channels": 4, "batch_size": 4, "learning_rate": 0.001, "seed": 0},
        "products": [{"train_size": [8, 16], "seed": [0, 1]}, {"learning_rate": [0.001, 0.002]}],
    },
    "network": {"channel_multipliers": [1, 2], "blocks": 1, "attention_levels": [], "embedding": 8},
    "formulation": {"sampling_steps": 2},
    "training": {"budget": {"steps": 32}, "ema_decay": 0.9},
    "evaluation": {"first": 3, "per_decade": 4, "images": 16, "samples": 8},
    "metrics": {"floor_draws": 2, "projections": 4},
    "onset": {"bootstrap": 5},
}

# Two packs of two runs, for tests that call the stages themselves
PACKS_OF_TWO: dict[str, Any] = {
    "study": "tiny",
    "dataset": {"name": "digits", "test_images": 1600},
    "grid": {
        "base": {"base_channels": 4, "batch_size": 4, "learning_rate": 1e-3},
        "products": [{"train_size": [8, 12], "seed": [0, 1]}],
    },
    "network": {"channel_multipliers": [1, 2], "blocks": 1, "attention_levels": [], "embedding": 8},
    "formulation": {"sampling_steps": 2},
    "training": {"budget": {"steps": 20}, "ema_decay": 0.9},
    "evaluation": {"first": 3, "per_decade": 3, "images": 16, "samples": 8, "surrogates": []},
    "metrics": {"floor_draws": 2, "projections": 4, "spaces": ["classifier"]},
}


MIXED_CUMULANT: dict[str, Any] = {
    "study": "tiny",
    "kind": "mixed_cumulant",
    "experiments": [
        {
            "name": "both",
            "beta_u": 1,
            "beta_v": 8,
            "step_size": 0.3,
            "dimensions": [8, 12],
            "replicas": 8,
            "samples": 30,
        }
    ],
    "networks": [{"name": "both", "beta_u": 1, "beta_v": 8, "dimensions": [5, 7], "steps": 10}],
    "evaluation": {"per_decade": 4},
    "recovery": {"bootstrap": 20},
}

FEATURE_LEARNING: dict[str, Any] = {
    "study": "tiny",
    "kind": "feature_learning",
    "dataset": {"name": "digits", "test_images": 60},
    "two_patch": {
        "dimension": 30,
        "neurons": 2,
        "times": [1.0],
        "dynamics": {"train_size": 6, "seeds": 2, "iterations": 40},
        "phase": {"train_sizes": [4, 8], "signal_norms": [1, 3], "seeds": 2, "iterations": 60},
    },
    "noisy_digits": {"images": 4, "snrs": [0.5], "seeds": 1, "iterations": 20, "steps": 2, "batch_size": 4},
    "planted": {"train_sizes": [8], "agreements": [1], "seeds": 1, "base_channels": 4, "batch_size": 4, "steps": 2},
    "bootstrap": 5,
}


@dataclass
class Project:
    """A copy of the project with the tiny study's config and, perhaps, results."""

    folder: Path

    @property
    def results(self) -> Path:
        return self.folder / "results" / "tiny"

    @property
    def environment(self) -> dict[str, str]:
        """One in which Python finds the copy's library ahead of any other."""
        others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
        paths = os.pathsep.join([str(self.folder / "workflow"), *others])
        return {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}

    def configure(self, **changes: Any) -> None:
        """Write the tiny study's config with whole sections replaced."""
        config = copy.deepcopy({**TINY, **changes})
        (self.folder / "config" / "tiny.yaml").write_text(yaml.safe_dump(config))

    @property
    def loaded_environment(self) -> dict[str, str]:
        """One whose `snakemake` and `python` have loaded their libraries already: `helpers.loaded`."""
        environment = self.environment
        return {**environment, "PATH": os.pathsep.join([str(programs()), environment["PATH"]])}

    def _command(self, *arguments: str) -> list[str]:
        # All that follows --configfile would be taken for one
        return ["-m", "snakemake", "--cores", "2", *arguments, "--configfile", "config/tiny.yaml"]

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start Snakemake in a session of its own, unheard."""
        return subprocess.Popen(
            [sys.executable, *self._command(*arguments)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def snakemake(self, *arguments: str, check: bool = True, loaded: bool = True) -> subprocess.CompletedProcess[str]:
        """Run Snakemake with the copy's library; its output is in ``stdout``, both streams together.

        Unless told otherwise, it and its jobs begin where their libraries have been loaded.
        """
        result = subprocess.run(
            [str(programs() / "python") if loaded else sys.executable, *self._command(*arguments)],
            cwd=self.folder,
            env=self.loaded_environment if loaded else self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )
        assert not check or result.returncode == 0, result.stdout
        return result

    def jobs(self, *arguments: str) -> dict[str, int]:
        """How often each rule would run, by a dry run, but for targets and the summary, which follows every result."""
        output = self.snakemake("-n", *arguments).stdout
        stats = re.search(r"^job +count\n[- ]+\n(.*?)^total", output, re.MULTILINE | re.DOTALL)
        rows = (line.split() for line in stats[1].splitlines()) if stats else ()
        return {rule: int(count) for rule, count in rows if rule not in ("all", "figures", "tables", "summary")}

    def table(self, path: str) -> pd.DataFrame:
        return with_plain_text(pd.read_parquet(self.results / path))

    def assert_tables(self, *names: str) -> None:
        """These tables are there, keep their contract, and have rows."""
        for name in names:
            schema = pq.read_schema(self.results / "tables" / f"{name}.parquet")
            assert schema.names == SCHEMAS[name].names
            assert all(b"meaning" in field.metadata for field in schema)
            assert len(self.table(f"tables/{name}.parquet")) > 0

    def assert_figures(self, *names: str) -> None:
        """These figures are there in both formats, and not empty."""
        for name in names:
            for suffix in ("pdf", "png"):
                assert (self.results / "figures" / f"{name}.{suffix}").stat().st_size > 5000

    def copy_to(self, folder: Path) -> Project:
        """Another project in the same state, times of files included."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder)


def new_project(folder: Path) -> Project:
    """A copy of the project whose tiny study has not been run."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy2(ROOT / part, folder / part)
    project = Project(folder)
    project.configure()
    return project
