"""docs/architecture.md holds: its examples run as they are written, and its picture is what Snakemake draws."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml
from helpers.configs import ROOT
from helpers.documents import Block, sections
from helpers.projects import TINY, Project, new_project

DOCUMENT = (ROOT / "docs" / "architecture.md").read_text()
LONGEST = 30

# The embedded study's name, and as few jobs as show that an example works: two runs in a pack, and pixels alone
EMBEDDED = {
    **TINY,
    "study": "digits",
    "grid": {**TINY["grid"], "products": [{"train_size": [8, 16]}]},
    "pack": ["train_size", "learning_rate", "seed"],
    "evaluation": {**TINY["evaluation"], "surrogates": []},
    "metrics": {**TINY["metrics"], "spaces": ["pixels"]},
}


EXAMPLES = sections(DOCUMENT.partition("\n## Where to put something new\n")[2], "###")


def arrows(graph: str, label: str, arrow: str) -> set[tuple[str, ...]]:
    """The arrows between rules of a drawn graph, by patterns of its labels and of its arrows."""
    names = dict(re.findall(label, graph, re.DOTALL))
    return {tuple(names[place] for place in ends) for ends in re.findall(arrow, graph)}


def test_the_picture_is_what_snakemake_draws(tmp_path: Path) -> None:
    copy = new_project(tmp_path)
    command = ["snakemake", "--rulegraph"]
    drawn = subprocess.run(
        command, cwd=copy.folder, env=copy.loaded_environment, capture_output=True, text=True, timeout=120, check=True
    ).stdout
    picture = (ROOT / "docs" / "rulegraph.svg").read_text()
    found = arrows(picture, r"<title>(\d+)</title>.*?<text [^>]*>([^<]+)<", r"<title>(\d+)&#45;&gt;(\d+)</title>")
    assert ("train", "measure") in found
    assert found == arrows(drawn, r'(\d+)\[label = "([^"]+)"', r"(\d+) -> (\d+)"), "draw docs/rulegraph.svg anew"


def test_what_the_document_names_is_there() -> None:
    text = DOCUMENT.partition("\n## Where to put something new\n")[0]
    library = ROOT / "workflow" / "memsweep"
    steps = re.findall(r"`([\w/]+\.py)`, ((?:`[\w.]+`(?: and )?)+)", text)
    assert len(steps) > 10
    for file, names in steps:
        content = (library / file).read_text()
        for name in re.findall(r"[\w.]+", names.replace("and", "")):
            assert re.search(rf"^\s*(def|class) {name.rpartition('.')[2]}\b", content, re.MULTILINE), (file, name)
    for path in re.findall(r"`((?:workflow/|tests/|config/)?[\w/]+\.(?:py|smk|md))`", text):
        assert (ROOT / path).exists() or (library / path).exists(), path


def test_the_document_names_every_package() -> None:
    packages = {path.parent.name for path in (ROOT / "workflow" / "memsweep").glob("*/__init__.py")}
    assert set(re.findall(r"^\| `(\w+)` \|", DOCUMENT, re.MULTILINE)) == packages


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the project, with what examples change of its tests, whose embedded study is a tiny one."""
    copy = new_project(tmp_path_factory.mktemp("project"))
    golden = Path("tests") / "training"
    shutil.copytree(ROOT / golden, copy.folder / golden, ignore=shutil.ignore_patterns("__pycache__"))
    (copy.folder / "config" / "config.yaml").write_text(yaml.safe_dump(EMBEDDED))
    return copy


def test_there_is_an_example_of_everything_that_can_be_added() -> None:
    networks = ["A network of your own", "A network"]
    assert list(EXAMPLES) == ["A dataset", "A metric", "An onset", "A figure", *networks, "A kind of study"]


@pytest.mark.parametrize("title", EXAMPLES)
def test_an_example_is_short(title: str) -> None:
    lines = [line for block in EXAMPLES[title] for line in block.written]
    assert len(lines) <= LONGEST
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize("title", EXAMPLES)
def test_an_example_runs_as_it_is_written(title: str, project: Project) -> None:
    """One after the other in one project, so that they go together, too."""
    for block in EXAMPLES[title]:
        block.apply(project)
    results = project.folder / "results"
    match title:
        case "A dataset":
            images = pd.read_parquet(results / "bars" / "data" / "images.parquet")
            assert len(images) == 2000
        case "A metric":
            metrics = pd.read_parquet(results / "digits" / "tables" / "metrics.parquet")
            energy = metrics[metrics["metric"] == "energy"]
            assert set(energy["reference"]) == {"train", "test"}
            assert (energy["ci_low"] <= energy["value"]).all()
        case "An onset":
            for name in ("onsets", "scaling"):
                table = pd.read_parquet(results / "digits" / "tables" / f"{name}.parquet")
                assert "test_loss_rise" in set(table["definition"])
        case "A figure":
            assert (results / "digits" / "figures" / "copies.png").stat().st_size > 5000
        case "A network of your own":
            runs = pd.read_parquet(results / "my_net" / "tables" / "runs.parquet")
            assert set(runs["status"]) == {"finished"}
            assert set(runs["parameters"]) == {2 * 8 + 10 * 8 + (25 * 8 + 8) + (25 * 8 + 1)}
            again = Block("sh", f"snakemake -n {EXAMPLES[title][-1].text.removeprefix('snakemake ').strip()} > planned")
            again.apply(project)
            assert "Nothing to be done" in (project.folder / "planned").read_text()
            with (project.folder / "config" / "my_net.py").open("a") as file:
                file.write("# changed\n")
            again.apply(project)
            assert "rule train" in (project.folder / "planned").read_text()
            (project.folder / "config" / "my_net.py").write_text("import no_such_package")
            sentence = "^network.kind: importing .*my_net.py raised ModuleNotFoundError"
            Block(
                "sh", f"! {again.text.replace('>', '2>')}; grep '{sentence}' planned; ! grep Traceback planned"
            ).apply(project)
        case "A kind of study":
            baselines = pd.read_parquet(results / "closed_form" / "tables" / "baselines.parquet")
            assert {"gaussian", "empirical"} <= set(baselines["estimator"])
            assert (results / "closed_form" / "report" / "baselines.html").is_file()
