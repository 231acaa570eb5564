"""A small sweep, trained without Snakemake, its results laid out as the workflow does."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import yaml
from memsweep.data.datasets import prepare
from memsweep.jobs.packs import train_pack
from memsweep.jobs.workshop import Way
from memsweep.study.kinds import open_study

STUDY: dict[str, Any] = {
    "study": "tiny",
    "dataset": {"name": "digits", "test_images": 1600},
    "grid": {
        "base": {"train_size": 12, "base_channels": 4, "batch_size": 4, "learning_rate": 1e-3, "seed": 0},
        "products": [
            {"train_size": [8, 12], "seed": [0, 1], "subset": [0, 1]},
            {"train_size": [20], "seed": [3], "learning_rate": [1e-3, 2e-3]},
        ],
    },
    "network": {"channel_multipliers": [1, 2], "blocks": 1, "attention_levels": [], "embedding": 8},
    "formulation": {"sampling_steps": 2},
    "training": {"budget": {"steps": 22}, "ema_decay": 0.9},
    "evaluation": {"first": 3, "per_decade": 3, "images": 16, "samples": 8, "sample_every": 2, "surrogates": []},
    "metrics": {"floor_draws": 2, "projections": 4, "spaces": ["pixels"], "battery": []},
}


def train(file: Path, config: dict[str, Any]) -> Any:
    """Write a study's file and train its runs, with results beside it; those of 12 images keep their averages."""
    file.write_text(yaml.safe_dump(config))
    study = open_study(copy.deepcopy(config), [file])
    place = file.parent / "results" / study.name
    images = place / "data" / "images.parquet"
    prepare(json.loads(study.prepare()), images)
    for job in study.packs:
        way = Way("cpu", keep_averages="train_size=12" in job, networks=[Path(path) for path in study.networks()])
        train_pack(json.loads(study.train(job)), images, place / "checkpoints", place / "train" / job, way)
    return study
