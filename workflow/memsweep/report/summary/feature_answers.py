"""What a study of feature learning found, in sentences: what diffusion models and classifiers learn of the data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from . import amounts
from .passages import Passage


def feature_passages(study: Any, tables: Mapping[str, pd.DataFrame]) -> list[Passage]:
    """The passages on a study of feature learning; ``tables`` by name, those that there are."""
    fits, balance, growth = (tables.get(name) for name in ("phase_fits", "feature_balance", "growth"))
    short = [] if fits is None else [_phase(rows) for _, rows in fits.groupby(["objective", "time"], sort=False)]
    planted = [] if balance is None else _balance(balance)
    grown = [] if growth is None else _growth(growth)
    return [
        Passage("In short", _said(short)),
        Passage("Early growth", _said(grown)),
        Passage("Planted features", _said(planted)),
    ]


def _said(sentences: list[str]) -> list[str]:
    return [sentence for sentence in sentences if sentence]


def _objective(row: Mapping[Any, Any]) -> str:
    return f"diffusion at t = {row['time']:g}" if row["objective"] == "diffusion" else str(row["objective"])


def _phase(fits: pd.DataFrame) -> str:
    """How the ratio of both alignments goes with n SNR^2 for one objective, and where it crosses 1."""
    mean = {row["quantity"]: row for row in fits[fits["measure"] == "mean"].to_dict("records")}
    first = fits.to_dict("records")[0]
    if "slope" not in mean or math.isnan(mean["slope"]["value"]):
        return f"What {_objective(first)} holds of signal and noise cannot be fitted: too few cells of n and SNR."
    slope = mean["slope"]
    ratio = f"(n SNR^2)^{amounts.exponent(slope['value'])} {amounts.interval(slope)}"
    told = f"For {_objective(first)}, mean alignment with the signal over that with the noise goes as {ratio}"
    if not math.isnan(slope["predicted"]):
        within = slope["ci_low"] <= slope["predicted"] <= slope["ci_high"]
        told += f"; the predicted power {slope['predicted']:g} lies {'within' if within else 'outside'} that interval"
    crossing = mean.get("crossing")
    if crossing and math.isfinite(crossing["value"]):
        where = f"{amounts.factor(crossing['value'])} {amounts.interval(crossing, amounts.factor)}"
        told += f"; the ratio crosses 1 at n SNR^2 = {where}"
    return f"{told} ({amounts.counted(int(slope['cells']), 'cell')} of n and SNR)."


def _growth(growth: pd.DataFrame) -> list[str]:
    """Whether alignments grow as a line or as an exponential at first."""
    rows = growth[(growth["quantity"] == "log_ratio") & (growth["measure"] == "mean") & growth["value"].notna()]
    told = []
    for row in rows.to_dict("records"):
        shape = {1: "linearly rather than exponentially", -1: "exponentially rather than linearly", 0: ""}
        which = shape[amounts.beyond(row, 0)]
        of = f"log10 of the residuals' ratio {amounts.exponent(row['value'])} {amounts.interval(row)}"
        of += f", {amounts.counted(int(row['seeds']), 'seed')}"
        subject = f"alignment with the {row['feature']} ({_objective(row)}, n SNR^2 = {amounts.factor(row['n_snr2'])})"
        told.append(
            f"The mean {subject} grows {which} at first ({of})."
            if which
            else f"Whether the mean {subject} grows linearly or exponentially at first is undecided ({of})."
        )
    return told


def _balance(balance: pd.DataFrame) -> list[str]:
    """How much of the hard feature each objective learns, beside the easy one, for each planted training set."""
    rows = balance[(balance["quantity"] == "balance") & balance["value"].notna()]
    told = []
    for _, group in rows.groupby(["train_size", "agreement"], sort=False):
        size, agreement = int(group["train_size"].iloc[0]), float(group["agreement"].iloc[0])
        parts = [
            f"{amounts.exponent(row['value'])} {amounts.interval(row)} {_features(row['objective'])}"
            for row in group.to_dict("records")
        ]
        told.append(
            f"With {size:,} images, in {amounts.share(agreement)} of which both planted features agree, accuracy above "
            f"chance on the hard feature over that on the easy one is {amounts.listed(parts)}."
        )
    return told


def _features(objective: str) -> str:
    return "without training" if objective == "untrained" else f"after {objective}"
