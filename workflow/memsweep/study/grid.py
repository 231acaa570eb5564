"""Expands a grid into runs, chooses among them, and groups them into packs."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .run import AXES, Run
from .schedule import evaluation_steps

Point = dict[str, Any]


def expand(grid: Mapping[str, Any]) -> Iterator[Point]:
    """The distinct points of a grid, in the order they are written.

    Args:
        grid: ``products``, a list of mappings from axis to list of values, and ``base``,
            the value of each axis that a product leaves out.

    Yields:
        Mappings from every axis to one value.
    """
    seen = set()
    for product in grid["products"]:
        values = [product.get(axis, [grid["base"].get(axis)]) for axis in AXES]
        for combination in itertools.product(*values):
            # YAML may spell one number in several ways: 1, 1.0, 1.0e-3, 0.001
            point = {
                axis: float(value) if axis == "learning_rate" else int(value)
                for axis, value in zip(AXES, combination, strict=True)
            }
            key = tuple(point.values())
            if key not in seen:
                seen.add(key)
                yield point


def trajectory_parameters(config: Mapping[str, Any]) -> dict[str, Any]:
    """Every parameter outside the axes that can change a run's trajectory.

    Where the data lie is none: checkpoints keep the content hash of what they were trained
    on. An order that is the default is left out, as when there was no other.
    """
    dataset = {
        key: value
        for key, value in config["dataset"].items()
        if key not in ("path", "test_path") and (key, value) != ("order", "permuted")
    }
    return {
        "dataset": dataset,
        "network": config["network"],
        "formulation": formulation_parameters(config["formulation"]),
        **training_parameters(config["training"]),
        "evaluation": evaluation_parameters(config),
        # The unit decides where evaluations lie; the length only how many there are.
        "budget_unit": next(iter(config["training"]["budget"])),
    }


# Options by section, each with the value at which it is off. One that is off leaves no trace, neither in the
# trajectory nor, therefore, in the run id: a run keeps its id, and with it its results, when the library learns
# an option that the run does not use.
_OPTIONS: dict[str, dict[str, Any]] = {
    "evaluation": {"sample_every": 1},
    "training": {"precision": "float32", "gradient_clip": 0, "accumulate": 1},
    "formulation": {"label_dropout": 0, "guidance": 0},
}


def _switched_on(section: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a section that are on. Numbers as floats: YAML may spell one in several ways."""
    chosen = {key: values[key] for key, off in _OPTIONS[section].items() if values.get(key, off) != off}
    return {key: value if isinstance(value, str) else float(value) for key, value in chosen.items()}


def evaluation_parameters(config: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the numbers of an evaluation; into how many noise levels they are put is a later matter."""
    evaluation = config["evaluation"]
    always = {key: evaluation[key] for key in ("first", "per_decade", "images", "samples")}
    # In whichever order they are written, and without a trace where there are none, as an option that is off
    surrogates = {"surrogates": sorted(evaluation["surrogates"])} if evaluation["surrogates"] else {}
    return {**always, **surrogates, **_switched_on("evaluation", evaluation)}


def training_parameters(training: Mapping[str, Any]) -> dict[str, Any]:
    """What of the config's ``training`` decides a run's numbers, its budget aside."""
    return {"ema_decay": training["ema_decay"], **_switched_on("training", training)}


def formulation_parameters(formulation: Mapping[str, Any]) -> dict[str, Any]:
    """What of the formulation a run's identity holds: its parameters and the options that are on."""
    parameters = {key: value for key, value in formulation.items() if key not in _OPTIONS["formulation"]}
    return {**parameters, **_switched_on("formulation", formulation)}


def choices(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The parts of a resolved configuration that choose among the runs of its grid.

    Yields:
        Where it stands (empty for the study itself, the name of the substudy in use with a dot
        behind it), and a mapping with ``only`` and ``exclude``, either of which may be missing.
    """
    yield "", config
    if "substudy" in config:
        name = config["substudy"]
        yield f"substudies.{name}.", config["substudies"][name]


def chosen(point: Mapping[str, Any], choice: Mapping[str, Any]) -> bool:
    """Whether a point of the grid is kept: each axis of ``only`` has one of its values, and not so with ``exclude``."""
    only, exclude = choice.get("only"), choice.get("exclude")
    return (only is None or _matches(point, only)) and not (exclude is not None and _matches(point, exclude))


def _matches(point: Mapping[str, Any], values: Mapping[str, Sequence[float]]) -> bool:
    return all(point[axis] in wanted for axis, wanted in values.items())


def runs(config: Mapping[str, Any]) -> list[Run]:
    """The runs that a resolved configuration chooses of its grid, each with its run id."""
    shared = trajectory_parameters(config)
    filters = [choice for _, choice in choices(config)]
    result = []
    for point in expand(config["grid"]):
        if not all(chosen(point, choice) for choice in filters):
            continue
        text = json.dumps({**shared, **point}, sort_keys=True)
        run_id = hashlib.sha256(text.encode()).hexdigest()[:12]
        schedule = evaluation_steps(
            config["training"]["budget"], config["evaluation"], point["train_size"], point["batch_size"]
        )
        result.append(Run(run_id=run_id, **point, max_steps=schedule[-1]))
    return result


def packs(all_runs: Sequence[Run], packed_axes: Sequence[str]) -> dict[str, list[Run]]:
    """Group runs by the axes that are not packed.

    Returns:
        Job path, such as ``train_size=256/base_channels=16/batch_size=32``, to its runs.
    """
    path_axes = [axis for axis in AXES if axis not in packed_axes]
    grouped: dict[str, list[Run]] = {}
    for run in all_runs:
        path = "/".join(f"{axis}={getattr(run, axis)!r}" for axis in path_axes) or "all"
        grouped.setdefault(path, []).append(run)
    return grouped
