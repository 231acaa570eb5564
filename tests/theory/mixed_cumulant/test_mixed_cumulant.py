"""The mixed cumulant model against moments, the population loss against quadrature, the unit against vectors."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.properties import examples
from hypothesis import example, given
from hypothesis import strategies as st
from memsweep.data.randomness import generator
from memsweep.theory.mixed_cumulant.activations import ACTIVATIONS
from memsweep.theory.mixed_cumulant.expectations import measured_cumulants, sample_cumulant
from memsweep.theory.mixed_cumulant.hermite import expansion, gaussian_means, leading, sample_exponent, series
from memsweep.theory.mixed_cumulant.learning import BLOCK, Learner, Unit, sgd_step
from memsweep.theory.mixed_cumulant.model import MixedCumulantModel
from memsweep.theory.mixed_cumulant.recovery import exponents, lognormal_law, median_law, medians, recovery_time
from memsweep.theory.mixed_cumulant.tracking import Tracker
from scipy import integrate, stats
from scipy.stats import norm
from statsmodels.duration.survfunc import SurvfuncRight

MODELS = [MixedCumulantModel(1, 8, 0), MixedCumulantModel(2, 3, 1), MixedCumulantModel(0.5, 8, -0.6)]

models = st.builds(
    MixedCumulantModel, st.floats(0, 3), st.floats(0, 20), st.floats(-1, 1).map(lambda q: 0.0 if abs(q) < 1e-3 else q)
)


def moment(model: MixedCumulantModel, j: int, k: int) -> float:
    """E[⟨u, x⟩ʲ ⟨v, x⟩ᵏ] by quadrature over λ and the two coordinates of z, ν = ±1 summed over."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    weights = weights / weights.sum()
    half, half_weights = np.polynomial.legendre.leggauss(200)
    positive = 6 * (half + 1)  # λ > 0; the other half follows by symmetry
    density = 6 * half_weights * stats.norm.pdf(positive)
    total = 0.0
    for sign, agree in itertools.product((1, -1), (1, -1)):
        nu, chance = sign * agree, (1 + agree * model.correlation) / 2
        x_u = math.sqrt(model.beta_u) * sign * positive[:, None] + nodes
        x_v = (math.sqrt(model.beta_v) * nu + nodes) / math.sqrt(1 + model.beta_v)
        total += chance * float(density @ (x_u**j @ weights)) * float(x_v**k @ weights)
    return total


def joint_cumulant(model: MixedCumulantModel, j: int, k: int) -> float:
    """From moments, by the sum over partitions into pairs (odd moments vanish)."""
    value = moment(model, j, k)
    if j + k == 4:
        kinds = [0] * j + [1] * k
        for partner in (1, 2, 3):
            rest = [kind for place, kind in enumerate(kinds) if place not in (0, partner)]
            pair = [kinds[0], kinds[partner]]
            value -= moment(model, pair.count(0), pair.count(1)) * moment(model, rest.count(0), rest.count(1))
    return value


@pytest.mark.parametrize("model", MODELS)
def test_the_cumulants_are_those_of_the_moments(model: MixedCumulantModel) -> None:
    for total in range(1, 5):
        for k in range(total + 1):
            assert model.cumulant(total - k, k) == pytest.approx(joint_cumulant(model, total - k, k), abs=1e-5)
    with pytest.raises(ValueError, match="orders 1 to 4"):
        model.cumulant(3, 2)


@pytest.mark.parametrize("model", MODELS)
def test_hermite_moments_are_those_of_the_moments(model: MixedCumulantModel) -> None:
    for j, k in itertools.product(range(5), range(5)):
        u, v = ([np.polynomial.hermite_e.herme2poly([0] * order + [1])] for order in (j, k))
        expected = sum(
            a * b * moment(model, p, q)
            for (p, a), (q, b) in itertools.product(enumerate(u[0]), enumerate(v[0]))
            if a * b
        )
        assert model.hermite_moment(j, k) == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("model", MODELS)
def test_the_sampler_has_the_cumulants_of_the_model(model: MixedCumulantModel) -> None:
    rows = measured_cumulants(model, {"seed": 0, "patterns": 400_000, "confidence": 0.9999})
    assert len(rows) == 2 + 3 + 4 + 5
    for row in rows:
        assert row["ci_low"] - 1e-12 <= row["theory"] <= row["ci_high"] + 1e-12, row
    assert max(row["ci_high"] - row["ci_low"] for row in rows) < 0.6


