"""The parts of the summary: numbers, tables, claims, captions, samples and methods."""

from __future__ import annotations

import base64
import io
import json
import math
import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.configs import ROOT
from helpers.sweep_tables import runs_of, study_of, table
from hypothesis import given
from hypothesis import strategies as st
from memsweep.base.errors import UserError
from memsweep.figures.wording import MINUS
from memsweep.report.summary import amounts, making
from memsweep.report.summary.claims import cards
from memsweep.report.summary.explorer import explored
from memsweep.report.summary.methods import methods
from memsweep.report.summary.page import _json, powers
from memsweep.report.summary.pictures import caption_html, first_sentence, pictures
from memsweep.report.summary.run_names import RunNames
from memsweep.report.summary.samples import Extent, sheets, spread
from memsweep.report.summary.tables import embedded_tables, number
from memsweep.study.axes import read_axes
from memsweep.tables.contracts import SCHEMAS
from memsweep.tables.parquet import read_table, write_table
from PIL import Image

FINITE = st.floats(-1e6, 1e6, allow_nan=False)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (amounts.steps(90.4), "90"),
        (amounts.steps(3619.7), "3,620"),
        (amounts.steps(math.inf), "∞"),
        (amounts.share(0.0123), "1.2 %"),
        (amounts.factor(5.0), "5.0"),
        (amounts.factor(12.4), "12"),
        (amounts.factor(345.0), "340"),
        (amounts.factor(0.1234), "0.12"),
        (amounts.factor(2.5e-5), f"2.5\N{MULTIPLICATION SIGN}10^{MINUS}5"),
        (amounts.counted(1, "run"), "1 run"),
        (amounts.counted(1200, "run"), "1,200 runs"),
        (amounts.listed(["a"]), "a"),
        (amounts.listed(["a", "b", "c"], "or"), "a, b or c"),
        (amounts.interval({"ci_low": -0.126, "ci_high": math.inf}), f"[{MINUS}0.13, ∞]"),
        (amounts.interval({"ci_low": float("nan"), "ci_high": 1.0}), "[no interval]"),
    ],
)
def test_numbers_are_written_as_papers_print_them(written: str, said: str) -> None:
    assert written == said


@given(low=FINITE, width=st.floats(0, 1e6), null=FINITE)
def test_an_interval_is_on_one_side_of_a_value_or_holds_it(low: float, width: float, null: float) -> None:
    row = {"ci_low": low, "ci_high": low + width}
    assert (amounts.beyond(row, null) == 0) == (row["ci_low"] <= null <= row["ci_high"])
    assert amounts.beyond({"ci_low": float("nan"), "ci_high": 1.0}, null) in (0, -1)


def test_no_interval_is_on_no_side() -> None:
    assert amounts.beyond({"ci_low": float("nan"), "ci_high": float("nan")}, 0) == 0


@given(st.text())
def test_a_sentence_as_html_says_the_same(sentence: str) -> None:
    markup = str(powers(sentence))
    read = unescape(re.sub(r"</?(sup|sub|i)>", "", markup)).replace("\u00a0", " ")
    assert read.replace("^", "").replace("fmem", "f_mem") == sentence.replace("^", "").replace("\u00a0", " ").replace(
        "fmem", "f_mem"
    )
    assert not re.search(r"<(?!/?(sup|sub|i)>)", markup)


def test_powers_are_raised() -> None:
    assert "N<sup>1.77</sup> [1.70" in powers("τ ∝ N^1.77 [1.70, 1.84].")
    assert "d<sup>3</sup>." in powers("as d^3.")
    assert f"N<sup>{MINUS}0.20</sup>," in powers(f"N^{MINUS}0.20, of")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | FINITE | st.text(),
        lambda part: st.lists(part) | st.dictionaries(st.text(), part),
    )
)
def test_data_cannot_end_their_script(value: Any) -> None:
    text = str(_json(value))
    assert "<" not in text
    assert json.loads(text) == value


# Tables


def named(study: Any) -> tuple[pd.DataFrame, RunNames]:
    runs = runs_of(study)
    return runs, RunNames.of(runs, read_axes(study.told))


