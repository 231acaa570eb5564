"""Files are whole or not there, and what a killed process leaves of one goes with the next."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from memsweep.base.files import new_folder, read_json, remove_leftovers, replacing, write_json

WRITE_AND_HANG = """
import sys, time
from pathlib import Path
from memsweep.base.files import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("writing", flush=True)
    time.sleep(600)
"""


def writing(path: Path) -> subprocess.Popen[str]:
    """A process in the middle of writing a file."""
    process = subprocess.Popen([sys.executable, "-c", WRITE_AND_HANG, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "writing\n"
    return process


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["runs.parquet", "a[b]*?.json", "evaluation-00000010.safetensors"])
def test_what_a_killed_process_left_goes_with_the_next_that_writes_the_file(name: str, tmp_path: Path) -> None:
    process = writing(tmp_path / name)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (leftover,) = names(tmp_path)
    assert leftover.startswith(f".{name}.")
    for other in ("mine.parquet", ".other.parquet.abc.parquet"):
        (tmp_path / other).touch()
    write_json(tmp_path / name, {"a": 1})
    assert names(tmp_path) == sorted([name, "mine.parquet", ".other.parquet.abc.parquet"])
    assert read_json(tmp_path / name) == {"a": 1}


def test_what_another_process_is_writing_stays(tmp_path: Path) -> None:
    process = writing(tmp_path / "table.json")
    (temporary,) = names(tmp_path)
    write_json(tmp_path / "table.json", {"a": 1})
    remove_leftovers(tmp_path, "*.json")
    assert names(tmp_path) == sorted([temporary, "table.json"])
    process.kill()
    process.wait()
    remove_leftovers(tmp_path, "*.json")
    assert names(tmp_path) == ["table.json"]


def test_an_error_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    write_json(tmp_path / "table.json", {"a": 1})

    def fail() -> None:
        with replacing(tmp_path / "table.json") as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert names(tmp_path) == ["table.json"]
    assert read_json(tmp_path / "table.json") == {"a": 1}


def test_a_new_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    with new_folder(tmp_path / "deep" / "new") as temporary:
        (temporary / "a").write_text("whole")
        assert not (tmp_path / "deep" / "new").exists()
    assert (tmp_path / "deep" / "new" / "a").read_text() == "whole"

    def fail(folder: Path) -> None:
        with new_folder(folder) as temporary:
            (temporary / "a").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail(tmp_path / "deep" / "other")
    assert names(tmp_path / "deep") == ["new"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a").touch()
    with pytest.raises(OSError, match="there") as error, new_folder(tmp_path / "there"):
        pass
    assert error.value.filename == str(tmp_path / "there")
    assert names(tmp_path) == ["there"]