def test_a_patterns_tensors_are_those_of_the_model_in_every_direction() -> None:
    """Second and fourth cumulants of whole patterns, contracted with random directions."""
    model, d, n = MixedCumulantModel(1, 8, 0.8), 6, 400_000
    source = generator("tensors")
    axes = torch.linalg.qr(torch.randn((d, 2), generator=source))[0]
    u, v = axes[:, 0], axes[:, 1]
    x = model.patterns(model.latents((n,), source), torch.randn((n, d), generator=source), u, v)
    covariance = np.eye(d) + model.beta_u * np.outer(u, u) + model.cumulant(1, 1) * (np.outer(u, v) + np.outer(v, u))
    np.testing.assert_allclose(np.cov(x.T), covariance, atol=0.02)
    for _ in range(3):
        w = torch.randn(d, generator=source)
        w /= w.norm()
        a, b = float(w @ u), float(w @ v)
        expected = sum(
            math.comb(4, k) * a ** (4 - k) * b**k * model.cumulant(4 - k, k) for k in range(5)
        )  # those of z vanish
        projection = (x @ w).double().numpy().reshape(1, 50, -1)
        estimates = sample_cumulant(np.concatenate([projection, projection]), 4, 0)
        assert abs(estimates.mean() - expected) < 5 * estimates.std() / math.sqrt(50) + 0.005


def test_a_surrogate_has_the_covariance_and_no_fourth_cumulant() -> None:
    model, n = MixedCumulantModel(1, 8, 0.8), 400_000
    source = generator("surrogate")
    latents = model.latents((n,), source)
    other = model.gaussian_latents(latents, source)
    noise = torch.randn((2, n), generator=source)
    real, surrogate = (model.plane(part, noise).double().numpy() for part in (latents, other))
    np.testing.assert_array_equal(real[0], surrogate[0])
    np.testing.assert_allclose(np.cov(surrogate), model.covariance(), atol=0.02)
    for order in range(5):
        assert sample_cumulant(surrogate[:, None], 4 - order, order) == pytest.approx(0, abs=0.08)
    assert sample_cumulant(real[:, None], 0, 4) == pytest.approx(model.cumulant(0, 4), abs=0.02)


# --- population loss -----------------------------------------------------------------


