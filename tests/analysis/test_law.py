"""The joint law of the onset: its terms, test and predictions, where it cannot be told, and its tables."""

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from helpers.properties import examples
from hypothesis import given
from hypothesis import strategies as st
from memsweep.analysis.conclude import conclude
from memsweep.analysis.lack_of_fit import lack_of_fit
from memsweep.analysis.law import fit_law
from memsweep.analysis.law_tables import law_errors, law_table
from memsweep.base.errors import UserError
from memsweep.study.axes import Axis
from memsweep.tables.contracts import SCHEMAS
from memsweep.tables.parquet import read_table, write_table
from scipy import stats

NAMES = ("train_size", "base_channels", "batch_size", "learning_rate", "seed", "subset")
AXES = [Axis.of(name, {"type": "number"}, None) for name in NAMES]
KIND = Axis.of("network.kind", {"type": "string"}, "unet")
DECAY = Axis.of("training.weight_decay", {"type": "number"}, 0.0)
BASE = {"train_size": 32, "parameters": 6400, "batch_size": 16, "learning_rate": 3e-3}


def grid(*products, **others):
    """The table of runs of products over `NAMES`, each run once."""
    points = list(dict.fromkeys(point for values in products for point in product(*values)))
    runs = pd.DataFrame(points, columns=[*NAMES, *others])
    size = runs["base_channels"] ** 2 * 100
    return runs.assign(run_id=[f"run{number:03d}" for number in range(len(runs))], parameters=size)


# As the embedded study: one axis at a time, two sets and two seeds
EMBEDDED = grid(
    ([16, 32, 64, 128], [8], [16], [3e-3], [0], [0, 1]),
    ([16, 32, 64], [8], [16], [3e-3], [1], [0]),
    ([32], [4, 8, 12], [16], [3e-3], [0], [0]),
    ([32], [8], [8, 16, 32], [3e-3], [0], [0]),
    ([32], [8], [16], [1.5e-3, 3e-3, 6e-3], [0], [0]),
)
FACTORIAL = grid(([16, 32, 64, 128], [8], [8, 16, 32, 64], [1e-3, 3e-3], [0], [0, 1]))
SETS = grid(([16, 32, 64, 128], [8], [16], [3e-3], [0], range(4)))


def logs(runs, seed=0, sigma=0.01, sigma_sets=0.05, curvature=0.0):
    rng = np.random.default_rng(seed)
    sets = runs.groupby(["train_size", "subset"]).ngroup()
    size = np.log10(runs["train_size"] / 32)
    law = 2 + 1.7 * size + curvature * size**2 - 0.9 * np.log10(runs["batch_size"] / 16)
    law += 0.2 * np.log10(runs["learning_rate"] / 3e-3) - 0.3 * np.log10(runs["parameters"] / 6400)
    return law + sigma_sets * rng.normal(size=sets.max() + 1)[sets] + sigma * rng.normal(size=len(runs))


def onsets_of(runs, log, last=math.inf, first=-math.inf, definition="f_mem"):
    of = {"run_id": runs["run_id"], "definition": definition, "step": 10 ** np.clip(log, first, last)}
    return pd.DataFrame({**of, "censored": log > last, "left_censored": log < first})


def law_of(runs, log, axes=AXES, confidence=0.95, **ends):
    return fit_law(onsets_of(runs, log, **ends), runs, axes, confidence)


def terms_of(law):
    return {(term.term, term.value, term.order): term for term in law.terms}


# --- terms ---


def test_every_swept_axis_has_a_term_and_a_curvature():
    terms = terms_of(law_of(EMBEDDED, logs(EMBEDDED)))
    names = ("train_size", "parameters", "batch_size", "learning_rate")
    assert list(terms) == [(name, None, order) for name in names for order in (1, 2)]
    for name, truth in zip(names, (1.7, -0.3, -0.9, 0.2), strict=True):
        found = terms[name, None, 1]
        assert found.kept
        assert found.reason is None
        assert found.estimate.value == pytest.approx(truth, abs=0.15)
    assert terms["parameters", None, 2].reason == "not testable: onsets at 3 values, fewer than 4"


