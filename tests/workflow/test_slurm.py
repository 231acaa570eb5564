"""The Slurm profile on a real Slurm: a cluster of one node that these tests start and stop.

As root, with the packages slurm-wlm and munge and `pip install -e '.[test,slurm]'`:

    pytest tests/workflow/test_slurm.py
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from conftest import TINY, Project, new_project  # type: ignore[attr-defined]

NODE = Path(__file__).with_name("slurm_node.sh")
MISSING = [program for program in ("slurmctld", "slurmd", "sbatch", "munged") if shutil.which(program) is None]
if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
    MISSING.append("snakemake-executor-plugin-slurm")
if os.geteuid() != 0:
    MISSING.append("root")
pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(bool(MISSING), reason=f"a Slurm of one node needs {', '.join(MISSING)}"),
]

# Four packs, long enough to be met while they run
TRAIN_SIZES = (8, 10, 12, 16)
STUDY: dict[str, Any] = {
    "grid": {
        "base": TINY["grid"]["base"],
        "products": [{"train_size": list(TRAIN_SIZES)}],
    },
    "training": {"budget": {"steps": 600}, "ema_decay": 0.9, "checkpoint_seconds": 0.2, "device": "cpu"},
    "evaluation": {"first": 10, "per_decade": 4, "images": 16, "samples": 8},
    "requests": {"base_mb": 1000},
}
TABLES = ("runs", "trajectories", "noise_levels", "metrics", "onsets", "scaling", "peaks")


@pytest.fixture(scope="module")
def slurm() -> Iterator[None]:
    """A Slurm of one node, without accounting."""
    subprocess.run([NODE, "up"], check=True)
    yield
    subprocess.run([NODE, "down"], check=True)


def job_path(train_size: int) -> str:
    return f"train_size={train_size}/base_channels=4/batch_size=4"


def training(project: Project, train_size: int) -> psutil.Process | None:
    """The process that trains a pack, if there is one."""
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        output = f"results/tiny/train/{job_path(train_size)}"
        if {"memsweep", "train", output} <= set(command) and _folder(process) == str(project.folder):
            return process
    return None


def _folder(process: psutil.Process) -> str:
    try:
        return process.cwd()
    except psutil.Error:
        return ""


def evaluations(project: Project, runs: list[str]) -> dict[Path, int]:
    files = (path for run in runs for path in (project.results / "checkpoints" / run).glob("evaluation-*"))
    return {path: path.stat().st_mtime_ns for path in files}


SLURM = [
    *("--workflow-profile", "profiles/slurm", "--latency-wait", "10"),
    *("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2"),
]


def start(project: Project, *more: str) -> subprocess.Popen[str]:
    """Start the workflow on Slurm; what it says goes to ``said.txt``."""
    command = [sys.executable, "-m", "snakemake", *more, *SLURM, "--configfile", "config/tiny.yaml"]
    with (project.folder / "said.txt").open("w") as said:
        return subprocess.Popen(
            command, cwd=project.folder, env=project.environment, stdout=said, stderr=said, text=True
        )


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose study is that of these tests; nothing has been run."""
    project = new_project(tmp_path_factory.mktemp("fresh") / "project")
    project.configure(**STUDY)
    return project


@pytest.fixture(scope="module")
def local(fresh: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same study, run on this machine."""
    project = fresh.copy_to(tmp_path_factory.mktemp("local") / "project")
    project.snakemake("tables")
    return project


def test_a_study_on_slurm_survives_what_happens_to_jobs(
    slurm: None, fresh: Project, local: Project, tmp_path: Path
) -> None:
    """One job is cancelled, one killed, one meets its time limit, one fails; the results are those of a local run."""
    project = fresh.copy_to(tmp_path / "project")
    runs = {size: list(group["run_id"]) for size, group in local.table("tables/runs.parquet").groupby("train_size")}
    cancelled, killed, held, broken = TRAIN_SIZES
    # A checkpoint that is none makes one job fail, however often it is tried
    damaged = project.results / "checkpoints" / runs[broken][0]
    shutil.copytree(local.results / "checkpoints" / runs[broken][0], damaged)
    for path in damaged.glob("evaluation-*"):
        path.unlink()
    (damaged / "state.pt").write_bytes(b"damaged")

    def cancel(process: psutil.Process, job: str) -> None:
        subprocess.run(["scancel", job], check=True)

    def kill(process: psutil.Process, job: str) -> None:
        process.kill()

    def hold(process: psutil.Process, job: str) -> None:
        """It hears nothing until its time limit, now Slurm's shortest, ends it."""
        process.suspend()
        subprocess.run(["scontrol", "update", f"JobId={job}", "TimeLimit=1"], check=True)

    happens = {held: hold, cancelled: cancel, killed: kill}
    before: dict[int, dict[Path, int]] = {}
    gpus: dict[int, str] = {}
    workflow = start(project, "packs", "--retries", "2")
    deadline = time.monotonic() + 900
    try:
        while len(before) < len(happens):
            assert workflow.poll() is None, (project.folder / "said.txt").read_text()
            assert time.monotonic() < deadline
            for size in happens.keys() - before.keys():
                process = training(project, size)
                saved = (project.results / "checkpoints" / runs[size][0] / "state.pt").exists()
                if process and saved and len(evaluations(project, runs[size])) >= 3:
                    environment = process.environ()
                    happens[size](process, environment["SLURM_JOB_ID"])
                    gpus[size] = environment["CUDA_VISIBLE_DEVICES"]
                    psutil.wait_procs([process] if size != held else [], timeout=60)
                    before[size] = evaluations(project, runs[size])
        assert workflow.wait(timeout=900) != 0
    finally:
        if workflow.poll() is None:
            workflow.terminate()
            workflow.wait(timeout=60)
    said = (project.folder / "said.txt").read_text()

    # Every job that trained saw one GPU, and no two at once the same
    assert all(re.fullmatch(r"\d+", gpu) for gpu in gpus.values()), gpus
    assert len(set(gpus.values())) == len(gpus), gpus
    # What was evaluated before the job ended is what the next attempt went on from
    for size, old in before.items():
        assert old
        after = evaluations(project, runs[size])
        assert {path: after[path] for path in old} == old
        assert "continues from step" in (project.results / "logs" / "train" / f"{job_path(size)}.log").read_text()
    # The job that fails leaves the others going and is named with its log
    assert f"results/tiny/logs/train/{job_path(broken)}.log" in said
    assert "state.pt: damaged checkpoint" in said
    finished = {size for size in TRAIN_SIZES if (project.results / "measure" / job_path(size)).exists()}
    assert finished == {cancelled, killed, held}

    shutil.rmtree(damaged)
    workflow = start(project, "tables")
    assert workflow.wait(timeout=900) == 0, (project.folder / "said.txt").read_text()
    for name in TABLES:
        pd.testing.assert_frame_equal(
            project.table(f"tables/{name}.parquet"), local.table(f"tables/{name}.parquet"), check_exact=True
        )