def population_loss(model: MixedCumulantModel, activation: str, s: float, a: float, b: float) -> float:
    """½ E[σ(h)² - 2 σ(h) g] by brute force: given ν and λ, (g, h) is Gaussian, and Gauss-Hermite does the rest."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    r = math.sqrt(1 - s**2)
    # ⟨w, z-part of x⟩: variance a² + b² / (1 + β_v) + the rest
    spread = math.sqrt(1 - b**2 + b**2 / (1 + model.beta_v))
    half, half_weights = np.polynomial.legendre.leggauss(80)
    positive, density = 4 * (half + 1), 4 * half_weights * stats.norm.pdf(4 * (half + 1))
    total = 0.0
    for sign, agree in itertools.product((1, -1), (1, -1)):
        nu, chance = sign * agree, (1 + agree * model.correlation) / 2
        mean = a * math.sqrt(model.beta_u) * sign * positive + b * model.share_v * nu
        g = mean[:, None, None] + spread * nodes[:, None]
        h = r * g + s * nodes
        value = ACTIVATIONS[activation].both(torch.from_numpy(h))[0].numpy()
        inner = np.einsum("lij,i,j->l", 0.5 * value**2 - value * g, weights, weights)
        total += chance * float(density @ inner)
    return total


@pytest.mark.parametrize("activation", ["identity", "tanh", "sine"])
@pytest.mark.parametrize("model", MODELS)
def test_the_series_is_the_population_loss(activation: str, model: MixedCumulantModel) -> None:
    terms = expansion(model, activation, [0.4], 14)
    zero = population_loss(model, activation, 0.4, 0, 0)
    for a, b in [(0.3, 0), (0, 0.5), (0.3, 0.4), (-0.3, 0.4)]:
        expected = population_loss(model, activation, 0.4, a, b) - zero
        assert float(series(terms, a, b)) == pytest.approx(expected, abs=3e-4 * max(1, model.beta_u**7))


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_gaussian_means_are_integrals(activation: str) -> None:
    a, b = gaussian_means(ACTIVATIONS[activation], 6)
    kinks = ACTIVATIONS[activation].kinks or (0.0,)
    for k in range(6):
        polynomial = np.polynomial.hermite_e.HermiteE.basis(k)

        def integrand(h: float, power: int, polynomial: np.polynomial.hermite_e.HermiteE = polynomial) -> float:
            value = float(ACTIVATIONS[activation].both(torch.tensor(h, dtype=torch.float64))[0])
            return float(value**power * polynomial(h) * stats.norm.pdf(h))

        for power, mean in ((1, a[k]), (2, b[k])):
            expected = integrate.quad(integrand, -9, 9, args=(power,), points=kinks, limit=200)[0]
            assert mean == pytest.approx(expected, abs=1e-7)


def test_the_information_exponents_of_cases_done_by_hand() -> None:
    r = math.sqrt(0.75)
    model = MixedCumulantModel(2, 8)
    # σ(h) = h: the loss is ½ (r² - 2r) E[g²] + const, of second order in α and blind to v
    terms = expansion(model, "identity", [0.5])
    assert [(term.order_u, term.order_v) for term in terms] == [(2, 0)]
    assert terms[0].coefficient == pytest.approx(0.5 * model.beta_u * (r**2 - 2 * r))
    # ReLU: relu(h)² + relu(-h)² = h² and (relu(h) - relu(-h)) g = hg, so half of that
    terms = expansion(model, "relu", [0.5])
    assert [(term.order_u, term.order_v) for term in terms] == [(2, 0)]
    assert terms[0].coefficient == pytest.approx(0.25 * model.beta_u * (r**2 - 2 * r))
    for activation, lowers in (("tanh", True), ("sine", True), ("cubic", True), ("soft_threshold", False)):
        terms = expansion(model, activation, [0.5])
        u, v = leading(terms, "u"), leading(terms, "v")
        assert u is not None
        assert v is not None
        assert (u.order_u, v.order_v) == (2, 4)
        assert v.lowers("v") == lowers
        assert sample_exponent(terms, "v") == (3 if lowers else math.inf)
    assert sample_exponent(expansion(model, "sine", [0.5]), "u") == 1
    assert leading(expansion(model, "identity", [0.5]), "v") is None


def test_minus_he3_over_6_has_its_hand_computed_fourth_order() -> None:
    """σ = -He₃/6: a₃ = -1 and b₄ = 6, so c₄ = 3r⁴ + 4r³, and m₄ = -2 (β_v / (1 + β_v))²."""
    model, s = MixedCumulantModel(0, 8), 0.5
    r = math.sqrt(1 - s**2)
    by_hand = (3 * r**4 + 4 * r**3) / 24 * -2 * (8 / 9) ** 2
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()
    he3 = -(nodes**3 - 3 * nodes) / 6
    he = [np.polynomial.hermite_e.hermeval(nodes, [0] * k + [1]) for k in range(6)]
    c4 = 0.5 * r**4 * weights @ (he3**2 * he[4]) - r**5 * weights @ (he3 * he[5]) - 4 * r**3 * weights @ (he3 * he[3])
    assert c4 / 24 * model.hermite_moment(0, 4) == pytest.approx(by_hand)
    # The clipped one that the unit uses is close to it, and of the same sign
    (clipped,) = [term for term in expansion(model, "cubic", [s]) if term.order_v == 4]
    assert by_hand < clipped.coefficient < 0.5 * by_hand


def test_correlated_latents_give_v_a_term_of_first_order_once_u_is_learnt() -> None:
    terms = expansion(MixedCumulantModel(1, 8, 1), "sine", [0.3])
    alone, staircase = leading(terms, "v"), leading(terms, "v", other_learnt=True)
    assert alone is not None
    assert staircase is not None
    assert (alone.order_v, staircase.order_u, staircase.order_v) == (4, 1, 1)
    assert sample_exponent(terms, "v") == 1
    independent = expansion(MixedCumulantModel(1, 8, 0), "sine", [0.3])
    assert sample_exponent(independent, "v") == 3


@given(models, st.floats(0.1, 0.9), st.floats(0.1, 0.9))
@examples(25)
def test_several_noise_levels_are_averaged(model: MixedCumulantModel, s: float, t: float) -> None:
    both, first, second = (series(expansion(model, "tanh", levels), 0.4, 0.3) for levels in ([s, t], [s], [t]))
    assert float(both) == pytest.approx((float(first) + float(second)) / 2, abs=1e-8)


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_derivatives_are_those_of_autograd(activation: str) -> None:
    h = torch.linspace(-4, 4, 1001, dtype=torch.float64).add(1e-4).requires_grad_()
    value, slope = ACTIVATIONS[activation].both(h)
    torch.testing.assert_close(torch.autograd.grad(value.sum(), h)[0], slope, atol=1e-12, rtol=0)


# --- learning ------------------------------------------------------------------------


def vector_step(w: torch.Tensor, x: torch.Tensor, noisy: torch.Tensor, size: float, activation: str) -> torch.Tensor:
    """One step in d dimensions: autograd's gradient of ½‖x - w σ(⟨w, x_t⟩)‖², projected, and normalised."""
    w = w.clone().requires_grad_()
    value = ACTIVATIONS[activation].both((w * noisy).sum(-1))[0]
    (0.5 * (x - w * value[:, None]).square().sum()).backward()
    assert w.grad is not None
    gradient = w.grad - (w.grad * w).sum(-1, keepdim=True) * w
    moved = (w - size * gradient).detach()
    return moved / moved.norm(dim=-1, keepdim=True)


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_a_step_is_that_of_vectors(activation: str) -> None:
    """The same draws, as vectors in d dimensions and in the coordinates that matter, give the same path."""
    d, replicas, steps, size = 11, 40, 60, 0.05
    model = MixedCumulantModel(1, 8, 0.5)
    source = generator("vectors")
    u, v = torch.eye(d, dtype=torch.float64)[:2]
    w = torch.randn((replicas, d), generator=source).double()
    w /= w.norm(dim=-1, keepdim=True)
    state = torch.stack([w[:, 0], w[:, 1], w[:, 2:].norm(dim=-1)])
    level = torch.tensor([0.3, 0.6]).double()[torch.randint(2, (steps, replicas), generator=source)]
    signal = (1 - level.square()).sqrt()
    for step in range(steps):
        x = model.patterns(
            model.latents((replicas,), source), torch.randn((replicas, d), generator=source), u, v
        ).double()
        noise = torch.randn((replicas, d), generator=source).double()
        r, s = signal[step, :, None], level[step, :, None]
        noisy = r * x + s * noise
        rest = torch.nn.functional.normalize(torch.cat([torch.zeros(replicas, 2), w[:, 2:]], dim=1), dim=-1)
        seen = torch.stack([torch.stack([part[:, 0], part[:, 1], (part * rest).sum(-1)]) for part in (x, noisy)])
        # What remains beyond u, v and w: its length is that of σ x + σ' (g - σ) x_t there, over that of one draw
        beyond = [part - (part * rest).sum(-1, keepdim=True) * rest for part in (x, noisy)]
        for part in beyond:
            part[:, :2] = 0
        value, slope = ACTIVATIONS[activation].both((w * noisy).sum(-1))
        pull = slope * ((w * x).sum(-1) - value)
        length = (value[:, None] * beyond[0] + pull[:, None] * beyond[1]).square().sum(-1)
        scale = value.square() + 2 * signal[step] * value * pull + pull.square()
        state = sgd_step(
            state,
            seen,
            length / scale.clamp(min=1e-300),
            signal[step],
            torch.tensor(size, dtype=torch.float64),
            activation,
        )
        w = vector_step(w, x, noisy, size, activation)
        torch.testing.assert_close(state[:2], w[:, :2].T, atol=1e-9, rtol=0)