def test_runs_of_a_set_each_have_the_textbook_law():
    """Least squares on all columns."""
    runs = grid(([16, 64, 256], [8], [16], [3e-3], [0], range(5)))
    log = logs(runs, sigma=0.05)
    found = terms_of(law_of(runs, log))["train_size", None, 1].estimate
    line = stats.linregress(np.log10(runs["train_size"]), log)
    margin = stats.t.ppf(0.975, 13) * line.stderr
    assert [found.value, found.ci_low, found.ci_high] == pytest.approx(
        [line.slope, line.slope - margin, line.slope + margin]
    )
    assert found.freedom == 13


def test_seeds_add_no_freedom_to_the_exponent_of_train_size():
    """Eight sets leave six; more seeds on the same sets leave the same, and as wide an interval."""
    found = []
    for seeds in ([0, 1], range(8)):
        runs = grid(([16, 32, 64, 128], [8], [16], [3e-3], seeds, [0, 1]))
        log = logs(runs, 3)
        found.append(terms_of(law_of(runs, log))["train_size", None, 1].estimate)
    assert all(4 < estimate.freedom <= 6 for estimate in found)
    few, many = (estimate.ci_high - estimate.ci_low for estimate in found)
    assert many == pytest.approx(few, rel=0.2)


def test_within_sets_seeds_and_other_axes_do_add():
    found = terms_of(law_of(FACTORIAL, logs(FACTORIAL)))
    assert found["batch_size", None, 1].estimate.freedom > 40
    assert found["train_size", None, 1].estimate.freedom <= 6


def test_what_is_compared_has_an_effect_at_each_value():
    runs = pd.concat([SETS.assign(network_kind=kind) for kind in ("unet", "dit", "mlp")], ignore_index=True)
    runs = runs.assign(run_id=[f"run{number:03d}" for number in range(len(runs))])
    log = logs(runs, 4) + runs["network_kind"].map({"unet": 0, "dit": 0.3, "mlp": -0.2})
    terms = terms_of(law_of(runs, log, [*AXES, KIND]))
    assert terms["network_kind", "dit", 1].estimate.value == pytest.approx(0.3, abs=0.02)
    assert terms["network_kind", "mlp", 1].estimate.value == pytest.approx(-0.2, abs=0.02)
    assert ("network_kind", "unet", 1) not in terms
    design = np.column_stack([runs["network_kind"] == kind for kind in ("dit", "mlp")]).astype(float)
    dummies = pd.get_dummies(runs.groupby(["train_size", "subset"]).ngroup()).to_numpy(float)
    low, high = sm.OLS(log, np.column_stack([design, dummies])).fit().conf_int(0.05).iloc[0]
    found = terms["network_kind", "dit", 1].estimate
    assert [found.ci_low, found.ci_high] == pytest.approx([low, high], abs=2e-4)


def test_an_axis_with_a_zero_is_compared():
    runs = pd.concat([SETS.assign(training_weight_decay=decay) for decay in (0.0, 0.1)], ignore_index=True)
    runs = runs.assign(run_id=[f"run{number:03d}" for number in range(len(runs))])
    terms = terms_of(law_of(runs, logs(runs) + runs["training_weight_decay"], [*AXES, DECAY]))
    assert terms["training_weight_decay", "0.1", 1].estimate.value == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize(("curvature", "kept"), [(0.0, False), (1.0, True)])
def test_a_curvature_is_kept_where_the_data_want_it(curvature, kept):
    found = terms_of(law_of(SETS, logs(SETS, curvature=curvature)))["train_size", None, 2]
    assert found.kept == kept
    assert found.estimate.ci_low < curvature < found.estimate.ci_high


def test_with_a_curvature_the_exponent_is_that_of_the_middle():
    law = law_of(SETS, logs(SETS, sigma=0.001, sigma_sets=0.001, curvature=1.0))
    middle = np.log10([16, 32, 64, 128]).mean() - math.log10(32)
    assert terms_of(law)["train_size", None, 1].estimate.value == pytest.approx(1.7 + 2 * middle, abs=0.01)
    assert math.log10(law.predict({"train_size": 256}).median) == pytest.approx(
        2 + 1.7 * math.log10(8) + math.log10(8) ** 2, abs=0.02
    )


