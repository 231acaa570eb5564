"""The command ``plan``: what a workflow would do with a study now, run by run, and why. It changes nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..base.errors import UserError
from ..base.files import read_json
from ..base.records import read_records
from ..base.sealed import Damaged
from ..base.tensors import tensors_metadata
from ..study.config import read_yaml, with_typed
from ..study.kinds import open_study
from ..study.retraining import trained_again
from ..study.run import Run
from ..study.sweep import Sweep
from ..training.version import TRAINING_VERSION
from .run_states import DIVERGED, DONE, run_states

# Rows that are shown at most of runs to which the same happens
MOST_ROWS = 40


@dataclass(frozen=True)
class Planned:
    """What happens to a run.

    Attributes:
        what: kept, continues, starts anew or new.
        why: in words; empty where there is nothing to say.
    """

    run: Run
    what: str
    why: str = ""


def print_plan(file: Path, typed: Sequence[str] = (), results: Path = Path("results")) -> None:
    """Print what ``snakemake`` would do with a study, from the files that are there.

    Args:
        file: the study's YAML file.
        typed: what else the config says, each ``key=value``, as ``snakemake --config`` takes it.
        results: the folder of all studies' results.

    Raises:
        UserError: the config is wrong, a record is damaged, or Snakemake cannot plan it.
    """
    study = open_study(with_typed(read_yaml(file), typed), [file])
    if study.kind == "sweep":
        print("\n".join(of_runs(study, results / study.name)))
    for warning in study.warnings:
        print(f"warning: {warning}")
    print("\n".join(_of_stages(file, typed, {figure.name for figure in study.figures})))


def of_runs(study: Sweep, folder: Path) -> Iterator[str]:
    """What happens to the runs of a sweep, in lines: how many, each that is trained, and whether a guard stops it."""
    planned = list(plan(study, folder))
    counts = Counter(each.what for each in planned)
    yield f"{len(planned)} runs: " + ", ".join(f"{count} {what}" for what, count in counts.items())
    trained = [each for each in planned if each.what != "kept"]
    for each in trained[:MOST_ROWS]:
        values = {**vars(each.run), **each.run.settings}
        axes = " ".join(f"{axis.column}={values[axis.name]}" for axis in study.varying)
        yield f"  {each.run.run_id} ({axes}): {each.what}{each.why}"
    if len(trained) > MOST_ROWS:
        yield f"  and {len(trained) - MOST_ROWS} more"
    if trained:
        try:
            study.guard([job for job in study.jobs if _is_trained(study, job, planned)], folder, TRAINING_VERSION)
        except UserError as error:
            yield f"It would stop before the first job. {error}"


def plan(study: Sweep, folder: Path) -> Iterator[Planned]:
    """What happens to each run of a sweep whose results lie in ``folder``; errors as of `print_plan`."""
    states = {each.run.run_id: each.state for each in run_states(study, folder)}
    ended = {run_id for run_id, state in states.items() if state in (DONE, DIVERGED)}
    jobs = [job for job, runs in study.packs.items() if not ended.issuperset(run.run_id for run in runs)]
    records = list(read_records(folder / "train" / job for job in jobs))
    again: dict[str, set[str]] = {}
    for run, reasons in trained_again(study.config, study.runs, records, TRAINING_VERSION, folder / "checkpoints"):
        again.setdefault(run.run_id, set()).update(reasons)
    data_hash = _data_hash(folder / "data" / "images.parquet")
    for run in study.runs:
        if run.run_id in again:
            yield Planned(
                run, "starts anew", f", as {'; '.join(sorted(again[run.run_id])) or 'its parameters changed'}"
            )
        elif run.run_id in ended:
            yield Planned(run, "kept")
        else:
            yield _of_checkpoint(run, folder / "checkpoints" / run.run_id, data_hash)


def _of_checkpoint(run: Run, checkpoint: Path, data_hash: str) -> Planned:
    """What happens to a run that is not finished: by its checkpoint, where it has one."""
    try:
        found: Mapping[str, str] = read_json(checkpoint / "run.json")["provenance"]
    except (OSError, Damaged, KeyError):
        return Planned(run, "new")
    now = {"code_version": TRAINING_VERSION, "data_hash": data_hash or found.get("data_hash", "")}
    told = {"code_version": "the training code", "data_hash": "the content of the images"}
    differs = [f"{told[key]} was {found.get(key)}, is {now[key]}" for key in now if found.get(key) != now[key]]
    if differs:
        return Planned(run, "starts anew", f", as {'; '.join(differs)}")
    if step := _saved_step(checkpoint):
        return Planned(run, "continues", f" from step {step} of {run.max_steps}")
    if any(checkpoint.glob("evaluation-*")):
        return Planned(run, "starts anew", ", as no training state of it was saved; its evaluations are kept")
    return Planned(run, "new")


def _saved_step(checkpoint: Path) -> int:
    for name in ("state.safetensors", "state-before.safetensors"):
        try:
            return int(tensors_metadata(checkpoint / name)["step"])
        except (OSError, Damaged, KeyError, ValueError):
            continue
    return 0


def _data_hash(images: Path) -> str:
    """The content hash of the images that are prepared; nothing where none are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from ..tables.parquet import schema_metadata

    try:
        return schema_metadata(pq.read_schema(images)).get("data_hash", "")
    except (OSError, pa.ArrowInvalid):
        return ""


def _is_trained(study: Sweep, job: str, planned: Sequence[Planned]) -> bool:
    kept = {each.run.run_id for each in planned if each.what == "kept"}
    return not kept.issuperset(run.run_id for run in study.packs[job])


def _of_stages(file: Path, typed: Sequence[str], figures: set[str]) -> Iterator[str]:
    """How many jobs of each stage would be run, as a dry run of Snakemake says, which locks and writes no results.

    Raises:
        UserError: Snakemake says why there is no plan.
    """
    if not Path("Snakefile").is_file():
        yield "What is done after training, a dry run says where the Snakefile lies; there is none here."
        return
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules", "--cores", "1", "--configfile", str(file)]
    done = subprocess.run([*command, *(["--config", *typed] if typed else [])], capture_output=True, text=True)
    said = done.stdout + done.stderr
    if done.returncode:
        raise UserError(f"snakemake -n: {said.strip()}")
    stats = re.search(r"^job +count\n[- ]+\n(.*?)^total", said, re.MULTILINE | re.DOTALL)
    if not stats:
        yield "Nothing to be done: all results are there, and of this config and code."
        return
    counts = [line.split() for line in stats[1].splitlines()]
    jobs = {rule: int(count) for rule, count in counts if rule not in ("all", "figures", "tables")}
    stages = Counter[str]()
    for rule, count in jobs.items():
        stages["figures" if rule in figures else rule] += count
    yield "Jobs: " + ", ".join(f"{count} {stage}" for stage, count in stages.items())
    if "prepare" in jobs and Path("results").is_dir():
        yield "Images are prepared again; where their content is another one then, all runs start anew."
