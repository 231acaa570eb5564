"""The sweep of diffusion models over a grid: its runs and packs, and the settings of its stages."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..base.records import read_records
from . import checked
from .axes import REPEATED, SUBSET, Axis, cell, is_short, substituted, swept_keys
from .catalogue import describe
from .config.schemas import schema
from .cost import bytes_label
from .figures import Figure
from .grid import axes_of, base_value, packs, products, runs
from .identity import evaluation_parameters, learns_otherwise, training_parameters
from .kind import Study, canonical, watchable
from .networks import is_built_in, network_file, network_settings
from .onsets import DEFINITIONS, DEPARTURES, ONSETS, THRESHOLDS, among
from .pairs import pairs
from .requests import Request, Requests
from .resolution import unresolved_shares
from .retraining import guard, retraining
from .run import Run

# Feature spaces that need no published network.
OWN_SPACES = ("pixels", "classifier")


# Floating-point operations of a search for neighbours beyond which another core is worth it, and the most of these
FLOPS_OF_A_THREAD = 2e12
MOST_THREADS = 8

# Packs of which the summary shows samples
MOST_EXPLORED = 24

# Runs of a grid beyond which it may not be meant
MANY_RUNS = 100_000

FIGURES = (
    Figure(
        name="dynamics",
        shows="dynamics",
        axis="{axis}",
        file="dynamics_{axis}",
        tables=("runs", "trajectories", "metrics", "agreement_over_pairs"),
        settings=("axes", "palette", "time", "panels", "distance", "thresholds", "formulation"),
    ),
    Figure(
        name="battery",
        shows="closeness, quality and diversity",
        axis="{axis}",
        file="battery_{axis}",
        tables=("runs", "trajectories", "metrics", "agreement_over_pairs"),
        settings=("axes", "palette", "time", "battery", "distance"),
        when=lambda study: bool(study.config["metrics"]["battery"]),
    ),
    Figure(
        name="memorisation_time",
        shows="memorisation time",
        axis="{axis}",
        file="memorisation_time_{axis}",
        tables=("runs", "onsets", "scaling", "ratios"),
        settings=("axes", "palette", "thresholds", "formulation", "confidence"),
    ),
    Figure(
        name="scaling_exponents",
        shows="scaling exponents",
        axis="all",
        tables=("scaling",),
        settings=("axes", "thresholds", "confidence"),
    ),
    Figure(
        name="joint_law",
        shows="joint law",
        axis="all",
        tables=("law", "scaling"),
        settings=("axes", "thresholds", "confidence"),
    ),
    Figure(
        name="thresholds",
        shows="exponents and thresholds",
        axis="all",
        tables=("thresholds", "local_slopes"),
        settings=("axes", "thresholds"),
        when=lambda study: study.scaled,
    ),
    Figure(
        name="collapse",
        shows="collapse in rescaled time",
        axis="all",
        tables=("runs", "trajectories", "metrics", "collapse"),
        settings=("axes", "palette", "onset", "thresholds"),
        when=lambda study: study.scaled,
    ),
    Figure(
        name="onset_ratios",
        shows="onset ratios",
        axis="all",
        tables=("runs", "ratios"),
        settings=("axes", "thresholds"),
        when=lambda study: study.compared,
    ),
    Figure(
        name="simplicity_bias",
        shows="simplicity bias",
        axis="train_size",
        tables=("runs", "trajectories", "excess", "onsets", "baselines"),
        settings=("axes", "thresholds", "surrogates"),
        when=lambda study: bool(study.surrogates),
    ),
    Figure(
        name="clocks",
        shows="clocks",
        axis="all",
        tables=("runs", "onsets", "scaling"),
        settings=("axes", "onset", "thresholds", "confidence"),
    ),
    Figure(
        name="agreement",
        shows="agreement and lean",
        axis="train_size",
        tables=("runs", "trajectories", "agreement_over_pairs", "onsets", "leads"),
        settings=("axes", "palette", "distance", "thresholds"),
        when=lambda study: bool(study.comparisons),
    ),
    Figure(
        name="peaks",
        shows="peak fidelity and rate",
        axis="all",
        tables=("runs", "peaks", "metrics", "fidelity_trends", "rates", "rate_trends"),
        settings=("axes", "palette", "distance", "onset", "thresholds", "rate", "formulation"),
    ),
    Figure(
        name="novelty_fidelity",
        shows="novelty and fidelity",
        axis="all",
        tables=("runs", "metrics"),
        settings=("axes", "palette", "distance", "novelty"),
    ),
    Figure(
        name="metric_check",
        shows="what metrics read",
        tables=("metric_check",),
        settings=("confidence",),
        when=lambda study: bool(study.checked_sizes),
    ),
    Figure(
        name="copied_images",
        shows="images copied first",
        axis="train_size",
        tables=("runs", "images", "copied_images", "copied_first"),
        settings=("axes", "palette", "run_id"),
    ),
    Figure(name="claims", shows="claims of papers", tables=("claims",), settings=(), shared="verdicts"),
    Figure(
        name="sample_sheet",
        shows="sample sheet",
        axis="none",
        tables=("images", "pack/runs", "pack/samples", "pack/neighbours"),
        settings=("axes", "f_mem_threshold", "sheet_steps", "sheet_samples", "run_id"),
    ),
)


class Sweep(Study):
    """A checked configuration of a sweep, expanded.

    Attributes:
        runs: all runs of the grid.
        packs: job path to the runs that one training job trains.
    """

    rules = (
        "prepare",
        "sweep",
        "surrogates",
        "empirical",
        "train",
        "measure",
        "agree",
        "metric_check",
        "collect",
        "analyse",
        "conclude",
        "judge",
    )
    figures = FIGURES

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self._told_sections: dict[tuple[Any, ...], dict[str, Any]] = {}
        if "substudy" in config:
            self.place = f"{self.name}/substudies/{config['substudy']}"
        self.runs = runs(config)
        self.packs = packs(self.runs, [axis for axis in axes_of(config["grid"]) if axis not in config["pack"]])

    @property
    def jobs(self) -> list[str]:
        """The packs' job paths."""
        return list(self.packs)

    @property
    def warnings(self) -> list[str]:
        """What a study costs that is larger than most are meant to be, and which shares its samples cannot resolve."""
        return [*self._size_warnings(), *unresolved_shares(self.config)]

    def _size_warnings(self) -> Iterator[str]:
        if len(self.runs) > MANY_RUNS:
            disk = sum(self.requests.cost(run).disk_bytes for run in self.runs)
            hours, tflops = self.requests.hours(self.runs), self.config["requests"]["tflops"]
            yield (
                f"grid: {len(self.runs)} runs in {len(self.packs)} jobs, some {hours:.2g} hours of a device at "
                f"{tflops:g} TFLOP/s and {bytes_label(disk)} on disk; only, exclude and substudies make parts of a grid"
            )

    @functools.cached_property
    def grid_axes(self) -> list[Axis]:
        """All axes of the grid, in its order."""
        properties = schema()["properties"]
        rules = {**properties["grid"]["properties"]["base"]["properties"], **dict(swept_keys(properties))}
        # No schema has the arguments of a network of the user's own: their values say of what type they are
        own = {
            axis: {"type": _type_of(values)}
            for product in self.config["grid"]["products"]
            for axis, values in product.items()
            if axis not in rules
        }
        names = axes_of(self.config["grid"])
        return [Axis.of(name, {**rules, **own}[name], base_value(self.config, name)) for name in names]

    @property
    def base(self) -> dict[str, Any]:
        """The value that other axes are swept at, by column; of axes that have one."""
        return {axis.column: axis.base for axis in self.grid_axes if axis.base is not None}

    @property
    def _other_axes(self) -> list[Axis]:
        """Those that are keys of the config's sections."""
        return [axis for axis in self.grid_axes if not is_short(axis.name)]

    @functools.cached_property
    def _swept(self) -> list[Axis]:
        """The axes on which the runs take more than one value, repetitions aside."""
        return [axis for axis in self.varying if not axis.repeats]

    @property
    def varying(self) -> list[Axis]:
        """The axes, repetitions among them, on which the runs take more than one value."""
        return [axis for axis in self.grid_axes if len(self._values(axis)) > 1]

    @property
    def axes(self) -> list[str]:
        """The columns of the axes that have a figure each: those that vary, repetitions aside."""
        return [axis.column for axis in self._swept]

    @property
    def compared(self) -> bool:
        """Whether there are axes whose values are compared with a base value."""
        return not all(is_short(axis.name) for axis in self._swept)

    @property
    def scaled(self) -> bool:
        """Whether there are axes of positive numbers, along which the onset may be a power."""
        return any(axis.numeric and min(self._values(axis)) > 0 for axis in self._swept)

    @property
    def _described_axes(self) -> list[dict[str, Any]]:
        return [axis.described() for axis in self.grid_axes]

    def _values(self, axis: Axis) -> set[Any]:
        """The values that runs have on an axis."""
        return {run.at(axis.name) for run in self.runs}

    @property
    def surrogates(self) -> list[str]:
        """The surrogates on which runs are evaluated."""
        return sorted(self.config["evaluation"]["surrogates"])

    @property
    def definitions(self) -> list[str]:
        """The definitions of an onset that the study has, in the order of the registry."""
        similarity = ["sscd_score"] if "sscd" in self.config["metrics"]["spaces"] else []
        departures = [name for name in DEPARTURES if ONSETS[name].surrogate in self.surrogates]
        differ = self._differences.values()
        bias = ["bias"] if any("subset" in kinds for kinds in differ) else []
        split = ["split"] if any(len(kinds) > 1 for kinds in differ) else []
        return among([*DEFINITIONS, *similarity, *bias, *split, *departures], ONSETS)

    @functools.cached_property
    def _differences(self) -> dict[str, set[str]]:
        """In what each run differs from others, as of `pairs`."""
        found: dict[str, set[str]] = {}
        for pair in pairs(self.runs):
            for run_id in (pair.run_id, pair.other_run_id):
                found.setdefault(run_id, set()).add(pair.differs)
        return found

    def sheet_run(self) -> tuple[str, Run]:
        """Job path and run of the sample sheet: the first run that takes the most values of ``grid.base``."""
        base = {axis.name: axis.base for axis in self.grid_axes}

        def alike(run: Run) -> int:
            values = {**vars(run), **run.settings}
            return sum(values[axis] == value for axis, value in base.items())

        candidates = [(job, run) for job, members in self.packs.items() for run in members]
        return max(candidates, key=lambda item: alike(item[1]))

    def train(self, job: str) -> str:
        """Settings of ``train`` for one pack: what decides its numbers."""
        pack = self.packs[job]
        axes = _as_columns(self._other_axes)
        return canonical(
            {
                "runs": [self._as_told(run) for run in pack],
                **self._learning(self.config),
                "dataset": self.dataset(),
                "evaluation": evaluation_parameters(self.config),
                **({"axes": axes} if axes else {}),
            }
        )

    def _as_told(self, run: Run) -> dict[str, Any]:
        """A run as its job is told of it: what other runs do not have leaves no trace in theirs."""
        fields = {**vars(run), "sections": self._sections_of(run)}
        return {
            name: value for name, value in fields.items() if value or name not in ("subset", "settings", "sections")
        }

    def _sections_of(self, run: Run) -> dict[str, Any]:
        """Those of a run's sections that its job has to know because they are not the study's."""
        key = tuple(run.settings.values())
        if key not in self._told_sections:
            own, shared = self._learning(run.within(self.config)), self._learning(self.config)
            self._told_sections[key] = {name: part for name, part in own.items() if part != shared[name]}
        return self._told_sections[key]

    def _learning(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """What a job is told of the sections that say who learns what, and how."""
        training = {"budget": config["training"]["budget"], **training_parameters(config["training"])}
        if config["training"]["stop_memorised"]:
            onset = {key: config["onset"][key] for key in ("loss_gap_absolute", "loss_gap_relative")}
            training["stop_memorised"] = {
                "share": config["training"]["stop_memorised"],
                "copy_threshold": config["metrics"]["f_mem_threshold"],
                **onset,
            }
        formulation, network = config["formulation"], network_settings(config["network"])
        return {"network": network, "formulation": formulation, "training": training}

    def baselines(self) -> str:
        """Settings of ``baselines``: for each formulation of the grid, and each of its training sets."""
        evaluation = {key: self.config["evaluation"][key] for key in ("images", "noise_levels")}
        sets = sorted({(run.train_size, run.subset) for run in self.runs})
        axes = self._formulation_axes
        details = {"training_sets": sets, "surrogates": self.surrogates, "axes": _as_columns(axes), **evaluation}
        return canonical({**details, "formulations": self._formulations(axes), **self._section("confidence")})

    def _formulations(self, axes: Sequence[Axis]) -> list[dict[str, Any]]:
        """The formulations of the runs, each with its values on these axes, as tables hold them."""
        found: dict[tuple[Any, ...], dict[str, Any]] = {}
        for run in self.runs:
            values = {axis.column: run.settings[axis.name] for axis in axes}
            section = run.within(self._section("formulation"))["formulation"]
            found[tuple(values.values())] = {**section, "values": values}
        return list(found.values())

    def empirical_sizes(self, *jobs: str) -> list[int]:
        """The train sizes of packs' runs without guidance: of these it is known what a perfect memory generates."""
        return sorted({train_size for job in jobs for train_size, _, _ in self._remembered[job]})

    def empirical_samples(self, train_size: int) -> str:
        """Settings of ``empirical_samples``: all training sets of a size in the grid, whatever is chosen of it."""
        axes = self._formulation_axes
        subsets, found = set(), {}
        for product in products(self.config):
            if train_size in product["train_size"]:
                subsets |= set(product.get(SUBSET, [0]))
                for values in itertools.product(*(product[axis.name] for axis in axes)):
                    found[values] = self._formulation_at(axes, values)
        unguided = sorted((section for section in found.values() if not section["guidance"]), key=canonical)
        details = {"samples": self.config["evaluation"]["samples"], "axes": _as_columns(axes)}
        return canonical({"train_size": train_size, "subsets": sorted(subsets), "formulations": unguided, **details})

    def empirical_needs(self, job: str) -> str:
        """What the metrics of a pack take of it: other training sets and formulations of the grid make none stale."""
        return canonical([self.config["evaluation"]["samples"], sorted(self._remembered[job])])

    @functools.cached_property
    def _remembered(self) -> dict[str, set[tuple[int, int, str]]]:
        """Train size, subset and formulation of each pack's runs without guidance."""
        names = [axis.name for axis in self._formulation_axes]
        found: dict[str, set[tuple[int, int, str]]] = {job: set() for job in self.packs}
        known: dict[tuple[Any, ...], str] = {}
        for job, pack in self.packs.items():
            for run in pack:
                values = tuple(run.settings[name] for name in names)
                if values not in known:
                    section = run.within(self._section("formulation"))["formulation"]
                    known[values] = "" if section["guidance"] else canonical(section)
                if known[values]:
                    found[job].add((run.train_size, run.subset, known[values]))
        return found

    @property
    def _formulation_axes(self) -> list[Axis]:
        return [axis for axis in self._other_axes if axis.name.startswith("formulation.")]

    def _formulation_at(self, axes: Sequence[Axis], written: Sequence[Any]) -> dict[str, Any]:
        """The formulation at values of its axes, as grids write them, with these as tables hold them."""
        at = {axis.name: value for axis, value in zip(axes, written, strict=True)}
        section = {**self._section("formulation"), **substituted(self.config, at)}["formulation"]
        return {**section, "values": {axis.column: cell(axis.name, at[axis.name]) for axis in axes}}

    @functools.cached_property
    def requests(self) -> Requests:
        """What training jobs ask of a cluster."""
        return Requests(self.config)

    def request(self, job: str, attempt: int) -> Request:
        """What one training job asks of a cluster at an attempt of it."""
        return self.requests(self.packs[job], attempt)

    def guard(self, jobs: list[str], results: Path, code_version: str) -> None:
        """Stop before these packs train more finished runs again than the config accepts.

        Args:
            jobs: job paths of the packs that are about to be trained.
            results: the study's results.
            code_version: version of the training code.

        Raises:
            UserError: they would.
        """
        records = read_records(results / "train" / job for job in jobs)
        found = retraining(self.config, self.runs, records, code_version, results / "checkpoints")
        tflops = self.config["requests"]["tflops"]
        guard(found, self.requests.hours(found.runs), tflops, self.config["retrain_at_most"])

    def way(self) -> str:
        """How ``train`` trains, as options of its command: it changes no number, and so makes no run stale."""
        training = self.config["training"]
        switches = {"--recompute": training["recompute"], "--deterministic": training["deterministic"]}
        switches |= {"--drop-states": not training["keep_states"], "--keep-averages": training["keep_averages"]}
        values = ("device", "together", "checkpoint_seconds", "stop_after_minutes")
        options = [f"--{key.replace('_', '-')} {training[key]}" for key in values]
        return " ".join([*options, *(option for option, on in switches.items() if on)])

    def networks(self) -> list[str]:
        """The files of the user's own networks, which training jobs run."""
        files = [network_file(run.within(self.config)["network"]) for run in self._distinct_networks()]
        return sorted({str(file) for file in files if file})

    def measure_networks(self) -> None:
        for run in self._distinct_networks():
            if not is_built_in(run.within(self.config)["network"]):
                self.requests.cost(run)

    def _distinct_networks(self) -> Iterable[Run]:
        """A run for each size and setting of a network."""
        return {(run.base_channels, *run.settings.values()): run for run in self.runs}.values()

    def gpus(self, present: int) -> int:
        """GPUs that a job of ``train`` asks for, on a machine where so many are present."""
        wanted = self.config["training"]["device"]
        return int(wanted == "cuda" or (wanted == "auto" and present > 0))

    def gpus_to_measure(self, present: int, *spaces: str) -> int:
        """GPUs that a job asks for which looks at images in these spaces: published networks use one."""
        return int(present > 0 and any(space not in OWN_SPACES for space in spaces))

    def threads_to_measure(self, job: str) -> int:
        """CPU cores with which the neighbours of a pack's samples are searched: more where one would take minutes."""
        # Samples are on disk twice, and are held against a training set and as many others
        flops = sum(2 * self.requests.cost(run).sample_bytes * run.train_size for run in self.packs[job])
        return max(1, min(MOST_THREADS, round(flops / FLOPS_OF_A_THREAD)))

    def features(self, space: str) -> str:
        """Settings of ``features`` for one space."""
        weights = self.config["metrics"]["weights"]
        return canonical({"space": space, "weights": {name: weights[name] for name in weights if name == space}})

    def weights(self, *spaces: str) -> list[str]:
        """The files of weights that the config gives for these spaces, for Snakemake to watch."""
        given = self.config["metrics"]["weights"]
        return watchable(given[space] for space in spaces if space in given)

    def measure(self) -> str:
        """Settings of ``measure``."""
        return canonical({**self.config["metrics"], **self._section("confidence")})

    @functools.cached_property
    def comparisons(self) -> dict[str, list[Run]]:
        """By job path, the runs of which some differ only in the subset or only in the seed: those of whole packs."""
        apart = [axis for axis in axes_of(self.config["grid"]) if axis not in (*self.config["pack"], *REPEATED)]
        return {job: members for job, members in packs(self.runs, apart).items() if pairs(members)}

    def packs_of(self, comparison: str) -> list[str]:
        """The job paths of the packs that hold the runs of a comparison."""
        return list(dict.fromkeys(self._job_of[run.run_id] for run in self.comparisons[comparison]))

    @functools.cached_property
    def _job_of(self) -> dict[str, str]:
        """The job path of the pack that trains each run."""
        return {run.run_id: job for job, members in self.packs.items() for run in members}

    def sizes_with_seeds(self, comparison: str) -> list[int]:
        """The train sizes of a comparison's runs that differ in their seed, of those that `empirical_sizes` has."""
        seeds = {pair.run_id for pair in pairs(self.comparisons[comparison]) if pair.differs == "seed"}
        sizes = {run.train_size for run in self.comparisons[comparison] if run.run_id in seeds}
        return [size for size in self.empirical_sizes(*self.packs_of(comparison)) if size in sizes]

    def agree(self, comparison: str) -> str:
        """Settings of ``agree`` for one comparison."""
        compared = [[pair.run_id, pair.other_run_id, pair.differs] for pair in pairs(self.comparisons[comparison])]
        metrics = {key: self.config["metrics"][key] for key in ("spaces", "weights", "sscd_threshold")}
        return canonical({"pairs": compared, **metrics, **self._section("confidence")})

    @property
    def explored(self) -> list[str]:
        """Job paths of the packs whose samples the summary shows: all, or some that lie evenly in the grid's order."""
        every = max(1, math.ceil(len(self.jobs) / MOST_EXPLORED))
        return self.jobs[::every]

    @property
    def explored_files(self) -> list[str]:
        """Samples and their neighbours of these packs, and the images."""
        parts = ("train/{job}/samples.parquet", "measure/{job}/neighbours.parquet")
        return ["data/images.parquet", *(part.format(job=job) for job in self.explored for part in parts)]

    @functools.cached_property
    def checked_sizes(self) -> list[int]:
        """The least and the greatest number of training images that leave others to try metrics on; none, or one."""
        dataset = self.config["dataset"]
        left = describe(dataset).training_images(dataset["name"], dataset["test_images"]) - checked.FEWEST_OTHERS
        sizes = sorted({run.train_size for run in self.runs if 1 < run.train_size <= left})
        return sorted({sizes[0], sizes[-1]}) if sizes else []

    def metric_check(self) -> str:
        """Settings of ``metric_check``."""
        sizes = {"train_sizes": self.checked_sizes, "samples": [checked.SAMPLES]}
        return canonical({**sizes, **self._section("confidence")})

    def collect(self) -> str:
        """Settings of ``collect``."""
        return canonical(
            {
                "jobs": self.jobs,
                "comparisons": list(self.comparisons),
                "base": self.base,
                "noise_levels": self.config["evaluation"]["noise_levels"],
                **self._section("confidence"),
            }
        )

    def analyse(self) -> str:
        """Settings of ``analyse``."""
        details = {key: self.config["metrics"][key] for key in ("f_mem_threshold", "sscd_threshold")}
        details |= {"comparisons": list(self.comparisons)}
        details |= {"definitions": self.definitions, "axes": self._described_axes, **self._section("confidence")}
        return canonical({"jobs": self.jobs, **self.config["onset"], **details})

    def conclude(self) -> str:
        """Settings of ``conclude``."""
        return canonical({"axes": self._described_axes, **self._section("confidence")})

    @property
    def job_files(self) -> dict[str, tuple[str, ...]]:
        trained = {f"train/{job}": ("runs", "losses", "samples") for job in self.jobs}
        measured = {f"measure/{job}": ("metrics", "neighbours") for job in self.jobs}
        agreed = ("agreement", "agreement_over_pairs", "paired_samples")
        return {**trained, **measured, **{f"agree/{job}": agreed for job in self.comparisons}}

    @functools.cached_property
    def told(self) -> dict[str, Any]:
        """The config's ``figures``, and what else figures show of the study."""
        onset, name = self.config["onset"], self.config["formulation"]["name"]
        axes = {axis.name for axis in self.grid_axes}
        shared = {key: value for key, value in self.config["training"].items() if f"training.{key}" not in axes}
        return {
            **self.config["figures"],
            "thresholds": {key: onset[key] for key in THRESHOLDS},
            "rate": {key: onset[key] for key in ("rate_from", "rate_to")},
            "f_mem_threshold": self.config["metrics"]["f_mem_threshold"],
            "battery": self.config["metrics"]["battery"],
            "confidence": self.config["confidence"],
            # Published numbers are found by it, and none is of runs that are all trained in another way
            "formulation": None if learns_otherwise(shared) else name,
            "surrogates": self.surrogates,
            "axes": self._described_axes,
            "run_id": self.sheet_run()[1].run_id,
        }


def _type_of(values: Sequence[Any]) -> str:
    """The type of a column that holds some values, as of `axes.Axis`."""
    if all(isinstance(value, bool) for value in values):
        return "boolean"
    return "number" if all(isinstance(value, int | float) for value in values) else "string"


def _as_columns(axes: Sequence[Axis]) -> list[dict[str, str]]:
    """Axes as those who write tables know them."""
    return [{key: getattr(axis, key) for key in ("name", "column", "type", "meaning")} for axis in axes]
