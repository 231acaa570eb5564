from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
import yaml
from helpers.configs import ROOT
from hypothesis import given
from hypothesis import strategies as st
from memsweep.study.axes import AXES
from memsweep.study.config import resolve
from memsweep.study.config.rules.choices import _leaves_a_run
from memsweep.study.grid import chosen, expand, packs, products, runs
from memsweep.study.identity import (
    evaluation_parameters,
    formulation_parameters,
    training_parameters,
    trajectory_parameters,
)
from memsweep.study.sweep import Sweep

BASE = {"train_size": 32, "base_channels": 16, "batch_size": 16, "learning_rate": 0.003, "seed": 0}

values = {
    "train_size": st.lists(st.integers(16, 64), min_size=1, max_size=3),
    "base_channels": st.lists(st.sampled_from([4, 8, 12]), min_size=1, max_size=2),
    "batch_size": st.lists(st.integers(1, 16), min_size=1, max_size=3),
    "learning_rate": st.lists(st.sampled_from([0.1, 1e-3, 1e-5]), min_size=1, max_size=3),
    "seed": st.lists(st.integers(0, 3), min_size=1, max_size=3),
}
product_lists = st.lists(st.fixed_dictionaries({}, optional=values), min_size=1, max_size=4)


def default_study() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    return loaded


@given(product_lists)
def test_a_grid_is_the_union_of_its_products(written: list[dict[str, list[Any]]]) -> None:
    expected = set()
    for product in written:
        expected |= set(itertools.product(*(product.get(axis, [BASE[axis]]) for axis in AXES)))
    points = [tuple(point[axis] for axis in AXES) for point in expand({"grid": {"base": BASE, "products": written}})]
    assert len(points) == len(set(points))
    assert set(points) == expected


@given(product_lists, st.sets(st.sampled_from(AXES)))
def test_packs_partition_the_runs_by_the_axes_not_packed(written: list[dict[str, Any]], packed: set[str]) -> None:
    config = resolve({**default_study(), "grid": {"base": BASE, "products": written}})
    all_runs = runs(config)
    grouped = packs(all_runs, [axis for axis in AXES if axis not in packed])
    assert sorted(run.run_id for pack in grouped.values() for run in pack) == sorted(run.run_id for run in all_runs)
    free = [axis for axis in AXES if axis not in packed]
    keys = {job: {tuple(getattr(run, axis) for axis in free) for run in pack} for job, pack in grouped.items()}
    assert all(len(found) == 1 for found in keys.values())
    assert len({found.pop() for found in keys.values()}) == len(grouped)


def test_a_job_path_is_a_hive_partition() -> None:
    config = resolve(default_study())
    assert "train_size=128/base_channels=16/batch_size=16" in packs(
        runs(config), [axis for axis in AXES if axis not in config["pack"]]
    )


def ids(**changes: Any) -> list[str]:
    return [run.run_id for run in runs(resolve({**default_study(), **changes}))]


def test_run_ids_are_distinct_and_do_not_depend_on_the_budget() -> None:
    study = default_study()
    assert len(set(ids())) == len(ids())
    assert ids(training={**study["training"], "budget": {"epochs": 1200}}) == ids()
    assert ids(figures={"palette": "magma"}) == ids()
    assert ids(metrics={"projections": 99}) == ids()


def test_run_ids_change_with_everything_that_changes_a_trajectory() -> None:
    study = default_study()
    for changes in (
        {"dataset": {**study["dataset"], "seed": 1}},
        {"dataset": {**study["dataset"], "order": "stored"}},
        {"dataset": {**study["dataset"], "size": 16}},
        {"network": {**study["network"], "embedding": 32}},
        {"formulation": {**study["formulation"], "sampling_steps": 17}},
        {"formulation": {**study["formulation"], "name": "ddpm"}},
        {"formulation": {**study["formulation"], "label_dropout": 0.1}},
        {"training": {**study["training"], "ema_decay": 0.5}},
        {"training": {**study["training"], "budget": {"steps": 600}}},
        {"evaluation": {**study["evaluation"], "images": 100}},
        {"evaluation": {**study["evaluation"], "surrogates": ["gaussian"]}},
    ):
        assert not set(ids(**changes)) & set(ids())


