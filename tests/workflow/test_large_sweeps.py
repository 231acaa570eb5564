"""What a sweep needs once it is large: parts of it, several machines, and a guard over what is finished."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from helpers.loaded import programs
from helpers.projects import Project
from memsweep.__main__ import main

TABLES = ("runs", "trajectories", "noise_levels", "metrics")


def state(project: Project, *folders: str) -> dict[Path, int]:
    files = (path for folder in folders for path in (project.results / folder).rglob("*.*"))
    return {path.relative_to(project.results): path.stat().st_mtime_ns for path in files}


def test_a_substudy_has_tables_of_its_own_and_trains_nothing(finished: Project) -> None:
    finished.configure(substudies={"small": {"only": {"train_size": [8]}}})
    table = "results/tiny/substudies/small/tables/metrics.parquet"
    before = state(finished, "train", "measure", "tables", "checkpoints")
    assert finished.jobs(table, "--config", "substudy=small") == {"collect": 1}
    finished.snakemake(table, "--config", "substudy=small")
    small = finished.table("substudies/small/tables/runs.parquet")
    whole = finished.table("tables/runs.parquet")
    pd.testing.assert_frame_equal(small, whole[whole["train_size"] == 8].reset_index(drop=True))
    assert state(finished, "train", "measure", "tables", "checkpoints") == before
    assert finished.jobs() == {}


def test_a_choice_on_the_command_line_leaves_the_rest_as_it_is(finished: Project) -> None:
    assert finished.jobs("packs", "--config", "only={train_size: [16]}") == {}
    assert (
        "found 9; accepted are values of the grid, 8, 16"
        in finished.snakemake("-n", "--config", "only={train_size: [9]}", check=False).stdout
    )


def test_two_workflows_share_a_study_and_a_third_collects(finished: Project, finished_once: Project) -> None:
    for folder in ("train", "measure", "checkpoints", "tables", "logs"):
        shutil.rmtree(finished.results / folder)
    assert finished.jobs("data") == {}
    workflows = []
    for size in (8, 16):
        command = [str(programs() / "snakemake"), "--cores", "1", "--nolock", "packs"]
        command += ["--config", f"only={{train_size: [{size}]}}", "--configfile", "config/tiny.yaml"]
        workflows.append(
            subprocess.Popen(command, cwd=finished.folder, env=finished.loaded_environment, stderr=subprocess.DEVNULL)
        )
    assert [workflow.wait(timeout=300) for workflow in workflows] == [0, 0]
    before = state(finished, "train", "measure", "checkpoints")
    assert len([path for path in before if path.name == "state.safetensors"]) == 5
    target = "results/tiny/tables/metrics.parquet"
    assert finished.jobs(target) == {"collect": 1}
    finished.snakemake(target)
    assert state(finished, "train", "measure", "checkpoints") == before
    for name in TABLES:
        path = f"tables/{name}.parquet"
        pd.testing.assert_frame_equal(finished.table(path), finished_once.table(path), check_exact=True)


def test_a_change_of_code_stops_before_finished_runs_are_trained_again(finished: Project) -> None:
    finished.configure(retrain_at_most=4)
    module = finished.folder / "workflow" / "memsweep" / "training" / "version.py"
    module.write_text('TRAINING_VERSION = "other"\n')
    before = state(finished, "data", "train", "measure", "tables", "checkpoints", "figures")
    result = finished.snakemake(check=False)
    assert result.returncode != 0
    assert "retrain_at_most: 5 finished runs would be trained again" in result.stdout
    assert "because the training code was" in result.stdout
    assert "--config retrain_at_most=5" in result.stdout
    assert "Traceback" not in result.stdout
    assert state(finished, "data", "train", "measure", "tables", "checkpoints", "figures") == before
    # Nothing is locked, and a figure alone trains nothing
    finished.snakemake("results/tiny/figures/sample_sheet.pdf", "--allowed-rules", "sample_sheet")


def test_other_images_stop_before_finished_runs_are_trained_again(
    finished_once: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"name": "digits", "test_images": 100, "seed": 3, "order": "permuted"}))
    trained = ["--trained", str(finished_once.results / "train")]

    def prepare(accepted: int) -> int:
        with settings.open() as source:
            monkeypatch.setattr(sys, "stdin", source)
            limit = ["--retrain-at-most", str(accepted)]
            return main(["prepare", *trained, *limit, "--output", str(tmp_path / "images.parquet")])

    assert prepare(4) == 1
    assert (
        "retrain_at_most: 5 finished runs would be trained again, because the images changed" in capsys.readouterr().err
    )
    assert prepare(5) == 0