def test_tables_have_runs_by_their_place_and_axes_beside_them(tmp_path: Path) -> None:
    runs, names = named(study_of())
    rows = {"run_id": list(runs["run_id"][::-1]), "step": 3, "split": "test", "loss": 1 / 3, "ci_low": float("nan")}
    losses = pd.DataFrame(rows).assign(ci_high=math.inf)[SCHEMAS["trajectories"].names]
    write_table(tmp_path / "trajectories.parquet", "trajectories", losses)
    (found,) = embedded_tables({"trajectories": losses}, tmp_path, {"trajectories": "<p>Losses.</p>"}, names)
    columns = {column["name"]: column for column in found["columns"]}
    assert columns["run_id"]["kind"] == "run"
    assert columns["run_id"]["values"] == list(range(len(runs)))[::-1]
    assert [name for name, column in columns.items() if column["kind"] == "axis"] == [
        "train_size",
        "learning_rate",
        "seed",
    ]
    assert columns["loss"]["values"][0] == 0.333333
    assert columns["loss"]["meaning"] == "mean squared error per pixel"
    assert columns["ci_low"]["values"][0] is None
    assert columns["ci_high"]["values"][0] == "inf"
    assert [columns["split"]["levels"][place] for place in columns["split"]["values"]] == ["test"] * len(runs)
    assert (found["total"], found["shown"], found["caption"]) == (len(runs), len(runs), "<p>Losses.</p>")


def test_long_tables_are_cut_and_short_ones_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from memsweep.report.summary import tables

    monkeypatch.setattr(tables, "MOST_VALUES", 6000)
    rows = {"run_id": "a", "split": "test", "loss": 0.5, "ci_low": 0.4, "ci_high": 0.6}
    long = pd.DataFrame({"step": range(2000), **rows})[SCHEMAS["trajectories"].names]
    short = table("scaling", [{"definition": "f_mem", "term": "train_size", "runs": 1}]).fillna(0)
    write_table(tmp_path / "trajectories.parquet", "trajectories", long)
    write_table(tmp_path / "scaling.parquet", "scaling", short)
    cut, whole = embedded_tables({"trajectories": long, "scaling": short}, tmp_path, {}, None)
    assert (cut["total"], cut["shown"]) == (2000, 1000)
    assert len(cut["columns"][0]["values"]) == 1000
    assert (whole["total"], whole["shown"]) == (1, 1)


@pytest.mark.parametrize(
    ("value", "held"),
    [(float("nan"), None), (pd.NA, None), (-math.inf, "-inf"), (2.0, 2), (123456789.0, 123457000), (1e-7, 1e-7)],
)
def test_numbers_are_held_as_json_has_them(value: Any, held: Any) -> None:
    assert number(value) == held


# Claims


def claim(**changes: Any) -> dict[str, Any]:
    row = {"claim": "linear", "source": "Marion & Wu 2026", "statement": "τ goes as N^1", "estimate": 1.77}
    row |= {"ci_low": 1.7, "ci_high": 1.84, "margin_low": 0.8, "margin_high": 1.2, "verdict": "refuted", "runs": 11}
    row |= {"needed": None, "lacking": None, "published": 1.0, "definitions_agreeing": 4, "definitions": 5}
    row |= {"measure": "exponent of the onset in N", "primary": "f_mem", "outside": False, "unit": "run"}
    return {**row, **changes}


def test_a_claim_has_its_verdict_and_what_it_rests_on() -> None:
    (card,) = cards(pd.DataFrame([claim()]))
    assert (card.verdict, card.source) == ("refuted", "Marion & Wu 2026")
    assert card.evidence == [
        "Exponent of the onset in N (way: f_mem): 1.77 [1.70, 1.84], of 11 runs; the claim holds where that is between "
        "0.8 and 1.2.",
        "Published: 1.00.",
        "4 of 5 ways agree.",
    ]


def test_an_open_claim_says_what_would_decide() -> None:
    (card,) = cards(pd.DataFrame([claim(verdict="undecided", needed=10_456, unit="cell", definitions_agreeing=5)]))
    assert card.evidence[0].endswith("of 11 cells; the claim holds where that is between 0.8 and 1.2.")
    assert card.evidence[2:] == ["All 5 ways agree.", "About 10,000 more cells would decide."]


def test_a_claim_that_cannot_be_tested_says_what_it_lacks_and_comes_last() -> None:
    untold = {"estimate": float("nan"), "published": float("nan"), "definitions": 0, "runs": 0}
    missing = claim(verdict="not testable", lacking="two subsets are needed", **untold)
    first, last = cards(pd.DataFrame([missing, claim(verdict="supported")]))
    assert first.verdict == "supported"
    assert last.evidence == ["It cannot be tested here: two subsets are needed."]


# Captions


