"""The definitions of an onset: one registry, which checks of configs, tables, analysis, figures and report read.

A new definition of losses is a line here, its estimator (`analysis.onset.ESTIMATORS`) and, where it has a threshold,
that in the schema. Samples have estimators of their own in `analysis.onset`, surrogates `analysis.departure`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Definition:
    """A definition of an onset.

    Attributes:
        name: as it stands in tables and configs.
        of: what it is read off: a run's losses, copies among its samples, their similarity to training images in the
            space ``sscd``, its samples beside those of runs that differ only in their training images or their seed, or
            the run's losses on a surrogate.
        meaning: what happens at the onset.
        words: what figures call it, with ``{value}`` or ``{percent}`` for the threshold.
        threshold: key of the config's ``onset``; empty where it has none.
        surrogate: of which the run's losses are compared with those on test images.
    """

    name: str
    of: Literal["losses", "copies", "similarity", "pairs", "surrogate"]
    meaning: str
    words: str
    threshold: str = ""
    surrogate: str = ""

    def label(self, thresholds: Mapping[str, float]) -> str:
        """What figures call it. ``thresholds``: the config's ``onset``, or what of it is thresholds."""
        if not self.threshold:
            return self.words
        value = thresholds[self.threshold]
        return self.words.format(value=f"{value:g}", percent=f"{100 * value:g} %")


ONSETS: Mapping[str, Definition] = {
    definition.name: definition
    for definition in (
        Definition("test_loss_minimum", "losses", "the test loss stops falling", "test loss minimum"),
        Definition(
            "loss_gap_absolute",
            "losses",
            "test loss minus training loss rises above a threshold",
            "loss gap > {value}",
            threshold="loss_gap_absolute",
        ),
        Definition(
            "loss_gap_relative",
            "losses",
            "test loss over training loss minus one rises above a threshold",
            "loss gap > {percent} of train",
            threshold="loss_gap_relative",
        ),
        Definition(
            "f_mem",
            "copies",
            "the share of samples that are copies rises above a threshold",
            r"$f_\mathrm{{mem}}$ > {percent}",
            threshold="f_mem",
        ),
        Definition(
            "f_mem_calibrated",
            "copies",
            "the share of samples that are copies by a rule of one false-positive rate rises above a threshold",
            "calibrated copies > {percent}",
            threshold="f_mem",
        ),
        Definition(
            "sscd_score",
            "similarity",
            "the share of samples that are copies by SSCD rises above a threshold",
            "SSCD score > {percent}",
            threshold="sscd_score",
        ),
        Definition(
            "bias",
            "pairs",
            "samples lean to the run's own training images, beside those of runs trained on others, above a threshold",
            "lean > {value}",
            threshold="bias",
        ),
        Definition(
            "split",
            "pairs",
            "distances to samples of runs trained on other images exceed those to runs of other seeds by a factor",
            "other images / seed > {value}",
            threshold="split",
        ),
        Definition(
            "departure",
            "surrogate",
            "the loss on draws from means and covariances of all images leaves the test loss",
            "leaves Gaussian by {percent}",
            threshold="departure",
            surrogate="gaussian",
        ),
        Definition(
            "departure_mixture",
            "surrogate",
            "the loss on draws from means and covariances of each class leaves the test loss",
            "leaves mixture by {percent}",
            threshold="departure",
            surrogate="gaussian_mixture",
        ),
    )
}


def _named(*of: str) -> Iterator[str]:
    return (name for name, definition in ONSETS.items() if definition.of in of)


# Of memorisation: those of losses, those that every study has, and all of them; and of what a network uses of the data
# before it
LOSS_DEFINITIONS = tuple(_named("losses"))
DEFINITIONS = tuple(_named("losses", "copies"))
MEMORISATION = tuple(_named("losses", "copies", "similarity", "pairs"))
DEPARTURES = tuple(_named("surrogate"))
THRESHOLDS = tuple(dict.fromkeys(definition.threshold for definition in ONSETS.values() if definition.threshold))


def among(names: Iterable[str], of: Iterable[str] = MEMORISATION) -> list[str]:
    """Those definitions ``of`` a kind that a table holds, in the order of the registry."""
    held = set(names)
    return [name for name in of if name in held]