def test_censored_runs_are_modelled():
    log = logs(SETS, 5)
    last = float(np.sort(log)[12])
    modelled = terms_of(law_of(SETS, log, last=last))["train_size", None, 1].estimate
    taken = terms_of(law_of(SETS, np.minimum(log, last)))["train_size", None, 1].estimate
    assert taken.value < modelled.value - 0.02
    assert modelled.ci_low < 1.7 < modelled.ci_high


@examples(10)
@given(st.integers(0, 1000), st.floats(0.01, 100), st.floats(0.1, 10))
def test_units_do_not_matter(seed, images, steps):
    log = logs(EMBEDDED, seed)
    last = float(np.sort(log)[14])
    before = law_of(EMBEDDED, log, last=last)
    scaled = EMBEDDED.assign(train_size=EMBEDDED["train_size"] * images)
    after = law_of(scaled, log + math.log10(steps), last=last + math.log10(steps))
    for one, other in zip(before.terms, after.terms, strict=True):
        assert vars(other.estimate) == pytest.approx(vars(one.estimate), rel=1e-3, abs=1e-5, nan_ok=True)
    said, again = before.predict(BASE), after.predict({**BASE, "train_size": 32 * images})
    assert again.pi_high == pytest.approx(steps * said.pi_high, rel=1e-3)


# --- where it cannot be told ---


def reasons(law):
    return {term.reason for term in law.terms}


def test_without_an_onset_there_is_no_law():
    law = law_of(SETS, logs(SETS), last=-5.0)
    assert law.reason == "no onset"
    assert reasons(law) == {"no onset"}
    assert math.isnan(law.predict({"train_size": 64}).median)


def test_runs_that_were_never_evaluated_say_nothing():
    onsets = onsets_of(SETS, logs(SETS)).assign(step=0.0, censored=True)
    law = fit_law(onsets, SETS, AXES, 0.95)
    assert (law.reason, len(law.runs)) == ("no onset", 0)


def test_fewer_onsets_than_coefficients():
    runs = grid(([16, 32], [8], [8, 16], [3e-3], [0], [0]))
    law = law_of(runs.iloc[:3], logs(runs.iloc[:3]))
    assert law.reason == "3 onsets for 3 coefficients"
    assert all(math.isnan(term.estimate.value) and not term.kept for term in law.terms)


def test_sets_that_leave_nothing_over_have_no_exponent():
    """Two sizes, a set each: any difference could be that of the sets. What differs within them is told."""
    runs = grid(([16, 32], [8], [8, 16, 32], [3e-3], [0, 1], [0]))
    law = law_of(runs, logs(runs))
    terms = terms_of(law)
    assert terms["train_size", None, 1].reason == "2 training sets for as many coefficients between them"
    assert math.isnan(terms["train_size", None, 1].estimate.ci_low)
    assert terms["batch_size", None, 1].estimate.value == pytest.approx(-0.9, abs=0.1)
    assert math.isnan(law.predict({"train_size": 16, "batch_size": 8}).pi_low)


