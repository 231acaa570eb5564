"""Any key that decides a run's numbers is an axis, and a run is what its settings are, however they came to be."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from helpers.configs import DEFAULT
from hypothesis import given
from hypothesis import strategies as st
from memsweep.base.errors import UserError
from memsweep.study.axes import AXES, Axis, encoded, swept_keys
from memsweep.study.config import resolve
from memsweep.study.config.schemas import schema
from memsweep.study.grid import runs
from memsweep.study.run import Run
from memsweep.study.sweep import Sweep
from memsweep.study.training_sets import TrainingSet

OWN = """
import torch
class {name}(torch.nn.Module):
    pass
"""


def study(*products: dict[str, Any], **sections: dict[str, Any]) -> dict[str, Any]:
    """The embedded study with other products, and with other keys in some sections."""
    config: dict[str, Any] = copy.deepcopy(DEFAULT)
    config["grid"]["products"] = list(products)
    for name, keys in sections.items():
        config[name] = {**config.get(name, {}), **keys}
    return config


def opened(*products: dict[str, Any], **sections: dict[str, Any]) -> Sweep:
    return Sweep(resolve(study(*products, **sections)))


def ids(*products: dict[str, Any], **sections: dict[str, Any]) -> list[str]:
    return [run.run_id for run in opened(*products, **sections).runs]


# Of each axis two values, and what else they need
VALUES: dict[str, tuple[list[Any], dict[str, dict[str, Any]]]] = {
    "network.kind": (["unet", "mlp"], {}),
    "network.channel_multipliers": ([[1, 2], [1, 2, 2]], {}),
    "network.blocks": ([1, 2], {}),
    "network.attention_levels": ([[], [1]], {}),
    "network.head_channels": ([8, 16], {"network": {"attention_levels": [1]}}),
    "network.embedding": ([32, 64], {}),
    "network.dropout": ([0, 0.1], {}),
    "network.dit.patch": ([2, 4], {"network": {"kind": "dit"}}),
    "network.dit.width": ([4, 8], {"network": {"kind": "dit"}}),
    "network.dit.depth": ([1, 2], {"network": {"kind": "dit"}}),
    "network.dit.heads": ([2, 4], {"network": {"kind": "dit"}}),
    "network.dit.mlp_ratio": ([2, 4], {"network": {"kind": "dit"}}),
    "network.dit.dropout": ([0, 0.1], {"network": {"kind": "dit"}}),
    "network.mlp.width": ([4, 8], {"network": {"kind": "mlp"}}),
    "network.mlp.blocks": ([1, 2], {"network": {"kind": "mlp"}}),
    "network.mlp.embedding": ([8, 16], {"network": {"kind": "mlp"}}),
    "network.mlp.dropout": ([0, 0.1], {"network": {"kind": "mlp"}}),
    "formulation.name": (["rectified_flow", "ddpm"], {}),
    "formulation.sampling_steps": ([8, 16], {}),
    "formulation.label_dropout": ([0, 0.1], {}),
    "formulation.guidance": ([0, 1.5], {"formulation": {"label_dropout": 0.1}}),
    "training.ema_decay": ([0.9, 0.99], {}),
    "training.precision": (["float32", "bfloat16"], {}),
    "training.gradient_clip": ([0, 1], {}),
    "training.accumulate": ([1, 2], {}),
    "training.optimizer": (["adam", "sgd"], {}),
    "training.weight_decay": ([0, 0.01], {"training": {"optimizer": "adamw"}}),
    "training.momentum": ([0, 0.9], {"training": {"optimizer": "sgd"}}),
    "training.warmup_steps": ([0, 10], {}),
    "training.schedule": (["constant", "cosine"], {}),
    "training.schedule_floor": ([0, 0.1], {"training": {"schedule": "cosine"}}),
    "training.flip": ([False, True], {}),
    "training.time_sampling": (["uniform", "logit_normal"], {}),
    "training.time_location": ([0, 0.5], {"training": {"time_sampling": "logit_normal"}}),
    "training.time_scale": ([1, 2], {"training": {"time_sampling": "logit_normal"}}),
}


def test_every_key_that_can_be_an_axis_is_tried_here() -> None:
    assert list(VALUES) == [name for name, _ in swept_keys(schema()["properties"])]


def in_its_section(axis: str, value: Any, sections: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The sections with a value at the axis's own place."""
    section, *inner, key = axis.split(".")
    result = copy.deepcopy(sections)
    part = result.setdefault(section, {})
    for step in inner:
        part = part.setdefault(step, {})
    part[key] = value
    return result


