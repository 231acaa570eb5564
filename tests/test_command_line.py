from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from memsweep import __version__


def memsweep(*arguments: str, settings: str = "{}") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "memsweep", *arguments]
    return subprocess.run(command, input=settings, capture_output=True, text=True, timeout=120)


def test_help_names_every_stage() -> None:
    result = memsweep("--help")
    assert result.returncode == 0
    for stage in (
        "prepare",
        "surrogates",
        "baselines",
        "train",
        "classifier",
        "features",
        "measure",
        "collect",
        "analyse",
        "figure",
    ):
        assert stage in result.stdout


@pytest.mark.parametrize(
    ("arguments", "settings", "expected"),
    [
        (["prepare", "--output", "{tmp}/a"], "not json", "memsweep prepare: settings on standard input: not JSON"),
        (["prepare", "--output", "{tmp}/a"], "[1]", "memsweep prepare: settings on standard input: found list"),
        (["prepare", "--output", "{tmp}/a"], "{}", "memsweep prepare: settings on standard input: missing 'name'"),
        (["figure", "--source", "runs=a", "--output", "{tmp}/a.pdf"], "{}", "memsweep figure: settings on standard"),
        (["classifier", "--images", "{tmp}/no.parquet", "--output", "{tmp}/a"], "{}", "no.parquet: no such file"),
        (["classifier", "--images", "{tmp}/bad.parquet", "--output", "{tmp}/a"], "{}", "not a whole Parquet file"),
        (
            ["surrogates", "--images", "{tmp}/bad.parquet", "--output", "{tmp}/a"],
            '{"surrogates": ["gaussian"]}',
            "memsweep surrogates: {tmp}/bad.parquet: not a whole Parquet file",
        ),
        (
            ["baselines", "--images", "{tmp}/no.parquet", "--surrogates", "{tmp}/bad.parquet", "--output", "{tmp}/a"],
            "{}",
            "memsweep baselines: {tmp}/no.parquet: no such file",
        ),
        (
            ["prepare", "--output", "{tmp}/bad.parquet/images.parquet"],
            '{"name": "digits", "test_images": 500, "seed": 0}',
            "bad.parquet",
        ),
        (
            ["figure", "--source", "scaling={tmp}/no.parquet", "--output", "{tmp}/a.pdf"],
            '{"figure": "scaling_exponents", "thresholds": {}, "confidence": 0.95}',
            "no.parquet: no such file",
        ),
    ],
)
def test_a_failure_is_one_sentence(tmp_path: Path, arguments: list[str], settings: str, expected: str) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"bad")
    result = memsweep(*(part.format(tmp=tmp_path) for part in arguments), settings=settings)
    assert result.returncode == 1
    assert expected.format(tmp=tmp_path) in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"bad.parquet"}


def test_the_version() -> None:
    assert memsweep("--version").stdout == f"memsweep {__version__}\n"


def test_a_disk_that_takes_no_more_is_a_sentence_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "memsweep", "prepare", "--output", str(tmp_path / "images.parquet")],
        input='{"name": "digits", "test_images": 500, "seed": 0}',
        capture_output=True,
        text=True,
        timeout=120,
        # The largest file this process may write, in bytes
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)),
    )
    assert result.returncode == 1
    assert "File too large" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
