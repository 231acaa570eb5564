"""The tables of a comparison of anybody's samples with training images."""

from __future__ import annotations

import pyarrow as pa

from .columns import column, interval

GENERATED = column("generated", pa.int64(), "generated images compared", "images")

COMPARISON: dict[str, pa.Schema] = {
    "copy_shares": pa.schema(
        [
            column(
                "rule",
                pa.string(),
                "what a copy is, d1 / d2 being the ratio of the distances to the two nearest training images: field, "
                "below 1/3; calibrated, below the threshold that a stated share of held-out images lies below; sscd, "
                "a cosine similarity above the threshold",
            ),
            column("threshold", pa.float64(), "on d1 / d2, or of sscd on the similarity"),
            column("value", pa.float64(), "share of the generated images that are copies"),
            *interval("value, of that many generated images, the threshold being given (Clopper-Pearson)"),
            GENERATED,
            column("held_out_value", pa.float64(), "false-positive rate: share of held-out images called copies"),
            column("held_out_ci_low", pa.float64(), "lower end of the confidence interval of held_out_value"),
            column("held_out_ci_high", pa.float64(), "upper end of the confidence interval of held_out_value"),
            column("held_out", pa.int64(), "held-out images compared", "images"),
            column("chance", pa.float64(), "probability of so many copies or more if the model copied nothing"),
        ]
    ),
    "battery": pa.schema(
        [
            column(
                "metric",
                pa.string(),
                "nearer: probability that a generated image is nearer to the training set than a held-out image is; "
                "authenticity: share of generated images that are farther from their nearest training image than that "
                "is from its nearest other one (AuthPct / 100); precision, recall, density, coverage by balls to the "
                "k-th nearest; sliced_wasserstein; frechet, a squared distance; kid, a squared distance that may be "
                "below 0",
            ),
            column("reference", pa.string(), "what generated images are compared with: train or held_out"),
            column("value", pa.float64(), "of the generated images; missing where the note says why"),
            *interval("value"),
            column(
                "interval_of",
                pa.string(),
                "what varies within the interval: generated, reference, or generated and held_out",
            ),
            column(
                "held_out_value",
                pa.float64(),
                "the same with as many held-out images in place of generated ones, against as many training images: "
                "what a perfect sampler shows",
            ),
            GENERATED,
            column("references", pa.int64(), "reference images compared", "images"),
            column("note", pa.string(), "what makes the value misleading, or why there is none"),
        ]
    ),
    "nearest_pairs": pa.schema(
        [
            column("index", pa.int64(), "number of the generated image, from 0"),
            column("name", pa.string(), "its file, or its row of an array"),
            column("nearest", pa.int64(), "number of its nearest training image, from 0"),
            column("nearest_name", pa.string(), "its file, or its row of an array"),
            column("distance", pa.float64(), "d1, to the nearest training image; of pixels in [0, 1]"),
            column("second_distance", pa.float64(), "d2, to the second nearest of another content"),
            column("ratio", pa.float64(), "d1 / d2"),
            column("is_copy", pa.bool_(), "below the calibrated threshold, or without held-out images the field's"),
        ]
    ),
    "metric_check": pa.schema(
        [
            column(
                "generator",
                pa.string(),
                "constructed generator: resampler of other images, a perfect sampler; copier of training images, exact "
                "or with normal noise of 0.05 (slight), 0.1 (moderate) or 0.2 (strong) of the range; half_copier, half "
                "copier and half resampler; neighbour_means, of a training image and its nearest other; class_means; "
                "gaussian, draws from that of other images; mode_dropper, resampler of half of the classes",
            ),
            column("train_size", pa.int64(), "training images N", "images"),
            column("samples", pa.int64(), "generated images", "images"),
            column(
                "metric",
                pa.string(),
                "field_copies, calibrated_copies: share of copies by the rules of the table copy_shares; or a metric "
                "of the table battery",
            ),
            column("space", pa.string(), "feature space"),
            column("reference", pa.string(), "what generated images are compared with: train or held_out"),
            column("value", pa.float64(), "of the generator; missing where the metric cannot be taken"),
            *interval("value"),
            column("held_out_value", pa.float64(), "the same with held-out images in place of generated ones"),
        ]
    ),
}
