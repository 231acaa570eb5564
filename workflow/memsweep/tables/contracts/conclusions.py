"""The tables that a sweep concludes in, from all of its runs together."""

from __future__ import annotations

import pyarrow as pa

from .columns import column, interval
from .sweep import RUN, RUNS_BEHIND

DEFINITION = column("definition", pa.string(), "definition of the onset")
TERM = column(
    "term",
    pa.string(),
    "axis of positive numbers by its coordinate, as in the table scaling, any other by its column of the table runs",
)

CLAIMS: dict[str, pa.Schema] = {
    "claims": pa.schema(
        [
            column("claim", pa.string(), "a short name"),
            column("source", pa.string(), "the paper"),
            column("statement", pa.string(), "what it claims"),
            column("measure", pa.string(), "the number that decides"),
            column(
                "primary",
                pa.string(),
                "of the ways in which the number can be measured, the one that decides: the first, in an order "
                "declared beforehand, that the study has",
            ),
            column("estimate", pa.float64(), "that number; null where the study has none"),
            *interval("estimate"),
            column("margin_low", pa.float64(), "the claim holds where the number is above this ..."),
            column("margin_high", pa.float64(), "... and below this"),
            column("outside", pa.bool_(), "or, where true, where it is not between both"),
            column(
                "verdict",
                pa.string(),
                "supported: the whole interval lies where the claim holds; refuted: none of it does; undecided: a part "
                "does; not testable: there is no estimate",
            ),
            column("runs", pa.int64(), "runs, or what the study has in their place, behind the estimate"),
            column("unit", pa.string(), "what these are: run, replica, experiment, seed, or cell of n and SNR"),
            column(
                "needed",
                pa.int64(),
                "about how many more of them would decide, if the estimate stayed as it is; null where it is decided, "
                "or where no number would do",
            ),
            column("lacking", pa.string(), "what the study lacks, where it is not testable"),
            column("published", pa.float64(), "the number in the paper, some of them read off its figures"),
            column("definitions_agreeing", pa.int64(), "ways, the primary one among them, with the same verdict"),
            column("definitions", pa.int64(), "ways that the study has"),
        ]
    ),
}


def _turning_point(name: str, meaning: str) -> tuple[pa.Field, ...]:
    return (
        column(f"{name}_step", pa.int64(), f"{meaning}: its step", "steps"),
        column(f"{name}_step_low", pa.int64(), "first step at which the distance may be as extreme", "steps"),
        column(f"{name}_step_high", pa.int64(), "last step at which it may be", "steps"),
        column(f"{name}_value", pa.float64(), "the distance there"),
    )


