"""Runs of any formulation, precision and network generate what they generated; so do those of a study not collected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import memsweep as ms
import numpy as np
import pytest
from helpers.packs import FORMULATIONS
from helpers.trained import STUDY, train

NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, image_shape, classes, base_channels):
        super().__init__()
        self.label = nn.Embedding(classes, base_channels)
        self.first = nn.Conv2d(image_shape[0], base_channels, 3, padding=1)
        self.last = nn.Conv2d(base_channels, image_shape[0], 3, padding=1)

    def forward(self, x, time, label):
        known = self.label(label) * (1 + time[:, None].to(x.dtype))
        return self.last(torch.tanh(self.first(x) + known[:, :, None, None]))
"""
ONE = {"base": STUDY["grid"]["base"], "products": [{"train_size": [12]}]}


def opened(folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> ms.StudyResults:
    """A study of one run, trained and not collected, and opened by its file."""
    monkeypatch.chdir(folder)
    train(folder / "tiny.yaml", {**STUDY, "grid": ONE, **changes})
    return ms.open("tiny.yaml")


@pytest.mark.parametrize("formulation", ["guided_flow", "ddpm", "unconditional_ddpm"])
def test_every_formulation_gives_the_saved_images(
    formulation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = opened(tmp_path, monkeypatch, formulation=FORMULATIONS[formulation]).run()
    for step in run.steps:
        saved, again = run.samples(step), run.sample(step=step)
        np.testing.assert_array_equal(again.images, saved.images)
        np.testing.assert_array_equal(again.labels, saved.labels)
    if formulation == "unconditional_ddpm":
        assert run.samples().labels is None
        with pytest.raises(ms.UserError, match="labels: found 1; accepted are none, as the run's model is uncond"):
            run.sample(labels=[1])


def test_a_run_in_bfloat16_generates_in_bfloat16(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = opened(tmp_path, monkeypatch, training={**STUDY["training"], "precision": "bfloat16"}).run()
    np.testing.assert_array_equal(run.sample().images, run.samples().images)
    assert {str(weight.dtype) for weight in run.model().parameters()} == {"torch.float32"}


def test_a_network_of_the_users_own_is_found_by_the_file_of_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net.py").write_text(NET)
    study = opened(tmp_path, monkeypatch, network={"kind": "./net.py:Net"})
    np.testing.assert_array_equal(study.run().sample().images, study.run().samples().images)
    with pytest.raises(ms.UserError, match=r"is Net, of a file that .* accepted is the study opened by its YAML"):
        ms.open("results/tiny").run(train_size=12).model()
    (tmp_path / "net.py").write_text(NET + "# changed\n")
    with pytest.raises(ms.UserError, match=r"network\.kind: Net was "):
        study.run().model()


def test_a_swept_setting_is_an_axis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = {"base": ONE["base"], "products": [{"network.dropout": [0, 0.1]}]}
    study = opened(tmp_path, monkeypatch, grid=grid)
    assert study.run().axes["network_dropout"] == 0
    for run in (study.run(network_dropout=0.1), study.run(**{"network.dropout": 0.1})):
        assert run.axes["network_dropout"] == 0.1
        assert run.settings["network"]["dropout"] == 0.1
        np.testing.assert_array_equal(run.sample().images, run.samples().images)


def test_a_study_whose_tables_are_not_collected_has_those_of_its_packs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = opened(tmp_path, monkeypatch)
    assert set(study.tables) == {"images", "losses", "runs", "samples"}
    assert set(study.losses["train_size"]) == {12}
    with pytest.raises(ms.UserError, match="has no table 'neighbours' of the run"):
        study.run().nearest()
