from __future__ import annotations

import copy
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.configs import DEFAULT, ROOT, changed
from memsweep.base.errors import UserError
from memsweep.study.config import KINDS, read_yaml, resolve, schema

FOLDER = {"name": "image_folder", "path": "nowhere", "size": 8, "mode": "grey"}


def product(**axes: list[Any]) -> dict[str, Any]:
    return {"base": DEFAULT["grid"]["base"], "products": [axes]}


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("study", "no/slash", "study: found 'no/slash'; accepted is a name of letters"),
        ("study", ..., "the study: missing 'study'"),
        ("kind", "swep", "kind: found 'swep'; accepted is one of sweep, mixed_cumulant, feature_learning"),
        ("colour", 1, "colour: unknown key; accepted keys are study, kind, dataset"),
        ("trainig", {}, "trainig: unknown key (did you mean 'training'?)"),
        ("training.ema_decy", 0.9, "training.ema_decy: unknown key (did you mean 'ema_decay'?)"),
        ("training.ema_decay", 1.5, "training.ema_decay: found 1.5; accepted is less than 1"),
        ("training.ema_decay", "0.9", "training.ema_decay: found '0.9'; accepted is a number"),
        ("training.budget", {}, "training.budget: found {}; accepted is exactly one of epochs, steps"),
        ("training.budget", {"steps": 1, "epochs": 1}, "accepted is exactly one of epochs, steps"),
        ("training.budget", {"steps": 0}, "training.budget.steps: found 0; accepted is at least 1"),
        ("training.device", "tpu", "training.device: found 'tpu'; accepted is one of auto, cpu, cuda"),
        ("dataset.name", "imagenet", "dataset.name: found 'imagenet'; accepted is one of digits"),
        ("dataset.path", "here", "dataset.path: found 'here'; accepted is no such key for digits"),
        ("dataset.test_path", "x", "dataset.test_path: found 'x'; accepted is no such key unless name is image_folder"),
        ("dataset.order", "random", "dataset.order: found 'random'; accepted is one of permuted, stored"),
        ("dataset.size", 0, "dataset.size: found 0; accepted is at least 1"),
        ("dataset.size", 7, "network.channel_multipliers: found 2 levels; accepted is at most 1, as 7x7 images"),
        ("dataset.mode", "RGB", "dataset.mode: found 'RGB'; accepted is one of grey, rgb"),
        ("dataset", {"name": "image_folder"}, "dataset: missing 'path', 'size', 'mode'"),
        ("dataset", {"name": "cifar10", "test_images": 10_001}, "accepted is at most 10000, as cifar10 has 10000 test"),
        ("dataset", {"name": "cifar10", "test_path": "x"}, "accepted is no such key unless name is image_folder"),
        ("dataset", {**FOLDER, "order": "stored"}, "dataset.order: found 'stored'; accepted is permuted, as image"),
        ("dataset", FOLDER, "dataset.path: found 'nowhere'; there is no such folder or zip file"),
        ("dataset.test_images", 1796, "dataset.test_images: found 1796; accepted is at most 1795"),
        ("figures.panels", ["kid"], "figures.panels: found kid; accepted is what is measured, and this needs"),
        ("figures.panels", ["sscd_score"], "figures.panels: found sscd_score; accepted is what is measured"),
        ("evaluation.surrogates", ["normal"], "evaluation.surrogates[0]: found 'normal'; accepted is one of gaussian"),
        ("evaluation.surrogates", "gaussian", "evaluation.surrogates: found 'gaussian'; accepted is a list"),
        (
            "dataset.size",
            66,
            "['gaussian', 'gaussian_mixture'] (the default) for images of 4356 values; accepted is []",
        ),
        ("onset.departure", 0, "onset.departure: found 0; accepted is greater than 0"),
        ("grid.products", [], "grid.products: found []; accepted is a list of at least 1 value(s)"),
        ("grid", product(train_size=[]), "grid.products[0].train_size: found []; accepted is a list of at least 1"),
        ("grid", product(train_size=[4000]), "train_size 4000 is larger than the data; accepted is at most 1297"),
        ("grid", product(batch_size=[64]), "batch_size 64 is larger than train_size 32"),
        (
            "grid",
            product(base_channels=[10]),
            "grid.products[0].base_channels[0]: found 10; accepted is a multiple of 4",
        ),
        (
            "grid",
            product(learning_rate=["fast"]),
            "grid.products[0].learning_rate[0]: found 'fast'; accepted is a number",
        ),
        ("grid", product(learning_rate=[-1]), "found -1; accepted is greater than 0"),
        ("grid", {"products": [{"train_size": [16]}]}, "grid.products[0]: no value for base_channels, batch_size"),
        ("network.channel_multipliers", [1, 2, 2, 2, 2], "found 5 levels; accepted is at most 4, as 8x8 images"),
        ("network.attention_levels", [2], "network.attention_levels: found [2]; accepted are levels 0 to 1"),
        ("formulation.name", "edm", "formulation.name: found 'edm'; accepted is one of rectified_flow, ddpm"),
        ("formulation.sampling_steps", 0, "formulation.sampling_steps: found 0; accepted is at least 1"),
        (
            "formulation",
            {"name": "ddpm", "sampling_steps": 1001},
            "formulation.sampling_steps: found 1001; accepted is at most 1000",
        ),
        ("formulation.label_dropout", 1.5, "formulation.label_dropout: found 1.5; accepted is at most 1"),
        ("formulation.guidance", -1, "formulation.guidance: found -1; accepted is at least 0"),
        (
            "formulation.guidance",
            2,
            "formulation.guidance: found 2 with formulation.label_dropout 0; accepted is 0, or a label_dropout "
            "between 0 and 1: guidance needs a network trained with and without labels, and this one never is "
            "trained without them",
        ),
        ("formulation", {"guidance": 2, "label_dropout": 1}, "this one never is trained with them"),
        ("evaluation.first", 10_000, "evaluation.first: found 10000; accepted is at most the budget"),
        ("figures.distance", "sscd", "figures.distance: found 'sscd'; accepted is one of metrics.spaces, pixels"),
        ("training.budget", {"epochs": 1}, "evaluation.first: found 2; accepted is at most the budget, 1 epochs"),
        ("evaluation", {}, "evaluation.first: found 1000 (the default); accepted is at most the budget, 600 epochs"),
        ("evaluation.sample_every", 1000, "evaluation.sample_every: found 1000; accepted is less: no evaluation"),
        ("training.stop_memorised", 0.05, "found 0.05; accepted is 0, or more than onset.f_mem, which is 0.1"),
        ("onset.rate_from", 0.5, "found 0.5; accepted are shares below onset.rate_to, 0.5"),
        ("training.optimizer", "lion", "training.optimizer: found 'lion'; accepted is one of adam, adamw, sgd"),
        ("training.weight_decay", -0.1, "training.weight_decay: found -0.1; accepted is at least 0"),
        (
            "training.weight_decay",
            0.1,
            "training.weight_decay: found 0.1 with training.optimizer adam; accepted is 0, or a training.optimizer of "
            "adamw or sgd",
        ),
        (
            "training",
            {**DEFAULT["training"], "optimizer": "adamw", "weight_decay": 200},
            "training.weight_decay: found 200; accepted is less than 166.667, as a step at the learning rate 0.006",
        ),
        ("training.momentum", 1, "training.momentum: found 1; accepted is less than 1"),
        ("training.momentum", 0.9, "found 0.9 with training.optimizer adam; accepted is 0, or a training.optimizer of"),
        ("training.warmup_steps", 2.5, "training.warmup_steps: found 2.5; accepted is a whole number"),
        ("training.warmup_steps", 10**6, "training.warmup_steps: found 1000000; accepted is less than"),
        ("training.schedule", "linear", "training.schedule: found 'linear'; accepted is one of constant, cosine"),
        ("training.schedule_floor", 1, "training.schedule_floor: found 1; accepted is less than 1"),
        ("training.schedule_floor", 0.1, "found 0.1 with training.schedule constant; accepted is 0, or a training.sch"),
        ("training.flip", 0.5, "training.flip: found 0.5; accepted is true or false"),
        ("training.time_sampling", "normal", "found 'normal'; accepted is one of uniform, logit_normal"),
        ("training.time_location", 11, "training.time_location: found 11; accepted is at most 10"),
        ("training.time_location", 1, "found 1 with training.time_sampling uniform; accepted is 0, or a training.time"),
        ("training.time_scale", 0, "training.time_scale: found 0; accepted is at least 0.001"),
        ("training.time_scale", 2, "found 2 with training.time_sampling uniform; accepted is 1, or a training.time_sa"),
        ("training.deterministic", "yes please", "training.deterministic: found 'yes please'; accepted is true or"),
        ("network.channel_multipliers", [1] * 5, "found 5 levels; accepted is at most 4, as 8x8 images are halved"),
        (
            "network",
            {"kind": "dti"},
            "network.kind: found 'dti'; accepted is one of unet, dit, mlp, a file and its class such as ./my_net.py",
        ),
        ("network", {"kind": 3}, "network.kind: found 3; accepted is text"),
        ("network", {"kind": ""}, "network.kind: found ''; accepted is a text of at least 1 character(s)"),
        (
            "network",
            {"kind": "nowhere.py:Net"},
            "found 'nowhere.py:Net'; accepted is a file that is there, and nowhere",
        ),
        ("network", {"kind": "net.py:a-b"}, "accepted is a file, a colon and the name of a class: ./my_net.py:MyNet"),
        ("network", {"kind": "{x}.py:Net"}, "accepted is a path without braces and what cannot be printed"),
        (
            "network",
            {"kind": "x" * 300 + ".py:Net"},
            "accepted is a path that can be opened, and here File name too long",
        ),
        ("network", {"kind": "mlp", "dit": {}}, "network.dit: found {} with network.kind 'mlp'; accepted are the keys"),
        ("network", {"kind": "dit", "blocks": 2}, "network.blocks: found 2 with network.kind 'dit'; accepted are the"),
        ("network", {"mlp": {"width": 2}}, "network.mlp: found {'width': 2} with network.kind 'unet'; accepted are"),
        (
            "network",
            {"own": {"depth": 2}},
            "network.own: found {'depth': 2} with network.kind 'unet'; accepted are the",
        ),
        (
            "network",
            {"kind": "dit", "dit": {"patch": 3}},
            "network.dit.patch: found 3; accepted is a number that divides",
        ),
        ("network", {"kind": "dit", "dit": {"patch": 0}}, "network.dit.patch: found 0; accepted is at least 1"),
        (
            "network",
            {"kind": "dit", "dit": {"heads": 5}},
            "network.dit.heads: found 5; accepted is a number that divides the 64 channels of a token, which are "
            "network.dit.width (8) times base_channels (8)",
        ),
        ("network", {"kind": "dit", "dit": {"width": 0}}, "network.dit.width: found 0; accepted is at least 1"),
        ("network", {"kind": "dit", "dit": {"depth": 1.5}}, "network.dit.depth: found 1.5; accepted is a whole number"),
        ("network", {"kind": "dit", "dit": {"mlp_ratio": 0}}, "network.dit.mlp_ratio: found 0; accepted is at least 1"),
        ("network", {"kind": "dit", "dit": {"dropout": 1}}, "network.dit.dropout: found 1; accepted is less than 1"),
        ("network", {"kind": "dit", "dit": {"head": 2}}, "network.dit.head: unknown key (did you mean 'heads'?)"),
        ("network", {"kind": "mlp", "mlp": {"width": "x"}}, "network.mlp.width: found 'x'; accepted is a whole number"),
        ("network", {"kind": "mlp", "mlp": {"blocks": 0}}, "network.mlp.blocks: found 0; accepted is at least 1"),
        ("network", {"kind": "mlp", "mlp": {"embedding": 0}}, "network.mlp.embedding: found 0; accepted is at least 1"),
        ("network", {"kind": "mlp", "mlp": {"dropout": -1}}, "network.mlp.dropout: found -1; accepted is at least 0"),
        ("network.own", 3, "network.own: found 3; accepted is a mapping of keys to values"),
        ("metrics.distances", ["frechet"], "metrics.distances: found ['frechet']; accepted is a list with sliced"),
        ("pack", ["seed", "seed"], "pack: found ['seed', 'seed']; accepted is a list without repeated values"),
        ("grid", 3, "grid: found 3; accepted is a mapping of keys to values"),
    ],
)
def test_a_bad_value_is_answered_by_a_sentence(path: str, value: Any, expected: str) -> None:
    with pytest.raises(UserError) as error:
        resolve(changed(path, value))
    assert expected in str(error.value)
    assert len(str(error.value).splitlines()) == 1


