"""Full-batch gradient descent on many training sets at once, each with a step of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from .two_patch import Problem

Objective = Callable[[Tensor, Problem], Tensor]
"""A loss: weights (problems, rows, coordinates) and the problems to one number per problem."""

Recorder = Callable[[int, Tensor, Tensor, Tensor], None]
"""What is told of an iteration: its number, the weights, the losses and the steps."""

# A step may raise the loss by this share of it: rounding
_ROUNDING = 1e-12
# Iterations between two looks for problems that are finished
_LOOK = 20


@dataclass(frozen=True)
class Descended:
    """Where gradient descent ended.

    Attributes:
        weights: (problems, rows, coordinates).
        loss: (problems,).
        gradient: ‖∇L‖ ‖W‖ / |L|, free of units; 0 at a stationary point, (problems,).
        iterations: gradient steps tried, (problems,), int64.
        finished: whether the problem met its end before the iterations ran out, (problems,).
    """

    weights: Tensor
    loss: Tensor
    gradient: Tensor
    iterations: Tensor
    finished: Tensor


def descend(
    objective: Objective,
    problem: Problem,
    *,
    learning_rate: float,
    iterations: int,
    growth: float = 1.0,
    finished: Callable[[Tensor, Tensor], Tensor] | None = None,
    record: Recorder | None = None,
    at: Collection[int] = (),
) -> Descended:
    """Gradient descent from the problems' first weights.

    Every problem has its own step size, ``learning_rate`` at first. A step that would raise the
    loss is not taken, and halves it: a fixed step that is too large near the end thereby ends
    there as well, rather than diverging. Problems do not see one another.

    Args:
        objective: the loss.
        problem: the training sets, with the first weights.
        learning_rate: the first step size.
        iterations: the most gradient steps.
        growth: factor on the step size after every step taken; 1 is plain gradient descent.
        finished: of (losses, relative gradients), which problems are done; these rest.
        record: called at the iterations ``at``, of which 0 is the start. It needs all problems
            to go on to the end, so ``finished`` must be left out.
        at: see ``record``.
    """
    active = torch.arange(len(problem.weights))
    current, weights = problem, problem.weights
    loss, gradient = _with_gradient(objective, weights, current)
    step = torch.full_like(loss, learning_rate)
    end = Descended(weights.clone(), loss.clone(), _relative(weights, loss, gradient), *_ends(len(active), iterations))
    for iteration in range(iterations + 1):
        if record is not None and iteration in at:
            record(iteration, weights, loss, step)
        if iteration == iterations or (finished is not None and iteration % _LOOK == 0):
            relative = _relative(weights, loss, gradient)
            done = torch.zeros(len(active), dtype=torch.bool) if finished is None else finished(loss, relative)
            for kept, value in ((end.weights, weights), (end.loss, loss), (end.gradient, relative)):
                kept[active] = value
            end.iterations[active], end.finished[active] = iteration, done
            if iteration == iterations or done.all():
                break
            if done.any():
                going = ~done
                active, current = active[going], current.select(going)
                weights, loss, gradient, step = weights[going], loss[going], gradient[going], step[going]
        trial = weights - step[:, None, None] * gradient
        trial_loss, trial_gradient = _with_gradient(objective, trial, current)
        taken = trial_loss <= loss + _ROUNDING * loss.abs()  # False where it is not a number
        weights = torch.where(taken[:, None, None], trial, weights)
        gradient = torch.where(taken[:, None, None], trial_gradient, gradient)
        loss = torch.where(taken, trial_loss, loss)
        step = step * torch.where(taken, growth, 0.5)
    return end


def _ends(problems: int, iterations: int) -> tuple[Tensor, Tensor]:
    return torch.full((problems,), iterations), torch.zeros(problems, dtype=torch.bool)


def _with_gradient(objective: Objective, weights: Tensor, problem: Problem) -> tuple[Tensor, Tensor]:
    variable = weights.detach().requires_grad_(True)
    loss = objective(variable, problem)
    (gradient,) = torch.autograd.grad(loss.sum(), variable)
    return loss.detach(), gradient


def _relative(weights: Tensor, loss: Tensor, gradient: Tensor) -> Tensor:
    lengths = gradient.flatten(1).norm(dim=1) * weights.flatten(1).norm(dim=1)
    return lengths / loss.abs()
