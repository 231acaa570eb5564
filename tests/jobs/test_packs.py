from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from helpers.packs import FORMULATIONS, pack_settings, start_training
from memsweep.base.errors import UserError
from memsweep.base.interruption import Interrupted, TimeIsUp
from memsweep.base.tensors import tensors_metadata
from memsweep.jobs import packs
from memsweep.jobs.checkpoints import Checkpoint
from memsweep.jobs.packs import train_pack
from memsweep.jobs.workshop import Way, Workshop
from memsweep.tables.parquet import read_table
from memsweep.training.evaluation import Evaluation
from memsweep.training.trainer import Trainer

TABLES = ("runs", "losses", "samples")


def train(settings: dict[str, Any], digits: Path, folder: Path, **way: Any) -> dict[str, pd.DataFrame]:
    train_pack(settings, digits, folder / "checkpoints", folder / "tables", Way(**{"device": "cpu", **way}))
    return {name: read_table(folder / "tables" / f"{name}.parquet", name) for name in TABLES}


def of_runs(tables: dict[str, pd.DataFrame], *run_ids: str) -> dict[str, pd.DataFrame]:
    return {name: table[table["run_id"].isin(run_ids)].reset_index(drop=True) for name, table in tables.items()}


def assert_same(left: dict[str, pd.DataFrame], right: dict[str, pd.DataFrame]) -> None:
    for name in TABLES:
        pd.testing.assert_frame_equal(left[name], right[name], check_exact=True)


def with_budget(settings: dict[str, Any], steps: int) -> dict[str, Any]:
    runs = [{**run, "max_steps": steps} for run in settings["runs"]]
    return {**settings, "runs": runs, "training": {**settings["training"], "budget": {"steps": steps}}}


@pytest.fixture(scope="module")
def pack(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, pd.DataFrame]]:
    """A finished pack: its folder and its tables."""
    folder = tmp_path_factory.mktemp("pack")
    return folder, train(pack_settings(), digits, folder)


def test_the_tables_hold_every_run_step_and_item(pack: tuple[Path, dict[str, pd.DataFrame]]) -> None:
    tables = pack[1]
    assert list(tables["runs"]["status"]) == ["finished"] * 3
    assert tables["runs"]["parameters"].nunique() == 1
    steps = [3, 6, 10, 18, 32]
    for run_id in ("first", "second", "third"):
        losses = tables["losses"][tables["losses"]["run_id"] == run_id]
        assert list(losses["split"].unique()) == ["train", "test"]  # however a file of tensors orders them
        assert losses.groupby(["step", "split"]).size().to_dict() == {
            (step, split): 12 for step in steps for split in ("train", "test")
        }
        samples = tables["samples"][tables["samples"]["run_id"] == run_id]
        assert samples.groupby("step").size().to_dict() == dict.fromkeys(steps, 6)
    assert all(len(image) == 64 for image in tables["samples"]["image"])


def test_a_run_of_a_pack_equals_the_run_alone(
    pack: tuple[Path, dict[str, pd.DataFrame]], digits: Path, tmp_path: Path
) -> None:
    settings = pack_settings()
    alone = train({**settings, "runs": settings["runs"][1:2]}, digits, tmp_path)
    assert_same(alone, of_runs(pack[1], "second"))


@pytest.mark.parametrize("name", [name for name in FORMULATIONS if name != "rectified_flow"])
def test_every_formulation_trains_and_continues(
    name: str, pack: tuple[Path, dict[str, pd.DataFrame]], digits: Path, tmp_path: Path
) -> None:
    settings = pack_settings(formulation=FORMULATIONS[name])
    settings["runs"] = settings["runs"][1:2]
    train(with_budget(settings, 10), digits, tmp_path)
    tables = train(settings, digits, tmp_path)
    assert_same(tables, train(settings, digits, tmp_path / "without a break"))
    flow = of_runs(pack[1], "second")
    keys = ["run_id", "step", "split", "item", "index", "time"]
    pd.testing.assert_frame_equal(tables["losses"][keys], flow["losses"][keys])
    assert not tables["losses"]["loss"].equals(flow["losses"]["loss"])
    more_labels = int(FORMULATIONS[name]["label_dropout"] > 0)
    embedding = settings["network"]["embedding"]
    assert tables["runs"]["parameters"][0] == flow["runs"]["parameters"][0] + more_labels * embedding
    labels = tables["samples"].query("step == 32")["label"]
    conditional = flow["samples"].query("step == 32")["label"]
    assert labels.isna().all() if name == "unconditional_ddpm" else labels.equals(conditional)


