"""Agreement and lean: closed forms, brute force, and pairs of models whose answer is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.packs import FORMULATIONS
from helpers.properties import examples
from hypothesis import given
from hypothesis import strategies as st
from memsweep.closed_form.empirical_sampler import write_empirical_samples
from memsweep.data.images import ImageSet, read_images, to_pixels
from memsweep.metrics.agree import AgreementMeter, agree_runs
from memsweep.metrics.agreement import cosines, leans, mean_of, relative, share_among
from memsweep.metrics.features import write_features
from memsweep.metrics.over_pairs import ONE_PAIR
from memsweep.tables.parquet import image_metadata, read_table, write_table
from memsweep.training.evaluation import latents_of
from scipy.spatial.distance import cdist, cosine
from sklearn.metrics.pairwise import cosine_similarity

SETTINGS = {"confidence": 0.9, "sscd_threshold": 0.6}


def test_cosines_are_those_of_scipy() -> None:
    source = np.random.default_rng(0)
    left, right, centre = source.normal(size=(20, 7)), source.normal(size=(20, 7)), source.normal(size=7)
    expected = [1 - cosine(a - centre, b - centre) for a, b in zip(left, right, strict=True)]
    np.testing.assert_allclose(cosines(left, right, centre), expected)
    assert cosines(centre[None], right[:1], centre) == 0  # what is at the centre has no direction


@examples(30)
@given(st.integers(2, 40), st.integers(1, 6), st.integers(0, 2**31))
def test_the_relative_distance_is_that_of_all_pairs_of_one_label(count: int, labels: int, seed: int) -> None:
    source = np.random.default_rng(seed)
    left, right, strata = (
        source.normal(size=(count, 3)),
        source.normal(size=(count, 3)),
        source.integers(0, labels, count),
    )
    unrelated = [
        np.linalg.norm(left[i] - right[j])
        for i in range(count)
        for j in range(count)
        if i != j and strata[i] == strata[j]
    ]
    found = relative(left, right, strata)
    if not unrelated:
        assert found is None
        return
    assert found is not None
    np.testing.assert_allclose(found.distances, np.linalg.norm(left - right, axis=1) / np.mean(unrelated))
    assert abs(found.influence.mean()) < 1 + found.distances.mean()


def test_its_interval_covers_the_ratio_of_the_distribution() -> None:
    source = np.random.default_rng(1)
    strata = np.arange(60) % 3
    centres = np.array([[0, 0], [3, 0], [0, 4]])

    def draw(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        labels = np.arange(count) % 3
        shared = centres[labels] + source.normal(size=(count, 2))
        return *(shared + 0.7 * source.normal(size=(count, 2)) for _ in range(2)), labels

    left, right, labels = draw(6000)
    apart = [cdist(left[labels == each], right[labels == each]) for each in range(3)]
    unrelated = np.mean([(part.sum() - np.trace(part)) / (len(part) * (len(part) - 1)) for part in apart])
    truth = np.linalg.norm(left - right, axis=1).mean() / unrelated
    covered = 0
    for _ in range(200):
        found = relative(*draw(60))
        assert found is not None
        interval = mean_of(found.distances, found.influence, strata, 0.9)
        covered += interval.ci_low <= truth <= interval.ci_high
    assert covered >= 166  # of 200, 180 expected


def test_lean_is_a_half_of_what_knows_nothing_and_one_of_copiers() -> None:
    source = np.random.default_rng(2)
    sets = source.normal(size=(2, 12, 5))

    def lean(samples: list[np.ndarray]) -> float:
        to = [[cdist(own, each).min(axis=1) for each in sets] for own in samples]
        return float(leans(to[0][0], to[0][1], to[1][1], to[1][0]).mean())

    # Two copies of one model, whatever it generates: exactly a half, although one set may be more central
    same = source.normal(size=(200, 5))
    assert lean([same, same]) == 0.5
    assert lean([np.zeros((5, 5)), np.zeros((5, 5))]) == 0.5
    # Exact copiers of disjoint sets, and each a copier of the other's set
    copies = [each[source.integers(0, 12, 200)] for each in sets]
    assert lean(copies) == 1
    assert lean(copies[::-1]) == 0
    # Held-out resamplers, and Gaussian samplers of no set: a half within noise
    for scale in (1.0, 0.2):
        assert abs(lean([scale * source.normal(size=(2000, 5)) for _ in range(2)]) - 0.5) < 0.03


def test_the_interval_of_a_lean_stays_between_its_ends_and_covers() -> None:
    source = np.random.default_rng(3)
    strata = np.zeros(40, np.int64)
    for value, least in ((0.5, 166), (0.9, 166), (1.0, 200)):
        covered = 0
        for _ in range(200):
            hits = (source.random((40, 2)) < value).mean(axis=1)
            found = share_among(hits, strata, 0.9)
            assert 0 <= found.ci_low <= found.value <= found.ci_high <= 1
            covered += found.ci_low <= value <= found.ci_high
        assert covered >= least  # of 200, 180 expected
    assert share_among(np.ones(40), strata, 0.9).ci_low < 1


def test_two_copies_agree_in_everything_and_independent_samplers_in_nothing() -> None:
    source = np.random.default_rng(4)
    labels = np.arange(400) % 4
    left, right = source.normal(size=(400, 30)), source.normal(size=(400, 30))
    meter = AgreementMeter({"sscd": np.zeros(30)}, SETTINGS)
    same = {each.measure: each.found.value for each in meter.measure("sscd", left, left, labels)}
    assert same == {"cosine": pytest.approx(1), "distance": 0, "reproducibility": 1}
    apart = {each.measure: each.found for each in meter.measure("sscd", left, right, labels)}
    assert abs(apart["cosine"].value) < 0.05
    assert apart["distance"].value == pytest.approx(1, abs=0.02)
    assert apart["reproducibility"].value == (np.diag(cosine_similarity(left, right)) > 0.6).mean() == 0
    assert all(found.ci_low <= found.value <= found.ci_high for found in apart.values())


# --- the stage ---


@pytest.fixture(scope="module")
def data(digits: Path) -> ImageSet:
    return read_images(digits)


def write_pack(folder: Path, data: ImageSet, runs: dict[str, tuple[int, int]], samples: dict[str, Any]) -> Path:
    """A pack whose runs, of these seeds and subsets, have these samples by step: images and labels."""
    common = {"train_size": 20, "base_channels": 8, "batch_size": 4, "learning_rate": 0.1, "dataset": "digits"}
    of = {"parameters": 1, "max_steps": 2, "status": "finished", "data_hash": data.data_hash, "code_version": "1"}
    rows = [{"run_id": name, **common, **of, "seed": seed, "subset": subset} for name, (seed, subset) in runs.items()]
    write_table(folder / "runs.parquet", "runs", pd.DataFrame(rows))
    parts = [
        pd.DataFrame(
            {"index": range(len(images)), "label": labels, "image": [image.tobytes() for image in images]}
        ).assign(run_id=name, step=step)
        for name, of_steps in samples.items()
        for step, (images, labels) in of_steps.items()
    ]
    metadata = {**image_metadata(data.shape), "data_hash": data.data_hash}
    write_table(folder / "samples.parquet", "samples", pd.concat(parts), metadata)
    return folder


def agreed(
    folder: Path, digits: Path, packs: list[Path], pairs: list[list[str]], empirical: Sequence[Path] = ()
) -> tuple[pd.DataFrame, pd.DataFrame]:
    write_features({"space": "pixels", "weights": {}}, digits, None, folder / "cache", folder / "pixels.parquet")
    settings = {"pairs": pairs, "spaces": ["pixels"], "weights": {}, **SETTINGS}
    agree_runs(settings, digits, packs, folder, None, folder, empirical)
    tables = (read_table(folder / f"{name}.parquet", name) for name in ("agreement", "paired_samples"))
    return next(tables), next(tables)


def test_the_stage_compares_runs_of_different_packs_step_by_step(data: ImageSet, digits: Path, tmp_path: Path) -> None:
    first, second = data.train.images[:20], data.train.images[20:40]
    labels = np.arange(20) % 5
    blurred = np.broadcast_to(data.train.images.mean(axis=0).astype(np.uint8), first.shape)
    packs = [
        write_pack(tmp_path / "a", data, {"a": (0, 0)}, {"a": {1: (blurred, labels), 2: (first, labels)}}),
        write_pack(
            tmp_path / "b",
            data,
            {"b": (0, 1), "c": (1, 0)},
            # One label differs from the other run's, and that latent is left out
            {
                "b": {1: (blurred, labels), 2: (second, [4, *labels[1:]])},
                "c": {1: (blurred, labels), 2: (first, labels)},
            },
        ),
    ]
    pairs = [["a", "b", "subset"], ["a", "c", "seed"], ["a", "nowhere", "seed"]]
    agreement, paired = agreed(tmp_path, digits, packs, pairs)
    values = agreement.set_index(["other_run_id", "step", "measure"])["value"].to_dict()
    assert values["b", 1, "lean"] == 0.5
    assert values["b", 2, "lean"] == 1
    assert values["c", 2, "distance"] == 0
    assert values["c", 2, "cosine"] == pytest.approx(1)
    assert ("c", 2, "lean") not in values
    points = [(each.reshape(20, -1) / 255)[1:] for each in (first, second)]
    centre = data.train.images.reshape(len(data.train), -1).mean(axis=0) / 255
    expected = cosines(*points, centre).mean()
    assert values["b", 2, "cosine"] == pytest.approx(expected, rel=1e-5)
    counts = agreement[agreement["step"] == 2].set_index(["other_run_id", "measure"])["pairs"]
    assert counts["b", "lean"] == 19
    assert counts["c", "cosine"] == 20
    assert set(agreement["other_run_id"]) == {"b", "c"}
    of_b = paired[(paired["other_run_id"] == "b") & (paired["step"] == 2)]
    assert of_b["index"].tolist() == list(range(1, 20))
    assert of_b["distance"].mean() == pytest.approx(values["b", 2, "distance"], rel=1e-5)
    assert paired.loc[paired["differs"] == "seed", "lean"].isna().all()


def test_the_pairs_of_three_runs_have_a_mean_with_an_interval_over_runs(
    data: ImageSet, digits: Path, tmp_path: Path
) -> None:
    """The group goes by its first run, also at a step at which that has no samples."""
    labels = np.arange(20) % 10
    sets = [data.train.images[20 * place : 20 * place + 20] for place in range(3)]
    samples = {name: {1: (sets[place], labels)} for place, name in enumerate("abc")}
    samples |= {"b": {**samples["b"], 2: (sets[1], labels)}, "c": {**samples["c"], 2: (sets[0], labels)}}
    packs = [write_pack(tmp_path / "a", data, {name: (0, place) for place, name in enumerate("abc")}, samples)]
    pairs = [[*both, "subset"] for both in ("ab", "ac", "bc")]
    agreement, _ = agreed(tmp_path, digits, packs, pairs)
    means = read_table(tmp_path / "agreement_over_pairs.parquet", "agreement_over_pairs")
    assert set(means["run_id"]) == {"a"}
    at = means.set_index(["step", "measure"])
    for measure in ("cosine", "distance", "lean"):
        row = at.loc[(1, measure)]
        values = agreement.query("step == 1 and measure == @measure")["value"]
        assert row["value"] == pytest.approx(values.mean())
        assert row["ci_low"] <= row["latents_ci_low"] <= row["value"] <= row["latents_ci_high"] <= row["ci_high"]
        assert (row["runs"], row["pairs"], row["reason"]) == (3, 3, None)
        alone = at.loc[(2, measure)]
        assert (alone["runs"], alone["pairs"], alone["reason"]) == (2, 1, ONE_PAIR)
        (pair,) = agreement.query("step == 2 and measure == @measure").to_dict("records")
        assert alone[["value", "latents_ci_low", "latents_ci_high"]].tolist() == pytest.approx(
            [pair["value"], pair["ci_low"], pair["ci_high"]]
        )
    # Three copiers, of which each is nearest to its own
    assert at.loc[(1, "lean"), "value"] == 1


def test_two_seeds_of_a_training_set_show_the_floor_of_the_distance_to_a_memory(
    data: ImageSet, digits: Path, tmp_path: Path
) -> None:
    formulation = {**FORMULATIONS["rectified_flow"], "sampling_steps": 16, "values": {}}
    asked = {"train_size": 20, "subsets": [0], "samples": 20, "axes": [], "formulations": [formulation]}
    write_empirical_samples(asked, digits, tmp_path / "empirical.parquet")
    perfect = read_table(tmp_path / "empirical.parquet", "empirical_samples").query("reference == 'train'")
    memory = np.stack([np.frombuffer(each, np.uint8) for each in perfect["image"]]).reshape(-1, *data.shape)
    labels = perfect["label"].to_numpy(np.int64)
    latents = to_pixels(latents_of(20, data.shape))
    runs = {"a": (0, 0), "b": (1, 0)}
    samples = {"a": {1: (latents, labels), 2: (memory, labels)}, "b": {1: (latents, labels), 2: (latents, labels)}}
    packs = [write_pack(tmp_path / "a", data, runs, samples)]
    agreement, _ = agreed(tmp_path, digits, packs, [["a", "b", "seed"]], [tmp_path / "empirical.parquet"])
    floors = agreement.query("measure == 'empirical_distance_floor'").set_index("step")
    assert floors.loc[1, "value"] == 0
    assert 0.2 < floors.loc[2, "value"] < 1
    assert (floors["space"] == "pixels").all()
    means = read_table(tmp_path / "agreement_over_pairs.parquet", "agreement_over_pairs")
    assert "empirical_distance_floor" in set(means["measure"])
    # Without these tables there is none
    agreement, _ = agreed(tmp_path, digits, packs, [["a", "b", "seed"]])
    assert set(agreement["measure"]) == {"cosine", "distance"}


def test_runs_whose_samples_have_other_labels_are_not_compared(data: ImageSet, digits: Path, tmp_path: Path) -> None:
    images = data.train.images[:6]
    samples = {"a": {1: (images, [0, 1, 2, 3, 4, 5])}, "b": {1: (images, [0, 7, 7, 7, 7, 7])}}
    packs = [write_pack(tmp_path / "a", data, {"a": (0, 0), "b": (0, 1)}, samples)]
    agreement, paired = agreed(tmp_path, digits, packs, [["a", "b", "subset"]])
    assert agreement.empty
    assert paired.empty


def test_runs_without_samples_leave_empty_tables(data: ImageSet, digits: Path, tmp_path: Path) -> None:
    only = (data.train.images[:2], [0, 1])
    packs = [write_pack(tmp_path / "a", data, {"a": (0, 0), "b": (0, 1)}, {"a": {1: only}})]
    agreement, paired = agreed(tmp_path, digits, packs, [["a", "b", "subset"]])
    assert agreement.empty
    assert paired.empty
