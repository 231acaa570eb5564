"""The distance to the empirical sampler: what it is of models that are known, its interval, and its rows in a study."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.packs import FORMULATIONS, pack_settings
from memsweep.base.errors import UserError
from memsweep.closed_form.empirical_sampler import control_set, generate, write_empirical_samples
from memsweep.data.images import ImageSet, Split, read_images, to_pixels
from memsweep.diffusion.formulation import build_formulation
from memsweep.jobs.packs import train_pack
from memsweep.jobs.workshop import Way
from memsweep.metrics.empirical_meter import EmpiricalMeter, distances, ratio_of_means
from memsweep.metrics.features import write_features
from memsweep.metrics.measure import measure_pack
from memsweep.study.training_sets import TrainingSet
from memsweep.tables.parquet import read_table
from memsweep.training.evaluation import labels_of, latents_of

SAMPLES = 200
SECTION = {**FORMULATIONS["rectified_flow"], "sampling_steps": 16}
SET = {"train_size": 32, "subset": 1}


def settings(**changes: Any) -> dict[str, Any]:
    asked = {"train_size": 32, "subsets": [0, 1], "axes": [], "samples": SAMPLES}
    return {**asked, "formulations": [{**SECTION, "values": {}}], **changes}


@pytest.fixture(scope="module")
def table(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empirical") / "samples.parquet"
    write_empirical_samples(settings(), digits, path)
    return path


@pytest.fixture(scope="module")
def data(digits: Path) -> ImageSet:
    return read_images(digits)


def rows_of(labels: np.ndarray | torch.Tensor) -> pd.DataFrame:
    return pd.DataFrame({"index": range(len(labels)), "label": np.asarray(labels)})


def meter_of(table: Path, data: ImageSet, **run: Any) -> EmpiricalMeter:
    """The meter of one run."""
    return EmpiricalMeter([table], pd.DataFrame([{"run_id": "run", **SET, **run}]), data.data_hash, 0.95)


def measured(table: Path, data: ImageSet, images: np.ndarray, labels: torch.Tensor) -> dict[str, Any]:
    (row,) = meter_of(table, data).measure("run", rows_of(labels), images)
    return row


# --- models that are known ---


Model = Callable[[ImageSet, torch.Tensor], np.ndarray]


def memory_of(chosen: Callable[[ImageSet], Split], steps: int = 16) -> Model:
    def model(data: ImageSet, labels: torch.Tensor) -> np.ndarray:
        asked = build_formulation({**SECTION, "sampling_steps": steps}, data.classes)
        return to_pixels(generate(asked, chosen(data), latents_of(SAMPLES, data.shape), labels)[1])

    return model


def own(data: ImageSet) -> Split:
    return data.training_set(TrainingSet(32, 1))


def control(data: ImageSet) -> Split:
    return control_set(data, TrainingSet(32, 1))


def unseen(data: ImageSet) -> Split:
    return Split(data.train.images[96:], data.train.labels[96:])


def resampler(data: ImageSet, labels: torch.Tensor) -> np.ndarray:
    """Held-out images of the labels that are asked for."""
    source = np.random.default_rng(0)
    rows = [source.choice(np.flatnonzero(data.test.labels == label)) for label in labels.numpy()]
    return data.test.images[rows]


def test_a_perfect_memory_is_at_no_distance_from_itself(table: Path, data: ImageSet) -> None:
    labels = labels_of(SAMPLES, own(data))
    row = measured(table, data, memory_of(own)(data, labels), labels)
    value = {"value": 0, "ci_low": 0, "ci_high": 0, "generated": SAMPLES}
    assert row == {"metric": "empirical_distance", "space": "pixels", "reference": "train", **value}


def test_who_memorises_the_control_set_has_the_inverse_of_who_memorises_the_training_set(
    table: Path, data: ImageSet
) -> None:
    """A sampler of more steps ends elsewhere now and then, so that no mean is 0."""
    labels = labels_of(SAMPLES, own(data))
    of_own, of_control = (
        measured(table, data, memory_of(chosen, 100)(data, labels), labels)["value"] for chosen in (own, control)
    )
    assert 0 < of_own < 0.3
    assert of_control > 3
    swapped = ratio_of_means(*_swapped(table, memory_of(control, 100)(data, labels)), labels.numpy(), 0.95)
    assert swapped is not None
    assert of_control == pytest.approx(1 / swapped.value)


def _swapped(table: Path, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances to the control set's samples, and to those of the training set."""
    found = read_table(table, "empirical_samples").query("subset == 1")
    parts = [found[found["reference"] == reference]["image"] for reference in ("control", "train")]
    to = [np.stack([np.frombuffer(image, np.uint8) for image in part]).reshape(images.shape) for part in parts]
    return distances(images, to[0]), distances(images, to[1])


