"""Rank correlations of typicality and first step: against brute force, and coverage where runs share images."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from helpers.properties import examples
from hypothesis import given
from hypothesis import strategies as st
from memsweep.analysis.copied_first import CopiedFirst, rank_correlations
from memsweep.tables.parquet import read_table, write_table
from scipy import stats

STEPS = st.sampled_from([1.0, 2.0, 4.0, math.inf])


@examples(100)
@given(st.lists(st.tuples(st.integers(0, 5), STEPS, st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=30))
def test_a_weighted_correlation_is_that_of_images_that_stand_there_so_many_times(
    rows: list[tuple[int, float, int, int]],
) -> None:
    x, y, groups, weights = (np.array(column, float) for column in zip(*rows, strict=True))
    one = np.zeros(len(x), np.int64)
    (found,) = rank_correlations(x, y, weights[None], one)
    drawn = [np.repeat(values, weights.astype(int)) for values in (x, y)]
    if min((len(set(values)) for values in drawn), default=0) < 2:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(stats.spearmanr(*drawn).statistic)
    (within,) = rank_correlations(x, y, weights[None], groups.astype(int))
    ranks = pd.DataFrame({"x": stats.rankdata(drawn[0]), "y": stats.rankdata(drawn[1])})
    residual = ranks - ranks.groupby(np.repeat(groups, weights.astype(int))).transform("mean")
    squares = (residual**2).sum()
    if (squares < 1e-9).any():
        assert math.isnan(within)
    else:
        assert within == pytest.approx((residual["x"] * residual["y"]).sum() / math.sqrt(squares["x"] * squares["y"]))


def rows_of(index: np.ndarray, typicality: np.ndarray, first_step: np.ndarray, label: np.ndarray) -> pd.DataFrame:
    """Rows of a run in ``copied_images``, with the other measure reversed."""
    never = pd.Series(first_step).replace(math.inf, np.nan).astype("Int64")
    measures = {"to_class_mean": typicality, "to_nearest": -typicality}
    return pd.DataFrame({"index": index, "label": label, "first_step": never, **measures})


def mean_of(table: pd.DataFrame, measure: str, among: str, size: int | None) -> pd.Series[float]:
    rows = table[(table["measure"] == measure) & (table["among"] == among)]
    chosen = rows[rows["train_size"].isna()] if size is None else rows[rows["train_size"] == size]
    (row,) = chosen.to_dict("records")
    return pd.Series(row)


def test_means_are_over_runs_and_never_copied_images_tie_for_last() -> None:
    index = np.arange(4)
    first = CopiedFirst(np.concatenate([index, index, index + 4, np.arange(2)]), 50)
    typicality, label = np.arange(4.0), np.zeros(4, int)
    first.add(rows_of(index, typicality, np.array([10, 20, np.inf, np.inf]), label))
    first.add(rows_of(index, typicality, np.array([20, 10, 10, 10.0]), label))
    first.add(rows_of(index + 4, typicality, np.full(4, np.inf), label))  # says nothing
    first.add(rows_of(np.arange(2), typicality[:2], np.array([5, 9.0]), label[:2]))
    table = first.table(0.95)
    expected = [
        stats.spearmanr(typicality, [1, 2, 3, 3]).statistic,
        stats.spearmanr(typicality, [2, 1, 1, 1]).statistic,
    ]
    four, both = mean_of(table, "to_class_mean", "set", 4), mean_of(table, "to_class_mean", "set", None)
    assert four["correlation"] == pytest.approx(np.mean(expected))
    assert (four["runs"], four["images"]) == (2, 4)
    assert both["correlation"] == pytest.approx(np.mean([*expected, 1]))
    assert (both["runs"], both["images"]) == (3, 4)
    assert mean_of(table, "to_nearest", "set", 4)["correlation"] == pytest.approx(-np.mean(expected))
    assert (table["ci_low"] <= table["ci_high"]).all()


def test_classes_that_come_early_as_wholes_say_nothing_within_classes() -> None:
    label = np.repeat([0, 1], 20)
    typicality = np.random.default_rng(0).random(40) + 2 * label
    first = CopiedFirst(np.arange(40), 100)
    first.add(rows_of(np.arange(40), typicality, 10.0 + 10 * label, label))
    table = first.table(0.95)
    assert mean_of(table, "to_class_mean", "set", 40)["correlation"] > 0.8
    assert mean_of(table, "to_class_mean", "class", 40)["runs"] == 0


def test_a_study_without_rows_has_an_empty_table_and_one_whose_images_are_not_copied_unknown_means(tmp_path) -> None:
    assert CopiedFirst(np.arange(0), 20).table(0.95).empty
    first = CopiedFirst(np.arange(4), 20)
    first.add(rows_of(np.arange(4), np.arange(4.0), np.full(4, np.inf), np.zeros(4, int)))
    write_table(tmp_path / "copied_first.parquet", "copied_first", first.table(0.95))
    table = read_table(tmp_path / "copied_first.parquet", "copied_first")
    assert len(table) == 8
    assert table[["correlation", "ci_low", "ci_high"]].isna().all(axis=None)
    assert (table[["runs", "images"]] == 0).all(axis=None)


# Training sets of one study: nested, disjoint, and the same of several runs
SETS = ((0, 16), (16, 32), (0, 16), (0, 32), (32, 64), (0, 32), (0, 32), (0, 64), (64, 128), (0, 64))


def simulated(source: np.random.Generator, slope: float, last: float, sets, count: int) -> list[pd.DataFrame]:
    """Runs that share images, whose own part in the first step is the same in all; late ones are never copied."""
    label = source.integers(0, 10, count)
    typicality, own = source.normal(size=count) + 0.15 * label, source.normal(size=count)
    runs = []
    for start, stop in sets:
        late = slope * typicality - 0.3 * label + 0.7 * own
        late = late[start:stop] + 0.5 * source.normal(size=stop - start)
        steps = np.where(late > last, np.inf, np.round(1e6 * 2 ** np.round(2 * late)))  # sampled a factor of 2 apart
        runs.append(rows_of(np.arange(start, stop), typicality[start:stop], steps, label[start:stop]))
    return runs


@pytest.mark.parametrize("slope", [0, 0.6])
def test_simulation_intervals_over_images_that_runs_share_cover(slope: float) -> None:
    """The correlations of a set of very many images, of which some three in ten are never copied."""
    studies, last = 80, 0.6 - 1.2 * (slope == 0)
    (many,) = simulated(np.random.default_rng(1), slope, last, [(0, 50_000)], 50_000)
    assert 0.1 < many["first_step"].isna().mean() < 0.5
    limit = CopiedFirst(np.arange(50_000), 1)
    limit.add(many)
    truth = limit.table(0.9).query("measure == 'to_class_mean'").groupby("among")["correlation"].first()
    source, covers, alone = np.random.default_rng(2), dict.fromkeys(truth.index, 0), 0
    for _ in range(studies):
        first = CopiedFirst(np.arange(128), 80)
        for rows in simulated(source, slope, last, SETS, 128):
            first.add(rows)
        table = first.table(0.9)
        for among in covers:
            row = mean_of(table, "to_class_mean", among, None)
            covers[among] += row["ci_low"] <= truth[among] <= row["ci_high"]
        # As if all runs had images of their own
        spread = np.std([found["to_class_mean", "set"][1:] for _, found in first.runs], axis=1)
        width = stats.norm.ppf(0.95) * math.sqrt((spread**2).sum()) / len(spread)
        alone += abs(mean_of(table, "to_class_mean", "set", None)["correlation"] - truth["set"]) <= width
    # Within classes of a few images each, intervals are wider than they have to be
    assert stats.binomtest(covers["set"], studies, 0.9).pvalue > 0.001
    assert stats.binomtest(covers["class"], studies, 0.9, alternative="less").pvalue > 0.001
    assert alone < 0.75 * studies