@pytest.mark.parametrize("axis", VALUES)
def test_a_run_is_the_same_whether_its_value_stands_in_the_grid_or_in_its_section(axis: str) -> None:
    values, sections = VALUES[axis]

    def resolved(product: dict[str, Any], parts: dict[str, dict[str, Any]]) -> Sweep:
        config = study(product, **{name: part for name, part in parts.items() if name != "network"})
        network = parts.get("network", {})
        kind = network.get("kind", "unet")
        config["network"] = network if kind != "unet" else {**config["network"], **network}
        return Sweep(resolve(config))

    swept = resolved({"train_size": [16, 32], axis: values}, sections)
    written = [resolved({"train_size": [16, 32]}, in_its_section(axis, value, sections)) for value in values]
    found = {run.run_id for run in swept.runs}
    assert len(found) == 2 * len(values)
    if axis == "network.kind":  # the U-Net's keys are no keys of a perceptron
        written = [written[0]]
    for each in written:
        assert {run.run_id for run in each.runs} <= found
    for run in swept.runs:
        assert list(run.settings) == [axis]
        section, _, _ = axis.partition(".")
        assert section in run.sections or run.settings[axis] == swept.grid_axes[-1].base


def test_todays_runs_keep_their_ids_and_paths_beside_new_axes() -> None:
    plain = opened({"train_size": [16, 32]})
    beside = opened({"train_size": [16, 32]}, {"training.flip": [True]}, {"subset": [1]})
    assert [run.run_id for run in plain.runs] == [run.run_id for run in beside.runs[:2]]
    assert all("flip" not in path and "subset" not in path for path in plain.packs)


def test_axes_of_training_and_subsets_are_packed_and_others_are_folders_with_encoded_values() -> None:
    sweep = opened(
        {"training.ema_decay": [0.9, 0.99], "subset": [0, 1]},
        {"network.attention_levels": [[], [1]], "formulation.name": ["rectified_flow", "ddpm"]},
        {"training.precision": ["bfloat16"]},
    )
    assert sweep.config["pack"] == ["learning_rate", "seed", "subset", "training.ema_decay"]
    place = "train_size=32/base_channels=16/batch_size=16"
    paths = {path.removeprefix(f"{place}/") for path in sweep.packs}
    assert paths == {
        f"network_attention_levels={levels}/formulation_name={name}/training_precision=float32"
        for levels in ("%5B%5D", "%5B1%5D")
        for name in ("rectified_flow", "ddpm")
    } | {"network_attention_levels=%5B%5D/formulation_name=rectified_flow/training_precision=bfloat16"}


def test_a_network_of_ones_own_goes_by_its_class(tmp_path: Any) -> None:
    for name in ("First", "Second"):
        (tmp_path / f"{name}.py").write_text(OWN.format(name=name))
    kinds = [f"{tmp_path}/First.py:First", f"{tmp_path}/Second.py:Second", "unet"]
    sweep = opened({"network.kind": kinds})
    assert [run.settings["network.kind"] for run in sweep.runs] == ["First", "Second", "unet"]
    assert sorted(sweep.networks()) == [f"{tmp_path}/First.py", f"{tmp_path}/Second.py"]
    told = [json.loads(sweep.train(job))["runs"][0]["sections"]["network"] for job in list(sweep.packs)[:2]]
    assert [network["kind"] for network in told] == ["First", "Second"]
    (tmp_path / "other.py").write_text(OWN.format(name="First"))
    with pytest.raises(UserError, match="accepted are classes of different names"):
        resolve(study({"network.kind": [kinds[0], f"{tmp_path}/other.py:First"]}))


