from __future__ import annotations

import json
import os
import sys
import time
import tracemalloc
import unicodedata
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memsweep.base.errors import UserError
from memsweep.study import contents
from memsweep.study.contents import content_hash
from memsweep.study.folders import ImageFiles, find_images, find_splits
from memsweep.study.listing import reader
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
    assert found.listing.is_zip


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


def test_fifty_thousand_files_are_counted_in_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for label in range(10):
        (tmp_path / "images" / str(label)).mkdir(parents=True)
        for number in range(5000):
            os.close(os.open(tmp_path / "images" / str(label) / f"{number}.png", os.O_CREAT))
    start = time.process_time()
    assert len(find_images(str(tmp_path / "images"), "dataset.path").names) == 50_000
    assert time.process_time() - start < 2, "some 0.2 s on one core"
    # A plan knows their content without reading what has been read
    monkeypatch.setattr(contents, "TICK", -3600)
    dataset = {"name": "image_folder", "path": str(tmp_path / "images")}
    first = content_hash(dataset, tmp_path / "cache")
    start = time.process_time()
    assert content_hash(dataset, tmp_path / "cache") == first
    assert time.process_time() - start < 4, "some 0.6 s on one core"


def test_listing_needs_the_standard_library_only() -> None:
    import subprocess

    code = "import sys, memsweep.study.kinds; print({'torch', 'numpy', 'PIL', 'pandas'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


# Every rule of config/README.md, as files and what they are: an image's class by its split and name, or a sentence


def stored(path: Path, form: str, files: Mapping[str, str]) -> Path:
    """Files with their content, as a folder or as a zip file that takes any name."""
    if form == "zip":
        with warnings.catch_warnings(), zipfile.ZipFile(path.with_suffix(".zip"), "w") as archive:
            warnings.simplefilter("ignore")  # of a name that is there twice
            for name, content in files.items():
                archive.writestr(name.removesuffix("~"), content)
        return path.with_suffix(".zip")
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            (path / name).write_text(content)
    return path


def seen(parts: Mapping[str, ImageFiles]) -> dict[str, dict[str, str]]:
    return {split: dict(zip(files.names, files.classes, strict=True)) for split, files in parts.items()}


def edm(*labels: Any) -> str:
    return json.dumps({"labels": [*labels]})


E_ACUTE, E_AND_ACUTE = "caf\u00e9", "cafe\u0301"
BOTH, ZIP, FOLDER = ("folder", "zip"), ("zip",), ("folder",)
TWO = {"a/1.png": "a", "b/2.png": "b"}

RULES: dict[str, tuple[Sequence[str], list[str], dict[str, dict[str, str]]]] = {
    "a backslash divides": (ZIP, ["a\\1.png", "b\\2.png"], {"train": TWO}),
    "a dot is this folder": (ZIP, ["./a/1.png", "b/./2.png", "./"], {"train": TWO}),
    "slashes may be doubled": (ZIP, ["a//1.png", "b/2.png"], {"train": TWO}),
    "folders around everything": (ZIP, ["x/y/a/1.png", "x/y/b/2.png"], {"train": {f"x/y/{k}": TWO[k] for k in TWO}}),
    "folders around everything in a folder": (
        FOLDER,
        ["x/a/1.png", "x/b/2.png"],
        {"train": dict.fromkeys(["x/a/1.png", "x/b/2.png"], "x")},
    ),
    "images of one folder": (BOTH, ["x/1.png", "x/2.png"], {"train": {"x/1.png": "x", "x/2.png": "x"}}),
    "train and test": (
        BOTH,
        ["train/a/1.png", "train/b/2.png", "test/a/3.png"],
        {"train": {"train/a/1.png": "a", "train/b/2.png": "b"}, "test": {"test/a/3.png": "a"}},
    ),
    "train and test, in any case": (
        BOTH,
        ["Training/a/1.png", "TEST/a/3.png"],
        {"train": {"Training/a/1.png": "a"}, "test": {"TEST/a/3.png": "a"}},
    ),
    "train and validation": (
        BOTH,
        ["train/a/1.png", "val/a/3.png"],
        {"train": {"train/a/1.png": "a"}, "test": {"val/a/3.png": "a"}},
    ),
    "three splits": (
        BOTH,
        ["train/a/1.png", "valid/a/3.png", "test/a/4.png"],
        {"train": {"train/a/1.png": "a"}, "test": {"test/a/4.png": "a"}},
    ),
    "splits within a folder around everything": (
        ZIP,
        ["x/train/a/1.png", "x/test/a/3.png"],
        {"train": {"x/train/a/1.png": "a"}, "test": {"x/test/a/3.png": "a"}},
    ),
    "splits without classes": (
        BOTH,
        ["train/1.png", "test/3.png"],
        {"train": {"train/1.png": "all"}, "test": {"test/3.png": "all"}},
    ),
    "splits of one class by two names": (
        BOTH,
        ["train/x/1.png", "test/3.png"],
        {"train": {"train/x/1.png": "x"}, "test": {"test/3.png": "x"}},
    ),
    "train alone": (BOTH, ["train/a/1.png", "train/b/2.png"], {"train": {"train/a/1.png": "a", "train/b/2.png": "b"}}),
    "a class called train": (
        BOTH,
        ["train/1.png", "plane/2.png"],
        {"train": {"plane/2.png": "plane", "train/1.png": "train"}},
    ),
    "train alone without classes": (BOTH, ["train/1.png"], {"train": {"train/1.png": "train"}}),
    "one form of accents": (
        BOTH,
        [f"{E_AND_ACUTE}/1.png", f"{E_ACUTE}/2.png"],
        {"train": {f"{E_ACUTE}/1.png": E_ACUTE, f"{E_ACUTE}/2.png": E_ACUTE}},
    ),
    "systems' folders": (
        BOTH,
        [
            "a/1.png",
            "a/@eaDir/1.png/SYNOPHOTO_THUMB_XL.jpg",
            "b/2.png",
            "@eaDir/x.png",
            "b/.thumbnails/2.png",
            "__MACOSX/a/._1.png",
            "#recycle/a/3.png",
            "a/_thumb/1.png",
        ],
        {"train": TWO},
    ),
    "thumbnails": (
        BOTH,
        [
            "a/1.png",
            "a/1_thumb.png",
            "a/thumb_1.jpg",
            "a/1-thumbnail.jpg",
            "a/1.png.thumb.jpg",
            "a/thumbs/1.png",
            "b/2.png",
            "b/Thumbnails/2.JPG",
        ],
        {"train": TWO},
    ),
    "no thumbnails of anything": (
        BOTH,
        ["left_thumb/1.png", "thumbs/up_thumb.png"],
        {"train": {"left_thumb/1.png": "left_thumb", "thumbs/up_thumb.png": "thumbs"}},
    ),
}


