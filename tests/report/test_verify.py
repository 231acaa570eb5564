"""The results of a study, held against themselves: whole, and then with every kind of file harmed."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from helpers.projects import PACKS_OF_TWO
from memsweep.base.errors import UserError
from memsweep.closed_form.empirical_sampler import write_empirical_samples
from memsweep.data.datasets import prepare
from memsweep.jobs.packs import train_pack
from memsweep.jobs.workshop import Way
from memsweep.metrics.classifier import train_classifier
from memsweep.metrics.features import write_features
from memsweep.metrics.measure import measure_pack
from memsweep.report.verify import verify
from memsweep.study.kinds import open_study


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A study's file, and its results as the workflow lays them out."""
    folder = tmp_path_factory.mktemp("verify")
    file = folder / "tiny.yaml"
    file.write_text(yaml.safe_dump(PACKS_OF_TWO))
    study = open_study(copy.deepcopy(PACKS_OF_TWO))
    place = folder / "results" / "tiny"
    images, classifier = place / "data" / "images.parquet", place / "data" / "classifier.safetensors"
    prepare(json.loads(study.prepare()), images)
    train_classifier(images, classifier)
    write_features({"space": "classifier"}, images, classifier, folder / "cache", place / "data" / "classifier.parquet")
    for size in study.empirical_sizes(*study.packs):
        settings = json.loads(study.empirical_samples(size))
        write_empirical_samples(settings, images, place / "empirical" / f"train_size={size}" / "samples.parquet")
    for job in study.packs:
        settings, pack = json.loads(study.train(job)), place / "train" / job
        train_pack(settings, images, place / "checkpoints", pack, Way(device="cpu", keep_averages=True))
        measure_pack(json.loads(study.measure()), images, pack, place / "data", classifier, place / "measure" / job)
    return file, folder / "results"


def files(results: Path, pattern: str) -> list[Path]:
    return sorted(path for path in results.rglob(pattern) if path.is_file())


def flip(path: Path, _: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)


def cut(path: Path, _: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def exchange(path: Path, other: Path) -> None:
    shutil.copyfile(other, path)


KINDS = [
    "data/images.parquet",
    "data/classifier.safetensors",
    "data/classifier.parquet",
    "empirical/*/samples.parquet",
    "train/*/runs.parquet",
    "train/*/losses.parquet",
    "train/*/samples.parquet",
    "train/*/trained.json",
    "measure/*/metrics.parquet",
    "measure/*/neighbours.parquet",
    "checkpoints/*/run.json",
    "checkpoints/*/state.safetensors",
    "checkpoints/*/evaluation-*.safetensors",
    "checkpoints/*/average-*.safetensors",
]


def test_results_that_are_whole_are_said_to_be(whole: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    verify(*whole)
    said = capsys.readouterr().out
    assert "results/tiny: " in said
    assert "files are whole and belong together" in said


@pytest.mark.parametrize("harm", [flip, cut, exchange])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_harmed_is_named(
    kind: str, harm: Callable[[Path, Path], None], whole: tuple[Path, Path], tmp_path: Path
) -> None:
    file, results = whole
    shutil.copytree(results, tmp_path / "results")
    pattern = kind.replace("*/", "**/")
    path, *others = [p for p in files(tmp_path / "results", "*") if p.match(f"*/{kind.rpartition('/')[2]}")
                     and f"/{pattern.partition('/')[0]}/" in str(p)]  # fmt: skip
    if harm is exchange and not others:
        pytest.skip("there is one such file in a study")
    harm(path, others[-1] if others else path)
    with pytest.raises(UserError) as error:
        verify(file, tmp_path / "results")
    assert f"{path}: " in str(error.value)


def test_what_is_none_of_the_results_is_passed_over(whole: tuple[Path, Path], tmp_path: Path) -> None:
    """A file that a killed process had not finished, and one of the user's own."""
    file, results = whole
    shutil.copytree(results, tmp_path / "results")
    (tmp_path / "results" / "tiny" / "tables").mkdir()
    (pack,) = {path.parent for path in files(tmp_path / "results", "metrics.parquet") if "train_size=8" in str(path)}
    for path in (pack / ".metrics.parquet.abc.parquet", tmp_path / "results" / "tiny" / "tables" / "mine.parquet"):
        path.write_bytes(b"PAR1")
    verify(file, tmp_path / "results")


def test_a_study_without_results_is_named(whole: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"tiny: no such folder; accepted is a study that has results here"):
        verify(whole[0], tmp_path)
