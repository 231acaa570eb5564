"""The losses of a training as anybody has them: a CSV file of means by step."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..base.errors import UserError
from ..study.listing import local

LOSSES = ("train_loss", "test_loss")
ERRORS = ("train_loss_se", "test_loss_se")


@dataclass(frozen=True)
class GivenLosses:
    """Mean losses of a training.

    Attributes:
        table: columns ``step``, int64 and increasing, and `LOSSES`, finite; of standard errors `ERRORS`, where they are
            known.
        remarks: what was left out, in sentences.
    """

    table: pd.DataFrame
    remarks: tuple[str, ...] = ()

    @property
    def has_errors(self) -> bool:
        """Whether standard errors are known."""
        return ERRORS[0] in self.table


def read_losses(path: str | Path, role: str) -> GivenLosses:
    """Read mean losses from a CSV file with a header; the curve ends before its first loss that is not finite.

    Args:
        path: its columns are ``step``, ``train_loss`` and ``test_loss``, and perhaps their standard errors
            ``train_loss_se`` and ``test_loss_se``, in any order; others are not read.
        role: what to call it in sentences.

    Raises:
        UserError: there is no such file, a column or value is missing or no number, steps do not increase, or the first
            losses are not finite; one sentence says which and on what line.
    """
    told = f"{role}: found {str(path)!r}"
    try:
        with local(str(path)).open(newline="", encoding="utf-8-sig") as file:
            rows = list(_read_rows(file, told))
    except FileNotFoundError:
        raise UserError(f"{told}; there is no such file") from None
    except OSError as error:
        raise UserError(f"{told}; it cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise UserError(f"{told}, which is no CSV file ({' '.join(str(error).split())})") from None
    if not rows:
        raise UserError(f"{told}, which has a header and no rows; accepted is a row a step")
    table = pd.DataFrame([row for _, row in rows])
    finite = [all(math.isfinite(row[name]) for name in LOSSES) for _, row in rows]
    if not finite[0]:
        raise UserError(f"{told}, whose losses are not finite at its first step; accepted are some that are")
    end = finite.index(False) if False in finite else len(rows)
    for line, row in rows[:end]:
        for name in ERRORS:
            if name in row and not 0 <= row[name] < math.inf:
                raise UserError(f"{told}, line {line} with {row[name]:g} as {name}; accepted are numbers from 0")
    if end == len(rows):
        return GivenLosses(table)
    remark = f"{role}: the curves end before step {table['step'][end]:,}, where a loss is not finite"
    return GivenLosses(table[:end], (remark,))


def _read_rows(file: Iterator[str], told: str) -> Iterator[tuple[int, dict[str, float]]]:
    """The line of each row, and its values by column."""
    lines = csv.reader(file, strict=True)
    header = [name.strip() for name in next(lines, [])]
    columns = _columns(header, told)
    last = 0
    for cells in lines:
        if not cells:
            continue
        line = f"{told}, line {lines.line_num}"
        if len(cells) != len(header):
            raise UserError(f"{line} with {len(cells)} values; accepted are {len(header)}, as in the header")
        row = {name: _number(cells[place], name, line) for name, place in columns.items()}
        step = row["step"]
        if not (step.is_integer() and 1 <= step <= 2**53):
            raise UserError(f"{line} with the step {cells[columns['step']]!r}; accepted are whole numbers from 1 on")
        if step <= last:
            raise UserError(f"{line} with step {step:.0f} after step {last}; accepted are steps that increase")
        last = int(step)
        yield lines.line_num, {**row, "step": last}


def _columns(header: list[str], told: str) -> dict[str, int]:
    """The place of each column that is read."""
    wanted = ["step", *LOSSES]
    if any(name in header for name in ERRORS):
        wanted += ERRORS
    for name in wanted:
        if header.count(name) != 1:
            count = "twice" if name in header else "not"
            raise UserError(
                f"{told}, whose header has {name} {count} among {', '.join(header)[:200] or 'nothing'}; accepted are "
                f"the columns step, {', '.join(LOSSES)}, and with standard errors both {' and '.join(ERRORS)}"
            )
    return {name: header.index(name) for name in wanted}


def _number(cell: str, name: str, line: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise UserError(f"{line} with {cell[:80]!r} as {name}; accepted are numbers") from None
