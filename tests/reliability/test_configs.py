"""Changed configs: each is refused in a sentence, or runs to its end."""

from __future__ import annotations

import itertools
import re
import resource
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.projects import FEATURE_LEARNING, MIXED_CUMULANT, TINY, Project, new_project

from reliability import planned
from reliability.mutations import Mutator

SETTINGS = {
    **TINY,
    "grid": {
        **TINY["grid"],
        "products": [
            {"training.weight_decay": [0, 0.1], "training.optimizer": ["adamw", "sgd"], "subset": [0, 1]},
            {"network.attention_levels": [[], [1]], "formulation.name": ["rectified_flow", "ddpm"]},
            {"network.kind": ["mlp", "dit"], "training.flip": [False, True]},
            {"network.kind": ["dit"], "network.dit.depth": [1, 2], "training.schedule": ["cosine"]},
        ],
    },
    "network": {**TINY["network"], "dit": {"width": 2, "heads": 2, "depth": 1}, "mlp": {"width": 2, "blocks": 1}},
    "only": {"training.flip": [False]},
}
KINDS = {
    "sweep": TINY,
    "settings": SETTINGS,
    "mixed_cumulant": MIXED_CUMULANT,
    "feature_learning": FEATURE_LEARNING,
}
# Seconds of a study that is not followed any further
TOO_LONG = 25.0
# What only the images of a study can tell, or the machine
OF_IMAGES = re.compile(r"images|classes|held-out|training set|pixels|memory|no usable GPU")


class TooLong(BaseException):
    """A study does not end in the time of a test."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise `TooLong` within it when the time is over."""

    def over(*_: Any) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def mutants(kind: str, seed: int, count: int) -> Iterator[tuple[int, dict[str, Any]]]:
    return enumerate(itertools.islice(Mutator(KINDS[kind], seed), count))


def asked(folder: Path, config: dict[str, Any]) -> tuple[int, str]:
    """What the command says of a config that reads and checks it, and counts its cost."""
    (folder / "study.yaml").write_text(yaml.safe_dump(config, allow_unicode=True))
    status, said = planned.memsweep("estimate", "study.yaml", folder=folder)
    return (0, said) if "whose cost is known" in said else (status, said)


def assert_sentence(said: str) -> None:
    """One line or one for each problem, that says where something is wrong; no traceback."""
    assert said.strip()
    assert "Traceback" not in said
    assert len(said) < 5000
    assert all(re.match(r"memsweep \w+: |config error: |  ", line) for line in said.strip().splitlines()), said


@pytest.mark.parametrize("kind", KINDS)
def test_any_config_is_checked_in_a_moment(kind: str, tmp_path: Path, length: int) -> None:
    accepted = 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number, config in mutants(kind, seed=1, count=200 * length):
        began = time.monotonic()
        status, said = asked(tmp_path, config)
        assert time.monotonic() - began < 5, (number, config)
        accepted += status == 0
        if status:
            assert_sentence(said)
    assert accepted > 20 * length  # so that it is known what is tried
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500 * 1024


def ended(project: Project, config: dict[str, Any], drawn: bool) -> str:
    """How an accepted study ends, whose figures may be drawn: ``right``, ``too long``, or what was said of it."""
    shutil.rmtree(project.folder / "results", ignore_errors=True)
    (project.folder / "config" / "tiny.yaml").write_text(yaml.safe_dump(config, allow_unicode=True))
    try:
        with at_most(TOO_LONG):
            jobs = planned.plan(project)
            if isinstance(jobs, str):
                return jobs
            for job in jobs if drawn else (job for job in jobs if job.arguments[0] != "figure"):
                status, said = planned.run(job, project.folder)
                if status:
                    return said
                missing = [file for file in job.outputs if not (project.folder / file).exists()]
                if missing:
                    return f"{job.rule} has not made {missing}"
    except TooLong:
        return "too long"
    return "right"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_accepted_runs_to_its_end(kind: str, tmp_path: Path, length: int) -> None:
    project = new_project(tmp_path / "project")
    accepted = (each for each in mutants(kind, seed=2, count=1000) if asked(tmp_path, each[1])[0] == 0)
    ends = Counter[str]()
    wrong: dict[int, Any] = {}
    # On a busy machine some are too long; then one more is tried, and another
    for number, config in itertools.islice(accepted, 10 * length**2):
        if ends.total() >= 2 * length**2 and ends["right"]:
            break
        end = ended(project, config, drawn=length > 1)
        ends[end] += 1
        if end not in ("right", "too long") and not ("Traceback" not in end and OF_IMAGES.search(end)):
            wrong[number] = end, config
    assert wrong == {}
    assert ends["right"]
