"""Folders of the shape of waico/SKAB: any `*.csv` with the columns of labels, `;` between cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from models.bench.columns import header_of, numbers, period_s, read_columns, times_s
from models.bench.judged import Series
from models.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

TRAIN_ROWS: Final = 400  # of each file, as its leaderboard has it
TIME: Final = "datetime"
LABELS: Final = ("anomaly", "changepoint")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SkabFile:
    """One file: its series, what is true of its rows (n,) bool, and when they were, in s (n,)."""

    series: Series
    truth: NDArray[np.bool_]
    t_s: NDArray[np.float64]


def load_skab(directory: Path) -> tuple[tuple[SkabFile, ...], tuple[str, ...]]:
    """Files below a folder in the order of their names, and what was left out, with the reason.

    Raises ModelError, OSError.
    """
    files, notes = [], []
    paths = sorted(directory.rglob("*.csv"), key=lambda path: _natural(path, directory))
    for path in paths:
        if set(LABELS) <= set(header_of(path, delimiter=";")):
            files.append(_file(path, path.relative_to(directory).as_posix()))
        else:
            where = path.relative_to(directory).as_posix()
            notes.append(f"{where}: without the columns {' and '.join(LABELS)}, so left out")
    if not files:
        raise ModelError(
            f"{directory}: no *.csv below it with the columns {' and '.join(LABELS)}, separated by"
            " ';'; expected a folder of the shape of SKAB"
        )
    return tuple(files), tuple(notes)


def _natural(path: Path, directory: Path) -> tuple[str, int, str]:
    """Order by folder, then 2.csv before 10.csv."""
    number = int(path.stem) if path.stem.isdecimal() else -1
    return (path.relative_to(directory).parent.as_posix(), number, path.name)


def _file(path: Path, name: str) -> SkabFile:
    columns = read_columns(path, delimiter=";", wanted=(TIME, *LABELS))
    channels = tuple(column for column in columns if column not in (TIME, *LABELS))
    t_s = times_s(columns[TIME], path)
    if not channels or len(t_s) <= TRAIN_ROWS:
        raise ModelError(
            f"{path}: {len(channels)} channels and {len(t_s)} rows; expected at least one, and more"
            f" rows than the first {TRAIN_ROWS}, which are for fitting"
        )
    series = Series(
        name=name,
        values=numbers(columns, channels, path),
        channels=channels,
        train_rows=TRAIN_ROWS,
        period_s=period_s(t_s, path),
    )
    truth = numbers(columns, LABELS[:1], path)[:, 0] > 0.5
    return SkabFile(series=series, truth=truth, t_s=t_s)
