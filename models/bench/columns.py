"""Tables of the benchmarks' files: columns by name, numbers and times; every error names the file.

The formats are fixed by the benchmarks, so nothing is guessed; plant tables are read elsewhere.
"""

from __future__ import annotations

import csv
import warnings
from typing import TYPE_CHECKING, Final

import numpy as np

from models.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

FILE_BYTES_MAX: Final = 1 << 28
Columns = dict[str, list[str]]


def header_of(path: Path, *, delimiter: str) -> tuple[str, ...]:
    """Names of the columns of a table, () for an empty file. Raises ModelError, OSError."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            return tuple(name.strip() for name in next(csv.reader(file, delimiter=delimiter), ()))
        except (csv.Error, UnicodeDecodeError) as error:
            raise ModelError(f"{path}: is no table of text: {error}") from error


def read_columns(path: Path, *, delimiter: str, wanted: Sequence[str] = ()) -> Columns:
    """Columns of a table by name, as text. Raises ModelError, OSError."""
    if path.stat().st_size > FILE_BYTES_MAX:
        raise ModelError(f"{path}: larger than {FILE_BYTES_MAX} bytes; expected a benchmark's file")
    names = header_of(path, delimiter=delimiter)
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ModelError(
            f"{path}: no column {', '.join(missing)}; expected {', '.join(wanted)}, separated by"
            f" {delimiter!r}, and the file has {', '.join(names[:12]) or 'nothing'}"
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file, delimiter=delimiter))[1:]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: is no table of text: {error}") from error
    rows = [line for line in lines if line]
    for number, row in enumerate(rows, 2):
        if len(row) != len(names):
            raise ModelError(
                f"{path}, row {number}: {len(row)} cells under {len(names)} columns; is it whole?"
            )
    if not rows:
        raise ModelError(f"{path}: no rows under its header")
    return {name: [row[k] for row in rows] for k, name in enumerate(names)}


def numbers(columns: Columns, names: Sequence[str], path: Path) -> NDArray[np.float64]:
    """Columns of numbers side by side (n, c), NaN for an empty cell. Raises ModelError."""
    return np.column_stack([_numbers(columns[name], name, path) for name in names])


def _numbers(cells: list[str], name: str, path: Path) -> NDArray[np.float64]:
    try:
        return np.array([cell.strip() or "nan" for cell in cells], np.float64)
    except ValueError as error:
        raise ModelError(f"{path}, column {name}: expected numbers: {error}") from error


def times_s(cells: Sequence[str], path: Path) -> NDArray[np.float64]:
    """ISO times without a zone as seconds (n,). Raises ModelError."""
    try:
        with warnings.catch_warnings(action="error"):  # of a zone numpy only warns, and drops it
            stamps = np.array([cell.strip() for cell in cells], "datetime64[us]")
    except (ValueError, UserWarning) as error:
        raise ModelError(
            f"{path}: a time is not like 2014-04-10 07:15:00 (without a zone): {error}"
        ) from error
    return np.asarray(stamps.astype(np.int64) / 1e6)


def period_s(t_s: NDArray[np.float64], path: Path) -> float:
    """Usual step of times (n,) in s. Raises ModelError where they do not advance."""
    step = float(np.median(np.diff(t_s))) if len(t_s) > 1 else 0.0
    if not step > 0.0:
        raise ModelError(f"{path}: its times do not advance; expected rows in the order of time")
    return step
