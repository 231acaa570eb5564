"""A study opened by its folder or its YAML file: tables, and the run that is meant."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import memsweep as ms
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memsweep.results.choosing import choose, meant
from memsweep.tables.contracts import SCHEMAS
from memsweep.tables.frames import with_plain_text
from memsweep.tables.parquet import write_table

AXES = ["train_size", "base_channels", "batch_size", "learning_rate", "seed", "subset"]


def test_every_table_is_a_frame_with_the_axes_beside_the_run(study: ms.StudyResults) -> None:
    runs = pd.read_parquet(study.folder / "tables" / "runs.parquet").set_index("run_id")
    assert set(study.tables) >= {"runs", "metrics", "trajectories", "losses", "samples", "neighbours", "images"}
    for name in study.tables:
        table = getattr(study, name)
        assert len(table) > 0 or name.startswith("agreement"), name  # of runs that are compared
        if "run_id" in table and name != "runs":
            for axis in AXES:
                assert (table[axis].to_numpy() == runs.loc[table["run_id"], axis].to_numpy()).all(), (name, axis)


def test_tables_of_packs_have_every_row_of_every_pack(study: ms.StudyResults) -> None:
    for place, name in (("train", "losses"), ("train", "samples"), ("measure", "neighbours")):
        files = list((study.folder / place).rglob(f"{name}.parquet"))
        assert len(files) == 3
        expected = with_plain_text(pd.concat(map(pd.read_parquet, files)))
        keys = [key for key in ("run_id", "step", "split", "item", "reference", "index") if key in expected]
        found = study.table(name)[list(expected.columns)].sort_values(keys, ignore_index=True)
        pd.testing.assert_frame_equal(found, expected.sort_values(keys, ignore_index=True))


def test_rows_of_a_run_that_is_packed_otherwise_now_are_counted_once(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny.parent / "results" / "tiny", tmp_path / "tiny")
    before = ms.open(tmp_path / "tiny").losses
    pack = next((tmp_path / "tiny" / "train").rglob("losses.parquet")).parent
    shutil.copytree(pack, tmp_path / "tiny" / "train" / "all")
    after = ms.open(tmp_path / "tiny").losses
    keys = ["run_id", "step", "split", "item"]
    pd.testing.assert_frame_equal(
        after.sort_values(keys, ignore_index=True), before.sort_values(keys, ignore_index=True)
    )


def test_a_frame_is_the_callers_own(study: ms.StudyResults) -> None:
    mine = study.runs
    mine["train_size"] = 0
    assert study.runs["train_size"].gt(0).all()


def test_a_table_that_there_is_not_is_a_sentence_with_those_there_are(study: ms.StudyResults) -> None:
    with pytest.raises(ms.UserError, match=r"has no table 'loses'; there are .*losses, .*metrics"):
        _ = study.loses
    assert not hasattr(study, "loses")
    assert {"losses", "metrics", "run"} <= set(dir(study))


def test_opening_and_tables_load_no_torch(study: ms.StudyResults, tiny: Path) -> None:
    code = """
import sys, memsweep as ms
for path in sys.argv[1:]:
    study = ms.open(path, sys.argv[1] + "/..")
    for name in study.tables:
        getattr(study, name)
    run = study.run(train_size=12)
    print(study, run, len(run.losses), len(run.metrics))