def test_axes_that_are_varied_together_are_not_told_apart():
    runs = SETS.assign(batch_size=SETS["train_size"] // 2)
    law = law_of(runs, logs(runs))
    assert {terms_of(law)[name, None, 1].reason for name in ("train_size", "batch_size")} == {
        "not told from other terms"
    }
    assert law.predict({"train_size": 64, "batch_size": 32}).median > 0  # though together they are
    assert math.isnan(law.predict({"train_size": 64, "batch_size": 8}).median)


def test_a_value_without_an_onset_has_no_effect_and_changes_nothing():
    runs = pd.concat([SETS.assign(network_kind=kind) for kind in ("unet", "dit", "mlp")], ignore_index=True)
    runs = runs.assign(run_id=[f"run{number:03d}" for number in range(len(runs))])
    log = logs(runs)
    onsets = onsets_of(runs, log)
    never = runs["network_kind"] == "mlp"
    law = fit_law(onsets.assign(censored=never), runs, [*AXES, KIND], 0.95)
    terms = terms_of(law)
    assert terms["network_kind", "mlp", 1].reason == "no onset at this value"
    fewer = fit_law(onsets[~never], runs, [*AXES, KIND], 0.95)
    assert terms["network_kind", "dit", 1] == terms_of(fewer)["network_kind", "dit", 1]
    assert math.isnan(law.predict({"train_size": 32, "network_kind": "mlp"}).median)


def test_a_definition_of_fewer_runs_says_which_axes_it_lacks():
    law = fit_law(onsets_of(EMBEDDED, logs(EMBEDDED)).iloc[:8], EMBEDDED, AXES, 0.95)
    assert terms_of(law)["batch_size", None, 1].reason == "onsets at one value only"
    assert terms_of(law)["train_size", None, 1].kept


def test_a_study_of_seeds_has_a_median_and_no_terms():
    runs = grid(([32], [8], [16], [3e-3], range(5), [0]))
    law = law_of(runs, logs(runs))
    assert law.terms == []
    assert law.predict({}).median == pytest.approx(10 ** logs(runs).mean())


# --- predictions ---


def test_a_prediction_says_on_which_axes_it_goes_beyond():
    law = law_of(EMBEDDED, logs(EMBEDDED))
    inside, outside = law.predict(BASE), law.predict({**BASE, "train_size": 512, "batch_size": 64})
    assert (inside.beyond, outside.beyond) == ([], ["train_size", "batch_size"])
    assert inside.pi_low < inside.ci_low < inside.median < inside.ci_high < inside.pi_high
    assert outside.pi_high / outside.pi_low > inside.pi_high / inside.pi_low


def test_a_prediction_of_a_simple_law_is_the_textbook_one():
    runs = grid(([16, 64, 256], [8], [16], [3e-3], [0], range(5)))
    log = logs(runs, sigma=0.05)
    said = law_of(runs, log).predict({"train_size": 100})
    fit = sm.OLS(log, sm.add_constant(np.log10(runs["train_size"]))).fit()
    frame = fit.get_prediction([1, 2]).summary_frame(0.05).iloc[0]
    expected = frame[["mean", "mean_ci_lower", "mean_ci_upper", "obs_ci_lower", "obs_ci_upper"]]
    found = [said.median, said.ci_low, said.ci_high, said.pi_low, said.pi_high]
    assert np.log10(found) == pytest.approx(expected.to_numpy())


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ({}, "found nothing; train_size is missing"),
        ({"train_size": 0}, "train_size = 0; accepted are positive numbers"),
        ({"train_size": math.nan}, "train_size = nan"),
        ({"train_size": "many"}, "train_size = 'many'"),
    ],
)
def test_points_that_are_none(point, words):
    law = law_of(SETS, logs(SETS))
    with pytest.raises(UserError, match=words):
        law.predict(point)


def test_a_value_that_no_run_has_is_beyond():
    runs = pd.concat([SETS.assign(network_kind=kind) for kind in ("unet", "dit")], ignore_index=True)
    runs = runs.assign(run_id=[f"run{number:03d}" for number in range(len(runs))])
    said = law_of(runs, logs(runs), [*AXES, KIND]).predict({"train_size": 32, "network_kind": "own"})
    assert said.beyond == ["network_kind"]
    assert math.isnan(said.median)


# --- the test of the law ---


def test_of_independent_runs_it_is_the_classical_test():
    """A set for each run: the F test of a line against means."""
    runs = grid(([16, 32, 64, 128], [8], [16], [3e-3], [0], range(3)))
    log = logs(runs, 6, sigma=0.05)
    p_value, reason = lack_of_fit(law_of(runs, log))
    line = sm.OLS(log, sm.add_constant(np.log10(runs["train_size"]))).fit()
    means = sm.OLS(log, pd.get_dummies(runs["train_size"]).astype(float)).fit()
    assert reason is None
    assert p_value == pytest.approx(sm.stats.anova_lm(line, means)["Pr(>F)"].iloc[1], rel=1e-6)


