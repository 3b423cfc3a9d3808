"""Workbooks: what is hidden on a sheet neither approves nor is quoted, and may only withdraw."""

from __future__ import annotations

import datetime as dt
import io
from typing import TYPE_CHECKING, Final

from openpyxl import Workbook

from kb.reading.workbooks import sheet_text
from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from openpyxl.worksheet.worksheet import Worksheet

NOW_NS: Final = 1_772_427_600 * 1_000_000_000  # 2026-03-02T05:00Z
HEAD: Final = (
    "order_id", "asset", "kind", "instrument", "status", "start", "end", "recorded_at",
    "approved_by",
)  # fmt: skip


def row(order_id: str, status: str = "APPR") -> list[str]:
    """An order of the day, approved unless said otherwise."""
    day = "2026-03-02T"
    times = [f"{day}09:00:00+01:00", f"{day}09:40:00+01:00", "2026-03-01T09:00:00+01:00"]
    return [order_id, "r1", "calibration", "gas_flow", status, *times, "planner"]


def orders(change: Callable[[Worksheet], None], *rows: list[str]) -> bytes:
    """A workbook of orders, of which something is changed."""
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.title = "Orders"
    for cells in ([*HEAD], *rows):
        sheet.append(cells)
    change(sheet)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def approved(folder: Path, stored: bytes) -> tuple[list[str], list[str]]:
    """Ids of the orders that would open a job, and what was not read."""
    (folder / "texts").mkdir()
    (folder / "texts" / "orders.xlsx").write_bytes(stored)
    build(folder / "texts", folder / "out", now_ns=NOW_NS)
    with Snapshot.open(folder / "out") as snapshot:
        found = [p.proposal_id for p in snapshot.proposals() if p.approved and p.real_times]
        return found, [item.cause for item in snapshot.manifest.quarantined]


def test_a_hidden_row_does_not_approve(tmp_path: Path) -> None:
    """It is told; the orders that a reader sees are as they were."""

    def hide(sheet: Worksheet) -> None:
        sheet.row_dimensions[3].hidden = True

    found, causes = approved(tmp_path, orders(hide, row("WO-1"), row("WO-2"), row("WO-3")))
    assert found == ["WO-1", "WO-3"]
    assert any("the row is hidden" in cause for cause in causes)


def test_a_hidden_row_withdraws(tmp_path: Path) -> None:
    """Who hid a cancellation did not undo it."""

    def hide(sheet: Worksheet) -> None:
        sheet.row_dimensions[4].hidden = True

    stored = orders(hide, row("WO-1"), row("WO-2"), row("WO-1", "CAN"))
    assert approved(tmp_path, stored)[0] == ["WO-2"]


def test_a_row_without_height_is_hidden_too(tmp_path: Path) -> None:
    """However it was made invisible."""

    def flatten(sheet: Worksheet) -> None:
        sheet.row_dimensions[2].height = 0.1

    assert approved(tmp_path, orders(flatten, row("WO-1"), row("WO-2")))[0] == ["WO-2"]


def test_a_hidden_column_does_not_approve(tmp_path: Path) -> None:
    """A status that nobody sees is none."""

    def hide(sheet: Worksheet) -> None:
        sheet.column_dimensions["E"].hidden = True

    found, causes = approved(tmp_path, orders(hide, row("WO-1")))
    assert found == []
    assert causes


def test_merged_cells_hold_their_value_once(tmp_path: Path) -> None:
    """A status over two rows is of the first of them."""

    def merge(sheet: Worksheet) -> None:
        sheet.merge_cells("E2:E3")

    assert approved(tmp_path, orders(merge, row("WO-1"), row("WO-2")))[0] == ["WO-1"]


def test_a_day_has_no_time_and_a_time_keeps_it() -> None:
    """A spreadsheet keeps a day as its midnight; how it is shown tells."""
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.title = "s"
    sheet.append(["day", "time", "clock"])
    sheet.append([dt.date(2026, 3, 2), dt.datetime(2026, 3, 2, 9), dt.time(9, 30)])  # noqa: DTZ001
    out = io.BytesIO()
    book.save(out)
    told = sheet_text(out.getvalue(), "s").splitlines()[1]
    assert told == "2026-03-02,2026-03-02 09:00:00,09:30:00"
