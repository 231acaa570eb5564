"""Workflows that are killed at any moment, whoever is killed: the documented commands end in the same bytes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass

import psutil
import pytest
from helpers.projects import Project

from reliability import length_of

# What is deleted, so that a stage has something to do, and the targets that bring it back
STAGES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "prepare": (("data", "train", "checkpoints", "measure", "tables"), ("tables",)),
    "train": (("train", "checkpoints", "measure", "tables"), ("tables",)),
    "measure": (("measure", "tables"), ("tables",)),
    "collect": (("tables",), ("tables",)),
    "analyse": (("tables",), ("tables",)),
    "figure": (("figures/peaks.pdf", "figures/clocks.png"), ()),
    "pages": (("report",), ()),
    "report": ((), ("--report", "report.html")),
}
VICTIMS = ("job", "snakemake", "group")
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)


@dataclass(frozen=True)
class Moment:
    """When, who and how: while a stage runs, some share of a second and a half after it has begun."""

    stage: str
    victim: str
    signal: signal.Signals
    share: float

    def __str__(self) -> str:
        return f"{self.stage}, {self.victim}, {self.signal.name}, {self.share:.2f}"


def moments(length: int) -> list[Moment]:
    """One in each of six stages, with each signal and victim twice; where the tests are long, all of them."""
    source = random.Random(0)
    if length == 1:
        short = zip(("train", "measure", "analyse", "figure", "pages", "report"), VICTIMS * 2, strict=True)
        found = [Moment(stage, victim, SIGNALS[-1 - k % 3], 0.3) for k, (stage, victim) in enumerate(short)]
        return [*found[:-1], Moment("report", "snakemake", signal.SIGKILL, 0.3)]
    every = [(stage, victim, sent) for stage in STAGES for victim in VICTIMS for sent in SIGNALS]
    return [Moment(*each, source.random()) for each in every if each[:2] != ("report", "job")]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "moment" in metafunc.fixturenames:
        metafunc.parametrize("moment", moments(length_of(metafunc.config)), ids=str)


def job_of(workflow: psutil.Process, stage: str) -> psutil.Process | None:
    """A process that runs the stage."""
    for process in workflow.children(recursive=True):
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if words[1:4] == ["-m", "memsweep", stage]:
            return process
    return None


def kill(moment: Moment, workflow: subprocess.Popen[bytes]) -> None:
    """Wait for the moment, and kill; where the workflow has ended before, there is nothing to do."""
    root, deadline = psutil.Process(workflow.pid), time.monotonic() + 120
    job = None
    while workflow.poll() is None and time.monotonic() < deadline:
        job = root if moment.stage == "report" else job_of(root, moment.stage)
        if job:
            break
        time.sleep(0.002)
    assert job, f"no job of {moment.stage} has begun"
    time.sleep(1.5 * moment.share)
    try:
        if moment.victim == "job" and job:
            job.send_signal(moment.signal)
        elif moment.victim == "group":
            os.killpg(workflow.pid, moment.signal)
        else:
            root.send_signal(moment.signal)
    except (psutil.NoSuchProcess, ProcessLookupError):
        pass  # it has ended


def left_behind(session: int) -> list[psutil.Process]:
    """What of a session still runs."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.Error):
            continue
    return found


def contents(project: Project) -> dict[str, bytes]:
    """Tables of packs and of the study, and pages."""
    files = [
        path for folder in ("train", "measure", "tables", "report") for path in (project.results / folder).rglob("*")
    ]
    kept = [path for path in files if path.suffix in (".parquet", ".html") and not path.name.startswith(".")]
    return {str(path.relative_to(project.results)): path.read_bytes() for path in kept}


def test_a_killed_workflow_ends_in_the_same_bytes(moment: Moment, finished: Project) -> None:
    before = contents(finished)
    removed, targets = STAGES[moment.stage]
    for name in removed:
        path = finished.results / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    workflow = finished.start(*targets)
    kill(moment, workflow)
    if moment.victim == "snakemake" and moment.signal == signal.SIGKILL:
        workflow.wait(20)  # its jobs end by themselves
        deadline = time.monotonic() + 60
    else:
        workflow.wait(120)
        deadline = time.monotonic() + 5
    while left := left_behind(workflow.pid):
        assert time.monotonic() < deadline, [process.cmdline() for process in left]
        time.sleep(0.1)
    again = finished.snakemake(*targets, check=False)
    if again.returncode:
        # A lock that was left is said with the command that takes it away
        assert "--unlock" in again.stdout
        finished.snakemake("--unlock")
        finished.snakemake(*targets)
    assert (finished.folder / "report.html").exists() or moment.stage != "report"
    after = contents(finished)
    assert {name for name in before if before[name] != after.get(name)} == set()
    assert set(after) == set(before)
