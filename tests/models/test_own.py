"""A network of one's own is held against its contract, and what is wrong is a sentence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from memsweep.base.errors import UserError
from memsweep.base.files import content_name
from memsweep.models.measuring import measure
from memsweep.models.own import Adapted, check, own_network
from memsweep.models.registry import build
from memsweep.study import network_cost as costs
from memsweep.study.networks import network_settings

# One that is right, in parts that the cases below exchange
PARTS = {
    "import": "from torch import nn\nimport torch",
    "made": "",
    "weights": "",
    "embed": "self.time(time[:, None].to(x.dtype)) + self.label(label)",
    "out": "self.out(torch.tanh(hidden)).view(x.shape)",
}
CODE = """
{import}

class Net(nn.Module):
    def __init__(self, image_shape, classes, base_channels, dropout=0.0):
        super().__init__()
        values = torch.Size(image_shape).numel()
        {made}
        self.first = nn.Linear(values, base_channels)
        self.time, self.label = nn.Linear(1, base_channels), nn.Embedding(classes, base_channels)
        self.out, self.dropout = nn.Linear(base_channels, values), nn.Dropout(dropout)
        nn.init.zeros_(self.out.weight)
        {weights}

    def forward(self, x, time, label):
        hidden = self.dropout(self.first(x.flatten(1)) + {embed})
        return {out}
