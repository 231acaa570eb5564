"""Runs that end once they have memorised: their onsets are those of runs that go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.packs import pack_settings
from memsweep.analysis.onset import copy_onset, loss_onsets
from memsweep.data.images import read_images
from memsweep.jobs.packs import train_pack
from memsweep.jobs.stopping import StoppingRule, Watch
from memsweep.jobs.workshop import Way
from memsweep.metrics.neighbours import nearest
from memsweep.metrics.novelty import share_of_copies
from memsweep.tables.parquet import read_table
from memsweep.training.evaluation import Evaluation

RULE = {"share": 0.8, "copy_threshold": 1 / 3, "loss_gap_absolute": 0.2, "loss_gap_relative": 0.5}
STEPS = 1000


def settings(rule: dict[str, float] | None) -> dict[str, Any]:
    """A run on eight digits, which it knows by heart after some hundred steps."""
    axes = {"train_size": 8, "base_channels": 8, "batch_size": 8, "max_steps": STEPS}
    training: dict[str, Any] = {"budget": {"steps": STEPS}, "ema_decay": 0.98}
    changed = pack_settings(
        runs=[{"run_id": "run", "learning_rate": 5e-3, "seed": 0, **axes}],
        training=training | ({"stop_memorised": rule} if rule else {}),
        evaluation={"first": 10, "per_decade": 6, "images": 96, "samples": 24},
        formulation={"name": "rectified_flow", "sampling_steps": 10, "label_dropout": 0, "guidance": 0},
    )
    changed["network"] = {**changed["network"], "attention_levels": [], "embedding": 32}
    return changed


def train(rule: dict[str, float] | None, digits: Path, folder: Path) -> dict[str, pd.DataFrame]:
    way = Way(device="cpu")
    train_pack(settings(rule), digits, folder / "checkpoints", folder / "tables", way, share_of_copies=share_of_copies)
    return {name: read_table(folder / "tables" / f"{name}.parquet", name) for name in ("runs", "losses", "samples")}


def onsets(tables: dict[str, pd.DataFrame], digits: Path) -> dict[str, Any]:
    """The onsets of the run, from its losses and from the neighbours of its samples."""
    shared: dict[str, Any] = {"resamples": 50, "confidence": 0.95}
    thresholds = {"loss_gap_absolute": 0.2, "loss_gap_relative": 0.5}
    found: dict[str, Any] = loss_onsets("run", tables["losses"], thresholds=thresholds, **shared)
    pixels = np.stack([np.frombuffer(image, np.uint8) for image in tables["samples"]["image"]])
    distance = nearest(pixels, read_images(digits).train.images[:8].reshape(8, -1)).distance
    rows = tables["samples"].assign(reference="train", distance=distance[:, 0], second_distance=distance[:, 1])
    found["f_mem"] = copy_onset("run", rows, copy_threshold=1 / 3, share=0.1, **shared)
    return found


def assert_same(left: dict[str, pd.DataFrame], right: dict[str, pd.DataFrame]) -> None:
    for name, table in left.items():
        pd.testing.assert_frame_equal(table, right[name], check_exact=True)


def test_a_run_that_has_memorised_ends_and_keeps_its_onsets(digits: Path, tmp_path: Path) -> None:
    whole = train(None, digits, tmp_path / "whole")
    early = train(RULE, digits, tmp_path / "early")
    assert early["runs"]["status"].tolist() == ["memorised"]
    last = early["losses"]["step"].max()
    assert last < 0.8 * STEPS
    for name in ("losses", "samples"):
        expected = whole[name].query("step <= @last").reset_index(drop=True)
        pd.testing.assert_frame_equal(early[name], expected, check_exact=True)
    found = onsets(early, digits)
    for definition, onset in onsets(whole, digits).items():
        assert not onset.censored
        assert (found[definition].step, found[definition].censored) == (onset.step, False)
        assert found[definition].ci_low == pytest.approx(onset.ci_low, rel=0.05)
    # Under a rule that is never met, the run goes on from where it was ended; its results are kept
    strict = train({**RULE, "loss_gap_relative": 1e6}, digits, tmp_path / "early")
    assert_same(strict, whole)
    assert strict["runs"]["status"].tolist() == ["finished"]
    assert_same(train(RULE, digits, tmp_path / "early"), early)
    assert_same(train(None, digits, tmp_path / "early"), whole)


def evaluation(train_loss: float, test_loss: float, samples: np.ndarray) -> Evaluation:
    return Evaluation({"train": np.full(4, train_loss), "test": np.full(4, test_loss)}, samples)


def test_the_rule_asks_for_every_definition_twice_in_a_row() -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 1), dtype=np.uint8)
    copied, fresh = images[:4], 255 - images[:4]
    none = images[:0]
    sequences: list[tuple[list[tuple[float, float, np.ndarray]], list[bool]]] = [
        ([(0.5, 0.6, fresh), (0.2, 1.0, copied), (0.1, 1.1, copied)], [False, False, True]),
        ([(0.5, 0.6, fresh), (0.2, 1.0, copied), (0.1, 1.1, none), (0.1, 1.2, copied)], [False, False, True, True]),
        ([(0.5, 0.6, fresh), (0.2, 1.0, copied), (0.1, 1.1, fresh), (0.1, 1.2, copied)], [False] * 4),
        # The gap is too small, and the test loss still near its lowest
        ([(0.5, 0.6, fresh), (0.9, 1.0, copied), (0.9, 1.0, copied)], [False] * 3),
        ([(0.5, 0.9, fresh), (0.1, 1.0, copied), (0.1, 1.0, copied)], [False] * 3),
    ]
    for seen, expected in sequences:
        watch = Watch(StoppingRule(0.9, 1 / 3, 0.2, 0.5), images, share_of_copies)
        assert [watch.memorised(evaluation(*one)) for one in seen] == expected