@pytest.mark.parametrize("file", sorted((ROOT / "workflow" / "report").glob("*/*.rst")), ids=lambda file: file.stem)
def test_every_caption_becomes_html_without_complaint(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    markup = caption_html(file.read_text(), study_of().config, "train_size")
    assert markup.startswith("<")
    assert "system-message" not in markup
    assert "{{" not in markup
    assert not capsys.readouterr().err


def test_a_caption_is_filled_in_and_its_first_sentence_is_read_aloud() -> None:
    markup = caption_html(
        'Runs **{{ snakemake.wildcards.axis }}** of {{ snakemake.config["study"] }}. More.', {"study": "a<b"}, "x"
    )
    assert "<strong>x</strong>" in markup
    assert first_sentence(markup) == "Runs x of a<b."


# Samples


@given(
    budget=st.integers(1, 10**9),
    runs=st.integers(1, 500),
    samples=st.integers(2, 1000),
    steps=st.integers(1, 100),
    pixel_bytes=st.integers(1, 10**5),
)
def test_samples_are_within_their_budget_or_as_few_as_can_be(
    budget: int, runs: int, samples: int, steps: int, pixel_bytes: int
) -> None:
    extent = Extent.within(budget, runs, samples, steps, pixel_bytes)
    assert 1 <= extent.runs <= runs
    assert 2 <= extent.samples <= min(8, samples)
    assert 1 <= extent.steps <= steps
    taken = 2 * extent.runs * extent.samples * extent.steps * pixel_bytes
    assert taken <= budget or extent == Extent(1, 2, min(6, steps))


@given(st.lists(st.integers(), unique=True, min_size=1), st.integers(1, 40))
def test_what_is_shown_of_many_is_spread_evenly(items: list[int], count: int) -> None:
    chosen = spread(items, count)
    assert len(chosen) == len(set(chosen)) == min(count, len(items))
    assert chosen[-1] == items[-1]
    assert chosen == [item for item in items if item in chosen]


def written_pack(folder: Path) -> dict[str, list[str]]:
    """Two runs of one pack, with three samples at two steps, of 2x3 pixels; the nearest image is 4 - sample."""
    source = np.random.default_rng(0)
    shape = {"shape": "2,3,1", "channel_order": "height, width, channel"}
    pixels = source.integers(0, 256, (5, 6), dtype=np.uint8)
    images = {"split": "train", "index": range(5), "label": 0, "image": [row.tobytes() for row in pixels]}
    write_table(folder / "data" / "images.parquet", "images", pd.DataFrame(images)[SCHEMAS["images"].names], shape)
    keys = [(run, step, sample) for run in ("a", "b") for step in (1, 2) for sample in range(3)]
    frame = pd.DataFrame(keys, columns=["run_id", "step", "index"])
    samples = frame.assign(label=0, image=[source.integers(0, 256, 6, dtype=np.uint8).tobytes() for _ in keys])
    write_table(folder / "train" / "all" / "samples.parquet", "samples", samples, shape)
    near = frame.assign(reference="train", nearest=4 - frame["index"], second_distance=1.0, similarity=float("nan"))
    near["distance"] = np.where(near["step"] + near["index"] > 2, 0.1, 0.9)
    write_table(
        folder / "measure" / "all" / "neighbours.parquet",
        "neighbours",
        pd.concat([near, near.assign(reference="control")]),
    )
    return {"all": ["a", "b"]}


def test_a_sheet_has_each_sample_above_its_nearest_training_image(tmp_path: Path) -> None:
    found = sheets(written_pack(tmp_path), tmp_path, threshold=1 / 3)
    assert found is not None
    assert (found["samples"], found["total"], found["runs"], found["of_runs"]) == (3, 3, 2, 2)
    sheet = found["sheets"]["b"]
    assert sheet["steps"] == [1, 2]
    assert sheet["copies"] == "000111"
    with Image.open(io.BytesIO(base64.b64decode(sheet["image"].split(",")[1]))) as image:
        pixels = np.asarray(image)
    assert pixels.shape == (3 * 2 * 2, 2 * 3)
    samples = read_table(tmp_path / "train" / "all" / "samples.parquet", "samples").query("run_id == 'b'")
    images = read_table(tmp_path / "data" / "images.parquet", "images")["image"]
    for sample in range(3):
        for column in range(2):
            cell = pixels[4 * sample : 4 * sample + 4, 3 * column : 3 * column + 3]
            own = samples.query("step == @column + 1 and index == @sample")["image"].iloc[0]
            assert cell[:2].tobytes() == own
            assert cell[2:].tobytes() == images[4 - sample]


def test_fewer_samples_are_shown_where_images_are_large(tmp_path: Path) -> None:
    packs = written_pack(tmp_path)
    few = sheets(packs, tmp_path, 1 / 3, budget=2 * 2 * 2 * 2 * 6)
    assert few is not None
    assert (few["samples"], few["runs"]) == (2, 2)
    fewest = sheets(packs, tmp_path, 1 / 3, budget=1)
    assert fewest is not None
    assert (fewest["runs"], fewest["of_runs"], list(fewest["sheets"])) == (1, 2, ["b"])


def test_samples_of_another_pack_are_refused(tmp_path: Path) -> None:
    written_pack(tmp_path)
    with pytest.raises(UserError, match=r"samples\.parquet: holds rows of other runs \(b\)"):
        sheets({"all": ["a"]}, tmp_path, 1 / 3)


def test_neighbours_of_other_samples_are_refused(tmp_path: Path) -> None:
    packs = written_pack(tmp_path)
    path = tmp_path / "train" / "all" / "samples.parquet"
    fewer = read_table(path, "samples").query("step == 1")
    write_table(path, "samples", fewer, {"shape": "2,3,1"})
    with pytest.raises(UserError, match=r"neighbours\.parquet: of other samples than .*samples\.parquet has"):
        sheets(packs, tmp_path, 1 / 3)


def test_a_damaged_figure_is_named(tmp_path: Path) -> None:
    (tmp_path / "scaling_exponents.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"scaling_exponents\.png: no whole image"):
        pictures(study_of(), tmp_path, tmp_path)


def test_without_samples_there_are_no_sheets(tmp_path: Path) -> None:
    assert sheets({"all": ["a"]}, tmp_path, 1 / 3) is None


# Explorer and methods


def test_the_explorer_starts_with_a_run_for_each_value_of_the_first_axis() -> None:
    study = study_of()
    runs, names = named(study)
    rows = [
        {"run_id": run, "step": step, "split": split, "loss": loss, "ci_low": loss - 1, "ci_high": loss + 1}
        for run in runs["run_id"]
        for split in ("train", "test", "gaussian")
        for step, loss in ((1, 2.0), (10, 0.5), (100, 0.0))
    ]
    onsets = pd.DataFrame(
        {"run_id": runs["run_id"], "definition": "f_mem", "step": 7.0, "censored": [True, *[False] * 4]}
    )
    tables = {"runs": runs, "trajectories": table("trajectories", rows), "onsets": onsets}
    found = explored(tables, names, read_axes(study.told), study.told)
    assert found is not None
    assert [runs["train_size"][place] for place in found["first"]] == [8, 16]
    (curves,) = found["curves"]  # nothing but losses is there
    assert curves["levels"] == ["held-out images", "training images"]
    assert len(curves["step"]) == 5 * 2 * 2  # no surrogate, and no loss of 0 on a logarithm
    assert min(curves["low"]) > 0
    assert found["onsets"] == {str(place): 7.0 for place in range(1, 5)}
    chart = found["panels"][0]["chart"]
    assert chart["$schema"].startswith("https://vega.github.io/schema/vega-lite/")
    assert found["panels"][0]["legend"] == "solid: training images, dashed: held-out images"


def test_without_curves_there_is_no_explorer() -> None:
    study = study_of()
    runs, names = named(study)
    assert explored({"runs": runs}, names, read_axes(study.told), study.told) is None


def test_methods_follow_the_configuration() -> None:
    study = study_of(
        formulation={"name": "ddpm", "sampling_steps": 7, "label_dropout": 0.1, "guidance": 2},
        training={"budget": {"epochs": 50}, "optimizer": "sgd", "momentum": 0.9},
        onset={"f_mem": 0.2, "bootstrap": 11},
        confidence=0.9,
    )
    told = {passage.heading: " ".join(passage.sentences) for passage in methods(study, {"runs": runs_of(study)})}
    assert "those of digits" in told["Images"]
    assert "1,600 are held out" in told["Images"]
    assert "0123456789abcdef" in told["Images"]
    assert (
        "5 runs in 2 training jobs, over training images N = 8 and 16; learning rate η = 0.001 and 0.002"
        in told["Runs"]
    )
    assert "of 4k parameters" in told["Network"]
    assert "7 steps of DDIM" in told["What is learnt"]
    assert "guidance has weight 2." in told["What is learnt"]
    assert told["Training"].startswith("SGD for 50 epochs")
    assert "momentum 0.9" in told["Training"]
    assert "f_mem > 20 %: the share of samples that are copies" in told["Onsets"]
    assert "at a level of 90 %" in told["Intervals"]
    assert "11 resamples" in told["Intervals"]


def test_what_training_cost_is_what_was_measured(tmp_path: Path) -> None:
    header = "s\th:m:s\tmax_rss\tmax_vms\n"
    (tmp_path / "one.tsv").write_text(header + "90.0\t0:01:30\t1000.0\t1\n")
    (tmp_path / "two.tsv").write_text(header + "30.0\t0:00:30\tNA\t1\n")
    (tmp_path / "odd.tsv").write_text("nothing\n")
    assert making.cost(tmp_path, ["one", "odd", "missing"]) == (
        "1 training job took 1.5 minutes in all, at most 1.0 GB of memory each; of a job that was interrupted or run "
        "again, only the last attempt is counted."
    )
    assert making.cost(tmp_path, ["two", "one"]).startswith("2 training jobs took 2.0 minutes in all, at most 1.0 GB")
    assert making.cost(tmp_path, ["missing"]) == ""
