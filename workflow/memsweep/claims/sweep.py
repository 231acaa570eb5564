"""The claims on when memorisation starts and what is learnt before it, which sweeps can decide.

Of Marion & Wu 2026 (arXiv 2605.06077), of Bonnaire et al. 2025 (arXiv 2505.17638), and those of images of Bardone,
Merger & Goldt 2026 (arXiv 2603.12901) and Garnier-Brun et al. 2026 (arXiv 2603.03469). The exponents that the first
paper's figures imply (`analysis.published`) stand beside, though it fits none.

What a study sweeps, its definitions of the onset and its distances decide which of them it can speak to. The order of
ways is that of the papers: their own definition or space first, then those nearest to it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import t as student

from ..analysis.published import exponent
from ..study.onsets import DEPARTURES
from .claim import MARGIN, Claim, Evidence, Tables

MARION = "Marion & Wu 2026"
BONNAIRE = "Bonnaire et al. 2025"
BARDONE = "Bardone, Merger & Goldt 2026"
GARNIER = "Garnier-Brun et al. 2026"

# The first paper calls it an onset where the test loss leaves the training loss; the second counts copies
BY_LOSS = ("loss_gap_absolute", "loss_gap_relative", "test_loss_minimum", "f_mem", "f_mem_calibrated", "sscd_score")
BY_COPIES = ("f_mem", "f_mem_calibrated", "sscd_score")
# Distances are taken in the space of Inception; smaller ones have a classifier of their own
SPACES = ("inception", "classifier", "dinov2", "pixels")
SHARES = ("sscd_score", "f_mem", "f_mem_calibrated")

# Distances to the two splits "nearly coincide" within a quarter: log10 of their ratio
COINCIDE = 0.1
# Curves collapse where what is left of their spread is at most twice the error of a single onset
COLLAPSED = 2.0

AXES = {
    "train_size": "the train size N",
    "parameters": "the model size P",
    "batch_size": "the batch size B",
    "learning_rate": "the learning rate",
}


def _swept(tables: Tables, term: str) -> bool:
    """Whether runs differ on an axis, by its coordinate."""
    return tables["runs"][term].nunique() > 1


def _unswept(term: str) -> Evidence:
    return Evidence(lacking=f"{AXES[term]} is not swept")


def onset_exponent(tables: Tables, definition: str, term: str) -> Evidence:
    """The exponent of the onset in an axis by the law of all axes together."""
    if not _swept(tables, term):
        return _unswept(term)
    law = tables["law"]
    rows = law[(law["definition"] == definition) & (law["term"] == term) & (law["order"] == 1)]
    if not (law["definition"] == definition).any():
        return Evidence(lacking=f"no onset by {definition}", absent=True)
    unknown = next(iter(rows["reason"].dropna()), "no interval")
    return Evidence.of(rows, "estimate", f"no exponent in {AXES[term]}", unknown)


def fidelity_exponent(tables: Tables, way: str, term: str) -> Evidence:
    """The exponent of the squared peak distance to held-out images, the peak up to the test loss minimum.

    Args:
        way: metric and space, as ``sliced_wasserstein_corrected in pixels``.
    """
    if not _swept(tables, term):
        return _unswept(term)
    metric, space = way.split(" in ")
    trends = tables["fidelity_trends"]
    of_metric = (trends["metric"] == metric) & (trends["space"] == space)
    rows = trends[of_metric & (trends["definition"] == "test_loss_minimum")]
    if rows.empty:
        return Evidence(lacking=f"{metric} is not measured in {space}", absent=True)
    unknown = f"too few runs, {{runs}}, for an exponent in {AXES[term]}"
    return Evidence.of(rows[rows["term"] == term], "exponent", f"no exponent in {AXES[term]}", unknown)


def rate_trend(tables: Tables, metric: str, term: str) -> Evidence:
    """What the memorisation rate between two fixed shares gains per factor of ten of an axis."""
    if not _swept(tables, term):
        return _unswept(term)
    trends = tables["rate_trends"]
    rows = trends[trends["metric"] == metric]
    if rows.empty:
        return Evidence(lacking=f"{metric} is not measured", absent=True)
    unknown = "too few runs, {runs}, reach both shares of copies"
    return Evidence.of(rows[rows["term"] == term], "trend", f"no trend in {AXES[term]}", unknown)


def splits_apart(tables: Tables, way: str, confidence: float) -> Evidence:
    """log10 of the distance to held-out images over that to training images, once the model copies.

    Its mean over the evaluations from the onset of copies on, then over the runs of a training set, whose number is
    that of units of the interval.
    """
    metric, space = way.split(" in ")
    metrics, onsets = tables["metrics"], tables["onsets"]
    copies = onsets.loc[(onsets["definition"] == "f_mem") & ~onsets["censored"], ["run_id", "step"]]
    rows = metrics[(metrics["metric"] == metric) & (metrics["space"] == space)]
    rows = rows.merge(copies.rename(columns={"step": "onset"}), on="run_id")
    rows = rows[rows["step"] >= rows["onset"]]
    if rows.empty:
        measured = ((metrics["metric"] == metric) & (metrics["space"] == space)).any()
        if measured:
            return Evidence(lacking="no run copies")
        return Evidence(lacking=f"{metric} is not measured in {space}", absent=True)
    values = rows.pivot(index=["run_id", "step"], columns="reference", values="value")
    ratios = values["test"] / values["train"]
    logs = ratios.map(math.log10).groupby("run_id").mean().rename("log")
    runs = tables["runs"].set_index("run_id").join(logs, how="inner")
    sets = runs.groupby(["train_size", "subset"])["log"].mean().to_numpy(float)
    return _mean(sets, len(runs), confidence, "one training set copies: two are needed")


def _mean(values: np.ndarray, runs: int, confidence: float, lacking: str) -> Evidence:
    if len(values) < 2:
        return Evidence(runs=runs, lacking=lacking)
    margin = student.ppf((1 + confidence) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    mean = float(values.mean())
    return Evidence(mean, mean - float(margin), mean + float(margin), runs)


def left_over(tables: Tables, curve: str, axis: str) -> Evidence:
    """How far curves stay apart in the paper's T along an axis, over the error of a single onset."""
    if not _swept(tables, axis):
        return _unswept(axis)
    found = tables["collapse"]
    rows = found[(found["curve"] == curve) & (found["exponents"] == "paper")]
    if rows.empty:
        return Evidence(lacking=f"no curve of {curve}", absent=True)
    rows = rows[rows["axis"] == axis].rename(columns={"ratio_ci_low": "ci_low", "ratio_ci_high": "ci_high"})
    return Evidence.of(rows, "ratio", f"no curves along {AXES[axis]}", "too few levels that all curves reach")


