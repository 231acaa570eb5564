"""The Slurm profile on a real Slurm: a cluster of one node that these tests start and stop.

As root, with the packages slurm-wlm and munge and `pip install -e '.[test,slurm]'`:

    pytest tests/workflow/test_slurm.py

The second test also takes slurmdbd and mariadb-server, for a cluster that keeps accounts of its jobs.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from filelock import FileLock
from helpers.projects import TINY, Project, new_project
from memsweep.base.tensors import tensors_metadata

NODE = Path(__file__).with_name("slurm_node.sh")


def absent(*programs: str) -> list[str]:
    return [program for program in programs if shutil.which(program) is None]


MISSING = absent("slurmctld", "slurmd", "sbatch", "munged")
if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
    MISSING.append("snakemake-executor-plugin-slurm")
if os.geteuid() != 0:
    MISSING.append("root")
pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(bool(MISSING), reason=f"a Slurm of one node needs {', '.join(MISSING)}"),
]

# Four packs, long enough to be met while they run, and few jobs beside theirs, as each starts Snakemake twice
TRAIN_SIZES = (8, 10, 12, 16)
STUDY: dict[str, Any] = {
    "grid": {
        "base": TINY["grid"]["base"],
        "products": [{"train_size": list(TRAIN_SIZES)}],
    },
    "training": {"budget": {"steps": 600}, "ema_decay": 0.9, "checkpoint_seconds": 0.2, "device": "cpu"},
    "evaluation": {"first": 10, "per_decade": 4, "images": 16, "samples": 8, "surrogates": []},
    "metrics": {**TINY["metrics"], "spaces": ["pixels"]},
    "requests": {"base_mb": 1000},
}
TABLES = ("runs", "trajectories", "noise_levels", "metrics", "onsets", "scaling", "peaks")


@contextmanager
def slurm(*options: str) -> Iterator[None]:
    """A Slurm of one node; another process that tests waits until it is down."""
    with FileLock(Path(tempfile.gettempdir()) / "memsweep-slurm-node.lock"):
        subprocess.run([NODE, "up", *options], check=True)
        try:
            yield
        finally:
            subprocess.run([NODE, "down"], check=True)


def is_alive(process: psutil.Process) -> bool:
    """Whether a process still runs, or would if it were not stopped."""
    try:
        return process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


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


def training_log(project: Project, train_size: int) -> str:
    return (project.results / "logs" / "train" / f"{job_path(train_size)}.log").read_text()


def number(pattern: str, text: str) -> int:
    """The number at the place of the pattern's group, which the text holds once."""
    (found,) = re.findall(pattern, text)
    return int(found)


def gpu_of_job(job: str) -> str:
    """The number of the one GPU that Slurm says it gave to a job."""
    told = subprocess.run(["scontrol", "-d", "show", "job", job], check=True, capture_output=True, text=True).stdout
    return str(number(r"GRES=gpu:1\(IDX:(\d+)\)", told))


SLURM = ["--workflow-profile", "profiles/slurm", "--latency-wait", "10"]
# Snakemake, asking Slurm every second how its jobs are: left alone it asks ever more seldom where none ends
SNAKEMAKE = """
import sys
from snakemake.cli import main
from snakemake_executor_plugin_slurm import Executor
Executor.next_seconds_between_status_checks = property(lambda executor: 1, lambda executor, seconds: None)
sys.exit(main(sys.argv[1:]))
"""
# Without accounts only squeue knows how jobs ended
NO_ACCOUNTS = ["--slurm-status-command", "squeue"]


def start(project: Project, *more: str) -> subprocess.Popen[str]:
    """Start the workflow on Slurm; what it says goes to ``said.txt``."""
    command = [sys.executable, "-c", SNAKEMAKE, *more, *SLURM, "--configfile", "config/tiny.yaml"]
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


def assert_same_tables(project: Project, local: Project) -> None:
    for name in TABLES:
        pd.testing.assert_frame_equal(
            project.table(f"tables/{name}.parquet"), local.table(f"tables/{name}.parquet"), check_exact=True
        )


