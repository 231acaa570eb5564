"""The workflow, run by Snakemake itself: complete, incremental, and clear when something is wrong."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pyarrow.parquet as pq
import pytest
from helpers.drawn_figures import assert_readable
from helpers.projects import TINY, Project, new_project

SWEPT = ("train_size", "learning_rate")
FIGURES = (
    *(f"{figure}_{axis}" for figure in ("dynamics", "battery", "memorisation_time") for axis in SWEPT),
    "scaling_exponents",
    "thresholds",
    "collapse",
    "peaks",
)
ALL_FIGURES = (
    *FIGURES,
    "joint_law",
    "simplicity_bias",
    "clocks",
    "agreement",
    "copied_images",
    "novelty_fidelity",
    "claims",
    "sample_sheet",
)
COLLECTED = ("runs", "trajectories", "noise_levels", "metrics", "agreement", "agreement_over_pairs")
TABLES = (
    *COLLECTED,
    "onsets",
    "onsets_over_repetitions",
    "scaling",
    "thresholds",
    "local_slopes",
    "ratios",
    "peaks",
    "fidelity_trends",
    "rates",
    "rate_trends",
    "leads",
    "excess",
    "copied_images",
    "copied_first",
    "law",
    "law_fit",
    "law_errors",
    "collapse",
    "descents",
    "baselines",
    "claims",
)
FIGURE_RULES = {
    "dynamics": 2,
    "battery": 2,
    "memorisation_time": 2,
    "scaling_exponents": 1,
    "joint_law": 1,
    "thresholds": 1,
    "collapse": 1,
    "simplicity_bias": 1,
    "clocks": 1,
    "agreement": 1,
    "copied_images": 1,
    "peaks": 1,
    "novelty_fidelity": 1,
    "claims": 1,
    "sample_sheet": 1,
}
PACKS = ("train_size=8/base_channels=4/batch_size=4", "train_size=16/base_channels=4/batch_size=4")


def with_grid(*products: dict[str, list[Any]]) -> dict[str, Any]:
    return {"grid": {**TINY["grid"], "products": [*TINY["grid"]["products"], *products]}}


def checkpoint_times(project: Project) -> dict[str, int]:
    files = (project.results / "checkpoints").rglob("*.*")
    return {str(path.relative_to(project.folder)): path.stat().st_mtime_ns for path in files}


def rows_of(table: pd.DataFrame, run_ids: pd.Series[str]) -> pd.DataFrame:
    chosen = table[table["run_id"].isin(run_ids)]
    return chosen.sort_values(list(chosen.columns), kind="stable").reset_index(drop=True)


def assert_old_rows_are_the_same(project: Project, before: Project) -> None:
    old = before.table("tables/runs.parquet")["run_id"]
    for name in ("runs", "trajectories", "noise_levels", "metrics", "onsets", "peaks", "excess"):
        path = f"tables/{name}.parquet"
        pd.testing.assert_frame_equal(
            rows_of(project.table(path), old), rows_of(before.table(path), old), check_exact=True
        )


def test_a_study_ends_in_tables_that_keep_their_contract_and_in_figures(finished_once: Project) -> None:
    empty = ("ratios", "leads", "law_errors")  # of axes, of pairs, and of repeats, that this study does not have
    finished_once.assert_tables(*(table for table in TABLES if table not in empty))
    for table in empty:
        assert finished_once.table(f"tables/{table}.parquet").empty
    finished_once.assert_figures(*ALL_FIGURES)
    runs = finished_once.table("tables/runs.parquet")
    assert len(runs) == 5
    assert set(runs["status"]) == {"finished"}


def test_figures_can_be_read_over_one_column_of_a_paper_and_over_both(finished_once: Project) -> None:
    assert_readable(finished_once)


def test_samples_are_held_against_those_of_perfect_memories_of_their_size(finished_once: Project) -> None:
    for size in (8, 16):
        samples = finished_once.table(f"empirical/train_size={size}/samples.parquet")
        assert set(samples["train_size"]) == {size}
        assert set(samples["reference"]) == {"train", "control"}
        pack = finished_once.table(f"train/train_size={size}/base_channels=4/batch_size=4/samples.parquet")
        labels = pack.groupby("index")["label"].agg(set)
        assert [{label} for label in samples.query("reference == 'train'")["label"]] == labels.tolist()
    metrics = finished_once.table("tables/metrics.parquet").query("metric == 'empirical_distance'")
    sampled = finished_once.table("tables/metrics.parquet").query("metric == 'f_mem' and reference == 'train'")
    assert metrics[["run_id", "step"]].to_numpy().tolist() == sampled[["run_id", "step"]].to_numpy().tolist()
    # Two steps of a sampler, and a network that has hardly learnt
    assert metrics["value"].between(0.5, 1.5).all()


def test_images_and_samples_explain_themselves(finished_once: Project) -> None:
    images = pq.read_table(finished_once.results / "data" / "images.parquet")
    assert images.schema.metadata[b"shape"] == b"8,8,1"
    assert str(images.schema.field("image").type) == "fixed_size_binary[64]"
    assert images["split"].to_pylist().count("test") == 1600
    samples = pq.read_schema(finished_once.results / "train" / PACKS[0] / "samples.parquet")
    assert samples.names == ["run_id", "step", "index", "label", "image"]
    assert samples.metadata[b"channel_order"] == b"height, width, channel"


def test_a_results_folder_is_a_hive_partitioned_dataset(finished_once: Project) -> None:
    import pyarrow.dataset as ds

    train = finished_once.results / "train"
    files = [str(path) for path in train.rglob("losses.parquet")]
    table = ds.dataset(files, partitioning=ds.partitioning(flavor="hive"), partition_base_dir=str(train)).to_table()
    assert set(table["train_size"].to_pylist()) == {8, 16}


def test_a_second_run_does_nothing(finished: Project) -> None:
    assert "Nothing to be done" in finished.snakemake().stdout


def test_touching_a_figure_redraws_that_figure(finished: Project) -> None:
    module = finished.folder / "workflow" / "memsweep" / "figures" / "sweep" / "sample_sheet.py"
    module.write_text(module.read_text() + "\nTOUCHED = True\n")
    assert finished.jobs() == {"sample_sheet": 1}
    finished.snakemake()
    assert finished.jobs() == {}


def test_touching_what_all_figures_share_redraws_the_figures(finished: Project) -> None:
    module = finished.folder / "workflow" / "memsweep" / "figures" / "style.py"
    module.write_text(module.read_text() + "\nTOUCHED = True\n")
    assert finished.jobs() == FIGURE_RULES


def test_a_value_of_the_figures_redraws_the_figures(finished: Project) -> None:
    finished.configure(figures={"palette": "magma"})
    coloured = {"dynamics", "battery", "memorisation_time", "peaks", "novelty_fidelity", "agreement", "copied_images"}
    coloured |= {"collapse"}
    assert finished.jobs() == {rule: count for rule, count in FIGURE_RULES.items() if rule in coloured}
    finished.configure(figures={"time": "step"})
    assert finished.jobs() == {"dynamics": 2, "battery": 2}
    finished.configure(figures={"sheet_samples": 4})
    assert finished.jobs() == {"sample_sheet": 1}


def test_an_onset_threshold_analyses_again_and_trains_nothing(finished: Project) -> None:
    finished.configure(onset={"bootstrap": 5, "f_mem": 0.3})
    figures = {"dynamics", "memorisation_time", "peaks", "scaling_exponents", "thresholds", "simplicity_bias", "clocks"}
    figures |= {"collapse", "joint_law", "claims", "agreement", "copied_images"}
    assert set(finished.jobs()) == {"analyse", "conclude", "judge", "table_pages", *figures}


def test_a_metric_threshold_measures_again_and_trains_nothing(finished: Project) -> None:
    finished.configure(metrics={**TINY["metrics"], "f_mem_threshold": 0.5})
    assert set(finished.jobs()) == {"measure", "collect", "analyse", "conclude", "judge", "table_pages", *FIGURE_RULES}


def test_an_option_that_training_learns_makes_nothing_stale(finished: Project) -> None:
    module = finished.folder / "workflow" / "memsweep" / "training" / "trainer.py"
    text, found = module.read_text(), "    accumulate: int = 1\n"
    assert found in text
    module.write_text(text.replace(found, f"{found}    weight_decay: float = 0.0\n", 1))
    assert finished.jobs() == {}


def test_another_version_of_the_training_code_says_that_runs_are_stale(finished: Project) -> None:
    module = finished.folder / "workflow" / "memsweep" / "training" / "version.py"
    module.write_text('TRAINING_VERSION = "other"\n')
    output = finished.snakemake("-n").stdout
    # Snakemake names the changed parameters in no fixed order
    code = r".*'training code \w+'.*"
    assert re.search(rf"Params have changed since last execution: .*before: {code} now: {code}", output)
    assert finished.jobs()["train"] == 2


def test_a_new_learning_rate_trains_only_the_new_run(finished: Project, finished_once: Project) -> None:
    finished.configure(**with_grid({"learning_rate": [0.004]}))
    jobs = finished.jobs()
    assert jobs["train"] == jobs["measure"] == 1
    assert "empirical_samples" not in jobs
    before = checkpoint_times(finished)
    finished.snakemake("tables")
    after = checkpoint_times(finished)
    assert {path: after[path] for path in before} == before
    runs = finished.table("tables/runs.parquet")
    assert len(runs) == 6
    assert len({Path(path).parent for path in after}) == 6
    assert_old_rows_are_the_same(finished, finished_once)


def test_lost_checkpoints_are_not_trained_again_without_being_asked_for(finished: Project) -> None:
    shutil.rmtree(finished.results / "checkpoints")
    finished.configure(**with_grid({"learning_rate": [0.004]}), retrain_at_most=1)
    result = finished.snakemake("tables", check=False)
    assert result.returncode != 0
    # Those of its pack; the other's tables stand
    assert "retrain_at_most: 3 finished runs would be trained again" in result.stdout
    assert "their checkpoints are no longer in results/tiny/checkpoints" in result.stdout
    assert not (finished.results / "checkpoints").exists()
    finished.snakemake("results/tiny/tables/runs.parquet", "--config", "retrain_at_most=3")
    assert len(finished.table("tables/runs.parquet")) == 6


def test_a_new_train_size_trains_only_its_pack(finished: Project, finished_once: Project) -> None:
    finished.configure(**with_grid({"train_size": [12]}))
    jobs = finished.jobs()
    assert jobs["train"] == jobs["empirical_samples"] == jobs["measure"] == 1
    before = checkpoint_times(finished)
    finished.snakemake("tables")
    after = checkpoint_times(finished)
    assert {path: after[path] for path in before} == before
    assert len(finished.table("tables/runs.parquet")) == 6
    assert_old_rows_are_the_same(finished, finished_once)


def test_a_larger_budget_continues_every_run(finished: Project, finished_once: Project, tmp_path: Path) -> None:
    finished.configure(training={**TINY["training"], "budget": {"steps": 100}})
    before = checkpoint_times(finished)
    finished.snakemake("tables")
    after = checkpoint_times(finished)
    evaluations = {path: moment for path, moment in before.items() if "evaluation" in path}
    assert {path: after[path] for path in evaluations} == evaluations
    trajectories = finished.table("tables/trajectories.parquet")
    old = finished_once.table("tables/trajectories.parquet")
    both = trajectories[trajectories["step"] <= 32].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows_of(both, old["run_id"]), rows_of(old, old["run_id"]), check_exact=True)
    assert trajectories["step"].max() == 100


def test_surrogates_are_evaluated_and_can_be_left_out(finished: Project) -> None:
    trajectories = finished.table("tables/trajectories.parquet")
    counts = trajectories["split"].value_counts()
    assert set(counts.index) == {"train", "test", "gaussian", "gaussian_mixture"}
    assert counts.nunique() == 1
    levels = finished.table("tables/noise_levels.parquet")
    assert set(levels["split"]) == set(counts.index)
    onsets = finished.table("tables/onsets.parquet")
    assert {"departure", "departure_mixture"} < set(onsets["definition"])
    assert set(finished.table("tables/peaks.parquet")["definition"]) <= {
        "test_loss_minimum",
        "loss_gap_absolute",
        "loss_gap_relative",
        "f_mem",
        "f_mem_calibrated",
    }
    finished.configure(evaluation={**TINY["evaluation"], "surrogates": []})
    jobs = finished.jobs()
    assert jobs["train"] == 2  # what is evaluated is part of a run's identity
    assert not {"surrogates", "baselines", "simplicity_bias"} & set(jobs)
    # In another order the surrogates are the same
    finished.configure(evaluation={**TINY["evaluation"], "surrogates": ["gaussian_mixture", "gaussian"]})
    assert finished.jobs() == {}


def test_a_departure_threshold_trains_nothing(finished: Project) -> None:
    finished.configure(onset={"bootstrap": 5, "departure": 0.2})
    jobs = set(finished.jobs())
    assert {"analyse", "simplicity_bias", "clocks"} <= jobs
    assert not {"train", "surrogates", "baselines", "measure", "collect"} & jobs


def test_a_figure_needs_only_what_it_shows(finished: Project) -> None:
    assert "Nothing to be done" in finished.snakemake("results/tiny/figures/memorisation_time_train_size.pdf").stdout
    shutil.rmtree(finished.results)
    jobs = finished.jobs("results/tiny/figures/sample_sheet.pdf")
    stages = ["prepare", "surrogates", "classifier", "empirical_samples", "train", "measure", "sample_sheet"]
    assert jobs == {**dict.fromkeys(stages, 1), "features": 2}


def test_what_all_packs_need_is_a_target_and_no_more_than_that(tmp_path: Path) -> None:
    project = new_project(tmp_path / "project")
    project.configure()
    once = dict.fromkeys(["prepare", "surrogates", "classifier", "data"], 1)
    assert project.jobs("data") == {**once, "empirical_samples": 2, "features": 2}
    project.configure(metrics={**TINY["metrics"], "spaces": ["pixels"]})
    once = dict.fromkeys(["prepare", "surrogates", "features", "packs"], 1)
    assert project.jobs("packs") == {**once, "empirical_samples": 2, "train": 2, "measure": 2}
    guided = {**TINY["formulation"], "label_dropout": 0.2, "guidance": 1}
    project.configure(formulation=guided)
    assert "empirical_samples" not in project.jobs()


def test_a_killed_workflow_continues_where_it_was(finished_once: Project, tmp_path: Path) -> None:
    killed = finished_once.copy_to(tmp_path / "killed")
    for folder in ("train", "measure", "tables", "figures", "checkpoints"):
        shutil.rmtree(killed.results / folder)
    long = {**TINY["training"], "budget": {"steps": 320}, "checkpoint_seconds": 0.1}
    killed.configure(training=long)
    environment = {**os.environ, "PYTHONPATH": str(killed.folder / "workflow")}
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "1", "--configfile", "config/tiny.yaml"],
        cwd=killed.folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not list((killed.results / "checkpoints").glob("*/evaluation-00000100.safetensors")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = {path: moment for path, moment in checkpoint_times(killed).items() if "evaluation" in path}
    assert kept
    locked = killed.snakemake(check=False)
    assert locked.returncode != 0
    advice = "if none is running, type `snakemake --unlock --configfile config/tiny.yaml` and then the same command"
    assert advice in locked.stdout
    assert "results/tiny: locked" not in killed.snakemake("--unlock").stdout
    assert "locked" not in killed.snakemake("-n").stdout
    killed.snakemake("tables")
    after = checkpoint_times(killed)
    finished_evaluations = {path: after[path] for path in kept}
    # At most the evaluation that followed the last checkpoint was made again
    assert sum(finished_evaluations[path] != kept[path] for path in kept) <= 1
    assert set(killed.table("tables/runs.parquet")["status"]) == {"finished"}


def test_a_failed_extension_of_a_finished_study_is_not_taken_for_done(finished: Project) -> None:
    finished.configure(training={**TINY["training"], "budget": {"steps": 1_000_000}})
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "config/tiny.yaml"],
        cwd=finished.folder,
        env={**os.environ, "PYTHONPATH": str(finished.folder / "workflow")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while len(list((finished.results / "checkpoints").glob("*/evaluation-00000100.safetensors"))) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for job in psutil.Process(process.pid).children(recursive=True):
        if "memsweep" in job.cmdline():
            job.kill()
    assert process.wait(timeout=120) != 0
    assert finished.jobs()["train"] == 2
    assert finished.jobs("results/tiny/figures/memorisation_time_train_size.pdf")["train"] == 2
    finished.configure(training={**TINY["training"], "budget": {"steps": 57}})
    finished.snakemake("tables")
    assert set(finished.table("tables/runs.parquet")["max_steps"]) == {56}
    assert finished.table("tables/trajectories.parquet")["step"].max() == 56


def test_jobs_whose_time_is_up_are_tried_again_and_continue(finished: Project, finished_once: Project) -> None:
    """And how long they may take makes no run stale."""
    limited = {**TINY["training"], "stop_after_minutes": 0.08}
    finished.configure(training=limited)
    assert finished.jobs() == {}
    finished.configure(training={**limited, "budget": {"steps": 10_000}})
    target = f"results/tiny/train/{PACKS[1]}/losses.parquet"
    said = finished.snakemake(target, "--retries", "1", check=False).stdout
    assert said.count("the time is up, and all is saved; run it again to continue from here") == 2
    finished.configure(training={**TINY["training"], "budget": {"steps": 100}})
    finished.snakemake(target)
    old = finished_once.table(f"train/{PACKS[1]}/losses.parquet")
    new = finished.table(f"train/{PACKS[1]}/losses.parquet").query("step <= 32")
    pd.testing.assert_frame_equal(rows_of(new, old["run_id"]), rows_of(old, old["run_id"]), check_exact=True)


STOPPED_WHILE_READ = """

