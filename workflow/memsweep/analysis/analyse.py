"""The stage ``analyse``: onsets and departures, how they scale, and what lies on either side of an onset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from ..base.errors import UserError
from ..data.images import read_images
from ..study.axes import read_axes
from ..study.onsets import DEPARTURES, LOSS_DEFINITIONS, MEMORISATION, ONSETS, among
from ..study.training_sets import TrainingSet
from ..tables.contracts import SCHEMAS
from ..tables.frames import frame_of, to_frame
from ..tables.parquet import check_runs, read_arrow, read_table, table_writer, write_table
from ..tables.together import check_together, provenance
from .collect import compared, of_job
from .copied_first import CopiedFirst
from .copied_images import Copied, copied_images
from .departure import SURROGATES, departure, excess, paired_curves
from .fidelity_trends import fidelity_trends
from .leads import leads
from .onset import NEVER_EVALUATED, Onset, copies, loss_onsets, share_onset
from .pair_onsets import PARTNERS, bias_onset, split_onset
from .peaks import peaks
from .rates import Rate, rate_trends, share_rate
from .repetitions import onsets_over_repetitions
from .scaling import ratios, scaling
from .threshold_curves import PAIR_CURVES, SHARES, ThresholdCurve, departure_curve, loss_curves, share_curves
from .thresholds import thresholds


def analyse(
    settings: Mapping[str, Any],
    images: Path,
    tables: Path,
    losses: Mapping[str, Path],
    neighbours: Mapping[str, Path],
    agreed: Path,
    output: Path,
) -> None:
    """Write the tables of a study that say when: ``onsets``, how they scale, and what is copied first.

    They are ``onsets``, ``onsets_over_repetitions``, ``scaling``, ``thresholds``, ``local_slopes``, ``ratios``,
    ``peaks``, ``fidelity_trends``, ``rates``, ``rate_trends``, ``leads``, ``excess``, ``copied_images`` and
    ``copied_first``.

    One pack is held in memory at a time. Rows of ``onsets`` follow the table ``runs``, and
    within a run the definitions; every run has a row for each, but for those of pairs, which
    the earlier run of a pair has.

    Args:
        settings: the config's ``onset`` (thresholds, shares of the rate, and ``bootstrap``), the ``definitions``
            that the study has, ``comparisons``, the job paths of pairs, ``f_mem_threshold``, ``sscd_threshold``,
            ``axes`` of the grid and ``confidence``.
        images: the prepared image table.
        tables: folder of the study's ``runs.parquet`` and ``metrics.parquet``.
        losses: the packs' tables of losses, by job path.
        neighbours: the packs' tables of neighbours, likewise.
        agreed: folder of the comparisons' folders, with their tables of paired samples.
        output: folder that receives the tables.

    Raises:
        UserError: a table cannot be read or is not of the study's runs, or a finished run is in none of the packs.
    """
    definitions = settings["definitions"]
    left = {name: SURROGATES[name] for name in among(definitions, DEPARTURES)}
    runs_file, metrics_file = tables / "runs.parquet", tables / "metrics.parquet"
    runs = read_table(runs_file, "runs")
    of = provenance(runs)
    metrics = read_table(metrics_file, "metrics")
    check_together([images, runs_file, metrics_file])
    calibrated, near = (_of_runs(metrics, name) for name in ("copy_threshold", "near_threshold"))
    sets = dict(zip(runs["run_id"], map(TrainingSet, runs["train_size"], runs["subset"]), strict=True))
    found: dict[tuple[str, str], Onset] = {}
    followed = {
        (run_id, name): curve
        for name in among(definitions, SHARES)
        for run_id, curve in share_curves(metrics, name).items()
    }
    rates: dict[tuple[str, str], Rate] = {}
    curves: list[pd.DataFrame] = []
    copied: dict[str, Copied] = {}
    loss_columns = ["step", "split", "item", "index", "time", "loss"]
    for run_id, rows in _by_run(losses, "losses", loss_columns, runs, runs_file):
        followed |= _named(run_id, loss_curves(run_id, rows, sets[run_id].size, settings["confidence"]))
        for definition, onset in _loss_onsets(settings, run_id, rows).items():
            found[run_id, definition] = onset
        for definition, surrogate in left.items():
            pair = paired_curves(run_id, rows, surrogate, settings["bootstrap"])
            confidence = settings["confidence"]
            found[run_id, definition] = departure(*pair, threshold=settings["departure"], confidence=confidence)
            followed |= _named(run_id, departure_curve(definition, *pair, confidence))
            curves.append(excess(*pair, confidence=confidence).assign(run_id=run_id, surrogate=surrogate))
    columns = ["step", "index", "reference", "nearest", "distance", "second_distance", "similarity"]
    for run_id, rows in _by_run(neighbours, "neighbours", columns, runs, runs_file):
        for name, hits in _shares(settings, rows, calibrated.get(run_id)).items():
            found[run_id, name] = _share_onset(settings, name, run_id, hits)
            rates[run_id, name] = _share_rate(settings, run_id, hits)
        if run_id not in calibrated:  # no images are left over that could set its rule
            found[run_id, "f_mem_calibrated"] = NEVER_EVALUATED
        if run_id in near:
            copied[run_id] = Copied.found(rows, near[run_id], sets[run_id])
    for paired in compared(agreed, settings["comparisons"], "paired_samples", runs, tables):
        pairs = to_frame(paired)
        found |= _pair_onsets(settings, pairs)
        followed |= _pair_curves(settings, pairs)
    onsets = _table(runs, definitions, found)
    write_table(output / "onsets.parquet", "onsets", onsets, of)
    of_study = onsets, runs, read_axes(settings), settings["confidence"]
    repeated = onsets_over_repetitions(*of_study)
    write_table(output / "onsets_over_repetitions.parquet", "onsets_over_repetitions", repeated, of)
    write_table(output / "scaling.parquet", "scaling", _with_thresholds(scaling(*of_study), settings), of)
    exponents, slopes = thresholds(followed, *of_study[1:3], settings, settings["confidence"])
    write_table(output / "thresholds.parquet", "thresholds", exponents, of)
    write_table(output / "local_slopes.parquet", "local_slopes", slopes, of)
    write_table(output / "ratios.parquet", "ratios", ratios(*of_study), of)
    write_table(output / "leads.parquet", "leads", leads(onsets, runs, settings["confidence"]), of)
    memorisation = onsets[onsets["definition"].isin(MEMORISATION)]
    at_peaks = peaks(memorisation, metrics)
    write_table(output / "peaks.parquet", "peaks", at_peaks, of)
    trends = fidelity_trends(at_peaks, *of_study[1:])
    write_table(output / "fidelity_trends.parquet", "fidelity_trends", trends, of)
    rising = _rates(runs, rates)
    write_table(output / "rates.parquet", "rates", rising, of)
    write_table(output / "rate_trends.parquet", "rate_trends", rate_trends(rising, *of_study[1:]), of)
    write_table(output / "excess.parquet", "excess", _in_order_of(runs, curves), of)
    _write_copied(settings, images, runs, copied, output)


def _with_thresholds(exponents: pd.DataFrame, settings: Mapping[str, Any]) -> pd.DataFrame:
    """Exponents beside the thresholds that they belong to."""
    own = {name: settings[key] for name in settings["definitions"] if (key := ONSETS[name].threshold)}
    return exponents.assign(threshold=exponents["definition"].map(own).astype(float))


def _of_runs(metrics: pd.DataFrame, name: str) -> dict[str, float]:
    """A metric that holds for whole runs, by run."""
    rows = metrics[metrics["metric"] == name]
    return dict(zip(rows["run_id"], rows["value"], strict=True))


def _write_copied(
    settings: Mapping[str, Any], images: Path, runs: pd.DataFrame, copied: Mapping[str, Copied], output: Path
) -> None:
    """Write ``copied_images``, one run at a time, and ``copied_first``."""
    data = read_images(images)
    of = provenance(runs)
    places = [np.arange(found.training_set.first, found.training_set.stop) for found in copied.values()]
    first = CopiedFirst(np.concatenate([np.arange(0), *places]), settings["bootstrap"])
    with table_writer(output / "copied_images.parquet", "copied_images", of) as writer:
        for rows in copied_images(runs, copied, data.train):
            writer.add(rows)
            first.add(rows)
    write_table(output / "copied_first.parquet", "copied_first", first.table(settings["confidence"]), of)


def _by_run(
    paths: Mapping[str, Path], name: str, columns: list[str], runs: pd.DataFrame, source: Path
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each run in the tables of all packs, with its rows.

    Args:
        paths: of the tables, by the job path of the pack.
        name: of the table.
        columns: to read.
        runs: the study's, of the file ``source``.

    Raises:
        UserError: a table holds a run that is none of its pack's.
    """
    for job, path in paths.items():
        table = read_arrow(path, name).select(["run_id", *columns])
        check_runs(path, table, of_job(runs, job)["run_id"], source)
        for run_id in pc.unique(table["run_id"]).to_pylist():
            yield run_id, to_frame(table.filter(pc.equal(table["run_id"], run_id)).select(columns))


