"""docs/tutorial.md holds: its blocks, in their order and as they are written, on studies made small here alone."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.configs import ROOT
from helpers.documents import Block, sections
from helpers.projects import Project, new_project
from PIL import Image

SECTIONS = sections((ROOT / "docs" / "tutorial.md").read_text(), "##")
# What the tutorial says that its test changes, in every study; each stands once in it
SHORTER = {"epochs: 600": "epochs: 4", "images: 256": "images: 16", "samples: 100": "samples: 10"}
# And of the embedded study, these runs alone
FEWER = {
    r"    - \{train_size: \[16, 32, 64, 128\].*\n": "    - train_size: [32, 64]\n",
    r"    - \{train_size: \[16, 32, 64\].*\n": "",
    r"    - base_channels: .*\n": "",
    r"    - batch_size: .*\n": "",
    r"    - learning_rate: .*\n": "",
}
SPACES = "\nmetrics: {spaces: [pixels], distances: [sliced_wasserstein]}\n"


def once(pattern: str, replacement: str, text: str) -> str:
    changed, count = re.subn(pattern, replacement, text)
    assert count == 1, f"{pattern} stands {count} times in\n{text}"
    return changed


def shorter(text: str) -> str:
    for long, short in SHORTER.items():
        text = once(rf"\b{long}\b", short, text)
    return text


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A copy of the project with a small embedded study, and with some photographs."""
    copy = new_project(tmp_path / "project")
    config = copy.folder / "config" / "config.yaml"
    text = shorter(config.read_text())
    for pattern, replacement in FEWER.items():
        text = once(pattern, replacement, text)
    config.write_text(text + SPACES)
    source = np.random.default_rng(0)
    for number in range(104):
        folder = copy.folder / "photographs" / ("mountains", "seas")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(source.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        picture.save(folder / f"IMG_{number:04}.{('jpg', 'png')[number % 3 == 0]}")
    return copy


def do(block: Block, project: Project) -> str:
    if block.language == "python":
        return Block("sh", f"python - <<'END'\n{block.text}END\n").apply(project)
    if block.language == "yaml":
        block = Block(block.language, shorter(block.text))
    return block.apply(project)


def test_every_block_runs_as_it_is_written(project: Project) -> None:
    results = project.folder / "results"
    runs = results / "digits" / "tables" / "runs.parquet"
    first: dict[Path, int] = {}
    for title, blocks in SECTIONS.items():
        if title == "A cluster" and importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
            continue  # a test of its own says that it is left out
        said = [do(block, project) for block in blocks]
        match title:
            case "The embedded study":
                assert (results / "digits" / "summary.html").is_file()
                assert len(pd.read_parquet(runs)) == 2
                first = {path: path.stat().st_mtime_ns for path in results.rglob("state.safetensors")}
                assert len(first) == 2
            case "While it runs":
                assert "2 runs: 2 done" in said[0]
                assert (results / "digits" / "partial" / "tables" / "onsets.parquet").is_file()
            case "Its summary":
                assert "f_mem_calibrated" in said[0]
            case "A run, and one that nobody has trained":
                assert (project.folder / "samples.png").stat().st_size > 500
                with np.load(project.folder / "new.npz") as file:
                    assert file["arr_0"].shape == (20, 8, 8, 1)
                assert "train_size = 1,000" in " ".join(said[1].split())
                assert "files are whole and belong together" in said[2]
            case "A larger grid":
                assert "4 runs: 2 new, 2 kept" in said[1]
                assert len(pd.read_parquet(runs)) == 4
                assert all(path.stat().st_mtime_ns == time for path, time in first.items())
                assert (results / "digits" / "figures" / "memorisation_time_train_size.pdf").is_file()
            case "Your own photographs":
                prepared = pd.read_parquet(results / "photographs" / "data" / "images.parquet")
                assert dict(prepared["split"].value_counts()) == {"train": 64, "test": 40}
                assert (results / "photographs" / "figures" / "dynamics_train_size.png").stat().st_size > 5000
                assert "4 continue" in said[3]
                assert "duplicate" in said[4]
            case "A GPU" | "A cluster":
                assert "summary" in said[-1]
                assert "This was a dry-run" in said[-1]
                assert not (results / "photographs" / "summary.html").exists()


@pytest.mark.skipif(
    importlib.util.find_spec("snakemake_executor_plugin_slurm") is None,
    reason="the tutorial's dry run of the Slurm profile needs pip install -e '.[slurm]'",
)
def test_the_profile_of_a_cluster_is_looked_at() -> None:
    """Skipped, and so said, where the block of the cluster is left out above."""
    assert [block.language for block in SECTIONS["A cluster"]] == ["sh"]


def test_the_tutorial_says_what_its_test_changes() -> None:
    text = " ".join((ROOT / "docs" / "tutorial.md").read_text().split())
    assert "fewer runs in `config/config.yaml`, and in both studies 4 epochs for 600, 16 noisy images for 256" in text
    assert "10 samples for 100" in text
