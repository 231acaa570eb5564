"""Rules of what is measured and drawn: no figure shows what no metric says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ....base.errors import UserError
from ...grid import axes_of
from ..asked import Asked

# As `metrics.frechet.MOST_DIMENSIONS`, which torch has to be loaded for
MOST_DIMENSIONS = 2048
DISTANCES = ("sliced_wasserstein", "frechet", "frechet_infinity", "kid")


def spaces_suit_the_classes(asked: Asked) -> None:
    """Default spaces of images of one class: those of pixels, as a classifier would have nothing to tell apart."""
    if "spaces" not in asked.given.get("metrics", {}) and _is_one_class(asked):
        asked.config["metrics"]["spaces"] = ["pixels"]


def _is_one_class(asked: Asked) -> bool:
    try:
        return asked.facts.classes == 1
    except UserError:
        return False  # there are no data, which another rule says


def figures_show_what_is_measured(asked: Asked) -> None:
    """Defaults of figures that depend on the metrics: of what is not measured, nothing is drawn."""
    given, figures, metrics = asked.given.get("figures", {}), asked.config["figures"], asked.config["metrics"]
    if "distance" not in given and figures["distance"] not in metrics["spaces"]:
        figures["distance"] = metrics["spaces"][0]
    if "panels" not in given:
        shown = _measured(metrics) - (_left_out(asked) if figures["distance"] == "pixels" else set())
        figures["panels"] = [panel for panel in figures["panels"] if panel in shown]


def distances_hold_what_figures_draw(asked: Asked) -> Iterator[str]:
    """The figures draw one distance at least."""
    if "sliced_wasserstein" not in asked.config["metrics"]["distances"]:
        yield f"{asked.found('metrics.distances')}; accepted is a list with sliced_wasserstein, which the figures draw"


def weights_are_files(asked: Asked) -> Iterator[str]:
    """Published weights that a config gives are there."""
    for space, path in asked.config["metrics"]["weights"].items():
        if not Path(path).is_file():
            yield f"{asked.found(f'metrics.weights.{space}')}; accepted is the path of a file, and there is none"


def a_classifier_has_classes_to_tell_apart(asked: Asked) -> Iterator[str]:
    """Of images of one class, the features of a classifier would be those of its random initialisation."""
    if "classifier" in asked.config["metrics"]["spaces"] and asked.facts.classes == 1:
        yield (
            f"{asked.found('metrics.spaces')} for images of one class, which leave a classifier nothing to tell apart; "
            f"accepted are pixels, inception, sscd and dinov2"
        )


def the_distance_drawn_is_measured(asked: Asked) -> Iterator[str]:
    """The space of the distances drawn is one of those they are taken in."""
    spaces = asked.config["metrics"]["spaces"]
    if asked.config["figures"]["distance"] not in spaces:
        yield f"{asked.found('figures.distance')}; accepted is one of metrics.spaces, {', '.join(spaces)}"


def panels_are_measured(asked: Asked) -> Iterator[str]:
    """Every panel of the dynamics shows a metric that there is."""
    for panel in asked.config["figures"]["panels"]:
        if panel not in _measured(asked.config["metrics"]):
            needed = _where(panel)
            yield f"{asked.found('figures.panels', panel)}; accepted is what is measured, and this needs {needed}"


def the_onset_that_parts_is_found(asked: Asked) -> Iterator[str]:
    """The definition of the onset up to which fidelity has its peak is one that the study has."""
    onset, axes = asked.config["figures"]["onset"], set(axes_of(asked.config["grid"]))
    needed = {
        "sscd_score": "" if "sscd" in asked.config["metrics"]["spaces"] else "metrics.spaces with sscd",
        "bias": "" if "subset" in axes else "runs that differ in subset",
        "split": "" if {"subset", "seed"} <= axes else "runs that differ in subset, and others that differ in seed",
    }.get(onset)
    if needed:
        yield f"{asked.found('figures.onset')}; accepted is an onset that is found, and this needs {needed}"


def the_rate_is_of_a_rise(asked: Asked) -> Iterator[str]:
    """The memorisation rate is taken from a share to a larger one."""
    onset = asked.config["onset"]
    if onset["rate_from"] >= onset["rate_to"]:
        yield f"{asked.found('onset.rate_from')}; accepted are shares below onset.rate_to, {onset['rate_to']:g}"


def _measured(metrics: Mapping[str, Any]) -> set[str]:
    """What the dynamics can show."""
    scores = {"sscd_score"} if "sscd" in metrics["spaces"] else set()
    always = {"loss", "loss_gap", "f_mem", "f_mem_calibrated", "empirical_distance"}
    return {*always, *metrics["distances"], *metrics["battery"], *scores}


def _left_out(asked: Asked) -> set[str]:
    """Distances that are not taken in pixels, as these are too many."""
    try:
        facts = asked.facts
    except UserError:
        return set()  # there are no data, which another rule says
    many = facts.height * facts.width * facts.channels > MOST_DIMENSIONS
    return {"frechet", "frechet_infinity"} if many else set()


def _where(panel: str) -> str:
    """What has to be measured for a panel."""
    if panel == "sscd_score":
        return "metrics.spaces with sscd"
    return f"metrics.{'distances' if panel in DISTANCES else 'battery'} with {panel}"
