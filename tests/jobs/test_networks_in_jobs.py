"""Jobs train networks of every kind, and the user's own, of which they record what it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.packs import pack_settings
from memsweep.base.errors import UserError
from memsweep.base.files import read_json
from memsweep.jobs.packs import train_pack
from memsweep.jobs.workshop import Way
from memsweep.models.own import Adapted
from memsweep.study.networks import network_settings
from memsweep.tables.parquet import read_table
from torch import Tensor

OWN = """
from memsweep.models.mlp import MLP

class Net(MLP):
    def forward(self, x, time, label):
        return super().forward(x, time, label) {rest}
"""
KINDS = [{"kind": "dit", "dit": {"depth": 1}}, {"kind": "mlp", "mlp": {"blocks": 1, "dropout": 0.2}}]


def settings_of(network: dict[str, Any], precision: str = "float32") -> dict[str, Any]:
    settings = pack_settings(network=network)
    return {**settings, "training": {**settings["training"], "precision": precision}}


def own(folder: Path, rest: str = "") -> Path:
    path = folder / "net.py"
    path.write_text(OWN.format(rest=rest))
    return path


def train(settings: dict[str, Any], digits: Path, folder: Path, **way: Any) -> Any:
    train_pack(settings, digits, folder / "checkpoints", folder / "tables", Way(device="cpu", **way))
    return read_table(folder / "tables" / "losses.parquet", "losses")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("network", KINDS)
def test_a_run_of_any_kind_does_not_depend_on_a_break(
    network: dict[str, Any], precision: str, digits: Path, tmp_path: Path
) -> None:
    settings = settings_of(network, precision)
    settings["runs"] = settings["runs"][:1]
    shorter = {**settings, "runs": [{**run, "max_steps": 10} for run in settings["runs"]]}
    shorter["training"] = {**settings["training"], "budget": {"steps": 10}}
    train(shorter, digits, tmp_path)
    assert train(settings, digits, tmp_path).equals(train(settings, digits, tmp_path / "without a break"))


def test_an_own_network_is_the_same_run_in_this_process_or_in_others(digits: Path, tmp_path: Path) -> None:
    path = own(tmp_path)
    settings = settings_of(network_settings({"kind": f"{path}:Net", "own": {"blocks": 1}}))
    alone = train(settings, digits, tmp_path / "alone", networks=[path])
    beside = train(settings, digits, tmp_path / "beside", networks=[path], threads=2)
    assert alone.equals(beside)
    # And the same as the library's own, which it is
    built_in = train(settings_of({"kind": "mlp", "mlp": {"blocks": 1}}), digits, tmp_path / "mlp")
    assert alone.equals(built_in)


def test_what_an_own_network_was_is_recorded(digits: Path, tmp_path: Path) -> None:
    path = own(tmp_path)
    network = network_settings({"kind": f"{path}:Net", "own": {}})
    train(settings_of(network), digits, tmp_path, networks=[path])
    provenance = read_json(tmp_path / "checkpoints" / "first" / "run.json")["provenance"]
    assert provenance["network"] == f"Net {network['source']}"
    assert read_json(tmp_path / "tables" / "trained.json")["settings"]["network"] == network
    own(tmp_path, rest="+ 0")
    with pytest.raises(
        UserError, match=r"network\.kind: Net was .* when this was planned, and is not what is found in"
    ):
        train(settings_of(network), digits, tmp_path, networks=[path])


def test_a_network_that_breaks_the_contract_trains_nothing(digits: Path, tmp_path: Path) -> None:
    path = own(tmp_path, rest=".double()")
    network = network_settings({"kind": f"{path}:Net", "own": {}})
    with pytest.raises(UserError, match="Net returns float64 where its weights are float32"):
        train(settings_of(network), digits, tmp_path, networks=[path])
    assert not list((tmp_path / "checkpoints").rglob("*.safetensors"))


def test_labels_may_be_ignored_by_an_unconditional_run_alone(digits: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text(OWN.format(rest="").replace("forward(x, time, label)", "forward(x, time, 0 * label)"))
    network = network_settings({"kind": f"{path}:Net", "own": {}})
    settings = settings_of(network)
    with pytest.raises(UserError, match="Net ignores the labels"):
        train(settings, digits, tmp_path, networks=[path])
    settings["formulation"] = {**settings["formulation"], "label_dropout": 1}
    train(settings, digits, tmp_path / "unconditional", networks=[path])


def test_what_an_own_network_sees() -> None:
    """Times stay float32 where images are bfloat16."""
    seen: list[torch.dtype] = []

    class Watching(torch.nn.Linear):
        def forward(self, x: Tensor, time: Tensor, label: Tensor) -> Tensor:  # type: ignore[override]
            seen.extend(each.dtype for each in (x, time, label))
            return super().forward(x)

    half = Adapted(Watching(4, 4)).in_precision(torch.bfloat16)
    half(torch.randn(2, 1, 4, 4), torch.rand(2), torch.zeros(2, dtype=torch.int64))
    assert seen == [torch.bfloat16, torch.float32, torch.int64]
