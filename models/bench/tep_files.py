"""Folders of the shape of the Braatz group's Tennessee Eastman files: `dNN.dat`, `dNN_te.dat`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from models.bench.judged import Series
from models.bench.tep import FAULT_ROW
from models.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    F64 = NDArray[np.float64]

WIDTH: Final = 52  # 41 measured, 11 manipulated variables
CHANNELS: Final = (*(f"XMEAS({i})" for i in range(1, 42)), *(f"XMV({i})" for i in range(1, 12)))
PERIOD_S: Final = 180.0
NORMAL_TRAIN: Final = "d00.dat"
NORMAL_TEST: Final = "d00_te.dat"
NORMAL: Final = 0  # the number of the file without a fault
GAP_ROWS: Final = 1  # blank, between stretches that do not follow on one another
_TEST: Final = re.compile(r"d(\d\d)_te\.dat")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TepFile:
    """One judged stretch behind the rows to fit on: which fault (NORMAL: none), where it begins."""

    fault: int
    series: Series
    first_row: int


def load_tep(directory: Path) -> tuple[TepFile, ...]:
    """The second half of the normal test file, then each fault's; all behind the same normal rows.

    Those are NORMAL_TRAIN and the first half of NORMAL_TEST. Raises ModelError, OSError.
    """
    for name in (NORMAL_TRAIN, NORMAL_TEST):
        if not (directory / name).is_file():
            raise ModelError(f"{directory}: no {name}, which the fit takes; expected dNN[_te].dat")
    normal = read_tep(directory / NORMAL_TEST)
    half = len(normal) // 2
    blank = np.full((GAP_ROWS, WIDTH), np.nan)
    train = np.vstack([read_tep(directory / NORMAL_TRAIN), blank, normal[:half]])
    tests = {NORMAL: (NORMAL_TEST, normal[half:])}
    for path in sorted(directory.glob("*_te.dat")):
        named = _TEST.fullmatch(path.name)
        if named and int(named[1]) != NORMAL:
            rows = read_tep(path)
            if len(rows) <= FAULT_ROW:
                raise ModelError(f"{path}: {len(rows)} rows, and the fault begins after 160")
            tests[int(named[1])] = (path.name, rows)
    if len(tests) == 1:
        raise ModelError(f"{directory}: no file of a fault; expected d01_te.dat and so on")
    return tuple(
        TepFile(
            fault=fault,
            series=Series(
                name=name,
                values=np.vstack([train, blank, rows]),
                channels=CHANNELS,
                train_rows=len(train),
                period_s=PERIOD_S,
            ),
            first_row=len(train) + GAP_ROWS,
        )
        for fault, (name, rows) in tests.items()
    )


def read_tep(path: Path) -> F64:
    """Rows (n, 52) of a file, also of one stored on its side. Raises ModelError, OSError."""
    try:
        values = np.loadtxt(path, np.float64, ndmin=2)
    except ValueError as error:
        raise ModelError(f"{path}: expected numbers between blanks: {error}") from error
    if values.shape[1] == WIDTH:
        return np.asarray(values)
    if values.shape[0] == WIDTH:
        return np.asarray(values.T)
    raise ModelError(
        f"{path}: {values.shape[0]} lines of {values.shape[1]}; expected {WIDTH} columns"
    )