import signal
signal.raise_signal(signal.SIGINT)
"""


def test_a_stop_while_the_workflow_is_read_is_one_line(tmp_path: Path) -> None:
    project = new_project(tmp_path / "project")
    snakefile = project.folder / "Snakefile"
    snakefile.write_text(snakefile.read_text() + STOPPED_WHILE_READ)
    result = project.snakemake(check=False)
    assert result.returncode == 1
    aside = ("Using workflow specific profile", "warning: ")  # of the tiny study's few samples
    said = [line for line in result.stdout.splitlines() if line.strip() and not line.startswith(aside)]
    assert said == ["stopped on request; the same command again goes on from here"]


EDITING = """

rule edit:
    output: "edited.txt"
    shell: "echo [ > config/tiny.yaml && touch {output} && ln -s nowhere config/.#tiny.yaml"


rule another_process:
    input: "edited.txt"
    output: "another_process.txt"
    run: Path(output[0]).write_text(STUDY.name)
"""


def test_a_study_that_is_edited_while_it_runs_is_for_its_jobs_what_it_was(tmp_path: Path) -> None:
    """A job in a process of Snakemake's own, as all are on a cluster, reads the study again."""
    project = new_project(tmp_path / "project")
    snakefile = project.folder / "Snakefile"
    snakefile.write_text(snakefile.read_text() + EDITING)
    project.snakemake("another_process.txt")
    assert (project.folder / "another_process.txt").read_text() == "tiny"