def test_a_finished_run_is_kept_when_the_pack_grows(digits: Path, tmp_path: Path) -> None:
    settings = pack_settings()
    before = train({**settings, "runs": settings["runs"][:2]}, digits, tmp_path)
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "checkpoints").rglob("*") if path.is_file()}
    after = train(settings, digits, tmp_path)
    assert_same(of_runs(after, "first", "second"), before)
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_a_longer_budget_continues_the_runs(
    pack: tuple[Path, dict[str, pd.DataFrame]], digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = pack_settings()
    train(with_budget(settings, 10), digits, tmp_path)
    taken = []
    advance = Trainer.advance
    monkeypatch.setattr(Trainer, "advance", lambda self, steps: taken.append(self.step) or advance(self, steps))
    assert_same(train(settings, digits, tmp_path), pack[1])
    assert taken == list(range(10, 32)) * 3


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "adamw", "weight_decay": 0.5, "warmup_steps": 15},
        {"optimizer": "sgd", "momentum": 0.9, "flip": True},
        {"optimizer": "sgd", "time_sampling": "logit_normal"},
    ],
)
def test_a_longer_budget_continues_runs_of_every_optimiser(
    options: dict[str, Any], digits: Path, tmp_path: Path
) -> None:
    settings = pack_settings(training={**pack_settings()["training"], **options})
    settings["runs"] = settings["runs"][1:2]
    train(with_budget(settings, 10), digits, tmp_path)
    assert_same(train(settings, digits, tmp_path), train(settings, digits, tmp_path / "without a break"))


def test_a_shorter_budget_keeps_what_lies_within(pack: tuple[Path, dict[str, pd.DataFrame]], digits: Path) -> None:
    folder, tables = pack
    short = train(with_budget(pack_settings(), 10), digits, folder)
    expected = {name: tables[name].query("step <= 10").reset_index(drop=True) for name in ("losses", "samples")}
    expected["runs"] = tables["runs"].assign(max_steps=10)
    assert_same(short, expected)


def test_a_run_that_diverges_ends_and_the_others_go_on(digits: Path, tmp_path: Path) -> None:
    settings = pack_settings()
    settings["runs"][1]["learning_rate"] = 1e30
    tables = train(settings, digits, tmp_path)
    assert dict(zip(tables["runs"]["run_id"], tables["runs"]["status"], strict=True)) == {
        "first": "finished",
        "second": "diverged",
        "third": "finished",
    }
    assert tables["losses"]["loss"].notna().all()
    assert set(tables["losses"]["run_id"]) >= {"first", "third"}
    assert tables["losses"].query("run_id == 'second'")["step"].max() != 32
    assert_same(train(settings, digits, tmp_path), tables)


def test_a_pack_of_which_all_diverge_has_empty_tables(digits: Path, tmp_path: Path) -> None:
    settings = pack_settings()
    for run in settings["runs"]:
        run["learning_rate"] = 1e30
    tables = train(settings, digits, tmp_path)
    assert set(tables["runs"]["status"]) == {"diverged"}
    assert len(tables["losses"]) == len(tables["samples"]) == 0


