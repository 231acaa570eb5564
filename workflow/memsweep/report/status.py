"""The command ``status``: how far a study is, while it runs and afterwards. It reads files, and disturbs nothing."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..base.durations import duration
from ..base.errors import UserError
from ..base.locks import is_locked
from ..study.config import read_yaml
from ..study.kinds import open_study
from ..tables.parquet import read_table
from .job_logs import failed, failure, has_ended
from .run_states import DIVERGED, DONE, FAILED, RUNNING, STATES, WAITING, RunState, run_states

# Seconds between two looks, at least
SHORTEST_WATCH = 0.5
# Rows that are shown of a state at most; of runs that wait or are done, all say the same
MOST_ROWS = 40

_COLOURS = {RUNNING: "cyan", FAILED: "bold red", DIVERGED: "red", DONE: "green", WAITING: "dim"}


@dataclass
class Status:
    """How far a study is.

    Attributes:
        headings, rows: a table of its runs, or jobs, as texts; one of the headings is ``state``.
        lines: what else there is to say, in sentences.
        over: whether nothing is left to be done, or goes on.
    """

    headings: list[str]
    rows: list[list[str]]
    lines: list[str] = field(default_factory=list)
    over: bool = False


def print_status(file: Path, watch: float | None = None, results: Path = Path("results")) -> None:
    """Print how far a study is: in a terminal as a table, else as aligned text.

    Args:
        file: the study's YAML file.
        watch: seconds after which to look again, until nothing is left to be done or the user has seen enough.
        results: the folder of all studies' results.

    Raises:
        UserError: the file is wrong, or the seconds are.
    """
    if watch is not None and not SHORTEST_WATCH <= watch <= 86400:
        raise UserError(f"--watch: found {watch:g}; accepted are seconds from {SHORTEST_WATCH:g} to 86400")
    study = open_study(read_yaml(file), [file])
    console = Console()
    if not watch:
        console.print(_shown(status(study, results))) if console.is_terminal else _print_plain(status(study, results))
        return
    try:
        _watch(study, results, watch, console)
    except KeyboardInterrupt:
        return


def _watch(study: Any, results: Path, seconds: float, console: Console) -> None:
    """Show the status again and again until the study is over."""
    if not console.is_terminal:
        while not (found := status(study, results)).over:
            _print_plain(found)
            print(flush=True)
            time.sleep(seconds)
        _print_plain(found)
        return
    with Live(console=console, auto_refresh=False) as live:
        while True:
            found = status(study, results)
            live.update(_shown(found), refresh=True)
            if found.over:
                return
            time.sleep(seconds)


def status(study: Any, results: Path) -> Status:
    """How far a study of any kind is.

    Args:
        study: of a class of `study.kinds`.
        results: the folder of all studies' results.
    """
    folder = results / study.name
    found = _of_runs(study, folder) if study.kind == "sweep" else _of_jobs(study, folder)
    told = {row[-1] for row in found.rows}
    found.lines += [f"{log}: {said}" for log, said in failed(folder / "logs").items() if str(log) not in told]
    found.lines += [f"warning: {sentence}" for sentence in _warnings(study, results / study.place / "tables")]
    drawn = sum((results / study.place / "figures" / f"{name}.pdf").exists() for name in study.drawn)
    found.over = found.over and (drawn == len(study.drawn) or not is_locked(str(folder)))
    found.lines.append(f"{drawn} of {len(study.drawn)} figures are drawn")
    return found


def _warnings(study: Any, tables: Path) -> list[str]:
    """What to know of a study beforehand, and of its tables, where they are there, about budgets."""
    from ..analysis.shortfall import shortfalls

    fits = tables / "law_fit.parquet"
    if study.kind != "sweep" or not fits.exists():
        return list(study.warnings)
    try:
        return [*study.warnings, *shortfalls(read_table(fits, "law_fit"))]
    except UserError:  # damaged, as `verify` says
        return list(study.warnings)


def _of_runs(study: Any, folder: Path) -> Status:
    states = run_states(study, folder)
    headings = ["run", *(axis.column for axis in study.varying)]
    headings += ["state", "step", "train loss", "f_mem", "images/s", "left", "device", "log"]
    counts = Counter(each.state for each in states)
    shown = [each for state in STATES for each in [one for one in states if one.state == state][:MOST_ROWS]]
    rows = []
    for each in shown:
        values = (_value(each.run.at(axis.name)) for axis in study.varying)
        rows.append([each.run.run_id, *values, *_cells(each)])
    lines = [_summary(states, counts)]
    if len(shown) < len(states):
        lines.append(f"of each state, the first {MOST_ROWS} runs are shown")
    lines += [f"{each.run.run_id}: {each.said}" for each in states if each.state == FAILED]
    lines += _jobs_done(study, folder, measure="packs are measured", agree="comparisons of runs are made")
    return Status(headings, rows, lines, not counts[RUNNING] and not counts[WAITING])


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _jobs_done(study: Any, folder: Path, **told: str) -> list[str]:
    """A sentence a stage: how many of its jobs are done."""
    lines = []
    for stage, sentence in told.items():
        if jobs := [job for job in study.job_files if job.startswith(f"{stage}/")]:
            lines.append(f"{sum(_is_there(study, folder, job) for job in jobs)} of {len(jobs)} {sentence}")
    return lines


def _is_there(study: Any, folder: Path, job: str) -> bool:
    return all((folder / job / f"{name}.parquet").exists() for name in study.job_files[job])


def _cells(each: RunState) -> list[str]:
    return [
        each.state,
        f"{each.step}/{each.run.max_steps}",
        "" if each.loss is None else f"{each.loss:.4g}",
        "" if each.f_mem is None else f"{each.f_mem:.3g}",
        "" if each.images_per_second is None else f"{each.images_per_second:.0f}",
        "" if each.seconds_left is None else duration(each.seconds_left),
        each.device,
        "" if each.log is None else str(each.log),
    ]


def _summary(states: Sequence[RunState], counts: Counter[str]) -> str:
    """How many runs are in which state, and when training will be over at today's speed."""
    told = _counted(counts)
    left = [(each.state, each.seconds_left) for each in states if each.seconds_left]
    if not left:
        return f"{len(states)} runs: {told}"
    together = max(1, counts[RUNNING])
    longest = max((seconds for state, seconds in left if state == RUNNING), default=0.0)
    seconds = max(longest, sum(seconds for _, seconds in left) / together)
    return f"{len(states)} runs: {told}; training takes another {duration(seconds)}, {together} at a time"


