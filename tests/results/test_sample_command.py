"""The command ``sample``."""

from __future__ import annotations

from pathlib import Path

import memsweep as ms
import numpy as np
import pytest
from memsweep.__main__ import main


@pytest.fixture(autouse=True)
def _there(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny.parent)


def test_it_writes_what_python_generates(
    tmp_path: Path, study: ms.StudyResults, capsys: pytest.CaptureFixture[str]
) -> None:
    run = study.run(train_size=12, seed=1)
    trained = int(run.samples().labels[0])  # type: ignore[index]
    options = ["--step", "5", "--number", "3", "--labels", str(trained), "--seed", "2"]
    output = tmp_path / "a.npz"
    assert main(["sample", "tiny.yaml", "--run", "train_size=12", "seed=1", *options, "--output", str(output)]) == 0
    with np.load(output) as file:
        expected = run.sample(3, [trained], 2, 5)
        np.testing.assert_array_equal(file["arr_0"], expected.images)
        np.testing.assert_array_equal(file["labels"], [trained] * 3)
    said = capsys.readouterr().out
    assert said == f"{output}: 3 samples of run {run.run_id} at step 5: 8x8 grey, labels {trained}\n"


@pytest.mark.parametrize("which", [[], ["--run", "train_size=12"], ["--run", "train_size=12", "--run", "seed=0"]])
def test_it_takes_the_base_point_and_all_of_few_latents(
    which: list[str], tmp_path: Path, study: ms.StudyResults
) -> None:
    assert main(["sample", "results/tiny", *which, "--output", str(tmp_path / "a.npz")]) == 0
    with np.load(tmp_path / "a.npz") as file:
        np.testing.assert_array_equal(file["arr_0"], study.run().samples().images)


def test_it_takes_an_id_and_generates_64_of_a_seed(tmp_path: Path, study: ms.StudyResults) -> None:
    run = study.run(train_size=8)
    command = ["sample", "tiny.yaml", "--run", run.run_id[:6], "--seed", "0", "--output", str(tmp_path / "a")]
    assert main(command) == 0
    assert len(list((tmp_path / "a").rglob("*.png"))) == 64


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no.yaml"], "memsweep sample: no.yaml: "),
        (["nothing"], "memsweep sample: nothing: no such folder or file"),
        (["tiny.yaml", "--run", "train_size=9"], "run: there is none with train_size=9; train_size is one of 8, 12"),
        (["tiny.yaml", "--run", "size=9"], "run: found the axis 'size'; accepted is any of train_size"),
        (["tiny.yaml", "--run", "seed=1", "abc"], "--run: found 'abc'; accepted are values on axes"),
        (["tiny.yaml", "--run", "seed=1", "seed=0"], "--run: found seed twice; accepted is once"),
        (["tiny.yaml", "--run", "zz"], "run: found 'zz'; no run has an id that begins so"),
        (["tiny.yaml", "--step", "6"], "step: found 6, whose weights were not kept; accepted is one of 5, 22"),
        (["tiny.yaml", "--number", "9"], "number: found 9, and the study has 8 latents"),
        (["tiny.yaml", "--labels", "11"], "labels: found 11; accepted are those that were trained"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", *arguments, "--output", str(tmp_path / "a.png")]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_where_it_cannot_write_it_says_before_it_generates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "no.yaml", "--output", str(tmp_path / "a.gif")]) == 1
    assert "output: found" in capsys.readouterr().err
