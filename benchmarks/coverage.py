"""How often intervals hold what they are meant to, on simulated studies of the shapes that are shipped.

    python benchmarks/coverage.py                 # all of it, some minutes on one core
    python benchmarks/coverage.py --shape digits  # beside what the file of results has of others

A study is drawn from a known law: its runs are those of a file of ``config``, onsets are a product of powers of the
axes times what training sets have in common (their deviations in log10 as measured on digits, 0.033 to 0.08; seeds
alone: 0.01) times a deviation of each run. In some studies runs end before the later onsets, in some the deviations of
training sets of different sizes are those of the images that they share. Each interval that the analysis gives is held
against the truth.

An estimator's intervals are checked by a line in `CHECKS`.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from memsweep.analysis.collapse import combinations, rescaled
from memsweep.analysis.lack_of_fit import lack_of_fit
from memsweep.analysis.law import fit_law
from memsweep.analysis.scaling import base_and_others, groups, numeric_axes, ratios, scaling
from memsweep.analysis.spread import PureError
from memsweep.analysis.thresholds import lack_of_fit as bends
from memsweep.study.axes import Axis, text
from memsweep.study.kinds import open_study
from memsweep.study.sweep import Sweep
from record import RESULTS, commit, save

CONFIGS = Path(__file__).parents[1] / "config"
CONFIDENCE = 0.95
# Exponents of the onset, about those of the embedded study; any other numeric axis has 0.3, each value of an axis that
# is compared a step of 0.1 in log10
EXPONENTS = {"train_size": 1.7, "parameters": -0.2, "batch_size": -0.9, "learning_rate": 0.2}


@dataclass(frozen=True)
class Shape:
    """The runs of a study, and how it is drawn.

    Attributes:
        config: file that has its grid.
        sigma: standard deviation of runs in log10(onset).
        sigma_sets: that of training sets.
        censored: all runs end at the step that the median onsets of this share of them are at or beyond; 0 is never.
        nested: whether training sets that share images have deviations of these in common.
        products: of the grid, in place of the file's.
    """

    config: str
    sigma: float = 0.01
    sigma_sets: float = 0.05
    censored: float = 0.0
    nested: bool = False
    products: tuple[Mapping[str, Any], ...] = ()


_FACTORIAL = {"train_size": [16, 32, 64, 128], "batch_size": [8, 16], "learning_rate": [1e-3, 3e-3]}
SHAPES = {
    "digits": Shape("config"),
    "digits, sets alike": Shape("config", sigma=0.05, sigma_sets=0.0),
    "digits, sets far apart": Shape("config", sigma_sets=0.1),
    "digits, censored": Shape("config", censored=0.2),
    "digits, nested sets": Shape("config", nested=True),
    "cifar10_small": Shape("cifar10_small"),
    "cifar10": Shape("cifar10"),
    "cifar10_reference": Shape("cifar10_reference"),
    "architectures": Shape("architectures"),
    "architectures, censored": Shape("architectures", censored=0.2),
    "regularisation": Shape("regularisation"),
    "factorial": Shape("config", products=(_FACTORIAL,)),
    "factorial, two sets": Shape("config", products=({**_FACTORIAL, "subset": [0, 1]},)),
    "factorial, censored": Shape("config", products=({**_FACTORIAL, "subset": [0, 1]},), censored=0.2),
    "four seeds": Shape("config", products=({"train_size": [16, 32, 64, 128], "seed": [0, 1, 2, 3]},)),
    "four sets": Shape("config", products=({"train_size": [16, 32, 64, 128], "subset": [0, 1, 2, 3]},)),
    "four sets, censored": Shape(
        "config", products=({"train_size": [16, 32, 64, 128], "subset": [0, 1, 2, 3]},), censored=0.2
    ),
}


class Truth:
    """The runs of a shape and the law that their onsets follow.

    Attributes:
        runs: what analysis needs of the table ``runs``.
        axes: of the grid.
        slopes: exponent of each swept numeric axis, by its coordinate.
        effects: log10 of the ratio at each value of any other swept axis to the base, by column and value.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        config = yaml.safe_load((CONFIGS / f"{shape.config}.yaml").read_text())
        if shape.products:
            config["grid"]["products"] = [dict(product) for product in shape.products]
        study = open_study(config)
        assert isinstance(study, Sweep)
        self.axes: list[Axis] = study.grid_axes
        self.runs = pd.DataFrame([_row(study, run) for run in study.runs])
        swept = [axis for axis in self.axes if not axis.repeats and self.runs[axis.column].nunique() > 1]
        numeric = [axis for axis in numeric_axes(self.axes, self.runs) if axis in swept]
        self.slopes = {axis.coordinate: EXPONENTS.get(axis.coordinate, 0.3) for axis in numeric}
        self.effects = {
            (axis.column, value): 0.1 * (place + 1)
            for axis in swept
            if axis not in numeric
            for place, value in enumerate(base_and_others(self.runs[axis.column], axis.base)[1])
        }
        self.base = self.runs.mode().iloc[0]

    def median(self, runs: pd.DataFrame) -> np.ndarray:
        """log10 of the median onset of each run."""
        total = np.full(len(runs), 2.0)
        for term, slope in self.slopes.items():
            total += slope * np.log10(runs[term].to_numpy(float) / float(self.base[term]))
        for (column, value), effect in self.effects.items():
            total += effect * (runs[column] == value).to_numpy(float)
        return total

    def draw(self, runs: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
        """log10 of the onset of each run, on training sets of their own."""
        sets = runs[["train_size", "subset"]].drop_duplicates()
        deviations = dict(zip(map(tuple, sets.to_numpy()), self._of_sets(sets.to_numpy(), rng), strict=True))
        of_sets = [deviations[key] for key in zip(runs["train_size"], runs["subset"], strict=True)]
        of_runs = self.shape.sigma * rng.normal(size=len(runs))
        return self.median(runs) + self.shape.sigma_sets * np.array(of_sets) + of_runs

    def _of_sets(self, sets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Standard normal deviations of training sets, rows (size, subset); nested ones share those of their images."""
        if not self.shape.nested:
            return rng.normal(size=len(sets))
        unit = math.gcd(*sets[:, 0].tolist())  # images that are always together
        total = np.cumsum(np.append(0, rng.normal(size=int((sets[:, 0] * (sets[:, 1] + 1)).max()) // unit)))
        size, first = sets[:, 0] // unit, sets[:, 0] * sets[:, 1] // unit
        return (total[first + size] - total[first]) / np.sqrt(size)

    def study(self, rng: np.random.Generator) -> Drawn:
        """A study: the table ``onsets`` of one definition."""
        onset, last = self.draw(self.runs, rng), math.inf
        if self.shape.censored:
            last = float(np.quantile(self.median(self.runs), 1 - self.shape.censored))
        onsets = pd.DataFrame(
            {"run_id": self.runs["run_id"], "definition": "f_mem", "step": 10 ** np.minimum(onset, last)}
        )
        return Drawn(self, onsets.assign(censored=onset > last, left_censored=False), rng)


def _row(study: Sweep, run: Any) -> dict[str, Any]:
    """A run as a row of the table ``runs``, as far as analysis needs it."""
    names = ("run_id", "train_size", "base_channels", "batch_size", "learning_rate", "seed", "subset", "max_steps")
    others = {axis.column: run.settings[axis.name] for axis in study.grid_axes if axis.name in run.settings}
    return {**{name: getattr(run, name) for name in names}, "parameters": study.requests.cost(run).parameters, **others}


@dataclass(frozen=True)
class Drawn:
    """A study that was drawn: the truth, the table ``onsets``, and what further draws are made with."""

    truth: Truth
    onsets: pd.DataFrame
    rng: np.random.Generator

    @property
    def of_study(self) -> tuple[pd.DataFrame, pd.DataFrame, list[Axis], float]:
        """The arguments of estimators of the onset's dependence on the axes."""
        return self.onsets, self.truth.runs, self.truth.axes, CONFIDENCE


# What an interval is of, its ends, and what it is meant to hold
Held = tuple[str, float, float, float]


def check_scaling(drawn: Drawn) -> Iterator[Held]:
    """The exponents of single axes."""
    for row in scaling(*drawn.of_study).to_dict("records"):
        if row["term"] in drawn.truth.slopes:
            yield _of(row["term"]), row["ci_low"], row["ci_high"], drawn.truth.slopes[row["term"]]


def check_ratios(drawn: Drawn) -> Iterator[Held]:
    """The ratios of onsets at two values."""
    truth = {(column, text(value)): effect for (column, value), effect in drawn.truth.effects.items()}
    for row in ratios(*drawn.of_study).to_dict("records"):
        if (row["axis"], row["value"]) in truth:
            yield "values", row["ci_low"], row["ci_high"], 10 ** truth[row["axis"], row["value"]]


def check_law(drawn: Drawn) -> Iterator[Held]:
    """The terms of the joint law, curvatures among them, its test, and what it says of medians and new runs."""
    truth = drawn.truth
    effects = {(column, text(value)): effect for (column, value), effect in truth.effects.items()}
    law = fit_law(*drawn.of_study)
    for term in law.terms:
        found = term.estimate
        if term.order == 2:
            yield "curvature", found.ci_low, found.ci_high, 0.0
        elif term.value is None:
            yield _of(term.term), found.ci_low, found.ci_high, truth.slopes[term.term]
        else:
            yield "values", found.ci_low, found.ci_high, effects[term.term, term.value]
    p_value, _ = lack_of_fit(law)
    yield "not rejected", math.nan if math.isnan(p_value) else 1 - CONFIDENCE, math.inf, p_value
    for name, size in (("", truth.base["train_size"]), (" at twice the largest N", 2 * truth.runs["train_size"].max())):
        point = truth.base.to_frame().T.infer_objects().assign(train_size=int(size), subset=99)
        said = law.predict({str(name): value for name, value in point.iloc[0].items()})
        yield f"median{name}", said.ci_low, said.ci_high, 10 ** truth.median(point)[0]
        yield f"new run{name}", said.pi_low, said.pi_high, 10 ** truth.draw(point, drawn.rng)[0]


def check_bends(drawn: Drawn) -> Iterator[Held]:
    """The test of a power law along single axes, which there is."""
    onsets, runs, axes, confidence = drawn.of_study
    for axis in numeric_axes(axes, runs):
        used, group = groups(runs.merge(onsets, on="run_id"), axes, axis)
        p_value = bends(used, group, axis, confidence)["p_value"] if len(used) else math.nan
        yield "not rejected", math.nan if math.isnan(p_value) else 1 - confidence, math.inf, p_value


def check_collapse(drawn: Drawn) -> Iterator[Held]:
    """The ratio of spread to pure error under fitted exponents, which is 1."""
    onsets, runs, axes, confidence = drawn.of_study
    passage = np.where(onsets["censored"], math.nan, np.log10(onsets["step"]))
    known = runs.merge(onsets.assign(**{"0.1": passage}).rename(columns={"0.1": 0.1}), on="run_id")
    unknown = PureError(math.nan, math.inf, "onsets")
    for along, swept in combinations(axes, runs):
        for row in rescaled(known, [0.1], axes, swept, unknown, confidence):
            if row["exponents"] == "fitted":
                low, high = (row.get(f"ratio_ci_{end}", math.nan) for end in ("low", "high"))
                yield "all axes" if along == "all" else "some axes", low, high, 1.0


def _of(term: str) -> str:
    return "exponent of N" if term == "train_size" else "other exponents"


CHECKS: dict[str, Callable[[Drawn], Iterator[Held]]] = {
    "scaling": check_scaling,
    "ratios": check_ratios,
    "law": check_law,
    "thresholds": check_bends,
    "collapse": check_collapse,
}


def coverage(shape: Shape, studies: int, seed: int = 0) -> dict[str, dict[str, float]]:
    """By check and what its intervals are of: the share that holds the truth, its standard error, and the median width.

    Intervals that are not estimable are left out of the share; ``estimable`` is what is left, and a number that there
    is none of is left out. The standard error is
    that of as many independent studies, as the intervals of one study are not.
    """
    truth = Truth(shape)
    held: dict[str, list[tuple[bool, bool, float]]] = defaultdict(list)
    for number in range(studies):
        drawn = truth.study(np.random.default_rng([seed, number]))
        for check, of in CHECKS.items():
            for name, low, high, value in of(drawn):
                slack = 1e-9 * max(1, abs(value))
                held[f"{check}: {name}"].append((not math.isnan(low), low - slack <= value <= high + slack, high - low))
    found = {}
    for name, rows in held.items():
        known = [row for row in rows if row[0]]
        share = float(np.mean([row[1] for row in known])) if known else math.nan
        error = math.sqrt(max(share * (1 - share), 1 / (4 * studies)) / studies) if known else math.nan
        width = float(np.median([row[2] for row in known])) if known else math.nan
        found[name] = {"coverage": share, "error": error, "estimable": len(known) / len(rows), "median_width": width}
    return {
        name: {key: round(value, 4) for key, value in numbers.items() if math.isfinite(value)}
        for name, numbers in found.items()
    }


def table(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """The shares as a table in Markdown, a row for each shape; what covers less than 0.9 is bold, - not estimable."""
    names = list(dict.fromkeys(name for shape in found.values() for name in shape))
    lines = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for shape, of in found.items():
        lines.append(f"| {shape} | {' | '.join(_cell(of.get(name)) for name in names)} |")
    return "\n".join(lines)


def _cell(numbers: Mapping[str, float] | None) -> str:
    if numbers is None:
        return ""
    share = numbers.get("coverage")
    if share is None:
        return "-"
    return f"**{share:.2f}**" if share < 0.9 else f"{share:.2f}"


def main() -> None:
    """Simulate, print the table, and keep the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=250, help="drawn of each shape")
    parser.add_argument("--shape", nargs="*", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--output", type=Path, default=RESULTS / "coverage.json")
    chosen = parser.parse_args()
    kept = json.loads(chosen.output.read_text()) if chosen.output.exists() else {}
    found = kept["shapes"] if kept.get("studies") == chosen.studies else {}
    for name in chosen.shape:
        print(f"{name} ...", flush=True)
        found[name] = coverage(SHAPES[name], chosen.studies)
        save({"commit": commit(), "studies": chosen.studies, "confidence": CONFIDENCE, "shapes": found}, chosen.output)
    print(table(found))


if __name__ == "__main__":
    main()
