"""Mean losses with their intervals, for the way in which evaluations draw noisy images.

Times are stratified, one in each of as many intervals as there are noisy images (`training.evaluation`), so that what
the loss does along the time is no noise of its mean. The training set is known whole, and where its images are noised
several times, as often as each other, what they differ by is none either. An interval that takes noisy images for
independent draws is wider by a factor of up to two. So the standard error is that of what a regression leaves over,

    loss = f(time) + what is left,                                      held-out images, and surrogates,
    loss = f(time) + effect of the image + what is left,                training images that are noised several times,

f being a polynomial. A curve that it does not follow makes the interval wider, not narrower. Where training images are
noised once, their effect cannot be told from the noise and stays in the interval, as that of a sample of them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t as student

Array = NDArray[np.float64]

_DEGREE = 7  # of f, at most
_ITEMS = 8  # noisy images for each degree of f
_LEFT = 1 / 3  # of the noisy images, degrees of freedom that effects of images have to leave


def mean_losses(losses: pd.DataFrame, keys: list[str], confidence: float) -> pd.DataFrame:
    """Mean loss for each value of the ``keys``, of which ``split`` is one, with Student's interval.

    The units of the standard error are held-out images, or surrogates, each with all the noise it is evaluated under,
    and on the training set the noisy images.

    Args:
        losses: rows of the table ``losses``, every noisy image once a step, if ``step`` is a key, else once; in other
            columns what further keys name.
        keys: columns.
        confidence: level of the intervals, between 0 and 1.

    Returns:
        Columns ``keys``, ``loss``, ``ci_low`` and ``ci_high``, a row for each value in the order of the losses. The
        interval is infinite where a single unit, or a loss that is no number, bounds nothing.
    """
    parts, at = [key for key in keys if key != "step"], losses if "step" in keys else losses.assign(step=0)
    found = [_of_part(part, parts, confidence) for _, part in at.groupby(parts, sort=False)]
    order = losses[keys].drop_duplicates()
    if not found:
        return order.assign(loss=0.0, ci_low=0.0, ci_high=0.0)
    columns = [*keys, "loss", "ci_low", "ci_high"]
    return order.merge(pd.concat(found)[columns], on=keys, how="left", validate="one_to_one")


def _of_part(losses: pd.DataFrame, parts: list[str], confidence: float) -> pd.DataFrame:
    """The mean losses of one split, or of what else has the same noisy images at every step."""
    values = losses.pivot(index="item", columns="step", values="loss")
    items = losses.drop_duplicates("item").set_index("item").loc[values.index]
    mean, error, freedom = mean_and_error(
        values.to_numpy(np.float64),
        items["time"].to_numpy(np.float64),
        items["index"].to_numpy(),
        known=bool((items["split"] == "train").all()),
    )
    margin = np.nan_to_num(student.ppf((1 + confidence) / 2, max(freedom, 1)) * error, nan=np.inf)
    with np.errstate(invalid="ignore"):  # of a mean that is infinite
        ends = {"ci_low": mean - margin, "ci_high": mean + margin}
    table = pd.DataFrame({"step": values.columns, "loss": mean, **ends})
    return table.assign(**{key: losses[key].iloc[0] for key in parts})


def mean_and_error(losses: Array, time: Array, image: NDArray[np.int64], known: bool) -> tuple[Array, Array, int]:
    """Means over noisy images, their standard errors and the degrees of freedom of these.

    Args:
        losses: shape (noisy images, evaluations).
        time: stratified, in [0, 1], shape (noisy images,).
        image: which image each is of, shape (noisy images,).
        known: whether the images are all there are, not a sample.
    """
    count = len(time)
    images, place = np.unique(image, return_inverse=True)
    powers = np.polynomial.legendre.legvander(2 * time - 1, min(_DEGREE, count // _ITEMS))
    curve = np.asarray(powers[:, 1:], np.float64)
    apart = known and len(images) + curve.shape[1] <= (1 - _LEFT) * count
    fixed = place if apart else np.zeros_like(place)
    means: Array = losses.mean(axis=0)
    basis, _ = np.linalg.qr(np.asarray(_centred(curve, fixed)))
    with np.errstate(invalid="ignore"):  # losses that are infinite
        left = _centred(losses, fixed)
        left -= basis @ (basis.T @ left)
    unit = np.arange(count) if known else place
    units = len(np.unique(unit))
    freedom = count - len(np.unique(fixed)) - basis.shape[1]
    if freedom < 1 or units < 2:
        return means, np.full(len(means), np.nan), 0
    sums = _summed(left, unit)
    variance = (sums**2).sum(axis=0) / count**2 * units / (units - 1) * (count - 1) / freedom
    return means, np.sqrt(variance), freedom if known else min(freedom, units - 1)


def _summed(values: Array, group: NDArray[np.intp]) -> Array:
    """Sums over the rows of each group."""
    sums = np.zeros((group.max() + 1, values.shape[1]))
    np.add.at(sums, group, values)
    return sums


def _centred(values: Array, group: NDArray[np.intp]) -> Array:
    """Rows less the mean of their group."""
    centred: Array = values - (_summed(values, group) / np.bincount(group)[:, None])[group]
    return centred
