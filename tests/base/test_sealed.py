"""Files that carry their own digest: no bit changes unseen, and other readers read them as they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from memsweep.base.errors import UserError
from memsweep.base.files import read_json, write_json
from memsweep.base.sealed import KEY, UNSEALED, Damaged, seal, sealed_digest
from memsweep.base.tensors import load_tensors, save_tensors
from memsweep.tables.parquet import read_table, write_table
from safetensors.torch import load_file


def write_tensors(path: Path) -> None:
    save_tensors(path, {"weight": torch.arange(6.0).view(2, 3), "count": torch.tensor(3)}, {"run_id": "one"})


def write_object(path: Path) -> None:
    write_json(path, {"runs": ["one", "two"], "step": 3})


def write_parquet(path: Path) -> None:
    runs = {"run_id": "one", "dataset": "digits", "status": "finished", "data_hash": "h", "code_version": "1"}
    numbers = {"train_size": 8, "base_channels": 4, "batch_size": 4, "learning_rate": 1e-3, "seed": 0, "subset": 0}
    write_table(path, "runs", pd.DataFrame([{**runs, **numbers, "parameters": 10, "max_steps": 32}]))


KINDS: dict[str, tuple[Callable[[Path], None], Callable[[Path], object]]] = {
    "tensors": (write_tensors, load_tensors),
    "object": (write_object, read_json),
    "table": (write_parquet, lambda path: read_table(path, "runs")),
}


@pytest.fixture(scope="module", params=list(KINDS))
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes, Path]:
    path = tmp_path_factory.mktemp(request.param) / "file"
    KINDS[request.param][0](path)
    return request.param, path.read_bytes(), path


def test_the_digest_is_that_of_the_file_without_it(kind: tuple[str, bytes, Path]) -> None:
    _, content, path = kind
    path.write_bytes(content)
    found = sealed_digest(path)
    assert content.count(found.encode()) == 1
    assert hashlib.sha256(content.replace(found.encode(), b"0" * 64)).hexdigest() == found


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_bit_changes_unseen(kind: tuple[str, bytes, Path], place: float, bit: int) -> None:
    name, content, path = kind
    changed = bytearray(content)
    changed[int(place * len(content))] ^= 1 << bit
    path.write_bytes(changed)
    with pytest.raises(UserError, match=str(path)):
        KINDS[name][1](path)


@given(share=st.floats(0, 1, exclude_max=True))
def test_no_part_passes_for_the_whole(kind: tuple[str, bytes, Path], share: float) -> None:
    name, content, path = kind
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=str(path)):
        KINDS[name][1](path)


def test_other_readers_read_them_as_they_are(tmp_path: Path) -> None:
    for name, (write, _) in KINDS.items():
        write(tmp_path / name)
    assert json.loads((tmp_path / "object").read_text())["step"] == 3
    assert load_file(tmp_path / "tensors")["count"] == 3
    assert pd.read_parquet(tmp_path / "table")["run_id"].tolist() == ["one"]


def test_the_same_content_is_the_same_file(tmp_path: Path) -> None:
    for name, (write, _) in KINDS.items():
        write(tmp_path / name)
        first = (tmp_path / name).read_bytes()
        write(tmp_path / name)
        assert (tmp_path / name).read_bytes() == first


def test_a_file_without_room_for_a_digest_is_not_sealed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("nothing of the kind")
    with pytest.raises(ValueError, match="has no room for a digest"):
        seal(tmp_path / "file")
    with pytest.raises(Damaged, match="carries no digest of its content"):
        sealed_digest(tmp_path / "file")
    (tmp_path / "file").write_text(json.dumps({KEY: UNSEALED}))
    with pytest.raises(Damaged, match="is not that of which it carries the digest"):
        sealed_digest(tmp_path / "file")
    with pytest.raises(FileNotFoundError):
        sealed_digest(tmp_path / "none")
