"""How the workflow itself grows with the number of runs: dry runs, jobs, figures, tables.

    python benchmarks/scale.py              # some quarter of an hour on two cores
    python benchmarks/scale.py --execute-at-most 5000    # the largest study is planned, its jobs are not run
    python benchmarks/scale.py --axes 5     # ten thousand runs over eight axes beside the same over three, five times

Training is left out: a stub in place of each stage touches the files that the stage would write,
so that what is measured is Snakemake and the study's own code. The tables that are collected
are real ones, of fabricated numbers. Two layouts: 20 runs per pack, as the default packs
(4 learning rates, 5 seeds), and one run a pack, the worst case.

Elapsed time is that of a machine that may do other things; processor time, which the figure shows,
is distorted less by them. Memory is the peak resident size of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import yaml
from memsweep.analysis.collect import KEYS, by_noise_level, gather
from memsweep.analysis.mean_losses import mean_losses
from memsweep.study.kinds import open_study
from memsweep.tables.parquet import write_table

ROOT = Path(__file__).parents[1]
LAYOUTS = {"20 runs per pack": ["learning_rate", "seed"], "one run per pack": []}
FIGURE = "results/scale/figures/peaks.pdf"

COLLECTED = ("runs", "trajectories", "noise_levels", "metrics", "agreement", "agreement_over_pairs")
ANALYSED = (
    "onsets",
    "scaling",
    "thresholds",
    "local_slopes",
    "ratios",
    "peaks",
    "onsets_over_repetitions",
    "fidelity_trends",
    "rates",
    "rate_trends",
    "leads",
    "excess",
    "copied_images",
    "copied_first",
)
CONCLUDED = ("law", "law_fit", "law_errors", "collapse", "descents")
TABLES = (*COLLECTED, *ANALYSED, *CONCLUDED, "baselines", "claims")

# Stands where the rules look for `python`: it writes the names of a stage's files, and nothing in them.
STUB = """#!/bin/bash
stage=$3; shift 3
outputs=()
while [ $# -gt 0 ]; do
  if [ "$1" = --output ]; then
    shift
    while [ $# -gt 0 ] && [ "${1#--}" = "$1" ]; do outputs+=("$1"); shift; done
  else
    shift
  fi
done
case $stage in
  train) files="runs losses samples" ;;
  measure) files="metrics neighbours" ;;
  collect) files="runs trajectories noise_levels metrics agreement agreement_over_pairs" ;;
  analyse) files="onsets onsets_over_repetitions scaling thresholds local_slopes ratios peaks fidelity_trends"
    files="$files rates rate_trends leads excess copied_images copied_first" ;;
  conclude) files="law law_fit law_errors collapse descents" ;;
esac
if [ "$stage" = pages ]; then
  for table in TABLES; do
    echo > "$outputs/$table.html"
  done
elif [ -n "$files" ]; then
  for file in $files; do echo > "$outputs/$file.parquet"; done
else
  for file in "${outputs[@]}"; do echo > "$file"; done
