from __future__ import annotations

import gzip
import hashlib
import json
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from memsweep.base.errors import UserError
from memsweep.data.datasets import (
    LOADERS,
    Dataset,
    arrange,
    content_hash,
    duplicates,
    in_turns,
    load_digits,
    permutation,
    prepare,
)
from memsweep.data.images import ImageSet, Split, read_images, to_network, to_pixels
from memsweep.data.surrogates import write_surrogates
from memsweep.metrics.classifier import train_classifier
from memsweep.study import catalogue
from memsweep.study.catalogue import CATALOGUE, DatasetFacts, describe
from memsweep.study.config import schema
from memsweep.tables.parquet import read_table
from PIL import Image
from sklearn.datasets import load_digits as sklearn_digits
from torchvision import datasets as official

image_sets = hnp.arrays(np.uint8, st.tuples(st.integers(1, 30), st.just(2), st.just(2), st.just(1)))


def test_the_digits_are_scikit_learns(digits: Path) -> None:
    original = sklearn_digits()
    table = read_table(digits, "images")
    assert sorted(table["index"]) == list(range(1797))
    for row in table.itertuples():
        pixels = np.frombuffer(row.image, np.uint8).reshape(8, 8)
        np.testing.assert_array_equal(np.round(pixels.astype(float) * 16 / 255), original.images[row.index])
        assert row.label == original.target[row.index]


def test_the_splits_are_disjoint_and_of_the_size_asked_for(digits: Path) -> None:
    data = read_images(digits)
    assert (len(data.train), len(data.test)) == (1297, 500)
    assert data.shape == (8, 8, 1)
    assert data.classes == 10
    assert data.data_hash == content_hash(data.train, data.test)


def test_preparing_twice_gives_the_same_bytes_and_another_seed_another_order(digits: Path, tmp_path: Path) -> None:
    for name, seed in (("same", 0), ("other", 1)):
        prepare({"name": "digits", "test_images": 500, "seed": seed}, tmp_path / f"{name}.parquet")
    assert (tmp_path / "same.parquet").read_bytes() == digits.read_bytes()
    same, other = (read_images(tmp_path / f"{name}.parquet") for name in ("same", "other"))
    assert same.data_hash != other.data_hash


def test_a_smaller_held_out_set_is_part_of_a_larger_one(digits: Path, tmp_path: Path) -> None:
    prepare({"name": "digits", "test_images": 100, "seed": 0}, tmp_path / "images.parquet")
    small, large = read_images(tmp_path / "images.parquet"), read_images(digits)
    np.testing.assert_array_equal(small.test.images, large.test.images[:100])


@given(image_sets, st.randoms(use_true_random=False), st.integers(0, 5))
def test_the_permutation_does_not_depend_on_how_the_images_are_stored(
    images: np.ndarray, shuffler: object, seed: int
) -> None:
    stored = list(range(len(images)))
    shuffler.shuffle(stored)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(images[permutation(images, seed)], images[stored][permutation(images[stored], seed)])


@given(image_sets)
def test_pixels_survive_the_scale_of_the_network(images: np.ndarray) -> None:
    x = to_network(images)
    assert x.abs().max() <= 1
    np.testing.assert_array_equal(to_pixels(x), images)


def test_the_content_hash_sees_pixels_labels_order_and_split() -> None:
    digits = load_digits({}).train

    def split(chosen: slice) -> Split:
        return Split(digits.images[chosen], digits.labels[chosen])

    train, test = split(slice(0, 20)), split(slice(20, 30))
    hashes = {
        content_hash(train, test),
        content_hash(test, train),
        content_hash(split(slice(0, 21)), split(slice(21, 30))),
        content_hash(Split(train.images[::-1], train.labels[::-1]), test),
        content_hash(Split(train.images, train.labels[::-1]), test),
        content_hash(Split(255 - train.images, train.labels), test),
    }
    assert len(hashes) == 6
    assert content_hash(split(slice(0, 20)), split(slice(20, 30))) in hashes


