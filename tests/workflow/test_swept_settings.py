"""Axes beyond the five, through Snakemake: from the grid to tables and figures, and to what a new value costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
from helpers.projects import TINY, Project, new_project

NET = """
import torch


class MyNet(torch.nn.Module):
    def __init__(self, image_shape, labels, base_channels, **own):
        super().__init__()
        self.convolution = torch.nn.Conv2d(image_shape[0] + 1, image_shape[0], 3, padding=1)
        self.embedding = torch.nn.Embedding(labels, image_shape[0])

    def forward(self, x, time, label):
        times = time[:, None, None, None].expand(-1, 1, *x.shape[2:])
        return self.convolution(torch.cat([x, times.to(x)], dim=1)) + self.embedding(label)[:, :, None, None]
"""


def grid(*products: dict[str, list[Any]]) -> dict[str, Any]:
    return {**TINY["grid"], "products": list(products)}


PRODUCTS: list[dict[str, list[Any]]] = [
    {"training.flip": [False, True], "subset": [0, 1]},
    {"network.attention_levels": [[], [1]]},
    {"formulation.name": ["rectified_flow", "ddpm"]},
    {"network.kind": ["./my_net.py:MyNet"]},
]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A finished study of axes that are settings, a network of one's own among them."""
    project = new_project(tmp_path_factory.mktemp("axes") / "project")
    (project.folder / "config" / "my_net.py").write_text(NET)
    project.configure(grid=grid(*PRODUCTS))
    project.snakemake()
    return project


def trained(project: Project) -> dict[str, int]:
    """When each run's state was saved."""
    files = (project.results / "checkpoints").glob("*/state.safetensors")
    return {path.parent.name: path.stat().st_mtime_ns for path in files}


def test_every_axis_is_a_column_and_has_its_figures(swept: Project) -> None:
    runs = swept.table("tables/runs.parquet")
    assert len(runs) == runs["run_id"].nunique() == 7
    columns = ["subset", "training_flip", "network_attention_levels", "formulation_name", "network_kind"]
    base = (0, False, "[]", "rectified_flow", "unet")
    found = {tuple(row) for row in runs[columns].itertuples(index=False)}
    others = {(s, flip, *base[2:]) for s in (0, 1) for flip in (False, True)}
    assert found == others | {
        (*base[:2], "[1]", *base[3:]),
        (*base[:3], "ddpm", base[4]),
        (*base[:4], "MyNet"),
    }
    axes = columns[1:]
    swept.assert_figures(*(f"{name}_{axis}" for name in ("dynamics", "memorisation_time") for axis in axes))
    ratios = swept.table("tables/ratios.parquet")
    assert set(ratios["axis"]) == set(axes)


def test_the_folder_of_packs_is_a_hive_partitioned_dataset_with_encoded_values(swept: Project) -> None:
    paths = [path.relative_to(swept.results / "train") for path in (swept.results / "train").rglob("runs.parquet")]
    assert all(not set("[]:") & set(str(path)) for path in paths)
    found = ds.dataset(swept.results / "train", partitioning="hive", exclude_invalid_files=True).to_table().to_pandas()
    assert set(found["network_attention_levels"].astype(str)) == {"[]", "[1]"}
    assert set(found["network_kind"].astype(str)) == {"unet", "MyNet"}


def test_a_new_value_trains_only_the_new_runs(swept: Project, tmp_path: Path) -> None:
    project = swept.copy_to(tmp_path / "project")
    before = trained(project)
    assert len(before) == 7
    for products, new in (
        ([{"network.attention_levels": [[], [1], [0]]}, *PRODUCTS], 1),
        ([*PRODUCTS, {"subset": [2]}], 1),
        ([*PRODUCTS, {"training.flip": [True], "network.attention_levels": [[1]]}], 1),
    ):
        project.configure(grid=grid(*products))
        project.snakemake("results/tiny/tables/runs.parquet")
        after = trained(project)
        assert {run: after[run] for run in before} == before
        assert len(after) == len(before) + new
        before = after


def test_a_new_subset_is_sampled_in_a_file_that_all_packs_read_and_measures_only_its_own_again(
    swept: Project, tmp_path: Path
) -> None:
    project = swept.copy_to(tmp_path / "project")
    project.configure(grid=grid(*PRODUCTS, {"subset": [2]}))
    tables, new = "results/tiny/tables/runs.parquet", {"train": 1, "measure": 1, "agree": 1, "collect": 1}
    assert project.jobs(tables) == {**new, "empirical_samples": 1}
    project.snakemake("results/tiny/empirical/train_size=8/samples.parquet")
    assert project.jobs(tables) == new


def test_an_axis_of_training_that_is_new_trains_only_its_new_runs(swept: Project, tmp_path: Path) -> None:
    """Runs that are there lie on it where their section says; their tables are written again, with its column."""
    project = swept.copy_to(tmp_path / "project")
    before = trained(project)
    project.configure(grid=grid(*PRODUCTS, {"training.ema_decay": [0.5]}))
    project.snakemake("results/tiny/tables/runs.parquet")
    after = trained(project)
    assert {run: after[run] for run in before} == before
    assert len(after) == len(before) + 1
    assert sorted(project.table("tables/runs.parquet")["training_ema_decay"]) == [0.5, *[0.9] * 7]
    # And back: nothing is lost, and nothing trained
    project.configure(grid=grid(*PRODUCTS))
    project.snakemake("results/tiny/tables/runs.parquet")
    assert trained(project) == after
    assert "training_ema_decay" not in project.table("tables/runs.parquet")