assert not {"torch", "matplotlib", "sklearn", "scipy"} & set(sys.modules), sorted(sys.modules)
"""
    paths = [str(study.folder), str(tiny)]
    result = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_a_file_and_a_folder_open_the_same_study(
    study: ms.StudyResults, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny.parent)
    by_file = ms.open("tiny.yaml")
    assert by_file.base == study.base == dict(zip(AXES, (12, 4, 4, 1e-3, 0, 0), strict=True))
    assert by_file.axes == study.axes == AXES
    pd.testing.assert_frame_equal(by_file.metrics, study.metrics)
    assert by_file.run(train_size=8).run_id == study.run(train_size=8).run_id


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nothing", "nothing: no such folder or file; accepted are a study's folder"),
        ("no.yaml", "no.yaml"),
        ("empty", "empty: holds no table of a study; accepted is a folder such as results/digits"),
        ("other.yaml", "results/other: no such folder; accepted is a study that has results there"),
        ("bad.yaml", "config error"),
    ],
)
def test_what_is_no_study_is_a_sentence(
    path: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "other.yaml").write_text(tiny.read_text().replace("study: tiny", "study: other"))
    (tmp_path / "bad.yaml").write_text("study: bad\nnonsense: 1\n")
    with pytest.raises(ms.UserError, match=said):
        ms.open(path)


def test_a_run_has_the_values_that_are_named_and_else_those_of_the_base_point(study: ms.StudyResults) -> None:
    base = {"base_channels": 4, "batch_size": 4, "learning_rate": 1e-3}
    assert study.run().axes == {"train_size": 12, **base, "seed": 0, "subset": 0}
    assert study.run(train_size=8).axes == {"train_size": 8, **base, "seed": 0, "subset": 0}
    assert study.run(train_size=8, subset=1).axes == {"train_size": 8, **base, "seed": 0, "subset": 1}
    assert study.run(seed=1).axes == {"train_size": 12, **base, "seed": 1, "subset": 0}
    # No run at the base point has it, and only one run at all
    assert study.run(learning_rate=2e-3).axes["train_size"] == 20
    run = study.run(train_size=8, seed=1)
    assert study.run(run.run_id[:5]).axes == run.axes
    assert repr(run).startswith(f"<run {run.run_id} of tiny: train_size=8 base_channels=4")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"train_size": 64}, "there is none with train_size=64; train_size is one of 8, 12, 20"),
        ({"train_size": 8, "seed": 3}, "there is none with train_size=8 seed=3; there are .*train_size=8 .*seed=0"),
        ({"train_size": True}, "there is none with train_size=true; train_size is one of 8, 12, 20"),
        ({"train_siz": 8}, "found the axis 'train_siz'; accepted is any of train_size, base_channels"),
        (
            {"train_size": 20},
            "2 runs have train_size=20, none of them at the base point otherwise; accepted is one of ",
        ),
    ],
)
def test_a_run_that_there_is_not_is_a_sentence(asked: dict[str, Any], said: str, study: ms.StudyResults) -> None:
    with pytest.raises(ms.UserError, match=said):
        study.run(**asked)


def test_ids_that_mean_none_or_several_runs_are_sentences(study: ms.StudyResults) -> None:
    with pytest.raises(ms.UserError, match="found 'x'; no run has an id that begins so; there are "):
        study.run("x")
    with pytest.raises(ms.UserError, match="found an id and values on axes; accepted is either"):
        study.run("x", seed=1)


def test_where_the_base_point_is_not_known_it_is_said(study: ms.StudyResults) -> None:
    with pytest.raises(ms.UserError, match="4 runs have train_size=8, the base point is not known from these tables"):
        choose(study.runs, study.axes, {}, None, {"train_size": 8})


POINTS = st.fixed_dictionaries({"train_size": st.integers(1, 3), "seed": st.integers(0, 2)})


@given(st.lists(POINTS, min_size=1, unique_by=lambda point: (point["train_size"], point["seed"])), POINTS, st.data())
def test_the_run_that_is_chosen_has_all_that_was_asked_for(
    points: list[dict[str, int]], base: dict[str, int], data: st.DataObject
) -> None:
    runs = pd.DataFrame([{"run_id": f"r{number}", **point} for number, point in enumerate(points)])
    asked: Mapping[str, int] = data.draw(st.dictionaries(st.sampled_from(["train_size", "seed"]), st.integers(1, 3)))
    wanted = {**base, **asked}
    matching = [point for point in points if all(point[axis] == value for axis, value in asked.items())]
    try:
        row = choose(runs, ["train_size", "seed"], base, None, asked)
    except ms.UserError:
        assert wanted not in points
        assert len(matching) != 1
    else:
        assert {"train_size": row["train_size"], "seed": row["seed"]} in matching
        assert wanted in points or len(matching) == 1


@pytest.mark.parametrize(
    ("written", "values", "expected"),
    [
        ("64", [32, 64], 64),
        ("1e-3", [0.001, 0.002], 0.001),
        ("3", [1, 2], 3),
        ("true", [True, False], True),
        ("[1, 2]", ["[1, 2]"], "[1, 2]"),
        ("unet", ["unet", "dit"], "unet"),
        ("vit", ["unet", "dit"], "vit"),
    ],
)
def test_a_text_stands_for_a_value_of_its_axis(written: str, values: list[Any], expected: Any) -> None:
    found = meant(written, values)
    assert found == expected
    assert type(found) is type(expected)


def test_what_it_is_says_its_repr(study: ms.StudyResults) -> None:
    said = repr(study)
    assert "10 runs (10 finished)" in said
    assert "train_size 8, 12, 20; learning_rate 0.001, 0.002; seed 0, 1, 3; subset 0, 1" in said
    assert "base point: train_size=12 base_channels=4" in said


def test_studies_of_theory_have_tables_and_no_runs(tmp_path: Path) -> None:
    write_table(
        tmp_path / "tables" / "alignments.parquet", "alignments", pd.DataFrame(columns=SCHEMAS["alignments"].names)
    )
    study = ms.open(tmp_path)
    assert study.tables == ["alignments"]
    assert "tables alignments" in repr(study)
    assert study.axes == []
    with pytest.raises(ms.UserError, match="has no table of runs"):
        study.run()


def test_a_value_that_is_missing_can_be_asked_for() -> None:
    runs = pd.DataFrame({"run_id": ["a", "b"], "train_size": [8, 8], "network_own_kernel": [3.0, None]})
    axes = ["train_size", "network_own_kernel"]
    assert choose(runs, axes, {}, None, {"network.own.kernel": None})["run_id"] == "b"
    assert choose(runs, axes, {}, None, {"network.own.kernel": 3})["run_id"] == "a"