def test_arguments_of_a_network_of_ones_own_are_axes_of_the_type_of_their_values(tmp_path: Any) -> None:
    (tmp_path / "net.py").write_text(OWN.format(name="Net"))
    config = study(
        {
            "network.own.width": [1, 2.5],
            "network.own.gated": [True, False],
            "network.own.act": ["relu"],
            "network.own.sizes": [[1, 2], [3]],
        }
    )
    config["network"] = {"kind": f"{tmp_path}/net.py:Net", "own": {"width": 1}}
    sweep = Sweep(resolve(config))
    assert len(sweep.runs) == 8
    assert [(axis.type, axis.base) for axis in sweep.grid_axes[-4:]] == [
        ("number", 1),
        ("boolean", None),
        ("string", None),
        ("string", None),
    ]
    for mixed in ([1, "x"], [[1], 2], [{"a": 1}], [float("nan")]):
        config["grid"]["products"] = [{"network.own.width": mixed}]
        with pytest.raises(
            UserError, match=r"products\[0\].network.own.width: found .*; accepted are numbers, or texts"
        ):
            resolve(config)


def test_jobs_are_told_of_each_run_what_differs() -> None:
    sweep = opened({"training.flip": [False, True], "training.gradient_clip": [0, 1]})
    (settings,) = (json.loads(sweep.train(job)) for job in sweep.jobs)
    assert settings["training"] == {key: DEFAULT["training"][key] for key in ("budget", "ema_decay")}
    told = [Run(**fields) for fields in settings["runs"]]
    trained = [run.within(settings)["training"] for run in told]
    assert [(each.get("flip", False), each.get("gradient_clip", 0)) for each in trained] == [
        (False, 0),
        (False, 1),
        (True, 0),
        (True, 1),
    ]
    assert [axis["column"] for axis in settings["axes"]] == ["training_flip", "training_gradient_clip"]
    assert [axis["type"] for axis in settings["axes"]] == ["boolean", "number"]


def remembered(sweep: Sweep, train_size: int) -> tuple[list[int], list[dict[str, Any]]]:
    """Subsets and formulations for which perfect memories of a size are sampled."""
    settings = json.loads(sweep.empirical_samples(train_size))
    assert settings["train_size"] == train_size
    assert settings["samples"] == DEFAULT["evaluation"]["samples"]
    return settings["subsets"], settings["formulations"]


def test_perfect_memories_are_sampled_for_all_training_sets_and_formulations_of_a_size() -> None:
    name = {"formulation.name": ["ddpm", "rectified_flow"]}
    products = {"train_size": [16, 32], "subset": [0, 1]}, {"subset": [3], **name}, {"train_size": [32], "seed": [1]}
    sweep = opened(*products)
    assert sweep.empirical_sizes(*sweep.jobs) == [16, 32]
    section = sweep.config["formulation"]
    both = [{**section, "name": each, "values": {"formulation_name": each}} for each in name["formulation.name"]]
    assert remembered(sweep, 16) == ([0, 1], both[1:])
    assert remembered(sweep, 32) == ([0, 1, 3], both)
    # The order in which a grid is written means nothing, and what is chosen of it changes none of these files
    assert [opened(*products[::-1]).empirical_samples(size) for size in (16, 32)] == [
        sweep.empirical_samples(size) for size in (16, 32)
    ]
    config = {
        **study(*products),
        "only": {"train_size": [32]},
        "exclude": {"formulation.name": ["ddpm"], "subset": [1]},
    }
    chosen = Sweep(resolve(config))
    assert chosen.empirical_samples(32) == sweep.empirical_samples(32)
    assert chosen.empirical_sizes(*chosen.jobs) == [32]


