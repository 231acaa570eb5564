"""The tables of a study of feature learning."""

from __future__ import annotations

import pyarrow as pa

from .columns import column, interval

OBJECTIVE = column("objective", pa.string(), "what is trained for: classification, diffusion, or untrained")
DIFFUSION_TIME = column("time", pa.float64(), "diffusion time t; 0, clean data, for a classifier")
TWO_PATCH = (
    OBJECTIVE,
    DIFFUSION_TIME,
    column("train_size", pa.int64(), "training samples n", "samples"),
    column("signal_norm", pa.float64(), "norm of the signal"),
    column("n_snr2", pa.float64(), "n times the squared signal-to-noise ratio"),
    column("seed", pa.int64(), "seed of data and initialisation"),
)
ALIGNMENTS = (
    column(
        "signal_max",
        pa.float64(),
        "largest product of a weight and a signal; absolute for a classifier, of its own class",
    ),
    column("noise_max", pa.float64(), "likewise, with the noise of a training sample"),
    column(
        "signal_mean",
        pa.float64(),
        "mean product of weights and signals, as an absolute value; mean absolute value for a classifier",
    ),
    column("noise_mean", pa.float64(), "likewise, with the noises of the training samples"),
)
PLANTED = (
    OBJECTIVE,
    column("train_size", pa.int64(), "training images N", "images"),
    column("agreement", pa.float64(), "share of training images on which easy and hard feature agree"),
    column("task", pa.string(), "easy: the frame; hard: half of the classes; class"),
)

FEATURE_LEARNING: dict[str, pa.Schema] = {
    "alignments": pa.schema(
        [
            *TWO_PATCH,
            column("iteration", pa.int64(), "gradient steps tried", "steps"),
            column("loss", pa.float64(), "training loss; of the denoiser, its expectation less that of zero weights"),
            column("step_size", pa.float64(), "the step in use; halved wherever it would have raised the loss"),
            *ALIGNMENTS,
        ]
    ),
    "stationary": pa.schema(
        [
            *TWO_PATCH,
            column("iterations", pa.int64(), "gradient steps tried", "steps"),
            column("loss", pa.float64(), "training loss; of the denoiser, its expectation less that of zero weights"),
            column("gradient", pa.float64(), "norms of gradient times weights, over the absolute loss"),
            column("finished", pa.bool_(), "the end was met (stationary, or loss small) before the iterations ran out"),
            *ALIGNMENTS,
        ]
    ),
    "growth": pa.schema(
        [
            *TWO_PATCH[:-1],
            column("feature", pa.string(), "signal or noise"),
            column(
                "measure", pa.string(), "which alignments with it: max, the largest; mean, that of an average neuron"
            ),
            column(
                "quantity",
                pa.string(),
                "linear_rate: b of a + b k; exponential_rate: c of A exp(c k), k in steps; log_ratio: log10 of the "
                "exponential's residual sum of squares over the line's, above 0 where the line fits better",
            ),
            column("value", pa.float64(), "mean over seeds"),
            *interval("value"),
            column("predicted", pa.float64(), "what the loss at small weights implies; null where nothing is"),
            column("seeds", pa.int64(), "seeds with a long enough early growth to fit"),
        ]
    ),
    "phase": pa.schema(
        [
            *TWO_PATCH[:-1],
            column("measure", pa.string(), "which alignments: max, the largest; mean, those of an average neuron"),
            column("ratio", pa.float64(), "alignment with the signal over that with noise, geometric mean over seeds"),
            *interval("ratio"),
            column("balanced", pa.float64(), "the ratio of neurons that agree on the data, without randomness"),
            column("seeds", pa.int64(), "seeds behind the mean"),
            column("unfinished", pa.int64(), "of these, those whose iterations ran out before the end"),
        ]
    ),
    "phase_fits": pa.schema(
        [
            OBJECTIVE,
            DIFFUSION_TIME,
            column("measure", pa.string(), "which alignments: max, the largest; mean, those of an average neuron"),
            column(
                "quantity",
                pa.string(),
                "slope: exponent of the ratio in n SNR^2; slope_n, slope_snr2: in n and SNR^2 apart; "
                "slope_at_crossing: in n SNR^2 within a factor 4 around the crossing; crossing: n SNR^2 at which the "
                "ratio crosses 1; prefactor: geometric mean of ratio / (n SNR^2)",
            ),
            column("value", pa.float64(), "value over all cells; null where they do not say"),
            *interval("value"),
            column("predicted", pa.float64(), "prediction for diffusion; null where there is none"),
            column(
                "agrees",
                pa.string(),
                "of a predicted exponent: yes, the interval lies within 0.2 of it; no, it lies beyond; else undecided",
            ),
            column("cells", pa.int64(), "cells of n and SNR behind the fit"),
        ]
    ),
    "noisy_probes": pa.schema(
        [
            OBJECTIVE,
            column("network", pa.string(), "quadratic: two layers; convolutional: four"),
            column("snr", pa.float64(), "mean norm of an image patch over the square root of its pixels"),
            column("seed", pa.int64(), "seed of noise patches and initialisation"),
            column("trained", pa.bool_(), "false: the features of the initialisation, for comparison"),
            column(
                "task", pa.string(), "signal: class from image patches, held out; noise: from trained noise patches"
            ),
            column("accuracy", pa.float64(), "share of images that a linear probe gets right"),
            *interval("accuracy"),
            column("images", pa.int64(), "images the probe is tested on", "images"),
        ]
    ),
    "noisy_maps": pa.schema(
        [
            OBJECTIVE,
            column("network", pa.string(), "quadratic: two layers; convolutional: four"),
            column("snr", pa.float64(), "mean norm of an image patch over the square root of its pixels"),
            column("example", pa.int64(), "which held-out image"),
            column("kind", pa.string(), "clean; seen by the network; shown: input gradient, or denoised"),
            column(
                "values", pa.list_(pa.float64()), "pixels of both patches, one after the other; shape in the metadata"
            ),
        ]
    ),
    "probe_outcomes": pa.schema(
        [
            *PLANTED,
            column("seed", pa.int64(), "seed of frames, initialisation and batches"),
            column("chance", pa.float64(), "share of the most frequent answer among the images tested on"),
            column("item", pa.int64(), "position among the held-out images"),
            column("correct", pa.bool_(), "the probe is right"),
        ]
    ),
    "planted_probes": pa.schema(
        [
            *PLANTED,
            column("accuracy", pa.float64(), "mean over seeds and images of a linear probe"),
            *interval("accuracy"),
            column("chance", pa.float64(), "share of the most frequent answer among the images tested on"),
            column("seeds", pa.int64(), "trainings behind the mean"),
            column("images", pa.int64(), "held-out images the probes are tested on", "images"),
        ]
    ),
    "feature_balance": pa.schema(
        [
            *PLANTED[:-1],
            column(
                "quantity",
                pa.string(),
                "balance: accuracy above chance on the hard feature over that on the easy one; easy_gain, hard_gain, "
                "class_gain: accuracy less that of the classifier's features on the same images",
            ),
            column("value", pa.float64(), "over all seeds and images; null where the easy feature is not found at all"),
            *interval("value"),
        ]
    ),
}
