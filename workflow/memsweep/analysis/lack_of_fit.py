"""Whether a law fits: its runs, where points of the grid are repeated, against a mean of its own for each point.

The means of all points are fitted with the same deviations of training sets and runs (`mixed`), and those combinations
of them that the law says are 0 are tested together, by an F test with the degrees of freedom of Fai & Cornelius 1996
(J. Stat. Comput. Simul. 54:363). Where no two training sets are of one point, what differs between sets cannot be told
from them: then combinations within sets are tested alone.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import linalg, stats

from .censored import Array, NotConverged
from .law import Law
from .law_design import sides
from .mixed import Mixed


def lack_of_fit(law: Law) -> tuple[float, str | None]:
    """The p-value of the test that a law fits; NaN, and why, where nothing can be tested."""
    if law.model is None:
        return math.nan, law.reason
    runs = law.runs
    point = runs.groupby([axis.column for axis in law.axes], dropna=False).ngroup() if law.axes else runs["step"] * 0
    runs = runs[point.isin(point[sides(runs) == 0])]
    point = point[runs.index]
    first = ~point.duplicated()
    side, means = sides(runs), (point.to_numpy()[:, None] == point[first].to_numpy()).astype(np.float64)
    if (side == 0).sum() <= means.shape[1]:
        return math.nan, "no repeats"
    sets = np.asarray(runs.groupby(["train_size", "subset"]).ngroup(), np.int64)
    said = law.matrix(runs[first])
    try:
        model = Mixed(means, np.log10(runs["step"].to_numpy(np.float64)), side, sets)
        confounded = model.sets > 1 and model.between < 1
        if confounded:
            said = np.column_stack([said, sets[first.to_numpy()][:, None] == np.unique(sets)])
        combinations = linalg.null_space(said.T).T
        if not len(combinations):
            return math.nan, "one training set for each point" if confounded else "as many terms as points"
        return _p_value(model, combinations), None
    except NotConverged:
        return math.nan, "the fit did not converge"


def _p_value(model: Mixed, combinations: Array) -> float:
    """Of the test that combinations of a model's coefficients, shape (combinations, coefficients), are all 0."""
    if not model.sigma:
        return 0.0 if np.abs(combinations @ model.coefficients).max() > 1e-6 else 1.0
    variances, turn = np.linalg.eigh(combinations @ model.covariance() @ combinations.T)
    apart = turn.T @ combinations
    statistic = float(np.mean((apart @ model.coefficients) ** 2 / variances))
    freedoms = np.array([model.freedom_of(contrast, between=False) for contrast in apart])
    return float(stats.f.sf(statistic, len(apart), _joint_freedom(freedoms)))


def _joint_freedom(freedoms: Array) -> float:
    """The denominator's degrees of freedom of an F test of independent t tests with these."""
    if np.ptp(freedoms) < 1e-8 * freedoms.max():
        return float(freedoms[0])
    if freedoms.min() <= 2:
        return 2.0
    total = float(np.sum(freedoms / (freedoms - 2)))
    return 2 * total / (total - len(freedoms))