fi
"""


def study(runs: int, pack: list[str]) -> dict[str, Any]:
    """A study of as many runs: 4 learning rates and 5 seeds at each of many training-set sizes."""
    return {
        "study": "scale",
        "dataset": {"name": "digits"},
        "grid": {
            "base": {"base_channels": 16, "batch_size": 16},
            "products": [
                {
                    "train_size": list(range(16, 16 + runs // 20)),
                    "learning_rate": [1e-5, 5e-5, 1e-4, 4e-4],
                    "seed": [0, 1, 2, 3, 4],
                }
            ],
        },
        "pack": pack,
        "network": {"channel_multipliers": [1, 2], "attention_levels": [1]},
        "training": {"budget": {"epochs": 10_000}},
    }


def study_of_eight_axes() -> dict[str, Any]:
    """Ten thousand runs in five hundred packs of twenty, as `study` has, over eight axes, four of them settings."""
    config = study(10_000, ["learning_rate", "seed", "training.flip"])
    config["grid"]["products"] = [
        {
            "train_size": [16, 32, 64, 128, 256],
            "base_channels": [16, 32, 48, 64, 80],
            "batch_size": [1, 2, 4, 8, 16],
            "network.attention_levels": [[], [1]],
            "formulation.name": ["rectified_flow", "ddpm"],
            "learning_rate": [1e-5, 1e-4],
            "seed": [0, 1, 2, 3, 4],
            "training.flip": [False, True],
        }
    ]
    return config


class Project:
    """A copy of the workflow in which no stage does any work."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.folder, self.config = folder, config
        folder.mkdir(exist_ok=True)
        for part in ("profiles", "workflow"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy2(ROOT / "Snakefile", folder)
        (folder / "config").mkdir()
        self.configure(config)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
        self.python = folder / "venv" / "bin" / "python3"
        site = next((folder / "venv").glob("lib/python*/site-packages"))
        here = [path for path in sys.path if path and path not in (str(Path(__file__).parent), str(ROOT / "workflow"))]
        (site / "here.pth").write_text("\n".join([str(folder / "workflow"), *here]) + "\n")
        stub = folder / "venv" / "bin" / "python"
        # python3 must not be a link to the stub
        self.python.unlink()
        self.python.symlink_to(Path(sys.executable).resolve())
        stub.unlink()
        stub.write_text(STUB.replace("TABLES", " ".join(TABLES)))
        stub.chmod(0o755)

    def configure(self, config: dict[str, Any]) -> None:
        (self.folder / "config" / "scale.yaml").write_text(yaml.safe_dump(config))

    def pretend_tables(self) -> None:
        """The files from which figures are drawn."""
        for table in TABLES:
            path = self.folder / "results" / "scale" / "tables" / f"{table}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()

    def snakemake(self, *arguments: str) -> dict[str, float]:
        """Run Snakemake; returns seconds, MB and, of a dry run, the number of jobs."""
        command = [str(self.python), "-m", "snakemake", "--cores", "2", "-q", "rules"]
        command += ["--configfile", "config/scale.yaml", *arguments]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        found, said = watched(command, cwd=self.folder, env=environment)
        jobs = re.search(r"^total +(\d+)$", said, re.MULTILINE)
        return {**found, "jobs": int(jobs[1]) if jobs else 0}


def watched(command: list[str], **options: Any) -> tuple[dict[str, float], str]:
    """Run a command; returns its elapsed and processor seconds and its peak memory in MB, and what it said."""
    with tempfile.TemporaryFile("w+") as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=output, **options)
        peak, ended = 0, 0
        while not ended:
            peak = max(peak, peak_kb(process.pid))
            time.sleep(0.02)
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        seconds = time.perf_counter() - start
        output.seek(0)
        said = output.read()
    if status:
        raise SystemExit(f"{' '.join(command)}\n{said}")
    return {"seconds": seconds, "processor_seconds": usage.ru_utime + usage.ru_stime, "mb": peak / 1e3}, said


def peak_kb(process: int) -> int:
    """Peak resident size of a process so far. (Linux; `wait4` would count what its parent held when it started.)"""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def measure(runs: int, pack: list[str], evaluations: int, execute_at_most: int) -> dict[str, Any]:
    """Every measurement of one size and layout; the jobs are run where there are at most ``execute_at_most``."""
    config = study(runs, pack)
    with tempfile.TemporaryDirectory() as name:
        project = Project(Path(name), config)
        found: dict[str, Any] = {"dry run": project.snakemake("-n")}
        jobs = found["jobs"] = found["dry run"]["jobs"]
        if jobs <= execute_at_most:
            whole = project.snakemake()
            for key in ("seconds", "processor_seconds"):
                found[f"{key}_a_job"] = (whole[key] - found["dry run"][key]) / jobs
            found["dry run, nothing to do"] = project.snakemake("-n")
            if found["dry run, nothing to do"]["jobs"]:
                raise SystemExit("jobs are left after a whole run")
            project.configure(study(runs + 20, pack))
            found["dry run, one value more"] = project.snakemake("-n")
            project.configure(config)
        else:
            project.pretend_tables()
            project.snakemake("--allowed-rules", "peaks", "--", FIGURE)
        found["up-to-date figure"] = project.snakemake("--allowed-rules", "peaks", "--", FIGURE)
        found["collecting the metrics"] = collect_metrics(project.folder, config, evaluations)
    return found


