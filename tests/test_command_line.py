from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from helpers.configs import ROOT
from memsweep import __version__
from memsweep.command_line.commands import COMMANDS
from memsweep.command_line.parsing import parse
from memsweep.command_line.stages import STAGES

MODULE = [sys.executable, "-m", "memsweep"]
STUDY = str(ROOT / "config" / "config.yaml")


def run(*command: str, settings: str = "{}") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "80"}
    return subprocess.run(command, input=settings, capture_output=True, text=True, timeout=120, env=environment)


def memsweep(*arguments: str, settings: str = "{}") -> subprocess.CompletedProcess[str]:
    return run(*MODULE, *arguments, settings=settings)


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command ``memsweep`` as an installation writes it, from what pyproject.toml says of it."""
    module, function = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["memsweep"].split(":")
    path = tmp_path_factory.mktemp("bin") / "memsweep"
    path.write_text(f"#!{sys.executable}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n")
    path.chmod(0o755)
    return path


def test_help_has_the_commands_for_people_first_and_then_the_stages() -> None:
    result = memsweep("--help")
    assert result.returncode == 0
    listed = re.findall(r"^  (\w+)  ", result.stdout, re.MULTILINE)
    assert listed == [*COMMANDS, *STAGES]
    assert listed[:2] == ["status", "plan"]
    lines = result.stdout.splitlines()
    people, stages = lines.index("commands:"), lines.index("standard input, as JSON:")
    assert people < next(place for place, line in enumerate(lines) if "  estimate" in line) < stages
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("name", [*COMMANDS, *STAGES])
def test_every_command_has_help_of_its_own(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse([name, "--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: memsweep {name} ")
    assert " ".join({**COMMANDS, **STAGES}[name].purpose.split()) in " ".join(shown.split())


def test_the_installed_command_is_the_module(script: Path) -> None:
    for arguments in (["--help"], ["--version"], ["estimate", STUDY], ["estimate", "no.yaml"], ["train", "--help"], []):
        installed, module = run(str(script), *arguments), memsweep(*arguments)
        assert installed.returncode == module.returncode
        assert (installed.stdout, installed.stderr) == (module.stdout, module.stderr)


def test_the_installed_command_runs_a_stage(script: Path, tmp_path: Path) -> None:
    settings = '{"name": "digits", "test_images": 500, "seed": 0}'
    result = run(str(script), "prepare", "--output", str(tmp_path / "images.parquet"), settings=settings)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "images.parquet").is_file()


def loaded(*arguments: str) -> set[str]:
    """The packages that a command has loaded, apart from Python's own and what every process loads."""
    code = """
import sys
before = set(sys.modules)
from memsweep.__main__ import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print(*{name.partition(".")[0] for name in set(sys.modules) - before}, file=sys.stderr)
"""
    names = set(run(sys.executable, "-c", code, *arguments).stderr.split())
    return names - set(sys.stdlib_module_names) - {"__mp_main__"}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"], ["estimate", "--help"]])
def test_help_waits_for_no_library(arguments: list[str]) -> None:
    assert loaded(*arguments) == {"memsweep"}


def test_the_estimate_waits_for_no_heavy_library() -> None:
    heavy = {"matplotlib", "numpy", "pandas", "pyarrow", "scipy", "seaborn", "sklearn", "snakemake", "torch"}
    assert not loaded("estimate", STUDY) & heavy


def test_spaces_of_no_published_network_wait_for_none(tmp_path: Path) -> None:
    files = {name: str(tmp_path / f"{name}.parquet") for name in ("images", "cache", "output")}
    found = loaded("features", *(f"--{name}={path}" for name, path in files.items()))
    assert "torch" in found
    assert "torchvision" not in found


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["estimat"], "memsweep: error: found 'estimat' (did you mean 'estimate'?); accepted is a command that"),
        (["nonsense"], "memsweep: error: found 'nonsense'; accepted is a command that memsweep --help lists"),
        ([], "memsweep: error: the following arguments are required: COMMAND"),
        (["estimate"], "memsweep estimate: error: the following arguments are required: study"),
    ],
)
def test_what_cannot_be_understood_is_answered_by_usage_and_a_sentence(arguments: list[str], expected: str) -> None:
    result = memsweep(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith("usage: memsweep ")
    assert result.stderr.splitlines()[-1].startswith(expected)


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
