"""Maximum likelihood of a normal linear model of which some responses are known on one side only.

    y = x · β + σ (ρ u + ε),    ε ~ N(0, 1) for each row, u ~ N(0, 1) for each group of rows, ρ given.

A censored response y is known to be larger, or smaller. In the parameters θ = 1/σ and γ = β/σ (Olsen 1978,
Econometrica 46:1211) the logarithm of the likelihood is concave: a standardised residual θ y - x · γ is linear in
them, an observed one adds -residual²/2 + log θ, a censored one the logarithm of a normal tail, and what is integrated
over u stays concave (Prékopa). So Newton's method with a line search finds the maximum from anywhere; it starts at the
least squares of what is observed, which is the maximum where nothing is censored.

Given the observed rows of a group, u is normal, so that they are decorrelated exactly, and only what the censored rows
of one group have in common is integrated numerically, if there are several.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg, special

Array = NDArray[np.float64]

# Responses closer to a plane than this lie on it: the rest is rounding.
ROUNDING = 1e-9
_ITERATIONS = 200
# Half the square of a Newton step in units of standard errors at which the next one would be rounding
_NEAR = 1e-10
# Of the integral over what the censored rows of a group share: its range, and its step in units of the scatter
_FARTHEST, _STEP = 8.0, 0.5


class NotConverged(ArithmeticError):
    """The maximisation of a likelihood came to no end."""


@dataclass(frozen=True)
class Fit:
    """A fit of maximum likelihood.

    Attributes:
        coefficients: β, shape (coefficients,).
        sigma: σ; 0 where all responses lie on a plane.
        covariance: of β and log σ, in this order, from the observed information; 0 where σ is.
        log_likelihood: at its maximum; infinite where σ is 0.
    """

    coefficients: Array
    sigma: float
    covariance: Array
    log_likelihood: float

    @property
    def integrated(self) -> float:
        """The logarithm of the likelihood integrated over β and log σ by Laplace's method, up to a constant.

        As a function of ρ it is the restricted likelihood where nothing is censored.
        """
        if not self.sigma:
            return math.inf
        return self.log_likelihood + 0.5 * float(np.linalg.slogdet(self.covariance)[1])


def fit_censored(
    design: ArrayLike, response: ArrayLike, side: ArrayLike, group: ArrayLike | None = None, ratio: float = 0
) -> Fit:
    """The fit of greatest likelihood.

    Args:
        design: x, shape (rows, coefficients), of full rank among the observed rows.
        response: y, shape (rows,).
        side: 1 where the value is larger than y, -1 where smaller, 0 where it is y, shape (rows,).
        group: label of the rows that share a deviation u, shape (rows,); with a ratio of 0 not needed.
        ratio: ρ, its standard deviation over σ.

    Raises:
        NotConverged: the maximisation failed.
    """
    x, y = np.asarray(design, np.float64), np.asarray(response, np.float64)
    side = np.asarray(side, np.int64)
    sample = _Sample.of(
        np.column_stack([y, -x]), side, np.arange(len(y)) if group is None else np.asarray(group), ratio
    )
    line: Array = np.linalg.lstsq(-sample.seen[:, 1:], sample.seen[:, 0])[0].astype(np.float64)
    # Of a censored row, how far the plane is on the wrong side of its bound
    wrong = np.maximum(sample.side * (sample.hidden @ np.append(1, line)), 0)
    size = math.sqrt((np.sum((sample.seen @ np.append(1, line)) ** 2) + np.sum(wrong**2)) / len(sample.seen))
    count = len(line)
    if size < ROUNDING:
        return Fit(line, 0.0, np.zeros((count + 1, count + 1)), math.inf)
    best, value, information = _maximum(sample, np.append(1, line) / size)
    # From θ and γ to β and log σ; the maximum is stationary, so second derivatives of these do not matter
    change = np.zeros((count + 1, count + 1))
    change[1:, :count], change[:, count] = best[0] * np.eye(count), -best
    covariance: Array = np.linalg.inv(change.T @ information @ change).astype(np.float64)
    return Fit(best[1:] / best[0], float(1 / best[0]), covariance, value)


@dataclass(frozen=True)
class _Sample:
    """Rows (y, -x), so that a row times (θ, γ) is a standardised residual; those that share a group decorrelated.

    Attributes:
        seen: the observed ones, shape (observed, 1 + coefficients).
        constant: logarithm of the determinant of what decorrelated them.
        hidden: the censored ones, given the observed ones of their group, shape (censored, 1 + coefficients).
        side: theirs.
        block: which of them share what is not known of their group, 0 or 1, shape (blocks, censored).
        scale: standard deviation of that, over σ, shape (censored,).
    """

    seen: Array
    constant: float
    hidden: Array
    side: NDArray[np.int64]
    block: Array
    scale: Array

    @classmethod
    def of(cls, rows: Array, side: NDArray[np.int64], group: NDArray[np.generic], ratio: float) -> _Sample:
        member = (np.unique(group)[:, None] == group).astype(np.float64)
        seen, hidden = side == 0, side != 0
        count = member[:, seen].sum(axis=1)
        spread = 1 + count * ratio**2  # variance of the sum of a group's observed rows over their number
        total = member[:, seen] @ rows[seen]
        shrink = (1 - 1 / np.sqrt(spread)) / np.maximum(count, 1)
        observed = rows[seen] - member[:, seen].T @ (shrink[:, None] * total)
        given = rows[hidden] - member[:, hidden].T @ (ratio**2 / spread[:, None] * total)
        block = member[:, hidden]
        scale = block.T @ (ratio / np.sqrt(spread))
        # What a censored row shares with no other is scatter of its own
        alone = np.where(block.T @ block.sum(axis=1) == 1, np.hypot(1, scale), 1.0)
        scale = np.where(alone > 1, 0, scale)
        return cls(observed, float(-0.5 * np.log(spread).sum()), given / alone[:, None], side[hidden], block, scale)

    def log_likelihood(self, at: Array) -> tuple[float, Array, Array]:
        """At (θ, γ): the logarithm of the likelihood, its gradient, and the observed information."""
        residual = self.seen @ at
        count = len(residual)
        value = count * (math.log(at[0]) - 0.5 * math.log(2 * math.pi)) - 0.5 * residual @ residual + self.constant
        gradient, information = -self.seen.T @ residual, self.seen.T @ self.seen
        gradient[0] += count / at[0]
        information[0, 0] += count / at[0] ** 2
        if len(self.hidden):
            others = self._hidden_part(at)
            value, gradient, information = value + others[0], gradient + others[1], information + others[2]
        return float(value), gradient, information

    def _hidden_part(self, at: Array) -> tuple[float, Array, Array]:
        """What the censored rows add."""
        nodes, weights = _nodes(float(self.scale.max()))
        towards = -self.side[:, None] * self.hidden
        tail = (towards @ at)[:, None] + self.side[:, None] * self.scale[:, None] * nodes
        slope, bend = _tail_derivatives(tail)
        logs = self.block @ special.log_ndtr(tail) + weights  # (blocks, nodes)
        values = special.logsumexp(logs, axis=1)
        share = np.exp(logs - values[:, None])
        slopes = np.einsum("bc,ck,cp->bkp", self.block, slope, towards)
        mean = np.einsum("bk,bkp->bp", share, slopes)
        bends = np.einsum("bk,bc,ck->c", share, self.block, bend)
        information = (towards.T * bends) @ towards - np.einsum("bk,bkp,bkq->pq", share, slopes, slopes) + mean.T @ mean
        return float(values.sum()), mean.sum(axis=0), information


def _nodes(scale: float) -> tuple[Array, Array]:
    """Places, and logarithms of weights, to integrate over a standard normal u with; one where nothing depends on it.

    The trapezoidal rule of steps that resolve a tail in ``scale`` u, which no Gaussian rule of few nodes does.
    """
    if not scale:
        return np.zeros(1), np.zeros(1)
    nodes = np.linspace(-_FARTHEST, _FARTHEST, 1 + 2 * math.ceil(_FARTHEST * max(1.0, scale) / _STEP))
    logs = -0.5 * nodes**2
    return nodes, logs - special.logsumexp(logs)


def _tail_derivatives(t: Array) -> tuple[Array, Array]:
    """First and minus second derivative of log Φ(t), exact in both tails."""
    first = math.sqrt(2 / math.pi) / special.erfcx(-t / math.sqrt(2))
    return first, np.clip(first * (first + t), 0, 1)


def _maximum(sample: _Sample, start: Array) -> tuple[Array, float, Array]:
    """Where the likelihood is greatest, its logarithm there, and the observed information, by damped Newton steps."""
    at = start
    value, gradient, information = sample.log_likelihood(at)
    for _ in range(_ITERATIONS):
        step = linalg.solve(information, gradient, assume_a="sym")
        gain = float(gradient @ step) / 2
        length = 1.0
        while at[0] + length * step[0] <= 0:
            length /= 2
        if gain < _NEAR:
            return at + length * step, *sample.log_likelihood(at + length * step)[::2]
        while (found := sample.log_likelihood(at + length * step))[0] < value + 1e-4 * length * gain:
            length /= 2
            if length < 1e-12:
                raise NotConverged("no step along the gradient improves the likelihood")
        at = at + length * step
        value, gradient, information = found
    raise NotConverged(f"the likelihood still grows after {_ITERATIONS} steps")
