"""What jobs asked for is put beside what Snakemake measured of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from helpers.configs import ROOT
from memsweep.base.errors import UserError
from memsweep.report.usage import print_usage
from memsweep.study.kinds import open_study
from memsweep.tables.parquet import read_table

CONFIG = ROOT / "config" / "config.yaml"
HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


@pytest.fixture
def jobs() -> list[str]:
    listed: list[str] = open_study(yaml.safe_load(CONFIG.read_text())).jobs
    return listed


def benchmark(results: Path, job: str, text: str) -> Path:
    path = results / "digits" / "benchmarks" / "train" / f"{job}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_use_is_put_beside_requests(tmp_path: Path, jobs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    benchmark(tmp_path, jobs[0], HEADER + "90.0\t0:01:30\t100.0\t1\t1\t1\t0\t0\t99\t89\n")
    benchmark(tmp_path, jobs[2], HEADER + "0.2\t0:00:00\tNA\tNA\tNA\tNA\tNA\tNA\tNA\tNA\n")
    print_usage(CONFIG, tmp_path)
    table = read_table(tmp_path / "digits" / "usage.parquet", "usage")
    assert list(table["job"]) == [jobs[0], jobs[2]]
    assert table["used_minutes"][0] == 1.5
    assert table["used_mb"][0] == pytest.approx(104.8576)
    assert table["used_mb"].isna()[1]
    assert (table["requested_mb"] > 2000).all()
    printed = capsys.readouterr().out
    assert f"2 of {len(jobs)} training jobs" in printed
    assert "usage.parquet" in printed


@pytest.mark.parametrize("text", ["", HEADER, "a\tb\n1\t2\n", HEADER.replace("h:m:s", "x") + "soon\t1\t2\n"])
def test_a_foreign_file_is_named(tmp_path: Path, jobs: list[str], text: str) -> None:
    path = benchmark(tmp_path, jobs[1], text)
    with pytest.raises(UserError, match=f"{path}: not what Snakemake measured of a job"):
        print_usage(CONFIG, tmp_path)


def test_a_study_that_has_not_run_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no training job of this study has ended here; accepted is at least one"):
        print_usage(CONFIG, tmp_path)
