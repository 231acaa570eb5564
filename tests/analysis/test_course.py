"""Trainings of other code: curves and onsets in closed form, those of a study, and what the intervals cover."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from memsweep.analysis.given import Course, follow, loss_onsets_of_means, trajectories
from memsweep.analysis.onset import copy_onset
from memsweep.data.given import Given
from memsweep.data.given_losses import GivenLosses
from memsweep.data.images import ImageSet, Split
from memsweep.metrics.comparison import compare_images, references
from memsweep.metrics.neighbours import nearest
from memsweep.metrics.novelty_meter import NoveltyMeter
from memsweep.study.config import section
from memsweep.study.training_sets import TrainingSet
from memsweep.tables.contracts import SCHEMAS
from scipy.stats import norm

ONSET = section("onset", {"bootstrap": 100})
STEPS = (100, 200, 1000, 4000)
SHARES = (0.0, 0.02, 0.12, 0.6)


def noise(count: int, seed: int) -> np.ndarray:
    """Images that are about as far from one another as from any other: none is a copy, by any rule of a low rate."""
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 1), dtype=np.uint8)


TRAIN, HELD_OUT = noise(40, 0), noise(300, 1)


def given(role: str, images: np.ndarray) -> Given:
    return Given(role, images, [str(row) for row in range(len(images))])


def samples(share: float, count: int, seed: int) -> np.ndarray:
    """Images of which a share are training images, at random places."""
    copies = round(share * count)
    images = np.concatenate([TRAIN[np.arange(copies) % len(TRAIN)], noise(count - copies, seed)])
    return np.random.default_rng(seed).permutation(images)


def followed(
    shares: Sequence[float],
    counts: Sequence[int],
    losses: GivenLosses | None = None,
    held_out: np.ndarray | None = HELD_OUT,
    rate: float = 0.01,
) -> Course:
    steps = {
        step: given(f"step={step}", samples(share, count, step))
        for step, share, count in zip(STEPS, shares, counts, strict=False)
    }
    others = None if held_out is None else given("HELD_OUT", held_out)
    with references(given("TRAIN", TRAIN), others, rate=rate) as known:
        return follow("run", steps, known, losses, ONSET)


def onset(course: Course, definition: str) -> pd.Series:
    return course.onsets.set_index("definition").loc[definition]


def between(first: int, second: int, below: float, above: float, level: float) -> float:
    """Where a line in the logarithm of the step reaches a level."""
    return first * (second / first) ** ((level - below) / (above - below))


@pytest.mark.parametrize("counts", [(100, 100, 100, 100), (100, 50, 200, 100)], ids=["equal numbers", "others"])
def test_the_onset_of_a_training_with_known_shares_of_copies_is_the_one_in_closed_form(counts: tuple[int, ...]) -> None:
    course = followed(SHARES, counts)
    curve = course.metrics.query("metric == 'f_mem' and step.notna()")
    assert curve["step"].tolist() == list(STEPS)
    assert curve["value"].tolist() == list(SHARES)
    assert curve["generated"].tolist() == list(counts)
    found = onset(course, "f_mem")
    assert found["step"] == pytest.approx(between(200, 1000, 0.02, 0.12, 0.05))
    assert (found["censored"], found["left_censored"]) == (False, False)
    assert 100 < found["ci_low"] < found["step"] < found["ci_high"] < 1000


def test_an_onset_beyond_either_end_is_censored_there() -> None:
    late, early = followed((0, 0.01, 0.02), [100] * 3), followed((0.2, 0.3, 0.4), [100] * 3)
    assert onset(late, "f_mem").drop("run_id").tolist() == ["f_mem", 200, True, False, 200, math.inf][1:]
    assert onset(early, "f_mem").drop("run_id").tolist() == [100, False, True, 0, 100]


def test_the_calibrated_onset_is_that_of_the_curve_by_hand() -> None:
    course = followed(SHARES, [100] * 4)
    rows = TRAIN.reshape(40, -1)

    def ratios(images: np.ndarray) -> np.ndarray:
        distance = nearest(images.reshape(len(images), -1), rows).distance
        return distance[:, 0] / distance[:, 1]

    threshold = np.sort(ratios(HELD_OUT))[2:4]  # 3 of 301 are below it
    curve = [
        float((ratios(samples(share, 100, step)) <= threshold[0]).mean())
        for step, share in zip(STEPS, SHARES, strict=True)
    ]
    metrics = course.metrics.query("metric == 'f_mem_calibrated' and step.notna()")
    assert metrics["value"].tolist() == pytest.approx(curve)
    whole = course.metrics[course.metrics["step"].isna()].set_index("metric")["value"]
    assert whole["f_mem_held_out"] == 0
    assert whole["f_mem_calibrated_held_out"] == 0.01
    assert threshold[0] < whole["copy_threshold"] < threshold[1]
    place = int(np.argmax(np.array(curve) > 0.05))
    expected = between(*STEPS[place - 1 : place + 1], *curve[place - 1 : place + 1], 0.05)
    assert onset(course, "f_mem_calibrated")["step"] == pytest.approx(expected)


def test_what_the_data_do_not_allow_has_no_onset() -> None:
    assert followed(SHARES, [20] * 4, held_out=None).onsets["definition"].tolist() == ["f_mem"]
    # Ten held-out images set no rate below 1 in 11, which would be taken for the onset
    few = followed(SHARES, [20] * 4, held_out=HELD_OUT[:10])
    assert few.onsets["definition"].tolist() == ["f_mem"]
    assert "f_mem_calibrated" in set(few.metrics["metric"])
    assert followed(SHARES, [20] * 4, means(test=[2, 1, 3])).onsets["definition"].tolist() == [
        "test_loss_minimum",
        "loss_gap_absolute",
        "loss_gap_relative",
        "f_mem",
        "f_mem_calibrated",
    ]


def test_curves_and_onset_are_those_of_a_study_with_the_same_samples() -> None:
    """The same interval too, as the folder is called like the run."""
    images = np.concatenate([samples(share, 100, step) for step, share in zip(STEPS, SHARES, strict=True)])
    table = pd.DataFrame({"run_id": "run", "step": np.repeat(STEPS, 100), "index": np.tile(np.arange(100), 4)})
    data = ImageSet(
        Split(np.concatenate([TRAIN, noise(60, 2)]), np.zeros(100, int)), Split(HELD_OUT, np.zeros(300, int)), "", 1
    )
    settings = {"f_mem_threshold": 0.3333333333333333, "false_positive_rate": 0.01, "confidence": 0.95}
    meter, chosen = NoveltyMeter(settings, data), TrainingSet(40)
    neighbours = meter.neighbours(table, images, chosen)
    course = followed(SHARES, [100] * 4)
    keys = ["metric", "space", "reference", "value", "ci_low", "ci_high", "generated"]
    for step, rows in neighbours.groupby("step"):
        (theirs,) = (
            row for row in meter.measure(rows, chosen) if (row["metric"], row["reference"]) == ("f_mem", "train")
        )
        here = (course.metrics["metric"] == "f_mem") & (course.metrics["step"] == step)
        (ours,) = course.metrics.loc[here, keys].to_dict("records")
        assert ours == {key: theirs[key] for key in keys}
    for definition, threshold in (("f_mem", 1 / 3), ("f_mem_calibrated", copy_threshold(course))):
        expected = copy_onset("run", neighbours, copy_threshold=threshold, share=0.05, resamples=100, confidence=0.95)
        found = onset(course, definition)
        assert found["step"] == expected.step
        assert (found["ci_low"], found["ci_high"]) == (expected.ci_low, expected.ci_high)


def copy_threshold(course: Course) -> float:
    return float(course.metrics.set_index("metric").loc["copy_threshold", "value"])


def test_distances_are_those_of_the_battery_at_each_step_and_its_floor_that_of_held_out_images() -> None:
    course = followed(SHARES, [100] * 4)
    for step, share in zip(STEPS, SHARES, strict=True):
        rows = course.metrics.query("step == @step").set_index(["metric", "reference"])
        found = compare_images(
            given("G", samples(share, 100, step)), given("T", TRAIN), given("H", HELD_OUT)
        ).battery.set_index(["metric", "reference"])
        for ours, theirs in (("train", "train"), ("test", "held_out")):
            expected = found.loc["sliced_wasserstein", theirs]
            assert rows.loc["sliced_wasserstein", ours]["value"] == expected["value"]
            assert rows.loc["sliced_wasserstein_floor", ours]["value"] == expected["held_out_value"]
            assert math.isnan(rows.loc["sliced_wasserstein_floor", ours]["ci_low"])
    with references(given("T", TRAIN), None) as known:
        metrics = follow("run", {1: given("G", HELD_OUT)}, known, None, ONSET).metrics
    assert metrics["metric"].tolist() == ["f_mem", "sliced_wasserstein"]


def test_tables_have_the_columns_of_a_study() -> None:
    course = followed(SHARES, [20] * 4, means(test=[2, 1, 3]))
    for name in ("metrics", "trajectories", "onsets"):
        assert set(getattr(course, name).columns) == set(SCHEMAS[name].names)
        assert (getattr(course, name)["run_id"] == "run").all()
    assert followed(SHARES, [20] * 4).trajectories.columns.tolist() == SCHEMAS["trajectories"].names


# --- mean losses ---


def means(
    test: Sequence[float], train: Sequence[float] | None = None, error: float | None = None, steps: Sequence[int] = ()
) -> GivenLosses:
    table = pd.DataFrame({"test_loss": test, "train_loss": train or [1.0] * len(test)}, dtype=float)
    if error is not None:
        table = table.assign(train_loss_se=error, test_loss_se=error)
    return GivenLosses(table.assign(step=steps or (*STEPS, 8000)[: len(test)]))


def test_onsets_of_losses_by_hand_have_no_interval_without_standard_errors() -> None:
    found = loss_onsets_of_means("run", means([1.3, 1.01, 1.21, 1.81, 1.8]), ONSET, 0.95)
    left, right = math.log(2), math.log(5)
    vertex = (0.29 * right**2 - 0.2 * left**2) / (2 * (0.29 * right + 0.2 * left))
    assert found["test_loss_minimum"].step == pytest.approx(200 * math.exp(vertex))
    assert found["loss_gap_absolute"].left_censored is False  # 0.3, 0.01, 0.21, 0.81, 0.8: the first is no lasting one
    assert found["loss_gap_absolute"].step == pytest.approx(between(200, 1000, 0.01, 0.21, 0.05))
    assert found["loss_gap_relative"].step == pytest.approx(between(1000, 4000, 0.21, 0.81, 0.5))
    for each in found.values():
        assert math.isnan(each.ci_low)
        assert math.isnan(each.ci_high)


def test_thresholds_are_a_studys_unless_others_are_given() -> None:
    assert section("onset", {}) == section("onset", {"f_mem": "5e-2"})
    losses = means([1.0, 1.2, 1.4, 1.4])
    found = loss_onsets_of_means("run", losses, section("onset", {"loss_gap_absolute": "0.3"}), 0.95)
    assert found["loss_gap_absolute"].step == pytest.approx(between(200, 1000, 0.2, 0.4, 0.3))


def test_without_noise_the_interval_is_the_onset_and_it_grows_with_the_standard_errors() -> None:
    curve = [1.3, 1.0, 1.3, 1.8, 1.8]
    widths = []
    for error in (0.0, 0.01, 0.1):
        found = loss_onsets_of_means("run", means(curve, error=error), ONSET, 0.95)["loss_gap_relative"]
        assert found.ci_low <= found.step <= found.ci_high
        widths.append(found.ci_high - found.ci_low)
    assert widths[0] == pytest.approx(0)
    assert widths[0] < widths[1] < widths[2]
    again = loss_onsets_of_means("run", means(curve, error=0.1), ONSET, 0.95)
    assert again["loss_gap_relative"] == found  # drawn by the name of the run
    assert loss_onsets_of_means("other", means(curve, error=0.1), ONSET, 0.95)["loss_gap_relative"] != found


def test_intervals_of_losses_cover_the_onset_of_the_curve_without_noise() -> None:
    steps = np.geomspace(10, 10_000, 13).round().astype(int)
    gap = 0.01 + 0.09 * np.log(steps / 10) / np.log(1000)
    truth = 10 * 1000 ** ((0.05 - 0.01) / 0.09)
    source, covered = np.random.default_rng(0), 0
    for trial in range(100):
        train, test = (level + source.normal(0, 0.003, 13) for level in (1.0, 1 + gap))
        losses = means(test.tolist(), train.tolist(), 0.003, steps.tolist())
        found = loss_onsets_of_means(str(trial), losses, ONSET, 0.9)["loss_gap_absolute"]
        covered += found.ci_low <= truth <= found.ci_high
    assert 80 <= covered <= 99  # of 90 expected


@pytest.mark.parametrize("counts", [(100, 100, 100, 100), (80, 100, 120, 100)], ids=["equal numbers", "others"])
def test_intervals_of_copies_cover_the_onset_of_the_true_shares(counts: tuple[int, ...]) -> None:
    """Samples of a step are independent of those of others, as of a sampler that draws latents anew."""
    truth = between(200, 1000, 0.02, 0.12, 0.05)
    source, covered = np.random.default_rng(1), 0
    for _ in range(40):
        drawn = [source.binomial(count, share) / count for count, share in zip(counts, SHARES, strict=True)]
        found = onset(followed(drawn, counts, held_out=None), "f_mem")
        covered += found["ci_low"] <= truth <= found["ci_high"]
    assert covered >= 34  # of 38 expected


def test_losses_below_zero_have_no_relative_gap() -> None:
    losses = means([-1.0, -1.5, -1.2], [-1.1, -1.8, -2.0], 0.1)
    assert list(loss_onsets_of_means("run", losses, ONSET, 0.95)) == ["test_loss_minimum", "loss_gap_absolute"]


def test_noise_beyond_a_loss_does_not_change_its_sign() -> None:
    found = loss_onsets_of_means("run", means([0.3, 0.2, 0.5], [0.2, 0.1, 0.01], 1.0), ONSET, 0.95)
    assert all(each.ci_low <= each.step <= each.ci_high for each in found.values())


def test_mean_losses_have_the_normal_interval_of_their_standard_errors() -> None:
    losses = means([2.0, 1.0], error=0.1)
    table = trajectories("run", losses, 0.9)
    assert table["split"].tolist() == ["train", "train", "test", "test"]
    assert table["loss"].tolist() == [1, 1, 2, 1]
    np.testing.assert_allclose(table["ci_high"] - table["loss"], 0.1 * norm.ppf(0.95))
    assert trajectories("run", means([2.0, 1.0]), 0.9)["ci_low"].isna().all()