def test_with_guidance_no_perfect_memory_is_sampled() -> None:
    dropped = {"formulation": {"label_dropout": 0.1}}
    sweep = opened({"formulation.guidance": [0, 2], "train_size": [16, 32]}, **dropped)
    assert [each["values"] for each in remembered(sweep, 16)[1]] == [{"formulation_guidance": 0}]
    sizes = [(job.endswith("guidance=0.0"), sweep.empirical_sizes(job)) for job in sweep.jobs]
    assert sorted(sizes) == [(False, []), (False, []), (True, [16]), (True, [32])]
    guided = opened({"train_size": [16]}, formulation={"label_dropout": 0.1, "guidance": 2})
    assert not guided.empirical_sizes(*guided.jobs)


def test_the_metrics_of_a_pack_need_the_memories_of_its_own_runs_alone() -> None:
    before = opened({"train_size": [16, 32]})
    after = opened({"train_size": [16, 32, 64]}, {"formulation.name": ["rectified_flow", "ddpm"]}, {"subset": [5]})
    own = {job.split("/formulation")[0]: after.empirical_needs(job) for job in after.jobs if "ddpm" not in job}
    sizes = [f"train_size={size}/base_channels=16/batch_size=16" for size in (16, 32)]
    assert own[sizes[0]] == before.empirical_needs(sizes[0])
    assert own[sizes[1]] != before.empirical_needs(sizes[1])  # it has another subset now


def test_a_choice_names_axes_as_the_grid_does() -> None:
    products = {"network.attention_levels": [[], [1]], "training.flip": [False, True], "train_size": [16, 32]}
    config = study(products)
    config["only"] = {"network.attention_levels": [[1]]}
    config["exclude"] = {"training.flip": [True], "train_size": [16]}
    left = runs(resolve(config))
    assert [(run.train_size, run.settings["training.flip"]) for run in left] == [(16, False), (32, False), (32, True)]
    assert {run.settings["network.attention_levels"] for run in left} == {"[1]"}


BAD = [
    ({"training.weight_decay": [-1]}, r"grid.products\[0\].training.weight_decay\[0\]: found -1; accepted is at least"),
    ({"training.weight_decay": [0.1]}, r"products\[0\].training.weight_decay: found 0.1 with training.optimizer adam"),
    ({"training.momentum": [0.9], "training.optimizer": ["sgd", "adam"]}, "found 0.9 with training.optimizer adam"),
    ({"training.decay": [1]}, r"grid.products\[0\].training.decay: unknown key"),
    ({"training.weight_dcay": [1]}, r"unknown key \(did you mean 'training.weight_decay'\?\); accepted keys are train"),
    ({"training.budget": [1]}, "accepted is no axis, but one value for all runs, in the section training"),
    ({"training.threads": [1, 2]}, "accepted is no axis, but one value for all runs, in the section training"),
    ({"training.stop_memorised": [0.9]}, "accepted is no axis, but one value for all runs, in the section training"),
    ({"dataset.seed": [0, 1]}, "accepted is no axis, but a key of network, formulation or training: all runs of a"),
    ({"evaluation.samples": [10, 20]}, "accepted is no axis, but a key of network, formulation or training"),
    ({"network.dit.depth": [2, 4]}, r"products\[0\].network.dit.depth: found \[2, 4\] with network.kind 'unet'"),
    ({"network.kind": ["unet", "dit"], "network.dit.depth": [2]}, "with network.kind 'unet', 'dit'; accepted are"),
    ({"network.kind": ["unets"]}, r"products\[0\].network.kind: found 'unets'; accepted is one of unet, dit, mlp"),
    ({"network.kind": ["./none.py:None_"]}, "accepted is a file that is there"),
    ({"network.attention_levels": [[5]]}, r"products\[0\].network.attention_levels: found \[5\]; accepted are levels"),
    ({"network.attention_levels": [1]}, r"network.attention_levels\[0\]: found 1; accepted is a list"),
    ({"network.channel_multipliers": [[1] * 9]}, r"products\[0\].network.channel_multipliers: found 9 levels"),
    ({"formulation.guidance": [1]}, r"products\[0\].formulation.guidance: found 1 with formulation.label_dropout 0"),
    (
        {"formulation.name": ["ddpm"], "formulation.sampling_steps": [2000]},
        r"products\[0\].formulation.sampling_steps: found 2000 with formulation.name ddpm; accepted is at most 1000",
    ),
    ({"training.warmup_steps": [10**6]}, r"products\[0\].training.warmup_steps: found 1000000; accepted is less than"),
    (
        {"training.optimizer": ["adamw"], "training.weight_decay": [900], "learning_rate": [0.003]},
        r"products\[0\].training.weight_decay: found 900; accepted is less than 333.333",
    ),
    ({"subset": [-1]}, r"products\[0\].subset\[0\]: found -1; accepted is at least 0"),
    ({"subset": [1.5]}, r"products\[0\].subset\[0\]: found 1.5; accepted is a whole number"),
    (
        {"train_size": [512], "subset": [0, 1, 2]},
        "subset 2 of train_size 512 is beyond the data; accepted are subsets below 2, as 2 sets of 512 fit into the",
    ),
    ({"network.own.width": [1]}, "with network.kind 'unet'"),
]


