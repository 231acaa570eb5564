"""The command ``compare``: what it answers, what it writes, what it refuses, and that a wheel is all it needs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import memsweep
import numpy as np
import pandas as pd
import pytest
from helpers.configs import ROOT
from memsweep.__main__ import main
from memsweep.metrics.neighbours import nearest
from memsweep.tables.contracts import SCHEMAS
from memsweep.tables.parquet import read_table
from PIL import Image
from sklearn.datasets import load_digits

TABLES = ("copy_shares", "battery", "nearest_pairs")


@pytest.fixture(scope="module")
def images() -> dict[str, np.ndarray]:
    """Sets of digits: 100 to train on, 400 held out, 400 others, and 200 that are half noisy copies."""
    digits = np.round(load_digits().images * (255 / 16)).astype(np.uint8)
    digits = digits[np.random.default_rng(0).permutation(len(digits))]
    train, held_out, others = np.split(digits[:900], [100, 500])
    noise = np.random.default_rng(1).normal(0, 20, train.shape)
    copies = np.clip(train + noise, 0, 255).astype(np.uint8)
    half = np.concatenate([copies, others[:100]])
    return {"train": train, "held_out": held_out, "others": others, "half": half}


def pictures(folder: Path, images: np.ndarray) -> Path:
    folder.mkdir()
    for row, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{row:03d}.png")
    return folder


def test_a_model_that_copies_is_told_from_one_that_does_not(images: dict[str, np.ndarray]) -> None:
    copier = memsweep.compare(images["half"], images["train"], images["held_out"])
    assert copier.answer.startswith("It copies: 50.0 % [42.9, 57.1] ")
    assert (
        "of 200 generated images are copies at a rule that calls 1.0 % [0.27, 2.5] of 400 held-out images copies"
        in (copier.answer)
    )
    other = memsweep.compare(images["others"], images["train"], images["held_out"])
    assert other.answer.startswith("No sign of copying: ")
    assert copier.files == {}


def test_samples_that_lean_towards_the_training_set_without_a_copy_are_said_to(images: dict[str, np.ndarray]) -> None:
    rows = images["train"].reshape(100, -1)
    other = images["train"][nearest(rows, rows).index[:, 1]]
    means = ((images["train"].astype(float) + other) / 2).round().astype(np.uint8)
    answer = memsweep.compare(means, images["train"], images["held_out"]).answer
    assert answer.startswith("No image can be told from chance to be a copy, but the images lean towards")


def test_images_that_equal_training_images_are_copies_whatever_the_rule_says(images: dict[str, np.ndarray]) -> None:
    generated = np.concatenate([images["train"][:1], images["others"]])
    answer = memsweep.compare(generated, images["train"], images["held_out"]).answer
    assert answer.startswith("It copies: 1 of 401 generated images equal a training image in every pixel.")
    assert "No sign" not in answer
    # but not where as many held-out images do
    held_out = np.concatenate([images["train"][:1], images["held_out"]])
    answer = memsweep.compare(generated, images["train"], held_out).answer
    assert answer.startswith("No sign of copying")


def test_noise_is_far_from_everything_which_hides_copies(images: dict[str, np.ndarray]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (50, 8, 8), dtype=np.uint8)
    answer = memsweep.compare(noise, images["train"], images["held_out"]).answer
    assert answer.startswith("No sign of copying")
    assert "farther off than real ones: samples of low quality would hide copies." in answer


def test_without_held_out_images_it_says_what_cannot_be_said(images: dict[str, np.ndarray]) -> None:
    result = memsweep.compare(images["half"], images["train"])
    first, second, *_ = result.answer.splitlines()
    assert first.startswith("By the field's rule (d1/d2 < 1/3), ")
    assert second.endswith("cannot be said without held-out images.")
    assert result.copy_shares["rule"].tolist() == ["field"]


def test_the_command_prints_the_answer_and_writes_tables_a_sheet_and_json(
    tmp_path: Path, images: dict[str, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    train = pictures(tmp_path / "train", images["train"])
    np.savez(tmp_path / "samples.npz", images["half"][:, None])
    np.save(tmp_path / "held_out.npy", images["held_out"].astype(np.float32) / 127.5 - 1)
    output = tmp_path / "found" / "here"
    arguments = [str(tmp_path / "samples.npz"), str(train), str(tmp_path / "held_out.npy"), "--output", str(output)]
    assert main(["compare", *arguments, "--rate", "0.05"]) == 0
    printed = capsys.readouterr().out
    expected = memsweep.compare(images["half"], images["train"], images["held_out"], rate=0.05)
    assert printed.startswith(expected.answer)
    assert str(output / "nearest_pairs.png") in printed
    for name in TABLES:
        table = read_table(output / f"{name}.parquet", name)
        assert list(table.columns) == SCHEMAS[name].names
        mine = getattr(expected, name)[SCHEMAS[name].names]
        if name == "nearest_pairs":
            assert set(table["nearest_name"]) <= {f"{row:03d}.png" for row in range(100)}
            mine = mine.assign(nearest_name=table["nearest_name"])
        pd.testing.assert_frame_equal(table, mine, check_dtype=False)
    with Image.open(output / "nearest_pairs.png") as sheet:
        assert sheet.width == 1400
    content = json.loads((output / "comparison.json").read_text())
    assert content["answer"] == expected.answer
    assert content["settings"] == {"space": "pixels", "rate": 0.05, "confidence": 0.95}
    assert content["battery"][0]["metric"] == "nearer"
    assert "NaN" not in (output / "comparison.json").read_text()
    assert (output / "answer.txt").read_text().startswith(expected.answer)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no.npz", "train"], "GENERATED: found 'no.npz'; there is no such file"),
        (["samples.npz", "nowhere"], "TRAIN: found 'nowhere'; there is no such folder or zip file"),
        (["samples.npz", "empty"], "TRAIN: found 'empty'; it holds no images"),
        (["samples.npz", "train", "train"], "HELD_OUT: found 0 images that are none of the training images"),
        (["one.npz", "train"], "GENERATED: found 1 images; accepted are at least 2"),
        (["colour.npz", "train"], "TRAIN: found images of 8x8 grey, where GENERATED has 8x8 RGB"),
        (["large.npz", "train"], "TRAIN: found images of 8x8 grey, where GENERATED has 9x9 grey"),
        (["samples.npz", "train", "--space", "classifier"], "--space: found 'classifier'; accepted is one of pixels,"),
        (
            ["samples.npz", "train", "--space", "sscd", "--weights", "no.pt"],
            "--weights: found no.pt; accepted is a file that exists",
        ),
        (["samples.npz", "train", "--rate", "0"], "--rate: found 0.0; accepted is a number between 0 and 1"),
        (["samples.npz", "train", "--size", "0"], "--size: found 0; accepted is a number of pixels, at least 1"),
        (["samples.npz", "train", "--output", "one.npz/a"], "one.npz"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_nothing_is_written(
    tmp_path: Path,
    images: dict[str, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / "train", images["train"][:20])
    (tmp_path / "empty").mkdir()
    np.savez("samples.npz", images["half"][:20])
    np.savez("one.npz", images["half"][:1])
    np.savez("colour.npz", np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8))
    np.savez("large.npz", np.zeros((5, 9, 9), np.uint8))
    before = sorted(tmp_path.rglob("*"))
    assert main(["compare", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("memsweep compare: ")
    assert said in error
    assert len(error.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_wheel_in_an_empty_folder_is_enough(tmp_path: Path, images: dict[str, np.ndarray]) -> None:
    """Built of a copy, installed without the repository, and called as a command and from Python."""
    source, target, folder = tmp_path / "source", tmp_path / "site", tmp_path / "empty"
    package = "workflow/memsweep"
    shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheel = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(source)]
    subprocess.run(wheel, check=True, timeout=120)
    (built,) = tmp_path.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(target), str(built)], check=True, timeout=120)
    folder.mkdir()
    np.savez(folder / "half.npz", images["half"])
    np.savez(folder / "train.npz", images["train"])
    code = (
        "import memsweep; from memsweep.__main__ import main; print(memsweep.__file__);"
        "main(['compare', 'half.npz', 'train.npz']); print(memsweep.compare('half.npz', 'train.npz').answer)"
    )
    environment = {**os.environ, "PYTHONPATH": str(target)}
    options = {"cwd": folder, "env": environment, "capture_output": True, "text": True, "timeout": 120}
    result = subprocess.run([sys.executable, "-c", code], **options)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[0] == str(target / "memsweep" / "__init__.py")
    assert result.stdout.count("By the field's rule") == 2
    assert (folder / "comparison" / "nearest_pairs.png").is_file()
