"""The visit to a GPU executes on a CPU, where both sides of its comparisons are the same; on a GPU it is the test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from memsweep.data.images import read_images

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

STUDY = {
    "study": "tiny",
    "dataset": {"name": "digits", "test_images": 500},
    "grid": {"base": {"base_channels": 4, "batch_size": 4, "learning_rate": 1e-3, "seed": 0},
             "products": [{"train_size": [8, 16]}]},
    "network": {"channel_multipliers": [1, 2], "blocks": 1, "attention_levels": [], "embedding": 8},
    "formulation": {"sampling_steps": 2},
    "training": {"budget": {"epochs": 20}},
    "evaluation": {"first": 2, "per_decade": 4, "images": 16, "samples": 8, "surrogates": []},
}  # fmt: skip


def test_a_visit_executes_and_keeps_what_it_found(digits: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(STUDY))
    carry = [sys.executable, str(BENCHMARKS / "gpu_reference.py"), "--config", str(tmp_path / "tiny.yaml")]
    subprocess.run([*carry, "--images", str(digits), "--output", str(tmp_path / "carried")], check=True)
    carried, whole = read_images(tmp_path / "carried" / "images.parquet"), read_images(digits)
    np.testing.assert_array_equal(carried.train.images, whole.train.images[:16])
    np.testing.assert_array_equal(carried.test.images, whole.test.images)
    assert carried.data_hash == whole.data_hash
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), "--device", "cpu", "--output", str(tmp_path)]
    command += ["--study", str(tmp_path / "carried"), "--seconds", "600", "--commit", "that of the test"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "gpu.json").read_text())
    assert result["commit"] == "that of the test"
    assert result["machine"]["device"] == "cpu"
    wrong = {name: found for name, found in result["items"].items() if not found.get("passed", True)}
    assert wrong == {}
    checked = [name for name, found in result["items"].items() if "passed" in found]
    assert len(checked) == 14  # and the study
    assert {"census", "packs", "evaluation"} < set(result["items"])
    kinds = {name.partition(",")[0] for name in result["items"]}
    assert {"variant", "step", "start_up"} < kinds
    study = result["items"]["study"]
    assert study["budget"] == 20
    assert sorted(path.name for path in (tmp_path / "study").glob("*.tar")) == [
        f"train_size={size}+base_channels=4+batch_size=4.tar" for size in (16, 8)
    ]


@pytest.mark.gpu
@pytest.mark.parametrize(
    "name", ["draws", "attention", "step", "graph", "pack", "resume", "precisions", "neighbours"]
)  # fmt: skip
def test_on_a_gpu_it_is_right(name: str) -> None:
    from gpu import items, stages
    from gpu_correctness import Runs

    (found,) = stages(items()[name].find(Runs("cuda")))
    assert found["passed"], found


@pytest.mark.gpu
@pytest.mark.parametrize(
    "name",
    ["evaluation_beside", "evaluation_after_end", "out_of_memory", "after_failed_capture", "capture_fails"],
)
def test_on_a_gpu_it_is_right_in_a_process_of_its_own(name: str) -> None:
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), "--device", "cuda", "--alone", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.rpartition("\n@@")[2])
    assert found["passed"], found
