"""What each kind of study brings: its rules, its figures and their captions."""

from __future__ import annotations

import json
import re
from importlib import import_module
from typing import Any

import pytest
import yaml
from helpers.configs import DEFAULT, ROOT, changed
from memsweep.study import config
from memsweep.study.axes import AXES
from memsweep.study.config.rules import RULES
from memsweep.study.figures import Figure
from memsweep.study.kinds import KINDS, open_study

STUDIES = {"sweep": "config", "mixed_cumulant": "mixed_cumulant", "feature_learning": "feature_learning"}
CAPTIONS = ROOT / "workflow" / "report"


def study(kind: str) -> Any:
    return open_study(yaml.safe_load((ROOT / "config" / f"{STUDIES[kind]}.yaml").read_text()))


FIGURES: list[tuple[str, Figure]] = [(kind, figure) for kind, class_ in KINDS.items() for figure in class_.figures]
every_figure = pytest.mark.parametrize(("kind", "figure"), FIGURES, ids=lambda item: getattr(item, "name", item))


def test_configs_know_the_same_kinds() -> None:
    assert tuple(KINDS) == config.KINDS == tuple(RULES)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_rules_and_a_caption(kind: str) -> None:
    opened = study(kind)
    assert opened.kind == kind
    for name in opened.rules:
        assert (ROOT / "workflow" / "rules" / f"{name}.smk").is_file()
    assert (CAPTIONS / "kinds" / f"{kind}.rst").is_file()


@every_figure
def test_a_figure_has_a_module_that_draws_its_tables_and_a_caption(kind: str, figure: Figure) -> None:
    module = import_module(f"memsweep.figures.{figure.module(kind)}")
    assert set(module.SOURCES) == {table.rpartition("/")[2] for table in figure.tables}
    assert (CAPTIONS / "figures" / f"{figure.name}.rst").is_file()


@every_figure
def test_a_figure_is_told_what_it_asks_for(kind: str, figure: Figure) -> None:
    assert f'"figure":"{figure.name}"' in study(kind).figure(figure)


@pytest.mark.parametrize("kind", KINDS)
def test_the_report_names_the_figures_in_their_order(kind: str) -> None:
    caption = (CAPTIONS / "kinds" / f"{kind}.rst").read_text().partition("Read the figures in this order:")[2]
    places = [
        min(place for name in (figure.name, figure.shows) if (place := caption.find(f"*{name}*")) >= 0)
        for figure in KINDS[kind].figures
    ]
    assert places == sorted(places)


def test_every_caption_of_a_figure_is_of_one() -> None:
    assert {path.stem for path in (CAPTIONS / "figures").glob("*.rst")} == {figure.name for _, figure in FIGURES}


def test_a_sweep_without_surrogates_draws_nothing_of_them() -> None:
    paths = open_study(changed("evaluation.surrogates", [])).drawn
    assert "clocks" in paths
    assert {"dynamics_train_size", "memorisation_time_train_size", "sample_sheet"} < set(paths)
    assert set(study("sweep").drawn) == {*paths, "simplicity_bias"}


def test_metrics_are_tried_at_the_ends_of_the_training_sizes_that_leave_images_to_draw() -> None:
    opened = study("sweep")
    assert opened.checked_sizes == [16, 128]
    assert json.loads(opened.metric_check()) == {"train_sizes": [16, 128], "samples": [500], "confidence": 0.95}
    assert "metric_check" in opened.drawn
    few = {**DEFAULT["dataset"], "test_images": 1797 - 128 - 249}  # one less than half of the samples
    assert open_study({**DEFAULT, "dataset": few}).checked_sizes == [16, 64]
    grid = {"base": DEFAULT["grid"]["base"], "products": [{"train_size": [16]}]}
    fewer = open_study({**DEFAULT, "grid": grid, "dataset": {**few, "test_images": 1797 - 265}})
    assert fewer.checked_sizes == []
    assert "metric_check" not in fewer.drawn


def test_runs_that_learn_otherwise_are_not_drawn_beside_published_numbers() -> None:
    for options, formulation in (
        ({}, "rectified_flow"),
        ({"precision": "bfloat16", "gradient_clip": 1}, "rectified_flow"),
        ({"optimizer": "adamw", "weight_decay": 0.1}, None),
        ({"schedule": "cosine"}, None),
        ({"flip": True}, None),
    ):
        told = open_study(changed("training", {**DEFAULT["training"], **options})).told
        assert told["formulation"] == formulation


def test_an_axis_that_is_swept_is_left_to_its_runs() -> None:
    swept = {"base": DEFAULT["grid"]["base"], "products": [{"training.flip": [False, True]}]}
    config = {**changed("grid", swept), "training": {**DEFAULT["training"], "flip": True}}
    assert open_study(config).told["formulation"] == "rectified_flow"
    config["training"]["schedule"] = "cosine"
    assert open_study(config).told["formulation"] is None


def test_every_axis_that_varies_has_its_figures_and_is_compared_where_it_is_no_size() -> None:
    assert "onset_ratios" not in study("sweep").drawn
    products = [{"network.blocks": [1, 2], "seed": [0, 1]}, {"training.weight_decay": [0, 0.1]}, {"subset": [0, 1]}]
    config = changed("grid", {"base": DEFAULT["grid"]["base"], "products": products})
    config["training"] = {**DEFAULT["training"], "optimizer": "adamw"}
    opened = open_study(config)
    assert opened.axes == ["network_blocks", "training_weight_decay"]
    for axis in opened.axes:
        assert {f"dynamics_{axis}", f"memorisation_time_{axis}"} < set(opened.drawn)
    assert "onset_ratios" in opened.drawn
    names = [axis["name"] for axis in json.loads(opened.analyse())["axes"]]
    assert names == [*AXES, "subset", "network.blocks", "training.weight_decay"]


def test_a_grid_larger_than_most_is_planned_with_a_warning_of_its_cost() -> None:
    seeds = {"base": DEFAULT["grid"]["base"], "products": [{"seed": list(range(1000)), "learning_rate": [1e-3]}]}
    assert open_study(changed("grid", seeds)).warnings == []
    seeds["products"][0]["learning_rate"] = [1e-5 * (n + 1) for n in range(101)]
    (said,) = open_study(changed("grid", seeds)).warnings
    cost = r"some [\d.e+]+ hours of a device at 0.05 TFLOP/s and \d+ GB on disk"
    assert re.match(f"grid: 101000 runs in 1 jobs, {cost}; only, exclude and substudies make parts of a grid", said)


def test_keeping_averages_changes_no_run_and_no_settings_of_a_stage() -> None:
    """So that results stay as they are: it is among the resources of a job, which make nothing stale."""
    off, on = open_study(DEFAULT), open_study(changed("training.keep_averages", True))
    assert on.runs == off.runs
    for job in off.jobs:
        assert on.train(job) == off.train(job)
    assert (on.measure(), on.collect(), on.analyse()) == (off.measure(), off.collect(), off.analyse())
    assert on.way().split() == [*off.way().split(), "--keep-averages"]


def test_tables_of_a_study_are_told_its_base_point() -> None:
    study = open_study(changed("grid.products", [{"train_size": [16, 32], "network.dropout": [0, 0.1]}]))
    base = {"train_size": 32, "base_channels": 16, "batch_size": 16, "learning_rate": 0.003, "seed": 0}
    assert json.loads(study.collect())["base"] == study.base == {**base, "network_dropout": 0}