def collect_metrics(folder: Path, config: dict[str, Any], evaluations: int) -> dict[str, float]:
    """Gather the metrics of all packs, six a run and evaluation, in a process of its own.

    Each pack has a file; they have one content, so that there are ten thousand in little time.
    """
    packs = open_study(config).packs
    kinds = [("f_mem", "pixels", reference) for reference in ("train", "control")]
    spaces = ("pixels", "classifier")
    kinds += [("sliced_wasserstein", space, reference) for space in spaces for reference in ("train", "test")]
    one = pd.DataFrame(
        [(step, *kind) for step in range(evaluations) for kind in kinds],
        columns=["step", "metric", "space", "reference"],
    ).astype({"step": "Int64"})
    source = np.random.default_rng(0)
    members = next(iter(packs.values()))
    table = pd.concat([one.assign(run_id=run.run_id) for run in members], ignore_index=True)
    value = source.random(len(table))
    table = table.assign(value=value, ci_low=value * 0.9, ci_high=value * 1.1, generated=2000)
    write_table(folder / "metrics.parquet", "metrics", table)
    for job in packs:
        (folder / "measure" / job).mkdir(parents=True)
        (folder / "measure" / job / "metrics.parquet").hardlink_to(folder / "metrics.parquet")
    (folder / "jobs.json").write_text(json.dumps(list(packs)))
    return watched([sys.executable, __file__, "--gather", str(folder)])[0]


def trajectory_seconds(evaluations: int, images: int = 5120, runs: int = 4) -> float:
    """Processor seconds per run that its trajectory takes to collect at the default number of evaluated images."""
    source = np.random.default_rng(0)
    frames = [
        pd.DataFrame(
            {
                "run_id": f"{run:012x}",
                "step": step,
                "split": split,
                "item": np.arange(images),
                "index": np.arange(images) % 1000,
                "time": source.random(images, dtype=np.float32),
                "loss": source.random(images, dtype=np.float32),
            }
        )
        for run in range(runs)
        for step in range(evaluations)
        for split in ("train", "test")
    ]
    losses = pd.concat(frames, ignore_index=True)
    start = time.process_time()
    mean_losses(losses, KEYS, 0.95)
    mean_losses(by_noise_level(losses, 8), [*KEYS, "noise_level"], 0.95)
    return (time.process_time() - start) / runs


def compare_axes(pairs: int, output: Path) -> None:
    """Plan ten thousand runs over eight axes and over three in turn, and keep the ratios of what that takes."""
    studies = {"three axes": study(10_000, LAYOUTS["20 runs per pack"]), "eight axes": study_of_eight_axes()}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in studies}
    with tempfile.TemporaryDirectory() as folder:
        projects = {name: Project(Path(folder) / name.replace(" ", "-"), config) for name, config in studies.items()}
        for _ in range(pairs):
            for name, project in projects.items():
                found[name].append(project.snakemake("-n"))
    ratios = {
        quantity: [
            eight[quantity] / three[quantity]
            for eight, three in zip(found["eight axes"], found["three axes"], strict=True)
        ]
        for quantity in ("seconds", "processor_seconds", "mb")
    }
    output.write_text(json.dumps({"cpu_count": os.cpu_count(), "dry runs": found, "ratios": ratios}, indent=1) + "\n")
    for quantity, values in ratios.items():
        spread = f"{min(values):.2f} to {max(values):.2f}"
        print(f"{quantity}: eight axes take {statistics.median(values):.2f} of three ({spread}, {pairs} pairs)")


def summary(found: dict[str, Any]) -> str:
    parts = [
        "{} {seconds:.1f} s ({processor_seconds:.1f}) {mb:.0f} MB".format(name, **found[name])
        for name in MEASURED
        if name in found
    ]
    if "seconds_a_job" in found:
        parts.insert(0, "{seconds_a_job:.4f} s per job ({processor_seconds_a_job:.4f})".format(**found))
    return "; ".join(parts)


MEASURED = (
    "dry run",
    "dry run, one value more",
    "dry run, nothing to do",
    "up-to-date figure",
    "collecting the metrics",
)