def _loss_onsets(settings: Mapping[str, Any], run_id: str, losses: pd.DataFrame) -> dict[str, Onset]:
    return loss_onsets(
        run_id,
        losses,
        thresholds={name: settings[ONSETS[name].threshold] for name in LOSS_DEFINITIONS if ONSETS[name].threshold},
        resamples=settings["bootstrap"],
        confidence=settings["confidence"],
    )


def _shares(settings: Mapping[str, Any], neighbours: pd.DataFrame, calibrated: float | None) -> dict[str, pd.DataFrame]:
    """Samples of one run, as `share_onset` takes them, by the definition of what hits.

    Args:
        neighbours: of the run.
        calibrated: threshold of the calibrated rule for copies, where there is one.
    """
    found = {"f_mem": copies(neighbours, settings["f_mem_threshold"])}
    if calibrated is not None:
        found["f_mem_calibrated"] = copies(neighbours, calibrated)
    if "sscd_score" in settings["definitions"]:
        training = neighbours[neighbours["reference"] == "train"]
        found["sscd_score"] = training.assign(hit=training["similarity"] > settings["sscd_threshold"])
    return found


def _share_onset(settings: Mapping[str, Any], name: str, run_id: str, samples: pd.DataFrame) -> Onset:
    share, shared = settings[ONSETS[name].threshold], _resampling(settings)
    return share_onset(run_id, samples, share=share, **shared)


