"""Runs that share sets: REML against statsmodels, and freedoms that are known in closed form."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from memsweep.analysis.mixed import Mixed
from scipy import stats


def balanced(seed, sets=8, runs=4, sigma_sets=0.3, sigma=0.1):
    """A design of intercept, a covariate of sets and one within sets, that is the same in each; responses and sets."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(sets), runs)
    between, within = np.linspace(-1, 1, sets)[group], np.tile(np.linspace(-1, 1, runs), sets)
    design = np.column_stack([np.ones(len(group)), between, within])
    y = design @ [2, 1.5, -0.5] + sigma_sets * rng.normal(size=sets)[group] + sigma * rng.normal(size=len(group))
    return design, y, group


def fitted(design, y, group, side=None):
    return Mixed(design, y, np.zeros(len(y), int) if side is None else side, group)


@pytest.mark.parametrize("seed", [0, 1])
def test_without_censoring_it_is_restricted_maximum_likelihood(seed):
    design, y, group = balanced(seed)
    design[5:, 2] += 0.3 * np.random.default_rng(seed).normal(size=len(y) - 5)  # not balanced
    model = fitted(design, y, group)
    reference = sm.MixedLM(y, design, groups=group).fit(reml=True, method="lbfgs")
    assert model.sigma == pytest.approx(math.sqrt(reference.scale), rel=1e-3)
    assert model.sigma_sets == pytest.approx(math.sqrt(reference.cov_re.squeeze()), rel=2e-3)
    assert model.coefficients == pytest.approx(np.asarray(reference.fe_params), rel=1e-4)
    assert np.sqrt(np.diag(model.covariance())) == pytest.approx(np.asarray(reference.bse_fe), rel=5e-3)
    scatter = model.sigma**2 * np.eye(len(y)) + model.sigma_sets**2 * (group[:, None] == group)
    assert model.covariance() == pytest.approx(np.linalg.inv(design.T @ np.linalg.solve(scatter, design)), rel=1e-6)


def test_between_balanced_sets_it_is_least_squares_of_their_means():
    design, y, group = balanced(2)
    found = fitted(design, y, group).estimate(np.array([0, 1, 0]), 0.95, between=True)
    line = stats.linregress(design[::4, 1], y.reshape(8, 4).mean(axis=1))
    margin = stats.t.ppf(0.975, 6) * line.stderr
    assert found.freedom == pytest.approx(6, rel=0.03)
    assert [found.value, found.ci_low, found.ci_high] == pytest.approx(
        [line.slope, line.slope - margin, line.slope + margin], rel=5e-3
    )


def test_within_balanced_sets_it_is_least_squares_with_a_dummy_for_each():
    design, y, group = balanced(3)
    found = fitted(design, y, group).estimate(np.array([0, 0, 1]), 0.95, between=False)
    reference = sm.OLS(y, np.column_stack([design[:, 2], np.eye(8)[group]])).fit()
    assert found.freedom == pytest.approx(reference.df_resid, rel=0.02)
    low, high = reference.conf_int(0.05)[0]
    assert [found.ci_low, found.ci_high] == pytest.approx([low, high], rel=5e-3)


def test_runs_of_a_set_each_are_least_squares():
    design, y, _ = balanced(4)
    model = fitted(design, y, np.arange(len(y)))
    assert (model.told, model.ratio) == (False, 0)
    assert math.isnan(model.sigma_sets)
    found = model.estimate(np.array([0, 1, 0]), 0.9, between=True)
    low, high = sm.OLS(y, design).fit().conf_int(0.1)[1]
    assert [found.ci_low, found.ci_high] == pytest.approx([low, high])


def test_as_many_sets_as_coefficients_between_them_leave_no_freedom():
    design, y, group = balanced(5, sets=2)
    model = fitted(design, y, group)
    assert (model.between, model.told) == (0, False)
    assert math.isnan(model.estimate(np.array([0, 1, 0]), 0.95, between=True).value)
    assert model.estimate(np.array([0, 0, 1]), 0.95, between=False).freedom == 5  # 8 runs less 3 coefficients


def test_a_new_run_of_a_new_set_scatters_by_both():
    """Its interval about a mean that is known well is that of both scatters together."""
    design, y, group = balanced(6, sets=300)
    model = fitted(design[:, :1], y - 1.5 * design[:, 1] + 0.5 * design[:, 2], group)
    found = model.estimate(np.ones(1), 0.95, between=True, new_run=True)
    assert (found.ci_high - found.ci_low) / 2 == pytest.approx(1.96 * math.hypot(0.3, 0.1), rel=0.1)


def test_censored_runs_widen_what_they_would_have_told():
    design, y, group = balanced(7)
    whole = fitted(design, y, group)
    last = np.quantile(y, 0.8)
    side = (y > last).astype(int)
    model = fitted(design, np.minimum(y, last), group, side)
    assert model.coefficients == pytest.approx(whole.coefficients, abs=0.15)
    assert model.sigma_sets == pytest.approx(whole.sigma_sets, rel=0.5)
    contrast = np.array([0, 1, 0])
    assert model.estimate(contrast, 0.95, True).freedom <= model.between <= 6
    taken = fitted(design, np.minimum(y, last), group).coefficients[1]
    assert abs(model.coefficients[1] - 1.5) < abs(taken - 1.5)


def test_responses_on_a_plane_have_no_scatter():
    design, _, group = balanced(8)
    model = fitted(design, design @ [1.0, 2.0, 3.0], group)
    found = model.estimate(np.array([0, 1, 0]), 0.95, between=True)
    assert (model.sigma, model.sigma_sets) == (0, 0)
    assert [found.ci_low, found.value, found.ci_high] == pytest.approx([2] * 3)
