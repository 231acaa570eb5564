"""docs/science.md defines every number: no column, definition of an onset, metric or measure is missing there."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from helpers.configs import ROOT
from helpers.projects import Project
from memsweep.study.onsets import ONSETS
from memsweep.tables.contracts import SCHEMAS

PAGE = (ROOT / "docs" / "science.md").read_text()
# What is added to the name of a metric, and defined once for all
SUFFIX = re.compile(r"(?:_held_out|_floor|_corrected|_corrected_first|_corrected_second)$")
NAME = r"`([\w<>]+)`"


def rows(table: str) -> list[tuple[str, str]]:
    """Of the rows that are about a table: the names of its columns, and what is said of intervals."""
    return re.findall(rf"^\| {table} \| ([^|]+) \| [^|]+ \| ([^|]+) \|$", PAGE, re.MULTILINE)


KEYS = {name for names, _ in rows("every table") for name in re.findall(NAME, names)}


def is_number(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return is_number(kind.value_type)
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


@pytest.mark.parametrize("table", SCHEMAS)
def test_every_number_of_a_table_is_defined(table: str) -> None:
    described = rows(f"`{table}`")
    named = {name for names, _ in described for name in re.findall(NAME, names)}
    numbers = {field.name for field in SCHEMAS[table] if is_number(field.type)} - {"ci_low", "ci_high"}
    assert numbers - named - KEYS == set(), "docs/science.md lacks them"
    assert named <= set(SCHEMAS[table].names), "docs/science.md has them, and the table has not"
    if "ci_low" in SCHEMAS[table].names:
        assert any(said.startswith("Interval") for _, said in described)


def test_every_row_is_of_a_table() -> None:
    headed = re.findall(r"^\| table \|.*\n.*\n((?:\| .*\n)+)", PAGE, re.MULTILINE)
    tables = {name for part in headed for name in re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE)}
    assert tables <= set(SCHEMAS)
    assert len(headed) == 10


@pytest.mark.parametrize("name", ONSETS)
def test_every_definition_of_an_onset_is_there(name: str) -> None:
    part = PAGE.partition("\n## Onsets\n")[2].partition("\n## ")[0]
    assert re.search(rf"^\| (?:`\w+`, )*`{name}`", part, re.MULTILINE)


def test_every_metric_and_measure_of_a_study_is_there(finished_once: Project) -> None:
    for table, column in (("metrics", "metric"), ("agreement", "measure")):
        for name in set(finished_once.table(f"tables/{table}.parquet")[column]):
            base = SUFFIX.sub("", name)
            assert f"`{name}`" in PAGE or f"`{base}`" in PAGE, name
            if base != name and f"`{name}`" not in PAGE:
                assert f"{SUFFIX.search(name)[0]}`" in PAGE, name  # type: ignore[index]


def test_formulas_hold_no_mark_of_tables() -> None:
    """GitHub ends a cell at a bar, in formulas too."""
    for line in PAGE.splitlines():
        if line.startswith("|"):
            assert not any("|" in formula for formula in re.findall(r"\$[^$]*\$", line)), line