FEATURES = yaml.safe_load((ROOT / "config" / "feature_learning.yaml").read_text())


@pytest.mark.parametrize("name", ["feature_learning", "noisy_mnist"])
def test_the_studies_of_feature_learning_are_accepted(name: str) -> None:
    path = ROOT / "config" / f"{name}.yaml"
    assert resolve(yaml.safe_load(path.read_text()), [path])["planted"]["network"]["blocks"] == 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"two_patch": {"times": [0]}}, "two_patch.times[0]: found 0; accepted is greater than 0"),
        ({"two_patch": {"tmes": [1]}}, "two_patch.tmes: unknown key (did you mean 'times'?)"),
        ({"two_patch": {"phase": {"train_sizes": [10, 10]}}}, "accepted is a list without repeated values"),
        ({"noisy_digits": {"classes": [0, 10]}}, "noisy_digits.classes: found [0, 10]; accepted are labels 0 to 9"),
        (
            {"noisy_digits": {"classes": [0, 1, 2]}},
            "found [0, 1, 2]; accepted is a list of at most 2",
        ),
        (
            {"planted": {"train_sizes": [1001]}},
            "train_sizes: 1001 is larger than the data; accepted is at most 1000",
        ),
        (
            {"planted": {"train_sizes": [16]}},
            "planted.batch_size: found 32 (the default) with a training size of 16; accepted is",
        ),
        (
            {"noisy_digits": {"images": 183}},
            "noisy_digits.images: found 183; accepted is at most 178, as one of the classes has no more",
        ),
        ({"planted": {"agreements": [0.2]}}, "planted.agreements[0]: found 0.2; accepted is at least 0.5"),
        (
            {"planted": {"formulation": "edm"}},
            "formulation: found 'edm'; accepted is one of rectified_flow, ddpm",
        ),
        (
            {"planted": {"network": {"channel_multipliers": [1, 2, 4, 8]}}},
            "planted.network.channel_multipliers: found 4 levels; accepted is at most 3, as 12x12 framed images",
        ),
        (
            {"planted": {"network": {"attention_levels": [2]}}},
            "accepted are levels 0 to 1, as channel_multipliers has 2",
        ),
        ({"dataset": {"name": "digits", "test_images": 39}}, "dataset.test_images: found 39; accepted is at least 40"),
        ({"grid": {}}, "grid: unknown key; accepted keys are study, kind, dataset, two_patch"),
    ],
)
def test_a_bad_study_of_feature_learning_is_answered_by_a_sentence(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError) as error:
        resolve({**FEATURES, **changes})
    assert expected in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_named(value: float) -> None:
    with pytest.raises(UserError, match=rf"training.budget.epochs: found {value}; accepted is a finite number"):
        resolve(changed("training.budget", {"epochs": value}))
    with pytest.raises(UserError, match=r"grid.products\[0\].learning_rate\[0\]: found"):
        resolve(changed("grid", product(learning_rate=[value])))