def metadata(path: Path) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in pq.read_schema(path).metadata.items()}


def test_a_dataset_is_one_function_one_schema_entry_and_facts() -> None:
    names = schema()["properties"]["dataset"]["properties"]["name"]["enum"]
    assert set(names) == set(LOADERS) == {*CATALOGUE, "image_folder"}


@given(image_sets, image_sets)
def test_duplicates_are_those_of_a_comparison_of_all_pairs(train: np.ndarray, test: np.ndarray) -> None:
    def repeated(images: np.ndarray) -> int:
        return sum(any((image == other).all() for other in images[:n]) for n, image in enumerate(images))

    def split(images: np.ndarray) -> Split:
        return Split(images, np.zeros(len(images), np.int64))

    assert duplicates(split(train), split(test)) == {
        "duplicates_train": repeated(train),
        "duplicates_test": repeated(test),
        "duplicates_between": sum(any((image == other).all() for other in train) for image in test),
    }


# torchvision's classes, reading their official formats in miniature

pixels = np.random.default_rng(0).integers(0, 256, (60, 32, 32, 3), dtype=np.uint8)
labels = [int(label) for label in np.random.default_rng(1).integers(0, 10, 60)]


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def write_cifar(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CIFAR-10's archive with 5 x 10 training and 10 test images; returns the archive."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    names = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
    for number, name in enumerate(names):
        chosen = slice(10 * number, 10 * number + 10)
        planes = pixels[chosen].transpose(0, 3, 1, 2).reshape(10, 3072)
        (folder / name).write_bytes(pickle.dumps({"data": planes, "labels": labels[chosen]}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    archive = root / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, folder.name)
    sums = [[name, md5(folder / name)] for name in names]
    monkeypatch.setattr(official.CIFAR10, "train_list", sums[:5])
    monkeypatch.setattr(official.CIFAR10, "test_list", sums[5:])
    monkeypatch.setattr(official.CIFAR10, "meta", {**official.CIFAR10.meta, "md5": md5(folder / "batches.meta")})
    monkeypatch.setattr(official.CIFAR10, "tgz_md5", md5(archive))
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    monkeypatch.setitem(CATALOGUE, "cifar10", DatasetFacts(50, 10, 32, 32, 3, 10))
    return archive


def write_mnist(root: Path, source: type, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The four files of the family of MNIST, with 50 training and 10 test images; returns their folder."""
    folder = root / source.__name__ / "raw"
    folder.mkdir(parents=True)
    for name, chosen in (("train", slice(50)), ("t10k", slice(50, 60))):
        grey = pixels[chosen, :28, :28, 0]
        head = struct.pack(">IIII", 0x0803, *grey.shape)
        (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + grey.tobytes()))
        head = struct.pack(">II", 0x0801, len(grey))
        (folder / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(head + bytes(labels[chosen])))
    sums = [(name, md5(folder / name)) for name, _ in source.resources]  # type: ignore[attr-defined]
    monkeypatch.setattr(source, "resources", sums)
    return folder


def settings(root: Path, name: str, **changes: Any) -> dict[str, Any]:
    return {"name": name, "path": str(root), "test_images": 4, "seed": 0, "order": "stored", **changes}


def test_cifar10_is_read_as_stored_from_its_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar(tmp_path / "root", monkeypatch)
    prepare(settings(tmp_path / "root", "cifar10"), tmp_path / "images.parquet")
    data = read_images(tmp_path / "images.parquet")
    np.testing.assert_array_equal(data.train.images, pixels[:50])
    np.testing.assert_array_equal(data.test.images, pixels[50:54])
    assert [*data.train.labels, *data.test.labels] == labels[:54]
    table = read_table(tmp_path / "images.parquet", "images")
    assert list(table["index"]) == [*range(50), *range(4)]
    assert json.loads(metadata(tmp_path / "images.parquet")["class_names"]) == list("abcdefghij")
    permuted = settings(tmp_path / "root", "cifar10", order="permuted")
    prepare(permuted, tmp_path / "permuted.parquet")
    data = read_images(tmp_path / "permuted.parquet")
    turns = in_turns(permutation(pixels[:50], 0), np.array(labels[:50]))
    np.testing.assert_array_equal(data.train.images, pixels[:50][turns])
    np.testing.assert_array_equal(data.test.images, pixels[50:][permutation(pixels[50:], 0)][:4])


@pytest.mark.parametrize(("name", "source"), [("mnist", official.MNIST), ("fashion_mnist", official.FashionMNIST)])
def test_the_family_of_mnist_is_read_from_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, source: type
) -> None:
    write_mnist(tmp_path / "root", source, monkeypatch)
    monkeypatch.setitem(CATALOGUE, name, DatasetFacts(50, 10, 28, 28, 1, 10))
    prepare(settings(tmp_path / "root", name), tmp_path / "images.parquet")
    data = read_images(tmp_path / "images.parquet")
    np.testing.assert_array_equal(data.train.images[..., 0], pixels[:50, :28, :28, 0])
    np.testing.assert_array_equal(data.test.images[..., 0], pixels[50:54, :28, :28, 0])
    assert [*data.train.labels, *data.test.labels] == labels[:54]
    assert len(json.loads(metadata(tmp_path / "images.parquet")["class_names"])) == 10


def test_the_catalogue_s_classes_are_torchvision_s() -> None:
    for name, source in (("mnist", official.MNIST), ("fashion_mnist", official.FashionMNIST)):
        assert CATALOGUE[name].classes == len(source.classes)


def test_a_size_and_a_mode_convert_any_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_cifar(tmp_path / "root", monkeypatch)
    prepare(settings(tmp_path / "root", "cifar10", size=16, mode="grey"), tmp_path / "images.parquet")
    data = read_images(tmp_path / "images.parquet")
    expected = [np.asarray(Image.fromarray(image).convert("L").resize((16, 16), 1)) for image in pixels[:50]]
    np.testing.assert_array_equal(data.train.images[..., 0], expected)
    assert "cifar10: 50 images converted (from mode RGB: 50, reduced: 50)" in capsys.readouterr().err


def test_without_a_network_a_sentence_says_what_to_put_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = "http://127.0.0.1:9/"  # the discard port
    monkeypatch.setattr(official.CIFAR10, "url", nobody)
    with pytest.raises(UserError) as error:
        prepare(settings(tmp_path / "root", "cifar10"), tmp_path / "images.parquet")
    assert f"get cifar-10-python.tar.gz from {nobody} and put it into {tmp_path / 'root'}" in str(error.value)
    assert "Connection refused" in str(error.value)
    monkeypatch.setattr(official.MNIST, "mirrors", [nobody])
    with pytest.raises(UserError) as error:
        prepare(settings(tmp_path / "root", "mnist"), tmp_path / "images.parquet")
    assert f"t10k-labels-idx1-ubyte.gz from {nobody} and put it into {tmp_path / 'root' / 'MNIST' / 'raw'}" in str(
        error.value
    )
    assert len(str(error.value).splitlines()) == 1


def test_a_damaged_or_other_download_is_answered_by_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_mnist(tmp_path / "root", official.MNIST, monkeypatch)
    with pytest.raises(UserError, match=r"found images of shape \(50, 28, 28, 1\); expected \(60000, 28, 28, 1\)"):
        prepare(settings(tmp_path / "root", "mnist"), tmp_path / "images.parquet")
    (folder / "train-images-idx3-ubyte").write_bytes(b"half a file")
    with pytest.raises(UserError, match="delete damaged files there to download them again"):
        prepare(settings(tmp_path / "root", "mnist"), tmp_path / "images.parquet")
    assert not (tmp_path / "images.parquet").exists()


# Folders of images


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    """A folder of two classes with 30 images each, one of them there three times, among them under a second label."""
    for number, image in enumerate(pixels):
        path = tmp_path / "flowers" / ("rose" if number < 30 else "tulip") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[:8, :8]).save(path)
    for copy in ("rose/copy.png", "tulip/copy.png"):
        (tmp_path / "flowers" / copy).write_bytes((tmp_path / "flowers" / "rose" / "0.png").read_bytes())
    return tmp_path / "flowers"


def folder_settings(path: Path, **changes: Any) -> dict[str, Any]:
    return settings(path, "image_folder", size=8, mode="rgb", order="permuted", **changes)


def prepared(chosen: dict[str, Any], path: Path) -> ImageSet:
    prepare(chosen, path)
    return read_images(path)


def zipped(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.png"), reverse=True):
            archive.write(file, Path("around") / file.relative_to(folder))
    return path


def test_an_image_folder_is_prepared(flowers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (flowers / "rose" / "notes.txt").write_text("x")
    data = prepared(folder_settings(flowers), tmp_path / "images.parquet")
    assert (len(data.train), len(data.test), data.shape, data.classes) == (58, 4, (8, 8, 3), 2)
    both = np.concatenate([data.train.images, data.test.images])
    known = {image[:8, :8].tobytes(): number for number, image in enumerate(pixels)}
    for image, label in zip(both, [*data.train.labels, *data.test.labels], strict=True):
        number = known[image.tobytes()]
        assert label == number // 30 or number == 0
    found = metadata(tmp_path / "images.parquet")
    assert json.loads(found["class_names"]) == ["rose", "tulip"]
    counted = duplicates(data.train, data.test)
    assert sum(counted.values()) >= 2
    assert {key: int(found[key]) for key in counted} == counted
    log = capsys.readouterr().err
    assert f"{flowers}: 62 images as stored" in log
    assert "1 files left out, such as rose/notes.txt" in log
    assert f"exact duplicates: {counted['duplicates_train']} within the training images" in log


def test_a_zip_file_and_a_moved_folder_give_the_same_pixels(flowers: Path, tmp_path: Path) -> None:
    first = prepared(folder_settings(flowers), tmp_path / "first.parquet")
    packed = prepared(folder_settings(zipped(flowers)), tmp_path / "packed.parquet")
    flowers.rename(tmp_path / "elsewhere")
    moved = prepared(folder_settings(tmp_path / "elsewhere"), tmp_path / "moved.parquet")
    assert first.data_hash == packed.data_hash == moved.data_hash


def test_held_out_images_may_come_from_a_second_folder(flowers: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "tulip"
    other.mkdir(parents=True)
    for number in range(5):
        Image.fromarray(255 - pixels[number, :8, :8]).save(other / f"{number}.png")
    (other / "seen.png").write_bytes((flowers / "tulip" / "40.png").read_bytes())
    chosen = folder_settings(flowers, test_path=str(other.parent))
    data = prepared({**chosen, "test_images": 6}, tmp_path / "images.parquet")
    assert (len(data.train), len(data.test)) == (62, 6)
    assert set(data.test.labels) == {1}
    assert metadata(tmp_path / "images.parquet")["duplicates_between"] == "1"
    with pytest.raises(UserError, match=r"dataset\.test_images: found 7; accepted is at most 6"):
        prepare({**chosen, "test_images": 7}, tmp_path / "images.parquet")
    other.rename(tmp_path / "other" / "lily")
    with pytest.raises(UserError, match=r"dataset\.test_path: found class lily, which dataset\.path lacks"):
        describe(chosen)


def test_sizes_and_modes_may_be_mixed_and_are_reported(
    flowers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("LA", (20, 10), (7, 0)).save(flowers / "rose" / "la.PNG")
    Image.new("CMYK", (8, 8), (1, 2, 3, 4)).save(flowers / "rose" / "cmyk.JPEG")
    prepare(folder_settings(flowers), tmp_path / "images.parquet")
    assert (
        "64 images converted (cropped to the central square: 1, from mode CMYK: 1, from mode LA: 1, reduced: 1, "
        "transparent parts laid on white: 1)"
    ) in capsys.readouterr().err


def test_only_the_user_s_own_files_are_sources(flowers: Path) -> None:
    archive = zipped(flowers)
    chosen = {**folder_settings(flowers), "test_path": str(archive)}
    assert catalogue.sources(chosen) == [flowers, archive]
    assert catalogue.sources(settings(flowers, "cifar10")) == []
    assert catalogue.sources({"name": "digits"}) == []


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
def test_classes_take_turns_in_the_order_of_training(labels: list[int]) -> None:
    found = in_turns(np.arange(len(labels)), np.array(labels))
    assert sorted(found) == list(range(len(labels)))
    for size in range(1, len(labels) + 1):
        counts = [np.sum(np.array(labels)[found[:size]] == label) for label in set(labels)]
        # A class lags behind another only when it has no image left
        for label, count in zip(set(labels), counts, strict=True):
            assert count >= max(counts) - 1 or count == labels.count(label)


def test_small_training_sets_of_the_digits_hold_every_class(digits: Path) -> None:
    labels = read_images(digits).train.labels
    assert set(labels[:10]) == set(range(10))
    assert np.bincount(labels[:128]).min() >= 12


@given(st.lists(st.integers(0, 4), min_size=6, max_size=40), st.data())
def test_every_class_keeps_an_image_to_train_on(labels: list[int], data: st.DataObject) -> None:
    labels = [*range(5), *labels]
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 2, 2, 1), dtype=np.uint8)
    dataset = Dataset(Split(images, np.array(labels)), None, [*"abcde"])
    count = data.draw(st.integers(2, len(labels) - 5))
    train, held_out = arrange(dataset, {"test_images": count, "seed": 0})
    assert sorted([*train, *held_out]) == list(range(len(labels)))
    assert len(held_out) == count
    assert {labels[index] for index in train} == set(range(5))
    smaller = arrange(dataset, {"test_images": count - 1, "seed": 0})[1]
    np.testing.assert_array_equal(held_out[: count - 1], smaller)
    # Where no class would have lost all of its images, these are simply the first of the permutation
    first = permutation(images, 0)
    if {labels[index] for index in first[count:]} == set(range(5)):
        np.testing.assert_array_equal(held_out, first[:count])


def test_classes_of_one_image_are_trained_on(tmp_path: Path) -> None:
    for number in range(12):
        path = tmp_path / "flowers" / f"{min(number, 8)}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[number, :8, :8]).save(path)
    data = prepared({**folder_settings(tmp_path / "flowers"), "test_images": 3}, tmp_path / "images.parquet")
    assert set(data.train.labels) == set(range(9))
    assert set(data.test.labels) == {8}
    write_surrogates(["gaussian_mixture"], tmp_path / "images.parquet", tmp_path / "surrogates.parquet")
    fewer = prepared({**folder_settings(tmp_path / "flowers"), "test_images": 4}, tmp_path / "fewer.parquet")
    assert len(set(fewer.train.labels)) < 9
    with pytest.raises(
        UserError, match=r"accepted are fewer dataset\.test_images, or surrogates without gaussian_mixture"
    ):
        write_surrogates(["gaussian_mixture"], tmp_path / "fewer.parquet", tmp_path / "surrogates.parquet")


def test_of_one_class_the_log_says_what_is_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "flowers").mkdir()
    for number in range(8):
        Image.fromarray(pixels[number, :8, :8]).save(tmp_path / "flowers" / f"{number}.png")
    prepare(folder_settings(tmp_path / "flowers"), tmp_path / "images.parquet")
    assert (
        "images of one class: a classifier has nothing to tell apart, and distances are taken"
        in capsys.readouterr().err
    )
    with pytest.raises(UserError, match="found classifier, and all training images are of one class"):
        train_classifier(tmp_path / "images.parquet", tmp_path / "classifier.safetensors")
    assert not (tmp_path / "classifier.safetensors").exists()
