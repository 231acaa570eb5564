"""The figures draw from any study's tables, say what they show, and come out the same twice."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.drawn_words import faults
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from memsweep.analysis.fidelity_trends import fidelity_trends
from memsweep.analysis.law import fit_law
from memsweep.analysis.law_tables import law_table
from memsweep.analysis.leads import leads
from memsweep.analysis.peaks import peaks as peaks_table
from memsweep.analysis.rates import memorisation_rate, rate_trends
from memsweep.analysis.scaling import ratios, scaling
from memsweep.base.errors import UserError
from memsweep.figures import selection, style, wording
from memsweep.figures.fits import height
from memsweep.figures.sweep import (
    agreement,
    battery,
    clocks,
    dynamics,
    joint_law,
    memorisation_time,
    novelty_fidelity,
    onset_ratios,
    peaks,
    sample_sheet,
    scaling_exponents,
    simplicity_bias,
)
from memsweep.figures.swept_axis import SweptAxis
from memsweep.study.axes import AXES, Axis, cell, swept_keys, text
from memsweep.study.config.schemas import schema
from memsweep.study.onsets import DEFINITIONS, DEPARTURES
from memsweep.tables.contracts import SCHEMAS
from memsweep.tables.contracts.sweep import axis_columns
from memsweep.tables.parquet import write_table

Tables = dict[str, pd.DataFrame]

_RULES: dict[str, Any] = {
    **schema()["properties"]["grid"]["properties"]["base"]["properties"],
    **dict(swept_keys(schema()["properties"])),
}


def axis_of(name: str, base: Any) -> Axis:
    """An axis as a study knows it."""
    return Axis.of(name, _RULES[name], base)


BASE = {"train_size": 256, "base_channels": 16, "batch_size": 64, "learning_rate": 1e-3, "seed": 0}
GRID = [axis_of(name, base) for name, base in BASE.items()]
SIZE, CHANNEL, BATCH, RATE, SEED = GRID
SWEPT = [SIZE, CHANNEL, BATCH, RATE]
OTHER = [
    axis_of("subset", 0),
    axis_of("training.weight_decay", 0.0),
    axis_of("network.kind", "unet"),
    axis_of("training.flip", False),
    axis_of("network.attention_levels", [1]),
]

SETTINGS: dict[str, Any] = {
    "palette": "viridis",
    "time": "normalised_step",
    "panels": ["loss", "f_mem", "sliced_wasserstein", "loss_gap"],
    "distance": "classifier",
    "confidence": 0.95,
    "axes": [axis.described() for axis in GRID],
    "axis": "train_size",
    "onset": "f_mem",
    "formulation": "rectified_flow",
    "thresholds": {"loss_gap_absolute": 0.05, "loss_gap_relative": 0.5, "f_mem": 0.05, "departure": 0.1, "bias": 0.7},
    "rate": {"rate_from": 0.05, "rate_to": 0.2},
    "surrogates": ["gaussian", "gaussian_mixture"],
    "f_mem_threshold": 1 / 3,
    "battery": ["nearer", "coverage"],
    "novelty": "f_mem",
    "sheet_steps": 4,
    "sheet_samples": 10,
}

SIZES, CHANNELS, BATCHES, RATES = (64, 128, 256, 512), (8, 16, 32), (16, 32, 64), (3e-4, 1e-3, 3e-3)
PARAMETERS = {8: 64_122, 16: 193_706, 32: 651_210}
STEPS = 12
SURROGATES = ("gaussian", "gaussian_mixture")
LISTED = (*DEFINITIONS, *DEPARTURES)


# --- a study whose onsets follow a power law -----------------------------------------


def points() -> list[tuple[Any, ...]]:
    """One factor at a time around a base point, two seeds along N and one elsewhere."""
    base = (256, 16, 64, 1e-3)
    swept = [
        *((size, 16, 64, 1e-3, seed) for size in SIZES for seed in (0, 1)),
        *((256, channels, 64, 1e-3, 0) for channels in CHANNELS),
        *((256, 16, batch, 1e-3, 0) for batch in BATCHES),
        *((256, 16, 64, rate, 0) for rate in RATES),
    ]
    return [point for place, point in enumerate(swept) if place < 8 or point[:4] != base]


def study() -> Tables:
    """The tables that a study of `points` would leave."""
    random = np.random.default_rng(0)
    names = ("runs", "trajectories", "metrics", "onsets", "excess")
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for number, point in enumerate(points()):
        run = dict(zip(AXES, point, strict=True))
        run_id = f"{number:012x}"
        size, channels, batch, rate = (run[axis] for axis in AXES[:4])
        scale = size / 64 * 64 / batch * 1e-3 / rate
        steps = np.round(np.geomspace(8, 900, STEPS)).astype(int)
        onset = 60 * scale**0.9 * (PARAMETERS[channels] / 193_706) ** -0.5 * np.exp(0.12 * random.normal())
        rows["runs"].append(
            {
                "run_id": run_id,
                **run,
                "subset": 0,
                "dataset": "digits",
                "parameters": PARAMETERS[channels],
                "max_steps": steps[-1],
                "status": "finished",
                "data_hash": "0" * 16,
                "code_version": "0" * 16,
            }
        )
        rows["trajectories"] += _losses(run_id, steps, onset, random)
        rows["metrics"] += _metrics(run_id, steps, onset, size, random)
        rows["onsets"] += _onsets(run_id, steps, onset, random)
        rows["excess"] += _excess(run_id, steps, rows["trajectories"])
    scaling = [
        {
            "definition": definition,
            "threshold": 0.1,
            "term": term,
            "exponent": exponent + shift,
            "ci_low": exponent + shift - 0.12 - abs(shift),
            "ci_high": exponent + shift + 0.12 + abs(shift),
            "runs": len(rows["runs"]),
            "censored_runs": 3 if definition == "f_mem" else 0,
            "left_censored_runs": 0,
        }
        for definition, shift in zip(LISTED, (-0.04, 0.03, 0.1, 0.22, 0.18, -0.9, -0.7), strict=True)
        for term, exponent in (("train_size", 1.0), ("batch_size", -1.0), ("learning_rate", -0.6), ("parameters", -0.4))
    ]
    tables = {**{name: pd.DataFrame(rows[name]) for name in rows}, "scaling": pd.DataFrame(scaling)}
    tables["agreement_over_pairs"] = _agreement(tables["runs"])
    tables["leads"] = leads(tables["onsets"], tables["runs"], 0.95)
    tables["ratios"] = pd.DataFrame(columns=SCHEMAS["ratios"].names)
    of_memorisation = tables["onsets"][tables["onsets"]["definition"].isin(DEFINITIONS)]
    tables["peaks"] = peaks_table(of_memorisation, tables["metrics"])
    tables["fidelity_trends"] = fidelity_trends(tables["peaks"], tables["runs"], GRID, 0.95)
    tables["law"] = _law(tables, GRID)
    tables |= _rates(tables["runs"], tables["metrics"])
    return {**tables, "baselines": _baselines()}


def _law(tables: Tables, axes: list[Axis]) -> pd.DataFrame:
    by_definition = tables["onsets"].groupby("definition", sort=False)
    return law_table({str(name): fit_law(under, tables["runs"], axes, 0.95) for name, under in by_definition})


def _rates(runs: pd.DataFrame, metrics: pd.DataFrame) -> Tables:
    """Rates of the shares, with intervals of replicates that are a little higher and lower, and their trends."""
    rows = []
    shares = metrics[(metrics["metric"] == "f_mem") & (metrics["reference"] == "train") & metrics["step"].notna()]
    for run_id, curve in shares.sort_values("step").groupby("run_id", sort=False):
        replicates = np.multiply.outer([1, 0.9, 1.1], curve["value"].to_numpy(float))
        rate = memorisation_rate(curve["step"].to_numpy(float), replicates, (0.05, 0.2), 0.95)
        rows.append({"run_id": run_id, "metric": "f_mem", **vars(rate)})
    rates = pd.DataFrame(rows, columns=SCHEMAS["rates"].names)
    return {"rates": rates, "rate_trends": rate_trends(rates, runs, GRID, 0.95)}


def _losses(run_id: str, steps: Any, onset: float, random: Any) -> list[dict[str, Any]]:
    early = 0.08 + 0.55 * (1 + steps / (0.05 * onset)) ** -0.9
    wobble = np.exp(0.015 * random.normal(size=(2, len(steps))))
    train = early / (1 + 0.35 * (steps / onset) ** 0.8) * wobble[0]
    test = (early + 0.06 * np.log1p((steps / onset) ** 1.3)) * wobble[1]
    gaussian, mixture = test * (1 + 0.8 * steps / (steps + 60)), test * (1 + 0.4 * steps / (steps + 300))
    return [
        {"run_id": run_id, "step": step, "split": split, "loss": loss, "ci_low": 0.95 * loss, "ci_high": 1.05 * loss}
        for split, losses in zip(("train", "test", *SURROGATES), (train, test, gaussian, mixture), strict=True)
        for step, loss in zip(steps, losses, strict=True)
    ]


def _excess(run_id: str, steps: Any, trajectories: list[dict[str, Any]]) -> list[dict[str, Any]]:
    losses = {(row["split"], row["step"]): row["loss"] for row in trajectories if row["run_id"] == run_id}
    rows = []
    for surrogate in SURROGATES:
        for step in steps:
            excess = losses[surrogate, step] / losses["test", step] - 1
            ends = {"ci_low": excess - 0.03, "ci_high": excess + 0.03}
            rows.append({"run_id": run_id, "step": step, "surrogate": surrogate, "excess": excess, **ends})
    return rows


def _baselines() -> pd.DataFrame:
    rows = [
        {"estimator": name, "train_size": None, "subset": None, "split": split, "noise_level": level, "loss": loss}
        for name, loss in zip(SURROGATES, (0.4, 0.25), strict=True)
        for split in ("test", *SURROGATES)
        for level in (None, 0.25, 0.75)
    ]
    rows += [
        {"estimator": "empirical", "train_size": size, "subset": 0, "split": split, "noise_level": None, "loss": loss}
        for size in SIZES
        for split, loss in (("train", 0.02 * size**0.3), ("test", 1e5))
    ]
    table = pd.DataFrame(rows).astype({"train_size": "Int64", "subset": "Int64", "noise_level": float})
    return table.assign(ci_low=0.9 * table["loss"], ci_high=1.1 * table["loss"])


def _metrics(run_id: str, steps: Any, onset: float, size: int, random: Any) -> list[dict[str, Any]]:
    share = np.round(500 / (1 + (steps / (10 * onset)) ** -1.8)) / 500
    share[share < 0.01] = 0
    control = random.binomial(500, 0.004, len(steps)) / 500
    distance = 40 * (1 + steps / (0.08 * onset)) ** -1.1 + 4 * (64 / size) ** 0.4 * (1 + 0.5 * share)
    noise = np.exp(0.04 * random.normal(size=(2, len(steps))))
    curves = [
        ("f_mem", "pixels", "train", share, 0.03),
        ("f_mem", "pixels", "control", control, 0.01),
        *(
            ("sliced_wasserstein", space, reference, factor * distance * noise[place], 0.05 * distance)
            for space, factor in (("pixels", 0.1), ("classifier", 1.0))
            for place, reference in enumerate(("train", "test"))
        ),
    ]
    rows = [
        {
            "run_id": run_id,
            "step": step,
            "metric": metric,
            "space": space,
            "reference": reference,
            "value": value,
            "ci_low": max(0.0, value - arm),
            "ci_high": value + arm,
            "generated": 500,
        }
        for metric, space, reference, values, arms in curves
        for step, value, arm in zip(steps, values, np.broadcast_to(arms, len(steps)), strict=True)
    ]
    held_out = {**rows[0], "step": None, "metric": "f_mem_held_out", "value": 0.002, "ci_low": 0.0, "ci_high": 0.01}
    return [*rows, held_out]


def _agreement(runs: pd.DataFrame) -> pd.DataFrame:
    """Of the two seeds of each size, as if they were pairs of both kinds: lean rises from a half to 1."""
    rows = []
    for _, pair in runs[runs["learning_rate"] == 1e-3].groupby(["train_size", "base_channels", "batch_size"]):
        if len(pair) < 2:
            continue
        of = {"run_id": pair["run_id"].iloc[0], "runs": 2, "pairs": 1, "reason": "two runs"}
        for place, step in enumerate(np.geomspace(8, 900, STEPS).round().astype(int)):
            rise = place / (STEPS - 1)
            for differs, space, measure, value in (
                ("subset", "pixels", "lean", 0.5 + rise / 2),
                *((kind, "classifier", "cosine", 1 - rise / each) for kind, each in (("subset", 2), ("seed", 9))),
                *((kind, "classifier", "distance", rise / each) for kind, each in (("subset", 1), ("seed", 4))),
            ):
                named = {"differs": differs, "step": step, "space": space, "measure": measure, "value": value}
                ends = {"latents_ci_low": value - 0.05, "latents_ci_high": value + 0.05}
                rows.append({**of, **named, "ci_low": np.nan, "ci_high": np.nan, **ends})
    return pd.DataFrame(rows)


def _onsets(run_id: str, steps: Any, onset: float, random: Any) -> list[dict[str, Any]]:
    rows = []
    for definition, factor in zip(LISTED, (0.5, 1.0, 1.3, 2.0, 1.8, 0.1, 0.3), strict=True):
        scatter = random.normal() if definition in DEFINITIONS else 0
        step = factor * onset * np.exp(0.08 * scatter)
        censored = step > steps[-1]
        ends = (steps[-1] * 0.9, np.inf) if censored else (step * 0.88, step * 1.15)
        rows.append(
            {
                "run_id": run_id,
                "definition": definition,
                "step": min(step, steps[-1]),
                "censored": censored,
                "left_censored": False,
                "ci_low": ends[0],
                "ci_high": ends[1],
            }
        )
    return rows


def write(tables: Mapping[str, pd.DataFrame], folder: Path) -> dict[str, Path]:
    """Write these tables and say where."""
    sources = {name: folder / f"{name}.parquet" for name in tables}
    others = [axis.described() for axis in OTHER[1:] if axis.column in tables["runs"]]
    for name, path in sources.items():
        table = tables[name].astype({"step": "Int64"}) if name == "metrics" else tables[name]
        write_table(path, name, table, extra=axis_columns(others) if name == "runs" else ())
    return sources


def write_sheet(tables: Tables, folder: Path, shape: tuple[int, int, int]) -> dict[str, Path]:
    """Smooth images, and samples of the first run that turn from noise into copies of them."""
    random = np.random.default_rng(1)
    height, width, channels = shape
    waves = random.normal(size=(64, 4, channels, 4))
    y, x = np.mgrid[0:height, 0:width] / height
    basis = np.stack([np.cos(2.5 * x), np.sin(3 * y), np.cos(3 * (x + y)), np.sin(4 * (x - y))])
    clean = np.clip(128 + 40 * np.einsum("nkc,khw->nhwc", waves[:, :, :, 0], basis), 0, 255)
    data = {"shape": ",".join(map(str, shape))}
    images = pd.DataFrame(
        {
            "index": range(64),
            "split": ["train", "test"] * 32,
            "label": 0,
            "image": [image.astype(np.uint8).tobytes() for image in clean],
        }
    )
    run_id = tables["runs"]["run_id"].iloc[0]
    steps = sorted(tables["trajectories"].query("run_id == @run_id")["step"].unique())
    samples, neighbours = [], []
    for place, step in enumerate(steps):
        for index in range(20):
            nearest = int(random.integers(32))
            copied = random.random() < place / len(steps)
            image = clean[2 * nearest] + random.normal(size=shape) * (4 if copied else 120 / (1 + place))
            pixels = np.clip(image, 0, 255).astype(np.uint8).tobytes()
            samples.append({"run_id": run_id, "step": step, "index": index, "label": 0, "image": pixels})
            for reference, ratio in (("train", 0.1 if copied else 0.8), ("control", 0.9)):
                neighbours.append(
                    {
                        "run_id": run_id,
                        "step": step,
                        "index": index,
                        "reference": reference,
                        "nearest": nearest,
                        "distance": ratio,
                        "second_distance": 1.0,
                        "similarity": None,
                    }
                )
    sources = write({"runs": tables["runs"], "neighbours": pd.DataFrame(neighbours)}, folder)
    for name, table in (("images", images), ("samples", pd.DataFrame(samples))):
        sources[name] = folder / f"{name}.parquet"
        write_table(sources[name], name, table, data)
    return sources


# --- what is asked of every figure ----------------------------------------------------

FIGURES: dict[str, ModuleType] = {
    "dynamics": dynamics,
    "battery": battery,
    "agreement": agreement,
    "memorisation_time": memorisation_time,
    "scaling_exponents": scaling_exponents,
    "joint_law": joint_law,
    "onset_ratios": onset_ratios,
    "simplicity_bias": simplicity_bias,
    "clocks": clocks,
    "peaks": peaks,
    "novelty_fidelity": novelty_fidelity,
}


@pytest.fixture
def tables() -> Tables:
    return study()


def drawn(name: str, tables: Tables, folder: Path, **settings: Any) -> Figure:
    """A figure laid out from these tables, given no table but those it names."""
    sources = write(tables, folder)
    module = FIGURES[name]
    figure: Figure = module.draw({table: sources[table] for table in module.SOURCES}, {**SETTINGS, **settings})
    figure.draw_without_rendering()
    return figure


def words(figure: Figure) -> str:
    """Every text of a figure."""
    return "\n".join(text.get_text() for text in figure.findobj(Text))


@pytest.mark.parametrize("name", [*FIGURES, "sample_sheet"])
def test_same_tables_give_the_same_files(
    name: str, tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "sample_sheet":
        sources, module = write_sheet(tables, tmp_path, (8, 8, 1)), sample_sheet
    else:
        sources, module = write(tables, tmp_path), FIGURES[name]
    settings = {**SETTINGS, "run_id": "0" * 12, "sheet_steps": 2}
    for copy, now in (("first", "0"), ("second", "1700000000")):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", now)
        figure = module.draw({table: sources[table] for table in module.SOURCES}, settings)
        style.save(figure, [tmp_path / copy / f"{name}.{kind}" for kind in ("pdf", "png")])
    for kind, magic in (("pdf", b"%PDF"), ("png", b"\x89PNG")):
        first, second = ((tmp_path / copy / f"{name}.{kind}").read_bytes() for copy in ("first", "second"))
        assert first.startswith(magic)
        assert first == second


@pytest.mark.parametrize("name", FIGURES)
def test_words_are_dark_enough_to_read(name: str, tables: Tables, tmp_path: Path) -> None:
    """The contrast of WCAG 2.1, level AA, against white paper."""
    for words in drawn(name, tables, tmp_path).findobj(Text):
        if words.get_visible() and words.get_text():
            channels = np.array(to_rgb(words.get_color()))
            linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
            assert 1.05 / (float(linear @ [0.2126, 0.7152, 0.0722]) + 0.05) >= 4.5, words.get_text()


@pytest.mark.parametrize("width", ["single", "double"])
@pytest.mark.parametrize("name", FIGURES)
def test_words_are_large_enough_and_hide_none_in_either_width(
    name: str, width: str, tables: Tables, tmp_path: Path
) -> None:
    assert faults(drawn(name, tables, tmp_path, width=width)) == []


@pytest.mark.parametrize("name", FIGURES)
def test_letters_of_panels_run_from_a_without_a_gap(name: str, tables: Tables, tmp_path: Path) -> None:
    for kept in (tables, {**tables, "runs": tables["runs"][tables["runs"]["train_size"].isin([128, 256])]}):
        titles = [ax.get_title(loc="left") for ax in drawn(name, kept, tmp_path).axes]
        letters = sorted(found[1] for title in titles if (found := re.match(r"\$\\bf\{(\w)\}\$", title)))
        assert letters == list(string.ascii_lowercase[: len(letters)])


@pytest.mark.parametrize("name", FIGURES)
def test_no_two_panels_have_one_title(name: str, tables: Tables, tmp_path: Path) -> None:
    if name == "clocks":  # whose titles say what each panel holds fixed
        return
    titles = [ax.get_title(loc="left").split("$  ", 1)[-1] for ax in drawn(name, tables, tmp_path).axes]
    titled = [title for title in titles if title and not title.startswith("$\\bf")]
    assert len(titled) == len(set(titled))


def test_wide_bands_do_not_set_a_logarithmic_scale(tables: Tables, tmp_path: Path) -> None:
    metrics = tables["metrics"].copy()
    metrics.loc[metrics["metric"] == "sliced_wasserstein", "ci_low"] = 1e-9
    ax = drawn("dynamics", {**tables, "metrics": metrics}, tmp_path).axes[2]
    lowest = min(
        float(np.min(np.asarray(line.get_ydata(), float)[-3:])) for line in ax.lines if len(line.get_ydata()) > 2
    )
    assert lowest / 2 < ax.get_ylim()[0] < lowest


def test_novelty_and_fidelity_have_their_intervals(tables: Tables, tmp_path: Path) -> None:
    (ax, *_) = drawn("novelty_fidelity", tables, tmp_path).axes
    along, fidelity = [found for found in ax.collections if isinstance(found, LineCollection)][:2]
    run = selection.along(tables["runs"], GRID, SIZE)["run_id"].min()
    last = tables["metrics"].query("metric == 'f_mem' and reference == 'train'").sort_values("step")
    last = last[last["run_id"] == run]
    ends = sorted(1 - last.iloc[-1][["ci_low", "ci_high"]].to_numpy(float))
    assert any(sorted(segment[:, 1]) == pytest.approx(ends) for segment in fidelity.get_segments())
    assert len(along.get_segments()) == len(fidelity.get_segments())


@pytest.mark.parametrize("name", FIGURES)
def test_one_run_is_enough(name: str, tables: Tables, tmp_path: Path) -> None:
    kept = {key: table.head(1) if key == "runs" else table for key, table in tables.items()}
    for key in ("trajectories", "metrics", "onsets", "peaks", "excess", "agreement_over_pairs"):
        kept[key] = tables[key][tables[key]["run_id"] == kept["runs"]["run_id"].iloc[0]]
    drawn(name, kept, tmp_path)


@pytest.mark.parametrize("name", FIGURES)
def test_tables_without_rows_leave_empty_panels(name: str, tables: Tables, tmp_path: Path) -> None:
    drawn(name, {key: table if key == "runs" else table.head(0) for key, table in tables.items()}, tmp_path)


# --- dynamics -------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [axis.column for axis in SWEPT])
def test_dynamics_has_a_line_for_each_value_and_split(axis: str, tables: Tables, tmp_path: Path) -> None:
    figure = drawn("dynamics", tables, tmp_path, axis=axis, time="step")
    values = len({"train_size": SIZES, "base_channels": CHANNELS, "batch_size": BATCHES, "learning_rate": RATES}[axis])
    # Loss and distance: train and test. Share: train, control and the threshold. Gap: itself and the threshold.
    assert [len(ax.lines) for ax in figure.axes] == [2 * values, 2 * values + 1, 2 * values, values + 1]
    labels = words(figure)
    for label in {"base_channels": ["64.1k", "194k", "651k"], "batch_size": ["16", "32", "64"]}.get(axis, []):
        assert label in labels


def test_panels_are_those_asked_for(tables: Tables, tmp_path: Path) -> None:
    figure = drawn("dynamics", tables, tmp_path, panels=["f_mem", "loss", "frechet"], distance="inception")
    assert len(figure.axes) == 3
    assert [ax.get_ylabel() for ax in figure.axes[:2]] == [r"$f_\mathrm{mem}$", "squared error per pixel"]
    assert figure.axes[2].get_title(loc="left").endswith("FID")
    assert [len(ax.lines) for ax in figure.axes[:2]] == [2 * len(SIZES) + 1, 2 * len(SIZES)]
    assert not figure.axes[2].lines  # nothing of that kind was measured
    assert all(ax.get_xlabel() for ax in figure.axes[1:])


def test_published_scores_stand_at_the_runs_they_are_of(tables: Tables, tmp_path: Path) -> None:
    runs = tables["runs"]
    paper = {64: 2048, 128: 4096, 256: 8192, 512: 16384}
    runs["train_size"] = runs["train_size"].map(paper)
    runs = runs.assign(dataset="cifar10", base_channels=128, parameters=92_670_610, batch_size=128, learning_rate=1e-4)
    tables["runs"] = runs.drop_duplicates(["train_size", "seed"])
    figure = drawn("dynamics", tables, tmp_path, panels=["sscd_score"], time="step")
    marks = sorted(tuple(np.ravel(line.get_xydata())) for line in figure.axes[0].lines if line.get_marker() == "D")
    assert marks == [(9.9e3, 0.05), (2.4e4, 0.05), (3.0e4, 0.5), (6.1e4, 0.05), (1.2e5, 0.5)]
    assert "digitised" in words(figure)
    figure = drawn("dynamics", tables, tmp_path, panels=["sscd_score"], formulation="ddpm")
    assert not [line for line in figure.axes[0].lines if line.get_marker() == "D"]


def test_a_diverged_run_ends_in_a_cross(tables: Tables, tmp_path: Path) -> None:
    run_id = tables["runs"]["run_id"].iloc[0]
    tables["runs"].loc[0, "status"] = "diverged"
    lost = (tables["trajectories"]["run_id"] == run_id) & (tables["trajectories"]["step"] > 100)
    tables["trajectories"].loc[lost, ["loss", "ci_low", "ci_high"]] = np.nan
    figure = drawn("dynamics", tables, tmp_path)
    crosses = [line for line in figure.axes[0].lines if line.get_marker() == "X"]
    (cross,) = crosses
    assert np.asarray(cross.get_xdata(), float).max() <= 100
    assert "diverged" in words(figure)


def test_no_copies_at_all(tables: Tables, tmp_path: Path) -> None:
    tables["metrics"].loc[tables["metrics"]["metric"] == "f_mem", ["value", "ci_low"]] = 0.0
    low, high = drawn("dynamics", tables, tmp_path).axes[1].get_ylim()
    assert low == -0.03  # the control, at 0, stays off the axis line
    assert high >= 2 * SETTINGS["thresholds"]["f_mem"]
    drawn("novelty_fidelity", tables, tmp_path)


def test_the_gap_combines_the_arms_of_both_intervals() -> None:
    row = {"run_id": "a", "step": 1, "time": 1.0, "train_size": 8}
    losses = pd.DataFrame(
        [
            {**row, "split": "train", "value": 1.0, "ci_low": 0.6, "ci_high": 1.3},
            {**row, "split": "test", "value": 2.0, "ci_low": 1.6, "ci_high": 2.3},
        ]
    )
    gap = dynamics._gaps(losses).iloc[0]
    assert gap["value"] == pytest.approx(1.0)
    assert gap["ci_low"] == pytest.approx(1.0 - 0.5)  # hypot(0.4, 0.3)
    assert gap["ci_high"] == pytest.approx(1.0 + 0.5)  # hypot(0.3, 0.4)


# --- memorisation time ------------------------------------------------------------------


def test_every_censored_run_is_a_hollow_triangle(tables: Tables, tmp_path: Path) -> None:
    shown = tables["runs"]["run_id"].head(8)
    expected = tables["onsets"][tables["onsets"]["run_id"].isin(shown)].groupby("definition")["censored"].sum()
    figure = drawn("memorisation_time", tables, tmp_path)
    for ax, definition in zip(figure.axes, DEFINITIONS, strict=True):
        assert sum(line.get_marker() == "^" for line in ax.lines) == expected[definition]
    assert expected["f_mem"] > 0


def test_an_onset_before_the_first_evaluation_is_a_triangle_that_points_down(tables: Tables, tmp_path: Path) -> None:
    onsets = tables["onsets"]
    early = (onsets["run_id"] == tables["runs"]["run_id"].iloc[0]) & (onsets["definition"] == "loss_gap_absolute")
    onsets.loc[early, ["left_censored", "ci_low"]] = [True, 0.0]
    figure = drawn("memorisation_time", tables, tmp_path)
    shapes = [[line.get_marker() for line in ax.lines].count("v") for ax in figure.axes]
    assert shapes == [int(definition == "loss_gap_absolute") for definition in DEFINITIONS]
    assert "at or before the first evaluation" in words(figure)


def test_when_all_onsets_are_censored_the_panel_says_so(tables: Tables, tmp_path: Path) -> None:
    tables["onsets"]["censored"] = True
    tables["onsets"]["ci_high"] = np.inf
    assert words(drawn("memorisation_time", tables, tmp_path)).count("every run ended before the onset") == len(
        DEFINITIONS
    )


def test_an_exponent_that_is_not_estimable(tables: Tables, tmp_path: Path) -> None:
    tables["scaling"].loc[:, ["exponent", "ci_low", "ci_high"]] = np.nan
    assert words(drawn("memorisation_time", tables, tmp_path)).count("exponent not estimable") == len(DEFINITIONS)
    assert words(drawn("scaling_exponents", tables, tmp_path)).count("not estimable") == 4 * len(LISTED)
    assert words(drawn("clocks", tables, tmp_path)).count("not estimable") == 16


def test_the_line_passes_through_onsets_on_a_power_law() -> None:
    sizes = np.array([64.0, 128, 256, 512])
    rows = pd.DataFrame({"train_size": sizes, "step": 3 * sizes**1.2, "censored": False, "left_censored": False})
    assert height(rows, (sizes / 100) ** 1.2) == pytest.approx(3 * 100**1.2)


def test_a_censored_run_below_the_line_raises_it_only_a_little_and_one_above_more() -> None:
    random = np.random.default_rng(0)
    sides = {"censored": False, "left_censored": False}
    seen = pd.DataFrame({"step": np.exp(random.normal(5, 0.2, 40)), **sides})

    def level(*more: pd.DataFrame) -> float:
        rows = pd.concat([seen, *more])
        return height(rows, np.ones(len(rows)))

    def level_with(end: float, side: str = "censored") -> float:
        return level(pd.DataFrame({"step": [end] * 10, **sides, side: True}))

    assert level_with(1.0) == pytest.approx(level(), rel=1e-3)
    assert level() < level_with(150.0) < level_with(200.0)
    assert level_with(1e5, "left_censored") == pytest.approx(level(), rel=1e-3)
    assert level() > level_with(150.0, "left_censored") > level_with(100.0, "left_censored")


# --- agreement ------------------------------------------------------------------------


def test_agreement_has_a_line_for_each_size_and_kind_of_pair_and_marks_both_onsets(
    tables: Tables, tmp_path: Path
) -> None:
    runs = tables["runs"].set_index("run_id")
    bias = tables["onsets"].query("definition == 'loss_gap_absolute'").assign(definition="bias", step=100.0)
    tables["onsets"] = pd.concat([tables["onsets"], bias.assign(censored=False)])
    tables["leads"] = leads(tables["onsets"], tables["runs"], 0.95)
    figure = drawn("agreement", tables, tmp_path, time="step")
    cosine, distance, lean, loss = figure.axes
    sizes = runs.loc[tables["agreement_over_pairs"]["run_id"].unique(), "train_size"].nunique()
    for ax, kinds in ((cosine, 2), (distance, 2), (lean, 1)):
        curves = [line for line in ax.lines if len(line.get_xdata()) == STEPS]
        assert len(curves) == kinds * sizes
    marks = [line for line in lean.lines if line.get_marker() == "P"]
    assert [line.get_xdata()[0] for line in marks] == pytest.approx([100.0] * len(marks))
    assert marks
    # On the curve, which is the same for every size
    rise = np.interp(np.log(100), np.log(np.geomspace(8, 900, STEPS).round()), np.linspace(0, 1, STEPS))
    assert [line.get_ydata()[0] for line in marks] == pytest.approx([0.5 + rise / 2] * len(marks))
    assert any(line.get_marker() == "v" for line in loss.lines)
    assert "trained on other images" in words(figure)
    assert "minimum / bias = " in words(figure)


def test_the_band_of_several_pairs_is_the_interval_over_runs(tables: Tables, tmp_path: Path) -> None:
    means = tables["agreement_over_pairs"]
    lean = means["measure"] == "lean"
    wide = {"ci_low": means["value"] - 0.2, "ci_high": means["value"] + 0.1}
    tables["agreement_over_pairs"] = means.assign(**{end: at.where(lean) for end, at in wide.items()})
    figure = drawn("agreement", tables, tmp_path, time="step")
    for ax, below, above in zip(figure.axes[:3], (0.05, 0.05, 0.2), (0.05, 0.05, 0.1), strict=True):
        curve = next(line for line in ax.lines if len(line.get_xdata()) == STEPS)
        band = ax.collections[0].get_paths()[0].get_extents()
        assert band.y0 == pytest.approx(min(curve.get_ydata()) - below)
        assert band.y1 == pytest.approx(max(curve.get_ydata()) + above)


def test_the_distance_to_a_memory_has_the_floor_that_two_seeds_show(tables: Tables, tmp_path: Path) -> None:
    metrics = tables["metrics"]
    share = metrics[(metrics["metric"] == "f_mem") & (metrics["reference"] == "train")]
    tables["metrics"] = pd.concat([metrics, share.assign(metric="empirical_distance", value=0.6)])
    panels = {"time": "step", "panels": ["loss", "empirical_distance"], "axis": "train_size"}
    figure = drawn("dynamics", tables, tmp_path, **panels)
    assert "no floor: no training set has two seeds" in words(figure)
    assert "floor: two seeds" not in words(figure)
    lines = len(figure.axes[1].lines)
    means = tables["agreement_over_pairs"]
    seeds = means[(means["differs"] == "seed") & (means["measure"] == "cosine")]
    floors = seeds.assign(measure="empirical_distance_floor", space="pixels", value=0.25)
    tables["agreement_over_pairs"] = pd.concat([means, floors])
    figure = drawn("dynamics", tables, tmp_path, **panels)
    assert "floor: two seeds" in words(figure)
    assert "no floor" not in words(figure)
    drawn_floors = [line for line in figure.axes[1].lines if set(line.get_ydata()) == {0.25}]
    assert len(drawn_floors) == len(figure.axes[1].lines) - lines > 1


def test_graded_novelty_is_twice_what_lean_leaves_and_fidelity_has_its_floor_taken_off(
    tables: Tables, tmp_path: Path
) -> None:
    metrics = tables["metrics"]
    at_steps = metrics[(metrics["metric"] == "f_mem") & (metrics["reference"] == "train")]
    lean = at_steps.assign(metric="lean", reference="control", value=0.75)
    square = at_steps.assign(metric="sliced_wasserstein_corrected", space="classifier", reference="test", value=-0.04)
    tables["metrics"] = pd.concat([metrics, lean, square])
    figure = drawn("novelty_fidelity", tables, tmp_path, novelty="graded")
    paths = [line for line in figure.axes[0].lines if len(line.get_xdata()) == STEPS]
    assert paths
    assert all(np.allclose(line.get_ydata(), 0.5) for line in paths)
    assert all(np.allclose(line.get_xdata(), -0.2) for line in paths)
    assert figure.axes[0].get_xscale() == "linear"
    assert "its floor taken off" in words(figure)


# --- simplicity bias and clocks -------------------------------------------------------


def test_simplicity_bias_has_losses_baselines_and_departures_of_each_n(tables: Tables, tmp_path: Path) -> None:
    tables["onsets"].loc[[4, 5, 11], ["censored", "ci_high"]] = [True, np.inf]
    figure = drawn("simplicity_bias", tables, tmp_path)
    top, bottom = figure.axes[:4], figure.axes[4:8]
    onsets = tables["onsets"].merge(tables["runs"].head(8)[["run_id", "train_size"]], on="run_id")
    for size, losses, excess in zip(SIZES, top, bottom, strict=True):
        assert f"$N$ = {size}" in losses.get_title(loc="left")
        # Four curves, and of each of the three baselines a line and its interval
        assert len(losses.lines) == 4 + 2 * 3
        levels = {float(line.get_ydata()[0]) for line in losses.lines if line.get_linestyle() == "--"}  # type: ignore[index]
        assert levels == {0.4, 0.25, 0.02 * size**0.3}
        here = onsets[(onsets["train_size"] == size) & onsets["definition"].isin(DEPARTURES)]
        shapes = [str(line.get_marker()) for line in excess.lines]
        assert shapes.count(">") == here["censored"].sum()
        assert shapes.count("o") == (~here["censored"]).sum()
    assert "P$ = 194k" in words(figure)


def test_simplicity_bias_of_many_values_shows_four(tables: Tables, tmp_path: Path) -> None:
    assert simplicity_bias._spread([1, 2, 3, 4, 5, 6, 7], 4) == [1, 3, 5, 7]
    assert simplicity_bias._spread([1, 2], 4) == [1, 2]


def test_one_surrogate_is_drawn_alone(tables: Tables, tmp_path: Path) -> None:
    for name, column in (("trajectories", "split"), ("excess", "surrogate"), ("baselines", "estimator")):
        tables[name] = tables[name][tables[name][column] != "gaussian"]
    for name in ("onsets", "scaling"):
        tables[name] = tables[name][tables[name]["definition"] != "departure"]
    figure = drawn("simplicity_bias", tables, tmp_path, surrogates=["gaussian_mixture"])
    assert "Gaussian surrogate" not in [text.get_text() for text in figure.findobj(Text)]
    assert "leaves Gaussian" not in words(drawn("clocks", tables, tmp_path))
    assert "leaves Gaussian" not in words(drawn("scaling_exponents", tables, tmp_path))


def test_without_departures_the_other_figures_are_as_they_were(tables: Tables, tmp_path: Path) -> None:
    for name in ("onsets", "scaling"):
        tables[name] = tables[name][tables[name]["definition"].isin(DEFINITIONS)]
    assert "leaves" not in words(drawn("scaling_exponents", tables, tmp_path))
    drawn("memorisation_time", tables, tmp_path)
    drawn("clocks", tables, tmp_path)


def test_clocks_says_both_exponents_and_their_difference(tables: Tables, tmp_path: Path) -> None:
    scaling = tables["scaling"]
    for definition, numbers in (("departure_mixture", (0.2, 0.1, 0.5)), ("f_mem", (1.0, 0.6, 1.4))):
        rows = (scaling["definition"] == definition) & (scaling["term"] == "train_size")
        scaling.loc[rows, ["exponent", "ci_low", "ci_high"]] = numbers
    text = words(drawn("clocks", tables, tmp_path))
    assert "$k$ = 0.20 [0.10, 0.50]" in text
    assert "$k$ = 1.00 [0.60, 1.40]" in text
    # 0.8 - hypot(0.4, 0.3) and 0.8 + hypot(0.4, 0.1)
    assert "of the last departure: 0.80 [0.30, 1.21]" in text


# --- scaling exponents --------------------------------------------------------------------


def test_an_axis_that_is_not_swept_has_no_group(tables: Tables, tmp_path: Path) -> None:
    tables["scaling"].loc[tables["scaling"]["term"] == "parameters", "runs"] = 0
    figure = drawn("scaling_exponents", tables, tmp_path)
    assert len(figure.axes) == 2 * 3
    assert "parameters" not in words(figure)


def test_one_vague_fit_does_not_hide_the_others(tables: Tables, tmp_path: Path) -> None:
    tables["scaling"].loc[0, ["ci_low", "ci_high"]] = [-400.0, np.inf]
    figure = drawn("scaling_exponents", tables, tmp_path)
    low, high = figure.axes[0].get_xlim()
    assert -4 < low < high < 4
    assert {"<", ">"} <= {str(line.get_marker()) for line in figure.axes[0].lines}
    assert "∞" in words(figure)


# --- joint law ----------------------------------------------------------------------------


def test_the_law_stands_beside_the_fits_of_single_axes(tables: Tables, tmp_path: Path) -> None:
    figure = drawn("joint_law", tables, tmp_path)
    law, alone = tables["law"], tables["scaling"].set_index(["term", "definition"])
    slopes = law[law["order"] == 1].set_index(["term", "definition"])
    panels = figure.axes[::2]
    assert panels[0].get_title(loc="left") == "training images $N$"
    for ax, term in zip(panels, slopes.index.unique("term"), strict=True):
        marks = [line for line in ax.lines if line.get_marker() not in ("None", "", "<", ">")]
        hollow = [float(np.ravel(line.get_xdata())[0]) for line in marks if line.get_markerfacecolor() == "w"]
        filled = [float(np.ravel(line.get_xdata())[0]) for line in marks if line.get_markerfacecolor() != "w"]
        assert filled == pytest.approx(slopes.loc[term].loc[list(LISTED), "estimate"].dropna().tolist())
        assert hollow == pytest.approx(alone.loc[term].loc[list(LISTED), "exponent"].tolist())


def test_the_law_says_its_curvatures_and_what_is_not_estimable(tables: Tables, tmp_path: Path) -> None:
    curved = (tables["law"]["order"] == 2) & (tables["law"]["term"] == "train_size")
    tables["law"].loc[curved, ["estimate", "kept"]] = [7.77, False]
    assert "7.77" not in words(drawn("joint_law", tables, tmp_path))
    tables["law"].loc[curved, "kept"] = True
    tables["law"].loc[~curved, ["estimate", "ci_low", "ci_high"]] = np.nan
    said = words(drawn("joint_law", tables, tmp_path))
    assert "7.77" not in said  # nor of an exponent that is not there
    assert said.count("not estimable") == 4 * len(LISTED)
    tables["law"].loc[(tables["law"]["term"] == "train_size") & ~curved, ["estimate", "ci_low", "ci_high"]] = 1.0
    assert words(drawn("joint_law", tables, tmp_path)).count("7.77") == len(LISTED)


def test_a_law_of_names_alone_has_no_exponents(any_tables: Tables, tmp_path: Path) -> None:
    tables = {**any_tables, "law": any_tables["law"][any_tables["law"]["value"].notna()]}
    assert "no axis of positive numbers is swept" in words(drawn("joint_law", tables, tmp_path, **ANY))


# --- peaks ----------------------------------------------------------------------------------


def lines(figure: Figure, marker: str) -> list[Any]:
    return [line for ax in figure.axes for line in ax.lines if line.get_marker() == marker]


def test_peaks_has_two_rows_and_a_column_for_each_swept_axis(tables: Tables, tmp_path: Path) -> None:
    figure = drawn("peaks", tables, tmp_path)
    assert len(figure.axes) == 2 * 4
    trends = tables["fidelity_trends"]
    trends = trends[(trends["definition"] == "f_mem") & (trends["metric"] == "sliced_wasserstein_corrected")]
    shown = trends[(trends["space"] == "classifier") & trends["exponent"].notna()]
    assert words(figure).count("less floor") == len(shown)
    tables["runs"] = tables["runs"][tables["runs"]["learning_rate"] == 1e-3]
    figure = drawn("peaks", tables, tmp_path)
    assert [ax.get_xlabel() for ax in figure.axes[3:]] == [wording.axis_label(axis) for axis in SWEPT[:3]]


def test_censored_peaks_are_hollow_and_runs_without_a_rate_in_words(tables: Tables, tmp_path: Path) -> None:
    shown = tables["peaks"][tables["peaks"]["definition"] == "f_mem"].set_index("run_id")
    figure = drawn("peaks", tables, tmp_path)
    runs = [run_id for axis in SWEPT for run_id in selection.along(tables["runs"], GRID, axis)["run_id"]]
    fidelity = shown[(shown["metric"] == "sliced_wasserstein") & (shown["space"] == "classifier")].loc[runs]
    rates = tables["rates"].set_index("run_id").loc[runs]
    assert rates["value"].notna().any()
    assert len(lines(figure, "v")) == fidelity["censored"].sum() + rates["at_most"].notna().sum()
    assert fidelity["censored"].any()
    said = [re.match(r"no rate yet: (\d+) runs?$", text.get_text()) for ax in figure.axes for text in ax.texts]
    assert sum(int(count[1]) for count in said if count) == rates[["value", "at_most"]].isna().all(axis=1).sum() > 0
    assert len(lines(figure, "o")) == (~fidelity["censored"]).sum() + rates["value"].notna().sum()
    drawn_values = sorted(
        float(np.asarray(line.get_ydata())[0]) for line in figure.axes[0].lines if line.get_marker() in "ov"
    )
    along = selection.along(tables["runs"], GRID, SIZE)["run_id"]
    assert drawn_values == pytest.approx(sorted(fidelity.loc[along, "value"].groupby(level=0).first()))


def test_seeds_stand_side_by_side_around_their_value(tables: Tables) -> None:
    places = SweptAxis.among(tables["runs"], GRID, SIZE).placed()
    grouped = np.log(places["place"]).groupby(places["train_size"])
    assert grouped.nunique().tolist() == [2] * len(SIZES)
    assert np.exp(grouped.mean()).tolist() == pytest.approx(list(SIZES))


def paper_study() -> Tables:
    """The synthetic study moved to the sweep of N of Marion & Wu 2026; everything else is its own."""
    tables = study()
    along = selection.along(tables["runs"], GRID, SIZE)
    runs = along.assign(
        train_size=along["train_size"] * 32,  # 2048 to 16384
        base_channels=128,
        parameters=92_670_610,
        batch_size=128,
        learning_rate=1e-4,
        dataset="cifar10",
    )
    metrics = tables["metrics"].replace({"space": {"classifier": "inception"}})
    at_peaks = peaks_table(tables["onsets"], metrics)
    trends = tables["fidelity_trends"].head(0)
    return {**tables, "runs": runs, "metrics": metrics, "peaks": at_peaks, "fidelity_trends": trends}


PAPER = {"distance": "inception"}
MARKED = "Marion & Wu 2026, digitised"


def marks(figure: Figure) -> list[list[tuple[float, float]]]:
    """The published marks of each panel."""
    return [
        [tuple(float(np.asarray(end)[0]) for end in line.get_data()) for line in ax.lines if line.get_marker() == "D"]
        for ax in figure.axes
    ]


def test_published_onsets_appear_at_the_papers_setting(tmp_path: Path) -> None:
    figure = drawn("memorisation_time", paper_study(), tmp_path)
    minimum, gap, relative, share, _ = marks(figure)
    assert minimum == [(2048, 1.0e3), (4096, 2.8e3), (8192, 4.9e3), (16384, 1.1e4)]
    assert gap == [(2048, 2.8e3), (4096, 6.4e3), (8192, 1.5e4), (16384, 4.0e4)]
    assert relative == share == []
    assert MARKED in words(figure)
    low, high = figure.axes[0].get_ylim()
    assert low < 1.0e3
    assert high > 4.0e4
    other = {"thresholds": {**SETTINGS["thresholds"], "loss_gap_absolute": 0.02}}
    assert marks(drawn("memorisation_time", paper_study(), tmp_path, **other))[1][0] == (2048, 2.2e3)
    other["thresholds"]["loss_gap_absolute"] = 0.03
    assert marks(drawn("memorisation_time", paper_study(), tmp_path, **other))[1] == []


def test_published_peaks_keep_their_ratios_and_stand_among_the_runs(tmp_path: Path) -> None:
    tables = paper_study()
    figure = drawn("peaks", tables, tmp_path, **PAPER)
    top, bottom = marks(figure)
    assert bottom == []
    sizes, values = zip(*top, strict=True)
    assert sizes == (2048, 4096, 8192, 16384)
    assert np.array(values) / values[0] == pytest.approx(np.array([30.6, 14.1, 7.4, 4.8]) / 30.6)
    ours = tables["peaks"].merge(tables["runs"][["run_id", "train_size"]], on="run_id")
    ours = ours[(ours["definition"] == "f_mem") & (ours["space"] == "inception")]
    ours = ours[ours["metric"] == "sliced_wasserstein"]
    centre = np.log(ours["value"]).groupby(ours["train_size"]).mean().mean()
    assert np.log(values).mean() == pytest.approx(centre)
    assert f"{MARKED}, scaled to these runs" in words(figure)


@pytest.mark.parametrize(
    ("columns", "settings"),
    [
        ({"dataset": "digits"}, {}),
        ({"parameters": int(92_670_610 * 1.002)}, {}),
        ({"batch_size": 64}, {}),
        ({"learning_rate": 1.1e-4}, {}),
        ({}, {"formulation": "ddpm"}),
        ({}, {"formulation": None}),
    ],
)
def test_published_marks_appear_nowhere_else(columns: dict[str, Any], settings: dict[str, Any], tmp_path: Path) -> None:
    tables = paper_study()
    tables["runs"] = tables["runs"].assign(**columns)
    for name in ("memorisation_time", "peaks"):
        figure = drawn(name, tables, tmp_path, **{**PAPER, **settings})
        assert not any(marks(figure))
        assert "Marion" not in words(figure)


@pytest.mark.parametrize("settings", [{"distance": "classifier"}, {"onset": "test_loss_minimum"}])
def test_published_peaks_need_the_papers_space_and_an_onset_after_them(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    assert not any(marks(drawn("peaks", paper_study(), tmp_path, **{**PAPER, **settings})))


def test_a_study_of_digits_has_no_published_marks(tables: Tables, tmp_path: Path) -> None:
    for name in ("memorisation_time", "peaks"):
        assert not any(marks(drawn(name, tables, tmp_path)))


# --- novelty and fidelity -------------------------------------------------------------------


def test_up_and_right_are_better_and_every_run_has_an_end(tables: Tables, tmp_path: Path) -> None:
    figure = drawn("novelty_fidelity", tables, tmp_path)
    left, right = figure.axes[0].get_xlim()
    bottom, top = figure.axes[0].get_ylim()
    assert left > right
    assert bottom < top
    assert len(figure.axes[0].lines) == 2 * len(SIZES)
    dots = [found for found in figure.axes[0].collections if isinstance(found, PathCollection)]
    assert len(dots) == 2 * 2 * len(SIZES)  # those of each run, and its end


# --- sample sheet -----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(8, 8, 1), (32, 32, 3)])
def test_the_sheet_frames_the_copies_it_shows(shape: tuple[int, int, int], tables: Tables, tmp_path: Path) -> None:
    sources = write_sheet(tables, tmp_path, shape)
    run_id = tables["runs"]["run_id"].iloc[0]
    figure = sample_sheet.draw(sources, {**SETTINGS, "run_id": run_id})
    (ax,) = figure.axes
    assert len(ax.images) == 2 * SETTINGS["sheet_steps"] * SETTINGS["sheet_samples"]
    neighbours = pd.read_parquet(sources["neighbours"]).query("reference == 'train'")
    steps = sample_sheet.spread(sorted(neighbours["step"].unique()), SETTINGS["sheet_steps"])
    shown = neighbours[neighbours["step"].isin(steps) & (neighbours["index"] < SETTINGS["sheet_samples"])]
    assert len(ax.patches) == (shown["distance"] / shown["second_distance"] < 1 / 3).sum() > 0
    last = neighbours[neighbours["step"] == steps[-1]]
    assert f"= {100 * (last['distance'] < 1 / 3).mean():.3g} %" in words(figure)


def test_the_sheet_shows_the_nearest_image_of_the_training_split(tables: Tables, tmp_path: Path) -> None:
    sources = write_sheet(tables, tmp_path, (8, 8, 1))
    figure = sample_sheet.draw(sources, {**SETTINGS, "run_id": "0" * 12, "sheet_steps": 1, "sheet_samples": 1})
    neighbours = pd.read_parquet(sources["neighbours"]).query("reference == 'train' and index == 0")
    images = pd.read_parquet(sources["images"]).query("split == 'train'")
    expected = images["image"].iloc[neighbours.sort_values("step")["nearest"].iloc[-1]]
    _, below = figure.axes[0].images
    assert np.asarray(below.get_array()).astype(np.uint8).tobytes() == expected


def test_a_sheet_of_more_samples_than_there_are(tables: Tables, tmp_path: Path) -> None:
    sources = write_sheet(tables, tmp_path, (8, 8, 1))
    settings = {**SETTINGS, "run_id": "0" * 12, "sheet_steps": 100, "sheet_samples": 100}
    figure = sample_sheet.draw(sources, settings)
    assert len(figure.axes[0].images) == 2 * STEPS * 20


def test_a_sheet_of_an_unknown_run_is_an_error(tables: Tables, tmp_path: Path) -> None:
    sources = write_sheet(tables, tmp_path, (8, 8, 1))
    with pytest.raises(UserError, match=r"samples\.parquet: no samples of run f{12}"):
        sample_sheet.draw(sources, {**SETTINGS, "run_id": "f" * 12})


def test_steps_are_spread_on_a_logarithmic_axis() -> None:
    assert sample_sheet.spread([1, 2, 4, 8, 16, 32, 64], 3) == [1, 8, 64]
    assert sample_sheet.spread([1, 90, 95, 100], 3) == [1, 90, 100]
    assert sample_sheet.spread([5, 7], 6) == [5, 7]
    assert sample_sheet.spread([5, 7], 1) == [7]


# --- axes of any kind ---------------------------------------------------------------------------

VALUES: dict[str, list[Any]] = {
    "training.weight_decay": [0.1, 0.0, 0.01],
    "network.kind": ["unet", "dit", "mlp"],
    "training.flip": [False, True],
    "network.attention_levels": [[], [1], [1, 2]],
}
FACTORS = {0.1: 2.0, 0.01: 1.4, "dit": 0.5, "mlp": 3.0, True: 2.5}
ANY_AXES = [*GRID, *OTHER]
ANY = {"axes": [axis.described() for axis in ANY_AXES]}


def any_study() -> Tables:
    """N and each of `VALUES` swept around one base point, at two seeds of two subsets."""
    base = {axis.column: axis.base for axis in ANY_AXES} | {"train_size": 64}
    swept = [*(("train_size", size) for size in SIZES)]
    swept += [(axis.column, cell(axis.name, value)) for axis in OTHER[1:] for value in VALUES[axis.name]]
    points = {
        tuple({**base, column: value, "seed": seed, "subset": subset}.items()): value
        for column, value in swept
        for seed in (0, 1)
        for subset in (0, 1)
    }
    random = np.random.default_rng(3)
    names = ("runs", "trajectories", "metrics", "onsets", "excess")
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for number, (point, value) in enumerate(points.items()):
        run, run_id, steps = dict(point), f"{number:012x}", np.round(np.geomspace(8, 900, STEPS)).astype(int)
        onset = 60 * run["train_size"] / 64 * FACTORS.get(value, 1.0) * np.exp(0.1 * random.normal())
        parameters = {"unet": 193_706, "dit": 400_000, "mlp": 90_000}[run["network_kind"]]
        about = {"dataset": "digits", "parameters": parameters, "max_steps": steps[-1], "status": "finished"}
        rows["runs"].append({"run_id": run_id, **run, **about, "data_hash": "0" * 16, "code_version": "0" * 16})
        rows["trajectories"] += _losses(run_id, steps, onset, random)
        rows["metrics"] += _metrics(run_id, steps, onset, run["train_size"], random)
        rows["onsets"] += _onsets(run_id, steps, onset, random)
        rows["excess"] += _excess(run_id, steps, rows["trajectories"])
    tables = {name: pd.DataFrame(rows[name]) for name in names}
    for table in (scaling, ratios):
        tables[table.__name__] = table(tables["onsets"], tables["runs"], ANY_AXES, 0.95)
    tables["scaling"] = tables["scaling"].assign(threshold=0.1)
    of_memorisation = tables["onsets"][tables["onsets"]["definition"].isin(DEFINITIONS)]
    at_peaks = peaks_table(of_memorisation, tables["metrics"])
    tables["fidelity_trends"] = fidelity_trends(at_peaks, tables["runs"], GRID, 0.95)
    tables |= _rates(tables["runs"], tables["metrics"])
    tables["agreement_over_pairs"] = pd.DataFrame(columns=SCHEMAS["agreement_over_pairs"].names)
    return {**tables, "peaks": at_peaks, "law": _law(tables, ANY_AXES), "baselines": _baselines()}


@pytest.fixture(scope="module")
def any_tables() -> Tables:
    return any_study()


def ticks(ax: Any) -> list[str]:
    return [label.get_text() for label in ax.get_xticklabels()]


def labelled(figure: Figure) -> dict[str, Any]:
    return {ax.get_xlabel(): ax for ax in figure.axes if ax.get_xlabel()}


@pytest.mark.parametrize(
    ("column", "shown"),
    [
        ("training_weight_decay", ["0", "0.01", "0.1"]),
        ("network_kind", ["unet", "dit", "mlp"]),
        ("training_flip", ["false", "true"]),
        ("network_attention_levels", ["[1]", "[]", "[1, 2]"]),
    ],
)
def test_values_without_a_logarithm_stand_at_equal_distances(
    column: str, shown: list[str], any_tables: Tables, tmp_path: Path
) -> None:
    """Numbers in their order, others as the runs have them, each under its value; with ratios and no power law."""
    figure = drawn("memorisation_time", any_tables, tmp_path, **ANY, axis=column)
    ax = figure.axes[DEFINITIONS.index("f_mem")]
    assert ax.get_xscale() == "linear"
    assert ticks(ax) == shown
    assert ax.get_xticks().tolist() == list(range(len(shown)))
    onsets = any_tables["onsets"].merge(any_tables["runs"], on="run_id").query("definition == 'f_mem'")
    axis = next(axis for axis in ANY_AXES if axis.column == column)
    onsets = onsets[onsets["run_id"].isin(selection.along(any_tables["runs"], ANY_AXES, axis)["run_id"])]
    by_place: dict[int, list[float]] = {}
    for line in ax.lines:
        if line.get_marker() in ("o", "^"):
            x, y = (float(np.ravel(data)[0]) for data in line.get_data())
            by_place.setdefault(round(x), []).append(y)
    values = {text(value): rows["step"].tolist() for value, rows in onsets.groupby(onsets[column].map(value_text))}
    assert {shown[place]: sorted(steps) for place, steps in by_place.items()} == {
        label: sorted(steps) for label, steps in values.items()
    }
    assert "propto" not in words(figure)
    row = any_tables["ratios"][any_tables["ratios"]["axis"] == column].iloc[0]
    assert f"\N{MULTIPLICATION SIGN}{wording.ratio_label(row['ratio'])} [" in words(figure)


def value_text(value: Any) -> str:
    """A value as it stands below a panel."""
    return wording.number_label(value) if isinstance(value, float) else text(value)


def test_levels_are_the_fitted_ratios_apart(any_tables: Tables, tmp_path: Path) -> None:
    figure = drawn("memorisation_time", any_tables, tmp_path, **ANY, axis="network_kind")
    known = any_tables["ratios"][any_tables["ratios"]["axis"] == "network_kind"]
    for ax, definition in zip(figure.axes, DEFINITIONS, strict=True):
        levels = [line for line in ax.lines if line.get_marker() == "None" and np.ptp(np.ravel(line.get_ydata())) == 0]
        heights = {
            round(float(np.mean(np.ravel(line.get_xdata())))): float(np.ravel(line.get_ydata())[0]) for line in levels
        }
        fits = known[known["definition"] == definition].set_index("value")
        for place, value in ((1, "dit"), (2, "mlp")):
            assert heights[place] / heights[0] == pytest.approx(fits.loc[value, "ratio"])


def test_names_have_colours_apart_and_numbers_a_scale(any_tables: Tables) -> None:
    along = {axis.column: SweptAxis.among(any_tables["runs"], ANY_AXES, axis) for axis in ANY_AXES if not axis.repeats}
    sizes = along["training_weight_decay"].colours("viridis")
    assert list(sizes) == [0.0, 0.01, 0.1]
    assert list(sizes.values()) == list(style.colours([0, 0.01, 0.1], "viridis").values())
    kinds = along["network_kind"].colours("viridis")
    assert len(set(kinds.values())) == 3
    assert not set(kinds.values()) & set(style.colours(range(3), "viridis").values())
    assert len(set(style.distinct_colours([str(number) for number in range(12)]).values())) == 12


def test_n_keeps_its_power_law_beside_other_axes(any_tables: Tables, tmp_path: Path) -> None:
    figure = drawn("memorisation_time", any_tables, tmp_path, **ANY)
    assert figure.axes[-1].get_xscale() == "log"
    assert words(figure).count(r"\tau \propto N^k") == len(DEFINITIONS)


@pytest.mark.parametrize(
    ("values", "logarithmic"),
    [
        ([16, 32, 64], True),
        ([0.0, 0.1], False),
        ([0.9, 0.99, 0.999, 0.9999], False),  # 1 % of the range between the last two
        ([0.99, 0.999], False),
        ([2], True),
    ],
)
def test_a_logarithm_that_tells_nothing_is_not_taken(values: list[float], logarithmic: bool) -> None:
    axis = Axis.of("training.some", {"type": "number"}, None)
    runs = pd.DataFrame({"run_id": [str(value) for value in values], "training_some": values, "seed": 0})
    assert SweptAxis.among(runs.assign(train_size=1), [SIZE, axis, SEED], axis).logarithmic == logarithmic


def test_every_figure_says_what_other_axes_are_held_at(any_tables: Tables, tmp_path: Path) -> None:
    fixed = wording.held_fixed(any_tables["runs"].head(4), ANY_AXES, SIZE)
    assert fixed == (
        r"$P$ = 194k,  $B$ = 64,  $\eta$ = $10^{-3}$,  weight decay = 0,  network = unet,  flips = false,  "
        "attention levels = [1],  up to 2 seeds per value,  up to 2 subsets per value"
    )
    lines = wording.held_fixed(any_tables["runs"].head(4), ANY_AXES, SIZE, 60).split("\n")
    assert len(lines) == 3
    assert max(map(wording.letters, lines)) <= 61
    assert " ".join(" ".join(lines).split()) == " ".join(fixed.split())
    for name in ("memorisation_time", "dynamics", "clocks", "novelty_fidelity"):
        assert "weight decay = 0" in words(drawn(name, any_tables, tmp_path, **ANY))


def test_parameters_are_not_fixed_where_the_network_changes(any_tables: Tables) -> None:
    kinds = SweptAxis.among(any_tables["runs"], ANY_AXES, OTHER[2])
    assert kinds.held_fixed().startswith("$N$ = 64,  base channels = 16,")


def test_runs_along_an_axis_are_equal_on_all_others_but_repetitions(any_tables: Tables) -> None:
    runs = any_tables["runs"]
    assert [axis.column for axis in selection.swept(runs, ANY_AXES)] == [
        "train_size",
        "training_weight_decay",
        "network_kind",
        "training_flip",
        "network_attention_levels",
    ]
    for axis in selection.swept(runs, ANY_AXES):
        along = selection.along(runs, ANY_AXES, axis)
        assert len(along) == 4 * along[axis.column].nunique()
        for other in ANY_AXES:
            assert along[other.column].nunique() == (2 if other.repeats else 1) or other == axis


def test_bands_hold_all_subsets_of_a_value(any_tables: Tables) -> None:
    runs = selection.along(any_tables["runs"], ANY_AXES, OTHER[2])
    rows = selection.timed(any_tables["trajectories"].query("split == 'test'"), runs, "step").rename(
        columns={"loss": "value"}
    )
    bands = selection.over_repetitions(rows, OTHER[2])
    assert len(bands) == 3 * STEPS
    first = rows[(rows["network_kind"] == "dit") & (rows["step"] == rows["step"].min())]
    assert len(first) == 4
    band = bands[(bands["network_kind"] == "dit") & (bands["step"] == rows["step"].min())].iloc[0]
    assert band[["low", "high"]].tolist() == [first["ci_low"].min(), first["ci_high"].max()]


def test_all_panels_of_many_axes_have_a_letter_and_a_label(any_tables: Tables, tmp_path: Path) -> None:
    names = ["training images $N$", "weight decay", "network", "flips", "attention levels"]
    figure = drawn("peaks", any_tables, tmp_path, **ANY)
    assert len(figure.axes) == 2 * 5
    assert list(labelled(figure)) == names
    assert list(labelled(drawn("clocks", any_tables, tmp_path, **ANY))) == names
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert len({title.split()[0] for title in titles}) == 10
    assert sum("peak fidelity" in title for title in titles) == 2  # at the head of each row
    heights = [tuple(ax.get_ylim()) for ax in figure.axes if "fidelity" in ax.get_title(loc="left")]
    assert len(set(heights)) == 1


def test_one_axis_of_names_is_enough_for_simplicity_bias(any_tables: Tables, tmp_path: Path) -> None:
    tables = {**any_tables, "runs": any_tables["runs"][any_tables["runs"]["train_size"] == 64]}
    tables["runs"] = tables["runs"][tables["runs"]["training_weight_decay"] == 0]
    figure = drawn("simplicity_bias", tables, tmp_path, **ANY)
    assert [ax.get_title(loc="left").split("  ")[1] for ax in figure.axes[:3]] == [
        "network = unet",
        "network = dit",
        "network = mlp",
    ]


def test_baselines_of_several_subsets_are_one_line_over_them_and_of_this_formulation(
    any_tables: Tables, tmp_path: Path
) -> None:
    baselines = any_tables["baselines"]
    empirical = baselines["estimator"] == "empirical"
    second = baselines[empirical].assign(subset=1, loss=2 * baselines["loss"], ci_high=3.0)
    other = baselines[~empirical].assign(loss=0.7)
    baselines = pd.concat(
        [baselines.assign(training_flip=False), second.assign(training_flip=False), other.assign(training_flip=True)]
    )
    here = any_tables["runs"].query("train_size == 64 and not training_flip and network_kind == 'unet'")
    shown = simplicity_bias._of_these(baselines[baselines["noise_level"].isna()], here).set_index(
        ["estimator", "split"]
    )
    assert shown.index.is_unique
    assert shown.loc[("gaussian", "test"), "loss"] == 0.4
    first = 0.02 * 64**0.3
    assert shown.loc[("empirical", "train"), ["loss", "ci_low", "ci_high"]].tolist() == pytest.approx(
        [1.5 * first, 0.9 * first, 3.0]
    )


def test_ratios_stand_at_their_value_with_their_interval(any_tables: Tables, tmp_path: Path) -> None:
    figure = drawn("onset_ratios", any_tables, tmp_path, **ANY)
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == ["weight decay, over 0", "network, over unet", "flips, over false", "attention levels, over [1]"]
    for ax, axis in zip(figure.axes, OTHER[1:], strict=True):
        known = any_tables["ratios"][any_tables["ratios"]["axis"] == axis.column]
        marks = sorted(
            float(np.ravel(line.get_xdata())[0]) for line in ax.lines if line.get_marker() not in ("None", "")
        )
        assert marks == pytest.approx(sorted(known["ratio"]))
        bars = [tuple(np.ravel(line.get_xdata())) for line in ax.lines if len(np.ravel(line.get_xdata())) == 2]
        for row in known.to_dict("records"):
            assert (row["ci_low"], row["ci_high"]) in bars
    assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == ["dit", "mlp"]


def test_a_ratio_that_cannot_be_told_is_said_to_be(any_tables: Tables, tmp_path: Path) -> None:
    tables = {**any_tables, "ratios": any_tables["ratios"].copy()}
    tables["ratios"].loc[tables["ratios"]["axis"] == "training_flip", ["ratio", "ci_low", "ci_high"]] = np.nan
    assert words(drawn("onset_ratios", tables, tmp_path, **ANY)).count("not estimable") == 1
    figure = drawn("memorisation_time", tables, tmp_path, **ANY, axis="training_flip")
    assert words(figure).count("ratios not estimable") == len(DEFINITIONS)


def test_one_vague_ratio_does_not_hide_the_others(any_tables: Tables, tmp_path: Path) -> None:
    tables = {**any_tables, "ratios": any_tables["ratios"].copy()}
    tables["ratios"].loc[0, ["ci_low", "ci_high"]] = [1e-300, np.inf]
    figure = drawn("onset_ratios", tables, tmp_path, **ANY)
    low, high = figure.axes[0].get_xlim()
    assert 0.05 < low < high < 20
    assert {"<", ">"} <= {str(line.get_marker()) for line in figure.axes[0].lines}


# --- style --------------------------------------------------------------------------------------


def runs_table(*rows: tuple[str, int, int, int, float, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["run_id", *AXES])


def test_along_takes_the_longest_sweep_then_the_most_runs_then_the_nearest_to_the_base() -> None:
    runs = runs_table(
        ("a", 64, 8, 16, 1e-3, 0),
        ("b", 64, 16, 16, 1e-3, 0),
        ("c", 128, 16, 16, 1e-3, 0),
        ("d", 64, 8, 32, 1e-3, 0),
        ("e", 128, 8, 32, 1e-3, 0),
        ("f", 128, 8, 32, 1e-3, 1),
        ("g", 64, 8, 64, 1e-3, 0),
        ("h", 64, 8, 64, 1e-3, 1),
        ("i", 64, 8, 64, 1e-3, 2),
        ("j", 64, 8, 64, 1e-3, 3),
    )
    assert selection.along(runs, GRID, SIZE)["run_id"].tolist() == ["d", "e", "f"]
    assert selection.along(runs, GRID, RATE)["run_id"].tolist() == ["g", "h", "i", "j"]
    # Of two as good, the one at the base value of base_channels, 16, wherever it stands
    assert selection.along(runs[runs["run_id"].isin(list("bcde"))], GRID, SIZE)["run_id"].tolist() == ["b", "c"]
    assert selection.along(runs.iloc[[3, 4, 1, 2]], GRID, SIZE)["run_id"].tolist() == ["b", "c"]
    # And without any difference the first
    assert selection.along(runs.iloc[[0, 3]], GRID, SIZE)["run_id"].tolist() == ["a"]


def test_the_normalised_step_by_hand() -> None:
    runs = runs_table(("a", 64, 8, 16, 1e-3, 0), ("b", 256, 8, 32, 4e-3, 0))
    rows = pd.DataFrame({"run_id": ["b", "a", "b"], "step": [100, 100, 10]})
    # b: 64/256 · 32/16 · 4e-3/1e-3 = 2
    assert selection.normalised_step(rows, runs).tolist() == pytest.approx([200.0, 100.0, 20.0])


def test_bands_run_from_the_lowest_to_the_highest_end_of_the_intervals() -> None:
    rows = pd.DataFrame(
        {
            "run_id": ["a", "b", "a"],
            "train_size": 64,
            "step": [1, 1, 2],
            "time": [1.0, 1.0, 2.0],
            "value": [1.0, 3.0, 5.0],
            "ci_low": [0.5, 2.0, 4.0],
            "ci_high": [2.0, 3.5, np.nan],
        }
    )
    bands = selection.over_repetitions(rows, SIZE)
    assert bands[["step", "mean", "low", "high"]].to_numpy().tolist() == [[1, 2.0, 0.5, 3.5], [2, 5.0, 4.0, 5.0]]


@pytest.mark.parametrize("palette", ["viridis", "rocket", "Blues", "YlOrRd"])
def test_every_colour_shows_on_white(palette: str) -> None:
    colours = style.colours([3, 1, 2, 1], palette)
    assert list(colours) == [1, 2, 3]
    assert len(set(colours.values())) == 3
    assert all(np.dot([0.2126, 0.7152, 0.0722], colour) < 0.65 for colour in colours.values())


def test_an_unknown_palette_is_an_error() -> None:
    with pytest.raises(UserError, match=r"figures\.palette: found 'virdis'"):
        style.colours([1, 2], "virdis")


@pytest.mark.parametrize(
    ("label", "text"),
    [
        (wording.count_label(512), "512"),
        (wording.count_label(64_122), "64.1k"),
        (wording.count_label(999_900), "1M"),
        (wording.count_label(2_926_690), "2.93M"),
        (wording.number_label(0.05), "0.05"),
        (wording.number_label(1e-4), "$10^{-4}$"),
        (wording.number_label(4e-4), r"$4\times10^{-4}$"),
        (wording.exponent_label(-1.004), "\N{MINUS SIGN}1.00"),
        (wording.exponent_label(-0.001), "0.00"),
        (wording.exponent_label(float("nan")), "?"),
        (wording.exponent_label(-np.inf), "\N{MINUS SIGN}∞"),
    ],
)
def test_numbers_in_print(label: str, text: str) -> None:
    assert label == text
