"""TEP's figures by hand, and its files whichever way round they are stored."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.bench.tep import score_tep
from models.bench.tep_files import NORMAL, load_tep, read_tep
from models.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path


def _flags(before: int, under: int, *, rows: int = 260) -> np.ndarray:
    """A fault's file with so many rows flagged before the fault, and so many under it."""
    flags = np.zeros(rows, np.bool_)
    flags[:before] = True
    flags[160 : 160 + under] = True
    return flags


def test_rates_by_hand() -> None:
    """Fault 3 stands in the table but not in the mean; the two false alarm rates are apart."""
    normal = np.zeros(400, np.bool_)
    normal[5:9] = True
    told = score_tep({1: _flags(8, 100), 2: _flags(0, 50), 3: _flags(16, 3)}, normal)
    assert told.per_fault == {"1": 1.0, "2": 0.5, "3": 0.03}
    assert told.detection == pytest.approx(0.75)
    assert told.detection_all == pytest.approx((1.0 + 0.5 + 0.03) / 3)
    assert told.far == pytest.approx(0.01)
    assert told.far_before_faults == pytest.approx(24 / 480)


def test_row_161_is_the_first_under_the_fault() -> None:
    """Counted from 1, as the protocol has it: a flag on row 160 is false, one on 161 is found."""
    flags = np.zeros(161, np.bool_)
    flags[159] = True
    told = score_tep({1: flags}, np.zeros(1, np.bool_))
    assert (told.detection, told.far_before_faults) == (0.0, 1 / 160)
    flags = np.zeros(161, np.bool_)
    flags[160] = True
    assert score_tep({1: flags}, np.zeros(1, np.bool_)).detection == 1.0


def test_nothing_to_divide_by_is_nan_and_a_short_file_is_refused() -> None:
    """A mean over no fault says nothing."""
    told = score_tep({9: _flags(0, 10)}, np.zeros(0, np.bool_))
    assert math.isnan(told.detection)
    assert math.isnan(told.far)
    with pytest.raises(ModelError, match=r"faults \[4\]"):
        score_tep({4: np.zeros(160, np.bool_)}, np.zeros(1, np.bool_))


def _save(path: Path, rows: np.ndarray) -> None:
    path.write_text("\n".join("  ".join(f"{v:.6e}" for v in row) for row in rows))


def test_a_folder_of_the_same_shape_is_read(tmp_path: Path) -> None:
    """d00.dat lies on its side; the fit is on it, a gap, and half of the normal test."""
    chance = np.random.default_rng(0)
    parts = {name: chance.normal(size=(n, 52)) for name, n in (("d00", 90), ("d00_te", 60))}
    _save(tmp_path / "d00.dat", parts["d00"].T)
    _save(tmp_path / "d00_te.dat", parts["d00_te"])
    fault = chance.normal(size=(170, 52))
    _save(tmp_path / "d07_te.dat", fault)
    normal, seven = load_tep(tmp_path)
    assert (normal.fault, seven.fault) == (NORMAL, 7)
    for file in (normal, seven):
        train = file.series.values[: file.series.train_rows]
        assert np.isnan(train[90]).all()
        np.testing.assert_allclose(
            np.delete(train, 90, axis=0), np.vstack([parts["d00"], parts["d00_te"][:30]]), rtol=1e-5
        )
        assert np.isnan(file.series.values[file.first_row - 1]).all()
    np.testing.assert_allclose(seven.series.values[seven.first_row :], fault, rtol=1e-5)
    np.testing.assert_allclose(
        normal.series.values[normal.first_row :], parts["d00_te"][30:], rtol=1e-5
    )


def test_bad_folders_and_files_are_named(tmp_path: Path) -> None:
    """What is missing, or which file has the wrong shape."""
    with pytest.raises(ModelError, match=r"no d00\.dat"):
        load_tep(tmp_path)
    _save(tmp_path / "d00.dat", np.zeros((9, 7)))
    with pytest.raises(ModelError, match=r"d00\.dat: 9 lines of 7; expected 52 columns"):
        read_tep(tmp_path / "d00.dat")
    (tmp_path / "d01.dat").write_text("one two")
    with pytest.raises(ModelError, match=r"d01\.dat: expected numbers"):
        read_tep(tmp_path / "d01.dat")


def test_the_development_data_has_the_shapes_that_are_said(data_dir: Path) -> None:
    """500 + 480 rows to fit on, 480 normal ones held back, faults of 960 rows."""
    normal, *faults = load_tep(data_dir / "tep")
    assert normal.series.train_rows == 500 + 1 + 480
    assert len(normal.series.values) - normal.first_row == 480
    assert {len(f.series.values) - f.first_row for f in faults} == {960}