def test_one_number_has_one_spelling() -> None:
    whole, point = (resolve(changed("training.budget", {"epochs": epochs})) for epochs in (600, 600.0))
    assert repr(whole) == repr(point)
    assert repr(resolve(changed("evaluation.samples", 50))) == repr(resolve(changed("evaluation.samples", 50.0)))


def test_all_problems_are_said_at_once() -> None:
    config = changed("training.device", "tpu")
    config["study"] = 3
    with pytest.raises(UserError) as error:
        resolve(config)
    assert len(str(error.value).splitlines()) == 2


def test_a_number_may_be_written_with_an_exponent() -> None:
    written = yaml.safe_load("[1e-4, 1.0e-4, 0.0001]")
    config = resolve(changed("grid", product(learning_rate=written)))
    assert config["grid"]["products"][0]["learning_rate"] == [1e-4] * 3


def test_defaults_come_from_the_schema() -> None:
    config = resolve(DEFAULT)
    assert config["confidence"] == schema()["properties"]["confidence"]["default"]
    assert config["network"]["head_channels"] == 64
    assert config["network"]["blocks"] == 1


@pytest.mark.parametrize(
    "formulation",
    [
        {"name": "rectified_flow", "sampling_steps": 2000},
        {"name": "ddpm", "sampling_steps": 1000},
        {"name": "ddpm"},
        {"label_dropout": 1},
        {"name": "ddpm", "label_dropout": 0.1, "guidance": 3},
    ],
)
def test_every_formulation_is_accepted(formulation: dict[str, Any]) -> None:
    resolved = resolve(changed("formulation", formulation))["formulation"]
    assert resolved == {
        "name": "rectified_flow",
        "sampling_steps": 250,
        "label_dropout": 0,
        "guidance": 0,
        **formulation,
    }


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "adamw", "weight_decay": 0.1},
        {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 1e-4},
        {"optimizer": "adamw"},
        {"warmup_steps": 100, "schedule": "cosine", "schedule_floor": 0.01, "flip": True},
        {"time_sampling": "logit_normal", "time_location": -1.2, "time_scale": 0.6},
    ],
)
def test_options_of_training_are_accepted(options: dict[str, Any]) -> None:
    training = resolve(changed("training", {**DEFAULT["training"], **options}))["training"]
    assert training == resolve(DEFAULT)["training"] | options


