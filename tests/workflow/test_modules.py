"""The workflow among others: as a module of one, from other folders, with results elsewhere, in a container."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.configs import ROOT
from helpers.loaded import programs
from helpers.projects import FEATURE_LEARNING, MIXED_CUMULANT, TINY, Project, new_project
from PIL import Image

SMALL = {**TINY, "grid": {**TINY["grid"], "products": [{"learning_rate": [0.001, 0.002]}]}}
KINDS = {"sweep": SMALL, "mixed_cumulant": MIXED_CUMULANT, "feature_learning": FEATURE_LEARNING}
HOST = """
configfile: "host.yaml"

rule all:
    input: "conclusion.txt"

rule other:
    output: "other.txt"
    shell: "echo $GREETING > {{output}}"

shell.prefix("GREETING=hello; ")

module memsweep:
    snakefile: "{snakefile}"
    config: config["memorisation"]
    prefix: "inner/part"

use rule * from memsweep as memsweep_*

use rule train from memsweep as memsweep_train with:
    resources:
        mem_mb=7, runtime=11, gpu=0, way="--device cpu --together 1"

rule conclusion:
    input: "other.txt", rules.memsweep_collect.output.runs
    output: "conclusion.txt"
    shell: "ls {{input}} > {{output}}"
"""


def said(folder: Path, project: Project, *arguments: str, check: bool = True, **environment: str) -> str:
    """What Snakemake says that runs in a folder with a project's library."""
    result = subprocess.run(
        [str(programs() / "python"), "-m", "snakemake", "--cores", "2", *arguments],
        cwd=folder,
        env={**project.loaded_environment, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    assert (result.returncode == 0) == check, result.stdout
    return result.stdout


def host(folder: Path, project: Project, study: dict[str, Any], snakefile: str = HOST) -> Path:
    """The folder of a workflow that has the project's as a module."""
    folder.mkdir()
    (folder / "host.yaml").write_text(yaml.safe_dump({"memorisation": study}))
    (folder / "Snakefile").write_text(snakefile.format(snakefile=project.folder / "Snakefile"))
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return new_project(tmp_path_factory.mktemp("modules") / "project")


@pytest.fixture(scope="module")
def hosted(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workflow that has run, with the study as a module."""
    folder = host(tmp_path_factory.mktemp("host") / "host", project, SMALL)
    said(folder, project)
    return folder


def test_a_module_puts_all_below_its_prefix(hosted: Path) -> None:
    results = hosted / "inner" / "part" / "results" / "tiny"
    assert (hosted / "conclusion.txt").read_text().splitlines() == [
        "inner/part/results/tiny/tables/runs.parquet",
        "other.txt",
    ]
    assert len(list(results.glob("checkpoints/*/state.safetensors"))) == 2
    assert not (hosted / "results" / "tiny").exists()


def test_a_module_leaves_targets_and_commands_of_a_workflow_alone(hosted: Path) -> None:
    assert (hosted / "other.txt").read_text() == "hello\n"
    assert not (hosted / "inner/part/results/tiny/tables/onsets.parquet").exists()


def test_a_finished_module_has_nothing_to_do(hosted: Path, project: Project) -> None:
    assert "Nothing to be done" in said(hosted, project, "-n")


def test_a_figure_of_a_module_stands_in_the_report_of_its_workflow(hosted: Path, project: Project) -> None:
    figure = "inner/part/results/tiny/figures/sample_sheet.png"
    said(hosted, project, figure)
    assert (hosted / figure).stat().st_size > 5000
    said(hosted, project, figure, "--report", "report.html")
    page = (hosted / "report.html").read_text()
    assert "sample_sheet.png" in page
    assert "when do diffusion models start to memorise" not in page  # a report begins as its workflow says


def test_the_summary_of_a_module_is_of_what_lies_below_its_prefix(hosted: Path, project: Project) -> None:
    place = "inner/part/results/tiny"
    jobs = said(hosted, project, "-n", "-p", f"{place}/summary.html")
    assert f"python -m memsweep summarise --study {place} --output {place}/summary.html " in jobs


def test_a_workflow_finds_the_summary_of_its_module(project: Project, tmp_path: Path) -> None:
    """The page and, on it, the tables and figures that lie below the prefix."""
    page_of = """
rule page:
    input: rules.memsweep_summary.output
    output: "page.txt"
    shell: "ls {{input}} > {{output}}"
"""
    study = {name: value for name, value in MIXED_CUMULANT.items() if name != "networks"}
    folder = host(tmp_path / "host", project, study, HOST.partition("use rule train")[0] + page_of)
    said(folder, project, "page.txt")
    assert (folder / "page.txt").read_text() == "inner/part/results/tiny/summary.html\n"
    results = folder / "inner" / "part" / "results" / "tiny"
    page = (results / "summary.html").read_text()
    for kind, files in {"figure": "figures/**/*.png", "table": "tables/*.parquet"}.items():
        made = {path.stem for path in results.glob(files)}
        assert len(made) > 2
        assert set(re.findall(rf'id="{kind}-(\w+)"', page)) == made
    assert not (folder / "results" / "tiny").exists()
    assert "Nothing to be done" in said(folder, project, "-n", "page.txt")


def test_what_takes_seconds_runs_where_snakemake_does_in_a_module_too(hosted: Path, project: Project) -> None:
    asked = "import json; open('local.json', 'w').write(json.dumps(sorted(workflow._localrules)))"
    with (hosted / "Snakefile").open() as snakefile:
        (hosted / "asking").write_text(f"{snakefile.read()}\n{asked}\n")
    assert "localrules directive" not in said(hosted, project, "-n", "-s", "asking")
    local = set(json.loads((hosted / "local.json").read_text()))
    assert {"memsweep_judge", "memsweep_table_pages", "memsweep_sample_sheet", "memsweep_summary"} <= local
    assert all(rule.startswith("memsweep_") for rule in local)


def test_a_rule_of_a_module_can_be_overridden(hosted: Path, project: Project) -> None:
    jobs = said(hosted, project, "-n", "--forcerun", "memsweep_train")
    train = jobs.partition("rule memsweep_train:")[2].partition("\n\n")[0]
    assert "mem_mb=7" in train
    assert "runtime=11" in train
    assert "inner/part/results/tiny/data/images.parquet" in train


@pytest.mark.parametrize("kind", KINDS)
def test_every_rule_of_a_module_can_be_overridden(kind: str, project: Project, tmp_path: Path) -> None:
    folder = host(tmp_path / "host", project, KINDS[kind], HOST.partition("use rule train")[0])
    rules = re.findall(r"^memsweep_(\w+)", said(folder, project, "--list-rules"), re.MULTILINE)
    assert {"all", "judge", "tables"} < set(rules)
    overridden = [f"\nuse rule {rule} from memsweep as memsweep_{rule} with:\n    priority: 3\n" for rule in rules]
    with (folder / "Snakefile").open("a") as snakefile:
        snakefile.writelines(overridden)
    jobs = said(folder, project, "-n", "memsweep_all").splitlines()
    named = [line.strip() for line in jobs if re.match(r"(local)?rule memsweep_", line)]
    assert len(named) > 10
    assert sum(line == "    priority: 3" for line in jobs) == len(named)


def test_a_module_guards_finished_runs_where_it_is_asked_to(hosted: Path, project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "host"
    shutil.copytree(hosted, folder, symlinks=True)
    changed = {**SMALL, "network": {**SMALL["network"], "embedding": 12}, "retrain_at_most": 1}
    (folder / "host.yaml").write_text(yaml.safe_dump({"memorisation": changed}))
    with (folder / "Snakefile").open("a") as snakefile:
        snakefile.write("\nonstart:\n    memsweep.onstart()\n")
    assert "retrain_at_most: 2 finished runs would be trained again" in said(folder, project, check=False)


def test_a_users_own_images_lie_outside_of_a_modules_prefix(project: Project, tmp_path: Path) -> None:
    dataset = {"name": "image_folder", "path": "pictures", "size": 8, "mode": "grey", "test_images": 4}
    folder = host(tmp_path / "host", project, {**SMALL, "dataset": dataset})
    (folder / "pictures").mkdir()
    for number in range(16):
        Image.new("L", (8, 8), 16 * number).save(folder / "pictures" / f"{number}.png")
    said(folder, project, "inner/part/results/tiny/data/images.parquet")


def test_a_problem_of_a_modules_study_is_one_sentence(project: Project, tmp_path: Path) -> None:
    folder = host(tmp_path / "host", project, {**SMALL, "bootstrap": 3})
    problem = said(folder, project, "-n", check=False)
    assert "config error: bootstrap" in problem
    assert "Traceback" not in problem


@pytest.mark.parametrize("snakefile", ["Snakefile", "workflow/Snakefile"])
def test_the_workflow_runs_from_another_folder(snakefile: str, project: Project, tmp_path: Path) -> None:
    typed = ["-n", "-s", str(project.folder / snakefile)]
    assert "results/digits/tables/runs.parquet" in said(tmp_path, project, *typed)  # the embedded study
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text(yaml.safe_dump(SMALL))
    assert "results/tiny/tables/runs.parquet" in said(tmp_path, project, *typed)
    (tmp_path / "other.yaml").write_text(yaml.safe_dump({**SMALL, "study": "other"}))
    assert "results/other/figures/claims.png" in said(tmp_path, project, *typed, "--configfile", "other.yaml")


def test_results_lie_where_directory_says_or_a_link_leads(project: Project, tmp_path: Path) -> None:
    study, disk, work = tmp_path / "tiny.yaml", tmp_path / "disk", tmp_path / "work"
    study.write_text(yaml.safe_dump(SMALL))
    target = "results/tiny/tables/runs.parquet"
    typed = [target, "-s", str(project.folder / "Snakefile"), "--configfile", str(study)]
    (disk / "linked").mkdir(parents=True)
    work.mkdir()
    (work / "results").symlink_to(disk / "linked")
    said(work, project, *typed)
    assert (disk / "linked" / "tiny" / "tables" / "runs.parquet").is_file()
    assert "Nothing to be done" in said(work, project, "-n", *typed)
    # The same study elsewhere is the same: what lies behind the link, with Snakemake's records of it
    shutil.copytree(disk / "linked", disk / "plain" / "results")
    shutil.copytree(work / ".snakemake", disk / "plain" / ".snakemake")
    assert "Nothing to be done" in said(work, project, "-n", *typed, "--directory", str(disk / "plain"))
    fresh = said(work, project, "-n", *typed, "--directory", str(disk / "fresh"))
    assert "rule train:" in fresh


APPTAINER = """#!/bin/bash
# Does as Apptainer does with what the workflow asks of it, but for the isolation
if [ "$1" = --version ]; then echo apptainer version 1.3.0; exit; fi
echo "$@" >> {calls}
while [ "$1" != -c ]; do shift; done
exec bash -c "$2"
"""


def test_jobs_run_in_a_container_where_they_are_told_to(project: Project, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "apptainer").write_text(APPTAINER.format(calls=tmp_path / "calls"))
    (tmp_path / "bin" / "apptainer").chmod(0o755)
    (tmp_path / "memsweep.sif").touch()
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({**SMALL, "container": "memsweep.sif"}))
    target = "results/tiny/data/images.parquet"
    path = f"{programs()}:{tmp_path / 'bin'}:{os.environ['PATH']}"
    typed = [target, "-s", str(project.folder / "Snakefile"), "--configfile", "tiny.yaml"]
    said(tmp_path, project, *typed, PATH=path)
    assert not (tmp_path / "calls").exists()
    # What was made without is as good as what is made within
    assert "Nothing to be done" in said(tmp_path, project, *typed, "--sdm", "apptainer", PATH=path)
    (tmp_path / target).unlink()
    said(tmp_path, project, *typed, "--sdm", "apptainer", PATH=path)
    (call,) = (tmp_path / "calls").read_text().split("exec --home ")[1:]
    assert "memsweep.sif" in call
    assert "python -m memsweep prepare" in call
    assert str(programs()) not in call  # in a container it is the container's python
    assert (tmp_path / target).is_file()


def test_with_a_container_lint_finds_nothing(project: Project) -> None:
    project.configure(container="memsweep.sif")
    assert "Congratulations, your workflow is in a good condition!" in project.snakemake("--lint").stdout


@pytest.mark.parametrize("kind", KINDS)
def test_every_rule_says_what_it_is_for(kind: str, project: Project, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(KINDS[kind]))
    listed = said(
        tmp_path, project, "--list-rules", "-s", str(project.folder / "Snakefile"), "--configfile", "study.yaml"
    )
    rules = [line for line in listed.splitlines() if re.match(r"\w+( \(|$)", line)]
    assert len(rules) > 10
    assert [rule for rule in rules if not re.fullmatch(r"\w+ \([A-Z].*\.\)", rule)] == []


def test_the_workflow_catalog_is_told_what_it_asks() -> None:
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["software-stack-deployment"] == {"conda": False, "apptainer": True, "apptainer+conda": False}
    assert usage["report"] is True
    for needed in ("workflow/Snakefile", "config/README.md", "config/config.yaml", "LICENSE", "README.md"):
        assert (ROOT / needed).is_file()