CONCLUSIONS: dict[str, pa.Schema] = {
    "law": pa.schema(
        [
            DEFINITION,
            TERM,
            column(
                "value", pa.string(), "value that is compared with the base value of an axis; null for numeric axes"
            ),
            column(
                "order",
                pa.int64(),
                "1: the exponent at the middle of the axis's values on a logarithmic scale, or log10 of the onset at "
                "the value over that at the base; 2: the curvature, half of what the exponent gains per factor of ten",
            ),
            column("estimate", pa.float64(), "the term of the law of log10(onset) in all axes together"),
            *interval("estimate, over seeds and training sets"),
            column("freedom", pa.float64(), "degrees of freedom of the interval; at most those of sets between them"),
            column("runs", pa.int64(), "runs behind the law"),
            column("sets", pa.int64(), "training sets with an onset behind the law"),
            column("kept", pa.bool_(), "the term is in the law that predicts"),
            column("reason", pa.string(), "why there is no estimate, or no test of a curvature; null where there is"),
        ]
    ),
    "law_fit": pa.schema(
        [
            DEFINITION,
            *RUNS_BEHIND,
            column("sets", pa.int64(), "training sets with an onset behind the law"),
            column("sigma", pa.float64(), "standard deviation of log10(onset) of runs of one training set"),
            column(
                "sigma_sets",
                pa.float64(),
                "standard deviation of log10(onset) of training sets; null where it cannot be told: sigma is all "
                "scatter then, and with one training set that of its runs",
            ),
            column(
                "lack_of_fit",
                pa.float64(),
                "p-value of the F test that the law fits, against a mean of its own for each point of the grid",
            ),
            column("lack_of_fit_reason", pa.string(), "why that is not tested; null where it is"),
            column("predicted", pa.int64(), "rows of the table law_errors"),
            column(
                "inside",
                pa.float64(),
                "share of these with the onset in the prediction interval, a censored one wherever it may be there",
            ),
            column("short_runs", pa.int64(), "runs that ended before their onset without having diverged"),
            column(
                "budgets_typical",
                pa.float64(),
                "median over these of the onset that the law has, in units of their budget, 1 at least; null where it "
                "has none",
            ),
            column("budgets_most", pa.float64(), "the largest of these"),
            column("reason", pa.string(), "why there is no law; null where there is"),
        ]
    ),
    "law_errors": pa.schema(
        [
            DEFINITION,
            TERM,
            column("left_out", pa.float64(), "value of the axis without whose runs the law is fitted"),
            RUN,
            column("predicted", pa.float64(), "median onset at the run's point by that law", "steps"),
            column(
                "ci_low", pa.float64(), "lower end of the prediction interval of a run of a new training set", "steps"
            ),
            column("ci_high", pa.float64(), "upper end of that interval", "steps"),
            column("observed", pa.float64(), "the run's step in the table onsets", "steps"),
            column("censored", pa.bool_(), "the run ended, or memorised, before the onset"),
            column("left_censored", pa.bool_(), "the onset lies at or before the run's first evaluation"),
        ]
    ),
    "collapse": pa.schema(
        [
            column("curve", pa.string(), "what is followed along training, by the definition of the onset that it has"),
            column(
                "axis",
                pa.string(),
                "swept axis by its coordinate, the other axes held fixed; train_size and parameters, or all: several",
            ),
            column(
                "exponents",
                pa.string(),
                "those by which time is rescaled: none; paper, of the normalised step; fitted; n_over_root_p, fitted "
                "with train_size and parameters as the one variable N / sqrt(P)",
            ),
            column("value", pa.string(), "k in T = step / axis ** k, by axis, as JSON"),
            column("levels", pa.int64(), "levels that all of these runs pass; without any there is no spread"),
            column("spread", pa.float64(), "standard deviation of log10 T at one level among these runs"),
            *interval("spread", "spread_"),
            column("pure_error", pa.float64(), "standard deviation of log10 T among repetitions"),
            column("error_freedom", pa.float64(), "degrees of freedom of the pure error; infinite for single onsets"),
            column(
                "error_of",
                pa.string(),
                "what repeats: training sets, means over seeds; seeds; onsets: nothing does, and it is their interval",
            ),
            column("ratio", pa.float64(), "spread over pure error: 1 where curves collapse"),
            *interval("ratio", "ratio_"),
            column("runs", pa.int64(), "runs along the axis"),
        ]
    ),
    "descents": pa.schema(
        [
            column("run_id", pa.string(), "the run"),
            column("space", pa.string(), "feature space of the distance"),
            column("metric", pa.string(), "the distance, as in the table metrics: less its floor where it has one"),
            column("split", pa.string(), "images that samples are compared with: train or test"),
            column("evaluations", pa.int64(), "steps at which the distance is known"),
            *_turning_point("min", "the minimum before the rise, or the lowest of all where there is none"),
            *_turning_point("peak", "the peak after it; null where no evaluation is above an earlier one"),
            column("rise", pa.float64(), "peak less minimum, of all rises the one that stands out most from its error"),
            *interval("rise, simultaneous over all pairs of evaluations"),
            column("second_fall", pa.float64(), "peak less a later value, likewise; null where it never falls again"),
            *interval("second_fall, likewise", "fall_"),
            column(
                "verdict",
                pa.string(),
                "whether there is a double descent: yes, where a first fall, the rise and a second fall are all beyond "
                "their errors; no, where no rise is, and all are less than a tenth of the first fall; else undecided",
            ),
        ]
    ),
}
