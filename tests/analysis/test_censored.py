"""The fit of censored responses: against scipy's, a search without derivatives, least squares, and integrals."""

import math

import numpy as np
import pytest
from helpers.properties import examples
from hypothesis import given
from hypothesis import strategies as st
from memsweep.analysis import censored
from memsweep.analysis.censored import NotConverged, fit_censored
from scipy import integrate, optimize, stats

seeds = st.integers(0, 2**32 - 1)


def sample(seed, rows=14, slopes=(1.5, -0.7), sigma=0.3):
    """A design with an intercept, responses, and sides: a quarter is censored above, a quarter below."""
    rng = np.random.default_rng(seed)
    design = np.column_stack([np.ones(rows), rng.normal(size=(rows, len(slopes)))])
    y = 2 + design[:, 1:] @ slopes + sigma * rng.normal(size=rows)
    side = rng.permutation(np.resize([0, 1, 0, -1], rows))
    return design, y - side * np.abs(rng.normal(size=rows)) * 0.2, side


def log_likelihood(design, y, side, coefficients, sigma):
    z = (y - design @ coefficients) / sigma
    parts = [stats.norm.logpdf(z) - math.log(sigma), stats.norm.logsf(z), stats.norm.logcdf(z)]
    return np.select([side == 0, side > 0, side < 0], parts).sum()


def test_without_covariates_it_is_scipys_fit_of_censored_data():
    _, y, side = sample(0, rows=40)
    fit = fit_censored(np.ones((40, 1)), y, side)
    data = stats.CensoredData(uncensored=y[side == 0], right=y[side > 0], left=y[side < 0])
    mean, sigma = stats.norm.fit(data)
    assert [fit.coefficients[0], fit.sigma] == pytest.approx([mean, sigma], rel=1e-4)


def test_without_censoring_it_is_least_squares():
    design, y, _ = sample(1)
    fit = fit_censored(design, y, np.zeros(14))
    coefficients, squares, *_ = np.linalg.lstsq(design, y)
    assert fit.coefficients == pytest.approx(coefficients, rel=1e-10)
    assert fit.sigma == pytest.approx(math.sqrt(squares[0] / 14), rel=1e-10)
    assert fit.covariance[:3, :3] == pytest.approx(fit.sigma**2 * np.linalg.inv(design.T @ design), rel=1e-9)
    assert fit.covariance[3, 3] == pytest.approx(1 / 28)  # of log σ


@examples(10)
@given(seeds)
def test_no_search_finds_a_greater_likelihood(seed):
    design, y, side = sample(seed)
    fit = fit_censored(design, y, side)

    def cost(at):
        return -log_likelihood(design, y, side, at[:3], math.exp(at[3]))

    at = np.append(fit.coefficients, math.log(fit.sigma))
    assert -cost(at) == pytest.approx(fit.log_likelihood, abs=1e-9)
    searched = optimize.minimize(cost, at + 0.3, method="Nelder-Mead", options={"maxiter": 4000, "fatol": 1e-11})
    assert searched.fun >= cost(at) - 1e-8
    step, eye = 1e-3, np.eye(4)
    gradient = [(cost(at + step * e) - cost(at - step * e)) / (2 * step) for e in eye]
    assert np.abs(gradient).max() < 1e-3 * len(y)


def test_the_covariance_is_that_of_the_observed_information():
    design, y, side = sample(3, rows=30)
    fit = fit_censored(design, y, side)
    at, step, eye = np.append(fit.coefficients, math.log(fit.sigma)), 1e-3, np.eye(4)

    def cost(at):
        return -log_likelihood(design, y, side, at[:3], math.exp(at[3]))

    information = [
        [sum(a * b * cost(at + step * (a * i + b * j)) for a in (-1, 1) for b in (-1, 1)) / (4 * step**2) for j in eye]
        for i in eye
    ]
    assert fit.covariance == pytest.approx(np.linalg.inv(information), rel=1e-3, abs=1e-7)


