"""Damaged and exchanged files: no stage makes a number from one, and `memsweep verify` names it."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from helpers.projects import TINY, Project

from reliability import length_of, planned
from reliability.damage import DAMAGES, exchange, kind_of, kinds_of_files


@pytest.fixture(scope="module")
def whole(finished_once: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return finished_once.copy_to(tmp_path_factory.mktemp("damage") / "whole")


@pytest.fixture(scope="module")
def jobs(whole: Project) -> list[planned.Job]:
    """All jobs of the study, those that draw figures first."""
    found = planned.plan(whole)
    assert not isinstance(found, str)
    return sorted(found, key=lambda job: job.arguments[0] != "figure")


@pytest.fixture(scope="module")
def other(whole: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same study of other images, up to its tables: its files have the same names."""
    other = whole.copy_to(tmp_path_factory.mktemp("other") / "project")
    changed = {**TINY, "dataset": {**TINY["dataset"], "seed": 1}}
    (other.folder / "config" / "tiny.yaml").write_text(yaml.safe_dump(changed))
    for path in (other.results / "train", other.results / "measure", other.results / "checkpoints"):
        path.rename(path.with_name(f"{path.name}_before"))
    planned_jobs = planned.plan(other)
    assert not isinstance(planned_jobs, str)
    for job in planned_jobs:
        if job.arguments[0] not in ("figure", "pages", "summary"):
            status, said = planned.run(job, other.folder)
            assert status == 0, said
    return other


def tried(whole: Project, length: int, seed: str) -> Iterator[tuple[Path, random.Random]]:
    """One file of each kind, and where the tests are long several."""
    for kind, files in kinds_of_files(whole.results).items():
        source = random.Random(f"{seed} {kind}")
        for file in source.sample(files, min(len(files), length)):
            yield file, source


def consequences(project: Project, whole: Project, jobs: list[planned.Job], file: Path) -> list[str]:
    """What is wrong with how the stages and `verify` take a wrong file: nothing, if all is well.

    The figures that read it are drawn, then the stages run that read it, or what was made of it, in their order. Each
    figure and the first stage that ends in a sentence, as a workflow does, must name such a file; where none does, what
    they made must be what it was.
    """
    relative = f"results/tiny/{file.as_posix()}"
    wrong = []
    status, said = planned.memsweep("verify", "config/tiny.yaml", folder=project.folder)
    if status != 1 or relative not in said:
        wrong.append(f"verify: {status} {said}")
    touched = {relative}
    for job in jobs:
        if relative in job.outputs or not any(map(job.mentions, touched)):
            continue
        status, said = planned.run(job, project.folder)
        if status:
            if not any(each in said for each in touched):
                wrong.append(f"{job.rule} does not name it: {said}")
            if job.arguments[0] == "figure":
                continue
            return wrong
        pairs = {output: (project.folder / output, whole.folder / output) for output in job.outputs}
        made = {output for output, (here, there) in pairs.items() if here.read_bytes() != there.read_bytes()}
        if made and job.arguments[0] == "figure":
            wrong.append(f"{job.rule} is drawn of it")
        touched |= made
    return [*wrong, f"made of it: {touched}"] if len(touched) > 1 else wrong


@pytest.mark.parametrize("way", DAMAGES)
def test_no_stage_takes_a_damaged_file_for_right(
    way: str, whole: Project, jobs: list[planned.Job], tmp_path: Path, length: int
) -> None:
    wrong = {}
    for number, (file, source) in enumerate(tried(whole, length, seed=way)):
        project = whole.copy_to(tmp_path / f"{number}")
        DAMAGES[way](project.results / file, source)
        wrong[str(file)] = consequences(project, whole, jobs, file)
    assert {file: found for file, found in wrong.items() if found} == {}


def test_no_stage_takes_another_file_for_its_own(
    whole: Project, other: Project, jobs: list[planned.Job], tmp_path: Path, length: int
) -> None:
    """That of another run, pack or step, and that of other images."""
    stages = [job for job in jobs if job.arguments[0] != "figure"]  # which read tables as the pages do
    wrong = {}
    for number, (file, source) in enumerate(tried(whole, length, seed="exchange")):
        project = whole.copy_to(tmp_path / f"{number}")
        own, others = (
            [folder / each for each in kinds_of_files(folder)[kind_of(file)]]
            for folder in (whole.results, other.results)
        )
        source.shuffle(own)
        if exchange(project.results / file, own + others if number % 2 else others + own):
            wrong[str(file)] = consequences(project, whole, stages, file)
    assert {file: found for file, found in wrong.items() if found} == {}
    assert len(wrong) > 15


# Files whose damage is met on the way to the tables, with what must be made again for that
MET = {
    "data/images.parquet": ("data/features", "data/surrogates.parquet", "data/classifier.safetensors", "tables"),
    "data/classifier.safetensors": ("data/features", "measure", "tables"),
    "data/features/pixels.parquet": ("measure", "tables"),
    "data/surrogates.parquet": ("train", "tables"),
    "checkpoints/*/evaluation-*.safetensors": ("train", "tables"),
    "checkpoints/*/run.json": ("train", "tables"),
    "train/**/samples.parquet": ("measure", "tables"),
    "train/**/losses.parquet": ("tables",),
    "measure/**/metrics.parquet": ("tables",),
    "measure/**/neighbours.parquet": ("tables/onsets.parquet",),
    "tables/metrics.parquet": ("tables/onsets.parquet",),
}
IN_SHORT = ("checkpoints/*/run.json", "train/**/losses.parquet")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "met" in metafunc.fixturenames:
        metafunc.parametrize("met", MET if length_of(metafunc.config) > 1 else IN_SHORT)


def test_the_advice_followed_to_the_letter_works(met: str, finished: Project) -> None:
    """Whatever is damaged: what the workflow says to delete is deleted, and the same command ends in the same bytes."""
    before = {path: path.read_bytes() for path in sorted((finished.results / "tables").glob("*.parquet"))}
    DAMAGES["flip"](sorted(finished.results.glob(met))[0], random.Random(met))
    for name in MET[met]:
        path = finished.results / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for _ in range(4):
        result = finished.snakemake("tables", check=False)
        if result.returncode == 0:
            break
        assert "Traceback" not in result.stdout
        advised = {
            (finished.folder / path).parent if "delete its folder" in sentence else finished.folder / path
            for sentence in re.findall(r"^memsweep \w+: (.*delete .*)$", result.stdout, re.MULTILINE)
            for path in re.findall(r"results/tiny/[^\s:,;)]+", sentence)
        }
        assert advised, result.stdout[-3000:]
        for path in advised:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    assert result.returncode == 0
    assert {path for path, content in before.items() if path.read_bytes() != content} == set()
