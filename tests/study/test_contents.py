from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from memsweep.study import contents
from memsweep.study.contents import content_hash


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of three files, which need be no pictures, changed a while ago."""
    folder = tmp_path / "pictures"
    for name in ("a/1.png", "a/2.png", "b/3.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that have been read, all of which may have been changed long ago."""
    found: list[str] = []
    original = contents._content

    def watched(path: str) -> tuple[int, str]:
        found.append(Path(path).name)
        return original(path)

    monkeypatch.setattr(contents, "_content", watched)
    monkeypatch.setattr(contents, "TICK", -3600)
    return found


def of(folder: Path, cache: Path | None = None, **changes: Any) -> str:
    return content_hash({"name": "image_folder", "path": str(folder), **changes}, cache or folder.parent / "cache")


def copied_with_times(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes())
    times = source.stat()
    os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))


def swap(folder: Path) -> None:
    (folder / "a" / "1.png").rename(folder / "a" / "x")
    (folder / "a" / "2.png").rename(folder / "a" / "1.png")
    (folder / "a" / "x").rename(folder / "a" / "2.png")


CHANGES: dict[str, Callable[[Path], Any]] = {
    "another file": lambda folder: (folder / "a" / "4.png").write_text("4"),
    "a file less": lambda folder: (folder / "a" / "2.png").unlink(),
    "another name": lambda folder: (folder / "a" / "2.png").rename(folder / "b" / "2.png"),
    "other content of the same size": lambda folder: (folder / "a" / "2.png").write_text("A/2.png"),
    "names that changed places": swap,
    "labels": lambda folder: (folder / "dataset.json").write_text(
        '{"labels": [["a/1.png", 0], ["a/2.png", 0], ["b/3.png", 0]]}'
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_content_or_names_is_another_hash(pictures: Path, read: list[str], change: str) -> None:
    before = of(pictures)
    CHANGES[change](pictures)
    assert of(pictures) != before


def test_content_of_the_same_size_and_times_is_another_hash(pictures: Path, read: list[str], tmp_path: Path) -> None:
    before, path = of(pictures), pictures / "a" / "1.png"
    other = tmp_path / "other"
    other.write_text("A/1.png")
    times = path.stat()
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    copied_with_times(other, path)
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (times.st_size, times.st_mtime_ns)
    assert of(pictures) != before


def test_new_times_and_other_places_are_the_same_hash_and_files_are_read_once(pictures: Path, read: list[str]) -> None:
    before = of(pictures)
    assert sorted(read) == ["1.png", "2.png", "3.png"]
    assert of(pictures) == before
    assert len(read) == 3
    for file in pictures.rglob("*"):
        os.utime(file)
    assert of(pictures) == before
    assert len(read) == 6
    (pictures / "a" / "notes.txt").write_text("no image")
    moved = pictures.rename(pictures.with_name("elsewhere"))
    assert of(moved) == before


def test_what_has_just_changed_is_read_again(
    pictures: Path, read: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It might change once more within a tick of the file system's clock, and keep its times."""
    monkeypatch.setattr(contents, "TICK", 3)
    before = of(pictures)
    assert of(pictures) == before
    assert len(read) == 6
    assert not (tmp_path / "cache").exists()
    monkeypatch.setattr(time, "time", lambda: 3e9)
    assert [of(pictures), of(pictures)] == [before, before]
    assert len(read) == 9


def test_held_out_images_count_and_splits_do_not_change_places_unseen(pictures: Path, read: list[str]) -> None:
    other = pictures.with_name("other")
    for name in ("a/1.png", "b/3.png"):
        (other / name).parent.mkdir(parents=True)
        (other / name).write_text("held out")
    both = of(pictures, test_path=str(other))
    assert len({both, of(pictures), of(other), of(other, test_path=str(pictures))}) == 4


def test_what_cannot_be_read_or_kept_stops_no_plan(pictures: Path, read: list[str], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    before = of(pictures)
    (pictures / "a" / "2.png").unlink()
    (pictures / "a" / "2.png").symlink_to("nowhere")
    os.mkfifo(pictures / "b" / "4.png")
    assert of(pictures) != before


def test_only_the_user_s_own_files_are_read() -> None:
    assert content_hash({"name": "digits"}, Path("nowhere")) == ""
