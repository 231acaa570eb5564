"""Losses of a training as anybody has them: which columns are read, where curves end, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from memsweep.base.errors import UserError
from memsweep.data.given_losses import read_losses


def table(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_losses_are_read_by_their_columns(tmp_path: Path) -> None:
    text = "\ufeffnote, test_loss,step,train_loss\nx,0.5,10,0.25\n\n'y', 0.4 ,1e2,0.125\n"
    losses = read_losses(table(tmp_path / "losses.csv", text), "--losses")
    assert losses.table.to_dict("list") == {"step": [10, 100], "train_loss": [0.25, 0.125], "test_loss": [0.5, 0.4]}
    assert losses.table["step"].dtype == np.int64
    assert not losses.has_errors
    assert losses.remarks == ()


def test_curves_end_before_the_first_loss_that_is_not_finite(tmp_path: Path) -> None:
    text = (
        "step,train_loss,test_loss,train_loss_se,test_loss_se\n1,1,2,0,0.1\n2,1,2,0.1,0.1\n3,1,nan,nan,nan\n4,1,2,1,1\n"
    )
    losses = read_losses(table(tmp_path / "losses.csv", text), "--losses")
    assert losses.table["step"].tolist() == [1, 2]
    assert losses.has_errors
    assert losses.remarks == ("--losses: the curves end before step 3, where a loss is not finite",)


HEADER = "step,train_loss,test_loss\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "whose header has step not among nothing; accepted are the columns step, train_loss, test_loss"),
        ("step,train_loss\n1,2\n", "whose header has test_loss not among step, train_loss"),
        ("step;train_loss;test_loss\n1;2;3\n", "whose header has step not among step;train_loss;test_loss"),
        ("step,step,train_loss,test_loss\n", "whose header has step twice"),
        ("step,train_loss,test_loss,test_loss_se\n1,2,3,4\n", "whose header has train_loss_se not among"),
        (HEADER, "which has a header and no rows"),
        (f"{HEADER}1,2\n", "line 2 with 2 values; accepted are 3, as in the header"),
        (f"{HEADER}1,0,5,0,6\n", "line 2 with 5 values; accepted are 3, as in the header"),
        (f"{HEADER}1,2,3\n2,,3\n", "line 3 with '' as train_loss; accepted are numbers"),
        (f"{HEADER}1,2,low\n", "line 2 with 'low' as test_loss; accepted are numbers"),
        (f"{HEADER}0,2,3\n", "line 2 with the step '0'; accepted are whole numbers from 1 on"),
        (f"{HEADER}1.5,2,3\n", "line 2 with the step '1.5'; accepted are whole numbers from 1 on"),
        (f"{HEADER}inf,2,3\n", "line 2 with the step 'inf'; accepted are whole numbers from 1 on"),
        (f"{HEADER}5,2,3\n5,2,3\n", "line 3 with step 5 after step 5; accepted are steps that increase"),
        (f"{HEADER}5,2,3\n4,2,3\n", "line 3 with step 4 after step 5; accepted are steps that increase"),
        (f"{HEADER}5,inf,3\n6,2,3\n", "whose losses are not finite at its first step"),
        ("step,train_loss,test_loss,train_loss_se,test_loss_se\n1,1,2,-1,0\n", "line 2 with -1 as train_loss_se"),
        ("step,train_loss,test_loss,train_loss_se,test_loss_se\n1,1,2,1,inf\n", "line 2 with inf as test_loss_se"),
        (f'{HEADER}"1,2,3\n', "which is no CSV file"),
    ],
)
def test_a_table_that_is_not_losses_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = table(tmp_path / "losses.csv", text)
    with pytest.raises(UserError) as error:
        read_losses(path, "--losses")
    assert str(error.value).startswith(f"--losses: found {str(path)!r}, ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "binary.csv").write_bytes(b"step,\xff\xfe\x00")
    for place, said in (
        (tmp_path / "nowhere.csv", "; there is no such file"),
        (tmp_path, "; it cannot be read (Is a directory)"),
        (tmp_path / "binary.csv", ", which is no CSV file"),
    ):
        with pytest.raises(UserError) as error:
            read_losses(place, "--losses")
        assert str(error.value).startswith(f"--losses: found {str(place)!r}{said}")