def test_a_law_that_is_wrong_is_rejected():
    log = logs(EMBEDDED)
    turned = log + 0.3 * (EMBEDDED["learning_rate"] != 3e-3)
    assert lack_of_fit(law_of(EMBEDDED, log))[0] > 0.05
    assert lack_of_fit(law_of(EMBEDDED, turned))[0] < 0.01


@pytest.mark.parametrize(
    ("runs", "reason"),
    [
        (grid(([16, 32, 64, 128], [8], [16], [3e-3], [0], [0])), "no repeats"),
        (grid(([16, 32, 64, 128], [8], [16], [3e-3], [0, 1], [0])), "one training set for each point"),
        (grid(([32], [8], [16], [3e-3], range(4), [0])), "as many terms as points"),
    ],
)
def test_what_cannot_be_tested(runs, reason):
    p_value, found = lack_of_fit(law_of(runs, logs(runs)))
    assert math.isnan(p_value)
    assert found.startswith(reason)


# --- the tables ---


def test_a_value_left_out_is_predicted_by_the_others():
    log = logs(SETS, 7)
    last = float(np.sort(log)[13])
    table = law_errors(onsets_of(SETS, log, last=last), SETS, AXES, 0.95)
    assert table["left_out"].unique().tolist() == [16, 32, 64, 128]
    assert table["run_id"].tolist() == SETS["run_id"].tolist()
    last_value = SETS["train_size"] == 128
    rest = law_of(SETS[~last_value], log[~last_value], last=last)
    said = rest.predict({"train_size": 128})
    assert table.iloc[-1][["predicted", "ci_low", "ci_high"]].tolist() == pytest.approx(
        [said.median, said.pi_low, said.pi_high]
    )
    assert table["censored"].sum() == 2


def test_without_the_base_of_a_sweep_there_is_nothing_to_predict_from():
    table = law_errors(onsets_of(EMBEDDED, logs(EMBEDDED)), EMBEDDED, AXES, 0.95)
    assert set(table.loc[table["term"] == "batch_size", "left_out"]) == {8, 32}
    assert table["ci_low"].notna().all()


def test_conclude_writes_its_tables(tmp_path):
    runs = EMBEDDED.assign(dataset="digits", max_steps=10**6, status="finished", data_hash="d", code_version="c")
    write_table(tmp_path / "runs.parquet", "runs", runs)
    parts = [onsets_of(runs, logs(runs), 3.0), onsets_of(runs, logs(runs), -5.0, definition="sscd_score")]
    onsets = pd.concat(parts).assign(ci_low=1.0, ci_high=2.0)
    write_table(tmp_path / "onsets.parquet", "onsets", onsets)
    for name in ("trajectories", "metrics", "thresholds"):
        nothing = SCHEMAS[name].empty_table().to_pandas()
        write_table(tmp_path / f"{name}.parquet", name, nothing)
    settings = {"axes": [axis.described() for axis in AXES], "confidence": 0.95}
    conclude(settings, tmp_path, tmp_path)
    law, fit, errors = (read_table(tmp_path / f"{name}.parquet", name) for name in ("law", "law_fit", "law_errors"))
    assert law["definition"].unique().tolist() == ["f_mem", "sscd_score"]
    expected = law_table({"f_mem": fit_law(onsets.iloc[: len(runs)], runs, AXES, 0.95)})
    same = law.iloc[: len(expected)].astype(object).where(lambda table: table.notna(), None)
    pd.testing.assert_frame_equal(same, expected.astype(object).where(lambda table: table.notna(), None))
    never = law[law["definition"] == "sscd_score"]
    assert never["estimate"].isna().all()
    assert set(never["reason"]) == {"no onset"}
    found = fit.set_index("definition").loc["f_mem"]
    assert (found["runs"], found["censored_runs"], found["sets"]) == (17, 2, 6)
    assert found["predicted"] == (errors["definition"] == "f_mem").sum() > 0
    assert found["inside"] > 0.7
    assert fit["reason"].fillna("none").tolist() == ["none", "no onset"]


def test_conclude_wants_tables_of_one_study(tmp_path):
    with pytest.raises(UserError, match=r"runs\.parquet"):
        conclude({"axes": [], "confidence": 0.95}, tmp_path, tmp_path)