@pytest.mark.parametrize(("rule", "form"), [(rule, form) for rule, (forms, *_) in RULES.items() for form in forms])
def test_what_counts_as_an_image_of_which_class(tmp_path: Path, rule: str, form: str) -> None:
    _, names, expected = RULES[rule]
    path = stored(tmp_path / "images", form, dict.fromkeys(names, rule))
    parts = find_splits({"path": str(path)})
    assert seen(parts) == expected
    for files in parts.values():
        with reader(files.listing) as read:
            assert {read(name) for name in files.names} == {rule.encode()}
    known = {name for files in parts.values() for name in files.names}
    told = [name for files in parts.values() for name in (*files.left_out, *files.skipped)]
    assert len(told) == len(set(told))
    assert all(spelled in known or spelled.startswith(tuple(told)) for spelled in _spelled(names))


def _spelled(names: Iterable[str]) -> Iterator[str]:
    """Names of files as they are listed."""
    for name in names:
        parts = [
            part for part in unicodedata.normalize("NFC", name).replace("\\", "/").split("/") if part not in ("", ".")
        ]
        if parts:
            yield "/".join(parts)


LABELLED = {"0/1.png": "", "0/2.png": "", "1/3.png": ""}
CLASSES = {"0/1.png": "10", "0/2.png": "2", "1/3.png": "2"}


@pytest.mark.parametrize("form", BOTH)
@pytest.mark.parametrize(
    ("around", "labels", "expected"),
    [
        ("", edm(["0/1.png", 10], ["0/2.png", 2], ["1/3.png", 2]), CLASSES),
        ("", edm(["0\\1.png", 10], ["./0/2.png", 2], ["1/3.png", 2]), CLASSES),
        ("", json.dumps({"labels": None}), dict.fromkeys(LABELLED, "all")),
        ("", json.dumps({"title": "no labels"}), {"0/1.png": "0", "0/2.png": "0", "1/3.png": "1"}),
        ("train/", edm(["0/1.png", 10], ["0/2.png", 2], ["1/3.png", 2]), CLASSES),
    ],
)
def test_a_file_of_labels_says_the_classes(
    tmp_path: Path, form: str, around: str, labels: str, expected: dict[str, str]
) -> None:
    files = {f"{around}{name}": content for name, content in {**LABELLED, "dataset.json": labels}.items()}
    found = find_splits({"path": str(stored(tmp_path / "images", form, files))})["train"]
    assert dict(zip(found.names, found.classes, strict=True)) == {around + name: expected[name] for name in expected}
    assert found.class_names == sorted(set(expected.values()), key=lambda name: (len(name), name))
    assert found.left_out == ([] if "labels" in labels and "title" not in labels else ["dataset.json"])