@pytest.mark.parametrize(("warmup", "accepted"), [(1124, True), (1125, False)])
def test_warm_up_ends_before_the_shortest_run(warmup: int, accepted: bool) -> None:
    """In epochs that is the run with the fewest images, in the largest batches."""
    study = changed("training.warmup_steps", warmup)
    base = {"base_channels": 8, "learning_rate": 1e-3, "seed": 0}
    study["grid"] = {"base": base, "products": [{"train_size": [64], "batch_size": [8]}]}
    study["grid"]["products"].append({"train_size": [32, 64], "batch_size": [4, 16]})
    if accepted:
        resolve(study)
    else:
        with pytest.raises(UserError, match="accepted is less than 1125, the steps of the shortest run of the grid"):
            resolve(study)


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_is_described_in_the_schema_and_explained_in_the_readme(kind: str) -> None:
    readme = (ROOT / "config" / "README.md").read_text()

    def check(properties: dict[str, Any]) -> None:
        for key, value in properties.items():
            # One with a dot is a key of another section, as an axis
            assert "." in key or f"`{key}`" in readme, f"config/README.md does not explain {key}"
            check(value.get("properties", {}))
            check(value.get("items", {}).get("properties", {}))

    check(schema(kind)["properties"])


MIXED_CUMULANT = yaml.safe_load((ROOT / "config" / "mixed_cumulant.yaml").read_text())


@pytest.mark.parametrize(
    ("section", "number", "changes", "expected"),
    [
        ("experiments", 1, {"beta_u": -1}, "experiments[1].beta_u: found -1; accepted is at least 0"),
        ("experiments", 0, {"beta_u": 0, "beta_v": 0}, "experiments[0]: found beta_u 0 and beta_v 0; accepted is at"),
        ("experiments", 0, {"correlation": 1.5}, "experiments[0].correlation: found 1.5; accepted is at most 1"),
        (
            "experiments",
            0,
            {"activation": "gelu"},
            "experiments[0].activation: found 'gelu'; accepted is one of identity",
        ),
        ("experiments", 0, {"noise_levels": [1]}, "experiments[0].noise_levels[0]: found 1; accepted is less than 1"),
        ("experiments", 0, {"noise_levels": []}, "noise_levels: found []; accepted is a list of at least 1 value(s)"),
        ("experiments", 0, {"dimensions": [3]}, "experiments[0].dimensions[0]: found 3; accepted is at least 4"),
        ("experiments", 0, {"dimensions": [8, 8]}, "found [8, 8]; accepted is a list without repeated values"),
        ("experiments", 0, {"step": 1}, "experiments[0].step: unknown key (did you mean 'step_size'?)"),
        ("experiments", 1, {"name": "independent"}, "experiments: found the name 'independent' twice; accepted is a"),
        ("experiments", 0, {"name": "a/b"}, "experiments[0].name: found 'a/b'; accepted is a name of letters, digits"),
        ("networks", 0, {"noise_level": 0}, "networks[0].noise_level: found 0; accepted is greater than 0"),
        ("networks", 0, {"test_patterns": 100}, "networks[0].test_patterns: found 100; accepted is a multiple of 64"),
        ("networks", 1, {"steps": "many"}, "networks[1].steps: found 'many'; accepted is a whole number"),
    ],
)
def test_a_bad_value_of_the_mixed_cumulant_model_is_answered_by_a_sentence(
    section: str, number: int, changes: dict[str, Any], expected: str
) -> None:
    config = copy.deepcopy(MIXED_CUMULANT)
    config[section][number].update(changes)
    with pytest.raises(UserError) as error:
        resolve(config)
    assert expected in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_study_of_the_mixed_cumulant_model_is_complete_with_its_defaults() -> None:
    config = resolve(MIXED_CUMULANT)
    assert config["experiments"][0]["activation"] == "sine"
    assert config["networks"][0]["test_patterns"] == 8192
    assert config["recovery"]["hold"] == 0.5
    missing = {key: value for key, value in MIXED_CUMULANT.items() if key != "experiments"}
    with pytest.raises(UserError, match="the study: missing 'experiments'"):
        resolve(missing)


