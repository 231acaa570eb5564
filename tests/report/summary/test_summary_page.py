"""The page is whole in itself, written without torch, and says so where results are partial."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from helpers.configs import ROOT
from helpers.projects import TINY, Project
from helpers.sweep_tables import onsets_of, runs_of, study_of
from memsweep.base.errors import UserError
from memsweep.claims.claim import Claim, Evidence, Tables, verdicts
from memsweep.report.summary.page import write_summary
from memsweep.tables.parquet import write_table

BIGGEST = 15_000_000


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """The results of the tiny study, of which there are two tables."""
    study = study_of()
    runs = runs_of(study)
    folder = tmp_path / "results" / "tiny"
    write_table(folder / "tables" / "runs.parquet", "runs", runs)
    write_table(folder / "tables" / "onsets.parquet", "onsets", onsets_of(runs, [10, 11, 20, 21, 12]))
    return folder


def written(results: Path, **options: object) -> str:
    output = results / "summary.html"
    write_summary(study_of().config, results, output, **options)  # type: ignore[arg-type]
    return output.read_text()


def test_a_page_of_few_tables_has_what_they_say(results: Path) -> None:
    page = written(results)
    assert "starts in all 5 runs between steps 10 and 21." in page
    assert 'id="figures"' not in page
    assert 'id="explorer"' not in page
    assert re.search(r'data-table="1"[^>]*><summary><h3>onsets</h3> <span>5 rows</span>', page)
    assert "partial" not in page.replace(".partial", "")


def test_a_partial_page_says_so_at_its_head(results: Path) -> None:
    page = written(results, partial="3 of 5 runs <so far>.")
    head = page[: page.index("<main>")]
    assert "<strong>Partial.</strong> 3 of 5 runs &lt;so far&gt;." in head


def test_nothing_at_all_is_a_page_too(tmp_path: Path) -> None:
    page = written(tmp_path / "results" / "tiny")
    assert "No run has an onset to tell yet" in page
    assert "Methods" in page


def test_the_configuration_is_printed_as_it_was_written(results: Path) -> None:
    page = written(results, asked={**TINY, "study": "a & b"})
    assert "study: a &amp; b" in page
    assert "snakemake --configfile config/tiny.yaml" in page


def test_claims_are_shown_where_there_is_a_table_of_them(results: Path) -> None:
    known, unknown = Evidence(0.3, 0.1, 0.5, 4), Evidence(lacking="no sizes")
    told = [
        Claim("linear", "Some & Others", "τ ∝ N^1", "exponent", ("f_mem",), lambda *_: unknown),
        Claim("apart", "Some & Others", "They differ.", "spread", ("f_mem",), lambda *_: known, high=2, outside=True),
    ]
    write_table(results / "tables" / "claims.parquet", "claims", verdicts(told, Tables(results / "tables")))
    page = written(results, tables=["runs", "onsets"])
    assert '<span class="verdict not-testable">not testable</span> τ\u00a0∝\u00a0N<sup>1</sup></h3>' in page
    assert "Some &amp; Others" in page
    assert '<span class="verdict refuted">refuted</span> They differ.</h3>' in page
    assert "0.300 [0.100, 0.500], of 4 runs; the claim holds where that is above 2." in page


def test_tables_of_other_runs_are_refused(results: Path) -> None:
    runs = runs_of(study_of())
    for name, of in (("runs", "one"), ("onsets", "other")):
        table = runs if name == "runs" else onsets_of(runs, [1, 2, 3, 4, 5])
        write_table(results / "tables" / f"{name}.parquet", name, table, {"runs": of})
    with pytest.raises(UserError, match="of other runs than"):
        written(results)
    assert not (results / "summary.html").exists()


def test_a_damaged_table_is_named(results: Path) -> None:
    (results / "tables" / "onsets.parquet").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"onsets\.parquet: not a whole Parquet file"):
        written(results)


def test_torch_is_not_loaded(results: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from memsweep.study.kinds import open_study; import yaml;"
        "from memsweep.report.summary.page import write_summary;"
        "folder = Path(sys.argv[1]);"
        "write_summary(open_study(yaml.safe_load(sys.stdin)).config, folder, folder / 'page.html');"
        "print('torch' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(results)],
        input=yaml.safe_dump(TINY),
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "False"


def test_the_default_target_makes_the_page(finished_once: Project) -> None:
    page = finished_once.results / "summary.html"
    assert page.stat().st_size < BIGGEST
    text = page.read_text()
    figures = {path.stem for path in (finished_once.results / "figures").glob("*.png")}
    assert set(re.findall(r'<figure id="figure-([^"]+)"', text)) == figures
    tables = {path.stem for path in (finished_once.results / "tables").glob("*.parquet")} - {"metric_check"}
    assert set(re.findall(r'<details id="table-([^"]+)"', text)) == tables


def test_a_style_makes_the_page_again_and_nothing_else(finished: Project) -> None:
    style = finished.folder / "workflow" / "memsweep" / "report" / "summary" / "summary.css"
    style.write_text(style.read_text() + "h1 { color: black; }\n")
    output = finished.snakemake("-n").stdout
    assert re.search(r"^summary +1$", output, re.MULTILINE)
    assert finished.jobs() == {}


def test_files_beside_the_modules_are_in_what_is_installed() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["memsweep"]
    package = ROOT / "workflow" / "memsweep"
    shipped = {path for pattern in data for path in package.glob(pattern)}
    beside = {path for path in (package / "report" / "summary").iterdir() if path.suffix in (".j2", ".css", ".js")}
    assert len(beside) == 3
    assert beside <= shipped