@pytest.mark.parametrize("model", [resampler, memory_of(unseen)], ids=["resampler", "memory of unseen images"])
def test_who_knows_no_more_of_the_training_set_than_of_its_control_has_about_one(
    model: Model, table: Path, data: ImageSet
) -> None:
    labels = labels_of(SAMPLES, own(data))
    value = measured(table, data, model(data, labels), labels)["value"]
    # The two sets of 32 images are what they are: it is 1 on average over sets
    assert value == pytest.approx(1, abs=0.1)


def test_an_untrained_network_samples_its_latents_and_has_about_one(table: Path, data: ImageSet) -> None:
    labels = labels_of(SAMPLES, own(data))
    assert measured(table, data, to_pixels(latents_of(SAMPLES, data.shape)), labels)["value"] == pytest.approx(
        1, abs=0.02
    )


def test_on_the_way_to_memory_it_falls(table: Path, data: ImageSet) -> None:
    labels = labels_of(SAMPLES, own(data))
    start, end = (model(data, labels).astype(float) for model in (resampler, memory_of(own)))
    mixed = [((1 - share) * start + share * end).round().astype(np.uint8) for share in (0, 0.25, 0.5, 0.75, 1)]
    values = [measured(table, data, images, labels)["value"] for images in mixed]
    assert values == sorted(values, reverse=True)
    assert values[-1] == 0


# --- the interval ---


def test_the_ratio_and_its_error_by_hand() -> None:
    """Without strata, the variance of the influences; what labels differ by is no noise."""
    above, below = np.array([1.0, 2.0, 4.0, 1.0]), np.array([2.0, 2.0, 3.0, 1.0])
    influence = (above - 1.0 * below) / 2
    error = np.sqrt(np.square(influence - influence.mean()).sum() / (4 * 3))
    found = ratio_of_means(above, below, np.zeros(4), 0.95)
    assert found is not None
    assert (found.value, found.ci_high) == pytest.approx((1, 1 + 3.182446 * error))  # Student, 3 degrees
    by_label = ratio_of_means(np.array([1.0, 1, 3, 3]), np.ones(4), np.array([0, 0, 1, 1]), 0.95)
    assert by_label is not None
    assert (by_label.value, by_label.ci_low, by_label.ci_high) == (2, 2, 2)


def test_samples_that_are_the_controls_to_the_last_grey_level_have_no_ratio() -> None:
    assert ratio_of_means(np.ones(3), np.zeros(3), np.zeros(3), 0.95) is None


@pytest.mark.parametrize(("count", "labels"), [(20, 1), (40, 10), (200, 10)])
def test_the_interval_covers_the_ratio_of_the_distribution(count: int, labels: int) -> None:
    """Distances of both sets that hang together, as they share the sample, and differ by label."""
    source, repeats = np.random.default_rng(count + labels), 1000
    strata = np.arange(count) % labels
    low = np.linspace(1, 3, labels)[strata]
    slope = np.linspace(0.2, 0.8, labels)[strata]
    truth = float((slope * low + 0.5).mean() / (low + 0.5).mean())
    covered = 0
    for _ in range(repeats):
        below = low + source.gamma(4, 0.125, count)
        above = slope * (below - 0.5) + source.gamma(4, 0.125, count)
        found = ratio_of_means(above, below, strata, 0.9)
        assert found is not None
        covered += found.ci_low <= truth <= found.ci_high
    assert 0.87 * repeats <= covered <= 0.93 * repeats  # 0.9 expected, with a standard error of 0.0095


