"""Shares of samples that a study has too few samples to tell are said before it starts."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml
from helpers.configs import ROOT
from hypothesis import given
from hypothesis import strategies as st
from memsweep.study.config import resolve
from memsweep.study.kinds import open_study
from memsweep.study.resolution import unresolved_shares

CONFIG = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())


def study(samples: int, share: float, **changes: Any) -> dict[str, Any]:
    config = copy.deepcopy({**CONFIG, **changes})
    config["evaluation"]["samples"], config["onset"]["f_mem"] = samples, share
    return config


def test_a_share_of_less_than_a_sample_is_said() -> None:
    (said,) = open_study(study(16, 0.02)).warnings
    assert said == (
        "onset.f_mem: 0.02 of 16 samples (evaluation.samples) is 0.32 of them: a single sample crosses it, and onsets "
        "are early and noisy; enough are 150 samples, or a share of 0.19"
    )


@pytest.mark.parametrize("file", ["config", "cifar10", "architectures", "regularisation", "cifar10_small"])
def test_the_studies_of_the_project_have_samples_enough(file: str) -> None:
    assert open_study(yaml.safe_load((ROOT / "config" / f"{file}.yaml").read_text())).warnings == []


@given(st.integers(1, 1000), st.floats(0.001, 0.999))
def test_what_the_sentence_calls_enough_is_enough(samples: int, share: float) -> None:
    config = {
        "evaluation": {"samples": samples},
        "metrics": {"spaces": ["pixels"]},
        "onset": {"f_mem": share, "sscd_score": 0.0001},
    }
    for said in unresolved_shares(config):
        enough = int(said.split("enough are ")[1].split(" ")[0])
        assert not list(unresolved_shares({**config, "evaluation": {"samples": enough}}))
        assert list(unresolved_shares({**config, "evaluation": {"samples": enough - 1}}))


def test_similarity_counts_where_it_is_measured() -> None:
    config = resolve(study(16, 0.3))
    config["onset"]["sscd_score"] = 0.05
    assert not list(unresolved_shares(config))
    config["metrics"]["spaces"] = ["sscd"]
    (said,) = unresolved_shares(config)
    assert said.startswith("onset.sscd_score: 0.05 of 16")
