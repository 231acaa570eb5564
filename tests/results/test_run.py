"""What a run has: its rows, what it generated and generates, and its network."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import memsweep as ms
import numpy as np
import pandas as pd
import pytest
import torch
from memsweep.base.tensors import load_tensors
from memsweep.data.images import read_images
from memsweep.diffusion.formulation import build_formulation
from memsweep.results.run import RunResults
from memsweep.results.weights import chosen_step, load_model
from memsweep.training.evaluation import Evaluator
from safetensors.torch import save_file


@pytest.fixture
def run(study: ms.StudyResults) -> RunResults:
    """One that kept the averaged weights of its steps."""
    return study.run(train_size=12, seed=1, subset=1)


@pytest.fixture
def without(study: ms.StudyResults) -> RunResults:
    """One that did not."""
    return study.run(train_size=8, subset=1)


def test_a_run_has_its_rows_of_every_table(run: RunResults, study: ms.StudyResults) -> None:
    for name in ("losses", "metrics", "neighbours", "trajectories"):
        expected = study.table(name).query(f"run_id == '{run.run_id}'").reset_index(drop=True)
        pd.testing.assert_frame_equal(getattr(run, name), expected)
    assert run.runs["seed"].tolist() == [1]
    with pytest.raises(ms.UserError, match=r"the table 'images' has no rows of single runs; study.images is all of it"):
        _ = run.images
    with pytest.raises(ms.UserError, match="has no table 'loses'"):
        _ = run.loses


def test_saved_samples_are_those_of_the_table(run: RunResults, study: ms.StudyResults) -> None:
    table = study.samples.query(f"run_id == '{run.run_id}'")
    assert run.sampled_steps == sorted(table["step"].unique()) == [5, 22]
    for step in run.sampled_steps:
        rows = table[table["step"] == step].sort_values("index")
        found = run.samples(step)
        assert [image.tobytes() for image in found.images] == rows["image"].tolist()
        assert found.labels is not None
        assert found.labels.tolist() == rows["label"].tolist()
        assert found.images.shape == (8, 8, 8, 1)
    assert run.samples().step == run.sampled_steps[-1]
    with pytest.raises(ms.UserError, match="step: found 7, at which nothing was generated; accepted is one of "):
        run.samples(7)


def test_the_studys_latents_give_the_images_of_the_table_samples(run: RunResults, without: RunResults) -> None:
    """Bit for bit, at every step of which there are both, and of the last one of every run."""
    assert run.steps == run.sampled_steps
    for each, steps in ((run, run.sampled_steps), (without, without.steps)):
        for step in steps:
            generated, saved = each.sample(step=step), each.samples(step)
            np.testing.assert_array_equal(generated.images, saved.images)
            np.testing.assert_array_equal(generated.labels, saved.labels)
            fewer = each.sample(5, step=step)
            assert np.abs(fewer.images.astype(int) - saved.images[:5]).max() <= 1


def test_averages_of_steps_differ(run: RunResults) -> None:
    first, last = run.sampled_steps[0], run.sampled_steps[-1]
    assert (run.sample(step=first).images != run.sample(step=last).images).any()


def test_a_model_has_the_losses_of_its_step(run: RunResults, study: ms.StudyResults) -> None:
    """Its error on the noisy images of an evaluation, by the definition of rectified flow."""
    data = read_images(study.folder / "data" / "images.parquet")
    formulation = build_formulation(run.settings["formulation"], data.classes)
    items = Evaluator(data, run.planned.training_set, run.settings["evaluation"], formulation).items["test"]
    for step in run.steps:
        model = run.model(step)
        assert not model.training
        time = items.time[:, None, None, None]
        noisy = (1 - time) * items.clean + time * items.noise
        with torch.no_grad():
            error = (model(noisy, items.time, items.label) - (items.noise - items.clean)).square().mean(dim=(1, 2, 3))
        saved = run.losses.query(f"step == {step} and split == 'test'").sort_values("item")["loss"]
        np.testing.assert_allclose(error.numpy(), saved, rtol=1e-5)


def test_weights_of_the_last_step_are_those_of_the_training_state(run: RunResults) -> None:
    state, _ = load_tensors(run.checkpoint / "state.safetensors")
    average, _ = load_tensors(run.checkpoint / f"average-{run.max_steps:08d}.safetensors")
    assert average
    assert all(torch.equal(tensor, state[name]) for name, tensor in average.items())
    assert {name for name in state if name.startswith("average.")} == set(average)


def test_a_file_that_is_none_of_a_run_is_a_sentence(tmp_path: Path) -> None:
    state = tmp_path / "state.safetensors"
    save_file({"weight": torch.zeros(2)}, state)
    with pytest.raises(ms.UserError, match=r"state\.safetensors: does not say of which step it is"):
        chosen_step(tmp_path, None)
    state.write_bytes(b"nonsense")
    with pytest.raises(ms.UserError, match=r"state\.safetensors: not a file of tensors"):
        chosen_step(tmp_path, None)


def test_damaged_weights_are_a_sentence(run: RunResults, tmp_path: Path) -> None:
    folder = tmp_path / run.run_id
    shutil.copytree(run.checkpoint, folder)
    path = folder / "average-00000005.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(ms.UserError, match=r"average-00000005\.safetensors: damaged"):
        load_model(folder, 5, (1, 8, 8), 10, 4, run.settings["network"])


def test_a_model_leaves_the_callers_random_numbers_alone(run: RunResults) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    run.model()
    run.sample(2, seed=4)
    assert torch.equal(torch.rand(3), expected)


def test_weights_that_were_not_kept_are_a_sentence_with_those_that_were(without: RunResults, run: RunResults) -> None:
    assert without.steps == [without.max_steps]
    assert without.max_steps == 22
    with pytest.raises(ms.UserError, match=r"found 10, whose .* not kept; accepted is 22, the only one\. training"):
        without.model(step=10)
    with pytest.raises(ms.UserError, match="accepted is one of 5, 22"):
        run.sample(step=11)


def test_a_run_that_kept_no_weights_says_so(tmp_path: Path) -> None:
    with pytest.raises(ms.UserError, match=r"holds no weights; training\.keep_states keeps those of a run's end"):
        chosen_step(tmp_path, None)


def test_the_first_latents_of_a_seed_are_the_same_however_many_there_are(run: RunResults) -> None:
    few, many, other = run.sample(3, seed=5), run.sample(20, seed=5), run.sample(3, seed=6)
    assert np.abs(few.images.astype(int) - many.images[:3]).max() <= 1
    assert (few.images != other.images).any()
    assert len(many) == 20


def test_labels_are_taken_in_turn_and_decide_the_images(run: RunResults) -> None:
    trained = sorted(set(run.sample().labels.tolist()))  # type: ignore[union-attr]
    chosen = run.sample(5, labels=trained[:2], seed=1)
    assert chosen.labels is not None
    assert chosen.labels.tolist() == [trained[0], trained[1], trained[0], trained[1], trained[0]]
    alone = run.sample(5, labels=trained[0], seed=1)
    assert (alone.images[1] != chosen.images[1]).any()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"number": 9}, "number: found 9, and the study has 8 latents; accepted are these, or others by a seed"),
        ({"number": 0}, "number: found 0; accepted is a whole number from 1 to 1000000"),
        ({"number": 2.5}, "number: found 2.5; accepted is a whole number from 1"),
        ({"labels": [10]}, "labels: found 10; accepted are those that were trained, "),
        ({"labels": []}, "labels: found none; accepted are those that were trained, "),
        ({"labels": "cat"}, "labels: found cat; accepted are those that were trained, "),
        ({"labels": [0.5]}, "labels: found 0.5; accepted are those that were trained, "),
    ],
)
def test_what_cannot_be_generated_is_a_sentence(asked: dict[str, Any], said: str, run: RunResults) -> None:
    with pytest.raises(ms.UserError, match=said):
        run.sample(**asked)


def test_each_sample_is_beside_its_nearest_training_image(run: RunResults, study: ms.StudyResults) -> None:
    """By brute force, among the images that the run was trained on."""
    data = read_images(study.folder / "data" / "images.parquet")
    train = data.train.images[12:24].reshape(12, -1) / 255
    for step in (run.sampled_steps[0], None):
        found = run.nearest(step)
        distances = np.linalg.norm(found.samples.images.reshape(8, 1, -1) / 255 - train, axis=-1)
        np.testing.assert_array_equal(found.rows, 12 + distances.argmin(axis=1))
        np.testing.assert_allclose(found.distance, distances.min(axis=1))
        np.testing.assert_allclose(found.second_distance, np.sort(distances, axis=1)[:, 1])
        np.testing.assert_array_equal(found.images, data.train.images[found.rows])
        assert "8 samples of run" in repr(found)


def test_images_of_another_dataset_are_not_sampled_for(run: RunResults) -> None:
    run._data_hash = "other"
    with pytest.raises(ms.UserError, match=f"other images than the run {run.run_id} was trained on"):
        run.sample()


def test_weights_of_another_run_are_refused(run: RunResults, tmp_path: Path) -> None:
    other = tmp_path / "0123456789ab"
    other.mkdir()
    (other / "state.safetensors").write_bytes((run.checkpoint / "state.safetensors").read_bytes())
    network = run.settings["network"]
    with pytest.raises(ms.UserError, match=f"of the run {run.run_id}, not of 0123456789ab"):
        load_model(other, run.max_steps, (1, 8, 8), 10, 4, network)
    with pytest.raises(ms.UserError, match="its weights are those of another network"):
        load_model(run.checkpoint, run.max_steps, (1, 8, 8), 10, 8, network)
