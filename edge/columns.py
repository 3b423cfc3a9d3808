"""Columns of a table read as its mapping says: numbers, coded texts, times, and what was odd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edge.errors import RecordingError
from edge.mapping import lies_on_side, match_mapping
from edge.tables import numbers, read_raw
from edge.timestamps import EPOCH_SCALES_NS, T_NS_MAX, parse_times

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.mapping import Mapping
    from edge.tables import Cells, RawTable

UNSTAMPED_T0_NS: Final = 946_684_800 * 10**9  # 2000-01-01 00:00 UTC
NAMES_SHOWN_MAX: Final = 8


def read_mapped(path: Path, mapping: Mapping | None) -> tuple[RawTable, Mapping]:
    """Read the file as the mapping says, or find the mapping that fits it."""
    if mapping is None:
        raw = read_raw(path)
        mapping = match_mapping(raw)
    else:
        raw = read_raw(
            path, delimiter=mapping.delimiter, decimal=mapping.decimal, header=mapping.header
        )
    if lies_on_side(mapping, raw):
        raw = raw.transposed()
    if mapping.column_count is not None and len(raw.columns) != mapping.column_count:
        message = f"{path} has {len(raw.columns)} columns, mapping {mapping.name} expects "
        raise RecordingError(message + str(mapping.column_count))
    needed = mapping.columns - set(mapping.ignore)
    missing = sorted(needed - set(raw.columns))
    if missing:
        shown = ", ".join(map(repr, missing[:NAMES_SHOWN_MAX]))
        message = (
            f"{path} has no column {shown}, which mapping {mapping.name} names; "
            f"it has {', '.join(map(repr, raw.columns))}"
        )
        raise RecordingError(message)
    return raw, mapping


class ColumnReader:
    """Reads columns of one table and keeps what was odd. `bad_cells` counts chosen rows only."""

    def __init__(self, raw: RawTable, mapping: Mapping) -> None:
        self._raw = raw
        self._mapping = mapping
        self._cells: dict[str, Cells] = dict(zip(raw.columns, raw.cells, strict=True))
        self.notes = list(raw.notes)
        self.bad_cells = 0
        left = [column for column in raw.columns if column not in mapping.columns]
        if left:
            self.notes.append(f"columns left out: {', '.join(map(repr, left))}")

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

    def times(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
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

    def note_times(self, ok: NDArray[np.bool_]) -> None:
        """Note rows not ok (n,): their stamps cannot be read. Raises RecordingError if all."""
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

    def rows(
        self, rows: tuple[int | None, int | None] | None, ok: NDArray[np.bool_]
    ) -> NDArray[np.intp]:
        """Return the indices of the rows to read, (n,): in the range, and ok (all rows,).

        Raises RecordingError if there are none.
        """
        first, end = rows or (None, None)
        chosen = np.arange(ok.size)[slice(first, end)]
        chosen = chosen[ok[chosen]]
        if not chosen.size:
            shown = f"{'' if first is None else first}:{'' if end is None else end}"
            message = f"{self._raw.path} has {ok.size} rows, and no good one in rows {shown}"
            raise RecordingError(message)
        return chosen
