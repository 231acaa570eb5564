"""What would be trained again is found, counted and explained; the rest is let through."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.configs import ROOT
from memsweep.base.errors import UserError
from memsweep.base.files import write_json
from memsweep.base.records import RECORD, read_records, record_pack
from memsweep.study.kinds import open_study
from memsweep.study.retraining import retraining
from memsweep.study.sweep import Sweep

CONFIG = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())


def study(**changes: Any) -> Sweep:
    opened = open_study({**copy.deepcopy(CONFIG), **changes})
    assert isinstance(opened, Sweep)
    return opened


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Results of the embedded study's 17 runs, as far as their records go, and checkpoints."""
    embedded = study()
    for job in embedded.jobs:
        settings = json.loads(embedded.train(job))
        record_pack(settings, {"code_version": "old", "data_hash": "pixels"}, tmp_path / "train" / job)
    for run in embedded.runs:
        begin(tmp_path / "checkpoints" / run.run_id)
        (tmp_path / "checkpoints" / run.run_id / "evaluation-00000010.safetensors").touch()
    return tmp_path


def begin(checkpoint: Path, diverged_at: int | None = None) -> None:
    checkpoint.mkdir(parents=True, exist_ok=True)
    write_json(checkpoint / "run.json", {"provenance": {"code_version": "old"}, "diverged_at": diverged_at})


def refused(changed: Sweep, results: Path, code: str = "old") -> str:
    with pytest.raises(UserError) as error:
        changed.guard(changed.jobs, results, code)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def test_changed_parameters_are_named_with_what_they_would_cost(results: Path) -> None:
    network = {**CONFIG["network"], "blocks": 2}
    said = refused(study(network=network, training={**CONFIG["training"], "ema_decay": 0.9}), results)
    assert "retrain_at_most: 17 finished runs would be trained again" in said
    assert "ema_decay was 0.99, is 0.9; network.blocks was 1, is 2" in said
    assert "hours of a device at 0.05 TFLOP/s" in said
    assert "accepted is at most 10. To go on: the same command with --config retrain_at_most=17." in said
    assert "give the study another name" in said


def test_changed_code_is_named(results: Path) -> None:
    said = refused(study(), results, "new")
    assert "17 finished runs would be trained again" in said
    assert "because the training code was old, is new;" in said


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"training": {**CONFIG["training"], "budget": {"epochs": 6000}}},
        {"onset": {"f_mem": 0.2}},
        {"grid": {**CONFIG["grid"], "products": [*CONFIG["grid"]["products"], {"seed": [2, 3]}]}},
        {"grid": {**CONFIG["grid"], "products": [{"seed": [7]}]}, "network": {**CONFIG["network"], "blocks": 2}},
        {"network": {**CONFIG["network"], "blocks": 2}, "retrain_at_most": 17},
        {"network": {**CONFIG["network"], "blocks": 2}, "only": {"train_size": [16, 64]}},
    ],
    ids=["nothing", "longer", "later stage", "more runs", "other runs", "asked for", "few"],
)
def test_what_trains_few_finished_runs_again_is_let_through(results: Path, changes: dict[str, Any]) -> None:
    changed = study(**changes)
    changed.guard(changed.jobs, results, "old")


def test_a_longer_budget_is_named_where_the_learning_rate_follows_it(tmp_path: Path) -> None:
    falling = {**CONFIG["training"], "schedule": "cosine"}
    short, long = study(training=falling), study(training={**falling, "budget": {"epochs": 6000}}, retrain_at_most=0)
    record_pack(json.loads(short.train(short.jobs[0])), {"code_version": "old", "data_hash": ""}, tmp_path / "train/a")
    found = retraining(long.config, long.runs, read_records([tmp_path / "train/a"]), "old", tmp_path / "checkpoints")
    members = short.packs[short.jobs[0]]
    assert len(found.runs) == len(members)
    again = {run.max_steps for run in found.runs}
    assert found.reasons == {f"max_steps was {old.max_steps}, is {new}" for old in members for new in again}


def test_only_packs_about_to_be_trained_count(results: Path) -> None:
    changed = study(network={**CONFIG["network"], "blocks": 2})
    changed.guard(changed.jobs[:2], results, "old")


def test_runs_that_were_begun_are_continued_not_trained_again(results: Path) -> None:
    changed = study(network={**CONFIG["network"], "blocks": 2})
    for run in changed.runs[:7]:
        begin(results / "checkpoints" / run.run_id)
    changed.guard(changed.jobs, results, "old")


MORE = {"grid": {**CONFIG["grid"], "products": [*CONFIG["grid"]["products"], {"seed": [2, 3]}]}}


