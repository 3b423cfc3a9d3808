"""Columns of a table read as its mapping says: numbers, coded texts, times, and what was odd."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.configuration.tables import ABSENT, WORDS, is_absent
from edge.errors import RecordingError
from edge.samples.timestamps import EPOCH_SCALES_NS, T_NS_MAX, parse_times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.configuration.tables import Cells, RawTable
    from edge.recordings.mapping import Mapping

UNSTAMPED_T0_NS: Final = 946_684_800 * 10**9  # 2000-01-01 00:00 UTC
NAMES_SHOWN_MAX: Final = 8
STAMPS_SAMPLED_MAX: Final = 1_000
_GROUPED_COMMA: Final = re.compile(r"\s*[+-]?\d{1,3}(?:\.\d{3})+(?:,\d*)?(?:[eE][+-]?\d+)?\s*")


def sample_column(name: str, cells: Cells, decimal: str) -> SampledColumn:
    """Read (n,) cells as numbers, and choose some of them regularly as text."""
    values, odd = numbers(cells, decimal=decimal)
    stride = max(1, -(-len(cells) // STAMPS_SAMPLED_MAX))
    return SampledColumn(
        name=name,
        cells=cells,
        sampled=[str(cell).strip() for cell in cells[::stride]],
        values=values,
        is_text=odd.size > int(np.isfinite(values).sum()),
    )


def numbers(cells: Cells, *, decimal: str = ".") -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Read numbers: (n,) cells to (n,) float64, exact to the last bit of what is written.

    Absent cells (empty, "nan", "null", ...) are NaN. Returns also the indices of cells that are
    neither absent nor a finite number; these are NaN as well. True and False are 1 and 0.
    """
    if isinstance(cells, np.ndarray):
        values = cells.astype(np.float64)
        odd = np.flatnonzero(np.isinf(values))
        values[odd] = np.nan
        return values, odd
    fast = _all_numbers(cells, decimal)
    if fast is not None:
        return fast, np.empty(0, np.intp)
    read = [_number(cell, decimal) for cell in cells]
    odd = np.flatnonzero(np.fromiter((value is None for value in read), np.bool_, len(read)))
    values = np.array([np.nan if value is None else value for value in read], np.float64)
    return values, odd


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledColumn:
    """A column as numbers and as a regular choice of its texts."""

    name: str
    cells: Cells
    sampled: list[str]  # at most STAMPS_SAMPLED_MAX + 1, over the whole column
    values: NDArray[np.float64]  # (n,) NaN where absent or no number
    is_text: bool

    @property
    def texts(self) -> list[str]:
        """The sampled cells that state something."""
        return [text for text in self.sampled if not is_absent(text)]

    @property
    def steps(self) -> NDArray[np.float64]:
        """Differences (k,) of the finite values, one after another."""
        return np.diff(self.values[np.isfinite(self.values)])