def test_what_lies_beyond_has_the_law_of_vectors() -> None:
    """Paths of vectors, drawn whole, and of the learner have the same distribution (Kolmogorov & Smirnov)."""
    d, replicas, steps = 6, 1500, BLOCK
    model, unit = MixedCumulantModel(1, 8, 1), Unit("sine", (0.3, 0.5), 0.4, 1)
    learner = Learner(model, unit, [d], replicas, seed=3)
    path = learner.advance()
    source = generator("whole vectors")
    u, v = torch.eye(d)[:2]
    w = torch.nn.functional.normalize(torch.randn((replicas, d), generator=source), dim=-1)
    for step in range(steps):
        x = model.patterns(model.latents((replicas,), source), torch.randn((replicas, d), generator=source), u, v)
        level = torch.tensor(unit.noise_levels)[torch.randint(2, (replicas, 1), generator=source)]
        noisy = (1 - level**2).sqrt() * x + level * torch.randn((replicas, d), generator=source)
        w = vector_step(w, x, noisy, unit.step_size / d, unit.activation)
        if step + 1 in (2, 16, 64, BLOCK):
            for axis in (0, 1):
                assert stats.ks_2samp(w[:, axis], path[step, axis]).pvalue > 1e-4


def test_the_mean_step_follows_the_population_loss() -> None:
    """E[Δα] / η = -½' the slope of the loss along the sphere, up to the shrinking of order η."""
    model, replicas, size = MixedCumulantModel(1, 8, 1), 2000, 1e-4
    learner = Learner(model, Unit("sine", (0.3,), size, 0), [8], replicas, seed=1)
    a, b = 0.4, 0.2
    state = torch.tensor([a, b, math.sqrt(1 - a**2 - b**2)]).double()[:, None].expand(3, replicas)
    draws = learner.draws(8, 0)
    moved = []
    for step in range(BLOCK):
        columns = (draws.seen[step].double(), draws.beyond[step].double(), draws.signal[step].double())
        moved.append(sgd_step(state, *columns, learner.step_size.double(), "sine")[:2] - state[:2])
    drift = torch.cat(moved, dim=-1) / size
    terms, small = expansion(model, "sine", [0.3], 16), 1e-5
    slope_a = float(series(terms, a + small, b) - series(terms, a - small, b)) / (2 * small)
    slope_b = float(series(terms, a, b + small) - series(terms, a, b - small)) / (2 * small)
    radial = slope_a * a + slope_b * b
    error = (drift.std(dim=-1) / math.sqrt(drift.shape[-1])).tolist()
    for place, slope, width, found in zip((a, b), (slope_a, slope_b), error, drift.mean(-1).tolist(), strict=True):
        assert abs(found + (slope - radial * place)) < 5 * width + 1e-3