def test_the_interval_covers_what_other_latents_show(data: ImageSet) -> None:
    """Of one pair of sets, with models and samples that are no simulation."""
    chosen, asked = TrainingSet(32, 1), build_formulation(SECTION, data.classes)
    labels = labels_of(4000, own(data))
    latents = torch.randn((4000, 1, 8, 8), generator=torch.Generator().manual_seed(1))
    to_own, to_control = (
        to_pixels(generate(asked, each, latents, labels)[1])
        for each in (data.training_set(chosen), control_set(data, chosen))
    )
    images = to_pixels(generate(asked, unseen(data), latents, labels)[1])
    above, below = distances(images, to_own), distances(images, to_control)
    truth, covered = above.mean() / below.mean(), 0
    for start in range(0, 4000, 50):
        part = slice(start, start + 50)
        found = ratio_of_means(above[part], below[part], labels[part].numpy(), 0.9)
        assert found is not None
        covered += found.ci_low <= truth <= found.ci_high
    assert 64 <= covered <= 79  # of 80, 72 expected


# --- the floor that two seeds show ---


def floor_of(table: Path, data: ImageSet, labels: torch.Tensor, images: np.ndarray, others: np.ndarray) -> float:
    (found,) = meter_of(table, data).floor("run", labels.numpy(), images, others)
    assert found.found.ci_low <= found.found.value <= found.found.ci_high
    np.testing.assert_array_equal(found.latents, np.arange(SAMPLES))  # the control set has all labels
    return found.found.value


