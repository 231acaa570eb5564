"""What a training of any model says of itself: curves of its samples and mean losses by step, and onsets.

The onsets are those of a study's runs (`onset`), from what there is: images of each step beside training and held-out
images, and mean losses. What can be resampled differs, and so do the intervals.

- **Copies.** Where every step has as many samples, those of one index are resampled together, as a study's are. That
  holds whether or not they were drawn from one latent: either way, histories of an index are alike and independent.
  Where the numbers differ, the samples of each step are resampled by themselves.
- **Mean losses** are no sample. With standard errors, replicates have independent normal noise at each step and split;
  where evaluations share their noisy images, their errors go together, and the interval is that of other evaluations.
  Without, the interval is unknown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from ..data.given import Given
from ..data.given_losses import GivenLosses
from ..metrics.battery import Samples
from ..metrics.comparison import References
from ..metrics.estimate import Distance
from ..metrics.novelty import Share, copied
from ..metrics.rows import Row, row_of_distance, row_of_share
from ..study.onsets import DEFINITIONS, LOSS_DEFINITIONS, ONSETS
from ..tables.frames import frame_of
from .onset import ESTIMATORS, Array, Onset, confirmable, copy_onset, crossing, resampled, with_interval

# The metric, and of two of them the definition of an onset, of each rule of the table `copy_shares`
METRICS = {"field": "f_mem", "calibrated": "f_mem_calibrated", "sscd": "sscd_score"}

# A definition that divides by the training loss
_OF_POSITIVE_LOSSES = "loss_gap_relative"

# Of a mean loss, the least that noise leaves of it
_LEAST = 1e-9


@dataclass(frozen=True)
class Course:
    """What a training says of itself.

    Attributes:
        run_id: what it is called in the tables, and the seed of the bootstrap.
        space: in which images were compared.
        onset: thresholds and number of resamples, a study's section ``onset``.
        metrics, trajectories, onsets: the tables of a study of these names (`tables.contracts.sweep`); of losses that
            were not given there are no rows, and of definitions that the data do not allow no onsets.
    """

    run_id: str
    space: str
    onset: Mapping[str, Any]
    metrics: pd.DataFrame
    trajectories: pd.DataFrame
    onsets: pd.DataFrame


def follow(
    run_id: str,
    steps: Mapping[int, Given],
    known: References,
    losses: GivenLosses | None,
    onset: Mapping[str, Any],
) -> Course:
    """Follow a training along its steps.

    Args:
        run_id: what to call it.
        steps: the images of each step, in increasing order, at least one.
        known: what they are compared with.
        losses: None where there are none.
        onset: a study's section ``onset``.

    Raises:
        UserError: a step has fewer than 2 images.
    """
    rows: list[Row] = []
    neighbours = []
    shares = pd.DataFrame()
    for step, generated in steps.items():
        samples = known.placed(generated)
        shares = known.copy_shares(samples)
        rows += ({"step": step, **row} for row in _of_step(known, samples, shares))
        neighbours.append(_neighbours(step, known, samples))
    rows += ({"step": None, **row} for row in _of_rules(known, shares))
    found = _copy_onsets(run_id, pd.concat(neighbours), shares, known, onset)
    if losses is not None:
        found |= loss_onsets_of_means(run_id, losses, onset, known.confidence)
    onsets = [{"definition": name, **asdict(found[name])} for name in DEFINITIONS if name in found]
    return Course(
        run_id,
        known.space,
        onset,
        frame_of(rows).astype({"step": "Int64"}).assign(run_id=run_id),
        trajectories(run_id, losses, known.confidence),
        pd.DataFrame(onsets).assign(run_id=run_id),
    )


def _of_step(known: References, samples: Samples, shares: pd.DataFrame) -> Iterator[Row]:
    """Rows of the table ``metrics``: the share of copies by each rule, and distances with their floors."""
    for row in shares.to_dict("records"):
        share = Share(row["value"], row["ci_low"], row["ci_high"], row["generated"])
        yield row_of_share(METRICS[row["rule"]], known.space, "train", share)
    for row in known.distances(samples).to_dict("records"):
        reference = {"held_out": "test"}.get(row["reference"], row["reference"])
        distance = Distance(row["value"], row["ci_low"], row["ci_high"])
        yield row_of_distance(row["metric"], known.space, reference, distance, row["generated"])
        if known.control is not None:
            floor = Distance(row["held_out_value"], np.nan, np.nan)
            yield row_of_distance(f"{row['metric']}_floor", known.space, reference, floor, row["generated"])


def _of_rules(known: References, shares: pd.DataFrame) -> Iterator[Row]:
    """Rows that hold for the whole run: false-positive rates, and the calibrated threshold."""
    for row in shares[shares["held_out"] > 0].to_dict("records"):
        rate = Share(row["held_out_value"], row["held_out_ci_low"], row["held_out_ci_high"], row["held_out"])
        yield row_of_share(f"{METRICS[row['rule']]}_held_out", known.space, "train", rate)
        if row["rule"] == "calibrated":
            threshold = Distance(row["threshold"], row["threshold"], row["threshold"])
            yield row_of_distance("copy_threshold", known.space, "train", threshold, row["held_out"])


def _neighbours(step: int, known: References, samples: Samples) -> pd.DataFrame:
    """Rows of the table ``neighbours``, as far as onsets are found from them."""
    to = known.to_train(samples)
    return pd.DataFrame(
        {
            "step": step,
            "index": np.arange(len(samples)),
            "reference": "train",
            "distance": to.first,
            "second_distance": to.second,
        }
    )


def _copy_onsets(
    run_id: str, neighbours: pd.DataFrame, shares: pd.DataFrame, known: References, onset: Mapping[str, Any]
) -> dict[str, Onset]:
    """By the rules whose false-positive rate is below the share at which copying starts."""
    found = {}
    for rule, threshold in zip(shares["rule"], shares["threshold"], strict=True):
        if METRICS[rule] in DEFINITIONS and (rule != "calibrated" or known.rate < onset["f_mem"]):
            settings = {
                "copy_threshold": threshold,
                "share": onset["f_mem"],
                "resamples": onset["bootstrap"],
                "confidence": known.confidence,
            }
            is_even = neighbours.groupby("step").size().nunique() == 1
            found[METRICS[rule]] = (copy_onset if is_even else _uneven_copy_onset)(run_id, neighbours, **settings)
    return found


def _uneven_copy_onset(
    run_id: str,
    neighbours: pd.DataFrame,
    *,
    copy_threshold: float,
    share: float,
    resamples: int,
    confidence: float,
) -> Onset:
    """As `onset.copy_onset`, the samples of each step resampled by themselves."""
    by_step = neighbours.assign(copy=copied(neighbours, copy_threshold).astype(np.float64)).groupby("step")["copy"]
    curves = [
        resampled(f"{run_id} samples {step}", hits.to_numpy()[:, None], np.ones(len(hits)), resamples)
        for step, hits in by_step
    ]
    steps = np.array([step for step, _ in by_step], np.float64)
    found = crossing(steps, np.hstack(curves), share)
    return with_interval(confirmable(steps), found[0], found[1:], confidence)


def loss_onsets_of_means(
    run_id: str, losses: GivenLosses, onset: Mapping[str, Any], confidence: float
) -> dict[str, Onset]:
    """The onsets that mean losses define; their intervals are NaN where there are no standard errors.

    That of the relative gap is left out where a training loss is not above 0.

    Args:
        run_id: seeds the noise of the replicates.
        losses: of a training.
        onset: a study's section ``onset``.
        confidence: level of the intervals.
    """
    steps = losses.table["step"].to_numpy(np.float64)
    train, test = (_replicates(run_id, losses, split, onset["bootstrap"]) for split in ("train", "test"))
    found = {}
    for name in LOSS_DEFINITIONS:
        if name == _OF_POSITIVE_LOSSES and train[0].min() <= 0:
            continue
        threshold = onset[ONSETS[name].threshold] if ONSETS[name].threshold else np.nan
        curves = ESTIMATORS[name](steps, train, test, threshold)
        replicates = curves[1:] if losses.has_errors else curves
        found[name] = with_interval(confirmable(steps), curves[0], replicates, confidence)
        if not losses.has_errors:
            found[name] = replace(found[name], ci_low=np.nan, ci_high=np.nan)
    return found


def _replicates(run_id: str, losses: GivenLosses, split: str, resamples: int) -> Array:
    """A curve of mean losses, then its replicates where standard errors are known; none leaves a loss's sign."""
    means = losses.table[f"{split}_loss"].to_numpy(np.float64)
    if not losses.has_errors:
        return means[None]
    errors = losses.table[f"{split}_loss_se"].to_numpy(np.float64)
    seed = int.from_bytes(hashlib.sha256(f"{run_id} {split}".encode()).digest()[:16])
    noisy = means + errors * np.random.default_rng(seed).standard_normal((resamples, len(means)))
    return np.vstack([means, np.where(means > 0, np.maximum(noisy, _LEAST * means), noisy)])


def trajectories(run_id: str, losses: GivenLosses | None, confidence: float) -> pd.DataFrame:
    """The table ``trajectories``: the normal interval of each mean, NaN where there is no standard error."""
    if losses is None:
        return pd.DataFrame(columns=["run_id", "step", "split", "loss", "ci_low", "ci_high"])
    parts = []
    for split in ("train", "test"):
        means = losses.table[f"{split}_loss"]
        margin = norm.ppf((1 + confidence) / 2) * losses.table.get(f"{split}_loss_se", pd.Series(np.nan, means.index))
        parts.append(
            losses.table[["step"]].assign(split=split, loss=means, ci_low=means - margin, ci_high=means + margin)
        )
    return pd.concat(parts, ignore_index=True).assign(run_id=run_id)
