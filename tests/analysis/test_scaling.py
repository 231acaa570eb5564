"""Exponents: exact without censoring, right by simulation with it; and the stage that writes them."""

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from helpers.properties import examples
from hypothesis import given
from hypothesis import strategies as st
from memsweep.analysis.analyse import analyse
from memsweep.analysis.censored import NotConverged
from memsweep.analysis.scaling import effect, ratios
from memsweep.analysis.scaling import exponent as fit_exponent
from memsweep.analysis.scaling import scaling as scaling_along
from memsweep.base.errors import UserError
from memsweep.data.images import encode
from memsweep.study.axes import Axis
from memsweep.study.onsets import DEFINITIONS
from memsweep.tables.parquet import image_metadata, read_table, write_table
from scipy import optimize, stats


def exponent(term, onset, censored, group, confidence, left_censored=None):
    """Without runs whose onset is before their first evaluation, unless they are given."""
    none = np.zeros(len(np.asarray(term)), bool)
    return fit_exponent(term, onset, censored, none if left_censored is None else left_censored, group, confidence)


SIZES = np.array([256.0, 512.0, 1024.0, 2048.0])


def sweep(rng, exponent=1.2, noise=0.1, seeds=3, groups=1, values=SIZES):
    """Terms, uncensored onsets and groups of a full factorial."""
    term = np.tile(np.repeat(values, seeds), groups)
    group = np.repeat(np.arange(groups), len(values) * seeds)
    onset = 10 ** (group + exponent * np.log10(term) + noise * rng.normal(size=len(term)))
    return term, onset, group


def ended(onset, last):
    """Onsets and whether they are censored, for runs that end at `last`."""
    return np.minimum(onset, last), onset > last


def as_list(fit):
    return [fit.exponent, fit.ci_low, fit.ci_high]


# --- without censoring ---


def test_without_censoring_it_is_least_squares_with_its_t_interval():
    term, onset, group = sweep(np.random.default_rng(0))
    fit = exponent(term, onset, np.zeros(12, bool), group, 0.9)
    line = stats.linregress(np.log10(term), np.log10(onset))
    margin = stats.t.ppf(0.95, 10) * line.stderr
    assert as_list(fit) == pytest.approx([line.slope, line.slope - margin, line.slope + margin], rel=1e-5)


def test_groups_have_an_intercept_each():
    term, onset, group = sweep(np.random.default_rng(1), groups=3)
    fit = exponent(term, onset, np.zeros(len(term), bool), group, 0.95)
    design = np.column_stack([np.log10(term), np.eye(3)[group]])
    low, high = sm.OLS(np.log10(onset), design).fit().conf_int(0.05)[0]
    assert as_list(fit) == pytest.approx([(low + high) / 2, low, high], rel=1e-5)


@pytest.mark.parametrize("unit", [1, 100])
def test_three_onsets_are_enough_and_their_interval_is_wide(unit):
    onset = unit * np.array([1.0, 2.5, 3.8])
    fit = exponent([1, 2, 4], onset, [False] * 3, [0] * 3, 0.95)
    line = stats.linregress(np.log10([1, 2, 4]), np.log10(onset))
    assert fit.ci_high - fit.exponent == pytest.approx(stats.t.ppf(0.975, 1) * line.stderr, rel=1e-5)


@pytest.mark.parametrize(("last", "censored"), [(80, False), (70, True)])
def test_onsets_on_a_line_give_its_slope_without_width(last, censored):
    """A run that ended before the line says nothing against it."""
    fit = exponent([1, 2, 4, 8], [10, 20, 40, last], [False, False, False, censored], [0] * 4, 0.95)
    assert fit.exponent == pytest.approx(1)
    assert fit.ci_low == fit.exponent == fit.ci_high


def test_a_run_that_outlived_the_line_bends_it():
    fit = exponent([1, 2, 4, 8], [10, 20, 40, 160], [False] * 3 + [True], [0] * 4, 0.95)
    assert fit.exponent > 1.1
    assert fit.ci_low < 1 < fit.ci_high


# --- with censoring ---


def negative_log_likelihood(parameters, x, y, censored, left_censored):
    intercept, slope, log_sigma = parameters
    z = (y - intercept - slope * x) / np.exp(log_sigma)
    seen = stats.norm.logpdf(z) - log_sigma
    return -np.select([censored, left_censored], [stats.norm.logsf(z), stats.norm.logcdf(z)], seen).sum()


