"""Commands that look at a study while Snakemake makes it, and leave no trace."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from helpers.loaded import programs
from helpers.projects import FEATURE_LEARNING, MIXED_CUMULANT, Project, new_project
from memsweep.study.kinds import open_study


def ask(project: Project, *arguments: str) -> str:
    """What a command for people prints."""
    done = subprocess.run(
        [str(programs() / "python"), "-m", "memsweep", *arguments],
        cwd=project.folder,
        env=project.loaded_environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def tree(folder: Path) -> dict[Path, tuple[int, int]]:
    """Every file and folder below one, hidden ones too, with times of change and sizes."""
    found = {}
    for path in folder.rglob("*"):
        about = path.lstat()
        found[path] = (about.st_mtime_ns, about.st_size if path.is_file() else 0)
    return found


def test_status_of_a_sweep_while_snakemake_runs(finished: Project) -> None:
    # Two runs that take longer than to look at them
    finished.configure(training={"budget": {"steps": 6000}, "ema_decay": 0.9})
    workflow = finished.start()
    try:
        seen = ""
        deadline = time.monotonic() + 120
        while " running " not in seen and time.monotonic() < deadline:
            assert workflow.poll() is None, "it had ended before anything was seen"
            seen = ask(finished, "status", "config/tiny.yaml")
    finally:
        os.killpg(workflow.pid, 15)
        workflow.wait(timeout=60)
    assert " running " in seen
    running = next(line for line in seen.splitlines() if " running " in line)
    assert " cpu" in running
    assert "left" in seen.splitlines()[0]
    # It was stopped, and goes on from there
    before = tree(finished.folder)
    stopped = ask(finished, "status", "config/tiny.yaml")
    assert tree(finished.folder) == before
    assert " running " not in stopped
    assert " failed " not in stopped


def test_a_workflow_that_is_looked_at_does_what_it_does_alone(finished: Project, finished_once: Project) -> None:
    for path in (finished.results / "tables").glob("*.parquet"):
        path.unlink()
    workflow = finished.start("tables")
    looks = 0
    while workflow.poll() is None:
        ask(finished, "status", "config/tiny.yaml")
        looks += 1
    assert workflow.returncode == 0
    assert looks > 0
    for path in sorted((finished_once.results / "tables").glob("*.parquet")):
        if path.name != "metric_check.parquet":
            assert (finished.results / "tables" / path.name).read_bytes() == path.read_bytes()


def test_status_of_a_finished_sweep_reads_only(finished: Project) -> None:
    before = tree(finished.folder)
    printed = ask(finished, "status", "config/tiny.yaml")
    assert tree(finished.folder) == before
    assert "5 runs: 5 done\n" in printed
    assert "f_mem" in printed.splitlines()[0]
    assert "4 of 4" not in printed.splitlines()[0]


def test_a_terminal_gets_a_table(finished: Project) -> None:
    environment = {**finished.environment, "FORCE_COLOR": "1", "COLUMNS": "160"}
    command = [sys.executable, "-m", "memsweep", "status", "config/tiny.yaml"]
    done = subprocess.run(command, cwd=finished.folder, env=environment, capture_output=True, text=True, check=True)
    assert "│" in done.stdout
    assert "\x1b[32mdone" in done.stdout


@pytest.mark.parametrize("config", [MIXED_CUMULANT, FEATURE_LEARNING], ids=["mixed_cumulant", "feature_learning"])
def test_jobs_of_theory_are_those_that_snakemake_runs(config: dict[str, object], tmp_path: Path) -> None:
    project = new_project(tmp_path / "project")
    (project.folder / "config" / "tiny.yaml").write_text(yaml.safe_dump(config))
    listed = project.snakemake("-n", "tables").stdout
    study = open_study(config)
    for job, names in study.job_files.items():
        for name in names:
            assert f"results/tiny/{job}/{name}.parquet" in listed
        assert f"results/tiny/logs/{job}.log" in listed
    assert ask(project, "status", "config/tiny.yaml").count(" waiting") == len(study.job_files) + 1


NESTED = ("onset={f_mem: 0.2}", "training={budget: {steps: 64}}", "figures={sheet_samples: 4}")


def test_numbers_within_mappings_are_numbers_for_snakemake_and_for_a_plan(finished: Project) -> None:
    before = tree(finished.results)
    said = ask(finished, "plan", "config/tiny.yaml", "--config", *NESTED)
    jobs = finished.jobs("--config", *NESTED)
    assert tree(finished.results) == before
    lines = said.splitlines()
    assert lines[0] == "5 runs: 5 continues"
    assert all("continues from step 32 of 56" in line for line in lines[1:6])
    counts = dict(reversed(part.split(" ")) for part in lines[-1].removeprefix("Jobs: ").split(", "))
    assert counts.pop("summary") == "1"  # which `jobs` leaves out
    assert counts["train"] == str(jobs["train"])
    assert {name for name in counts if name != "figures"} <= set(jobs)
    assert sum(map(int, counts.values())) == sum(jobs.values())
    finished.snakemake("results/tiny/tables/onsets.parquet", "--config", *NESTED)
    assert set(finished.table("tables/runs.parquet")["max_steps"]) == {56}


def test_of_a_finished_study_nothing_would_be_done(finished: Project) -> None:
    runs, *warnings, jobs = ask(finished, "plan", "config/tiny.yaml").splitlines()
    assert runs == "5 runs: 5 kept"
    assert jobs == "Nothing to be done: all results are there, and of this config and code."
    assert [line[:30] for line in warnings] == ["warning: onset.f_mem: 0.05 of "]