def write(path: Path, config: Any) -> Path:
    path.write_text(yaml.safe_dump(config))
    return path


CHOICES = [
    ("only", {"train_size": [300]}, "only.train_size: found 300; accepted are values of the grid, 16, 32, 64, 128"),
    ("exclude", {"learning_rate": [0.1]}, "exclude.learning_rate: found 0.1; accepted are values of the grid, 0.0015"),
    ("only", {"train_sizes": [32]}, "only.train_sizes: unknown key (did you mean 'train_size'?)"),
    ("only", {"train_size": 32}, "only.train_size: found 32; accepted is a list"),
    ("only", {"train_size": [16], "batch_size": [8]}, "only, exclude: no run of the grid is left"),
    ("exclude", {}, "only, exclude: no run of the grid is left"),
    ("substudy", "large", "substudy: found 'large'; accepted is a name listed under substudies, and there is none"),
    ("substudies", {"a b": {}}, "substudies: found 'a b'; accepted is a name of letters, digits, '-' and '_'"),
    ("substudies", {"a": {"just": {}}}, "substudies.a.just: unknown key; accepted keys are only, exclude"),
    ("substudies", {"a": {"only": {"seed": [7]}}}, "substudies.a.only.seed: found 7; accepted are values of the grid"),
    ("substudies", {"a": {"exclude": {}}}, "substudies.a: no run of the grid is left"),
]


@pytest.mark.parametrize(("key", "value", "expected"), CHOICES)
def test_a_choice_that_cannot_be_made_is_answered_by_a_sentence(key: str, value: Any, expected: str) -> None:
    with pytest.raises(UserError) as error:
        resolve(changed(key, value))
    assert expected in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_the_values_of_a_substudy_are_numbers_as_they_were_written() -> None:
    chosen = {"only": {"learning_rate": [0.0015, "3e-3"], "train_size": [32.0]}}
    config = resolve(changed("substudies", {"slow": chosen}))
    assert repr(config["substudies"]["slow"]) == repr({"only": {"learning_rate": [0.0015, 0.003], "train_size": [32]}})


def test_a_choice_on_the_command_line_is_text() -> None:
    config = resolve(changed("only", {"train_size": ["32"], "learning_rate": ["1.5e-3", ".003"]}))
    assert config["only"] == {"train_size": [32], "learning_rate": [0.0015, 0.003]}


def test_figures_show_by_default_what_is_measured() -> None:
    metrics = {"spaces": ["pixels"], "distances": ["sliced_wasserstein", "kid"]}
    figures = resolve(changed("metrics", metrics))["figures"]
    assert figures["panels"] == ["loss", "f_mem", "sliced_wasserstein"]
    assert figures["distance"] == "pixels"


@pytest.mark.parametrize("content", ["", "[]", "digits"])
def test_a_file_that_holds_no_study_is_named(content: str, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match=rf"{path}: found .*; accepted is a study, a mapping of keys to values"):
        resolve(yaml.safe_load(content), [path])


def test_two_studies_of_one_folder_need_two_names(tmp_path: Path) -> None:
    first = write(tmp_path / "first.yaml", DEFAULT)
    second = write(tmp_path / "second.yaml", DEFAULT)
    with pytest.raises(UserError, match=rf"study: the name 'digits' of {first} is also the name of {second}"):
        resolve(DEFAULT, [first])
    third = write(tmp_path / "third.yaml", DEFAULT)
    with pytest.raises(UserError, match=rf"is also the name of {second}, {third}; accepted is a name of its own"):
        resolve(DEFAULT, [first])
    third.unlink()
    write(second, {**DEFAULT, "study": "other"})
    assert resolve(DEFAULT, [first])["study"] == "digits"


def test_a_key_written_twice_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("study: a\ngrid: {}\nstudy: b\n")
    with pytest.raises(UserError, match="key 'study' is written twice, line 3"):
        resolve(DEFAULT, [path])


