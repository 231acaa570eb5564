"""The battery, row by row against other libraries, and what it says where a metric cannot be taken."""

from __future__ import annotations

import numpy as np
import ot
import pandas as pd
import pytest
import torch
from memsweep.metrics.battery import PROJECTIONS, Samples, battery
from memsweep.metrics.neighbours import nearest
from memsweep.metrics.sliced_wasserstein import directions
from memsweep.tables.contracts import SCHEMAS
from prdc import compute_prdc
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

METRICS = [
    "nearer",
    "authenticity",
    *["precision", "recall", "density", "coverage", "sliced_wasserstein", "kid"] * 2,
    *["frechet"] * 2,
]


def samples(points: np.ndarray, train: np.ndarray) -> Samples:
    return Samples(points, nearest(points, train))


def sets(m: int, n: int, h: int, dimension: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    source = np.random.default_rng(0)
    generated = source.normal(0.2, 1.1, (m, dimension)).astype(np.float32)
    train, held_out = (source.normal(size=(count, dimension)).astype(np.float32) for count in (n, h))
    return generated, train, held_out


def measured(generated: np.ndarray, train: np.ndarray, held_out: np.ndarray | None, **options: object) -> pd.DataFrame:
    control = None if held_out is None else samples(held_out, train)
    return battery(samples(generated, train), train, control, **options)


def by_others(generated: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """The same metrics by prdc, POT and torch-fidelity."""
    statistics = [fid_features_to_statistics(torch.from_numpy(points)) for points in (generated, reference)]
    projections = directions(generated.shape[1], PROJECTIONS)
    kernel = kid_features_to_metric(
        *map(torch.from_numpy, (generated, reference)), kid_subsets=1, kid_subset_size=len(generated), verbose=False
    )
    return {
        **compute_prdc(reference.astype(float), generated.astype(float), 5),
        "sliced_wasserstein": ot.sliced_wasserstein_distance(generated, reference, projections=projections),
        "frechet": fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"],
        "kid": kernel["kernel_inception_distance_mean"],
    }


def test_it_is_what_other_libraries_say_against_both_references_and_of_held_out_images() -> None:
    generated, train, held_out = sets(90, 90, 90)
    table = measured(generated, train, held_out)
    assert table["metric"].tolist() == METRICS
    assert set(table.columns) == set(SCHEMAS["battery"].names)
    perfect = by_others(held_out, train)
    for reference, points in (("train", train), ("held_out", held_out)):
        rows = table[table["reference"] == reference].set_index("metric")
        for metric, expected in by_others(generated, points).items():
            assert rows.loc[metric, "value"] == pytest.approx(expected, rel=1e-5, abs=1e-6), metric
            assert rows.loc[metric, "held_out_value"] == pytest.approx(perfect[metric], rel=1e-5, abs=1e-6), metric
    assert (table["ci_low"] <= table["value"]).all()
    assert (table["value"] <= table["ci_high"]).all()
    assert set(table["interval_of"]) == {"generated", "reference", "generated and held_out"}


def test_distributions_are_compared_at_equal_numbers_and_closeness_with_all_images() -> None:
    table = measured(*sets(120, 200, 70), most=50)
    counts = table.set_index(["metric", "reference"])[["generated", "references"]]
    assert counts.loc[("nearer", "train")].tolist() == [120, 200]
    assert counts.loc[("authenticity", "train")].tolist() == [50, 200]
    assert counts.loc["frechet"].to_numpy().tolist() == [[70, 70]] * 2
    for metric in ("precision", "recall", "density", "coverage", "sliced_wasserstein", "kid"):
        assert counts.loc[metric].to_numpy().tolist() == [[50, 50]] * 2
    assert measured(*sets(120, 200, 70), most=50).equals(table)


def test_pixels_are_compared_as_fractions_of_their_range() -> None:
    source = np.random.default_rng(0)
    generated, train, held_out = (source.integers(0, 256, (60, 12), dtype=np.uint8) for _ in range(3))
    pixels = measured(generated, train, held_out)
    fractions = measured(*((points / np.float32(255)).astype(np.float32) for points in (generated, train, held_out)))
    pd.testing.assert_frame_equal(pixels, fractions, rtol=1e-4)


def test_without_held_out_images_there_is_no_perfect_sampler_to_compare_with() -> None:
    generated, train, _ = sets(90, 60, 2)
    table = measured(generated, train, None)
    assert set(table["reference"]) == {"train"}
    assert table["held_out_value"].isna().all()
    nearer = table.set_index("metric").loc["nearer"]
    assert np.isnan(nearer["value"])
    assert nearer["note"] == "needs held-out images"
    assert table.set_index("metric").loc["precision", ["generated", "references"]].tolist() == [90, 60]


@pytest.mark.parametrize(
    ("counts", "dimension", "metric", "note"),
    [
        ((5, 90, 90), 8, "recall", "needs more than 5 images of each set, the neighbours of a ball"),
        ((90, 5, 90), 8, "density", "needs more than 5 images of each set, the neighbours of a ball"),
        ((8, 90, 90), 8, "frechet", "needs more images than the space has dimensions, 8: of fewer, most of it is bias"),
        ((90, 90, 90), 2049, "frechet", "not taken in 2049 dimensions, where a feature space says more"),
    ],
)
def test_what_cannot_be_taken_is_missing_and_says_why(
    counts: tuple[int, int, int], dimension: int, metric: str, note: str
) -> None:
    rows = measured(*sets(*counts, dimension)).set_index("metric").loc[metric]
    assert rows["value"].isna().all()
    assert set(rows["note"]) == {note}


@pytest.mark.parametrize(
    ("metric", "count", "dimension", "warned"),
    [("kid", 90, 8, True), ("kid", 90, 128, False), ("frechet", 79, 8, True), ("frechet", 80, 8, False)],
)
def test_what_misleads_is_said(metric: str, count: int, dimension: int, warned: bool) -> None:
    rows = measured(*sets(count, count, count, dimension)).set_index("metric").loc[metric]
    assert rows["value"].notna().all()
    assert (rows["note"] != "").all() == warned


def test_copies_are_nearer_and_no_copy_is_authentic() -> None:
    _, train, held_out = sets(1, 90, 90)
    table = measured(train[:40], train, held_out).set_index(["metric", "reference"])
    assert table.loc[("nearer", "train"), "value"] == 1
    assert table.loc[("nearer", "train"), "held_out_value"] == 0.5
    assert table.loc[("authenticity", "train"), "value"] == 0
    assert 0.3 < table.loc[("authenticity", "train"), "held_out_value"] < 0.7


def test_two_images_of_each_set_are_enough_for_an_answer() -> None:
    table = measured(*sets(2, 2, 2))
    assert table["metric"].tolist() == METRICS