def slope(runs: list[int], values: list[float]) -> float:
    """Exponent k of value ∝ runs^k between the two largest sizes."""
    return float(np.log(values[-1] / values[-2]) / np.log(runs[-1] / runs[-2]))


def draw(result: dict[str, Any], path: Path) -> None:
    """Time and memory against the number of runs, both logarithmic, with the slope of the last decade."""
    colours = dict(zip(MEASURED, plt.get_cmap("viridis")(np.linspace(0, 0.85, len(MEASURED))), strict=True))
    figure, panels = plt.subplots(2, len(LAYOUTS), figsize=(10, 8), sharex=True, sharey="row", layout="constrained")
    for column, layout in enumerate(result["layouts"]):
        sizes = result["layouts"][layout]
        runs = [int(size) for size in sizes]
        for row, (quantity, label) in enumerate(
            (("processor_seconds", "processor time (s)"), ("mb", "peak memory (MB)"))
        ):
            panel = panels[row, column]
            for marker, name in zip("osD^v", MEASURED, strict=True):
                known = [size for size in runs if name in sizes[str(size)]]
                values = [sizes[str(size)][name][quantity] for size in known]
                text = f"{name}: {slope(known, values):.2f}" if len(known) > 1 else name
                panel.loglog(known, values, marker + "-", color=colours[name], label=text, markersize=5)
            if row == 0:
                start = panel.get_ylim()[0]
                panel.loglog(runs, [start * size / runs[0] for size in runs], ":", color="0.5", label="linear: 1.00")
                panel.set_title(layout)
            panel.legend(fontsize=8, title="exponent, last decade", title_fontsize=8, loc="upper left")
            panel.set_ylabel(label if column == 0 else "")
            panel.grid(alpha=0.3, which="major")
        panels[1, column].set_xlabel("runs")
    for row in panels:
        low, high = row[0].get_ylim()
        row[0].set_ylim(low, high * 12)  # room for the legend
    figure.savefig(path.with_suffix(".pdf"))
    figure.savefig(path.with_suffix(".png"), dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, nargs="+", default=[100, 1000, 10_000], help="multiples of 20")
    parser.add_argument("--layouts", nargs="+", choices=list(LAYOUTS), default=list(LAYOUTS))
    parser.add_argument("--execute-at-most", type=int, default=10**9, help="jobs; a larger study is only planned")
    parser.add_argument("--evaluations", type=int, default=25, help="evaluations per run")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "scale.json")
    parser.add_argument("--axes", type=int, metavar="PAIRS", help="compare eight axes with three, and nothing else")
    parser.add_argument("--gather", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.axes:
        return compare_axes(arguments.axes, arguments.output.with_name("scale_axes.json"))
    if arguments.gather:
        jobs = json.loads((arguments.gather / "jobs.json").read_text())
        runs_of = {job: pd.DataFrame({"run_id": runs}) for job, runs in jobs.items()}
        folder = arguments.gather
        return gather(folder / "measure", runs_of, folder / "train", "metrics", folder / "tables", {})

    seconds = statistics.median(trajectory_seconds(arguments.evaluations) for _ in range(3))
    result: dict[str, Any] = {
        "cpu_count": os.cpu_count(),
        "load_average_at_the_start": round(os.getloadavg()[0], 2),
        "trajectory_seconds_a_run": round(seconds, 4),
        "layouts": {layout: {} for layout in arguments.layouts},
    }
    if arguments.output.exists():
        before = json.loads(arguments.output.read_text())["layouts"]
        result["layouts"] = {layout: before.get(layout, {}) for layout in LAYOUTS}
    for runs in sorted(arguments.runs):
        for layout in arguments.layouts:
            found = measure(runs, LAYOUTS[layout], arguments.evaluations, arguments.execute_at_most)
            sizes = {**result["layouts"][layout], str(runs): found}
            result["layouts"][layout] = dict(sorted(sizes.items(), key=lambda item: int(item[0])))
            print(f"{runs} runs, {layout}: {summary(found)}", flush=True)
            arguments.output.parent.mkdir(parents=True, exist_ok=True)
            arguments.output.write_text(json.dumps(result, indent=2) + "\n")
    draw(result, arguments.output)
    return None


if __name__ == "__main__":
    main()