"""
SIZE = (1, 4, 4), 3, 8


def written(folder: Path, own: dict[str, Any] | None = None, **parts: str) -> dict[str, Any]:
    """What a job is told of such a network."""
    path = folder / "net.py"
    path.write_text(CODE.format(**{**PARTS, **parts}))
    return {"kind": "Net", "source": content_name(path.read_bytes()), "own": own or {}, "file": str(path)}


def test_a_network_that_keeps_the_contract_is_trained_as_it_is(tmp_path: Path) -> None:
    settings = written(tmp_path, {"dropout": 0.25})
    check(*SIZE, settings, (torch.float32, torch.bfloat16))
    network = build(*SIZE, settings)
    assert isinstance(network, Adapted)
    assert network.dropout == 0.25
    assert not network.channels_last
    half = network.in_precision(torch.bfloat16)
    assert half(torch.randn(2, 1, 4, 4), torch.rand(2), torch.tensor([0, 2])).dtype == torch.bfloat16


WRONG = [
    (
        {"import": "import no_such_package"},
        r"importing .*net\.py raised ModuleNotFoundError: No module named 'no_such_",
    ),
    ({"import": "from torch import nn\nimport torch\nclass Net:"}, r"importing .*net\.py raised IndentationError"),
    ({"made": "raise RuntimeError('no\\nroom')"}, r"Net\(\(1, 4, 4\), 3, 8\) with network\.own \{\} raised RuntimeErr"),
    (
        {"out": "self.out(hidden)"},
        r"Net returns shape \(3, 16\) for images of \(3, 1, 4, 4\); accepted is the same shape",
    ),
    (
        {"out": "self.out(hidden).view(x.shape).double()"},
        "Net returns float64 where its weights are float32; accepted is",
    ),
    ({"out": "None"}, "Net returns a NoneType; accepted is a tensor of the images' shape"),
    (
        {"out": "self.out(hidden).view(x.shape) / 0"},
        "Net returns values that are no finite numbers, before any training",
    ),
    ({"out": "self.out(x).view(x.shape)"}, r"a forward pass of \(3, 1, 4, 4\) float32 images raised RuntimeError: "),
    ({"embed": "self.time(time[:, None].to(x.dtype)) + 0 * self.label(label)"}, "Net ignores the labels; accepted is"),
    ({"embed": "0 * self.time(time[:, None].to(x.dtype)) + self.label(label)"}, "Net ignores the time; accepted is"),
    ({"embed": "self.label(label)"}, r"Net has parameters without a gradient, time\.weight, time\.bias; accepted are"),
    ({"out": "self.out(hidden + hidden.mean(0)).view(x.shape)"}, "Net mixes the items of a batch: an image's field"),
    (
        {"out": "self.out(hidden + torch.randn(8)).view(x.shape)"},
        "Net is not deterministic: the same images, times and",
    ),
    (
        {"weights": "import os; self.out.bias.data[0] = hash(os.urandom(8)) % 1e6"},
        "Net has other weights each time it is",
    ),
    (
        {"weights": "self.norm = nn.BatchNorm1d(8, affine=False)", "out": "self.out(self.norm(hidden)).view(x.shape)"},
        r"Net changes its buffer norm\.running_mean; accepted are buffers that are constants",
    ),
]


@pytest.mark.parametrize(("parts", "expected"), WRONG)
def test_what_is_wrong_is_a_sentence(tmp_path: Path, parts: dict[str, str], expected: str) -> None:
    with pytest.raises(UserError, match=f"^network\\.kind: {expected}") as error:
        check(*SIZE, written(tmp_path, **parts))
    assert len(str(error.value).splitlines()) == 1


def test_arguments_that_it_does_not_take_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"with network\.own {'depth': 3} raised TypeError: .*unexpected keyword argument"
    ):
        own_network(*SIZE, written(tmp_path, {"depth": 3}))


def test_a_class_that_is_not_there_or_no_module_is_a_sentence(tmp_path: Path) -> None:
    settings = written(tmp_path)
    with pytest.raises(UserError, match="has no class 'Other'; accepted is one that it has"):
        own_network(*SIZE, {**settings, "kind": "Other"})
    path = tmp_path / "net.py"
    path.write_text("def Function(*arguments): return 3\n")
    settings["source"] = content_name(path.read_bytes())
    with pytest.raises(UserError, match=r"Function makes a int; accepted is a torch\.nn\.Module"):
        own_network(*SIZE, {**settings, "kind": "Function"})


def test_a_file_that_changed_is_not_run(tmp_path: Path) -> None:
    """Also where it has its old size and times, by which Python would take it for the same."""
    settings = written(tmp_path)
    own_network(*SIZE, settings)
    path = tmp_path / "net.py"
    path.write_text(path.read_text().replace("tanh", "sinh"))
    (again := tmp_path / "again.py").write_bytes(path.read_bytes())
    with pytest.raises(UserError, match=r"again\.py has changed since training began"):
        own_network(*SIZE, {**settings, "file": str(again)})


def test_float32_alone_is_asked_of_a_network_that_knows_no_other(tmp_path: Path) -> None:
    settings = written(tmp_path, embed="self.time(time[:, None]) + self.label(label)")
    check(*SIZE, settings)
    with pytest.raises(UserError, match=r"a forward pass of \(3, 1, 4, 4\) bfloat16 images raised RuntimeError"):
        check(*SIZE, settings, (torch.float32, torch.bfloat16))


def test_labels_may_be_ignored_where_there_are_none(tmp_path: Path) -> None:
    settings = written(tmp_path, embed="self.time(time[:, None].to(x.dtype)) + 0 * self.label(label)")
    check(*SIZE, settings, labelled=False)
    check((1, 4, 4), 1, 8, settings)


def test_what_it_costs_is_measured(tmp_path: Path) -> None:
    found = measure(*SIZE, written(tmp_path))
    assert found["parameters"] == 16 * 8 + 8 + 2 * 8 + 3 * 8 + 8 * 16 + 16
    assert found["forward_flops"] == 2 * (16 * 8 + 8 + 8 * 16)
    assert 4 * 8 <= found["saved_bytes"] <= 4 * 8 * 10


def test_it_is_measured_once_in_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path)
    monkeypatch.chdir(tmp_path)
    network = {"kind": "net.py:Net", "own": {}}
    cost = costs.network_cost(*SIZE, network)
    assert cost.parameters == 320
    monkeypatch.setattr(costs, "_in_a_process", None)  # type: ignore[arg-type]
    assert costs.network_cost(*SIZE, network) == cost
    assert costs.network_cost(*SIZE, {**network_settings(network), "file": "net.py"}) == cost


def test_one_that_cannot_be_measured_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, out="self.out(hidden)")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"^{re.escape('network.kind: Net returns shape (3, 16) for images of (3, 1')}"):
        costs.network_cost(*SIZE, {"kind": "net.py:Net", "own": {}})