def test_how_to_train_makes_no_run_stale(finished: Project) -> None:
    finished.configure(
        training={**TINY["training"], "device": "cpu", "threads": 2, "checkpoint_seconds": 5, "keep_averages": True}
    )
    assert finished.jobs() == {}


def test_noise_levels_are_binned_again_without_training(finished: Project) -> None:
    finished.configure(evaluation={**TINY["evaluation"], "noise_levels": 4})
    jobs = finished.jobs()
    assert "train" not in jobs
    assert "measure" not in jobs
    assert jobs["collect"] == 1


def test_a_study_without_a_name_is_not_taken_for_the_embedded_one(finished: Project) -> None:
    path = finished.folder / "config" / "tiny.yaml"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if not line.startswith("study:")))
    result = finished.snakemake("-n", check=False)
    assert result.returncode != 0
    assert "config error: the study: missing 'study'" in result.stdout


@pytest.mark.parametrize("dry", [[], ["-n"]])
@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"grid": {**TINY["grid"], "products": [{"train_size": [4000]}]}}, "train_size 4000 is larger than the data"),
        ({"grid": {**TINY["grid"], "products": []}}, "grid.products: found []; accepted is a list of at least 1"),
        ({"confidense": 0.9}, "confidense: unknown key (did you mean 'confidence'?)"),
        ({"study": "digits"}, "study: the name 'digits' of config/tiny.yaml is also the name of config/config.yaml"),
    ],
)
def test_a_bad_config_is_one_sentence_and_starts_nothing(
    finished: Project, dry: list[str], section: dict[str, Any], expected: str
) -> None:
    finished.configure(**section)
    result = finished.snakemake(*dry, check=False)
    assert result.returncode != 0
    said = [line for line in result.stdout.splitlines() if "profile" not in line and line.strip()]
    assert len(said) == 1, result.stdout
    assert expected in said[0]
    assert not (finished.folder / "results" / "digits").exists()