def _of_jobs(study: Any, folder: Path) -> Status:
    """The status of a study of theory: of each job, whether its tables are there."""
    rows, counts = [], Counter[str]()
    locked = is_locked(str(folder))
    for job in study.job_files:
        log = folder / "logs" / f"{job}.log"
        if _is_there(study, folder, job):
            state = DONE
        elif failure(log):
            state = FAILED
        else:
            state = RUNNING if locked and log.exists() and not has_ended(log) else WAITING
        counts[state] += 1
        rows.append([job, state, failure(log) if state == FAILED else "", str(log) if state == FAILED else ""])
    over = not counts[RUNNING] and not counts[WAITING]
    return Status(["job", "state", "said", "log"], rows, [f"{len(rows)} jobs: {_counted(counts)}"], over)


def _counted(counts: Counter[str]) -> str:
    return ", ".join(
        f"{counts[state]} {state}" for state in (DONE, RUNNING, WAITING, FAILED, DIVERGED) if counts[state]
    )


def _kept(found: Status) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of the columns in which anything stands."""
    columns = [place for place in range(len(found.headings)) if any(row[place] for row in found.rows)]
    return [found.headings[place] for place in columns], [[row[place] for place in columns] for row in found.rows]


def _shown(found: Status) -> RenderableType:
    headings, rows = _kept(found)
    table = Table()
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("run", "job", "state", "said", "log") else "right")
    for row in rows:
        table.add_row(*(Text(cell, _COLOURS.get(cell, "")) for cell in row))
    return Group(table, *(Text(line) for line in found.lines))


def _print_plain(found: Status) -> None:
    headings, rows = _kept(found)
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    for row in (headings, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print("\n".join(found.lines))
    sys.stdout.flush()
