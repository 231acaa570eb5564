"""Each sentence on a sweep says what its table holds, with its interval and threshold, and no more than that."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest
from helpers.sweep_tables import fit, onsets_of, runs_of, study_of, table
from memsweep.figures.wording import MINUS
from memsweep.report.summary import sweep_course, sweep_onsets
from memsweep.report.summary.amounts import UNKNOWN
from memsweep.report.summary.sweep_answers import sweep_passages, troubles
from memsweep.report.summary.sweep_facts import Facts

NAN = float("nan")
BASE = {"train_size": 8, "base_channels": 4, "batch_size": 4, "learning_rate": 0.001, "seed": 0}


def grid(*products: dict[str, list[Any]]) -> dict[str, Any]:
    return {"base": BASE, "products": list(products)}


SIZES = study_of(grid=grid({"train_size": [8, 16], "seed": [0, 1]}))
RUNS = runs_of(SIZES)  # N = 8 twice, then N = 16 twice


def facts(study: Any = SIZES, runs: pd.DataFrame = RUNS, **tables: pd.DataFrame) -> Facts:
    return Facts.of(study, {"runs": runs, **tables})


def in_short(study: Any, **tables: pd.DataFrame) -> str:
    return " ".join(sweep_passages(study, tables)[0].sentences)


def axis(study: Any, column: str = "train_size") -> Any:
    return next(axis for axis in Facts.of(study, {}).axes if axis.column == column)


def test_the_onset_of_all_runs_has_its_range_and_its_threshold() -> None:
    said = sweep_onsets.started(facts(onsets=onsets_of(RUNS, [90, 91, 3500, 3620])))
    assert said == "Copying (f_mem > 5 %) starts in all 4 runs between steps 90 and 3,620."


def test_the_threshold_is_that_of_the_study() -> None:
    study = study_of(grid=SIZES.config["grid"], onset={"f_mem": 0.125})
    said = sweep_onsets.started(facts(study, onsets=onsets_of(RUNS, [90, 91, 3500, 3620])))
    assert "(f_mem > 12.5 %)" in said


def test_runs_that_ended_before_the_onset_are_counted() -> None:
    onsets = onsets_of(RUNS, [90, 91, 3500, 4000], censored=[False, False, False, True])
    said = sweep_onsets.started(facts(onsets=onsets))
    assert said == "Copying (f_mem > 5 %) starts in 3 of 4 runs between steps 90 and 3,500; 1 run ended before it."


def test_where_no_run_reached_the_onset_the_advice_is_three_times_the_budget() -> None:
    onsets = onsets_of(RUNS, [30, 30, 32, 32], censored=[True] * 4)
    said = sweep_onsets.started(facts(onsets=onsets))
    assert said == (
        "None of 4 runs reached the onset (f_mem > 5 %) by step 32, the last that a later evaluation can confirm: "
        "raise training.budget at least threefold, from 32 to 96 steps; the runs go on from where they are."
    )
    assert sweep_onsets.along_axis(facts(onsets=onsets), axis(SIZES)) == ""


def test_runs_that_had_begun_at_their_first_evaluation_are_told_to_evaluate_earlier() -> None:
    some = onsets_of(RUNS, [3, 3, 90, 90], left_censored=[True, True, False, False])
    assert "starts in all 4 runs at step 90; of 2 runs it lies at or before the first evaluation." in (
        said := sweep_onsets.started(facts(onsets=some))
    )
    assert said.endswith("Evaluate earlier (evaluation.first) to see where.")
    every = onsets_of(RUNS, [3, 3, 3, 3], left_censored=[True] * 4)
    assert "starts in all 4 runs before their first evaluation." in sweep_onsets.started(facts(onsets=every))


def test_without_onsets_there_is_a_sentence_too() -> None:
    assert in_short(SIZES) == "No run has an onset to tell yet (f_mem > 5 %)."


def test_along_an_axis_both_ends_and_the_law_are_told() -> None:
    onsets = onsets_of(RUNS, [80, 125, 1000, 4000])
    scaling = table("scaling", [fit("train_size", 1.771, 1.694, 1.8649)])
    said = sweep_onsets.along_axis(facts(onsets=onsets, scaling=scaling), axis(SIZES))
    # The geometric means of 80 and 125, and of 1000 and 4000
    assert said == (
        "Copying starts at step 100 for N = 8 (80 to 125 in 2 runs) and at step 2,000 for N = 16 (1,000 to 4,000 in 2 "
        "runs): τ ∝ N^1.77 [1.69, 1.86], of 8 runs, for f_mem > 5 %."
    )


@pytest.mark.parametrize(("low", "high", "decided"), [(0.1, 1.0, True), (-1.0, -0.1, True), (-0.1, 1.0, False)])
def test_an_exponent_whose_interval_holds_0_is_undecided(low: float, high: float, decided: bool) -> None:
    onsets = onsets_of(RUNS, [80, 125, 1000, 4000])
    scaling = table("scaling", [fit("train_size", (low + high) / 2, low, high, censored_runs=2)])
    said = sweep_onsets.along_axis(facts(onsets=onsets, scaling=scaling), axis(SIZES))
    assert ("whether it depends on N is undecided" in said) is not decided
    assert "of 8 runs, 2 of them censored" in said


def test_too_few_runs_for_an_exponent_is_said() -> None:
    onsets = onsets_of(RUNS, [80, 125, 1000, 4000])
    scaling = table("scaling", [fit("train_size", NAN, NAN, NAN)])
    said = sweep_onsets.along_axis(facts(onsets=onsets, scaling=scaling), axis(SIZES))
    assert "how the onset goes with N cannot be said from so few runs" in said
    assert "∝" not in said


def test_an_end_of_an_axis_that_no_run_reached_is_told_as_such() -> None:
    onsets = onsets_of(RUNS, [80, 125, 4000, 4000], censored=[False, False, True, True])
    scaling = table("scaling", [fit("train_size", 1.5, 1.0, math.inf, censored_runs=2)])
    said = sweep_onsets.along_axis(facts(onsets=onsets, scaling=scaling), axis(SIZES))
    assert "and not by step 4,000 for N = 16" in said
    assert "N^1.50 [1.00, ∞]" in said


def test_values_that_are_no_numbers_have_ratios() -> None:
    study = study_of(grid=grid({"training.flip": [False, True]}))
    runs = runs_of(study)
    rows = [
        {"definition": "f_mem", "axis": "training_flip", "value": "true", "base": "false", "ratio": 2.04, "ci_low": 1.5}
        | {"ci_high": 3.0, "runs": 6, "censored_runs": 1, "left_censored_runs": 0, "groups": 1}
    ]
    known = facts(study, runs, onsets=onsets_of(runs, [80, 160]), ratios=table("ratios", rows))
    said = sweep_onsets.along_axis(known, axis(study, "training_flip"))
    assert said == (
        "Beside the onset at flips = false, that at true is later (2.0 [1.5, 3.0] times as late, of 6 runs, 1 of them "
        "censored), for f_mem > 5 %."
    )
    none = facts(study, runs, onsets=onsets_of(runs, [80, 160]))
    assert "cannot be said from so few runs" in sweep_onsets.along_axis(none, axis(study, "training_flip"))


def test_diverged_runs_are_counted_and_placed() -> None:
    runs = runs_of(SIZES, {2: "diverged", 3: "diverged"})
    (said,) = troubles(facts(runs=runs))
    assert said.startswith("2 of 4 runs diverged, at N = 16: their losses are not finite")


def test_one_run_is_told_to_sweep() -> None:
    study = study_of(grid=grid({"seed": [0]}))
    runs = runs_of(study)
    said = in_short(study, runs=runs, onsets=onsets_of(runs, [80]))
    assert said == (
        "Copying (f_mem > 5 %) starts in the one run at step 80. One run has no exponent: sweep an axis "
        "(grid.products)."
    )
    never = in_short(study, runs=runs, onsets=onsets_of(runs, [32], censored=[True]))
    assert never.startswith("The one run did not reach the onset (f_mem > 5 %) by step 32")


def lead(ratio: float, low: float, high: float, runs: int = 4, left_out: int = 0) -> pd.DataFrame:
    row = {"definition": "test_loss_minimum", "train_size": None, "ratio": ratio, "ci_low": low, "ci_high": high}
    return table("leads", [{**row, "runs": runs, "left_out": left_out}]).astype({"train_size": "Int64"})


@pytest.mark.parametrize(
    ("leads", "said"),
    [
        (
            lead(1.82, 1.3, 2.55),
            "precedes the minimum of the test loss by a factor of 1.8 in steps [1.3, 2.5] (4 runs).",
        ),
        (lead(0.5, 0.25, 0.8), "follows the minimum of the test loss by a factor of 2.0 in steps [1.2, 4.0] (4 runs)."),
        (lead(1.2, 0.5, 2.8), "is undecided: it does by a factor of 1.2 in steps [0.50, 2.8] (4 runs)."),
        (lead(1.8, NAN, NAN, 1), "cannot be said of one run, in which that comes at 1.8 times the step of bias."),
        (
            lead(NAN, NAN, NAN, 0, 3),
            "cannot be said: of no run are both known; 3 left out, as one of both is censored.",
        ),
    ],
)
def test_whether_bias_precedes_the_minimum_is_as_sure_as_its_interval(leads: pd.DataFrame, said: str) -> None:
    sentence = sweep_course.bias_first(facts(leads=leads))
    assert sentence.endswith(said)
    assert "(lean > 0.7)" in sentence


def test_nothing_is_said_of_bias_where_no_runs_are_compared() -> None:
    assert sweep_course.bias_first(facts(leads=table("leads", []))) == ""


def trend(term: str, exponent: float, low: float, high: float) -> dict[str, Any]:
    of = {"definition": "f_mem", "metric": "sliced_wasserstein_corrected", "space": "classifier", "term": term}
    return {**of, "exponent": exponent, "ci_low": low, "ci_high": high, "runs": 9, "bounded_runs": 2}


def test_fidelity_is_better_or_worse_or_undecided() -> None:
    better = sweep_course.fidelity(
        facts(fidelity_trends=table("fidelity_trends", [trend("train_size", -1.2, -1.5, -0.9)]))
    )
    assert better == [
        "The best samples before the onset are better at larger N: their squared distance to held-out images goes as "
        f"N^{MINUS}1.20 [{MINUS}1.50, {MINUS}0.90], of 9 runs, 2 of them bounds (sliced Wasserstein less its floor, "
        "classifier space, up to f_mem > 5 %)."
    ]
    worse = sweep_course.fidelity(facts(fidelity_trends=table("fidelity_trends", [trend("train_size", 1.2, 0.9, 1.5)])))
    assert "are worse at larger N" in worse[0]
    (open_one,) = sweep_course.fidelity(
        facts(fidelity_trends=table("fidelity_trends", [trend("train_size", 0.1, -0.5, 0.7)]))
    )
    assert open_one.startswith("Whether the squared distance of the best samples before the onset (")
    assert f"depends on N is undecided: N^0.10 [{MINUS}0.50, 0.70] of 9 runs" in open_one


def test_the_rate_of_copying_is_that_of_the_runs() -> None:
    values = (("a", "f_mem", 1.0), ("b", "f_mem", 2.0), ("c", "f_mem", 4.0), ("d", "f_mem", NAN), ("c", "other", 9.0))
    rates = table("rates", [{"run_id": run, "metric": metric, "value": value} for run, metric, value in values])
    said = sweep_course.rate(facts(rates=rates))
    assert "rises at a rate of 2.00 per factor of ten in steps (median; 1.00 to 4.00 in 3 runs)" in said
    assert sweep_course.rate(facts(rates=rates.head(1))).endswith("in steps (one run).")
    assert sweep_course.rate(facts(rates=table("rates", []))) == ""


def test_departures_are_told_with_what_they_leave() -> None:
    onsets = onsets_of(RUNS, [10, 12, 14, 40], "departure", censored=[False, False, False, True])
    scaling = table("scaling", [fit("train_size", 0.07, -0.02, 0.16, "departure")])
    (said,) = sweep_course.departures(facts(onsets=onsets, scaling=scaling))
    assert said == (
        "Networks start to use more of their images than the Gaussian of all images (leaves Gaussian by 5 %) between "
        f"steps 10 and 14 in 3 of 4 runs; whether it depends on N is undecided, τ ∝ N^0.07 [{MINUS}0.02, 0.16], "
        "of 8 runs."
    )


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.1, 0.5, "are copied earlier"), (-0.5, -0.1, "are copied later"), (-0.1, 0.5, "is undecided")],
)
def test_whether_typical_images_go_first(low: float, high: float, said: str) -> None:
    row = {"measure": "to_class_mean", "among": "set", "train_size": None, "correlation": (low + high) / 2}
    rows = table("copied_first", [{**row, "ci_low": low, "ci_high": high, "runs": 3, "images": 32}])
    (sentence,) = sweep_course.typical_first(facts(copied_first=rows))
    assert said in sentence
    assert "of 32 images in 3 runs" in sentence


def test_exponents_under_every_definition_stand_beside_their_thresholds() -> None:
    scaling = table(
        "scaling",
        [
            fit("train_size", 1.4, 1.2, 1.6, "test_loss_minimum"),
            fit("train_size", 1.8, 1.7, 1.9, "f_mem"),
            fit("train_size", NAN, NAN, NAN, "departure"),
        ],
    )
    grid_of = sweep_onsets.exponents(facts(scaling=scaling))
    assert grid_of is not None
    assert list(grid_of.headings) == ["onset", "k in N"]
    assert [list(row) for row in grid_of.rows] == [
        ["test loss minimum", "1.40 [1.20, 1.60]"],
        ["f_mem > 5 %", "1.80 [1.70, 1.90]"],
        ["leaves Gaussian by 5 %", UNKNOWN],
    ]
    apart = sweep_onsets.definitions_apart(facts(scaling=scaling))
    assert "Under the 2 definitions" in apart
    assert "lies between 1.40 [1.20, 1.60] (test loss minimum) and 1.80 [1.70, 1.90] (f_mem > 5 %)." in apart
    unknown = table("scaling", [fit("train_size", NAN, NAN, NAN, "f_mem")])
    assert sweep_onsets.exponents(facts(scaling=unknown)) is None


def test_the_answer_comes_first_and_other_axes_after() -> None:
    study = study_of(grid=grid({"learning_rate": [0.001, 0.002]}, {"train_size": [8, 16]}))
    runs = runs_of(study)
    scaling = table("scaling", [fit("train_size", 1.5, 1, 2), fit("learning_rate", -1, -2, -0.5)])
    passages = sweep_passages(study, {"runs": runs, "onsets": onsets_of(runs, [9, 8, 40]), "scaling": scaling})
    assert passages[0].heading == "In short"
    assert "N^1.50" in passages[0].sentences[1]
    assert f"η^{MINUS}1.00" in passages[1].sentences[0]
