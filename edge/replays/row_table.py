"""Row flags as a table on disk, written as they come: a run of months takes no more memory.

    time,asset,score,threshold,flag,class
    2026-03-02T11:37:37.000000Z,r1,0.4127,7.2031,0,normal

The score is empty where there is none, and so is the flag. Rows of one asset are in order of time;
those of several follow on one another as the engine took them.
"""

from __future__ import annotations

import csv
import os
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from edge.errors import RecordingError
from edge.records import RowsScored

if TYPE_CHECKING:
    from pathlib import Path

    from edge.records import Effect

COLUMNS: Final = ("time", "asset", "score", "threshold", "flag", "class")


class RowTable:
    """A table that grows; it stands under its name once it is whole, and until then as .part."""

    def __init__(self, path: Path) -> None:
        """Begin. Raises RecordingError where nothing can be written there."""
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        if path.is_dir():
            raise RecordingError(f"{path} is a directory; --row-flags needs the name of a file")
        try:
            self._file = self._part.open("w", encoding="utf-8", newline="")
        except OSError as error:
            said = (
                f"{path}: {error.strerror}; --row-flags needs a file in a directory that there is"
            )
            raise RecordingError(said) from error
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(COLUMNS)
        self.rows = self.flagged = 0

    def take(self, effect: Effect, _now_ns: int) -> None:
        """Write what an effect says of rows; others are not its business.

        Raises RecordingError where the disk takes no more.
        """
        if not isinstance(effect, RowsScored):
            return
        n = len(effect.t_ns)
        ready = np.isfinite(effect.scores)
        times = np.datetime_as_string(effect.t_ns.astype("datetime64[ns]"), unit="us").tolist()
        rows = zip(
            (f"{time}Z" for time in times),
            (effect.asset,) * n,
            ("" if np.isnan(score) else f"{score:.4f}" for score in effect.scores.tolist()),
            (f"{effect.threshold:.4f}",) * n,
            np.where(ready, effect.flags.astype(int).astype(str), "").tolist(),
            effect.classes.tolist(),
            strict=True,
        )
        try:
            self._writer.writerows(rows)
        except OSError as error:
            raise RecordingError(f"{self._part}: {error.strerror}; {self.rows} rows fit") from error
        self.rows += n
        self.flagged += int(effect.flags.sum())

    def __enter__(self) -> Self:
        """Take rows from here on."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Give the table its name; what was broken off keeps that of a part."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if kind is None:
            self._part.replace(self._path)