def test_no_two_seeds_are_nearer_to_a_memory_in_the_mean_than_the_floor(table: Path, data: ImageSet) -> None:
    """Whatever they generate; and where one of the two is the memory itself, no nearer than that is."""
    labels, source = labels_of(SAMPLES, own(data)), np.random.default_rng(0)
    memory = memory_of(own)(data, labels)
    held_out = resampler(data, labels)
    noise = [source.integers(0, 256, memory.shape, dtype=np.uint8) for _ in range(2)]
    half = ((memory.astype(int) + held_out) // 2).astype(np.uint8)
    kinds = [memory, held_out, half, *noise]
    for images in kinds:
        for others in kinds:
            floor = floor_of(table, data, labels, images, others)
            sums = np.array([0.0, 0.0])
            for each in (images, others):
                sums += [to.sum() for to in _swapped(table, each)[::-1]]
            assert floor <= sums[0] / sums[1] * (1 + 1e-12)
            if images is memory:
                assert floor == pytest.approx(sums[0] / sums[1])


def test_of_seeds_that_deviate_on_their_own_the_floor_is_the_distance_over_root_two(
    table: Path, data: ImageSet
) -> None:
    labels, source = labels_of(SAMPLES, own(data)), np.random.default_rng(1)
    memory = memory_of(own)(data, labels).astype(float)
    images, others = (memory + source.normal(0, 8, memory.shape) for _ in range(2))  # no grey level is clipped
    value = measured(table, data, images, labels)["value"]
    assert floor_of(table, data, labels, images, others) == pytest.approx(value / np.sqrt(2), rel=0.05)


def test_seeds_that_generate_the_same_have_no_floor_to_see(table: Path, data: ImageSet) -> None:
    labels = labels_of(SAMPLES, own(data))
    for images in (to_pixels(latents_of(SAMPLES, data.shape)), memory_of(own)(data, labels)):
        assert floor_of(table, data, labels, images, images) == 0


def test_a_floor_needs_two_samples_of_the_control_set(digits: Path, data: ImageSet, tmp_path: Path) -> None:
    path, images = tmp_path / "samples.parquet", np.zeros((3, *data.shape), np.uint8)
    write_empirical_samples(settings(train_size=3, subsets=[0], samples=3), digits, path)
    labels = labels_of(3, data.training_set(TrainingSet(3))).numpy()
    assert not list(meter_of(path, data, train_size=3, subset=0).floor("run", labels, images, images))
    with pytest.raises(UserError, match=r"samples\.parquet: not sampled on the labels of the runs' samples"):
        list(meter_of(path, data, train_size=3, subset=0).floor("run", labels[::-1], images, images))


# --- rows ---


def test_only_samples_count_of_which_the_control_set_has_the_label(
    digits: Path, data: ImageSet, tmp_path: Path
) -> None:
    """Seven digits have three of their labels among the next seven."""
    write_empirical_samples(settings(train_size=7, subsets=[0]), digits, tmp_path / "samples.parquet")
    train = data.training_set(TrainingSet(7))
    labels = labels_of(SAMPLES, train)
    shared = np.isin(labels, data.train.labels[7:14])
    asked = build_formulation(SECTION, data.classes)
    images = to_pixels(generate(asked, train, latents_of(SAMPLES, data.shape), labels)[1])
    images[~shared] = 0  # whatever the others are
    meter = meter_of(tmp_path / "samples.parquet", data, train_size=7, subset=0)
    (row,) = meter.measure("run", rows_of(labels), images)
    assert (row["value"], row["generated"]) == (0, shared.sum())


def test_without_two_samples_to_hold_them_against_there_is_no_row(digits: Path, data: ImageSet, tmp_path: Path) -> None:
    """A single image is no control set; three digits have no label in common with the next three."""
    path, images = tmp_path / "samples.parquet", np.zeros((3, *data.shape), np.uint8)
    for size in (1, 3):
        write_empirical_samples(settings(train_size=size, subsets=[0], samples=3), digits, path)
        labels = labels_of(3, data.training_set(TrainingSet(size)))
        assert not list(meter_of(path, data, train_size=size, subset=0).measure("run", rows_of(labels), images))
    without = EmpiricalMeter([], pd.DataFrame([{"run_id": "run", **SET}]), data.data_hash, 0.95)
    assert not list(without.measure("run", rows_of(labels), images))


def test_a_run_is_held_against_the_samples_of_its_own_formulation(digits: Path, data: ImageSet, tmp_path: Path) -> None:
    """Two samplers, of which one step leads to the mean of the label, and a model without labels."""
    axes = [
        {"name": f"formulation.{key}", "column": f"formulation_{key}", "type": kind, "meaning": key}
        for key, kind in (("sampling_steps", "integer"), ("label_dropout", "number"))
    ]
    several = [
        {**SECTION, **keys, "values": {f"formulation_{key}": value for key, value in keys.items()}}
        for keys in (
            {"sampling_steps": 1, "label_dropout": 0},
            {"sampling_steps": 16, "label_dropout": 0},
            {"sampling_steps": 16, "label_dropout": 1},
        )
    ]
    path = tmp_path / "samples.parquet"
    write_empirical_samples(settings(formulations=several, axes=axes), digits, path)
    labels = labels_of(SAMPLES, own(data))
    values = np.empty((3, 3))
    for row, section in enumerate(several):
        asked = build_formulation({key: section[key] for key in section if key != "values"}, data.classes)
        images = to_pixels(generate(asked, own(data), latents_of(SAMPLES, data.shape), labels)[1])
        for column, other in enumerate(several):
            rows = rows_of(labels).assign(label=None) if other["label_dropout"] else rows_of(labels)
            (found,) = meter_of(path, data, **other["values"]).measure("run", rows, images)
            values[row, column] = found["value"]
    assert (np.diag(values) == 0).all()
    assert (values[~np.eye(3, dtype=bool)] > 0.1).all()


def test_a_run_with_guidance_has_no_row(digits: Path, data: ImageSet, tmp_path: Path) -> None:
    axis = {"name": "formulation.guidance", "column": "formulation_guidance", "type": "number", "meaning": "weight"}
    formulations = [{**SECTION, "values": {"formulation_guidance": 0}}]
    write_empirical_samples(settings(formulations=formulations, axes=[axis]), digits, tmp_path / "samples.parquet")
    labels, images = labels_of(SAMPLES, own(data)), np.zeros((SAMPLES, *data.shape), np.uint8)
    for guidance, rows in ((0.0, 1), (1.5, 0)):
        meter = meter_of(tmp_path / "samples.parquet", data, formulation_guidance=guidance)
        assert len(list(meter.measure("run", rows_of(labels), images))) == rows


def test_tables_that_are_not_the_runs_own_are_one_sentence(table: Path, data: ImageSet, tmp_path: Path) -> None:
    labels = labels_of(SAMPLES, own(data))
    images = np.zeros((SAMPLES, *data.shape), np.uint8)
    with pytest.raises(UserError, match=r"samples\.parquet: sampled from images with content hash .* have other"):
        meter_of(table, replace(data, data_hash="other"))
    with pytest.raises(UserError, match=r"samples\.parquet: no samples for runs with a training set of 16 images"):
        meter_of(table, data, train_size=16)
    for rows in (rows_of(labels.flip(0)), rows_of(labels).iloc[:-1]):
        with pytest.raises(UserError, match=r"samples\.parquet: not sampled on the labels of the runs' samples"):
            list(meter_of(table, data).measure("run", rows, images[: len(rows)]))
    with pytest.raises(UserError, match="no such file"):
        meter_of(tmp_path / "missing.parquet", data)


def test_the_metrics_of_a_pack_have_the_distance_at_every_step(digits: Path, data: ImageSet, tmp_path: Path) -> None:
    """Runs of two training sets, a few steps long."""
    asked = pack_settings()
    asked["runs"] = [{**run, "subset": number, "max_steps": 8} for number, run in enumerate(asked["runs"][:2])]
    asked["training"] = {**asked["training"], "budget": {"steps": 8}}
    train_pack(asked, digits, tmp_path / "checkpoints", tmp_path / "train", Way(device="cpu"))
    sampling = {"train_size": 8, "subsets": [0, 1], "samples": asked["evaluation"]["samples"]}
    formulations = [{**asked["formulation"], "values": {}}]
    write_empirical_samples(settings(**sampling, formulations=formulations), digits, tmp_path / "empirical.parquet")
    write_features({"space": "pixels", "weights": {}}, digits, None, tmp_path / "cache", tmp_path / "pixels.parquet")
    metrics = {"f_mem_threshold": 1 / 3, "false_positive_rate": 0.05, "spaces": ["pixels"], "projections": 2}
    metrics |= {"distances": ["sliced_wasserstein"], "battery": [], "floor_draws": 2, "confidence": 0.95}
    given = digits, tmp_path / "train", tmp_path, None, tmp_path
    measure_pack(metrics, *given, empirical=[tmp_path / "empirical.parquet"])
    table = read_table(tmp_path / "metrics.parquet", "metrics").query("metric == 'empirical_distance'")
    samples = read_table(tmp_path / "train" / "samples.parquet", "samples")
    steps = samples["step"].unique().tolist()
    for run_id in ("first", "second"):
        rows = table[table["run_id"] == run_id]
        assert rows["step"].tolist() == steps
        assert ((rows["ci_low"] >= 0) & (rows["ci_low"] <= rows["value"]) & (rows["value"] <= rows["ci_high"])).all()
    # One of them by hand
    empirical = read_table(tmp_path / "empirical.parquet", "empirical_samples").query("subset == 1")
    last = samples[(samples["run_id"] == "second") & (samples["step"] == steps[-1])].set_index("index")["image"]
    sets = {reference: part.set_index("index")["image"] for reference, part in empirical.groupby("reference")}
    both = last.index.intersection(sets["control"].index)

    def mean_to(reference: str) -> float:
        pairs = ([np.frombuffer(each[place], np.uint8) for each in (last, sets[reference])] for place in both)
        return float(np.mean([np.linalg.norm(left.astype(float) - right) for left, right in pairs]))

    at_end = table[(table["run_id"] == "second") & (table["step"] == steps[-1])]
    assert at_end["generated"].item() == len(both)
    assert at_end["value"].item() == pytest.approx(mean_to("train") / mean_to("control"))