@pytest.mark.parametrize("ratio", [0.5, 4.0])
@pytest.mark.parametrize("hidden", [0, 1, 2])
def test_rows_of_a_group_share_a_normal_deviation(ratio, hidden):
    """The likelihood at its maximum is the integral over the deviation of each group."""
    rng = np.random.default_rng(4)
    group = np.repeat(range(4), 3)
    design, y = np.column_stack([np.ones(12), rng.normal(size=12)]), rng.normal(size=12)
    side = np.tile([0, 1, 1], 4) * (np.tile([0, 1, 2], 4) <= hidden)
    side[3:6] = np.minimum(side[3:6], 0) if hidden < 2 else [1, 1, -1]  # a group with no observed row
    fit = fit_censored(design, y, side, group, ratio)

    def density(u, rows):
        coefficients = fit.coefficients
        shifted = y[rows] - ratio * fit.sigma * u
        return math.exp(log_likelihood(design[rows], shifted, side[rows], coefficients, fit.sigma)) * stats.norm.pdf(u)

    grid = np.linspace(-9, 9, 601)
    expected = [math.log(integrate.simpson([density(u, group == number) for u in grid], x=grid)) for number in range(4)]
    assert fit.log_likelihood == pytest.approx(sum(expected), abs=1e-5)


def test_of_grouped_rows_the_maximum_is_one():
    rng = np.random.default_rng(5)
    group, design = np.repeat(range(5), 4), np.column_stack([np.ones(20), rng.normal(size=20)])
    y = design @ [1, 2] + 0.5 * rng.normal(size=5)[group] + 0.2 * rng.normal(size=20)
    side = np.tile([0, 0, 1, 1], 5)
    fit = fit_censored(design, y, side, group, 2.5)
    sample = censored._Sample.of(np.column_stack([y, -design]), side, group, 2.5)
    at = np.append(1, fit.coefficients) / fit.sigma
    value, gradient, information = sample.log_likelihood(at)
    assert np.abs(gradient).max() < 1e-6
    assert np.linalg.eigvalsh(information).min() > 0
    around = [sample.log_likelihood(at + 0.1 * rng.normal(size=3))[0] for _ in range(50)]
    assert max(around) < value
    numeric = [(sample.log_likelihood(at + e)[1] - sample.log_likelihood(at - e)[1]) / -2e-4 for e in 1e-4 * np.eye(3)]
    assert information == pytest.approx(np.array(numeric), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(("bound", "side"), [(-1e6, 1), (1e6, -1), (40.0, 1), (-40.0, -1)])
def test_bounds_far_in_either_tail_are_numbers(bound, side):
    """A bound that says nothing changes nothing; one that contradicts all others draws the line as far as it must."""
    design, y, sides = sample(6)
    alone = fit_censored(design, y, sides)
    fit = fit_censored(np.vstack([design, design[0]]), np.append(y, bound), np.append(sides, side))
    assert np.isfinite([*fit.coefficients, fit.sigma]).all()
    if abs(bound) > 100:
        assert fit.coefficients == pytest.approx(alone.coefficients, abs=1e-8)
    else:
        assert fit.sigma > 2 * alone.sigma


@pytest.mark.parametrize("side", [0, 1])
def test_responses_on_a_plane_have_no_scatter(side):
    design, _, _ = sample(7)
    y = design @ [1.0, 2.0, 3.0]
    y[0] -= side
    fit = fit_censored(design, y, np.append(side, np.zeros(13)))
    assert (fit.sigma, np.abs(fit.covariance).max()) == (0, 0)
    assert fit.coefficients == pytest.approx([1, 2, 3])


def test_a_search_without_an_end_says_so(monkeypatch):
    monkeypatch.setattr(censored, "_ITERATIONS", 1)
    design, y, side = sample(8)
    with pytest.raises(NotConverged, match="still grows after 1 steps"):
        fit_censored(design, y, side)