@pytest.mark.parametrize(("product", "expected"), BAD, ids=lambda value: str(value)[:60])
def test_a_bad_axis_is_answered_by_a_sentence(product: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        resolve(study(product))


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("pack", ["colour"], "pack: found 'colour'; accepted are axes: train_size"),
        ("pack", ["training.flp"], r"pack: found 'training.flp' \(did you mean 'training.flip'\?\)"),
        ("pack", ["training.precision"], "accepted are other axes, as it is set for a whole process"),
        ("only", {"training.flip": [True]}, "only.training.flip: no axis of the grid; accepted are train_size"),
        ("only", {"subset": [3]}, "only.subset: no axis of the grid"),
    ],
)
def test_a_bad_choice_or_pack_is_answered_by_a_sentence(key: str, value: Any, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        resolve({**study({"train_size": [16, 32]}), key: value})


def test_the_base_has_no_dotted_axis() -> None:
    config = study({"train_size": [16]})
    config["grid"]["base"]["training.flip"] = True
    with pytest.raises(UserError, match=r"grid.base.training.flip: unknown key"):
        resolve(config)


def test_an_axis_says_what_it_is() -> None:
    sweep = opened({"training.weight_decay": [0, 0.01], "subset": [0, 1]}, training={"optimizer": "adamw"})
    axes = {axis.name: axis for axis in sweep.grid_axes}
    assert list(axes) == [*AXES, "subset", "training.weight_decay"]
    decay = axes["training.weight_decay"]
    assert (decay.column, decay.type, decay.title, decay.base) == ("training_weight_decay", "number", "weight decay", 0)
    assert [axis.name for axis in sweep.grid_axes if axis.repeats] == ["seed", "subset"]
    assert Axis(**json.loads(json.dumps(decay.described()))) == decay
    assert sweep.axes == ["training_weight_decay"]


@given(st.one_of(st.text(min_size=1), st.floats(allow_nan=False), st.integers(), st.booleans()))
def test_a_value_in_a_path_has_no_character_that_globs_or_wildcards_know(value: Any) -> None:
    found = encoded(value)
    assert not set(found) & set("[]{}*?/:\\ '\"$&;|<>()!#\n")
    assert encoded(1) != encoded(True)


@given(st.integers(1, 50), st.integers(0, 5), st.integers(0, 60), st.integers(0, 20))
def test_control_sets_are_disjoint_from_their_training_sets(size: int, subset: int, more: int, held_out: int) -> None:
    chosen = TrainingSet(size, subset)
    available = chosen.stop + more
    control = chosen.control(available, held_out)
    assert len(control) == len(set(control)) == min(size, available - size + held_out)
    assert not set(control) & set(range(chosen.first, chosen.stop))
    if more:
        assert control[0] == chosen.stop


def test_training_sets_of_one_size_share_no_image_and_lie_in_those_twice_as_large() -> None:
    sets = [set(range(100)[TrainingSet(10, subset).rows]) for subset in range(10)]
    assert sum(map(len, sets)) == len(set().union(*sets)) == 100
    assert sets[0] | sets[1] == set(range(100)[TrainingSet(20, 0).rows])
