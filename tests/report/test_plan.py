"""What would happen to the runs of a study, from results in every state that they can be in."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.configs import ROOT
from helpers.projects import TINY
from memsweep.base.errors import UserError
from memsweep.base.files import read_json, write_json
from memsweep.data.datasets import prepare
from memsweep.jobs.packs import train_pack
from memsweep.jobs.workshop import Way
from memsweep.report import plan as planning
from memsweep.report.plan import of_runs, plan
from memsweep.study.config import read_yaml, resolve, with_typed
from memsweep.study.kinds import open_study


def study(**changes: Any) -> Any:
    return open_study(copy.deepcopy({**TINY, **changes}))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Results in which the first pack has been trained; it has three runs."""
    tiny, folder = study(), tmp_path / "results" / "tiny"
    images = folder / "data" / "images.parquet"
    prepare(json.loads(tiny.prepare()), images)
    job = tiny.jobs[0]
    train_pack(json.loads(tiny.train(job)), images, folder / "checkpoints", folder / "train" / job, Way(device="cpu"))
    return folder


def planned(changed: Any, place: Path) -> list[tuple[str, str]]:
    return [(each.what, each.why) for each in plan(changed, place)]


@pytest.fixture(autouse=True)
def _without_surrogates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TINY, "evaluation", {**TINY["evaluation"], "surrogates": []})


def test_what_is_finished_is_kept_and_the_rest_is_new(place: Path) -> None:
    tiny = study()
    first = {run.run_id for run in tiny.packs[tiny.jobs[0]]}
    assert len(first) == 3
    for each in plan(tiny, place):
        assert each.what == ("kept" if each.run.run_id in first else "new")
    assert next(of_runs(tiny, place)) == "5 runs: 3 kept, 2 new"


def test_a_longer_budget_continues(place: Path) -> None:
    longer = study(training={"budget": {"steps": 320}, "ema_decay": 0.9})
    found = planned(longer, place)
    last = longer.runs[0].max_steps
    assert sorted(found) == [("continues", f" from step 32 of {last}")] * 3 + [("new", "")] * 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"training": {"budget": {"steps": 32}, "ema_decay": 0.95}}, "ema_decay was 0.9, is 0.95"),
        ({"formulation": {"sampling_steps": 3}}, "formulation.sampling_steps was 2, is 3"),
    ],
)
def test_a_run_that_starts_anew_says_which_key_is_another(place: Path, changes: dict[str, Any], reason: str) -> None:
    found = planned(study(**changes), place)
    assert sorted(found) == [("new", "")] * 2 + [("starts anew", f", as {reason}")] * 3


def test_other_training_code_is_said(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("report.plan", "report.run_states"):
        monkeypatch.setattr(f"memsweep.{name}.TRAINING_VERSION", "99")
    found = [why for what, why in planned(study(), place) if what == "starts anew"]
    assert len(found) == 3
    assert all(why.startswith(", as the training code was ") and why.endswith("is 99") for why in found)


def test_a_run_that_was_begun_on_other_images_starts_anew(place: Path) -> None:
    tiny = study()
    waiting = tiny.packs[tiny.jobs[1]][0].run_id
    record = read_json(place / "checkpoints" / tiny.packs[tiny.jobs[0]][0].run_id / "run.json")
    other = {**record, "run_id": waiting, "provenance": {**record["provenance"], "data_hash": "others"}}
    write_json(place / "checkpoints" / waiting / "run.json", other)
    found = {each.run.run_id: each for each in plan(tiny, place)}[waiting]
    assert found.what == "starts anew"
    assert found.why == f", as the content of the images was others, is {record['provenance']['data_hash']}"


def test_the_guard_is_heard_beforehand(place: Path) -> None:
    changed = study(training={"budget": {"steps": 32}, "ema_decay": 0.95}, retrain_at_most=2)
    said = list(of_runs(changed, place))
    assert said[-1].startswith("It would stop before the first job. retrain_at_most: 3 finished runs would be trained")
    accepted = study(training={"budget": {"steps": 32}, "ema_decay": 0.95}, retrain_at_most=3)
    assert not any("retrain_at_most" in line for line in of_runs(accepted, place))


def test_nothing_is_written(place: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    list(of_runs(study(training={"budget": {"steps": 320}, "ema_decay": 0.95}), place))
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before


def test_where_snakemake_fails_it_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(TINY))
    assert "there is none here" in next(planning._of_stages(file, [], set()))
    Path("Snakefile").write_text("rule broken\n")
    with pytest.raises(UserError, match="snakemake -n: "):
        list(planning._of_stages(file, [], set()))


@pytest.mark.parametrize("file", sorted((ROOT / "config").glob("*.yaml")), ids=lambda file: file.stem)
def test_a_study_whose_numbers_are_all_texts_is_the_same(file: Path) -> None:
    """As Snakemake hands over what stands in mappings on the command line."""
    texts = yaml.load(file.read_text(), yaml.BaseLoader)
    assert resolve(texts, [file]) == resolve(read_yaml(file), [file])


def test_what_is_typed_changes_the_keys_that_it_names() -> None:
    file = ROOT / "config" / "config.yaml"
    typed = ["onset={f_mem: 0.2}", "training={budget: {epochs: 1200}}", "study=other", "retrain_at_most=17"]
    found = resolve(with_typed(read_yaml(file), typed), [file])
    plain = resolve(read_yaml(file), [file])
    assert found["onset"] == {**plain["onset"], "f_mem": 0.2}
    assert found["training"]["budget"] == {"epochs": 1200}
    assert (found["study"], found["retrain_at_most"]) == ("other", 17)
    assert found["grid"] == plain["grid"]


@pytest.mark.parametrize("entry", ["onset", "=3", "1a=2", "onset={f_mem: ", "onset.f_mem=0.2"])
def test_what_is_no_config_is_said(entry: str) -> None:
    with pytest.raises(UserError, match="--config: found"):
        with_typed({}, [entry])
