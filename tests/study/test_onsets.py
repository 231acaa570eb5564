"""One registry of onsets: what reads it agrees with it, and a further definition finds its way."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from memsweep.analysis import onset
from memsweep.study.config import schema
from memsweep.study.onsets import DEPARTURES, LOSS_DEFINITIONS, MEMORISATION, ONSETS, THRESHOLDS
from memsweep.tables.contracts import SCHEMAS


def test_configs_choose_among_the_definitions_and_give_their_thresholds() -> None:
    properties = schema()["properties"]
    assert tuple(properties["figures"]["properties"]["onset"]["enum"]) == MEMORISATION
    assert set(properties["onset"]["properties"]) == {*THRESHOLDS, "bootstrap", "rate_from", "rate_to"}
    surrogates = [ONSETS[name].surrogate for name in DEPARTURES]
    assert properties["evaluation"]["properties"]["surrogates"]["items"]["enum"] == surrogates


def test_every_definition_has_an_estimator_and_is_explained() -> None:
    assert tuple(onset.ESTIMATORS) == LOSS_DEFINITIONS
    meaning = SCHEMAS["onsets"].field("definition").metadata[b"meaning"].decode()
    assert all(f"{name}: {definition.meaning}" in meaning for name, definition in ONSETS.items())


def test_a_definition_is_named_with_its_threshold() -> None:
    thresholds = {
        "f_mem": 0.05,
        "loss_gap_absolute": 0.2,
        "loss_gap_relative": 0.5,
        "departure": 0.1,
        "sscd_score": 0.2,
        "bias": 0.7,
        "split": 1.5,
    }
    assert [definition.label(thresholds) for definition in ONSETS.values()] == [
        "test loss minimum",
        "loss gap > 0.2",
        "loss gap > 50 % of train",
        r"$f_\mathrm{mem}$ > 5 %",
        "calibrated copies > 5 %",
        "SSCD score > 20 %",
        "lean > 0.7",
        "other images / seed > 1.5",
        "leaves Gaussian by 10 %",
        "leaves mixture by 10 %",
    ]


def test_a_further_definition_of_losses_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    def half_way(steps: np.ndarray, train: np.ndarray, test: np.ndarray, threshold: float) -> np.ndarray:
        return onset.crossing(steps, -train, threshold)

    monkeypatch.setitem(onset.ESTIMATORS, "half_way", half_way)  # type: ignore[arg-type]
    steps = [1, 10, 100, 1000]
    rows = [
        {"split": split, "item": 0, "index": 0, "step": step, "loss": loss}
        for split in ("train", "test")
        for step, loss in zip(steps, (1.0, 0.6, 0.4, 0.4), strict=True)
    ]
    thresholds = {"loss_gap_absolute": 0.1, "loss_gap_relative": 0.1, "half_way": -0.5}
    found = onset.loss_onsets("run", pd.DataFrame(rows), thresholds=thresholds, resamples=3, confidence=0.9)
    assert found["half_way"].step == pytest.approx(10**1.5)
