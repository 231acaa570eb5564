"""The command ``summary --partial``: tables and figures of what is finished so far of a sweep, apart from its own.

They are made of the packs that are trained and measured, by what the workflow's stages call, and without it: a sweep
that is running is not touched, and takes nothing from here.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..analysis.analyse import analyse
from ..analysis.collect import collect
from ..analysis.conclude import conclude
from ..base.errors import UserError
from ..claims.judge import judge
from ..figures.draw import draw_figure
from ..study.kinds import open_sweep
from ..study.sweep import Sweep
from .summary.page import write_summary

FORMATS = ("pdf", "png")
# Beside the packs' tables: those that do not depend on how many are finished
WHOLE = ("baselines", "metric_check")


@dataclass(frozen=True)
class Partial:
    """What was made of the part of a study that is finished.

    Attributes:
        folder: that of ``tables`` and ``figures``.
        runs, of: how many runs are in it, and in the study.
        left_out: figures that cannot be drawn of it, with the reason.
    """

    folder: Path
    runs: int
    of: int
    left_out: dict[str, str]

    @property
    def stamp(self) -> str:
        """What has to stand at the head of whatever is shown of it."""
        return (
            f"Partial: {self.runs} of {self.of} runs. Runs whose pack is not yet trained and measured are left out, "
            f"so onsets, exponents and their intervals are not those of the study."
        )


def print_partial(file: Path, results: Path = Path("results")) -> None:
    """Make the partial tables, figures and summary of a study, and say what they are; errors as of `write_partial`."""
    study = open_sweep(file, "whose packs are finished one by one")
    made = write_partial(study, results)
    print(made.stamp)
    for figure, reason in made.left_out.items():
        print(f"without {figure}: {reason}")
    page = made.folder / "summary.html"
    write_summary(study.config, results / study.name, page, partial=made.stamp, shown=made.folder)
    print(f"{page}: the answer so far; tables and figures lie beside it")


def write_partial(study: Sweep, results: Path) -> Partial:
    """Write ``tables``, ``figures`` and ``partial.txt`` below ``<study>/partial``, in place of those before.

    Args:
        study: the sweep.
        results: the folder of all studies' results.

    Raises:
        UserError: no pack is trained and measured, or a table of one is damaged or of other runs.
    """
    place = results / study.name
    jobs = [job for job in study.jobs if _is_made(study, place, f"train/{job}", f"measure/{job}")]
    if not jobs:
        raise UserError(f"{place}: no pack is trained and measured yet; accepted is at least one")
    compared = [
        job
        for job in study.comparisons
        if _is_made(study, place, f"agree/{job}") and set(study.packs_of(job)) <= set(jobs)
    ]
    output = results / study.place / "partial"
    shutil.rmtree(output, ignore_errors=True)
    tables, chosen = output / "tables", {"jobs": jobs, "comparisons": compared}
    train, measured, agreed = (place / name for name in ("train", "measure", "agree"))
    collect({**json.loads(study.collect()), **chosen}, train, measured, agreed, tables)
    losses = {job: train / job / "losses.parquet" for job in jobs}
    neighbours = {job: measured / job / "neighbours.parquet" for job in jobs}
    images = place / "data" / "images.parquet"
    analyse({**json.loads(study.analyse()), **chosen}, images, tables, losses, neighbours, agreed, tables)
    conclude(json.loads(study.conclude()), tables, tables)
    for name in WHOLE:
        if (table := results / study.place / "tables" / f"{name}.parquet").exists():
            shutil.copyfile(table, tables / table.name)
    judge(json.loads(study.judge()), tables, tables / "claims.parquet")
    left_out = dict(_draw(study, place, output))
    made = Partial(output, sum(len(study.packs[job]) for job in jobs), len(study.runs), left_out)
    (output / "partial.txt").write_text(f"{made.stamp}\n")
    return made


def _is_made(study: Sweep, place: Path, *jobs: str) -> bool:
    return all((place / job / f"{name}.parquet").exists() for job in jobs for name in study.job_files[job])


def _draw(study: Sweep, place: Path, output: Path) -> Iterator[tuple[str, str]]:
    """Draw what can be drawn; yields the other figures, with the reason."""
    sheet = study.sheet_run()[0]
    packs = {"runs": "train", "samples": "train", "neighbours": "measure"}
    for figure in (figure for figure in study.figures if figure.when(study)):
        sources = {}
        for table in figure.tables:
            pack, _, name = table.rpartition("/")
            folder = place / packs[name] / sheet if pack else output / "tables"
            sources[name] = place / "data" / "images.parquet" if name == "images" else folder / f"{name}.parquet"
        missing = [name for name, path in sources.items() if not path.exists()]
        for axis in study.axes if "{axis}" in figure.path else [""]:
            path = figure.path.format(axis=axis)
            if missing:
                yield path, f"there is no table {', '.join(missing)} yet"
                continue
            settings = json.loads(study.figure(figure, **({"axis": axis} if axis else {})))
            try:
                draw_figure(settings, sources, [output / "figures" / f"{path}.{kind}" for kind in FORMATS])
            except UserError as error:
                yield path, str(error)