def test_a_truncated_file_is_named_and_nothing_is_lost(finished: Project) -> None:
    path = finished.results / "train" / PACKS[0] / "samples.parquet"
    path.write_bytes(path.read_bytes()[:1000])
    before = checkpoint_times(finished)
    result = finished.snakemake(check=False)
    assert result.returncode != 0
    assert f"results/tiny/train/{PACKS[0]}/samples.parquet: not a whole Parquet file" in result.stdout
    assert "Traceback" not in result.stdout
    assert checkpoint_times(finished) == before
    path.unlink()
    finished.snakemake("tables")
    assert checkpoint_times(finished) == before


def test_what_else_lies_beside_the_tables_stops_no_stage(finished: Project) -> None:
    """What a killed `collect` had not finished, and a file of the user's own."""
    tables = finished.results / "tables"
    (tables / ".runs.parquet.abc123.parquet").write_bytes(b"PAR1")
    (tables / "mine.parquet").write_bytes(b"PAR1")
    (tables / "runs.parquet").unlink()
    finished.snakemake("--forcerun", "collect")
    assert not list(tables.glob(".runs.*"))
    assert (tables / "mine.parquet").read_bytes() == b"PAR1"
    assert {page.stem for page in (finished.results / "report").iterdir()} == set(TABLES)


def test_a_run_that_diverges_does_not_stop_the_study(finished: Project) -> None:
    finished.configure(**with_grid({"learning_rate": [1.0]}))
    finished.snakemake()
    runs = finished.table("tables/runs.parquet")
    assert len(runs) == 6
    assert set(runs["status"]) <= {"finished", "diverged"}


def test_the_report_shows_every_figure(finished: Project) -> None:
    finished.snakemake("--report", "report.html")
    text = (finished.folder / "report.html").read_text()
    for name in ALL_FIGURES:
        assert f"{name}.png" in text
    for name in TABLES:
        assert f"{name}.html" in text


def test_the_workflow_is_lint_clean_but_for_conda(finished: Project) -> None:
    output = finished.snakemake("--lint", check=False).stdout
    complaints = [line.strip() for line in output.splitlines() if line.startswith("    * ")]
    assert all("conda environment or container" in line for line in complaints), output