@pytest.mark.parametrize("name", ["cifar10", "mnist", "fashion_mnist"])
def test_a_dataset_of_torchvision_needs_its_name_only(name: str) -> None:
    config = resolve(changed("dataset", {"name": name}))
    assert config["dataset"]["path"] == "resources"
    assert "path" not in resolve(DEFAULT)["dataset"]
    with pytest.raises(UserError, match=r"train_size 70000 is larger than the data; accepted is at most [56]0000 "):
        resolve({**changed("dataset", {"name": name}), "grid": product(train_size=[70_000])})


def test_a_training_set_larger_than_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for number in range(40):
        (tmp_path / "a" / f"{number}.png").touch()
    config = changed("dataset", {**FOLDER, "path": str(tmp_path), "test_images": 8})
    config["grid"] = product(train_size=[32])
    assert resolve(config)["dataset"]["order"] == "permuted"
    config["grid"] = product(train_size=[33])
    with pytest.raises(UserError, match=r"train_size 33 is larger .* at most 32 \(40 images less 8 for testing\)"):
        resolve(config)
    config["dataset"]["test_path"] = str(tmp_path)
    assert resolve(config)


def test_an_empty_class_folder_is_answered_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").touch()
    (tmp_path / "b").mkdir()
    with pytest.raises(UserError, match=r"config error: dataset\.path: found .* class folder b holds no images"):
        resolve(changed("dataset", {**FOLDER, "path": str(tmp_path)}))


def test_checking_a_config_loads_nothing_but_yaml_and_jsonschema() -> None:
    """The Snakefile does so for every job on a cluster."""

    def loaded(code: str) -> set[str]:
        code = f"import jsonschema, sys, yaml; {code}; print(*{{name.partition('.')[0] for name in sys.modules}})"
        return set(subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT).split())

    resolving = "import memsweep.study.config as c, pathlib; c.resolve(c.read_yaml(pathlib.Path('config/config.yaml')))"
    assert loaded(resolving) - loaded("pass") - sys.stdlib_module_names == {"memsweep"}


def test_of_a_part_that_stands_in_two_places_each_is_filled_in_on_its_own() -> None:
    shared = yaml.safe_load("{evaluation: &part {per_decade: 3}, recovery: *part}")
    with pytest.raises(UserError, match=r"recovery\.per_decade: unknown key") as error:
        resolve({**MIXED_CUMULANT, **shared})
    assert len(str(error.value).splitlines()) == 1
    same = yaml.safe_load("[&part {only: {seed: [0]}}, *part]")
    config = changed("substudies", {"a": same[0], "b": same[1]})
    before = copy.deepcopy(config)
    resolve(config)
    assert config == before


def test_a_text_that_looks_like_a_number_is_one_where_a_number_is_wanted() -> None:
    config = resolve({**changed("study", "12e5"), "confidence": "9e-1"})
    assert (config["study"], config["confidence"]) == ("12e5", 0.9)
    with pytest.raises(UserError, match=r"dataset.name: found '1e3'; accepted is one of"):
        resolve(changed("dataset.name", "1e3"))


@pytest.mark.parametrize("path", ["colour", "grid", "training.ema_decay", "grid.products", "only", "pack", "kind"])
def test_what_writes_out_to_more_than_can_be_looked_at_is_refused(path: str) -> None:
    folded: Any = [0] * 9
    for _ in range(8):
        folded = [folded] * 9
    deep: Any = {}
    for _ in range(1500):
        deep = {"a": deep}
    with pytest.raises(UserError, match="the study: found more than 100000 values; accepted is a smaller study"):
        resolve(changed(path, folded))
    with pytest.raises(UserError, match="the study: found more than 10 levels of keys and lists; accepted are at most"):
        resolve(changed(path, deep))


