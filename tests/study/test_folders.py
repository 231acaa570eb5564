from __future__ import annotations

import os
import sys
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memsweep.base.errors import UserError
from memsweep.study.folders import find_images, watched
from torchvision.datasets import DatasetFolder
from torchvision.datasets.folder import IMG_EXTENSIONS


def fill(folder: Path, *names: str) -> Path:
    """Empty files, or folders where the name ends in a slash."""
    for name in names:
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return folder


def packed(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    return path


def test_a_folder_lists_as_torchvision_lists_it(tmp_path: Path) -> None:
    names = ["b/2.PNG", "b/10.jpg", "a/deep/er/1.webp", "a/z.TIFF", "a/note.txt", "c d/x.y.bmp", "readme.md"]
    found = find_images(str(fill(tmp_path, *names)), "dataset.path")
    theirs = DatasetFolder(str(tmp_path), loader=lambda path: path, extensions=IMG_EXTENSIONS)
    assert found.class_names == theirs.classes == ["a", "b", "c d"]
    ours = {(name, found.class_names.index(label)) for name, label in zip(found.names, found.classes, strict=True)}
    assert ours == {(str(Path(file).relative_to(tmp_path)), label) for file, label in theirs.samples}
    assert found.left_out == ["a/note.txt", "readme.md"]


names = st.lists(
    st.tuples(st.sampled_from(["cat", "dog", "Emu"]), st.integers(0, 99), st.sampled_from(IMG_EXTENSIONS)),
    min_size=1,
    unique=True,
)


@given(names, st.sampled_from(["", "data/", "data/train/"]), st.randoms(use_true_random=False))
def test_a_zip_file_is_its_folder_in_any_order_and_wrapping(
    tmp_path_factory: pytest.TempPathFactory, files: list[tuple[str, int, str]], around: str, shuffler: object
) -> None:
    folder = tmp_path_factory.mktemp("images")
    stored = [f"{label}/{number}{suffix}" for label, number, suffix in files]
    expected = find_images(str(fill(folder / "folder", *stored)), "dataset.path")
    shuffler.shuffle(stored)  # type: ignore[attr-defined]
    archive = packed(folder / "images.zip", *(around + name for name in stored))
    found = find_images(str(archive), "dataset.path")
    assert (found.classes, found.class_names) == (expected.classes, expected.class_names)
    assert found.names == [around + name for name in expected.names]
    assert found.is_zip


def test_hidden_files_and_what_macos_adds_do_not_count(tmp_path: Path) -> None:
    junk = ["__MACOSX/", "__MACOSX/top/a/._1.png", "top/.DS_Store", "top/a/._1.png", "top/.cache/x.png"]
    wanted = ["top/", "top/a/", "top/a/1.png", "top/b/1.png"]
    found = find_images(str(packed(tmp_path / "images.zip", *junk, *wanted)), "dataset.path")
    assert found.names == ["top/a/1.png", "top/b/1.png"]
    assert found.left_out == []
    folder = fill(tmp_path / "folder", *junk, *wanted)
    assert find_images(str(folder / "top"), "dataset.path").names == ["a/1.png", "b/1.png"]


def test_images_without_class_folders_are_one_class(tmp_path: Path) -> None:
    found = find_images(str(fill(tmp_path, "2.png", "1.png")), "dataset.path")
    assert (found.names, found.class_names) == (["1.png", "2.png"], ["all"])


@pytest.mark.parametrize("form", ["folder", "zip"])
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["a/1.png", "b/"], "whose class folder b holds no images; fill it or remove it"),
        (["a/1.png", "b/notes.txt", "c/"], "whose class folder b holds no images (nor do 1 others)"),
        (["a/1.txt"], "it holds no images (files ending in .bmp"),
        (["a/1.png", "1.png"], "where 1.png lies beside class folders such as a; accepted is one folder per class"),
    ],
)
def test_what_is_no_image_folder_is_answered_by_a_sentence(
    tmp_path: Path, form: str, files: list[str], expected: str
) -> None:
    path = fill(tmp_path / "images", *files) if form == "folder" else packed(tmp_path / "images.zip", *files)
    with pytest.raises(UserError) as error:
        find_images(str(path), "dataset.path")
    assert str(error.value).startswith(f"dataset.path: found '{path}'")
    assert expected in str(error.value)


def test_a_missing_place_and_a_damaged_zip_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such folder or zip file"):
        find_images(str(tmp_path / "nowhere"), "dataset.path")
    archive = packed(tmp_path / "images.zip", "a/1.png")
    archive.write_bytes(archive.read_bytes()[:-8])
    with pytest.raises(UserError, match="not a whole zip file"):
        find_images(str(archive), "dataset.path")


def test_the_home_folder_may_be_written_as_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(fill(tmp_path, "flowers/rose/1.png")))
    assert find_images("~/flowers", "dataset.path").names == ["rose/1.png"]


def test_a_folder_is_watched_with_its_class_folders(tmp_path: Path) -> None:
    fill(tmp_path, "folder/b/1.png", "folder/a/1.png", "folder/.git/", "folder/readme.md")
    assert watched(str(tmp_path / "folder")) == [tmp_path / "folder" / name for name in ("", "a", "b")]
    archive = packed(tmp_path / "images.zip", "a/1.png")
    assert watched(str(archive)) == [archive]


def test_fifty_thousand_files_are_counted_in_a_moment(tmp_path: Path) -> None:
    for label in range(10):
        (tmp_path / str(label)).mkdir()
        for number in range(5000):
            os.close(os.open(tmp_path / str(label) / f"{number}.png", os.O_CREAT))
    start = time.process_time()
    assert len(find_images(str(tmp_path), "dataset.path").names) == 50_000
    assert time.process_time() - start < 2, "some 0.15 s on one core"


def test_listing_needs_the_standard_library_only() -> None:
    import subprocess

    code = "import sys, memsweep.study.kinds; print({'torch', 'numpy', 'PIL', 'pandas'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