def test_an_option_that_is_off_leaves_no_trace_in_a_run_id() -> None:
    """Run ids are those of before the options existed, so results are kept."""
    formulation = default_study()["formulation"]
    assert ids(formulation={**formulation, "label_dropout": 0, "guidance": 0.0}) == ids()
    assert formulation_parameters({"name": "ddpm", "sampling_steps": 9, "label_dropout": 0, "guidance": 0}) == {
        "name": "ddpm",
        "sampling_steps": 9,
    }


def test_surrogates_leave_no_trace_in_a_run_id_where_there_are_none_and_have_no_order() -> None:
    def parameters(surrogates: list[str]) -> dict[str, Any]:
        study = default_study()
        return evaluation_parameters(
            resolve({**study, "evaluation": {**study["evaluation"], "surrogates": surrogates}})
        )

    assert set(parameters([])) == {"first", "per_decade", "images", "samples"}
    assert parameters(["gaussian_mixture", "gaussian"]) == parameters(["gaussian", "gaussian_mixture"])
    assert parameters(["gaussian"])["surrogates"] == ["gaussian"]


OFF = {
    "optimizer": "adam",
    "weight_decay": 0,
    "momentum": 0.0,
    "warmup_steps": 0,
    "schedule": "constant",
    "schedule_floor": 0,
    "flip": False,
    "time_sampling": "uniform",
    "time_location": 0,
    "time_scale": 1.0,
}
ON: list[dict[str, Any]] = [
    {"optimizer": "adamw"},
    {"optimizer": "adamw", "weight_decay": 0.1},
    {"optimizer": "sgd"},
    {"optimizer": "sgd", "momentum": 0.9},
    {"optimizer": "sgd", "weight_decay": 0.1},
    {"warmup_steps": 10},
    {"schedule": "cosine"},
    {"schedule": "cosine", "schedule_floor": 0.1},
    {"flip": True},
    {"time_sampling": "logit_normal"},
    {"time_sampling": "logit_normal", "time_location": 1},
    {"time_sampling": "logit_normal", "time_scale": 2},
]


def with_training(**options: Any) -> dict[str, Any]:
    study = default_study()
    return {**study, "training": {**study["training"], **options}}


# What these runs were called before there were such options
PLAIN = ["4934fa44f18a", "c3aabffcbfe2"]
WITH = ["5554c8bd6539", "5475bc228fbb"]


def test_run_ids_and_settings_are_those_of_before_there_were_options_of_training() -> None:
    axes = {"train_size": [16, 32], "base_channels": [8], "batch_size": [16], "learning_rate": [0.001], "seed": [0]}
    study = {"study": "pinned", "dataset": {"name": "digits"}, "grid": {"products": [axes]}}
    for on, expected in (({}, PLAIN), ({"precision": "bfloat16", "gradient_clip": 1}, WITH)):
        for off in ({}, OFF):
            config = resolve({**study, "training": {"budget": {"steps": 2000}, **on, **off}})
            assert [run.run_id for run in runs(config)] == expected
            assert training_parameters(config["training"]) == {"ema_decay": 0.9999, **on}


def test_each_option_of_training_makes_runs_of_its_own() -> None:
    study = default_study()["training"]
    found = [tuple(ids(training={**study, **options})) for options in ({}, *ON)]
    assert len(set(itertools.chain(*found))) == sum(map(len, found))


@pytest.mark.parametrize("options", [{}, {"warmup_steps": 10}, {"optimizer": "sgd", "flip": True}])
def test_a_longer_budget_continues_runs_whose_rate_knows_nothing_of_their_end(options: dict[str, Any]) -> None:
    study = {**default_study()["training"], **options}
    assert ids(training={**study, "budget": {"epochs": 6000}}) == ids(training=study)


def test_under_a_cosine_a_longer_run_is_another_and_one_that_ends_at_the_same_step_is_not() -> None:
    study = {**default_study()["training"], "schedule": "cosine", "warmup_steps": 10}
    found = ids(training=study)
    assert not set(ids(training={**study, "budget": {"epochs": 6000}})) & set(found)
    # No evaluation lies between these budgets, so that the runs end at the same steps
    assert ids(training={**study, "budget": {"epochs": 610}}) == found


