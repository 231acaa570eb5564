"""A small sweep that has been trained, measured and collected, once for the tests of a process."""

from __future__ import annotations

import json
from pathlib import Path

import memsweep as ms
import pytest
from helpers.trained import STUDY, train
from memsweep.analysis.collect import collect
from memsweep.metrics.features import write_features
from memsweep.metrics.measure import measure_pack


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study's file, with its results in the folder ``results`` beside it."""
    folder = tmp_path_factory.mktemp("hands")
    file, place = folder / "tiny.yaml", folder / "results" / "tiny"
    study = train(file, STUDY)
    images, features = place / "data" / "images.parquet", place / "data" / "features"
    write_features({"space": "pixels"}, images, None, folder / "cache", features / "pixels.parquet")
    for job in study.packs:
        pack = place / "train" / job
        measure_pack(json.loads(study.measure()), images, pack, features, None, place / "measure" / job)
    settings = {**json.loads(study.collect()), "comparisons": []}
    collect(settings, place / "train", place / "measure", place / "agree", place / "tables")
    return file


@pytest.fixture
def study(tiny: Path) -> ms.StudyResults:
    """Its results, opened by their folder."""
    return ms.open(tiny.parent / "results" / "tiny")
