"""The reference study on a GPU: its training jobs, packed for a machine that has nothing but torch's usual companions.

    python benchmarks/gpu_reference.py --images results/cifar10_reference/data/images.parquet --output FOLDER

writes `images.parquet`, of all images those that the study needs, and `study.json`, which `gpu.py --study FOLDER`
trains from. What comes back is a folder of
tables for each pack, as the workflow's rule `train` writes them: unpacked below `results/cifar10_reference/train/`,
`snakemake --configfile config/cifar10_reference.yaml` does the rest.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

ROOT = Path(__file__).parents[1]
STUDY = ROOT / "config" / "cifar10_reference.yaml"


def carry(study: Path, images: Path, output: Path) -> None:
    """Write the settings of the study's training jobs, and beside them the images that its runs see.

    The table says that its content is that of all images, so that what is trained on it passes for trained on them.
    """
    from memsweep.base.sealed import KEY
    from memsweep.study.config import read_yaml, resolve
    from memsweep.study.sweep import Sweep
    from memsweep.tables.parquet import metadata_of, read_arrow, write_table

    sweep = Sweep(resolve(read_yaml(study)))
    output.mkdir(parents=True, exist_ok=True)
    jobs = {job: json.loads(sweep.train(job)) for job in sweep.packs}
    (output / "study.json").write_text(json.dumps(jobs, indent=1) + "\n")
    table = read_arrow(images, "images")
    largest = max(run.train_size for run in sweep.runs)
    is_train = pc.equal(table["split"], "train")
    seen = np.cumsum(is_train.to_numpy()) <= largest
    kept = table.filter(pc.or_(pc.invert(is_train), pa.array(seen)))
    metadata = {name: value for name, value in metadata_of(table).items() if name not in ("table", KEY)}
    write_table(output / "images.parquet", "images", kept, metadata)


def _job(settings: dict[str, Any], images: Path, folder: Path, tables: Path, device: str) -> subprocess.Popen[str]:
    """A training job, its log beside its tables."""
    command = [sys.executable, "-m", "memsweep", "train", "--images", str(images), "--device", device]
    command += ["--checkpoints", str(folder / "checkpoints"), "--output", str(tables), "--drop-states"]
    log = (folder / "train.log").open("a")
    job = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log, text=True)
    assert job.stdin is not None
    job.stdin.write(json.dumps(settings))
    job.stdin.close()
    return job


def shorter(jobs: dict[str, Any], length: float) -> dict[str, Any]:
    """The same jobs with a lower budget, which keeps every evaluation within it."""
    from memsweep.study.schedule import evaluation_steps

    jobs = json.loads(json.dumps(jobs))
    for settings in jobs.values():
        settings["training"]["budget"] = dict.fromkeys(settings["training"]["budget"], length)
        for run in settings["runs"]:
            schedule = settings["training"]["budget"], settings["evaluation"], run["train_size"], run["batch_size"]
            run["max_steps"] = evaluation_steps(*schedule)[-1]
    return jobs


def train(study: Path, output: Path, device: str, seconds: float) -> dict[str, Any]:
    """Train all runs in one job, at most so long, and write the tables of each pack up to the longest budget reached.

    Args:
        study: folder that `carry` wrote.
        output: folder that receives a compressed folder of tables for each pack, and the log.
        device: ``cuda`` or ``cpu``.
        seconds: after which the runs are stopped, as a cluster would stop them.
    """
    jobs = json.loads((study / "study.json").read_text())
    output.mkdir(parents=True, exist_ok=True)
    everything = dict(next(iter(jobs.values())))
    everything["runs"] = [run for settings in jobs.values() for run in settings["runs"]]
    started = time.monotonic()
    job = _job(everything, study / "images.parquet", output, output / "all", device)
    try:
        status = job.wait(seconds)
    except subprocess.TimeoutExpired:
        job.terminate()
        status = job.wait(60)
    trained = time.monotonic() - started
    ((whole,),) = {tuple(settings["training"]["budget"].values()) for settings in jobs.values()}
    for length in (whole, *(x for x in (10 ** (k / 4) for k in range(20, 5, -1)) if x < whole)):
        kept = shorter(jobs, length)
        ends = [(run["run_id"], run["max_steps"]) for settings in kept.values() for run in settings["runs"]]
        if all((output / "checkpoints" / name / f"evaluation-{step:08d}.safetensors").exists() for name, step in ends):
            break
    else:
        return {"status": status, "seconds": trained, "passed": False}
    writing = {name: _job(kept[name], study / "images.parquet", output, output / name, "cpu") for name in kept}
    for name, writer in writing.items():
        tables = output / name
        if writer.wait(120):
            return {"status": "tables could not be written", "seconds": trained, "passed": False}
        with tarfile.open(output / f"{name.replace('/', '+')}.tar", "w") as packed:
            packed.add(tables, arcname=name)
    return {"status": status, "seconds": trained, "budget": length, "last steps": dict(ends), "passed": True}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=STUDY)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    carry(arguments.config, arguments.images, arguments.output)


if __name__ == "__main__":
    main()