@pytest.mark.parametrize("pattern", ["*", "*/*.safetensors", "*/run.json"])
def test_runs_whose_checkpoints_are_gone_count_as_trained_again(results: Path, pattern: str) -> None:
    for path in sorted((results / "checkpoints").glob(pattern)):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    said = refused(study(**MORE), results)
    assert "retrain_at_most: 17 finished runs would be trained again" in said
    assert f"because their checkpoints are no longer in {results / 'checkpoints'};" in said
    accepted = study(**MORE, retrain_at_most=17)
    accepted.guard(accepted.jobs, results, "old")


def test_averaged_weights_alone_are_no_results_of_a_run(results: Path) -> None:
    for path in (results / "checkpoints").rglob("evaluation-*"):
        path.rename(path.with_name("average-00000010.safetensors"))
    assert "17 finished runs would be trained again" in refused(study(**MORE), results)


def test_of_runs_that_diverged_or_keep_an_evaluation_nothing_is_lost(results: Path) -> None:
    for number, run in enumerate(study().runs):
        checkpoint = results / "checkpoints" / run.run_id
        if number % 2:
            shutil.rmtree(checkpoint)
            begin(checkpoint, diverged_at=10)
    grown = study(**MORE, retrain_at_most=0)
    grown.guard(grown.jobs, results, "old")


def test_a_damaged_record_is_named(results: Path) -> None:
    job = study().jobs[0]
    path = results / "train" / job / RECORD
    path.write_text(path.read_text()[:100])
    with pytest.raises(UserError, match=f"{path}: not the record of a pack"):
        list(read_records([path.parent]))


def with_axes(*products: dict[str, Any]) -> Sweep:
    grid = {**CONFIG["grid"], "products": [*CONFIG["grid"]["products"], *products]}
    return study(grid=grid)


def test_an_axis_that_is_new_trains_no_run_again(results: Path) -> None:
    """Records know nothing of it, and the runs at its base value are those that are there."""
    wider = with_axes({"training.flip": [False, True]}, {"subset": [1]}, {"network.attention_levels": [[], [1]]})
    moved = with_axes({"training.flip": [True]}, {"network.attention_levels": [[1]]})
    for changed in (wider, moved):
        records = list(read_records(path.parent for path in (results / "train").rglob(RECORD)))
        assert len(records) == 8
        found = retraining(changed.config, changed.runs, records, "old", results / "checkpoints")
        assert not found.runs
        assert not found.reasons


def test_what_would_be_trained_again_is_found_beside_a_new_axis(results: Path) -> None:
    changed = with_axes({"training.flip": [False, True]})
    changed = Sweep({**changed.config, "training": {**changed.config["training"], "ema_decay": 0.9}})
    records = list(read_records(path.parent for path in (results / "train").rglob(RECORD)))
    found = retraining(changed.config, changed.runs, records, "old", results / "checkpoints")
    assert len(found.runs) == 17
    assert found.reasons == {"ema_decay was 0.99, is 0.9"}


def test_records_of_runs_on_other_axes_are_read(results: Path, tmp_path: Path) -> None:
    """What a run on a new axis was trained with is told from its own sections, not from those of its pack."""
    swept = with_axes({"training.flip": [False, True]})
    job = next(job for job in swept.jobs if any(run.settings["training.flip"] for run in swept.packs[job]))
    folder = tmp_path / "swept" / "train" / job
    record_pack(json.loads(swept.train(job)), {"code_version": "old", "data_hash": "pixels"}, folder)
    for run in swept.packs[job]:
        begin(results / "checkpoints" / run.run_id)
        (results / "checkpoints" / run.run_id / "evaluation-00000010.safetensors").touch()
    records = list(read_records([folder]))
    assert not retraining(swept.config, swept.runs, records, "old", results / "checkpoints").runs
    changed = Sweep({**swept.config, "training": {**swept.config["training"], "ema_decay": 0.9}})
    found = retraining(changed.config, changed.runs, records, "old", results / "checkpoints")
    assert {run.settings["training.flip"] for run in found.runs} == {False, True}
    assert found.reasons == {"ema_decay was 0.99, is 0.9"}


def test_a_record_of_runs_without_surrogates_is_read(tmp_path: Path) -> None:
    """What a job is told has no trace of them then."""
    without = {"evaluation": {**CONFIG["evaluation"], "surrogates": []}}
    before = study(**without)
    record_pack(
        json.loads(before.train(before.jobs[0])), {"code_version": "old", "data_hash": ""}, tmp_path / "train/a"
    )
    changed = study(**without, training={**CONFIG["training"], "ema_decay": 0.9})
    found = retraining(changed.config, changed.runs, read_records([tmp_path / "train/a"]), "old", tmp_path)
    assert found.reasons == {"ema_decay was 0.99, is 0.9"}
