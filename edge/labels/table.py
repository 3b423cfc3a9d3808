"""Labelled intervals out of a table: columns by the names that people give them, lenient times.

A row that cannot be read is named with its line, and is not taken.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from edge.assessment.label_words import Label
from edge.errors import RecordingError
from edge.samples.timestamps import DATES_WITH_TIMES, T_NS_MAX, is_iso, parse_times, stamp_formats
from edge.wire.topics import is_asset_id
from kb.reading.columns import key_of
from kb.reading.front_matter import SourceError
from kb.reading.rows import csv_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.labels.modes import ModeNames
    from kb.reading.rows import Row

TABLE_BYTES_MAX: Final = 16 << 20
QUOTE_CHARS_MAX: Final = 500
COLUMNS: Final = {
    "asset": "asset machine equipment assetid machineid equipmentid maschine anlage",
    "begin": "begin start from since onset starttime begintime startedat von beginn",
    "end": "end stop to until endtime stoptime endedat bis ende",
    "label": "label fault failuremode failurecode faultcode mode class annotation fehler",
    "said_by": "saidby by who operator person author labelledby labeledby annotator",
    "recorded_at": "recordedat labelledat labeledat saidat enteredat",
    "quote": "quote note notes comment comments remark bemerkung",
    "reference": "reference ref id labelid rowid",
}
_NAMED: Final = {key: name for name, keys in COLUMNS.items() for key in keys.split()}
_ZONED: Final = re.compile(r"(.*\d(?: ?[AaPp][Mm])?)\s*(Z|UTC|GMT|[+-]\d\d:?\d\d)", re.IGNORECASE)
_EPOCH: Final = re.compile(r"\d{9,19}(?:\.\d+)?")
_SCALES: Final = (("epoch_s", 1e11), ("epoch_ms", 1e14), ("epoch_us", 1e17), ("epoch_ns", 1e20))


class Bad(msgspec.Struct, frozen=True, kw_only=True):
    """What was not taken: where it stands, and why."""

    place: str
    because: str

    def line(self) -> str:
        """One sentence."""
        return f"{self.place}: {self.because}; not taken"


def table_labels(
    path: Path, *, names: ModeNames, zone: str = "", asset: str = ""
) -> tuple[list[Label], list[Bad]]:
    """Labels of a table with a header, and the rows that cannot be read.

    zone: of times that state none, "" none can. asset: of a table without such a column. Raises
    RecordingError where the table as a whole cannot be read.
    """
    text = _text_of(path)
    try:
        rows, broken = csv_rows(text, lambda header: [_ours(name) for name in header])
    except SourceError as error:
        raise RecordingError(f"{path}:{error.line}: {error}; expected a table") from error
    bad = [_bad(path, one.line, str(one)) for one in broken]
    header = set(rows[0].cells) if rows else set()
    missing = [name for name in ("begin", "end", "label") if rows and name not in header]
    if missing or (rows and not asset and "asset" not in header):
        missing += [] if asset or "asset" in header else ["asset"]
        hint = " (or --asset)" if "asset" in missing else ""
        message = f"{path}: no column {', '.join(missing)}{hint}; it has {', '.join(header)}"
        raise RecordingError(message)
    when = times_of(
        [row.cells.get(name, "") for row in rows for name in ("begin", "end", "recorded_at")], zone
    )
    labels = []
    for i, row in enumerate(rows):
        try:
            labels.append(_label(path, row, when[3 * i : 3 * i + 3], names=names, asset=asset))
        except ValueError as error:
            bad.append(_bad(path, row.line, str(error)))
    return labels, bad


def times_of(cells: Sequence[str], zone: str) -> list[int | str]:
    """Times in ns, one for each cell; where a cell is none, why.

    ISO 8601, numbers since 1970, and the usual formats of people; a day that may be a month is
    refused where the other cells do not tell. zone: of cells that state none.
    """
    plain = [_unzoned(cell) for cell in cells]
    odd = [said for said, _ in plain if said and not is_iso(said) and not _EPOCH.fullmatch(said)]
    formats = list(stamp_formats(odd, DATES_WITH_TIMES)) if odd else []
    return [_time(said, own or zone, formats) for said, own in plain]


def _time(said: str, zone: str, formats: Sequence[str]) -> int | str:
    if not said:
        return "empty"
    try:
        if _EPOCH.fullmatch(said):
            form = next(name for name, above in _SCALES if float(said) < above)
            return _read(said, form, "UTC")
        if is_iso(said):
            return _read(said, "iso", zone)
        read = [_read(said, form, zone) for form in formats]
    except (RecordingError, StopIteration):
        return f"{said!r} has no time zone; write it with one, as 2026-03-02 14:00+01:00, or --zone"
    found = {one for one in read if isinstance(one, int)}
    if len(found) > 1:
        return f"{said!r} may be two days; write it as 2026-03-02 14:00"
    return found.pop() if found else f"{said!r} is no time with a date"


def _read(said: str, form: str, zone: str) -> int | str:
    t_ns, ok = parse_times([said], time_format=form, zone=zone)
    good = bool(ok[0]) and 0 < int(t_ns[0]) <= T_NS_MAX
    return int(t_ns[0]) if good else f"{said!r} is no time with a date"


def _unzoned(cell: str) -> tuple[str, str]:
    """A time apart from the zone behind it, where that is one that only ISO 8601 may have."""
    said = " ".join(cell.split())
    found = _ZONED.fullmatch(said)
    if is_iso(said) or found is None or _EPOCH.fullmatch(said):
        return said, ""
    offset = found[2].upper()
    if offset in ("Z", "UTC", "GMT"):
        return found[1].strip(), "UTC"
    return said, ""


def _label(
    path: Path, row: Row, when: Sequence[int | str], *, names: ModeNames, asset: str
) -> Label:
    """One row. Raises ValueError."""
    cells = row.cells
    who = cells.get("asset") or asset
    if not is_asset_id(who):
        raise ValueError(f"asset {who!r} is no id" if who else "asset is empty")
    begin, end, recorded = when
    for name, found in (("begin", begin), ("end", end)):
        if not isinstance(found, int):
            why = f"{name} is empty" if found == "empty" else f"{name}: {found}"
            raise ValueError(why)  # noqa: TRY004 - the table's mistake, not a caller's
    if isinstance(recorded, str):
        if recorded != "empty":
            raise ValueError(f"recorded_at: {recorded}")
        recorded = 0
    assert isinstance(begin, int)
    assert isinstance(end, int)
    if end <= begin:
        raise ValueError("its end is not after its begin")
    if not cells["label"]:
        raise ValueError("label is empty")
    return Label(
        asset=who,
        begin_ns=begin,
        end_ns=end,
        label=names.label(cells["label"], who),
        source="table",
        reference=cells.get("reference", ""),
        said_by=cells.get("said_by", ""),
        recorded_at_ns=recorded,
        quote=cells.get("quote", "")[:QUOTE_CHARS_MAX],
        place=f"{path.name}:{row.line}",
    )


def codes_of(path: Path) -> dict[str, str]:
    """A table of codes of another system: columns `code` and `label`. Raises RecordingError."""
    try:
        rows, broken = csv_rows(_text_of(path), lambda header: [name.strip() for name in header])
    except SourceError as error:
        raise RecordingError(f"{path}:{error.line}: {error}; expected a table") from error
    for row in rows:
        if not row.cells.get("code") or not row.cells.get("label"):
            broken.append(SourceError(row.line, "expected columns `code` and `label`, both filled"))
    if broken:
        raise RecordingError(f"{path}:{broken[0].line}: {broken[0]}")
    return {row.cells["code"]: row.cells["label"] for row in rows}


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_size > TABLE_BYTES_MAX:
            raise RecordingError(f"{path} is over {TABLE_BYTES_MAX} bytes; split it")
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RecordingError(
            f"{path} is no UTF-8 text: {error.reason}; save it as UTF-8"
        ) from error


def _ours(name: str) -> str:
    return _NAMED.get(key_of(name), name.strip())


def _bad(path: Path, line: int, because: str) -> Bad:
    return Bad(place=f"{path.name}:{line}", because=because)
