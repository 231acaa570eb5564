"""The command ``verify``: holds the results of a study against themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from ..base.errors import UserError
from ..base.files import read_json
from ..base.records import RECORD
from ..base.sealed import Damaged, sealed_digest
from ..base.tensors import tensors_metadata
from ..data.datasets import content_hash
from ..data.images import read_images
from ..study.config import read_yaml
from ..study.kinds import open_study
from ..tables.contracts import SCHEMAS
from ..tables.parquet import check_table, metadata_of, read_arrow
from ..tables.together import check_together


def verify(file: Path, results: Path = Path("results")) -> None:
    """Say that a study's results are whole and belong together.

    Checked are the digest of every file that carries one; of tables, that they are those of their contracts; of
    images, their content hash; of a pack's tables, that they hold the runs that the study has there, trained on
    these images, and as many rows as these were evaluated; of checkpoints, that they are their runs'.

    Args:
        file: the study's YAML file.
        results: the folder of all studies' results.

    Raises:
        UserError: something is wrong, one sentence for each file; or there are no results.
    """
    study = open_study(read_yaml(file), [file])
    folder = results / study.name
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; accepted is a study that has results here")
    found = _Files()
    for path in _of_study(folder):
        found.look_at(path)
    if study.kind == "sweep" and not found.problems:
        found.problems += _lineage(study, folder)
    if found.problems:
        raise UserError(f"{len(found.problems)} of {found.looked_at} files are wrong\n" + "\n".join(found.problems))
    print(f"{folder}: {found.looked_at} files are whole and belong together")


class _Files:
    """What was looked at, and what is wrong with it."""

    def __init__(self) -> None:
        self.looked_at = 0
        self.problems: list[str] = []

    def look_at(self, path: Path) -> None:
        """Check what a file says of itself; files that carry no digest by their nature are passed over."""
        try:
            if path.name.startswith("damaged-"):
                self.problems.append(f"{path}: was set aside as damaged; delete it once the run is whole again")
            elif path.suffix == ".parquet":
                check_table(path)
            elif path.suffix == ".safetensors":
                sealed_digest(path)
                self._of_its_run(path, tensors_metadata(path))
            elif path.name in (RECORD, "run.json"):
                self._of_its_run(path, read_json(path))
            else:
                return
        except (UserError, OSError, ValueError) as error:
            self.problems.append(str(error))
        self.looked_at += 1

    def _of_its_run(self, path: Path, said: dict[str, Any]) -> None:
        """Raise `Damaged` where a file of a run's checkpoint is that of another run, or of another step."""
        if path.parent.parent.name != "checkpoints":
            return
        if said.get("run_id") != path.parent.name:
            raise Damaged(f"{path}: of the run {said.get('run_id')}, not of {path.parent.name}")
        kind, _, step = path.stem.partition("-")
        if kind in ("evaluation", "average") and int(said.get("step", -1)) != int(step):
            raise Damaged(f"{path}: the {kind} of step {said.get('step')}, not of the one that its name says")


def _lineage(study: Any, folder: Path) -> Iterator[str]:
    """What of a sweep's packs does not come from its images and its runs."""
    images = folder / "data" / "images.parquet"
    if not images.exists():
        return
    data = read_images(images)
    if content_hash(data.train, data.test) != data.data_hash:
        yield f"{images}: its images do not have the content hash that it says"
    yield from _said(data.check_settings, images, study.dataset())
    for tables in [folder / "tables", *folder.glob("substudies/*/tables")]:
        files = [*_of_study(folder / "data"), *_of_study(tables)]
        yield from _said(check_together, [path for path in files if path.suffix in (".parquet", ".safetensors")])
    yield from _empirical(folder / "empirical", data.data_hash)
    for job, runs in study.packs.items():
        pack = folder / "train" / job
        if not (pack / "runs.parquet").exists():
            continue
        table = read_arrow(pack / "runs.parquet", "runs").to_pandas()
        expected = {run.run_id for run in runs}
        if set(table["run_id"]) != expected:
            yield f"{pack / 'runs.parquet'}: holds other runs than the study has there; snakemake -n says why"
            continue
        if set(table["data_hash"]) != {data.data_hash}:
            yield f"{pack / 'runs.parquet'}: its runs were trained on other images than {images} holds"
        yield from _of_other_runs(pack, folder / "measure" / job, expected)
        yield from _rows(study, pack, expected)
    for job, runs in study.comparisons.items():
        compared = {run.run_id for run in runs}
        for name in study.job_files[f"agree/{job}"]:
            path = folder / "agree" / job / f"{name}.parquet"
            if path.exists() and not set(pc.unique(read_arrow(path, name)["run_id"]).to_pylist()) <= compared:
                yield f"{path}: holds rows of other runs than are compared there"


def _said(check: Callable[..., None], *arguments: Any) -> Iterator[str]:
    """What a check has against a file."""
    try:
        check(*arguments)
    except UserError as error:
        yield str(error)


def _of_study(folder: Path) -> list[Path]:
    """The files below a folder, without those that hide, or are the user's own among the tables."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return [path for path in files if path.parent.name != "tables" or path.stem in SCHEMAS]


def _empirical(folder: Path, data_hash: str) -> Iterator[str]:
    """Samples of posterior means that are those of other images, or of other sizes than their folders say."""
    for path in sorted(folder.glob("train_size=*/samples.parquet")):
        table = read_arrow(path, "empirical_samples")
        if metadata_of(table).get("data_hash") != data_hash:
            yield f"{path}: sampled from other images than those of the study"
        elif any(
            size != int(path.parent.name.partition("=")[2]) for size in pc.unique(table["train_size"]).to_pylist()
        ):
            yield f"{path}: holds samples of training sets of another size"


def _of_other_runs(pack: Path, measured: Path, expected: set[str]) -> Iterator[str]:
    """A pack's record, and tables of its metrics, that are not its own."""
    record = pack / RECORD
    if record.exists() and {run["run_id"] for run in read_json(record)["settings"]["runs"]} != expected:
        yield f"{record}: of other runs than the pack has"
    for name in ("metrics", "neighbours"):
        path = measured / f"{name}.parquet"
        if path.exists() and not set(pc.unique(read_arrow(path, name)["run_id"]).to_pylist()) <= expected:
            yield f"{path}: holds rows of other runs than the pack has"


def _rows(study: Any, pack: Path, expected: set[str]) -> Iterator[str]:
    """A pack's losses and samples that are not its own, or not as many as its evaluations."""
    evaluation = study.config["evaluation"]
    splits = 2 + len(evaluation["surrogates"])
    for name, rows in (("losses", splits * evaluation["images"]), ("samples", evaluation["samples"])):
        path = pack / f"{name}.parquet"
        if not path.exists():
            continue
        table = read_arrow(path, name).select(["run_id", "step"]).to_pandas()
        if not set(table["run_id"]) <= expected:
            yield f"{path}: holds rows of other runs than the pack has"
        if (table.groupby(["run_id", "step"]).size() != rows).any():
            yield f"{path}: not {rows} rows for each run and step that it holds"
