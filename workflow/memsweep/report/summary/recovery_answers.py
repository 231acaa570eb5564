"""What a study of the mixed cumulant model found, in sentences: samples to recover each spike, and the prediction."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from . import amounts
from .passages import Grid, Passage

_SPIKES = {"u": "u, which shows in the covariance,", "v": "v, which shows first in the fourth cumulant,"}
# Where one power of d is predicted, theory says d log d, and a plain power law has a larger exponent
_LAWS = {
    "power_log": "n = A d^k (log d + c)",
    "power": "n = A d^k",
    "lognormal": "n = A d^k, censored replicas among them",
}


def recovery_passages(study: Any, tables: Mapping[str, pd.DataFrame]) -> list[Passage]:
    """The passages on a study of the mixed cumulant model; ``tables`` by name, those that there are."""
    fits, times = tables.get("recovery_exponents"), tables.get("recovery_times")
    networks = tables.get("network_exponents")
    units = (
        [] if fits is None else [_unit(rows, times) for _, rows in fits.groupby(["experiment", "spike"], sort=False)]
    )
    grid = None if fits is None else _grid(fits)
    learnt = [] if networks is None else [_network(row) for row in networks.to_dict("records")]
    return [Passage("In short", [sentence for sentence in units if sentence], grid), Passage("Networks", learnt)]


def _unit(fits: pd.DataFrame, times: pd.DataFrame | None) -> str:
    """The exponent of one spike in one experiment, and whether the predicted one is within its interval."""
    first = fits.to_dict("records")[0]
    known = {row["law"]: row for row in fits[fits["exponent"].notna()].to_dict("records")}
    law = next((name for name in _LAWS if name in known), "")
    subject = f"Experiment {first['experiment']}: spike {_SPIKES.get(first['spike'], first['spike'])}"
    count = amounts.counted(int(first["replicas"]), "replica")
    if first["censored_replicas"] == first["replicas"]:
        expected = ", as predicted" if math.isinf(first["predicted"]) else ""
        return f"{subject} was recovered by none of {count} before their runs ended{expected}."
    if not law:
        return f"{subject} is recovered by some of {count}, which are too few for an exponent."
    row = known[law]
    censored = f", {int(row['censored_replicas']):,} of them censored" if row["censored_replicas"] else ""
    found = f"takes samples n ∝ d^{amounts.exponent(row['exponent'])} {amounts.interval(row)}"
    if law == "power_log":
        found = found.replace("n ∝", "n ∝ (log d + c)", 1)
    behind = f"{count}{censored}, {amounts.counted(int(row['dimensions']), 'dimension')}"
    return f"{subject} {found} ({behind}){_seen(first, times)}; {_verdict(row)}."


def _seen(of: Mapping[Any, Any], times: pd.DataFrame | None) -> str:
    """The median samples in the largest dimension."""
    if times is None:
        return ""
    rows = times[(times["experiment"] == of["experiment"]) & (times["spike"] == of["spike"])]
    if rows.empty:
        return ""
    row = max(rows.to_dict("records"), key=lambda cell: cell["dimension"])
    if not math.isfinite(row["median"]):
        return ""
    median = f"{amounts.steps(row['median'])} {amounts.interval(row, amounts.steps)}"
    return f", {median} in the median at d = {row['dimension']:,}"


def _verdict(row: Mapping[Any, Any]) -> str:
    predicted = float(row["predicted"])
    if math.isinf(predicted):
        return "theory predicts that it is never learnt"
    if math.isnan(row["ci_low"]) or math.isnan(predicted):
        return f"theory predicts {predicted:g}"
    within = row["ci_low"] <= predicted <= row["ci_high"]
    return f"the predicted power {predicted:g} lies {'within' if within else 'outside'} that interval"


def _network(row: Mapping[Any, Any]) -> str:
    replicas, censored = int(row["replicas"]), int(row["censored_replicas"])
    of = amounts.counted(replicas, "replica") + (f", {censored:,} of them censored" if censored else "")
    if replicas and censored == replicas:
        none = f"none of {amounts.counted(replicas, 'replica')} used more than pairs of coordinates"
        return f"Network {row['network']}: {none}."
    if math.isnan(row["exponent"]):
        return (
            f"Network {row['network']}: how the departure from pair-wise statistics goes with d cannot be said ({of})."
        )
    found = f"d^{amounts.exponent(row['exponent'])} {amounts.interval(row)}"
    return f"Network {row['network']} uses more than pairs of coordinates after samples n ∝ {found} ({of})."


def _grid(fits: pd.DataFrame) -> Grid:
    rows = [
        [
            f"{row['experiment']}, {row['spike']}",
            _LAWS.get(row["law"], row["law"]),
            amounts.UNKNOWN
            if math.isnan(row["exponent"])
            else f"{amounts.exponent(row['exponent'])} {amounts.interval(row)}",
            amounts.plain(row["predicted"]),
        ]
        for row in fits.to_dict("records")
    ]
    caption = "Exponents k of the samples n to recovery in the dimension d, by law, beside the predicted power."
    return Grid(caption, ["experiment, spike", "law", "k", "predicted"], rows)