def descents(tables: Tables, way: str, split: str, confidence: float) -> Evidence:
    """The share of runs with a double descent of a distance, among those of which that is known."""
    metric, space = way.split(" in ")
    found = tables["descents"]
    rows = found[(found["metric"] == metric) & (found["space"] == space) & (found["split"] == split)]
    if rows.empty:
        return Evidence(lacking=f"{metric} is not measured in {space}", absent=True)
    known = rows[rows["verdict"].isin(["yes", "no"])]
    return Evidence.of_share(int((known["verdict"] == "yes").sum()), len(known), confidence, "of no run is it known")


def departs(tables: Tables, definition: str, confidence: float) -> Evidence:
    """The share of runs that use means and covariances alone at first, and more later."""
    onsets = tables["onsets"]
    rows = onsets[onsets["definition"] == definition]
    hits = int((~rows["censored"] & ~rows["left_censored"]).sum())
    return Evidence.of_share(hits, len(rows), confidence, f"no {definition}: evaluation.surrogates has none")


def lead_of_bias(tables: Tables, definition: str) -> Evidence:
    """The onset of a definition over that of bias."""
    found = tables["leads"]
    rows = found[(found["definition"] == definition) & found["train_size"].isna()]
    absent = "no onset of bias, which takes runs on other training sets: the axis subset"
    return Evidence.of(rows, "ratio", absent, "{runs} pairs with both onsets; two are needed")


def untold(tables: Tables, way: str, lacking: str) -> Evidence:
    """A claim that no number of a study decides."""
    return Evidence(lacking=lacking)


def _in_spaces(*metrics: str) -> list[str]:
    return [f"{metric} in {space}" for metric in metrics for space in SPACES]


def _onset(
    name: str,
    source: str,
    statement: str,
    term: str,
    ways: Sequence[str] = BY_LOSS,
    low: float = -math.inf,
    high: float = math.inf,
    published: float = math.nan,
) -> Claim:
    measure = f"exponent of the onset in {AXES[term]}"
    evidence = partial(onset_exponent, term=term)
    return Claim(name, source, statement, measure, ways, evidence, low, high, published=published)


def _fidelity(
    name: str,
    statement: str,
    term: str,
    low: float = -math.inf,
    high: float = math.inf,
    published: float = math.nan,
) -> Claim:
    measure = f"exponent of the squared peak distance in {AXES[term]}"
    ways = _in_spaces("sliced_wasserstein_corrected", "sliced_wasserstein")
    evidence = partial(fidelity_exponent, term=term)
    return Claim(name, MARION, statement, measure, ways, evidence, low, high, published=published)


