"""The tables of a sweep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from ...study.onsets import ONSETS
from .columns import STEP, column, interval

RUN = column(
    "run_id",
    pa.string(),
    "hash of every parameter that can change the run's trajectory; of a training of other code, the name of its folder",
)
SPLIT = column(
    "split",
    pa.string(),
    "train: images the run is trained on; test: held-out images; gaussian, gaussian_mixture: draws from the "
    "Gaussian of all training images, or of those of each class, that stand in for the test images",
)
LABEL = column("label", pa.int64(), "class of the image")
OTHER_RUN = column("other_run_id", pa.string(), "the run that it is compared with, later in the grid")
DIFFERS = column("differs", pa.string(), "in what the two differ: subset, their training images, or seed")
SPACE = column("space", pa.string(), "feature space: pixels, classifier, inception, sscd or dinov2")
AGREEMENT_MEASURE = column(
    "measure",
    pa.string(),
    "cosine: mean cosine similarity of the samples of one latent, less the mean of all training images; "
    "distance: their mean distance over that of other latents with the same label, 0 where both runs generate the same "
    "and 1 where no more than the label is shared; reproducibility: share whose SSCD similarity exceeds the threshold "
    "of copies; lean: probability that a sample is nearer to its own run's training images than to the other's, both "
    "runs in the mean, 1/2 where neither knows its own, 1 of two copiers; empirical_distance_floor, of two seeds: the "
    "metric empirical_distance of both in the mean is at least this, their samples' distance over the sum of those "
    "to what the posterior mean of the control set generates",
)
TERM = column("term", pa.string(), "axis, by its column of the table runs; parameters for the model size")
THRESHOLD = column("threshold", pa.float64(), "of the onset, in the unit of what the definition compares with it")
RUNS_BEHIND = (
    column("runs", pa.int64(), "runs behind the fit"),
    column("censored_runs", pa.int64(), "of these, runs that ended before the onset"),
    column("left_censored_runs", pa.int64(), "of these, runs with the onset at or before the first evaluation"),
)

_TYPES = {"integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}


def axis_columns(axes: Iterable[Mapping[str, Any]]) -> list[pa.Field]:
    """The columns of further axes, which the tables of a study have beside those of their contract.

    Args:
        axes: of each ``column``, ``type``, in JSON Schema's words, and ``meaning``; a list is held as text.
    """
    return [column(axis["column"], _TYPES.get(axis["type"], pa.string()), axis["meaning"]) for axis in axes]


SWEEP: dict[str, pa.Schema] = {
    "images": pa.schema(
        [
            column(
                "index",
                pa.int64(),
                "position of the image in the original dataset, in its own split where that has two",
            ),
            column(
                "split",
                pa.string(),
                "train or test; a run is trained on train_size rows of train, from number subset * train_size on",
            ),
            LABEL,
            column("image", pa.binary(), "pixels, uint8; shape and channel order in the schema metadata"),
        ]
    ),
    "runs": pa.schema(
        [
            RUN,
            column("train_size", pa.int64(), "training images N", "images"),
            column("base_channels", pa.int64(), "channels of the U-Net's first level", "channels"),
            column("batch_size", pa.int64(), "images per step B", "images"),
            column("learning_rate", pa.float64(), "step size of the optimiser"),
            column("seed", pa.int64(), "seed of the initialisation and of the training noise"),
            column("subset", pa.int64(), "which of the training sets of this size, which share no image"),
            column("dataset", pa.string(), "name of the dataset"),
            column("parameters", pa.int64(), "trainable parameters P of the network", "parameters"),
            column("max_steps", pa.int64(), "step at which the run ends", "steps"),
            column(
                "status",
                pa.string(),
                "finished, diverged (non-finite loss), or memorised (ended by a rule, after every onset)",
            ),
            column("data_hash", pa.string(), "content hash of the images the run was trained on"),
            column("code_version", pa.string(), "version of the training code"),
        ]
    ),
    "losses": pa.schema(
        [
            RUN,
            STEP,
            SPLIT,
            column("item", pa.int64(), "which noisy image; the same image, time and noise at every step"),
            column("index", pa.int64(), "position of the clean image in its split"),
            column("time", pa.float32(), "noise level: 0 is the clean image, 1 is pure noise"),
            column("loss", pa.float32(), "squared error per pixel of the averaged network"),
        ]
    ),
    "samples": pa.schema(
        [
            RUN,
            STEP,
            column("index", pa.int64(), "which sample; the same latent and label at every step"),
            column("label", pa.int64(), "class of the image; null where the model is unconditional"),
            column("image", pa.binary(), "pixels, uint8; shape and channel order in the schema metadata"),
        ]
    ),
    "empirical_samples": pa.schema(
        [
            column("train_size", pa.int64(), "training images N of the set that is sampled for", "images"),
            column("subset", pa.int64(), "which of the training sets of this size"),
            column(
                "reference",
                pa.string(),
                "whose posterior mean the sampler runs with: train, the training set; control, as many other images",
            ),
            column("index", pa.int64(), "which sample; its latent and label are those of runs with the training set"),
            column("label", pa.int64(), "class of the image; null where the model is unconditional"),
            column("image", pa.binary(), "pixels, uint8; shape and channel order in the schema metadata"),
        ]
    ),
    "surrogates": pa.schema(
        [
            column("split", pa.string(), "gaussian or gaussian_mixture: whose draws"),
            column("index", pa.int64(), "position in the split; stands in for the test image there"),
            column("label", pa.int64(), "class shown to the network: that of the test image"),
            column(
                "pixels",
                pa.large_list(pa.float32()),
                "the image, neither rounded nor clipped; shape and channel order in the schema metadata",
                "pixel values in 0 ... 255",
            ),
        ]
    ),
    "features": pa.schema(
        [
            SPLIT,
            column("index", pa.int64(), "position of the image in its split"),
            column("feature", pa.large_list(pa.float32()), "the image in the feature space"),
        ]
    ),
    "neighbours": pa.schema(
        [
            RUN,
            STEP,
            column("index", pa.int64(), "which sample"),
            column("reference", pa.string(), "train: the training set; control: as many other images"),
            column("nearest", pa.int64(), "row of the nearest image, counted in the image table's split train"),
            column("distance", pa.float64(), "distance d1 to the nearest image", "pixel values in [0, 1], L2"),
            column("second_distance", pa.float64(), "distance d2 to the second nearest", "pixel values in [0, 1], L2"),
            column(
                "similarity",
                pa.float64(),
                "greatest cosine similarity to an image of the reference in the space sscd, if it is measured",
            ),
        ]
    ),
    "agreement": pa.schema(
        [
            RUN,
            OTHER_RUN,
            DIFFERS,
            STEP,
            SPACE,
            AGREEMENT_MEASURE,
            column("value", pa.float64(), "value of the measure"),
            *interval("value, over latents"),
            column("pairs", pa.int64(), "latents compared: those with one label in both runs", "latents"),
        ]
    ),
    "agreement_over_pairs": pa.schema(
        [
            column("run_id", pa.string(), "the first of some runs that are all compared with each other"),
            DIFFERS,
            STEP,
            SPACE,
            AGREEMENT_MEASURE,
            column("value", pa.float64(), "mean of the measure over all pairs of these runs"),
            *interval("value, over runs and latents; null where reason says why"),
            *interval("value over latents alone, the runs as they are", "latents_"),
            column("runs", pa.int64(), "runs that have samples at this step"),
            column("pairs", pa.int64(), "pairs of these"),
            column("reason", pa.string(), "why there is no interval over runs; null where there is"),
        ]
    ),
    "paired_samples": pa.schema(
        [
            RUN,
            OTHER_RUN,
            DIFFERS,
            STEP,
            column("index", pa.int64(), "which latent"),
            column(
                "distance",
                pa.float64(),
                "of its two samples, in pixels, over the mean of those of other latents; null where no label is there "
                "twice",
            ),
            column(
                "lean",
                pa.float64(),
                "how much both samples are nearer to their own run's training images than to the other's: 0, 1/2 or 1, "
                "quarters where distances are equal; null where the runs have the same training images",
            ),
        ]
    ),
    "trajectories": pa.schema(
        [RUN, STEP, SPLIT, column("loss", pa.float64(), "mean squared error per pixel"), *interval("loss")]
    ),
    "noise_levels": pa.schema(
        [
            RUN,
            STEP,
            SPLIT,
            column("noise_level", pa.float64(), "middle of the bin of times; 0 is clean, 1 is pure noise"),
            column("loss", pa.float64(), "mean squared error per pixel within the bin"),
            *interval("loss"),
        ]
    ),
    "baselines": pa.schema(
        [
            column(
                "estimator",
                pa.string(),
                "the distribution under which it is the best denoiser: gaussian (the Wiener filter) or "
                "gaussian_mixture, of all training images, or empirical, those of one training set",
            ),
            column(
                "train_size", pa.int64(), "training images N that the loss depends on; null where on none", "images"
            ),
            column("subset", pa.int64(), "which of the training sets of this size; null where it depends on none"),
            SPLIT,
            column("noise_level", pa.float64(), "middle of the bin of times; null where over all times"),
            column("loss", pa.float64(), "mean squared error per pixel, on the noisy images of the evaluations"),
            *interval("loss"),
        ]
    ),
    "excess": pa.schema(
        [
            RUN,
            STEP,
            column("surrogate", pa.string(), "gaussian or gaussian_mixture"),
            column("excess", pa.float64(), "loss on the surrogate over loss on the test images, minus 1"),
            *interval("excess"),
        ]
    ),
    "metrics": pa.schema(
        [
            RUN,
            column("step", pa.int64(), "optimiser steps taken; null where the value holds for the whole run", "steps"),
            column(
                "metric",
                pa.string(),
                "share of copies: f_mem, sscd_score, and with held-out images in place of samples f_mem_held_out, "
                "sscd_score_held_out; by a threshold on d1 / d2, copy_threshold, that is set by held-out images: "
                "f_mem_calibrated, f_mem_calibrated_held_out; near_threshold: the threshold on d1 alone, in pixels in "
                "[0, 1], that is set so; distance: sliced_wasserstein, frechet (squared; the FID "
                "in space inception), frechet_infinity (at infinitely many samples, so at times below 0), kid (squared "
                "MMD, unbiased, so at times below 0); <distance>_floor: that of as many real images with the same "
                "labels, its interval that of another draw of them, where known; "
                "<distance>_corrected: squared, less the floor, 0 on average for real images, so at times below 0; "
                "<distance>_corrected_first, <distance>_corrected_second: that of either half of the samples; lean: "
                "share nearer to the training set than to the control set, 1/2 for what knows neither; of the "
                "battery: nearer (probability of being nearer than a held-out image), authenticity, precision, recall, "
                "density and coverage, and as <metric>_held_out that of held-out images in place of samples; "
                "empirical_distance: mean distance of samples to those of the posterior mean of the training images, "
                "from the same latents, over that to those of the control set",
            ),
            SPACE,
            column("reference", pa.string(), "train, test, control (training-set-sized, disjoint from it) or null"),
            column("value", pa.float64(), "value of the metric"),
            *interval("value"),
            column("generated", pa.int64(), "images compared with the reference", "images"),
        ]
    ),
    "onsets": pa.schema(
        [
            RUN,
            column(
                "definition",
                pa.string(),
                "; ".join(f"{name}: {definition.meaning}" for name, definition in ONSETS.items()),
            ),
            column(
                "step",
                pa.float64(),
                "the onset; where censored the run's last evaluation but one, as the last only confirms (0 without), "
                "for a departure at most that of its lowest test loss",
                "steps",
            ),
            column("censored", pa.bool_(), "the run ended, or memorised, before the onset"),
            column("left_censored", pa.bool_(), "the onset lies at or before the run's first evaluation"),
            *interval("step; null where it is not known, as of mean losses without standard errors"),
        ]
    ),
    "onsets_over_repetitions": pa.schema(
        [
            column("definition", pa.string(), "definition of the onset"),
            column("run_id", pa.string(), "first run of the point of the grid: its values of all axes are the point's"),
            column("run_ci_low", pa.float64(), "lower end of that run's own interval, over its samples", "steps"),
            column("run_ci_high", pa.float64(), "upper end of that run's own interval, over its samples", "steps"),
            column("onset", pa.float64(), "geometric mean over training sets of those over their seeds", "steps"),
            *interval("onset, over training sets"),
            column("runs", pa.int64(), "repetitions of the point, seeds and subsets"),
            column("sets", pa.int64(), "training sets among them"),
            *RUNS_BEHIND[1:],
            column("reason", pa.string(), "why there is no interval"),
        ]
    ),
    "peaks": pa.schema(
        [
            RUN,
            column("definition", pa.string(), "definition of the onset"),
            column("metric", pa.string(), "the distance, as in the table metrics"),
            column("space", pa.string(), "feature space of the metric"),
            column("step", pa.int64(), "where the smallest distance lies", "steps"),
            column(
                "value",
                pa.float64(),
                "peak fidelity, if known: smallest distance to held-out images at an evaluation up to the onset; of "
                "one corrected for its floor, that of either half of the samples where the other half has it least",
            ),
            *interval("value"),
            column("censored", pa.bool_(), "the run ended before the onset: the best of the whole run"),
        ]
    ),
    "rates": pa.schema(
        [
            RUN,
            column("metric", pa.string(), "the share, as in the table metrics"),
            column("from_step", pa.float64(), "step at which it rises above onset.rate_from, if known", "steps"),
            column("to_step", pa.float64(), "step at which it rises above onset.rate_to, if known", "steps"),
            column(
                "value",
                pa.float64(),
                "memorisation rate, if known: mean slope of the share between both, per factor of ten in steps",
            ),
            column(
                "at_most",
                pa.float64(),
                "of a run that ended before to_step: the rate with which it would have come there at its end",
            ),
            *interval("the rate, 0 and infinite where the run does not bound it"),
            column("reason", pa.string(), "why there is no rate"),
        ]
    ),
    "rate_trends": pa.schema(
        [
            column("metric", pa.string(), "the share, as in the table rates"),
            TERM,
            column(
                "trend",
                pa.float64(),
                "by how much the memorisation rate rises for a factor of ten in the axis, the other axes held fixed",
            ),
            *interval("trend"),
            column("runs", pa.int64(), "runs behind the fit"),
            column(
                "bounded_runs", pa.int64(), "of these, runs of which no more is known than that the rate is smaller"
            ),
            column("left_out", pa.int64(), "runs of which nothing is known of the rate"),
        ]
    ),
    "usage": pa.schema(
        [
            column("job", pa.string(), "job path of the pack"),
            column("runs", pa.int64(), "runs of the pack"),
            column("requested_minutes", pa.float64(), "time that the job asks for at its first attempt", "minutes"),
            column("used_minutes", pa.float64(), "time that its last attempt took", "minutes"),
            column("requested_mb", pa.float64(), "memory that the job asks for at its first attempt", "10^6 bytes"),
            column("used_mb", pa.float64(), "largest resident size of the job's processes", "10^6 bytes"),
        ]
    ),
    "scaling": pa.schema(
        [
            column("definition", pa.string(), "definition of the onset"),
            column("threshold", pa.float64(), "that of the definition; null where it has none"),
            TERM,
            column("exponent", pa.float64(), "k in: onset is proportional to axis ** k, the other axes held fixed"),
            *interval("exponent"),
            *RUNS_BEHIND,
        ]
    ),
    "thresholds": pa.schema(
        [
            column("definition", pa.string(), "definition of the onset, one that has a threshold"),
            TERM,
            THRESHOLD,
            column("exponent", pa.float64(), "k in: onset is proportional to axis ** k, the other axes held fixed"),
            *interval("exponent"),
            *RUNS_BEHIND,
            column(
                "noise",
                pa.float64(),
                "the highest level, of these runs, that chance alone reaches in a share 1 - confidence of draws: of a "
                "gap of losses that of held-out images in the training set's place, of a share of copies that against "
                "the control set, upper end of its interval, of all else resampled images or latents; null where "
                "unknown",
                "as of threshold",
            ),
            column("runs_in_noise", pa.int64(), "of these, runs whose noise lies above the threshold"),
            column(
                "p_value",
                pa.float64(),
                "of a power law, by the lack of fit of the line through onsets in logarithms; null where it cannot be "
                "tested",
            ),
            column("power_law", pa.string(), "rejected, or not rejected, or why it is not testable"),
        ]
    ),
    "local_slopes": pa.schema(
        [
            column("definition", pa.string(), "definition of the onset, one that has a threshold"),
            TERM,
            THRESHOLD,
            column("low", pa.float64(), "value of the axis; of the model size, its base channels"),
            column("high", pa.float64(), "the next larger value"),
            column("exponent", pa.float64(), "k in: onset is proportional to axis ** k between the two values"),
            *interval("exponent"),
            *RUNS_BEHIND,
        ]
    ),
    "fidelity_trends": pa.schema(
        [
            column("definition", pa.string(), "definition of the onset up to which fidelity has its peak"),
            column("metric", pa.string(), "the distance, as in the table peaks"),
            column("space", pa.string(), "feature space of the distance"),
            TERM,
            column(
                "exponent",
                pa.float64(),
                "k in: squared peak distance is proportional to axis ** k, the other axes held fixed",
            ),
            *interval("exponent"),
            column("runs", pa.int64(), "runs behind the fit"),
            column(
                "bounded_runs",
                pa.int64(),
                "of these, runs of which no more is known than that the distance is smaller: at or below its floor, or "
                "ended before the onset",
            ),
        ]
    ),
    "leads": pa.schema(
        [
            column("definition", pa.string(), "definition of the onset that is compared with that of bias"),
            column("train_size", pa.int64(), "training images N of the runs; null for those of all sizes", "images"),
            column("ratio", pa.float64(), "this onset over that of bias, geometric mean over runs"),
            *interval("ratio, over runs"),
            column("runs", pa.int64(), "runs in which both are known"),
            column("left_out", pa.int64(), "runs in which one of both is censored, on either side"),
        ]
    ),
    "copied_images": pa.schema(
        [
            RUN,
            column("index", pa.int64(), "row of the training image, counted in the image table's split train"),
            LABEL,
            column(
                "first_step",
                pa.int64(),
                "first sampled step at which some sample is a copy of the image: it is the sample's nearest training "
                "image, at a distance d1 below the run's near_threshold; null where none ever is",
                "steps",
            ),
            column("samples", pa.int64(), "samples at the run's last sampled step that are copies of the image"),
            column("share", pa.float64(), "their share of the samples at that step"),
            column(
                "to_class_mean",
                pa.float64(),
                "distance to the mean of all training images of its class that there are",
                "pixel values in [0, 1], L2",
            ),
            column(
                "to_nearest",
                pa.float64(),
                "distance to the nearest other image of the same training set",
                "pixel values in [0, 1], L2",
            ),
        ]
    ),
    "copied_first": pa.schema(
        [
            column("measure", pa.string(), "measure of typicality, as in the table copied_images"),
            column(
                "among",
                pa.string(),
                "set: ranks among all images of a training set; class: these less the mean rank of the image's class",
            ),
            column("train_size", pa.int64(), "training images N of the runs; null for all runs", "images"),
            column(
                "correlation",
                pa.float64(),
                "Spearman's, of the measure and first_step, never-copied images tied for last, within each run, mean "
                "over runs: above 0 where typical images are copied first",
            ),
            *interval("correlation, over images, which runs have in common"),
            column("runs", pa.int64(), "runs behind it"),
            column("images", pa.int64(), "different images that these runs are trained on", "images"),
        ]
    ),
    "ratios": pa.schema(
        [
            column("definition", pa.string(), "definition of the onset"),
            column("axis", pa.string(), "axis, by its column of the table runs"),
            column("value", pa.string(), "value of the axis"),
            column("base", pa.string(), "value of the axis that it is compared with"),
            column("ratio", pa.float64(), "onset at the value over onset at the base value, the other axes held fixed"),
            *interval("ratio"),
            *RUNS_BEHIND,
            column("groups", pa.int64(), "groups of these runs that are equal on every other axis, repetitions aside"),
        ]
    ),
}
