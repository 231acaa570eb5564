"""Whatever files and folders are called, a name is never a part of a command."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.configs import ROOT
from helpers.projects import TINY, new_project
from memsweep.metrics.sscd import SSCD
from PIL import Image

RULES = sorted((ROOT / "workflow" / "rules").glob("*.smk"))
# What is no name: numbers, choices among known words, a switch
PLAIN = re.compile(r"threads|resources\.\w+|params\.(surrogates|networks)")

# Runs `touch` where a shell reads it unquoted, and is looked into where Snakemake formats it
STRANGE = 'it\'s; touch hit; $(touch hit) `touch hit` "ü" {x} {params.folder} > hit #'
# Of the folder in which Snakemake runs
WITHOUT_BRACES = STRANGE.replace("{", "").replace("}", "")


def shell_strings(rules: str) -> list[str]:
    return re.findall(r'shell:\n((?:\s+".*"\n)+)', f"{rules}\n")


@pytest.mark.parametrize("file", RULES, ids=lambda file: file.stem)
def test_every_path_in_a_command_is_quoted(file: Path) -> None:
    text = file.read_text()
    commands = shell_strings(text)
    assert len(commands) == len(re.findall(r"^\s+shell:", text, re.MULTILINE))
    for command in commands:
        for field in re.findall(r"(?<!\{)\{([^{}]+)\}(?!\})", command):
            assert field.endswith(":q") or PLAIN.fullmatch(field), f"{file.name}: {field} is not quoted"


def test_commands_are_found() -> None:
    assert sum(len(shell_strings(file.read_text())) for file in RULES) > 20


@pytest.mark.parametrize("name", ["tiny\n", "tiny\ntouch hit", "tiny; touch hit", "$(touch hit)", "../tiny", "tiny\r"])
def test_a_name_that_is_a_command_is_refused(name: str, tmp_path: Path) -> None:
    project = new_project(tmp_path / "project")
    project.configure(study=name)
    result = project.snakemake("-n", check=False)
    assert result.returncode != 0
    assert "config error: study: found" in result.stdout
    assert "Traceback" not in result.stdout


def test_a_study_of_strange_names_ends_in_figures_and_runs_nothing_else(tmp_path: Path) -> None:
    project = new_project(tmp_path / WITHOUT_BRACES)
    for number in range(40):
        path = project.folder / STRANGE / f"class {STRANGE}"[: 60 + number % 2] / f"{number} {STRANGE}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = np.random.default_rng(number).integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(image).save(path)
    dataset = {"name": "image_folder", "path": STRANGE, "size": 8, "mode": "grey", "test_images": 10}
    project.configure(dataset=dataset)
    project.snakemake()
    project.assert_figures("memorisation_time_train_size", "sample_sheet")
    assert not list(tmp_path.rglob("hit"))
    # Without braces in its name Snakemake watches the folder
    shutil.move(project.folder / STRANGE, project.folder / WITHOUT_BRACES)
    project.configure(dataset={**dataset, "path": WITHOUT_BRACES})
    project.snakemake("results/tiny/data/images.parquet")
    assert not list(tmp_path.rglob("hit"))


def test_weights_of_a_strange_name_are_read(tmp_path: Path) -> None:
    project = new_project(tmp_path / "project")
    torch.manual_seed(0)
    torch.save(SSCD().state_dict(), project.folder / f"{STRANGE}.pt")
    for number in range(12):
        (project.folder / "pictures").mkdir(exist_ok=True)
        image = np.random.default_rng(number).integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(image).save(project.folder / "pictures" / f"{number}.png")
    metrics = {**TINY["metrics"], "spaces": ["pixels", "sscd"], "weights": {"sscd": f"{STRANGE}.pt"}}
    dataset = {"name": "image_folder", "path": "pictures", "size": 8, "mode": "grey", "test_images": 4}
    project.configure(dataset=dataset, metrics=metrics, grid={**TINY["grid"], "products": [{"train_size": [8]}]})
    project.snakemake("results/tiny/data/features/sscd.parquet")
    assert "measure" in project.jobs()
    assert not list(tmp_path.rglob("hit"))


def test_a_working_directory_that_snakemake_cannot_have_is_named(tmp_path: Path) -> None:
    result = new_project(tmp_path / "a{b").snakemake("-n", check=False)
    assert result.returncode != 0
    assert "found a brace in the name of the working directory" in result.stdout
    assert "Traceback" not in result.stdout
