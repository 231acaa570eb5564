from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from memsweep.training.optimisation import RateSchedule, build_optimiser

# Each with what torch calls it, and the names of what it keeps of a weight
OPTIMISERS: list[tuple[dict[str, Any], Any, set[str]]] = [
    ({"name": "adam"}, torch.optim.Adam, {"exp_avg", "exp_avg_sq", "step"}),
    ({"name": "adamw", "weight_decay": 0.3}, torch.optim.AdamW, {"exp_avg", "exp_avg_sq", "step"}),
    ({"name": "sgd"}, torch.optim.SGD, set()),
    ({"name": "sgd", "weight_decay": 0.3}, torch.optim.SGD, set()),
    ({"name": "sgd", "momentum": 0.9}, torch.optim.SGD, {"momentum_buffer"}),
    ({"name": "sgd", "momentum": 0.5, "weight_decay": 0.3}, torch.optim.SGD, {"momentum_buffer"}),
]
optimisers = pytest.mark.parametrize(("options", "reference", "kept"), OPTIMISERS)
SHAPES = [(3, 4), (5,), ()]


def weights() -> list[torch.Tensor]:
    source = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=source, dtype=torch.float64).requires_grad_() for shape in SHAPES]


@optimisers
@pytest.mark.parametrize("on_device", [False, True])
def test_laying_out_memory_moves_no_weight(
    options: dict[str, Any], reference: Any, kept: set[str], on_device: bool
) -> None:
    """A step on gradients of 0, at the rate of the run, would: weight decay makes 0.99 of 1."""
    found, rate = weights(), torch.tensor(0.1) if on_device else 0.1
    optimiser = build_optimiser(found, rate=rate, **options)
    assert all(torch.equal(weight, start) for weight, start in zip(found, weights(), strict=True))
    assert all(weight.grad is None for weight in found)
    assert optimiser.param_groups[0]["lr"] is rate
    for weight in found:
        memory = optimiser.state[weight]
        assert set(memory) == kept
        assert all(not tensor.any() for tensor in memory.values())


@optimisers
@pytest.mark.parametrize("on_device", [False, True])
def test_weights_go_where_torch_moves_them(
    options: dict[str, Any], reference: Any, kept: set[str], on_device: bool
) -> None:
    """Against the optimiser of torch as it comes, tensor by tensor, and a rate that changes."""
    found, expected = weights(), weights()
    rate = torch.tensor(0.0, dtype=torch.float64)
    optimiser = build_optimiser(found, rate=rate if on_device else 0.01, **options)
    settings = {key: value for key, value in options.items() if key != "name"}
    plain = reference(expected, lr=0.01, foreach=False, **settings)
    source = torch.Generator().manual_seed(1)
    for step in range(30):
        if on_device:
            rate.fill_(0.01 / (1 + step))
            plain.param_groups[0]["lr"] = 0.01 / (1 + step)
        for weight, other in zip(found, expected, strict=True):
            weight.grad = torch.randn(weight.shape, generator=source, dtype=torch.float64)
            other.grad = weight.grad.clone()
        optimiser.step(), plain.step()
    for weight, other in zip(found, expected, strict=True):
        torch.testing.assert_close(weight, other, rtol=1e-12, atol=1e-12)


def test_decay_of_adamw_is_beside_adams_move_and_that_of_sgd_within_its_gradient() -> None:
    moved = {}
    for name in ("adamw", "sgd"):
        weight = torch.tensor([2.0], requires_grad=True)
        optimiser = build_optimiser([weight], name, 0.1, weight_decay=0.5, momentum=0.9 if name == "sgd" else 0.0)
        for _ in range(2):
            weight.grad = torch.zeros(1)
            optimiser.step()
        moved[name] = weight.item()
    assert moved["adamw"] == pytest.approx(2 * 0.95**2)
    # The second step repeats 0.9 of the first
    assert moved["sgd"] == pytest.approx(1.9 - 0.1 * (0.9 * 1.0 + 0.5 * 1.9))


steps = st.integers(0, 10**9)


@pytest.mark.parametrize(("warmup", "floor"), [(0, 0.0), (0, 0.2), (7, 0.0), (7, 0.2)])
def test_a_cosine_is_that_of_torch(warmup: int, floor: float) -> None:
    length = 60
    shares = RateSchedule(warmup, length, floor).share(torch.arange(length + 1))
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, length - warmup, eta_min=floor)
    expected = []
    for _ in range(length - warmup + 1):
        expected.append(falling.get_last_lr()[0])
        optimiser.step(), falling.step()
    np.testing.assert_allclose(shares[warmup:], expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(shares[:warmup], np.arange(1, warmup + 1) / max(1, warmup), rtol=1e-15)


@given(steps, st.integers(0, 10**6), st.integers(1, 10**9), st.floats(0, 0.99))
def test_a_rate_grows_over_warm_up_falls_after_it_and_stays_at_its_floor(
    step: int, warmup: int, rest: int, floor: float
) -> None:
    schedule = RateSchedule(warmup, warmup + rest, floor)
    share, following, end = schedule.share(torch.tensor([step, step + 1, warmup + rest])).tolist()
    assert 0 <= share <= 1
    assert share <= following if step < warmup - 1 else share >= following
    assert end == pytest.approx(floor, abs=1e-12)
    assert schedule.share(torch.tensor(warmup + rest + step)) == pytest.approx(floor, abs=1e-12)


@given(steps, st.integers(0, 10**6))
def test_warm_up_alone_reaches_the_rate_and_keeps_it(step: int, warmup: int) -> None:
    share = RateSchedule(warmup).share(torch.tensor(step)).item()
    assert share == (1 if step + 1 >= warmup else pytest.approx((step + 1) / warmup))
    assert RateSchedule(warmup).constant == (warmup == 0)


def test_a_step_among_many_has_a_rate_of_its_own() -> None:
    """In float32, the last steps of 10^8 would all have a rate of 0."""
    shares = RateSchedule(0, 10**8).share(torch.arange(10**8 - 5, 10**8 + 1))
    expected = np.sin(np.pi / 2 * np.arange(5, -1, -1) / 10**8) ** 2
    np.testing.assert_allclose(shares, expected, rtol=0.5, atol=0)
    assert (shares.diff() < 0).all()


def test_a_schedule_without_room_after_warm_up_is_refused() -> None:
    with pytest.raises(ValueError, match="a warm-up of 5 steps is not shorter than all 5"):
        RateSchedule(5, 5)


def test_a_copy_of_what_is_kept_continues_exactly() -> None:
    found = weights()
    optimiser = build_optimiser(found, "sgd", 0.1, momentum=0.9)
    for weight in found:
        weight.grad = torch.ones_like(weight)
    optimiser.step()
    other = copy.deepcopy(found)
    again = build_optimiser(other, "sgd", 0.1, momentum=0.9)
    for weight, restored in zip(found, other, strict=True):
        again.state[restored]["momentum_buffer"].copy_(optimiser.state[weight]["momentum_buffer"])
        weight.grad, restored.grad = torch.zeros_like(weight), torch.zeros_like(weight)
    optimiser.step(), again.step()
    assert all(torch.equal(weight, restored) for weight, restored in zip(found, other, strict=True))
