"""CNC runs: the AUC by hand, and folds in which no run is scored by a model that knew it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.bench.cnc import run_score, score_auc
from models.bench.cnc_files import GAP_ROWS, folds, load_cnc
from models.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path


def test_auc_by_hand() -> None:
    """Of six pairs the worn run is higher in four, equal in one."""
    assert score_auc([3.0, 1.0], [0.5, 1.0, 2.0]) == pytest.approx((3 + 1 + 0.5) / 6)
    assert score_auc([2.0], [1.0]) == 1.0
    assert score_auc([math.nan], [1.0]) == 0.0
    with pytest.raises(ModelError, match="0 worn and 1 unworn"):
        score_auc([], [1.0])


def test_a_runs_score_is_not_one_rows() -> None:
    """Rows are cut at 10, those not ready left out."""
    assert run_score(np.array([1.0, math.nan, 3.0])) == 2.0
    assert run_score(np.array([0.0, 1e9])) == 5.0
    assert math.isnan(run_score(np.full(3, math.nan)))


def _folder(path: Path, *, runs: str = "uuwuw") -> Path:
    """A folder of runs, `u` unworn and `w` worn; every value of a run has its number in it."""
    conditions = {"u": "unworn", "w": "worn"}
    rows = [f"{k},wax,{conditions[kind]}" for k, kind in enumerate(runs, 1)]
    (path / "train.csv").write_text("\n".join(["No,material,tool_condition", *rows, "17,wax,worn"]))
    for k in range(1, len(runs) + 1):
        lines = [f"{k}.{i:03},5,{'Prep' if i < 2 else 'end'}" for i in range(3 + k)]
        text = "\n".join(["X1_Load,S1_SystemInertia,Machining_Process", *lines])
        (path / f"experiment_{k:02}.csv").write_text(text)
    return path


def test_folds_fit_on_the_other_unworn_runs_only(tmp_path: Path) -> None:
    """Each unworn run is left out once; the worn ones are scored in every fold, fitted in none."""
    runs, channels, notes = load_cnc(_folder(tmp_path))
    assert channels == ("X1_Load",)
    assert [note for note in notes if "S1_SystemInertia" in note]
    assert [note for note in notes if "runs 17" in note]
    parts = folds(runs, channels)
    scored = [[name[-2:] for name, _ in part.runs] for part in parts]
    assert scored == [["01", "03", "05"], ["02", "03", "05"], ["04", "03", "05"]]
    for part, out in zip(parts, (1, 2, 4), strict=True):
        values = part.series.values[:, 0]
        train = values[: part.series.train_rows]
        assert {int(v) for v in train[~np.isnan(train)]} == {1, 2, 4} - {out}
        for name, (begin, end) in part.runs:
            assert begin >= part.series.train_rows
            assert {int(v) for v in values[begin:end]} == {int(name[-2:])}
            assert end - begin == 3 + int(name[-2:])
            assert np.isnan(values[begin - GAP_ROWS : begin]).all()


def test_modes_have_one_number_in_all_runs_and_blank_rows_have_none(tmp_path: Path) -> None:
    """The stage is told beside the signals, never among them."""
    runs, channels, _ = load_cnc(_folder(tmp_path))
    part = folds(runs, channels)[0]
    assert part.series.mode is not None
    blank = np.isnan(part.series.values[:, 0])
    assert (part.series.mode == -1).tolist() == blank.tolist()
    begin, end = part.runs[0][1]
    assert part.series.mode[begin:end].tolist() == [0, 0, 1, 1]


def test_folders_without_enough_runs_are_refused(tmp_path: Path) -> None:
    """One unworn run cannot be left out and fitted on."""
    with pytest.raises(ModelError, match=r"no train\.csv"):
        load_cnc(tmp_path)
    with pytest.raises(ModelError, match="a worn and at least two unworn runs"):
        load_cnc(_folder(tmp_path, runs="uw"))
    (tmp_path / "train.csv").write_text("No,tool_condition\n1,blunt\n")
    with pytest.raises(ModelError, match="tool_condition blunt; expected worn or unworn"):
        load_cnc(tmp_path)