def test_a_path_depends_on_neither_company_nor_interruption() -> None:
    model, unit = MixedCumulantModel(1, 8, 1), Unit("sine", (0.3,), 0.2, 1)
    alone = Learner(model, unit, [48], 24, seed=5)
    whole = torch.cat([alone.advance() for _ in range(3)])
    together = Learner(model, unit, [16, 48, 96], 24, seed=5)
    paths = torch.cat([together.advance() for _ in range(3)])
    assert torch.equal(paths[:, :, 24:48], whole)
    again = Learner(model, unit, [48], 24, seed=5)
    again.advance()
    resumed = Learner(model, unit, [48], 24, seed=5)
    resumed.state, resumed.step = again.state, again.step
    assert torch.equal(torch.cat([resumed.advance(), resumed.advance()]), whole[BLOCK:])
    other = Learner(model, unit, [48], 24, seed=6)
    assert not torch.equal(other.advance(), whole[:BLOCK])


@given(st.integers(4, 500), st.floats(0.01, 1), st.sampled_from(list(ACTIVATIONS)), models)
@examples(15)
def test_the_weights_stay_on_the_sphere(d: int, size: float, activation: str, model: MixedCumulantModel) -> None:
    learner = Learner(model, Unit(activation, (0.2, 0.7), size, 1), [d], 8, seed=0)
    overlaps = learner.advance()
    assert torch.isfinite(overlaps).all()
    assert float(learner.state.square().sum(0).sub(1).abs().max()) < 1e-5
    assert (learner.state[2] >= 0).all()


# --- recovery ------------------------------------------------------------------------


def brute_force(path: np.ndarray, threshold: float, hold: float) -> tuple[float, bool]:
    """Samples and censoring of one path of overlaps after steps 1, 2, ..., by the definition."""
    above = np.abs(path) >= threshold
    last = 0
    for step in range(1, len(path) + 1):
        if not above[step - 1]:
            last = step
        elif step >= (last + 1) * (1 + hold):
            return last + 1, False
    return max(1.0, len(path) / (1 + hold)), True