class ColumnReader:
    """Reads columns of one table and keeps what was odd. `bad_cells` counts chosen rows only.

    A table that runs newest first is turned round before anything else, and noted: its row 0 is
    the last of the file. `t_ns` (n,) are the times of all rows, `ok` (n,) says which are good.
    """

    def __init__(self, raw: RawTable, mapping: Mapping) -> None:
        self._raw = raw
        self._mapping = mapping
        self._cells: dict[str, Cells] = dict(zip(raw.columns, raw.cells, strict=True))
        self.notes = list(raw.notes)
        self.bad_cells = 0
        left = [column for column in raw.columns if column not in mapping.columns]
        if left:
            self.notes.append(f"columns left out: {', '.join(map(repr, left))}")
        self.t_ns, self.ok = self._times()
        if _runs_backward(self.t_ns[self.ok]):
            self.t_ns, self.ok = self.t_ns[::-1], self.ok[::-1]
            self._cells = {column: cells[::-1] for column, cells in self._cells.items()}
            self.notes.append("the file runs newest first; its rows are read from the last up")

    def numbers(self, column: str, chosen: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the chosen (n,) cells of a column as numbers (n,)."""
        cells = self._cells[column]
        values, odd = numbers(cells, decimal=self._raw.decimal)
        odd = odd[np.isin(odd, chosen)]
        if odd.size:
            first = int(odd[0])
            self.bad_cells += odd.size
            self.notes.append(
                f"column {column!r}: {odd.size} cells are not numbers, "
                f"the first is {str(cells[first])!r} in row {first}"
            )
        return values[chosen]

    def coded(
        self, column: str, codes: dict[str, float], chosen: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Return the chosen (n,) cells as numbers (n,), texts by their codes, in any case."""
        cells = self._cells[column]
        values, odd = numbers(cells, decimal=self._raw.decimal)
        folded = {text.strip().casefold(): code for text, code in codes.items()}
        unknown = set()
        for i in odd.tolist():
            text = str(cells[i]).strip()
            values[i] = folded.get(text.casefold(), np.nan)
            if text.casefold() not in folded:
                unknown.add(text)
        if unknown:
            shown = ", ".join(map(repr, sorted(unknown)[:NAMES_SHOWN_MAX]))
            self.notes.append(f"column {column!r}: no number is given for {shown}")
        return values[chosen]

    def _times(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return t_ns (n,) of all rows, and which of them are good (n,)."""
        time, count = self._mapping.time, self._raw.row_count
        if time.period_ns is not None:
            t_ns = UNSTAMPED_T0_NS + np.arange(count, dtype=np.int64) * time.period_ns
            return t_ns, np.ones(count, np.bool_)
        columns = [self._cells[column] for column in time.columns]
        scale_ns = EPOCH_SCALES_NS.get(time.format)
        if len(columns) == 1 and isinstance(columns[0], np.ndarray) and scale_ns is not None:
            whole = np.rint(columns[0].astype(np.float64) * scale_ns)
            ok = (whole >= 0) & (whole <= T_NS_MAX)
            exact = columns[0] if columns[0].dtype == np.int64 else columns[0].astype(np.float64)
            return np.where(ok, exact * scale_ns, 0).astype(np.int64), ok
        stamps = [
            " ".join(str(cell).strip() for cell in cells) for cells in zip(*columns, strict=True)
        ]
        return parse_times(stamps, time_format=time.format, zone=time.zone)

    def note_times(self) -> None:
        """Note rows whose stamps cannot be read. Raises RecordingError if that is all of them."""
        ok = self.ok
        bad = np.flatnonzero(~ok)
        if not bad.size:
            return
        first = int(bad[0])
        cell = " ".join(str(self._cells[column][first]) for column in self._mapping.time.columns)
        complaint = (
            f"{bad.size} of {ok.size} time stamps are not {self._mapping.time.format}, "
            f"the first is {cell!r} in row {first}"
        )
        if bad.size == ok.size:
            message = f"{self._raw.path}: {complaint}; correct format in [time] of the mapping"
            raise RecordingError(message)
        self.notes.append(f"{complaint}; these rows are left out")

    def rows(self, rows: tuple[int | None, int | None] | None) -> NDArray[np.intp]:
        """Return the indices of the rows to read, (n,): in the range, and good.

        Raises RecordingError if there are none.
        """
        ok = self.ok
        first, end = rows or (None, None)
        chosen = np.arange(ok.size)[slice(first, end)]
        chosen = chosen[ok[chosen]]
        if not chosen.size:
            shown = f"{'' if first is None else first}:{'' if end is None else end}"
            message = f"{self._raw.path} has {ok.size} rows, and no good one in rows {shown}"
            raise RecordingError(message)
        return chosen


def _runs_backward(t_ns: NDArray[np.int64]) -> bool:
    """Tell whether nearly all steps of t_ns (n,) go back: not a clock set once, nor a restart."""
    steps = np.diff(t_ns)
    backward = int((steps < 0).sum())
    return backward > 9 * int((steps > 0).sum())


def _all_numbers(cells: Sequence[str], decimal: str) -> NDArray[np.float64] | None:
    """Read a column in which every cell is a plain finite number; None if that is not so."""
    joined = "\x1f".join(cells)
    if "_" in joined:  # float() takes 1_000; a table does not mean it
        return None
    if decimal == ",":
        if "." in joined:
            return None
        replaced = joined.replace(",", ".").split("\x1f")
        if len(replaced) != len(cells):
            return None
        cells = replaced
    try:
        values = np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        return None
    return values if bool(np.isfinite(values).all()) else None


def _number(cell: str, decimal: str) -> float | None:
    """Read one cell: a finite number, NaN for an absent one, None for anything else."""
    text = cell.strip()
    if text.lower() in ABSENT:
        return np.nan
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    if "_" in text:
        return None
    if decimal == ",":
        if "." in text:
            if not _GROUPED_COMMA.fullmatch(text):
                return None
            text = text.replace(".", "")
        text = text.replace(",", ".")
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