def claims(settings: Mapping[str, Any], tables: Tables) -> list[Claim]:
    """The claims, in the order of the papers.

    Args:
        settings: ``confidence``, the level of intervals that are taken here.
        tables: those of the study.
    """
    del tables
    confidence = settings["confidence"]
    gain = "gain of the memorisation rate per factor of ten in {}".format
    return [
        _onset(
            "later with more images",
            MARION,
            "More training images delay the onset.",
            "train_size",
            low=0,
            published=exponent("train_size", "loss_gap_absolute", 0.05),
        ),
        _onset(
            "proportional to N",
            MARION,
            "The onset is proportional to the number of training images.",
            "train_size",
            low=1 - MARGIN,
            high=1 + MARGIN,
            published=exponent("train_size", "loss_gap_absolute", 0.05),
        ),
        _onset(
            "copies proportional to N",
            BONNAIRE,
            "The onset of copies is proportional to the number of training images.",
            "train_size",
            BY_COPIES,
            low=1 - MARGIN,
            high=1 + MARGIN,
            published=exponent("train_size", "sscd_score", 0.05),
        ),
        _onset("earlier in larger models", MARION, "Larger models memorise earlier.", "parameters", high=0),
        _onset(
            "inverse to B",
            MARION,
            "The onset is inversely proportional to the batch size.",
            "batch_size",
            low=-1 - MARGIN,
            high=-1 + MARGIN,
            published=exponent("batch_size", "loss_gap_absolute", 0.05),
        ),
        *(
            Claim(
                f"collapse in {symbol}",
                MARION,
                f"Curves of {AXES[axis]} {'fall' if collapses else 'do not fall'} together in normalised steps.",
                "spread of the curves over the error of a single onset",
                ("loss_gap_absolute", "loss_gap_relative", *SHARES),
                partial(left_over, axis=axis),
                high=COLLAPSED,
                outside=not collapses,
            )
            for symbol, axis, collapses in (
                ("N", "train_size", True),
                ("B", "batch_size", True),
                ("the learning rate", "learning_rate", False),
            )
        ),
        Claim(
            "lower rate with more images",
            MARION,
            "More training images lower the rate of memorisation.",
            gain(AXES["train_size"]),
            SHARES,
            partial(rate_trend, term="train_size"),
            high=0,
        ),
        Claim(
            "one rate for every B",
            MARION,
            "The rate of memorisation is the same at every batch size.",
            gain(AXES["batch_size"]),
            SHARES,
            partial(rate_trend, term="batch_size"),
            low=-MARGIN,
            high=MARGIN,
        ),
        _fidelity(
            "better with more images",
            "More training images improve the peak of fidelity.",
            "train_size",
            high=0,
            published=2 * exponent("train_size", "first_minimum"),
        ),
        _fidelity("better in larger models", "Larger models have a better peak of fidelity.", "parameters", high=0),
        _fidelity(
            "better with smaller batches",
            "Smaller batches improve the peak of fidelity.",
            "batch_size",
            low=0,
            published=2 * exponent("batch_size", "first_minimum"),
        ),
        _fidelity(
            "better with larger learning rates",
            "Larger learning rates improve the peak of fidelity.",
            "learning_rate",
            high=0,
        ),
        Claim(
            "both splits alike",
            MARION,
            "Distances to training and to held-out images nearly coincide, even while the model copies.",
            "log10 of the distance to held-out over that to training images, from the onset of copies on",
            _in_spaces("sliced_wasserstein", "frechet"),
            partial(splits_apart, confidence=confidence),
            low=-COINCIDE,
            high=COINCIDE,
        ),
        *(
            Claim(
                f"double descent, {split}",
                MARION,
                f"The distance to {images} images falls, rises and falls again.",
                "share of runs with a double descent, among those that tell",
                _in_spaces("sliced_wasserstein_corrected", "sliced_wasserstein", "frechet_corrected", "frechet"),
                partial(descents, split=split, confidence=confidence),
                low=0.5,
            )
            for split, images in (("train", "training"), ("test", "held-out"))
        ),
        Claim(
            "no pattern in noise levels",
            MARION,
            "The loss split by noise levels shows no pattern.",
            "none",
            ("noise_levels",),
            partial(untold, lacking="no number says what a pattern is; the table noise_levels has the losses"),
        ),
        Claim(
            "pairs before more",
            BARDONE,
            "Networks use means and covariances of images alone at first, and more only later.",
            "share of runs that leave their Gaussian surrogate, and not from the first evaluation on",
            DEPARTURES,
            partial(departs, confidence=confidence),
            low=0.5,
        ),
        Claim(
            "bias before the turn",
            GARNIER,
            "Samples lean to the training images before the test loss turns.",
            "step of the least test loss over that of the bias onset",
            ("test_loss_minimum",),
            lead_of_bias,
            low=1,
        ),
    ]
