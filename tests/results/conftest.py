"""A small sweep that has been trained, measured and collected, once for the tests of a process."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import memsweep as ms
import pytest
import yaml
from memsweep.analysis.collect import collect
from memsweep.data.datasets import prepare
from memsweep.jobs.packs import train_pack
from memsweep.jobs.workshop import Way
from memsweep.metrics.features import write_features
from memsweep.metrics.measure import measure_pack
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


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study's file, with its results in the folder ``results`` beside it; that of 12 images keeps its averages."""
    folder = tmp_path_factory.mktemp("hands")
    file = folder / "tiny.yaml"
    file.write_text(yaml.safe_dump(STUDY))
    study = open_study(copy.deepcopy(STUDY))
    place = folder / "results" / "tiny"
    images, features = place / "data" / "images.parquet", place / "data" / "features"
    prepare(json.loads(study.prepare()), images)
    write_features({"space": "pixels"}, images, None, folder / "cache", features / "pixels.parquet")
    for job in study.packs:
        settings, pack = json.loads(study.train(job)), place / "train" / job
        train_pack(settings, images, place / "checkpoints", pack, Way("cpu", keep_averages="train_size=12" in job))
        measure_pack(json.loads(study.measure()), images, pack, features, None, place / "measure" / job)
    settings = {**json.loads(study.collect()), "comparisons": []}
    collect(settings, place / "train", place / "measure", place / "agree", place / "tables")
    return file


@pytest.fixture
def study(tiny: Path) -> ms.StudyResults:
    """Its results, opened by their folder."""
    return ms.open(tiny.parent / "results" / "tiny")