@pytest.mark.parametrize("first", [0, 4])
def test_the_censored_fit_maximises_the_likelihood(first):
    """Runs end at the ninth onset; their first evaluation is before all onsets, or at the fifth."""
    term, onset, group = sweep(np.random.default_rng(2))
    ranked = np.sort(onset)
    onset, censored = ended(onset, ranked[8])
    left_censored = onset < ranked[first]
    onset = np.maximum(onset, ranked[first])
    x, y = np.log10(term), np.log10(onset)
    fit = exponent(term, onset, censored, group, 0.95, left_censored)
    options = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 5000, "maxfev": 5000}
    arguments = (x, y, censored, left_censored)
    best = optimize.minimize(negative_log_likelihood, [0, 1, -2], arguments, method="Nelder-Mead", options=options)
    assert fit.exponent == pytest.approx(best.x[1], abs=1e-4)
    # variance by central differences of the likelihood, times onsets / degrees of freedom
    step, eye = 1e-3, np.eye(3)
    information = [
        [
            sum(
                a * b * negative_log_likelihood(best.x + step * (a * eye[i] + b * eye[j]), *arguments)
                for a, b in product((-1, 1), repeat=2)
            )
            / (4 * step**2)
            for j in range(3)
        ]
        for i in range(3)
    ]
    observed = int((~censored & ~left_censored).sum())
    deviation = math.sqrt(np.linalg.inv(information)[1, 1] * observed / (observed - 2))
    assert (fit.ci_high - fit.ci_low) / 2 == pytest.approx(stats.t.ppf(0.975, observed - 2) * deviation, rel=1e-3)


def test_simulation_censored_runs_are_modelled_not_dropped():
    """All runs end at one step: dropping those without an onset flattens the exponent, modelling them does not."""
    rng, studies, truth = np.random.default_rng(3), 100, 1.2
    last = 1100**truth
    errors, dropped, covers, dropped_covers = [], [], 0, 0
    for _ in range(studies):
        term, onset, group = sweep(rng, truth)
        onset, censored = ended(onset, last)
        fit = exponent(term, onset, censored, group, 0.95)
        line = stats.linregress(np.log10(term[~censored]), np.log10(onset[~censored]))
        errors.append(fit.exponent - truth)
        dropped.append(line.slope - truth)
        covers += fit.ci_low <= truth <= fit.ci_high
        margin = stats.t.ppf(0.975, (~censored).sum() - 2) * line.stderr
        dropped_covers += abs(line.slope - truth) <= margin
    assert abs(np.mean(errors)) < 3 * stats.sem(errors)
    assert np.mean(dropped) < -5 * stats.sem(dropped)
    assert stats.binomtest(covers, studies, 0.95).pvalue > 0.001
    assert dropped_covers < covers


def test_simulation_onsets_before_the_first_evaluation_are_modelled_not_taken_at_it():
    rng, studies, truth = np.random.default_rng(12), 40, 1.2
    first = 400**truth
    errors, taken, covers = [], [], 0
    for _ in range(studies):
        term, onset, group = sweep(rng, truth)
        early, onset = onset < first, np.maximum(onset, first)
        fit = exponent(term, onset, np.zeros(12, bool), group, 0.95, early)
        errors.append(fit.exponent - truth)
        taken.append(exponent(term, onset, np.zeros(12, bool), group, 0.95).exponent - truth)
        covers += fit.ci_low <= truth <= fit.ci_high
    assert abs(np.mean(errors)) < 3 * stats.sem(errors)
    assert np.mean(taken) < -5 * stats.sem(taken)
    assert stats.binomtest(covers, studies, 0.95).pvalue > 0.001


def test_a_group_without_onsets_changes_nothing():
    term, onset, group = sweep(np.random.default_rng(4))
    onset, censored = ended(onset, np.sort(onset)[8])
    alone = exponent(term, onset, censored, group, 0.95)
    both = [np.concatenate(pair) for pair in ((term, term), (onset, onset), (censored, censored | True))]
    assert exponent(*both, np.append(group, group + 1), 0.95) == alone


@pytest.mark.parametrize(("bound", "left_censored"), [(1e-3, False), (1e3, True)])
def test_a_run_that_says_next_to_nothing_changes_nothing(bound, left_censored):
    """It ended hundreds of standard deviations before the line, or was first evaluated as far beyond it."""
    term, onset, group = sweep(np.random.default_rng(13), noise=0.01)
    onset, early = np.maximum(onset, np.sort(onset)[2]), onset < np.sort(onset)[2]  # the same way of fitting both
    none = np.zeros(12, bool)
    alone = exponent(term, onset, none, group, 0.95, early)
    beyond = np.append(onset, bound * onset[0])
    sides = np.append(none, not left_censored), np.append(early, left_censored)
    fit = exponent(np.append(term, term[0]), beyond, sides[0], np.append(group, 0), 0.95, sides[1])
    assert as_list(fit) == pytest.approx(as_list(alone), abs=1e-5)


def test_a_run_never_evaluated_changes_nothing():
    term, onset, group = sweep(np.random.default_rng(5))
    onset, censored = ended(onset, np.sort(onset)[8])
    alone = exponent(term, onset, censored, group, 0.95)
    more = np.append(term, 256), np.append(onset, 0), np.append(censored, True), np.append(group, 0)
    assert exponent(*more, 0.95) == alone


# --- what holds for every study ---

FEW = examples(10)
seeds = st.integers(0, 2**32 - 1)


def censored_sweep(seed):
    term, onset, group = sweep(np.random.default_rng(seed), groups=2, seeds=2)
    return term, *ended(onset, np.quantile(onset, 0.8)), group