def test_a_study_on_slurm_survives_what_happens_to_jobs(fresh: Project, local: Project, tmp_path: Path) -> None:
    """One job is cancelled, one killed, one meets its time limit, one fails; the results are those of a local run."""
    project = fresh.copy_to(tmp_path / "project")
    runs = {size: list(group["run_id"]) for size, group in local.table("tables/runs.parquet").groupby("train_size")}
    steps = local.table("tables/runs.parquet").set_index("train_size")["max_steps"]
    cancelled, killed, held, broken = TRAIN_SIZES
    # A checkpoint that is none makes one job fail, however often it is tried
    damaged = project.results / "checkpoints" / runs[broken][0]
    shutil.copytree(local.results / "checkpoints" / runs[broken][0], damaged)
    for path in damaged.glob("evaluation-*"):
        path.unlink()
    (damaged / "run.json").write_bytes(b"damaged")

    def state(size: int) -> Path:
        (run,) = runs[size]
        return project.results / "checkpoints" / run / "state.safetensors"

    def cancel(process: psutil.Process, job: str) -> None:
        subprocess.run(["scancel", job], check=True)
        psutil.wait_procs([process], timeout=60)

    def kill(process: psutil.Process, job: str) -> None:
        process.kill()
        psutil.wait_procs([process], timeout=60)

    def hold(process: psutil.Process, job: str) -> None:
        """It hears nothing until its time limit, now Slurm's shortest, ends it."""
        process.suspend()
        subprocess.run(["scontrol", "update", f"JobId={job}", "TimeLimit=1"], check=True)

    happens = {held: hold, cancelled: cancel, killed: kill}
    evaluated: dict[int, dict[Path, int]] = {}  # before the attempt was ended
    saved: dict[int, int] = {}  # steps of the checkpoint that it left at least
    first_attempt: dict[int, str] = {}
    gpus: dict[int, str] = {}
    holders: dict[int, psutil.Process] = {}
    with slurm():
        workflow = start(project, "packs", "--retries", "2", *NO_ACCOUNTS)
        deadline = time.monotonic() + 900
        try:
            while len(evaluated) < len(happens):
                assert workflow.poll() is None, (project.folder / "said.txt").read_text()
                assert time.monotonic() < deadline
                for size in happens.keys() - evaluated.keys():
                    process = training(project, size)
                    if process and state(size).exists() and len(evaluations(project, runs[size])) >= 3:
                        environment = process.environ()
                        job, gpus[size] = environment["SLURM_JOB_ID"], environment["CUDA_VISIBLE_DEVICES"]
                        assert gpus[size] == gpu_of_job(job)
                        # No two jobs at once see the same GPU; one whose job has ended is another's
                        shared = [other for other in holders if gpus[other] == gpus[size]]
                        assert not any(is_alive(holders[other]) for other in shared), gpus
                        holders[size] = process
                        saved[size] = int(tensors_metadata(state(size))["step"])
                        happens[size](process, job)
                        first_attempt[size] = training_log(project, size)
                        evaluated[size] = evaluations(project, runs[size])
            assert workflow.wait(timeout=900) != 0
        finally:
            if workflow.poll() is None:
                workflow.terminate()
                workflow.wait(timeout=60)
        said = (project.folder / "said.txt").read_text()

        for size, old in evaluated.items():
            # What was evaluated before the job ended is what the next attempt went on from
            after = evaluations(project, runs[size])
            assert old
            assert {path: after[path] for path in old} == old
            # Nor was any step taken again that a checkpoint held
            last = training_log(project, size)
            resumed = number(r"continues from step (\d+)", last)
            assert resumed >= saved[size] > 0
            assert number(r"trained (\d+) steps", last) == steps[size] - resumed
        # A cancelled job saves what it has: its attempts together took every step once
        trained = [
            number(r"trained (\d+) steps", log) for log in (first_attempt[cancelled], training_log(project, cancelled))
        ]
        assert sum(trained) == steps[cancelled]
        assert min(trained) > 0
        # The job that fails leaves the others going and is named with its log
        assert f"results/tiny/logs/train/{job_path(broken)}.log" in said
        assert "run.json: not the record of this run" in said
        finished = {size for size in TRAIN_SIZES if (project.results / "measure" / job_path(size)).exists()}
        assert finished == {cancelled, killed, held}

        shutil.rmtree(damaged)
        workflow = start(project, "tables", *NO_ACCOUNTS)
        assert workflow.wait(timeout=900) == 0, (project.folder / "said.txt").read_text()
    assert_same_tables(project, local)


@pytest.mark.skipif(
    bool(absent("slurmdbd", "mariadbd")), reason=f"accounts need {', '.join(absent('slurmdbd', 'mariadbd'))}"
)
def test_job_arrays_on_a_slurm_with_accounts(fresh: Project, local: Project, tmp_path: Path) -> None:
    """The packs are one job array, and the accounts say that each task had one GPU."""
    project = fresh.copy_to(tmp_path / "project")
    with slurm("accounting"):
        workflow = start(project, "tables", "--slurm-array-jobs", "train")
        try:
            assert workflow.wait(timeout=900) == 0, (project.folder / "said.txt").read_text()
        finally:
            if workflow.poll() is None:
                workflow.terminate()
                workflow.wait(timeout=60)
        kept = ["sacct", "--noheader", "--parsable2", "--allocations", "--format", "JobID,Partition,State,AllocTRES"]
        jobs = subprocess.run(kept, check=True, capture_output=True, text=True).stdout.splitlines()
    assert all("|COMPLETED|" in job for job in jobs), jobs
    tasks = [job for job in jobs if "|gpu|" in job]
    assert len(tasks) == len(TRAIN_SIZES), jobs
    assert len({re.match(r"(\d+)_\d+\|", task).group(1) for task in tasks}) == 1, tasks  # type: ignore[union-attr]
    assert all("gres/gpu=1" in task.split("|")[-1].split(",") for task in tasks), tasks
    assert_same_tables(project, local)