def test_loose_images_may_have_labels(tmp_path: Path) -> None:
    files = {"x/1.png": "", "x/2.png": "", "x/dataset.json": edm(["1.png", 1], ["2.png", 0])}
    found = find_images(str(stored(tmp_path / "images", "zip", files)), "dataset.path")
    assert dict(zip(found.names, found.classes, strict=True)) == {"x/2.png": "0", "x/1.png": "1"}


REFUSED: dict[str, tuple[Sequence[str], dict[str, str], str]] = {
    "out of the folder": (
        ZIP,
        {"a/1.png": "", "../b/2.png": ""},
        "it holds the name '../b/2.png', which leads out of the zip file",
    ),
    "back and forth": (ZIP, {"a/../b/2.png": ""}, "it holds the name 'a/../b/2.png', which leads out"),
    "out of it by backslashes": (
        ZIP,
        {"..\\b\\2.png": ""},
        "which leads out of the zip file; accepted are names relative to one folder",
    ),
    "from the root": (ZIP, {"a/1.png": "", "/b/2.png": ""}, "it holds the name '/b/2.png', which leads out"),
    "from a drive": (ZIP, {"C:\\b\\2.png": ""}, "which leads out of the zip file"),
    "one name twice": (
        ZIP,
        {"a/1.png": "", "a/1.png~": "other"},
        "it holds two files of one name, a/1.png; accepted is each name once",
    ),
    "one name in two spellings": (ZIP, {"a/1.png": "", "./a\\1.png": ""}, "it holds two files of one name, a/1.png"),
    "one name in two forms": (
        BOTH,
        {f"{E_ACUTE}/1.png": "", f"{E_AND_ACUTE}/1.png": ""},
        f"it holds two files of one name, {E_ACUTE}/1.png",
    ),
    "loose beside a class": (BOTH, {"1.png": "", "a/2.png": ""}, "where 1.png lies beside class folders such as a"),
    "loose beside a class, in a folder": (
        ZIP,
        {"x/1.png": "", "x/a/2.png": ""},
        "where x/1.png lies beside class folders such as a",
    ),
    "loose beside a class, in a split": (
        BOTH,
        {"train/1.png": "", "train/a/2.png": "", "test/a/3.png": ""},
        "where train/1.png lies beside class folders such as a",
    ),
    "a class to test alone": (
        BOTH,
        {"train/a/1.png": "", "train/b/2.png": "", "test/c/3.png": ""},
        "found class c, which its training images lack; accepted are its classes, a, b",
    ),
    "thumbnails alone": (BOTH, {"@eaDir/1.png": "", ".thumbnails/2.png": ""}, "it holds no images"),
    "labels that are none": (
        BOTH,
        {"1.png": "", "dataset.json": edm(["1.png", "cat"])},
        'whose dataset.json holds the label ["1.png", "cat"]; accepted are',
    ),
    "labels of several kinds": (
        BOTH,
        {"1.png": "", "dataset.json": edm(["1.png", [0, 1]])},
        'holds the label ["1.png", [0, 1]]',
    ),
    "labels that are no list": (
        BOTH,
        {"1.png": "", "dataset.json": '{"labels": {"1.png": 0}}'},
        "holds the label null",
    ),
    "no JSON": (BOTH, {"1.png": "", "dataset.json": "labels"}, "whose dataset.json is not JSON"),
    "two labels": (
        BOTH,
        {"1.png": "", "dataset.json": edm(["1.png", 0], ["1.png", 1])},
        "whose dataset.json gives 1.png two labels",
    ),
    "an image without a label": (
        BOTH,
        {"1.png": "", "2.png": "", "dataset.json": edm(["1.png", 0])},
        "which holds 2.png, to which dataset.json gives no label",
    ),
    "a label without an image": (
        BOTH,
        {"1.png": "", "dataset.json": edm(["1.png", 0], ["3.png", 0])},
        "which lacks 3.png, which dataset.json names",
    ),
}


@pytest.mark.parametrize(("rule", "form"), [(rule, form) for rule, (forms, *_) in REFUSED.items() for form in forms])
def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, rule: str, form: str) -> None:
    _, files, expected = REFUSED[rule]
    with pytest.raises(UserError) as error:
        find_splits({"path": str(stored(tmp_path / "images", form, files))})
    assert str(error.value).startswith("dataset.path: found ")
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_one_class_is_one_whatever_its_folder_is_called(tmp_path: Path) -> None:
    train, test = (stored(tmp_path / name, "zip", {f"{name}/1.png": ""}) for name in ("photos", "held"))
    parts = find_splits({"path": str(train), "test_path": str(test)})
    assert seen(parts) == {"train": {"photos/1.png": "photos"}, "test": {"held/1.png": "photos"}}