@given(
    st.lists(st.lists(st.floats(-1, 1), min_size=2, max_size=2), min_size=4, max_size=40),
    st.floats(0.05, 0.9),
    st.floats(0, 2),
    st.integers(1, 7),
)
@example([[0.0, 0.0]] * 3 + [[1.0, 0.0]], 0.5, 1e-12, 4)  # held for longer than no time at all: not yet
@example([[0.0, 0.0]] * 3 + [[1.0, 0.0]], 0.5, 0.0, 4)
@examples(80)
def test_the_tracker_finds_what_the_definition_says(
    path: list[list[float]], level: float, hold: float, cut: int
) -> None:
    values = np.array(path, dtype=np.float64)
    tracker = Tracker((2, 1), level, hold)
    for start in range(0, len(values), cut):
        tracker.follow(torch.from_numpy(values[start : start + cut])[:, :, None], start)
    table = tracker.table()
    for row, spike in enumerate("uv"):
        found = table[table["spike"] == spike].iloc[0]
        assert (found["samples"], found["censored"]) == brute_force(values[:, row], level, hold)


def test_single_steps_count_however_many_there_are() -> None:
    first = 2**25 + 1  # more than single precision tells apart
    tracker = Tracker((2, 1), 0.5, 1e-9)
    tracker.below[:] = first - 1
    tracker.follow(torch.tensor([[[0.9], [0.0]]]), first - 1)
    assert tracker.table()["censored"].all()
    tracker.follow(torch.tensor([[[0.9], [0.0]]]), first)
    assert tracker.table()["samples"].tolist() == [first, pytest.approx(first + 1)]
    assert tracker.table()["censored"].tolist() == [False, True]


def test_a_fluctuation_is_no_recovery() -> None:
    path = np.full((2000, 2, 1), 0.1)
    path[100:110] = 0.9
    path[1000:, 0] = -0.8
    path[1900:, 1] = 0.8
    tracker = Tracker((2, 1), 0.5, 0.5)
    tracker.follow(torch.from_numpy(path), 0)
    table = tracker.table().set_index("spike")
    assert table.loc["u", ["samples", "censored"]].tolist() == [1001, False]
    assert table.loc["v", ["samples", "censored"]].tolist() == [pytest.approx(2000 / 1.5), True]


def test_the_interval_of_a_median_covers_it_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0).lognormal(size=(4000, 41))
    found = medians(draws, 0.9)
    covered = np.mean((found["ci_low"] <= 1) & (found["ci_high"] >= 1))
    assert 0.9 <= covered < 0.95
    assert (found["low"] <= found["median"]).all()


def test_the_median_time_counts_the_censored() -> None:
    times = np.array([1.0, 2, 3, 4, 5, 6, 7, 8, 9, 10] * 4)
    found = recovery_time(np.minimum(times, 7), times > 7, 0.95)
    assert found["median"] == 5
    assert found["ci_low"] <= 5 <= found["ci_high"]
    none = recovery_time(np.full(10, 7.0), np.full(10, True), 0.95)
    assert none["median"] == math.inf
    assert (none["ci_low"], none["ci_high"]) == (7, math.inf)
    half = recovery_time(np.array([1.0, 2, 3, 4, 5, 6]), np.array([False] * 3 + [True] * 3), 0.95)
    assert half["median"] == 3


def test_the_median_time_and_its_interval_are_those_of_statsmodels() -> None:
    source, compared = np.random.default_rng(4), 0
    for _ in range(60):
        times, end = source.lognormal(size=31), source.choice([1.2, 2.0, 9.0])
        found = recovery_time(np.minimum(times, end), times > end, 0.9)
        curve = SurvfuncRight(np.minimum(times, end), (times <= end).astype(int))
        low, high = curve.quantile_ci(0.5, alpha=0.1, method="cloglog")
        if math.isfinite(found["ci_high"]):
            assert (found["ci_low"], found["ci_high"]) == (low, high)
            assert found["median"] == curve.quantile(0.5)
            compared += 1
    assert compared > 40