@FEW
@given(seeds, st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_exponent_does_not_depend_on_units(seed, term_unit, step_unit):
    term, onset, censored, group = censored_sweep(seed)
    fit = exponent(term, onset, censored, group, 0.95)
    other = exponent(term_unit * term, step_unit * onset, censored, group, 0.95)
    assert as_list(other) == pytest.approx(as_list(fit), abs=1e-4)


@FEW
@given(seeds, st.floats(-2, 2), st.floats(0.1, 10))
def test_exponent_follows_the_powers_of_the_data(seed, added, power):
    term, onset, censored, group = censored_sweep(seed)
    fit = exponent(term, onset, censored, group, 0.95)
    other = exponent(term, (onset * term**added) ** power, censored, group, 0.95)
    assert as_list(other) == pytest.approx([power * (value + added) for value in as_list(fit)], abs=1e-4 * power)
    inverse = exponent(1 / term, onset, censored, group, 0.95)
    assert as_list(inverse) == pytest.approx([-fit.exponent, -fit.ci_high, -fit.ci_low], abs=1e-4)


@FEW
@given(seeds)
def test_order_of_the_runs_does_not_matter(seed):
    columns = censored_sweep(seed)
    order = np.random.default_rng(seed).permutation(len(columns[0]))
    shuffled = [column[order] for column in columns]
    assert as_list(exponent(*shuffled, 0.95)) == pytest.approx(as_list(exponent(*columns, 0.95)), abs=1e-4)


# --- not estimable ---


@pytest.mark.parametrize(
    ("term", "censored", "group"),
    [
        ([], [], []),
        ([1, 2, 4], [True, True, True], [0, 0, 0]),
        ([1, 2, 4], [False, False, True], [0, 0, 0]),  # two onsets, two coefficients
        ([1, 1, 1, 2], [False, False, False, True], [0, 0, 0, 0]),  # onsets at one value only
        ([7, 7, 7, 7, 9], [False, False, False, False, True], [0, 0, 0, 0, 0]),
        ([1, 1, 1, 2, 2, 2], [False] * 6, [0, 0, 0, 1, 1, 1]),  # the term varies between groups, not within
        ([1, 2, 1, 2], [False, False, False, True], [0, 0, 1, 1]),  # three onsets, three coefficients
    ],
)
def test_not_estimable(term, censored, group):
    onset = np.linspace(100, 130, len(term)) ** 1.5
    assert np.isnan(as_list(exponent(term, onset, np.array(censored, bool), group, 0.95))).all()


def test_a_fit_that_fails_is_not_estimable_and_says_so(monkeypatch):
    def failing(*_, **__):
        raise NotConverged("no")

    monkeypatch.setattr("memsweep.analysis.scaling.fit_censored", failing)
    term, onset, group = sweep(np.random.default_rng(6))
    with pytest.warns(UserWarning, match="12 onsets of 12 runs did not converge"):
        fit = exponent(term, onset, np.zeros(12, bool), group, 0.95)
    assert np.isnan(as_list(fit)).all()


# --- the table ---


def named(name, base=None, kind="integer"):
    return Axis.of(name, {"type": kind}, base)


AXES = [named(name) for name in ("train_size", "base_channels", "batch_size", "learning_rate", "seed")]
TERMS = ("train_size", "parameters", "batch_size", "learning_rate")


def scaling(onsets, runs, confidence):
    """Along the axes that every grid has."""
    return scaling_along(onsets, runs, AXES, confidence)


def grid(points):
    """Table of runs from (train_size, base_channels, batch_size, learning_rate, seed)."""
    axes = ["train_size", "base_channels", "batch_size", "learning_rate", "seed"]
    runs = pd.DataFrame(points, columns=axes)
    return runs.assign(
        run_id=[f"run{number:03d}" for number in range(len(runs))],
        subset=0,
        parameters=runs["base_channels"] ** 2 * 100,
        dataset="digits",
        max_steps=320,
        status="finished",
        data_hash="d",
        code_version="c",
    )


def onsets_of(runs, step, censored=False, definitions=DEFINITIONS):
    tables = [
        pd.DataFrame(
            {"run_id": runs["run_id"], "definition": name, "step": step, "censored": censored, "left_censored": False}
        )
        for name in definitions
    ]
    return pd.concat(tables, ignore_index=True)


def power_law(runs, rng):
    law = runs["train_size"] ** 1.1 * runs["batch_size"] ** -0.9 * runs["learning_rate"] ** -0.5
    return law * runs["parameters"] ** -0.3 * 10 ** (0.02 * rng.normal(size=len(runs)))


FACTORIAL = list(product([16, 32, 64], [4, 8], [8, 16], [1e-3, 2e-3], [0, 1]))
# One axis at a time around a base point, which belongs to every sweep.
ONE_AT_A_TIME = [
    *product([16, 32, 64], [4], [8], [1e-3], [0, 1, 2]),
    *product([16], [8, 12], [8], [1e-3], [0, 1, 2]),
    *product([16], [4], [16, 32], [1e-3], [0, 1, 2]),
    *product([16], [4], [8], [2e-3, 4e-3], [0, 1, 2]),
]


@pytest.mark.parametrize(("points", "behind"), [(FACTORIAL, [48] * 4), (ONE_AT_A_TIME, [9] * 4)])
def test_the_exponents_of_a_power_law(points, behind):
    runs = grid(points)
    table = scaling(onsets_of(runs, power_law(runs, np.random.default_rng(7)), definitions=["f_mem"]), runs, 0.999)
    table = table[table["definition"] == "f_mem"].set_index("term")
    assert list(table.index) == list(TERMS)
    assert table["runs"].tolist() == behind
    for term, truth in zip(TERMS, [1.1, -0.3, -0.9, -0.5], strict=True):
        row = table.loc[term]
        assert row["ci_low"] <= truth <= row["ci_high"]
        assert row["ci_high"] - row["ci_low"] < 0.5


def test_rows_are_every_definition_and_term_whether_or_not_estimable():
    runs = grid(product([16, 32, 64], [4], [8], [1e-3], [0]))
    table = scaling(onsets_of(runs, [100.0, 190.0, 400.0], [False, False, True]), runs, 0.95)
    assert list(zip(table["definition"], table["term"], strict=True)) == list(product(DEFINITIONS, TERMS))
    assert table["exponent"].isna().all()
    swept = table["term"] == "train_size"
    assert (table.loc[swept, ["runs", "censored_runs"]] == [3, 1]).all(axis=None)
    assert (table.loc[~swept, ["runs", "censored_runs"]] == 0).all(axis=None)


def test_censored_runs_are_counted():
    runs = grid(product([16, 32, 64, 128], [4], [8], [1e-3], [0, 1]))
    step, censored = ended(power_law(runs, np.random.default_rng(8)), 25.0)
    row = scaling(onsets_of(runs, step, censored), runs, 0.95).iloc[0]
    assert (row["runs"], row["censored_runs"]) == (8, int(censored.sum()))
    assert 0 < row["censored_runs"] < 8
    assert row["exponent"] == pytest.approx(1.1, abs=0.2)


def test_onsets_before_the_first_evaluation_are_modelled_and_counted():
    runs = grid(product([16, 32, 64, 128], [4], [8], [1e-3], [0, 1, 2]))
    law = power_law(runs, np.random.default_rng(14)).to_numpy()
    (first, last), ranked = np.sort(law)[[3, 8]], np.clip(law, *np.sort(law)[[3, 8]])
    onsets = onsets_of(runs, ranked, law > last).assign(left_censored=np.tile(law < first, len(DEFINITIONS)))
    row = scaling(onsets, runs, 0.9).iloc[0]
    assert (row["runs"], row["censored_runs"], row["left_censored_runs"]) == (12, 3, 3)
    fit = exponent(runs["train_size"], ranked, law > last, np.zeros(12), 0.9, law < first)
    assert row[["exponent", "ci_low", "ci_high"]].tolist() == as_list(fit)


def test_a_run_is_in_the_table_of_runs_once():
    runs = grid(product([16, 32, 64], [4], [8], [1e-3], [0]))
    with pytest.raises(pd.errors.MergeError, match="many-to-one"):
        scaling(onsets_of(runs, 100.0), pd.concat([runs, runs.iloc[:1]]), 0.95)


# --- axes of any kind ---

DECAY = named("training.weight_decay", 0, "number")
NETWORK = named("network.kind", "unet", "string")
BLOCKS = named("network.blocks", 3)
FLIP = named("training.flip", False, "boolean")
SUBSET = named("subset", 0)


def along(runs, axes, onset, censored=False, definition="f_mem"):
    """Both tables, of one definition."""
    onsets = onsets_of(runs, onset, censored, [definition])
    tables = (table(onsets, runs, [*AXES, *axes], 0.95) for table in (scaling_along, ratios))
    return [table[table["definition"] == definition] for table in tables]


def crossed(points, **columns):
    """A grid in which each point is repeated at every combination of values of further columns."""
    combinations = list(product(*columns.values()))
    runs = grid([point for point in points for _ in combinations])
    values = [list(values) for values in zip(*[each for _ in points for each in combinations], strict=True)]
    return runs.assign(**dict(zip(columns, values, strict=True)))


def test_no_axis_is_pooled():
    """Onsets differ tenfold between networks and between weight decays, and their numbers of runs between sizes."""
    runs = crossed(
        list(product([16, 32, 64], [4], [8], [1e-3], [0, 1])),
        network_kind=["unet", "dit"],
        training_weight_decay=[0.0, 0.1],
    )
    kept = ~((runs["network_kind"] == "dit") & (runs["train_size"] == 64) & (runs["seed"] == 1))
    runs = runs[kept].reset_index(drop=True)
    runs["parameters"] *= np.where(runs["network_kind"] == "dit", 7, 1)
    noise = 10 ** (0.02 * np.random.default_rng(20).normal(size=len(runs)))
    factor = np.where(runs["network_kind"] == "dit", 0.1, 1) * np.where(runs["training_weight_decay"] > 0, 10, 1)
    onset = runs["train_size"] ** 1.1 * factor * noise
    fits, compared = along(runs, [NETWORK, DECAY], onset)
    fit = fits.set_index("term").loc["train_size"]
    group = runs.groupby(["network_kind", "training_weight_decay"]).ngroup()
    expected = exponent(runs["train_size"], onset, np.zeros(len(runs), bool), group, 0.95)
    assert fit[["exponent", "ci_low", "ci_high"]].tolist() == as_list(expected)
    assert (fit["runs"], fit["exponent"]) == (22, pytest.approx(1.1, abs=0.05))
    # A forgotten axis would leave a scatter of factors of ten
    pooled = exponent(runs["train_size"], onset, np.zeros(len(runs), bool), np.zeros(len(runs)), 0.95)
    assert pooled.ci_high - pooled.ci_low > 10 * (fit["ci_high"] - fit["ci_low"])
    compared = compared.set_index("axis")
    assert compared.loc["network_kind", "groups"] == 3 * 2
    assert compared.loc["network_kind", "ratio"] == pytest.approx(0.1, rel=0.1)
    assert compared.loc["training_weight_decay", "ratio"] == pytest.approx(10, rel=0.1)


def test_seeds_and_subsets_repeat_and_nothing_else():
    runs = crossed(list(product([16, 32, 64], [4], [8], [1e-3], [0, 1])), subset=[0, 1])
    onset = power_law(runs, np.random.default_rng(21)).to_numpy()
    fits, compared = along(runs, [SUBSET], onset)
    assert fits["term"].tolist() == list(TERMS)
    expected = exponent(runs["train_size"], onset, np.zeros(12, bool), np.zeros(12), 0.95)
    assert fits.iloc[0][["exponent", "ci_low", "ci_high"]].tolist() == as_list(expected)
    assert compared.empty


def test_runs_that_differ_in_blocks_only_are_one_group_though_their_sizes_differ():
    runs = crossed(list(product([16], [4, 8], [8], [1e-3], [0, 1])), network_blocks=[1, 3])
    runs["parameters"] *= runs["network_blocks"]
    onset = 100 * runs["network_blocks"] ** -0.4 * runs["base_channels"] ** -0.6
    onset *= 10 ** (0.01 * np.random.default_rng(22).normal(size=8))
    fits, compared = along(runs, [BLOCKS], onset)
    fits = fits.set_index("term")
    assert fits["runs"].to_dict() == {
        "train_size": 0, "parameters": 8, "batch_size": 0, "learning_rate": 0, "network_blocks": 8
    }  # fmt: skip
    assert fits.loc["network_blocks", "exponent"] == pytest.approx(-0.4, abs=0.05)
    assert fits.loc["parameters", "exponent"] == pytest.approx(-0.3, abs=0.05)  # P grows with the square of channels
    (row,) = compared.to_dict("records")
    assert (row["axis"], row["value"], row["base"], row["runs"], row["groups"]) == ("network_blocks", "1", "3", 8, 2)
    assert row["ratio"] == pytest.approx(3**0.4, rel=0.1)


def test_only_positive_numbers_have_an_exponent():
    points = list(product([16], [4], [8], [1e-3], [0, 1, 2]))
    runs = crossed(points, training_weight_decay=[0.0, 0.01], training_flip=[False, True], network_kind=["unet", "mlp"])
    onset = 10 ** (2 + 0.1 * np.random.default_rng(23).normal(size=len(runs)))
    fits, compared = along(runs, [DECAY, FLIP, NETWORK], onset)
    assert fits["term"].tolist() == list(TERMS)
    assert list(zip(compared["axis"], compared["value"], compared["base"], strict=True)) == [
        ("training_weight_decay", "0.01", "0.0"),
        ("training_flip", "true", "false"),
        ("network_kind", "mlp", "unet"),
    ]
    assert (compared["runs"] == 24).all()
    assert np.isfinite(compared[["ratio", "ci_low", "ci_high"]]).all(axis=None)


@pytest.mark.parametrize("base", [None, "dit"])
def test_without_the_base_value_the_most_frequent_one_stands_for_it(base):
    runs = grid(list(product([16], [4], [8], [1e-3], range(6)))).assign(
        network_kind=["mlp", *["unet"] * 3, *["own"] * 2]
    )
    _, compared = along(runs, [named("network.kind", base, "string")], np.linspace(100, 200, 6))
    assert list(zip(compared["value"], compared["base"], strict=True)) == [("mlp", "unet"), ("own", "unet")]


def test_a_ratio_is_least_squares_with_a_dummy_for_each_group():
    runs = crossed(list(product([16, 32, 64], [4], [8], [1e-3], [0, 1])), training_flip=[False, True])
    rng = np.random.default_rng(24)
    onset = runs["train_size"] * np.where(runs["training_flip"], 1.7, 1) * 10 ** (0.1 * rng.normal(size=12))
    _, compared = along(runs, [FLIP], onset)
    design = np.column_stack([runs["training_flip"], pd.get_dummies(runs["train_size"])]).astype(float)
    fit = sm.OLS(np.log10(onset), design).fit()
    (row,) = compared.to_dict("records")
    expected = 10 ** np.array([fit.params.iloc[0], *fit.conf_int(0.05).iloc[0]])
    assert [row["ratio"], row["ci_low"], row["ci_high"]] == pytest.approx(expected.tolist(), rel=1e-5)
    assert (row["runs"], row["groups"], row["censored_runs"], row["left_censored_runs"]) == (12, 3, 0, 0)


def test_a_ratio_rests_on_runs_at_either_value_alone():
    """What happens at a third value changes nothing."""
    runs = crossed(list(product([16], [4], [8], [1e-3], [0, 1, 2])), network_kind=["unet", "dit", "mlp"])
    onset = 10 ** (2 + 0.1 * np.random.default_rng(25).normal(size=9))
    _, before = along(runs, [NETWORK], onset)
    _, after = along(runs, [NETWORK], np.where(runs["network_kind"] == "mlp", 1e3 * onset**2, onset))
    assert before.iloc[0].tolist() == after.iloc[0].tolist()
    assert before.iloc[1]["ratio"] != after.iloc[1]["ratio"]


def test_ratios_of_censored_runs_are_counted_and_larger_than_they_look():
    runs = crossed(list(product([16, 32], [4], [8], [1e-3], [0, 1, 2])), training_flip=[False, True])
    onset = 100 * np.where(runs["training_flip"], 2.0, 1) * 10 ** (0.1 * np.random.default_rng(26).normal(size=12))
    step, censored = ended(onset, np.sort(onset)[9])
    _, compared = along(runs, [FLIP], step, censored)
    _, taken = along(runs, [FLIP], step)
    row, naive = compared.iloc[0], taken.iloc[0]
    assert (row["censored_runs"], naive["censored_runs"]) == (2, 0)
    assert row["ratio"] > naive["ratio"]


@pytest.mark.parametrize("missing", ["training_flip", "train_size"])
def test_a_ratio_that_the_runs_cannot_tell_is_a_row_without_one(missing):
    """Two runs only, or values that never differ by themselves."""
    runs = crossed(list(product([16], [4], [8], [1e-3], [0])), training_flip=[False, True])
    if missing == "train_size":
        runs = grid(list(product([16, 32], [4], [8], [1e-3], [0, 1, 2])))
        runs = runs.assign(training_flip=runs["train_size"] == 32)
    _, compared = along(runs, [FLIP], np.linspace(100, 130, len(runs)))
    (row,) = compared.to_dict("records")
    assert np.isnan([row["ratio"], row["ci_low"], row["ci_high"]]).all()
    assert (row["runs"], row["groups"]) == ((2, 1) if missing == "training_flip" else (0, 0))


def test_missing_values_of_another_axis_are_a_group_too():
    runs = crossed(list(product([16, 32, 64], [4], [8], [1e-3], [0, 1])), network_kind=[None, "unet"])
    onset = power_law(runs, np.random.default_rng(27))
    fits, _ = along(runs, [named("network.kind", None, "string")], onset)
    assert fits.set_index("term").loc["train_size", "runs"] == 12


def test_simulation_intervals_of_ratios_cover():
    """Two runs a value in each of three groups, some of which end before their onset."""
    rng, studies, truth = np.random.default_rng(28), 80, math.log10(1.6)
    group, value = np.repeat([0, 1, 2], 4), np.tile([0, 0, 1, 1], 3)
    covers = 0
    for _ in range(studies):
        onset = 10 ** (group + truth * value + 0.15 * rng.normal(size=12))
        step, censored = ended(onset, 10**2.1)
        fit = effect(value, step, censored, np.zeros(12, bool), group, 0.95)
        covers += fit.ci_low <= truth <= fit.ci_high
    assert stats.binomtest(covers, studies, 0.95).pvalue > 0.001


# --- the stage ---

SETTINGS = {
    "loss_gap_absolute": 0.05,
    "loss_gap_relative": 0.5,
    "f_mem": 0.2,
    "bootstrap": 30,
    "f_mem_threshold": 1 / 3,
    "departure": 0.1,
    "definitions": DEFINITIONS,
    "comparisons": [],
    "sscd_threshold": 0.6,
    "axes": [axis.described() for axis in AXES],
    "rate_from": 0.1,
    "rate_to": 0.5,
    "confidence": 0.95,
}
STEPS = np.array([10, 20, 40, 80, 160, 320, 640])


def write_study(folder, runs, diverged=()):
    """Tables of a study whose gap and copies start at 2 N steps, in a pack for each batch of two runs."""
    rng = np.random.default_rng(9)
    write_table(folder / "runs.parquet", "runs", runs)
    shares = []
    losses, neighbours = {}, {}
    for start in range(0, len(runs), 2):
        rows, near = [], []
        for run in runs.iloc[start : start + 2].itertuples():
            for step in STEPS if run.run_id not in diverged else ():
                memorised = max(0.0, math.log10(step / (2 * run.train_size)))
                mean = {"train": 0.1, "test": 0.1 + 0.3 * memorised + 0.001 * abs(math.log(step / run.train_size))}
                item = np.arange(20)
                common = {"run_id": run.run_id, "step": step, "index": item}
                for split, loss in mean.items():
                    noisy = loss + rng.normal(0, 0.001, 20)
                    rows.append(pd.DataFrame({**common, "split": split, "item": item, "time": 0.5, "loss": noisy}))
                distance = np.where(item < 20 * memorised, 0.1, 0.9)
                value = float((distance == 0.1).mean())
                shares.append({"run_id": run.run_id, "step": step, "value": value, "ci_low": 0.0, "ci_high": 1.0})
                near.append(
                    pd.DataFrame(
                        {
                            **common,
                            "reference": "train",
                            "nearest": 0,
                            "distance": distance,
                            "second_distance": 1.0,
                            "similarity": 1 - distance,
                        }
                    )
                )
        for name, parts, paths in (("losses", rows, losses), ("neighbours", near, neighbours)):
            columns = {"losses": ["time", "item", "split", "loss"], "neighbours": ["reference", "nearest"]}[name]
            columns += ["distance", "second_distance", "similarity"]
            empty = pd.DataFrame(columns=["run_id", "step", "index", *columns])
            path = folder / f"pack={start}" / f"{name}.parquet"
            write_table(path, name, pd.concat(parts) if parts else empty)
            paths[f"pack={start}"] = path
    metrics = pd.DataFrame(shares, columns=["run_id", "step", "value", "ci_low", "ci_high"])
    metrics = metrics.assign(metric="f_mem", space="pixels", reference="train", generated=20)
    # Calibrated rules that find the field's copies; that on d1 / d2 so has its onsets
    names = np.repeat(["copy_threshold", "near_threshold"], len(runs))
    thresholds = pd.DataFrame({"run_id": [*runs["run_id"]] * 2, "step": None, "metric": names, "value": 1 / 3})
    thresholds = thresholds.assign(ci_low=1 / 3, ci_high=1 / 3, space="pixels", reference="control", generated=20)
    metrics = pd.concat([part for part in (metrics, thresholds) if len(part)]).astype({"step": "Int64"})
    write_table(folder / "metrics.parquet", "metrics", metrics)
    pixels = rng.integers(0, 256, (runs["train_size"].max(), 2, 2, 1), dtype=np.uint8)
    images = pd.DataFrame({"index": range(len(pixels)), "split": "train", "label": 0, "image": encode(pixels)})
    known = {**image_metadata((2, 2, 1)), "data_hash": "0", "classes": "1"}
    write_table(folder / "images.parquet", "images", images, known)
    return losses, neighbours


def outputs_in(folder):
    tables = ("onsets", "scaling", "peaks", "excess", "ratios", "fidelity_trends", "rates", "rate_trends", "leads")
    tables += ("thresholds", "local_slopes", "copied_images", "copied_first")
    return [folder / f"{table}.parquet" for table in tables]


def test_analyse_writes_its_tables(tmp_path):
    runs = grid(product([16, 32, 64, 256], [4], [8], [1e-3], [0, 1]))
    losses, neighbours = write_study(tmp_path, runs)
    outputs = onsets_path, scaling_path, peaks_path, *_ = outputs_in(tmp_path)
    analyse(SETTINGS, tmp_path / "images.parquet", tmp_path, losses, neighbours, tmp_path, tmp_path)

    onsets = read_table(onsets_path, "onsets")
    assert list(zip(onsets["run_id"], onsets["definition"], strict=True)) == list(product(runs["run_id"], DEFINITIONS))
    onsets = onsets.merge(runs[["run_id", "train_size"]], on="run_id")
    late = onsets[onsets["train_size"] == 256].set_index("definition")
    assert late.loc[["loss_gap_absolute", "loss_gap_relative", "f_mem"], "censored"].all()
    assert (late.loc[["loss_gap_absolute", "f_mem"], "step"] == 320).all()
    reached = onsets[onsets["train_size"] < 256]
    assert not reached["censored"].any()
    gap = reached[reached["definition"] == "loss_gap_absolute"]
    expected = 2 * gap["train_size"] * 10 ** (0.05 / 0.3)
    assert (abs(np.log2(gap["step"] / expected)) < 1).all()  # evaluations are a factor of two apart

    table = read_table(scaling_path, "scaling").set_index(["term", "definition"]).loc["train_size"]
    assert table["runs"].tolist() == [8] * len(DEFINITIONS)
    assert table.loc[["loss_gap_absolute", "loss_gap_relative", "f_mem"], "censored_runs"].tolist() == [2] * 3
    assert table["exponent"].between(0.8, 1.2).all()

    of_study = table.reset_index("definition").drop(columns="left_censored_runs")
    at_own = read_table(tmp_path / "thresholds.parquet", "thresholds").query("term == 'train_size'")
    both = of_study.merge(at_own, on=["definition", "threshold"])
    assert both["definition"].tolist() == ["loss_gap_absolute", "loss_gap_relative", "f_mem"]
    for column in ("exponent", "ci_low", "ci_high", "runs", "censored_runs"):
        assert both[f"{column}_x"].tolist() == pytest.approx(both[f"{column}_y"].tolist())
    assert of_study.set_index("definition").loc["f_mem", "threshold"] == SETTINGS["f_mem"]
    assert math.isnan(of_study.set_index("definition").loc["test_loss_minimum", "threshold"])
    local = read_table(tmp_path / "local_slopes.parquet", "local_slopes").query("definition == 'f_mem'")
    assert set(zip(local["low"], local["high"], strict=True)) == {(16, 32), (32, 64), (64, 256)}

    assert read_table(peaks_path, "peaks").empty  # no distance was measured
    rates = read_table(tmp_path / "rates.parquet", "rates").merge(runs[["run_id", "train_size"]], on="run_id")
    assert rates["metric"].tolist() == ["f_mem", "f_mem_calibrated"] * 8
    reached = rates["train_size"] < 64  # of 64, half is copied at 404 steps, which 640 steps would have to confirm
    assert (rates["value"].isna() == ~reached).all()
    assert rates.loc[reached, "value"].between(0.8, 1.2).all()  # from 2 N steps on the share rises by 1 a decade
    trends = read_table(tmp_path / "rate_trends.parquet", "rate_trends").set_index("term")
    assert trends.loc["train_size", "runs"].tolist() == [6, 6]
    assert trends.loc["train_size", "left_out"].tolist() == [2, 2]

    copied = read_table(tmp_path / "copied_images.parquet", "copied_images")
    assert copied["run_id"].tolist() == runs["run_id"].repeat(runs["train_size"]).tolist()
    first = copied[copied["index"] == 0].set_index("run_id")["first_step"]  # of which all samples are the copies
    onset = dict(zip(runs["run_id"], 2 * runs["train_size"], strict=True))
    for run_id, step in first.items():
        after = STEPS[onset[run_id] * (1 + 1e-9) < STEPS]
        assert (step == after[0]) if len(after) else pd.isna(step)
    assert copied.loc[copied["index"] > 0, ["samples", "share"]].eq(0).all(axis=None)
    reached = copied[copied["run_id"] == "run000"].iloc[0]
    assert (reached["samples"], reached["share"]) == (20, 1)
    assert read_table(tmp_path / "copied_first.parquet", "copied_first")["runs"].max() == 8

    before = [path.read_bytes() for path in outputs]
    backwards = (dict(reversed(paths.items())) for paths in (losses, neighbours))
    analyse(SETTINGS, tmp_path / "images.parquet", tmp_path, *backwards, tmp_path, tmp_path)
    assert [path.read_bytes() for path in outputs] == before


def test_copies_by_sscd_have_an_onset_of_their_own(tmp_path):
    runs = grid(product([16, 32, 64], [4], [8], [1e-3], [0]))
    paths = write_study(tmp_path, runs)
    definitions = [*DEFINITIONS, "sscd_score"]
    # What is nearer than d2 / 3 in this study is also more similar than 0.6, and nothing than 0.95
    for threshold, share, similar in ((0.6, SETTINGS["f_mem"], True), (0.95, SETTINGS["f_mem"], False)):
        settings = {**SETTINGS, "definitions": definitions, "sscd_threshold": threshold, "sscd_score": share}
        analyse(settings, tmp_path / "images.parquet", tmp_path, *paths, tmp_path, tmp_path)
        onsets = read_table(tmp_path / "onsets.parquet", "onsets")
        assert onsets["definition"].tolist() == definitions * 3
        by_sscd, by_distance = (
            onsets[onsets["definition"] == name].drop(columns="definition").reset_index(drop=True)
            for name in ("sscd_score", "f_mem")
        )
        assert by_sscd.equals(by_distance) == similar
        assert by_sscd["censored"].all() != similar
        scaling = read_table(tmp_path / "scaling.parquet", "scaling")
        assert "sscd_score" in set(scaling["definition"])


def test_analyse_keeps_a_run_that_diverged_before_its_first_evaluation(tmp_path):
    runs = grid(product([16, 32], [4], [8], [1e-3], [0]))
    runs["status"] = ["finished", "diverged"]
    paths = write_study(tmp_path, runs, diverged=["run001"])
    analyse(SETTINGS, tmp_path / "images.parquet", tmp_path, *paths, tmp_path, tmp_path)
    onsets = read_table(tmp_path / "onsets.parquet", "onsets")
    diverged = onsets[onsets["run_id"] == "run001"]
    assert diverged["definition"].tolist() == list(DEFINITIONS)
    assert (diverged[["step", "censored", "ci_low", "ci_high"]] == [0.0, True, 0.0, math.inf]).all(axis=None)


def test_analyse_reads_packs_without_a_single_evaluation(tmp_path):
    runs = grid(product([16, 32], [4], [8], [1e-3], [0])).assign(status="diverged")
    paths = write_study(tmp_path, runs, diverged=["run000", "run001"])
    analyse(SETTINGS, tmp_path / "images.parquet", tmp_path, *paths, tmp_path, tmp_path)
    assert read_table(tmp_path / "onsets.parquet", "onsets")["censored"].all()
    assert read_table(tmp_path / "scaling.parquet", "scaling")["exponent"].isna().all()


def test_analyse_misses_a_finished_run(tmp_path):
    runs = grid(product([16, 32, 64], [4], [8], [1e-3], [0]))
    losses, neighbours = write_study(tmp_path, runs)
    outputs = outputs_in(tmp_path)
    with pytest.raises(UserError, match="run run002: it is finished, but no pack's losses hold it"):
        analyse(
            SETTINGS,
            tmp_path / "images.parquet",
            tmp_path,
            {"pack=0": losses["pack=0"]},
            neighbours,
            tmp_path,
            tmp_path,
        )
    with pytest.raises(UserError, match="run run002: it is finished, but no pack's neighbours hold it"):
        analyse(
            SETTINGS,
            tmp_path / "images.parquet",
            tmp_path,
            losses,
            {"pack=0": neighbours["pack=0"]},
            tmp_path,
            tmp_path,
        )
    assert not any(path.exists() for path in outputs)
