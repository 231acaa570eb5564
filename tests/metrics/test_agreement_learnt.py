"""Agreement and lean of networks that are trained on digits, at two ends: so few images that they are copied, and all.

Takes a minute or so, hence `pytest --at-length tests/metrics`.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from helpers.packs import FORMULATIONS, pack_settings
from memsweep.jobs.packs import train_pack
from memsweep.jobs.workshop import Way
from memsweep.metrics.agree import agree_runs
from memsweep.metrics.features import write_features
from memsweep.tables.parquet import read_table

FEW, MANY = 16, 648  # of 1297 training images two disjoint sets have 648 each
STEPS = 464
SCHEDULE = {"first": 400, "per_decade": 3}  # of which that is the only point up to 500


@pytest.fixture(scope="module")
def means(digits: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> pd.DataFrame:
    """What pairs have in common at the last step, by train size and measure."""
    if not request.config.getoption("--at-length"):
        pytest.skip("takes a minute: --at-length")
    folder = tmp_path_factory.mktemp("learnt")
    write_features({"space": "pixels", "weights": {}}, digits, None, folder / "cache", folder / "pixels.parquet")
    found = []
    for size, sets in ((FEW, 3), (MANY, 2)):
        axes = {"train_size": size, "base_channels": 8, "batch_size": 16, "learning_rate": 3e-3, "max_steps": STEPS}
        names = [f"{size} images, set {number}" for number in range(sets)]
        runs = [{"run_id": name, "seed": 0, "subset": number, **axes} for number, name in enumerate(names)]
        asked: dict[str, Any] = pack_settings(runs=runs)
        asked["network"] |= {"attention_levels": [], "embedding": 32}
        asked["formulation"] = {**FORMULATIONS["rectified_flow"], "sampling_steps": 16}
        asked["training"] = {"budget": {"steps": 500}, "ema_decay": 0.98}
        asked["evaluation"] = {**SCHEDULE, "images": 32, "samples": 100}
        train_pack(asked, digits, folder / "checkpoints", folder / str(size), Way(device="cpu"))
        pairs = [[*pair, "subset"] for pair in itertools.combinations(names, 2)]
        settings = {"pairs": pairs, "spaces": ["pixels"], "weights": {}, "confidence": 0.95, "sscd_threshold": 0.6}
        agree_runs(settings, digits, [folder / str(size)], folder, None, folder / str(size))
        table = read_table(folder / str(size) / "agreement_over_pairs.parquet", "agreement_over_pairs")
        found.append(table[table["step"] == STEPS].assign(train_size=size))
    return pd.concat(found).set_index(["train_size", "measure"])


def test_few_images_are_leant_to_by_all_samples_and_many_hardly(means: pd.DataFrame) -> None:
    few, many = (means.loc[(size, "lean")] for size in (FEW, MANY))
    assert few["value"] > 0.95
    assert many["value"] < 0.65
    assert few["ci_low"] > many["latents_ci_high"]


def test_models_of_many_images_generate_the_same_and_those_of_few_their_own(means: pd.DataFrame) -> None:
    few, many = (means["value"].xs(size) for size in (FEW, MANY))
    assert many["cosine"] > few["cosine"] + 0.1
    assert many["distance"] < few["distance"] - 0.1
    assert (means.loc[(FEW, "cosine"), "runs"], means.loc[(FEW, "cosine"), "pairs"]) == (3, 3)
