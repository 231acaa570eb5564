"""The tables of a study of the mixed cumulant model."""

from __future__ import annotations

import pyarrow as pa

from .columns import STEP, column, interval

EXPERIMENT = column("experiment", pa.string(), "name of the single unit's experiment")
NETWORK = column("network", pa.string(), "name of the network's experiment")
DIMENSION = column("dimension", pa.int64(), "coordinates d of a pattern")
REPLICA = column("replica", pa.int64(), "which replica; each has its own start and its own patterns")
SPIKE = column("spike", pa.string(), "u, of the covariance; v, of the fourth cumulant")
SEEN = column("samples", pa.int64(), "patterns learnt from n, each seen once", "patterns")
RECOVERED = column(
    "samples",
    pa.float64(),
    "patterns until the overlap stays above the threshold; where censored, the last that could be told",
    "patterns",
)
CENSORED = column("censored", pa.bool_(), "the run ended before")
COUNTS = (
    column("replicas", pa.int64(), "replicas behind the number"),
    column("censored_replicas", pa.int64(), "of these, replicas whose run ended before"),
)

MIXED_CUMULANT: dict[str, pa.Schema] = {
    "unit_paths": pa.schema(
        [
            REPLICA,
            SEEN,
            column("overlap_u", pa.float32(), "overlap of the unit's weights with u"),
            column("overlap_v", pa.float32(), "overlap of the unit's weights with v"),
        ]
    ),
    "unit_recoveries": pa.schema(
        [
            SPIKE,
            REPLICA,
            RECOVERED,
            CENSORED,
        ]
    ),
    "overlaps": pa.schema(
        [
            EXPERIMENT,
            DIMENSION,
            SPIKE,
            SEEN,
            column("median", pa.float64(), "median over replicas of the absolute overlap"),
            *interval("median"),
            column("low", pa.float64(), "10th percentile of the replicas"),
            column("high", pa.float64(), "90th percentile of the replicas"),
        ]
    ),
    "recoveries": pa.schema(
        [
            EXPERIMENT,
            DIMENSION,
            SPIKE,
            REPLICA,
            RECOVERED,
            CENSORED,
        ]
    ),
    "recovery_times": pa.schema(
        [
            EXPERIMENT,
            DIMENSION,
            SPIKE,
            column("median", pa.float64(), "median time to recovery (Kaplan-Meier); infinite if unknown", "patterns"),
            *interval("median"),
            *COUNTS,
        ]
    ),
    "recovery_exponents": pa.schema(
        [
            EXPERIMENT,
            SPIKE,
            column(
                "law",
                pa.string(),
                "of the medians, power: n = A d^k, power_log: n = A d^k (log d + c); lognormal: n = A d^k",
            ),
            column("exponent", pa.float64(), "k of that law; null where not estimable"),
            *interval("exponent; infinite where the replicas do not bound it"),
            column("predicted", pa.float64(), "max(1, k* - 1) of the information exponent k*; infinite if never"),
            column("dimensions", pa.int64(), "values of d behind the fit"),
            *COUNTS,
        ]
    ),
    "loss_terms": pa.schema(
        [
            EXPERIMENT,
            column("order_u", pa.int64(), "power of the overlap with u"),
            column("order_v", pa.int64(), "power of the overlap with v"),
            column("coefficient", pa.float64(), "of these powers in the population loss, in units of squared error"),
        ]
    ),
    "information_exponents": pa.schema(
        [
            EXPERIMENT,
            SPIKE,
            column("other_learnt", pa.bool_(), "whether the overlap with the other spike is already of order 1"),
            column("order", pa.int64(), "diffusion information exponent k*; null where no term up to order 6 holds it"),
            column("coefficient", pa.float64(), "of the first term"),
            column("lowers_loss", pa.bool_(), "whether the first term lowers the loss, so that the spike is learnt"),
            column("sample_exponent", pa.float64(), "power of d of the samples to learn it; infinite if never"),
        ]
    ),
    "cumulants": pa.schema(
        [
            EXPERIMENT,
            column("order_u", pa.int64(), "how often the coordinate along u enters"),
            column("order_v", pa.int64(), "how often the coordinate along v enters"),
            column("theory", pa.float64(), "the joint cumulant in closed form"),
            column("estimate", pa.float64(), "the same of the sampler's patterns"),
            *interval("estimate"),
        ]
    ),
    "network_losses": pa.schema(
        [
            REPLICA,
            STEP,
            column("split", pa.string(), "test: held-out patterns; surrogate: Gaussian ones of the same covariance"),
            column("item", pa.int64(), "which group of held-out patterns; the same at every step"),
            column("loss", pa.float64(), "mean squared error per coordinate"),
        ]
    ),
    "network_curves": pa.schema(
        [
            NETWORK,
            DIMENSION,
            REPLICA,
            STEP,
            SEEN,
            column("test_loss", pa.float64(), "mean squared error per coordinate on held-out patterns"),
            column("test_ci_low", pa.float64(), "lower end of its confidence interval"),
            column("test_ci_high", pa.float64(), "upper end of its confidence interval"),
            column("surrogate_loss", pa.float64(), "mean squared error per coordinate on Gaussian surrogates"),
            column("surrogate_ci_low", pa.float64(), "lower end of its confidence interval"),
            column("surrogate_ci_high", pa.float64(), "upper end of its confidence interval"),
            column("linear_loss", pa.float64(), "that of the best linear denoiser, in closed form"),
            column("excess", pa.float64(), "surrogate loss over test loss, minus 1"),
            *interval("excess"),
        ]
    ),
    "network_departures": pa.schema(
        [
            NETWORK,
            DIMENSION,
            REPLICA,
            column(
                "step", pa.float64(), "departure of the test loss from the surrogate's; last where censored", "steps"
            ),
            column("samples", pa.float64(), "patterns seen until then", "patterns"),
            CENSORED,
            column("left_censored", pa.bool_(), "it departed at or before the first evaluation"),
            *interval("step"),
        ]
    ),
    "network_exponents": pa.schema(
        [
            NETWORK,
            column("exponent", pa.float64(), "k in: patterns until the departure are proportional to d ** k"),
            *interval("exponent"),
            *COUNTS,
        ]
    ),
}
