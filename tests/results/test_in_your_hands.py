"""What docs/in_your_hands.md shows, in its order, on a small study in place of the embedded one."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.configs import ROOT
from memsweep.__main__ import main
from memsweep.models.registry import build

PAGE = (ROOT / "docs" / "in_your_hands.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^(memsweep .*)$", PAGE, re.MULTILINE)
HERE = {"results/digits": "results/tiny", "config/config.yaml": "tiny.yaml", "train_size=64": "train_size=12"}


def here(text: str) -> str:
    for embedded, small in HERE.items():
        text = text.replace(embedded, small)
    return text


@pytest.fixture
def names(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names that all snippets leave."""
    monkeypatch.chdir(tiny.parent)
    found: dict[str, Any] = {}
    for snippet in SNIPPETS:
        exec(here(snippet), found)
    return found


def test_the_snippets_find_what_they_say(names: dict[str, Any]) -> None:
    run, study = names["run"], names["study"]
    assert len(names["copies"]) == 2 * 10  # evaluations with images, and runs
    assert run.axes == {**study.base, "train_size": 12}
    assert names["other"].axes["seed"] == 1
    assert names["same"].run_id == run.run_id
    np.testing.assert_array_equal(names["again"].images, names["final"].images)
    assert names["images"].shape == (6, 8, 8, 1)
    assert names["early"].step == run.steps[-1] == 22
    assert len(run.steps) == 2


def test_the_field_is_what_the_formulation_learns(names: dict[str, Any]) -> None:
    """The loss of the model that the snippet calls is that of the formulation, with its own noise and images."""
    clean, time, label = names["clean"], names["time"], names["label"]
    torch.manual_seed(0)
    z = torch.randn_like(clean)
    noisy = names["signal"].view(-1, 1, 1, 1) * clean + names["noise"].view(-1, 1, 1, 1) * z
    with torch.no_grad():
        error = (names["model"](noisy, time, label) - (z - clean)).square().mean(dim=(1, 2, 3))
        expected = names["formulation"].loss(names["model"], clean, z, time, label)
    torch.testing.assert_close(error, expected)
    assert names["field"].shape == clean.shape


def test_weights_read_without_memsweep_make_the_network(names: dict[str, Any]) -> None:
    config = names["config"]
    network = build(tuple(config["image_shape"]), config["labels"], config["base_channels"], config["network"])
    left_out = network.load_state_dict(names["weights"], strict=False)
    assert not left_out.unexpected_keys
    assert not {*left_out.missing_keys} & {name for name, _ in network.named_parameters()}
    point = {key: config[key] for key in ("train_size", "learning_rate", "seed", "subset")}
    model = names["study"].run(**point).model()
    for (name, weight), other in zip(network.named_parameters(), model.parameters(), strict=True):
        assert torch.equal(weight, other), name


def test_the_commands_write_what_they_say(tiny: Path, monkeypatch: pytest.MonkeyPatch, names: dict[str, Any]) -> None:
    monkeypatch.chdir(tiny.parent)
    for command in COMMANDS:
        typed = here(command).replace("b5b251", names["run"].run_id[:6]).replace("--number 64", "--number 8")
        assert main(shlex.split(typed)[1:]) == 0
    assert len(list(Path("board").iterdir())) == 10
    assert Path("samples.png").stat().st_size > 500
    with np.load("samples.npz") as file:
        assert file["arr_0"].shape == (64, 8, 8, 1)


def test_the_page_has_snippets_and_commands() -> None:
    assert len(SNIPPETS) == 5
    assert len(COMMANDS) == 3