def test_held_out_images_of_a_second_place_are_those_of_its_split(tmp_path: Path) -> None:
    train = stored(tmp_path / "one", "folder", {"a/1.png": "", "b/2.png": ""})
    both = stored(tmp_path / "both", "zip", {"train/a/3.png": "", "test/b/4.png": ""})
    assert seen(find_splits({"path": str(train), "test_path": str(both)}))["test"] == {"test/b/4.png": "b"}
    with pytest.raises(
        UserError, match=r"dataset\.test_path: found .*, where dataset\.path holds held-out images of its"
    ):
        find_splits({"path": str(both), "test_path": str(train)})


def test_a_class_whose_name_is_not_text_is_a_sentence(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)  # noqa: PTH102
    (Path(os.fsdecode(folder)) / "1.png").touch()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "2.png").touch()
    with pytest.raises(UserError, match=r"whose class folder b'caf\\xe9' has a name that is not UTF-8"):
        find_images(str(tmp_path), "dataset.path")


def test_a_name_in_a_zip_file_that_is_not_text_is_a_sentence(tmp_path: Path) -> None:
    archive = packed(tmp_path / "images.zip", "caf\u00e9/1.png")
    archive.write_bytes(archive.read_bytes().replace("\u00e9".encode(), b"\xe9\xe9"))
    with pytest.raises(UserError, match="a zip file with a name in it that is not the Unicode that it says to be"):
        find_images(str(archive), "dataset.path")


def test_a_folder_within_itself_is_a_sentence(tmp_path: Path) -> None:
    fill(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "a" / "again").symlink_to(tmp_path / "b")
    assert find_images(str(tmp_path), "dataset.path").names == ["a/1.png", "a/again/2.png", "b/2.png"]
    (tmp_path / "b" / "back").symlink_to(tmp_path / "a")
    with pytest.raises(UserError, match=r"its folder .* is a link to a folder around it; remove the link"):
        find_images(str(tmp_path), "dataset.path")


def test_what_is_larger_than_any_picture_is_not_read(tmp_path: Path) -> None:
    archive = tmp_path / "images.zip"
    with (
        zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file,
        file.open("a/1.png", "w", force_zip64=True) as entry,
    ):
        for _ in range(64):
            entry.write(bytes(2**24))
    folder = fill(tmp_path / "images", "a/1.png")
    os.truncate(folder / "a" / "1.png", 2**30)
    for path in (archive, folder):
        listing = find_images(str(path), "dataset.path").listing
        tracemalloc.start()
        with reader(listing) as read, pytest.raises(ValueError, match="of 1073741824 bytes; accepted are at most"):
            read("a/1.png")
        assert tracemalloc.get_traced_memory()[1] < 2**20
        tracemalloc.stop()


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    fill(tmp_path, "a/1.png")
    os.mkfifo(tmp_path / "a" / "2.png")
    with reader(find_images(str(tmp_path), "dataset.path").listing) as read, pytest.raises(ValueError, match="neither"):
        read("a/2.png")


FOLDERS = ("", ".", "..", "a", "b", "train", "Test", "val", "thumbs", "@eaDir", ".x", "cafe\u0301", "caf\u00e9", "C:")
FILES = ("1.png", "1_thumb.PNG", "2.jpg", "n.txt", "dataset.json", "caf\u00e9.png", "cafe\u0301.png")
parts_of_names = st.sampled_from(FOLDERS + FILES)
names_of_any_kind = st.lists(st.lists(parts_of_names, min_size=1, max_size=4), min_size=1, max_size=8)
contents_of_any_kind = st.sampled_from(
    ["", "{}", '{"labels": null}', '{"labels": [["1.png", 0]]}', "[1]", '{"labels": 3}']
)


@given(names_of_any_kind, st.sampled_from(["/", "\\"]), contents_of_any_kind)
def test_any_zip_file_is_a_sentence_or_has_every_image_in_one_place(
    tmp_path_factory: pytest.TempPathFactory, names: list[list[str]], divider: str, content: str
) -> None:
    files = dict.fromkeys([divider.join(parts) for parts in names if "".join(parts)], content)
    path = stored(tmp_path_factory.mktemp("images") / "any", "zip", files)
    try:
        parts = find_splits({"path": str(path)})
    except UserError:
        return
    used = [name for files in parts.values() for name in files.names]
    told = [name for files in parts.values() for name in (*files.left_out, *files.skipped)]
    assert len(set(used)) == len(used)
    assert not set(used) & set(told)
    listed = parts["train"].listing
    labels = {files.labels for files in parts.values()}
    assert {*used, *(set(told) & set(listed.stored)), *labels - {""}} == set(listed.stored)
    for files in parts.values():
        assert len(files.classes) == len(files.names)
        assert set(files.classes) <= set(parts["train"].class_names)