def _share_rate(settings: Mapping[str, Any], run_id: str, samples: pd.DataFrame) -> Rate:
    between = settings["rate_from"], settings["rate_to"]
    return share_rate(run_id, samples, between=between, **_resampling(settings))


def _resampling(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {"resamples": settings["bootstrap"], "confidence": settings["confidence"]}


def _pair_onsets(settings: Mapping[str, Any], paired: pd.DataFrame) -> dict[tuple[str, str], Onset]:
    """The onsets of the runs of a comparison, by run and definition."""
    estimators = {"bias": bias_onset, "split": split_onset}
    shared, found = _resampling(settings), {}
    for run_id, own in paired.groupby("run_id", sort=False):
        differ = set(own["differs"])
        for name in among(settings["definitions"], estimators):
            if differ >= PARTNERS[name]:
                found[str(run_id), name] = estimators[name](str(run_id), own, threshold=settings[name], **shared)
    return found


def _pair_curves(settings: Mapping[str, Any], paired: pd.DataFrame) -> dict[tuple[str, str], ThresholdCurve]:
    """What the thresholds of `_pair_onsets` are held against, likewise."""
    found: dict[tuple[str, str], ThresholdCurve] = {}
    for run_id, own in paired.groupby("run_id", sort=False):
        for name in among(settings["definitions"], PAIR_CURVES):
            if set(own["differs"]) >= PARTNERS[name]:
                curves = PAIR_CURVES[name](str(run_id), own, settings["bootstrap"], settings["confidence"])
                found |= _named(str(run_id), curves)
    return found


def _named(run_id: str, curves: Mapping[str, ThresholdCurve]) -> dict[tuple[str, str], ThresholdCurve]:
    return {(run_id, name): curve for name, curve in curves.items()}


def _in_order_of(runs: pd.DataFrame, curves: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Rows of ``excess``, run by run as in the table ``runs``, whatever the order of the packs."""
    rows = pd.concat(curves) if curves else pd.DataFrame(columns=SCHEMAS["excess"].names)
    place = rows["run_id"].map({run_id: place for place, run_id in enumerate(runs["run_id"])})
    return rows.iloc[place.to_numpy().argsort(kind="stable")]


def _table(runs: pd.DataFrame, definitions: Sequence[str], found: Mapping[tuple[str, str], Onset]) -> pd.DataFrame:
    """Table ``onsets``: a row for every run and definition, whether or not the run was ever evaluated."""
    rows = []
    for run_id, status in zip(runs["run_id"], runs["status"], strict=True):
        for definition in definitions:
            if (run_id, definition) not in found and ONSETS[definition].of == "pairs":
                continue  # not every run is compared with others
            if status != "diverged" and (run_id, definition) not in found:
                source = "neighbours" if ONSETS[definition].of in ("copies", "similarity") else "losses"
                raise UserError(f"run {run_id}: it is {status}, but no pack's {source} hold it")
            onset = found.get((run_id, definition), NEVER_EVALUATED)
            rows.append({"run_id": run_id, "definition": definition, **asdict(onset)})
    return pd.DataFrame(rows, columns=["run_id", "definition", *Onset.__dataclass_fields__])


def _rates(runs: pd.DataFrame, rates: Mapping[tuple[str, str], Rate]) -> pd.DataFrame:
    """Table ``rates``: runs in their order, each with its shares."""
    names = [name for name in MEMORISATION if any(name == each for _, each in rates)]
    keys = [(run_id, name) for run_id in runs["run_id"] for name in names if (run_id, name) in rates]
    rows = [{"run_id": run_id, "metric": name, **asdict(rates[run_id, name])} for run_id, name in keys]
    return frame_of(rows, SCHEMAS["rates"].names)
