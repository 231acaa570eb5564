"""What a run's identity is: a hash of every parameter that can change its trajectory, and of nothing else.

Beside the identity, what a run wrote records the content of the data and the version of the training code
(`training.version`); it is continued or kept only where these agree, too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from .networks import network_settings


def run_id(shared: Mapping[str, Any], point: Mapping[str, Any], subset: int = 0) -> str:
    """12 hexadecimal digits of a point of the grid.

    Args:
        shared: `trajectory_parameters` of the config with the run's sections, `of_length` of the run.
        point: value of each of `axes.AXES`.
        subset: which training set of the size; the first one leaves no trace, as when there was no other.
    """
    text = json.dumps({**shared, **point, **({"subset": subset} if subset else {})}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def of_length(parameters: Mapping[str, Any], max_steps: int) -> dict[str, Any]:
    """The parameters of a run that ends at ``max_steps``, one of them where the learning rate follows the length.

    A run under any other schedule is the beginning of each longer one, and so its length is none of them.

    Args:
        parameters: `trajectory_parameters` of the config.
        max_steps: the step at which the run ends.
    """
    depends = parameters.get("schedule") == "cosine"
    return {**parameters, "max_steps": max_steps} if depends else dict(parameters)


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
        "network": network_settings(config["network"]),
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
    "training": {
        "precision": "float32",
        "gradient_clip": 0,
        "accumulate": 1,
        "optimizer": "adam",
        "weight_decay": 0,
        "momentum": 0,
        "warmup_steps": 0,
        "schedule": "constant",
        "schedule_floor": 0,
        "flip": False,
        "time_sampling": "uniform",
        "time_location": 0,
        "time_scale": 1,
    },
    "formulation": {"label_dropout": 0, "guidance": 0},
}


# Of the config's ``training`` what decides a run's numbers, its budget aside
TRAINING_KEYS = ("ema_decay", *_OPTIONS["training"])


def _switched_on(section: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a section that are on. Numbers as floats: YAML may spell one in several ways."""
    chosen = {key: values[key] for key, off in _OPTIONS[section].items() if values.get(key, off) != off}
    return {key: value if isinstance(value, str | bool) else float(value) for key, value in chosen.items()}


def evaluation_parameters(config: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the numbers of an evaluation; into how many noise levels they are put is a later matter."""
    evaluation = config["evaluation"]
    always = {key: evaluation[key] for key in ("first", "per_decade", "images", "samples")}
    # In whichever order they are written, and without a trace where there are none, as an option that is off, also in
    # what a job was told of
    named = evaluation.get("surrogates", ())
    surrogates = {"surrogates": sorted(named)} if named else {}
    return {**always, **surrogates, **_switched_on("evaluation", evaluation)}


def training_parameters(training: Mapping[str, Any]) -> dict[str, Any]:
    """What of the config's ``training`` decides a run's numbers, its budget aside."""
    return {"ema_decay": training["ema_decay"], **_switched_on("training", training)}


def learns_otherwise(training: Mapping[str, Any]) -> bool:
    """Whether runs see other images or times, or follow their gradients otherwise, than by Adam at a constant rate.

    Args:
        training: of the config's ``training`` what is the same for all runs.
    """
    alike = {"precision", "gradient_clip", "accumulate"}
    return not alike.issuperset(_switched_on("training", training))


def formulation_parameters(formulation: Mapping[str, Any]) -> dict[str, Any]:
    """What of the formulation a run's identity holds: its parameters and the options that are on."""
    parameters = {key: value for key, value in formulation.items() if key not in _OPTIONS["formulation"]}
    return {**parameters, **_switched_on("formulation", formulation)}
