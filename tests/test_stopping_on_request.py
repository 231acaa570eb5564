"""Ctrl-C is one line, in every command, at whatever moment it comes; and a full disk names its file."""

from __future__ import annotations

import errno
import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from helpers.configs import ROOT
from helpers.packs import pack_settings
from memsweep import __main__
from memsweep.base.files import replacing
from memsweep.command_line import running
from memsweep.command_line.commands import COMMANDS, Command
from memsweep.command_line.stages import STAGES, Stage

# Says from where on a command answers for itself: Python has started, and it begins to import
PROGRAM = """
import sys
from memsweep.__main__ import program

class Up:
    def find_spec(name, *_):
        if name == "memsweep.command_line":
            print("up", flush=True)

sys.meta_path.insert(0, Up)
sys.exit(program())
"""


def commands(digits: Path, folder: Path) -> dict[str, tuple[list[str], dict[str, Any]]]:
    dataset = {"name": "digits", "test_images": 500, "seed": 0}
    train = ["train", "--images", str(digits), "--checkpoints", str(folder / "c"), "--output", str(folder / "t")]
    return {
        "estimate": (["estimate", str(ROOT / "config" / "cifar10_factorial.yaml")], {}),
        "prepare": (["prepare", "--output", str(folder / "images.parquet")], dataset),
        "classifier": (["classifier", "--images", str(digits), "--output", str(folder / "c.safetensors")], {}),
        "train": ([*train, "--device", "cpu"], pack_settings()),
        "train in processes": ([*train, "--device", "cpu", "--threads", "2"], pack_settings()),
    }


@pytest.mark.parametrize("delay", [0.0, 0.3, 0.9, 2.0])
@pytest.mark.parametrize("name", ["estimate", "prepare", "classifier", "train", "train in processes"])
def test_whenever_it_comes_it_is_one_line(name: str, delay: float, digits: Path, tmp_path: Path) -> None:
    arguments, settings = commands(digits, tmp_path)[name]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(settings))
    process.stdin.close()
    assert process.stdout.readline() == "up\n"
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    said = _rest(process)
    assert process.returncode in (0, 128 + signal.SIGINT, 128 + signal.SIGTERM), said
    assert "Traceback" not in said
    assert "KeyboardInterrupt" not in said
    assert said.count("stopped on request") == (process.returncode != 0)


def _rest(process: subprocess.Popen[str]) -> str:
    assert process.stderr
    said = process.stderr.read()
    process.wait(timeout=60)
    return said


@pytest.mark.parametrize("name", [*COMMANDS, *STAGES])
def test_no_command_has_a_traceback_of_it(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("a library's own words") from None

    if name in COMMANDS:
        monkeypatch.setitem(COMMANDS, name, Command(interrupted, "", lambda _: None))
    else:
        monkeypatch.setitem(STAGES, name, Stage(interrupted, "", []))
    monkeypatch.setattr(running, "read_settings", dict)
    previous, hook = signal.getsignal(signal.SIGINT), sys.unraisablehook
    try:
        monkeypatch.setattr(sys, "argv", ["memsweep", name])
        assert __main__.program() == 130
    finally:
        signal.signal(signal.SIGINT, previous)
        sys.unraisablehook = hook
    assert capsys.readouterr().err == "memsweep: stopped on request; run it again to go on\n"


def test_where_a_library_lets_nothing_through_it_stops_all_the_same() -> None:
    """Python prints what is raised as an object goes, and goes on."""
    program = """
import signal, sys
from memsweep import __main__
from memsweep.command_line import running

class Goes:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

def run(_):
    Goes()
    print("went on")

running.run = run
sys.exit(__main__.program())
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (130, "")
    assert result.stderr == "memsweep: stopped on request; run it again to go on\n"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), OSError("a library's own words")])
def test_what_the_system_refuses_names_the_file(error: OSError, tmp_path: Path) -> None:
    def write() -> None:
        with replacing(tmp_path / "a" / "table.parquet"):
            raise error

    with pytest.raises(OSError, match=r".*") as raised:
        write()
    assert raised.value.filename == str(tmp_path / "a" / "table.parquet")


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_full_disk_while_a_checkpoint_is_written_is_a_sentence_a_run(
    threads: str, digits: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "memsweep", "train", "--images", str(digits), "--device", "cpu"]
    command += ["--threads", threads, "--checkpoint-seconds", "0"]
    result = subprocess.run(
        [*command, "--checkpoints", str(tmp_path / "c"), "--output", str(tmp_path / "t")],
        input=json.dumps(pack_settings()),
        capture_output=True,
        text=True,
        timeout=120,
        # The largest file this process may write, in bytes: a record, and no state
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)),
    )
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    last = result.stderr.splitlines()[-3:]
    for run, line in zip(
        ("first", "second", "third"), sorted(line.removeprefix("memsweep train: ") for line in last), strict=True
    ):
        assert line.startswith(f"{run} (")
        assert line.endswith(f"): {tmp_path}/c/{run}/state.safetensors: File too large")
        assert line.count(f"{run} (") == 1
    assert not list(tmp_path.rglob(".*"))