def nearly_half_censored(seed: int) -> pd.DataFrame:
    """Times of 20 replicas whose medians are d squared; of the largest d, 45 % end before they recover."""
    source, dimensions = np.random.default_rng(seed), np.repeat([16.0, 32.0, 64.0, 128.0, 256.0], 20)
    samples = dimensions**2 * np.exp(source.normal(0, 0.5, len(dimensions)))
    end = np.where(dimensions == 256, dimensions**2 * math.exp(0.5 * norm.ppf(0.55)), math.inf)
    recoveries = {"dimension": dimensions, "samples": np.minimum(samples, end), "censored": samples > end}
    return pd.DataFrame(recoveries)


def test_replicates_without_a_median_bound_the_exponent_and_the_interval_covers_it() -> None:
    fits = [median_law(nearly_half_censored(seed), False, str(seed), 200, 0.95) for seed in range(150)]
    known = [fit for fit in fits if math.isfinite(fit.exponent)]
    assert len(known) > 75
    assert np.mean([fit.ci_low <= 2 <= fit.ci_high for fit in known]) >= 0.93
    assert any(fit.ci_high == math.inf for fit in known)
    assert all(math.isfinite(fit.ci_low) for fit in known)
    # Of the smallest dimension in place of the largest, it is the lower end that is open
    turned = nearly_half_censored(0).assign(dimension=lambda rows: 256 * 16 / rows["dimension"])
    found, other = median_law(turned, False, "0", 200, 0.95), fits[0]
    assert (found.ci_low == -math.inf) == (other.ci_high == math.inf)


def times(law: str, replicas: int = 200, horizon: float = math.inf) -> pd.DataFrame:
    """Recoveries whose medians follow a law exactly, scattered as a log-normal."""
    source = np.random.default_rng(1)
    rows = []
    for d in (16, 32, 64, 128, 256, 512):
        median = {"cubic": 0.7 * d**3, "log": 3 * d * (math.log(d) - 1)}[law]
        samples = median * source.lognormal(0, 0.4, replicas)
        end = horizon * median
        rows.append(pd.DataFrame({"dimension": d, "samples": np.minimum(samples, end), "censored": samples > end}))
    return pd.concat(rows, ignore_index=True).assign(experiment="made", spike="u")


def test_exponents_of_known_laws_lie_in_their_intervals() -> None:
    for horizon in (math.inf, 1.2):
        rows = times("cubic", horizon=horizon)
        for cubic in (lognormal_law(rows, 0.99), median_law(rows, False, "key", 200, 0.99)):
            assert cubic.ci_low < 3 < cubic.ci_high
            assert cubic.ci_high - cubic.ci_low < 0.2
        log = median_law(times("log", horizon=horizon), True, "key", 200, 0.99)
        assert log.ci_low < 1 < log.ci_high
        assert log.ci_high - log.ci_low < 0.5
    # What a power law makes of d log d is another matter
    assert median_law(times("log"), False, "key", 200, 0.99).ci_low > 1.1


def test_replicas_that_start_above_the_threshold_move_no_median() -> None:
    """As many of them as 2 / d: the log-normal exponent is too large, that of the medians is not."""
    rows = times("cubic")
    lucky = rows.groupby("dimension").cumcount() < 200 * 2 / rows["dimension"]
    rows.loc[lucky, "samples"] = 1.0
    assert lognormal_law(rows, 0.99).ci_low > 3
    cubic = median_law(rows, False, "key", 200, 0.99)
    assert cubic.ci_low < 3 < cubic.ci_high


def test_an_exponent_that_cannot_be_known_is_not_told() -> None:
    rows = times("log")
    assert math.isnan(median_law(rows[rows["dimension"] < 100], True, "key", 50, 0.95).exponent)
    assert math.isnan(median_law(rows[rows["dimension"] < 50], False, "key", 50, 0.95).exponent)
    assert math.isnan(median_law(rows.assign(censored=True), True, "key", 50, 0.95).exponent)
    table = exponents(rows.assign(censored=True), {("made", "u"): 3.0}, 50, 0.95)
    assert table["law"].tolist() == ["power", "lognormal"]
    assert table["exponent"].isna().all()
    assert table["censored_replicas"].tolist() == [1200, 1200]
