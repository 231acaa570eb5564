"""The command ``export``, read back by TensorBoard's own library."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import memsweep as ms
import numpy as np
import pandas as pd
import pytest
from memsweep.__main__ import main
from memsweep.results import tensorboard
from memsweep.results.images import sheet
from memsweep.results.run import RunResults
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData


@pytest.fixture(scope="module")
def exported(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "board"
    assert main(["export", str(tiny.parent / "results" / "tiny"), "--tensorboard", str(folder)]) == 0
    return folder


def read(exported: Path, run: RunResults) -> EventAccumulator:
    (folder,) = exported.glob(f"*{run.run_id}")
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    events.Reload()
    return events


def test_every_run_has_a_folder_that_says_where_it_lies(exported: Path, study: ms.StudyResults) -> None:
    run = study.run(train_size=8, seed=1)
    names = {path.name for path in exported.iterdir()}
    assert len(names) == len(study.runs) == 10
    assert f"train_size=8,learning_rate=0.001,seed=1,subset=0,{run.run_id}" in names


def test_losses_are_those_of_the_trajectories(exported: Path, study: ms.StudyResults) -> None:
    run = study.run(train_size=8)
    events = read(exported, run)
    for split in ("train", "test"):
        scalars = events.Scalars(f"loss/{split}")
        expected = run.trajectories.query(f"split == '{split}'").sort_values("step")
        assert [scalar.step for scalar in scalars] == expected["step"].tolist() == [5, 10, 22]
        np.testing.assert_allclose([scalar.value for scalar in scalars], expected["loss"], rtol=1e-6)


def test_metrics_are_those_of_the_table(exported: Path, study: ms.StudyResults) -> None:
    run = study.run()
    events = read(exported, run)
    metrics = run.metrics.dropna(subset=["step", "value"])
    for tag, kept in (
        ("sliced_wasserstein/pixels/test", metrics.query("metric == 'sliced_wasserstein' and reference == 'test'")),
        ("f_mem/pixels/train", metrics.query("metric == 'f_mem' and reference == 'train'")),
    ):
        assert len(kept) == 2
        scalars = events.Scalars(tag)
        assert [scalar.step for scalar in scalars] == kept.sort_values("step")["step"].tolist()
        np.testing.assert_allclose([scalar.value for scalar in scalars], kept.sort_values("step")["value"], rtol=1e-6)
    names = metrics[["metric", "space", "reference"]].drop_duplicates()
    others = [tag for tag in events.Tags()["scalars"] if not tag.startswith(("loss/", "last_loss/", "onset/"))]
    assert len(others) == len(names) > 4


def test_samples_are_sheets_at_every_step(exported: Path, study: ms.StudyResults) -> None:
    run = study.run(train_size=12)
    images = read(exported, run).Images("samples")
    assert [image.step for image in images] == run.sampled_steps
    shown = np.asarray(Image.open(io.BytesIO(images[-1].encoded_image_string)).convert("L"))
    np.testing.assert_array_equal(shown, np.asarray(sheet(run.samples().images)))


def test_axes_are_hyperparameters_beside_the_last_losses(exported: Path, study: ms.StudyResults) -> None:
    run = study.run(train_size=8, seed=1)
    events = read(exported, run)
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    told = HParamsPluginData.FromString(content).session_start_info.hparams
    assert {axis: value.number_value for axis, value in told.items()} == run.axes
    last = run.trajectories.query("split == 'test' and step == 22")["loss"].item()
    assert events.Scalars("last_loss/test")[0].value == pytest.approx(last)


def test_onsets_that_were_reached_stand_beside_the_axes(
    study: ms.StudyResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = study.run()
    assert tensorboard._onsets(run) == {}
    onsets = pd.DataFrame(
        [("f_mem", 7.5, False, False), ("bias", 22.0, True, False), ("split", 5.0, False, True)],
        columns=["definition", "step", "censored", "left_censored"],
    )
    monkeypatch.setattr(run, "onsets", onsets, raising=False)
    monkeypatch.setattr(run, "table", lambda name: onsets)
    assert tensorboard._onsets(run) == {"onset/f_mem": 7.5}


def test_a_value_that_is_none_is_said(study: ms.StudyResults) -> None:
    assert [tensorboard._hyperparameter(value) for value in (True, 1, 0.5, "unet", None)] == [
        True,
        1,
        0.5,
        "unet",
        "none",
    ]


@pytest.mark.parametrize(
    ("study_file", "folder", "said"),
    [
        ("nothing", "new", "memsweep export: nothing: no such folder or file"),
        ("results/tiny", ".", "--tensorboard: '.' is there already; accepted is a folder that is not"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    study_file: str,
    folder: str,
    said: str,
    tiny: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tiny.parent)
    assert main(["export", study_file, "--tensorboard", folder]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
    assert not Path("new").exists()


def test_without_tensorboard_it_says_what_it_needs(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert main(["export", str(tiny), "--tensorboard", str(tmp_path / "new")]) == 1
    assert "--tensorboard: needs the package tensorboard" in capsys.readouterr().err


def test_a_failure_leaves_no_folder(study: ms.StudyResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ms.UserError("broken")

    monkeypatch.setattr(tensorboard, "write_run", fail)
    with pytest.raises(ms.UserError, match="broken"):
        tensorboard.export(study.folder, tmp_path / "board")
    assert not list(tmp_path.iterdir())
