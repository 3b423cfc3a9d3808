"""Labels out of closed work orders: what was found, by code or in words that are mapped.

An order says what was repaired. When the fault began it says only where it has a column for it: the
times of the work itself are no times of the fault.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from edge.assessment.label_words import Label
from edge.labels.table import QUOTE_CHARS_MAX, Bad, times_of
from kb.proposals.order_words import is_corrective
from kb.reading.columns import key_of, order_cells
from kb.reading.document import Form
from kb.reading.front_matter import SourceError
from kb.reading.rows import csv_rows, jsonl_rows
from kb.reading.status import is_cancelled
from kb.wording.negation import calls_off, doubts, plain

if TYPE_CHECKING:
    from edge.labels.modes import ModeNames
    from kb.reading.rows import Row
    from kb.snapshots.snapshot import Snapshot
    from kb.snapshots.store import DocumentRow

CLOSED: Final = frozenset(
    {"COMP", "COMPLETE", "COMPLETED", "CLOSE", "CLOSED", "CLSD", "TECO", "DONE", "FINISHED",
     "TABG", "ABGESCHLOSSEN", "ERLEDIGT"}
)  # fmt: skip
CODES: Final = (
    "failurecode", "failuremode", "faultcode", "problemcode", "damagecode", "objectdamage",
    "symptomcode", "fehlercode", "schadensbild", "schadenscode",
)  # fmt: skip
BEGINS: Final = (
    "failurestart", "faultstart", "malfunctionstart", "malfunctstart", "breakdownstart",
    "downtimestart", "storungsbeginn", "störungsbeginn", "reportedat",
)  # fmt: skip
ENDS: Final = (
    "failureend", "faultend", "malfunctionend", "malfunctend", "breakdownend", "downtimeend",
    "storungsende", "störungsende", "actualstart",
)  # fmt: skip
PEOPLE: Final = ("closedby", "completedby", "technician", "doneby", "reportedby", "approvedby")


def order_labels(
    snapshot: Snapshot, *, names: ModeNames, zone: str = ""
) -> tuple[list[Label], list[Bad], int]:
    """Labels of the closed orders of a snapshot; those that cannot be used, and why.

    The number is of orders that are not closed, or of planned work. Of an order with several rows
    the last counts.
    """
    labels: list[Label] = []
    bad: list[Bad] = []
    passed = 0
    for document in snapshot.documents():
        if document.kind != Form.ORDER.value:
            continue
        text = snapshot.text(document.doc_id, document.revision)
        reader = jsonl_rows if document.path.endswith(".jsonl") else csv_rows
        try:
            rows, broken = reader(text)
        except SourceError as error:
            bad.append(Bad(place=f"{document.path}:{error.line}", because=str(error)))
            continue
        bad += [Bad(place=f"{document.path}:{one.line}", because=str(one)) for one in broken]
        for row in _newest(rows):
            cells = order_cells(row.cells)
            if not _is_closed(cells["status"]) or not _tells_of_fault(cells):
                passed += 1
                continue
            try:
                labels.append(_label(document, row, cells, names=names, zone=zone))
            except ValueError as error:
                place = f"{document.path}:{row.line} order {cells['order_id']}"
                bad.append(Bad(place=place, because=str(error)))
    return labels, bad, passed


def _newest(rows: list[Row]) -> list[Row]:
    """The last row of each order, in the order of the file."""
    last = {row.cells.get("order_id") or row.line: row for row in rows}
    return sorted(last.values(), key=lambda row: row.line)


def _label(
    document: DocumentRow, row: Row, cells: dict[str, str], *, names: ModeNames, zone: str
) -> Label:
    """One closed order of a fault. Raises ValueError."""
    asset = cells["asset"]
    said = " ".join(cells.get("description", "").split())
    code = _first(row, CODES)
    if code:
        label = names.label(code, asset)
    else:
        against = calls_off(said) or doubts(plain(said))
        label = "" if against else names.in_text(said, asset)
        if not label:
            raise ValueError("no failure code, and no words of one failure mode, or of one code")
    begin, end, recorded = times_of(
        [_first(row, BEGINS), _first(row, ENDS) or cells.get("end", ""), cells["recorded_at"]], zone
    )
    for which, found in (("began (failure_start, reported_at)", begin), ("ended", end)):
        if not isinstance(found, int):
            why = f"it says {label}, and no time at which that {which}: {found}"
            raise ValueError(why)  # noqa: TRY004 - the table's mistake, not a caller's
    assert isinstance(begin, int)
    assert isinstance(end, int)
    if end <= begin:
        raise ValueError(f"it says {label}, which ended before it began")
    return Label(
        asset=asset,
        begin_ns=begin,
        end_ns=end,
        label=label,
        source="order",
        reference=cells["order_id"],
        said_by=_first(row, PEOPLE),
        recorded_at_ns=recorded if isinstance(recorded, int) else 0,
        quote=(f"{code}: {said}" if code else said)[:QUOTE_CHARS_MAX],
        place=f"{document.path}:{row.line}",
    )


def _is_closed(status: str) -> bool:
    codes = set(re.split(r"[\s,;/|+]+", status.strip().upper()))
    return bool(codes & CLOSED) and not is_cancelled(status)


def _tells_of_fault(cells: dict[str, str]) -> bool:
    """Whether an order has a failure code, or tells of work that follows a failure."""
    coded = any(key_of(name) in CODES and value for name, value in cells.items())
    return coded or is_corrective(cells.get("description", ""))


def _first(row: Row, keys: tuple[str, ...]) -> str:
    """The first cell that is filled, of columns by any of these names."""
    cells = {key_of(name): value for name, value in row.cells.items()}
    return next((cells[key] for key in keys if cells.get(key)), "")
