"""The two-patch model: its data, both losses against closed forms, draws and autograd, and the descent."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from helpers.properties import examples
from hypothesis import given
from hypothesis import strategies as st
from memsweep.theory.feature_learning.alignment import alignments, recorded
from memsweep.theory.feature_learning.descent import descend
from memsweep.theory.feature_learning.growth import predicted
from memsweep.theory.feature_learning.phase import balanced_ratio
from memsweep.theory.feature_learning.two_patch import Problem, in_basis, labels, snr, span_basis, two_patch
from memsweep.theory.feature_learning.two_patch_classifier import logistic_loss, margins, own_class, scores
from memsweep.theory.feature_learning.two_patch_denoiser import (
    denoise,
    expected_loss,
    noise_levels,
    predict,
    sampled_loss,
)


def small(cases: list[tuple[float, int]] | None = None, **changes: float) -> Problem:
    """Two small problems whose span is the whole space, so that draws of noise cover it."""
    model = {"samples": 4, "dimension": 5, "noise": 0.7, "rows": 4, "initialisation": 0.4, **changes}
    return two_patch(cases or [(2.0, 0), (3.0, 1)], **model)  # type: ignore[arg-type]


# --- data ---------------------------------------------------------------------------


def test_the_patches_are_distributed_as_the_paper_says() -> None:
    problem = two_patch([(3.0, 0)], samples=2000, dimension=6, noise=0.5, rows=2, initialisation=0.1)
    points = problem.points[0]
    signals, noises = points[:2], points[2:]
    torch.testing.assert_close(signals @ signals.T, 9.0 * torch.eye(2, dtype=torch.float64))
    assert (noises @ signals.T).abs().max() == 0
    covariance = noises.T @ noises / len(noises)
    expected = 0.25 * (torch.eye(6, dtype=torch.float64) - signals.T @ signals / 9)
    assert (covariance - expected).abs().max() < 4 * 0.25 * math.sqrt(2 / 2000)
    assert labels(5).tolist() == [1, -1, 1, -1, 1]
    # Each sample has the signal of its class, and a noise patch of its own
    assert problem.pairs[:, 0].tolist() == [0 if label > 0 else 1 for label in problem.labels]
    assert problem.pairs[:, 1].tolist() == list(range(2, 2002))
    assert float(problem.shares.sum()) == pytest.approx(2)


def test_the_published_settings_have_the_published_strengths() -> None:
    assert 30 * snr(5, 1000, 1) ** 2 == pytest.approx(0.75)
    assert 30 * snr(15, 1000, 1) ** 2 == pytest.approx(6.75)


def test_a_problem_depends_on_its_own_case_only() -> None:
    both, alone = small([(2.0, 0), (3.0, 1)], dimension=40), small([(3.0, 1)], dimension=40)
    torch.testing.assert_close(both.points[1], alone.points[0])
    torch.testing.assert_close(both.weights[1], alone.weights[0])
    assert not torch.allclose(small([(3.0, 2)]).weights, small([(3.0, 1)]).weights)


@pytest.mark.parametrize("objective", [partial(expected_loss, time=0.3), logistic_loss])
def test_descent_in_the_span_is_descent_in_the_whole_space(objective: object) -> None:
    source = torch.Generator().manual_seed(0)
    points = torch.randn(1, 6, 30, generator=source, dtype=torch.float64)
    weights = 0.3 * torch.randn(1, 4, 30, generator=source, dtype=torch.float64)
    pairs = torch.tensor([[0, 1], [2, 3], [4, 5]])
    whole = Problem(points, pairs, labels(3), weights)
    basis = span_basis(whole)
    assert basis.shape == (1, 30, 10)
    ends = [
        descend(objective, problem, learning_rate=0.01, iterations=50)  # type: ignore[arg-type]
        for problem in (whole, in_basis(whole, basis))
    ]
    torch.testing.assert_close(ends[1].weights @ basis.transpose(1, 2), ends[0].weights)
    torch.testing.assert_close(ends[1].loss, ends[0].loss)


# --- the denoiser -------------------------------------------------------------------


@examples(20)
@given(st.floats(0.05, 3), st.integers(1, 5), st.integers(0, 1000))
def test_the_exact_loss_is_the_mean_over_noise(time: float, neurons: int, seed: int) -> None:
    """Gauss-Hermite quadrature in two dimensions is exact for the polynomial of degree 6."""
    source = torch.Generator().manual_seed(seed)
    points = torch.randn(1, 3, 2, generator=source, dtype=torch.float64)
    weights = torch.randn(1, neurons, 2, generator=source, dtype=torch.float64)
    problem = Problem(points, torch.tensor([[0, 1], [0, 2]]), labels(2), weights)
    nodes, heights = np.polynomial.hermite_e.hermegauss(6)
    pairs = torch.tensor([[x, y] for x in nodes for y in nodes])
    share = torch.tensor([a * b for a in heights for b in heights]) / (2 * math.pi)
    alpha, beta = noise_levels(time)
    noise = pairs[:, None, :].expand(-1, 3, -1)
    error = predict(weights, alpha * points + beta * noise) - noise
    losses = error.square().sum(dim=-1) / 2
    expected = torch.einsum("q,qp,p->", share, losses, problem.shares) - 2
    assert float(expected_loss(weights, problem, time)) == pytest.approx(float(expected), rel=1e-9, abs=1e-9)


def test_the_exact_loss_and_its_gradient_are_what_draws_converge_to() -> None:
    problem, draws = small(), 20_000
    source = torch.Generator().manual_seed(0)
    noise = torch.randn(draws, *problem.points.shape, generator=source, dtype=torch.float64)
    weights = problem.weights.clone().requires_grad_(True)
    parts = torch.stack([sampled_loss(weights, problem, 0.4, part) for part in noise.split(draws // 40)])
    spread = parts.detach().std(dim=0) / math.sqrt(len(parts))
    exact = expected_loss(weights, problem, 0.4)
    assert ((parts.mean(dim=0) - exact).abs() < 4 * spread).all()
    gradients = [torch.autograd.grad(part.sum(), weights, retain_graph=True)[0] for part in parts]
    (gradient,) = torch.autograd.grad(exact.sum(), weights)
    errors = torch.stack(gradients).std(dim=0) / math.sqrt(len(gradients))
    z = (torch.stack(gradients).mean(dim=0) - gradient) / errors
    assert float(z.abs().max()) < 4.5
    assert float(z.square().mean()) < 2


def test_zero_weights_lose_the_dimension() -> None:
    problem = small()
    assert expected_loss(torch.zeros_like(problem.weights), problem, 0.2).tolist() == [0, 0]
    noise = torch.randn(50, *problem.points.shape, dtype=torch.float64)
    assert sampled_loss(torch.zeros_like(problem.weights), problem, 0.2, noise).abs().max() == 0


def test_denoising_inverts_the_noising_where_the_noise_is_known() -> None:
    """With one weight along x and noise along it, f(x_t) = ε can be met exactly."""
    alpha, beta = noise_levels(0.5)
    assert alpha**2 + beta**2 == pytest.approx(1)
    noisy = torch.tensor([[2.0, 0.0]], dtype=torch.float64)
    weights = torch.tensor([[0.5, 0.0]], dtype=torch.float64)
    predicted_noise = predict(weights, noisy)
    assert predicted_noise.tolist() == [[0.5, 0.0]]
    torch.testing.assert_close(alpha * denoise(weights, noisy, 0.5) + beta * predicted_noise, noisy)


# --- the classifier -----------------------------------------------------------------


def test_the_classifier_is_the_formula_of_the_paper() -> None:
    problem = small()
    weights, samples = problem.weights, problem.points[:, problem.pairs]  # (problems, samples, 2, d)
    for number in range(2):
        for i, y in enumerate(problem.labels.tolist()):
            squares = [[float(row @ x) ** 2 for x in samples[number, i]] for row in weights[number]]
            forward = [sum(map(sum, squares[:2])) / 2, sum(map(sum, squares[2:])) / 2]
            assert float(margins(weights, problem)[number, i]) == pytest.approx(y * (forward[0] - forward[1]))
    torch.testing.assert_close(
        logistic_loss(weights, problem), torch.log1p(torch.exp(-margins(weights, problem))).mean(dim=1)
    )
    torch.testing.assert_close(
        scores(weights[:, None], samples).sum(dim=-1) * problem.labels, margins(weights, problem)
    )
    assert own_class(4, torch.tensor([1.0, -1.0])).tolist() == [[True, False]] * 2 + [[False, True]] * 2


# --- descent ------------------------------------------------------------------------


def test_descent_takes_plain_gradient_steps() -> None:
    problem = small()
    end = descend(logistic_loss, problem, learning_rate=0.05, iterations=7)
    weights = problem.weights
    for _ in range(7):
        variable = weights.clone().requires_grad_(True)
        (gradient,) = torch.autograd.grad(logistic_loss(variable, problem).sum(), variable)
        weights = weights - 0.05 * gradient
    torch.testing.assert_close(end.weights, weights)
    assert end.iterations.tolist() == [7, 7]
    assert end.finished.tolist() == [False, False]


def test_a_step_that_is_too_large_is_halved_and_the_loss_never_rises() -> None:
    problem = small()
    seen: list[tuple[list[float], list[float]]] = []
    descend(
        partial(expected_loss, time=0.2),
        problem,
        learning_rate=1e4,
        iterations=200,
        record=lambda _, __, loss, step: seen.append((loss.tolist(), step.tolist())),
        at=range(201),
    )
    losses, steps = np.array([loss for loss, _ in seen]), np.array([step for _, step in seen])
    assert (np.diff(losses, axis=0) <= 1e-9).all()
    assert np.isfinite(losses).all()
    assert (steps[-1] < 1e4 / 100).all()


def test_finished_problems_rest_and_the_others_go_on_as_alone() -> None:
    cases = [(1.0, 0), (6.0, 0), (12.0, 0)]
    together = small(cases, dimension=30, samples=6, initialisation=0.01)
    rule = {"learning_rate": 0.05, "iterations": 2000, "finished": lambda loss, _: loss < 0.3}
    end = descend(logistic_loss, together, **rule)  # type: ignore[arg-type]
    assert end.finished.all()
    assert len(set(end.iterations.tolist())) > 1
    for number, case in enumerate(cases):
        alone = descend(logistic_loss, small([case], dimension=30, samples=6, initialisation=0.01), **rule)  # type: ignore[arg-type]
        assert int(alone.iterations[0]) == int(end.iterations[number])
        torch.testing.assert_close(alone.loss[0], end.loss[number])


def test_the_denoiser_comes_to_a_stationary_point() -> None:
    problem = two_patch([(6.0, 0)], samples=6, dimension=50, noise=1.0, rows=4, initialisation=0.01)
    end = descend(
        partial(expected_loss, time=1.0),
        problem,
        learning_rate=0.1,
        iterations=5000,
        growth=1.1,
        finished=lambda _, gradient: gradient < 1e-5,
    )
    assert end.finished.all()
    variable = end.weights.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(expected_loss(variable, problem, 1.0).sum(), variable)
    assert float(gradient.norm() * end.weights.norm() / end.loss.abs()) < 1e-5


def test_recorded_iterations_hold_both_ends_and_only_rise() -> None:
    for iterations in (10, 61, 5000):
        found = recorded(iterations)
        assert found[0] == 0
        assert found[-1] == iterations
        assert found == sorted(set(found))


# --- what is learnt -------------------------------------------------------------------


def test_alignments_are_those_of_brute_force() -> None:
    problem = small()
    found = alignments(problem.weights, problem, "diffusion")
    signed = np.einsum("brd,bpd->brp", problem.weights.numpy(), problem.points.numpy())
    products = np.abs(signed)
    assert found["signal_max"].tolist() == pytest.approx(signed[:, :, :2].max(axis=(1, 2)))
    assert found["noise_mean"].tolist() == pytest.approx(np.abs(signed[:, :, 2:].mean(axis=(1, 2))))
    own = alignments(problem.weights, problem, "classification")
    # Rows 0 and 1 are of class +1, whose points are 0, 2 and 4; the others of class -1
    expected = [max(p[:2, [2, 4]].max(), p[2:, [3, 5]].max()) for p in products]
    assert own["noise_max"].tolist() == pytest.approx(expected)
    expected = [np.mean([*p[:2, 0], *p[2:, 1]]) for p in products]
    assert own["signal_mean"].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("objective", ["diffusion", "classification"])
@pytest.mark.parametrize("feature", ["signal", "noise"])
def test_the_first_growth_has_the_predicted_rate(objective: str, feature: str) -> None:
    """At tiny weights, one gradient step moves (diffusion) or multiplies (classification) alignments as predicted."""
    rows, dimension, samples, norm, rate = 6, 400, 10, 8.0, 0.01
    problem = two_patch(
        [(norm, 0)],
        samples=samples,
        dimension=dimension,
        noise=1.0,
        rows=rows * (1 if objective == "diffusion" else 2),
        initialisation=1e-5,
    )
    loss = partial(expected_loss, time=0.5) if objective == "diffusion" else logistic_loss
    end = descend(loss, problem, learning_rate=rate, iterations=1)  # type: ignore[arg-type]
    point = {"objective": objective, "time": 0.5, "train_size": samples, "signal_norm": norm}
    model = {"neurons": rows, "dimension": dimension, "noise": 1.0, "initialisation": 1e-5}
    expected = predicted(point, feature, {**model, "learning_rates": {objective: rate}})
    part = slice(0, 2) if feature == "signal" else slice(2, None)
    before, after = (weights @ problem.points[:, part].transpose(1, 2) for weights in (problem.weights, end.weights))
    if objective == "diffusion":
        measured = float((after - before).mean())
        assert measured == pytest.approx(expected["linear_rate"], rel=0.1)
    else:
        own = own_class(2 * rows, torch.tensor([1.0, -1.0]) if feature == "signal" else problem.labels)
        # Least squares, as single ratios blow up where an alignment starts near 0
        factor = float((after * before)[0][own].sum() / before[0][own].square().sum())
        assert math.log(factor) == pytest.approx(expected["exponential_rate"], rel=0.15)


@pytest.mark.parametrize(("time", "norm"), [(0.2, 6.0), (3.0, 6.0), (3.0, 15.0)])
def test_the_balanced_ratio_is_where_descent_ends(time: float, norm: float) -> None:
    """On orthogonal patches, with one neuron and one direction without data, descent reaches the prediction."""
    samples, dimension = 8, 300
    prediction = balanced_ratio(time, samples, norm, dimension=dimension, neurons=1, noise=1.0)
    norms = torch.tensor([norm, norm, *[math.sqrt(dimension)] * samples], dtype=torch.float64)
    points = torch.nn.functional.pad(torch.diag(norms), (0, 1))[None]
    pairs = torch.stack([torch.arange(samples) % 2, torch.arange(samples) + 2], dim=1)
    first = 1e-4 * points.sum(dim=1, keepdim=True)
    first[..., -1] = 1e-2
    problem = Problem(points, pairs, labels(samples), first)
    end = descend(
        partial(expected_loss, time=time),
        problem,
        learning_rate=1e-2,
        iterations=6000,
        growth=1.1,
        finished=lambda _, gradient: gradient < 1e-5,
    )
    assert end.finished.all()
    found = end.weights @ problem.points.transpose(1, 2)
    assert float(found[0, 0, 0] / found[0, 0, 2]) == pytest.approx(prediction, rel=1e-3)


def test_where_noise_rules_the_balanced_ratio_is_half_of_n_snr2() -> None:
    for samples, norm in ((20, 0.5), (80, 1.0)):
        strength = samples * norm**2 / 1000
        found = balanced_ratio(4.0, samples, norm, dimension=1000, neurons=20, noise=1.0)
        assert found == pytest.approx(strength / 2, rel=0.02)