@pytest.fixture(scope="module")
def without_a_break(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """The tables of a pack long enough to be caught in the middle of its second run."""
    return train(with_budget(pack_settings(), 100), digits, tmp_path_factory.mktemp("without a break"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_killed_pack_continues_and_ends_as_if_it_had_not_been(
    number: signal.Signals, without_a_break: dict[str, pd.DataFrame], digits: Path, tmp_path: Path
) -> None:
    settings = with_budget(pack_settings(), 100)
    started = tmp_path / "checkpoints" / "second" / "evaluation-00000018.safetensors"
    process = start_training(settings, digits, tmp_path, "--checkpoint-seconds", "0.1", until=[started])
    process.send_signal(number)
    assert process.wait() == (-signal.SIGKILL if number == signal.SIGKILL else 128 + signal.SIGTERM)
    assert not (tmp_path / "tables").exists()
    assert not (tmp_path / "checkpoints" / "third" / "state.safetensors").exists()

    resumed = train(settings, digits, tmp_path)
    assert_same(resumed, without_a_break)
    assert not list((tmp_path / "checkpoints").rglob(".*")), "a temporary file was left behind and kept"


@pytest.mark.parametrize("last", [1, 5, 6, 7, 31, 32])
def test_a_stop_at_any_step_loses_nothing(
    last: int, pack: tuple[Path, dict[str, pd.DataFrame]], digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also at the step that reaches an evaluation (6), one before it and one after it."""
    settings = pack_settings()
    settings["runs"] = settings["runs"][:1]
    taken: list[int] = []
    advance = Trainer.advance

    def advance_and_stop(self: Trainer, steps: int) -> None:
        taken.append(self.step)
        if len(taken) == last:
            signal.raise_signal(signal.SIGTERM)
        advance(self, steps)

    monkeypatch.setattr(Trainer, "advance", advance_and_stop)
    with pytest.raises(Interrupted):
        train(settings, digits, tmp_path)
    assert_same(train(settings, digits, tmp_path), of_runs(pack[1], "first"))
    assert taken == list(range(32))


def test_a_checkpoint_is_written_between_evaluations(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = pack_settings()
    saved: list[int] = []
    monkeypatch.setattr(Checkpoint, "save_state", lambda self, state, *_: saved.append(int(state["count"])))
    settings["runs"] = settings["runs"][:1]
    train(settings, digits, tmp_path, checkpoint_seconds=0)
    assert saved == [*range(32), 32]


def steps_saved_before_evaluations(
    digits: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, **way: Any
) -> list[tuple[int, int]]:
    """Of each evaluation of a run: its step, and that of the state that a kill within it would leave."""
    settings = pack_settings()
    settings["runs"] = settings["runs"][:1]
    seen: list[tuple[int, int]] = []
    evaluate = Workshop.evaluate

    def watched(workshop: Workshop, trainer: Trainer, sampled: bool) -> Evaluation:
        path = folder / "checkpoints" / "first" / "state.safetensors"
        seen.append((trainer.step, int(tensors_metadata(path)["step"])))
        evaluation = evaluate(workshop, trainer, sampled)
        workshop.longest_evaluation = seconds
        return evaluation

    monkeypatch.setattr(Workshop, "evaluate", watched)
    train(settings, digits, folder, **way)
    return seen


def test_a_run_is_saved_before_an_evaluation_that_takes_long(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a kill within it loses none of its steps; the first may take any time."""
    long = steps_saved_before_evaluations(digits, tmp_path / "long", monkeypatch, 61)
    assert [saved for _, saved in long] == [3, 6, 10, 18, 32]
    short = steps_saved_before_evaluations(digits, tmp_path / "short", monkeypatch, 0.01)
    assert [saved for _, saved in short] == [3] * 5


@pytest.mark.parametrize("threads", [1, 3])
def test_a_job_whose_time_is_up_saves_and_ends_and_the_next_ones_go_on(
    threads: int, without_a_break: dict[str, pd.DataFrame], digits: Path, tmp_path: Path
) -> None:
    settings = with_budget(pack_settings(), 100)
    attempts = 0
    while True:
        try:
            tables = train(settings, digits, tmp_path, threads=threads, stop_after_minutes=0.3 / 60 * 2**attempts)
            break
        except TimeIsUp:
            attempts += 1
            assert not (tmp_path / "tables").exists()
    assert attempts
    assert_same(tables, without_a_break)


def test_the_exit_status_of_a_job_whose_time_is_up_is_the_one_that_is_requeued(digits: Path, tmp_path: Path) -> None:
    settings = with_budget(pack_settings(), 10**6)
    process = start_training(settings, digits, tmp_path, "--stop-after-minutes", "0.1", until=[])
    assert process.stderr
    said = process.stderr.read()
    assert process.wait() == 99
    assert (
        said.splitlines()[-1] == "memsweep train: the time is up, and all is saved; run it again to continue from here"
    )
    # On a busy machine it may not have come far
    assert tensors_metadata(tmp_path / "checkpoints" / "first" / "state.safetensors")["run_id"] == "first"


def test_a_damaged_record_is_named_and_its_advice_works(
    pack: tuple[Path, dict[str, pd.DataFrame]], digits: Path, tmp_path: Path
) -> None:
    train(with_budget(pack_settings(), 18), digits, tmp_path)
    path = tmp_path / "checkpoints" / "first" / "run.json"
    path.write_bytes(path.read_bytes().replace(b"first", b"frist"))
    with pytest.raises(UserError, match=rf"{path}: not the record of this run; delete its folder to train it again"):
        train(pack_settings(), digits, tmp_path)
    shutil.rmtree(path.parent)
    assert_same(train(pack_settings(), digits, tmp_path), pack[1])


def flip(path: Path) -> None:
    """One bit, in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def exchange(path: Path) -> None:
    """The same file of another run takes its place."""
    path.write_bytes((path.parents[1] / "second" / path.name).read_bytes())


@pytest.mark.parametrize("harm", [flip, cut, exchange, Path.unlink])
@pytest.mark.parametrize("name", ["state", "evaluation-00000006", "evaluation-00000018"])
def test_what_is_damaged_is_set_aside_and_made_again(
    name: str,
    harm: Callable[[Path], None],
    pack: tuple[Path, dict[str, pd.DataFrame]],
    digits: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The run ends in the same numbers, and evaluates nothing that it had evaluated."""
    train(with_budget(pack_settings(), 18), digits, tmp_path)
    folder = tmp_path / "checkpoints" / "first"
    path = folder / f"{name}.safetensors"
    others = {file: file.stat().st_mtime_ns for file in folder.glob("evaluation-*") if file != path}
    harm(path)
    capsys.readouterr()
    assert_same(train(pack_settings(), digits, tmp_path), pack[1])
    said = capsys.readouterr().err
    assert {file: file.stat().st_mtime_ns for file in others} == others
    aside = folder / f"damaged-{path.name}"
    assert aside.exists() == (harm is not Path.unlink)
    if aside.exists():
        assert f"{path}: " in said
        assert f"it is kept as {aside.name}, and the run goes on without it" in said
    # The state at step 18 evaluates that step again; one before it needs the run from its start
    assert ("as its evaluation at step 6 is missing" in said) == name.endswith("6")
    assert ("first (learning_rate=0.001 seed=0): continues from step 18" in said) == (name != "state")


def test_a_run_goes_on_from_the_state_before_a_damaged_one(
    pack: tuple[Path, dict[str, pd.DataFrame]], digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = with_budget(pack_settings(), 320)
    settings["runs"] = settings["runs"][:1]
    begun = tmp_path / "checkpoints" / "first" / "evaluation-00000056.safetensors"
    job = start_training(settings, digits, tmp_path, "--checkpoint-seconds", "0", until=[begun])
    job.kill()
    job.wait()
    path = begun.with_name("state.safetensors")
    before = int(tensors_metadata(begun.with_name("state-before.safetensors"))["step"])
    content = path.read_bytes()
    path.unlink()  # killed while it wrote the next state, both are one file still
    path.write_bytes(content)
    flip(path)
    tables = train(settings, digits, tmp_path)
    said = capsys.readouterr().err
    assert f"first (learning_rate=0.001 seed=0): continues from step {before}" in said
    assert_same(tables, train(settings, digits, tmp_path / "without a break"))
    assert not path.with_name("state-before.safetensors").exists()  # of a run that has ended, one is kept


def test_a_foreign_folder_is_named_and_not_touched(digits: Path, tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / "first" / "notes.txt"
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(UserError, match="not a checkpoint"):
        train(pack_settings(), digits, tmp_path)
    assert path.read_text() == "mine"


def test_other_code_or_data_starts_a_run_anew_and_says_so(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = pack_settings()
    settings["runs"] = settings["runs"][:1]
    with monkeypatch.context() as patch:
        patch.setattr(packs, "TRAINING_VERSION", "other")
        train(settings, digits, tmp_path)
    capsys.readouterr()
    tables = train(settings, digits, tmp_path)
    assert "starts anew, " in capsys.readouterr().err
    assert_same(tables, train(settings, digits, tmp_path / "fresh"))


def test_a_training_set_larger_than_the_data_is_a_sentence(digits: Path, tmp_path: Path) -> None:
    settings = pack_settings()
    settings["runs"][1]["train_size"] = 1298
    with pytest.raises(
        UserError, match=r"^train_size: found 1298 images; accepted is at most 1297, the training images that"
    ):
        train_pack(settings, digits, tmp_path / "checkpoints", tmp_path / "tables", Way(device="cpu"))
    assert not (tmp_path / "checkpoints").exists()
