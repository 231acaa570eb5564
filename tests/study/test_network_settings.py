"""A run is known by the keys of its own kind of network, and one's own network by what it is."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.configs import ROOT, changed
from memsweep.base.errors import UserError
from memsweep.base.files import kept_copy
from memsweep.study import networks
from memsweep.study.config import resolve
from memsweep.study.grid import runs
from memsweep.study.kinds import open_study
from memsweep.study.networks import located, network_file, network_settings, placed

UNET = {
    "channel_multipliers": [1, 2],
    "blocks": 1,
    "attention_levels": [],
    "head_channels": 64,
    "embedding": 64,
    "dropout": 0.0,
}


def study(network: dict[str, Any]) -> Any:
    return open_study(changed("network", network))


def ids(network: dict[str, Any]) -> set[str]:
    return {run.run_id for run in study(network).runs}


def test_the_ids_of_runs_of_a_unet_are_those_that_they_had_when_there_was_no_other_kind() -> None:
    """The first run of each of these studies; a run whose id moves is trained again."""
    first = {"config": "bbcebdd66633", "cifar10": "9c92d8ef6e2c", "cifar10_small": "a63ac731235a"}
    for name, expected in first.items():
        study = yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())
        if name == "config":  # the embedded one was evaluated on more images then
            study["evaluation"]["images"] = 384
        config = resolve(study)
        assert runs(config)[0].run_id == expected, name


def test_the_settings_of_a_unet_hold_its_keys_and_nothing_of_kinds() -> None:
    for kind in ({}, {"kind": "unet"}):
        opened = study({**kind, "channel_multipliers": [1, 2], "blocks": 1, "attention_levels": [], "embedding": 64})
        assert json.loads(opened.train(opened.jobs[0]))["network"] == UNET


def test_other_kinds_are_other_runs_and_hold_their_own_keys() -> None:
    dit = study({"kind": "dit"})
    settings = json.loads(dit.train(dit.jobs[0]))["network"]
    keys = {"patch": 2, "width": 8, "depth": 6, "heads": 4, "mlp_ratio": 4, "dropout": 0.0}
    assert settings == {"kind": "dit", "dit": keys}
    assert network_settings(settings) == settings
    kinds = [ids({}), ids({"kind": "dit"}), ids({"kind": "mlp"}), ids({"kind": "dit", "dit": {"depth": 5}})]
    assert len(set.union(*kinds)) == sum(map(len, kinds))


def own(folder: Path, text: str = "class Net: ...\n") -> Path:
    path = folder / "net.py"
    path.write_text(text)
    return path


def test_a_changed_file_is_another_run_and_one_that_moved_is_the_same(tmp_path: Path) -> None:
    path = own(tmp_path)
    begun = ids({"kind": f"{path}:Net"})
    (tmp_path / "elsewhere").mkdir()
    moved = own(tmp_path / "elsewhere")
    assert ids({"kind": f"{moved}:Net"}) == begun
    assert not ids({"kind": f"{path}:Other"}) & begun
    assert not ids({"kind": f"{path}:Net", "own": {"depth": 3}}) & begun
    own(tmp_path, "class Net: ...  # changed\n")
    assert not ids({"kind": f"{path}:Net"}) & begun


def test_a_file_counts_from_the_folder_of_the_study_that_names_it(tmp_path: Path) -> None:
    own(tmp_path)
    file = tmp_path / "study.yaml"
    config = changed("network", {"kind": "./net.py:Net", "own": {"depth": 3}})
    file.write_text(yaml.safe_dump(config))
    resolved = resolve(config, [file])
    assert network_file(resolved["network"]) == tmp_path / "net.py"
    with pytest.raises(UserError, match="accepted is a file that is there"):
        resolve(config)


def test_a_kept_study_names_the_kept_network_and_not_what_an_editor_makes_of_it(tmp_path: Path) -> None:
    path, file = own(tmp_path), tmp_path / "study.yaml"
    file.write_text("study: x")
    kept = kept_copy(path, tmp_path / "kept")
    copy = kept_copy(file, tmp_path / "kept", {str(path): str(kept)})
    own(tmp_path, "class Net: ...  # changed\n")
    assert placed("./net.py:Net", copy) == f"{kept}:Net"
    assert placed("./other.py:Net", copy) == f"{tmp_path / 'other.py'}:Net"
    assert placed("./net.py:Net", file) == f"{tmp_path / 'net.py'}:Net"
    assert placed("dit", copy) == "dit"


def test_a_job_takes_the_file_with_the_content_that_was_planned(tmp_path: Path) -> None:
    path = own(tmp_path)
    settings = network_settings({"kind": f"{path}:Net"})
    assert located(settings, [path])["file"] == str(path)
    own(tmp_path, "class Net: ...  # changed\n")
    with pytest.raises(UserError, match=r"Net was [0-9a-f]{16} when this was planned, and is not what is found in /"):
        located(settings, [path])


def test_an_entry_point_is_known_by_its_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(version: str) -> dict[str, Any]:
        about = tmp_path / "theirs-1.dist-info"
        about.mkdir(exist_ok=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: theirs\nVersion: {version}\n")
        (about / "entry_points.txt").write_text("[memsweep.networks]\ntheir_net = theirs:Net\n")
        importlib.invalidate_caches()
        networks.installed.cache_clear()
        return network_settings({"kind": "their_net"})

    try:
        first, second = install("1.0"), install("1.1")
        assert first == {"kind": "their_net", "source": "theirs 1.0", "own": {}}
        assert second["source"] == "theirs 1.1"
        assert located(second, []) == second
        with pytest.raises(UserError, match=r"their_net was theirs 1\.0 when this was planned"):
            located(first, [])
        resolve(changed("network", {"kind": "their_net"}))
    finally:
        networks.installed.cache_clear()


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"own": {"a b": 1}}, "network.own: found the key 'a b'; accepted is the name of an argument"),
        ({"own": {"rate": float("nan")}}, "network.own.rate: found nan; accepted are numbers, texts"),
        ({"dropout": 0.5}, "network.dropout: found 0.5 with network.kind '"),
    ],
)
def test_keys_that_are_no_arguments_are_answered_by_a_sentence(
    tmp_path: Path, keys: dict[str, Any], expected: str
) -> None:
    with pytest.raises(UserError) as error:
        study({"kind": f"{own(tmp_path)}:Net", **keys})
    assert expected in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_network_of_ones_own_cannot_be_recomputed(tmp_path: Path) -> None:
    config = changed("network", {"kind": f"{own(tmp_path)}:Net"})
    config["training"]["recompute"] = True
    with pytest.raises(UserError, match=r"training\.recompute: found True with network\.kind '.*'; accepted is false"):
        resolve(config)
