"""Which runs are compared with which."""

from __future__ import annotations

import itertools

import pytest
from helpers.configs import changed
from memsweep.study.config import resolve
from memsweep.study.onsets import ONSETS
from memsweep.study.pairs import pairs
from memsweep.study.sweep import Sweep

PRODUCTS = [{"train_size": [16, 32], "seed": [0, 1], "subset": [0, 1, 2]}, {"training.ema_decay": [0.0, 0.9]}]


@pytest.fixture(scope="module")
def study() -> Sweep:
    return Sweep(resolve(changed("grid.products", PRODUCTS)))


def test_pairs_differ_in_one_thing_and_there_is_no_other(study: Sweep) -> None:
    found = {frozenset((pair.run_id, pair.other_run_id)): pair.differs for pair in pairs(study.runs)}
    for first, second in itertools.combinations(study.runs, 2):
        fields = ("train_size", "base_channels", "batch_size", "learning_rate", "seed", "subset", "settings")
        differ = [name for name in fields if getattr(first, name) != getattr(second, name)]
        pair = frozenset((first.run_id, second.run_id))
        assert found.get(pair) == (differ[0] if differ in (["seed"], ["subset"]) else None)
        if found.get(pair) == "subset":
            assert not set(range(first.training_set.first, first.training_set.stop)) & set(
                range(second.training_set.first, second.training_set.stop)
            )
    assert sum(kind == "subset" for kind in found.values()) == 2 * 2 * 3
    assert sum(kind == "seed" for kind in found.values()) == 2 * 3


def test_a_comparison_has_all_runs_of_its_pairs_and_the_packs_that_hold_them(study: Sweep) -> None:
    members = {name: {run.run_id for run in runs} for name, runs in study.comparisons.items()}
    for pair in pairs(study.runs):
        (home,) = [name for name, ids in members.items() if pair.run_id in ids]
        assert pair.other_run_id in members[home]
    for name, ids in members.items():
        packed = {run.run_id for job in study.packs_of(name) for run in study.packs[job]}
        assert ids <= packed
    # The run of another average has no partner
    alone = [run.run_id for run in study.runs if run.settings["training.ema_decay"] == 0.9]
    assert alone
    assert not {run_id for pair in pairs(study.runs) for run_id in (pair.run_id, pair.other_run_id)} & set(alone)


def test_a_grid_has_the_definitions_for_which_it_has_pairs() -> None:
    def definitions(product: dict[str, list[object]]) -> list[str]:
        study = Sweep(resolve(changed("grid.products", [product])))
        return [name for name in study.definitions if ONSETS[name].of == "pairs"]

    assert definitions({"train_size": [16, 32], "seed": [0, 1]}) == []
    assert definitions({"train_size": [16], "subset": [0, 1]}) == ["bias"]
    assert definitions({"train_size": [16], "subset": [0, 1], "seed": [0, 1]}) == ["bias", "split"]
    assert not Sweep(resolve(changed("grid.products", [{"train_size": [16, 32]}]))).comparisons