def test_settings_of_a_job_hold_only_the_options_that_are_on() -> None:
    plain, off, on = (Sweep(resolve(with_training(**options))) for options in ({}, OFF, ON[3]))
    job = plain.jobs[0]
    assert plain.train(job) == off.train(job)
    before, after = (json.loads(study.train(job))["training"] for study in (plain, on))
    assert after == {**before, "optimizer": "sgd", "momentum": 0.9}


def test_the_spelling_of_an_option_does_not_change_a_run_id() -> None:
    written = [{"label_dropout": 0.5, "guidance": weight} for weight in (2, 2.0, "2e0", 3)]
    first, second, third, other = (ids(formulation=formulation) for formulation in written)
    assert first == second == third
    assert not set(first) & set(other)


def test_the_spelling_of_a_number_does_not_change_a_run_id() -> None:
    grid = {"base": BASE, "products": [{"learning_rate": [1]}]}
    other = {"base": BASE, "products": [{"learning_rate": [1.0]}]}
    assert ids(grid=grid) == ids(grid=other)


def test_nearby_learning_rates_are_different_runs() -> None:
    grid = {"base": BASE, "products": [{"learning_rate": [5e-5, 1e-4]}]}
    assert len(set(ids(grid=grid))) == 2


def test_where_the_data_lie_does_not_change_a_run_id() -> None:
    here, there = ({"name": "cifar10", "path": path} for path in ("here", "there"))
    assert ids(dataset=here) == ids(dataset=there)


def test_a_key_at_the_value_it_had_before_it_existed_is_no_part_of_a_run_id() -> None:
    parameters = trajectory_parameters(resolve(default_study()))
    assert parameters["dataset"] == {"name": "digits", "test_images": 500, "seed": 0}


choice = st.fixed_dictionaries({}, optional=values)


@given(product_lists, choice, choice)
def test_chosen_runs_match_only_and_not_exclude(
    written: list[dict[str, list[Any]]], only: dict[str, list[Any]], exclude: dict[str, list[Any]]
) -> None:
    points = list(expand({"grid": {"base": BASE, "products": written}}))
    kept = [point for point in points if chosen(point, {"only": only, "exclude": exclude})]
    for point in points:
        wanted = all(point[axis] in only.get(axis, [point[axis]]) for axis in AXES)
        unwanted = all(point[axis] in exclude.get(axis, [point[axis]]) for axis in AXES)
        assert (point in kept) == (wanted and not unwanted)


def test_a_substudy_has_the_runs_of_its_own_choice_and_the_studys() -> None:
    config = {
        **default_study(),
        "exclude": {"seed": [1]},
        "substudies": {"small": {"only": {"train_size": [16, 32]}}, "base": {"exclude": {"train_size": [16, 64]}}},
    }
    whole = runs(resolve(config))
    small = runs(resolve({**config, "substudy": "small"}))
    assert {run.seed for run in whole} == {0}
    assert small == [run for run in whole if run.train_size in (16, 32)]
    base = runs(resolve({**config, "substudy": "base"}))
    assert base == [run for run in whole if run.train_size not in (16, 64)]


AXIS_VALUES = {"train_size": [64, 128], "base_channels": [4, 8], "batch_size": [8, 16], "learning_rate": [0.1, 0.2]}


@given(data=st.data())
def test_whether_a_choice_leaves_a_run_is_what_going_through_all_of_them_finds(data: st.DataObject) -> None:
    def part() -> st.SearchStrategy[dict[str, list[float]]]:
        some = {axis: st.lists(st.sampled_from(values), min_size=1) for axis, values in AXIS_VALUES.items()}
        return st.fixed_dictionaries({}, optional=some)

    base = {**{axis: values[0] for axis, values in AXIS_VALUES.items()}, "seed": 0}
    grid = {"base": base, "products": data.draw(st.lists(part(), min_size=1, max_size=3))}
    filters = [data.draw(st.fixed_dictionaries({}, optional={"only": part(), "exclude": part()})) for _ in range(2)]
    expected = any(all(chosen(point, choice) for choice in filters) for point in expand({"grid": grid}))
    assert any(_leaves_a_run(product, filters) for product in products({"grid": grid})) == expected