def numbers(rules: dict[str, Any], path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Every number that a schema accepts, with its place; the first place of a list."""
    if rules.get("type") in ("integer", "number"):
        yield path, rules
    for key, value in rules.get("properties", {}).items():
        yield from numbers(value, (*path, key))
    if "items" in rules:
        yield from numbers(rules["items"], (*path, 0))


STUDIES = {"sweep": DEFAULT, "mixed_cumulant": MIXED_CUMULANT, "feature_learning": FEATURES}
NUMBERS = [(kind, path) for kind in KINDS for path, _ in numbers(schema(kind))]


@pytest.mark.parametrize(("kind", "path"), NUMBERS, ids=lambda value: str(value))
def test_every_number_has_bounds(kind: str, path: tuple[Any, ...]) -> None:
    rules = dict(numbers(schema(kind)))[path]
    assert rules.keys() & {"minimum", "exclusiveMinimum"}
    assert rules.keys() & {"maximum", "exclusiveMaximum"}
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)[1:]
    for value in (1e300, -1e300, 10**400):
        config = copy.deepcopy(STUDIES[kind])
        part = config
        for name, following in itertools.pairwise(path):
            if isinstance(name, str):
                part.setdefault(name, {})
            if following == 0 and not (isinstance(part[name], list) and part[name]):
                part[name] = [value]
            part = part[name]
        part[path[-1]] = value
        with pytest.raises(UserError, match=rf"{re.escape(key)}: found .*; accepted is (at|less|greater|a finite)"):
            resolve(config)


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("study", "tiny\n", "study: found 'tiny\\n'; accepted is a name of letters"),
        ("study", "a" * 101, "accepted is a text of at most 100 characters"),
        ("substudies", {"a" * 101: {}}, "accepted is a text of at most 100 characters"),
        ("substudies", {1: {}}, "substudies: found 1; accepted is text"),
        ("dataset.path", "", "dataset.path: found ''; accepted is a text of at least 1 character(s)"),
        ("grid", product(seed=[2**63]), "found 9223372036854775808; accepted is at most 9223372036854775807"),
        (
            "grid",
            product(seed=list(range(2000)), train_size=[32] * 1000),
            "grid.products: found 2000000 runs; accepted are at most 1000000 in one study, which the key runs_at_most",
        ),
    ],
)
def test_what_could_only_fail_later_is_refused(path: str, value: Any, expected: str) -> None:
    config = changed(path, value)
    if path == "dataset.path":
        config["dataset"] = {**FOLDER, "path": value}
    with pytest.raises(UserError) as error:
        resolve(config)
    assert expected in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_what_the_command_line_hands_over_as_text_is_read_where_a_value_is_wanted(tmp_path: Path) -> None:
    path = write(tmp_path / "study.yaml", changed("training.keep_states", False))
    typed = changed("training", {"budget": {"steps": "640"}, "deterministic": "true", "ema_decay": ".99"})
    typed["substudies"] = {"640": {"only": {"train_size": ["32"], "learning_rate": ["1.5e-3"]}}}
    typed["substudy"] = "640"
    config = resolve(typed, [path])
    assert config["training"]["budget"] == {"steps": 640}
    assert config["training"]["deterministic"] is True
    assert config["training"]["ema_decay"] == 0.99
    assert config["substudies"] == {"640": {"only": {"train_size": [32], "learning_rate": [0.0015]}}}
    assert (config["study"], config["substudy"], type(config["substudy"])) == ("digits", "640", str)
    with pytest.raises(UserError, match=r"training.budget.steps: found inf; accepted is a whole number"):
        resolve(changed("training.budget", {"steps": "9" * 5000}), [path])
    for value in ("x64", "6 4", "0x10", "1_000", "nan"):
        with pytest.raises(UserError, match=rf"training.budget.steps: found '{value}'; accepted is a whole number"):
            resolve(changed("training.budget", {"steps": value}), [path])


def test_what_a_file_writes_as_text_is_text(tmp_path: Path) -> None:
    path = write(tmp_path / "study.yaml", changed("training.ema_decay", "0.9"))
    with pytest.raises(UserError, match=r"training.ema_decay: found '0.9'; accepted is a number"):
        resolve(changed("training.ema_decay", "0.9"), [path])


def test_what_else_lies_in_the_folder_of_a_study_is_no_problem_of_it(tmp_path: Path) -> None:
    path = write(tmp_path / "study.yaml", DEFAULT)
    (tmp_path / ".#study.yaml").symlink_to("someone@machine.123:456")
    (tmp_path / "broken.yaml").symlink_to("nowhere.yaml")
    (tmp_path / "date.yaml").write_text("study: 2026-02-30\n")
    (tmp_path / "deep.yaml").write_text("[" * 5000)
    (tmp_path / "latin.yaml").write_bytes(b"study: caf\xe9\n")
    (tmp_path / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    assert resolve(DEFAULT, [path])["study"] == "digits"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"study: 2026-02-30\n", "not YAML: day is out of range for month"),
        (b"[" * 5000, "(not YAML: .*maximum nesting depth|keys and lists within one another are too many to be read)"),
        (b"study: caf\xe9\n", "not YAML: 'utf-8' codec can't decode"),
    ],
)
def test_a_file_that_is_no_yaml_is_named(content: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"{path}: {expected}"):
        read_yaml(path)


def one_class(folder: Path, **changes: Any) -> dict[str, Any]:
    """The embedded study on 400 images of one class."""
    (folder / "images" / "flowers").mkdir(parents=True, exist_ok=True)
    for number in range(400):
        (folder / "images" / "flowers" / f"{number}.png").touch()
    dataset = {"name": "image_folder", "path": str(folder / "images"), "size": 8, "mode": "grey", "test_images": 72}
    config = {key: value for key, value in DEFAULT.items() if key not in ("metrics", "figures")}
    return {**config, "dataset": dataset, **changes}


def test_images_of_one_class_are_compared_by_their_pixels(tmp_path: Path) -> None:
    config = resolve(one_class(tmp_path))
    assert config["metrics"]["spaces"] == ["pixels"]
    assert config["figures"]["distance"] == "pixels"
    chosen = resolve(one_class(tmp_path, metrics={"spaces": ["pixels", "inception"]}))
    assert chosen["metrics"]["spaces"] == ["pixels", "inception"]
    with pytest.raises(UserError) as error:
        resolve(one_class(tmp_path, metrics={"spaces": ["pixels", "classifier"]}))
    assert str(error.value) == (
        "config error: metrics.spaces: found ['pixels', 'classifier'] for images of one class, which leave a "
        "classifier nothing to tell apart; accepted are pixels, inception, sscd and dinov2"
    )
    (tmp_path / "images" / "trees").mkdir()
    (tmp_path / "images" / "trees" / "1.png").touch()
    assert resolve(one_class(tmp_path))["metrics"]["spaces"] == ["pixels", "classifier"]


@pytest.mark.parametrize(
    ("path", "objection"),
    [
        ("a\0b", "embedded null byte"),
        ("\ud800", "surrogates not allowed"),
        ("~nobody-of-this-name/pictures", "there is no such user"),
        ("x" * 5000, "File name too long"),
    ],
)
def test_what_can_be_no_path_is_named(path: str, objection: str) -> None:
    weights = changed("metrics.weights", {"sscd": path})
    for key, config in (
        ("dataset.path", changed("dataset", {**FOLDER, "path": path})),
        ("dataset.path", changed("dataset", {"name": "cifar10", "path": path})),
        ("dataset.test_path", changed("dataset", {**FOLDER, "path": str(ROOT), "test_path": path})),
        ("metrics.weights.sscd", weights),
        ("dataset.path", {**FEATURES, "dataset": {**FOLDER, "path": path}}),
    ):
        with pytest.raises(UserError, match=rf"{key}: found .*; accepted is a path that can be opened.*{objection}"):
            resolve(config)


@pytest.mark.parametrize("text", ["020", "-017", "0_7", "12:30:45", "1:30", "190:20:30.15"])
def test_a_number_to_another_base_than_ten_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(f"study: tiny\nconfidence: [{text}]\n")
    with pytest.raises(UserError, match=rf"{path}: found {re.escape(text)}, line 2, which YAML reads as a number to"):
        read_yaml(path)
    # Snakemake reads the file, too
    with pytest.raises(UserError, match="which YAML reads as a number to the base"):
        resolve({"study": "tiny", "confidence": [16]}, [path])


def test_other_spellings_of_numbers_and_texts_are_read_as_ever(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("[0, 0.5, -0.25, 1_000, 0x10, 1e3, '020', '12:30', 00a, a:b, 0.0, 08]")
    assert read_yaml(path) == [0, 0.5, -0.25, 1000, 16, "1e3", "020", "12:30", "00a", "a:b", 0.0, "08"]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(UserError, match=r"pipe\.yaml: not a file"):
        read_yaml(tmp_path / "pipe.yaml")


def test_a_file_larger_than_any_study_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("[" + "7," * 200_000 + "]")
    with pytest.raises(UserError, match=r"study\.yaml: found 400002 bytes; accepted is a study of at most 200000"):
        read_yaml(path)


def test_how_many_runs_a_grid_may_have_is_a_key() -> None:
    config = changed("grid", product(seed=list(range(50))))
    assert resolve({**config, "runs_at_most": 50})["runs_at_most"] == 50
    with pytest.raises(UserError, match="found 50 runs; accepted are at most 49 in one study"):
        resolve({**config, "runs_at_most": 49})


def test_of_many_problems_the_first_are_told() -> None:
    with pytest.raises(UserError) as error:
        resolve(changed("grid", product(batch_size=list(range(33, 133)))))
    lines = str(error.value).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "config error: 80 more problems"
    with pytest.raises(UserError) as error:
        resolve(changed("only", {"seed": list(range(100, 200))}))
    assert "found 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111 and 88 more;" in str(error.value)


NUMBERS_OF_AN_AXIS = list(range(1000))
LARGEST = {
    "runs": changed("grid", product(seed=NUMBERS_OF_AN_AXIS, learning_rate=[1e-6 * (n + 1) for n in range(1000)])),
    "substudies": {
        **changed("grid", product(seed=NUMBERS_OF_AN_AXIS, learning_rate=[1e-6 * (n + 1) for n in range(1000)])),
        "exclude": {"seed": NUMBERS_OF_AN_AXIS[1:], "learning_rate": [1e-6]},
        "substudies": {f"s{n}": {"only": {"seed": [n]}, "exclude": {"seed": [n + 1]}} for n in range(900)},
    },
    "values": changed("grid", product(seed=list(range(90_000)))),
    "products": changed("grid", {**DEFAULT["grid"], "products": [{"seed": [n]} for n in range(30_000)]}),
    "choice": {**changed("grid", product(seed=list(range(40_000)))), "only": {"seed": list(range(39_999, 0, -1))}},
    "wrong": changed("grid", product(seed=[-1] * 90_000)),
    "evaluations": {
        **changed("evaluation", {"first": 0.000001, "per_decade": 1000}),
        "training": {"budget": {"epochs": 1e9}},
        "grid": product(train_size=list(range(64, 1064)), batch_size=list(range(1, 65))),
    },
}

CHECKED = """
import json, re, sys, time
from pathlib import Path
from memsweep.base.errors import UserError
from memsweep.study.config import resolve
config = json.load(sys.stdin)
started = time.process_time()
try:
    resolve(config)
except UserError as error:
    print(error)
most = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]
print(time.process_time() - started, int(most) / 1024)
"""


@pytest.mark.parametrize("name", LARGEST)
def test_the_largest_studies_are_checked_in_seconds(name: str) -> None:
    checked = subprocess.run(
        [sys.executable, "-c", CHECKED], input=json.dumps(LARGEST[name]), capture_output=True, text=True, check=True
    )
    seconds, megabytes = map(float, checked.stdout.split()[-2:])
    assert (len(checked.stdout.splitlines()) > 1) == (name == "wrong")
    assert seconds < 5
    assert megabytes < 500
