"""Tables as other systems export them: read, searched, and approved only by what is mapped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kb.reading.columns import named, order_cells
from kb.records import Query
from kb.snapshots.snapshot import Snapshot
from kb.times import iso_ns
from tests.kb.conftest import NOW_NS
from tests.kb.test_orders import _built, _said, _witnesses

if TYPE_CHECKING:
    from pathlib import Path

MAXIMO = (
    "WONUM,DESCRIPTION,ASSETNUM,WORKTYPE,STATUS,SCHEDSTART,SCHEDFINISH,ACTSTART,ACTFINISH,"
    "REPORTDATE,CHANGEDATE\n"
)
SAP = "Order;Description;Equipment;System status;Basic start date;Basic finish date\n"
DAY = "2026-03-0{}T06:{}:00+01:00"
CHANGED = "2026-03-01T10:00:00+01:00"


def _maximo(number: str, status: str = "APPR", kind: str = "CAL", end: str = "41") -> str:
    begin, finish = DAY.format(2, "05"), DAY.format(2, end)
    return f"{number},gas flow calibration,r1,{kind},{status},{begin},{finish},,,,{CHANGED}\n"


def test_maximo_orders_are_read(tmp_path: Path) -> None:
    """A type code names the kind, a mapped status approves, planned times count if not defaults."""
    rows = _maximo("1001") + _maximo("1002", "COMP") + _maximo("1003", kind="PM")
    manifest, proposals, _ = _built(tmp_path, {"wo.csv": MAXIMO + rows})
    assert _witnesses(proposals) == ["1001"]
    assert {p.proposal_id for p in proposals} == {"1001", "1002", "1003"}
    assert proposals[0].recorded_at_ns == iso_ns(CHANGED)
    assert proposals[0].valid_from_ns == iso_ns(DAY.format(2, "05"))
    assert manifest.quarantined == ()


def test_default_times_and_days_only_propose(tmp_path: Path) -> None:
    """Five orders of one duration, and days without hours, are no real times."""
    rows = "".join(_maximo(f"10{i}") for i in range(5))
    assert _witnesses(_built(tmp_path, {"wo.csv": MAXIMO + rows})[1]) == []
    day = SAP + "4000001;gas flow calibration;r1;REL PRT MANC;2026-03-02;2026-03-02\n"
    (found,) = _built(tmp_path / "b", {"sap.csv": day})[1]
    assert (found.valid_to_ns or 0) - (found.valid_from_ns or 0) == 86_400 * 10**9
    assert (found.real_times, found.approved) == (False, False)  # nor does a text name its kind


def test_rows_that_lack_something_are_searched(tmp_path: Path) -> None:
    """Local times, no asset, no bounded work: found by their words, with a note."""
    rows = (
        "4000001;solenoid of the quokka press;press-1;REL;02.03.2026;02.03.2026\n"
        "4000002;replace wombat belt;;REL;;\n"
        "4000003;lubricate the numbat gear;r2;CRTD;;\n"
    )
    manifest, proposals, _ = _built(tmp_path, {"sap.csv": SAP + rows})
    assert proposals == ()
    said = _said(manifest)
    assert "is not an ISO 8601 time; it is searched" in said
    assert "no exact id; it is searched" in said
    assert "1 orders name no bounded work: they are searched" in said
    with Snapshot.open(tmp_path / "out") as opened:
        for word in ("quokka", "wombat", "numbat"):
            hits = opened.search(Query(text=word, all_assets=True), now_ns=NOW_NS)
            assert word in hits[0].citation.quote


def test_an_unread_row_of_another_system_withdraws_its_order(tmp_path: Path) -> None:
    """A cancellation with a local time still counts."""
    sap = SAP + "1001;x;r1;REL DLFL;02.03.2026;\n"
    files: dict[str, str | bytes] = {"wo.csv": MAXIMO + _maximo("1001"), "sap.csv": sap}
    assert _witnesses(_built(tmp_path, files)[1]) == []


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (["Wo Num", "asset-num", "Work Type"], ["order_id", "asset", "work_type"]),
        (["Order", "order_id"], ["Order", "order_id"]),
        (["WONUM", "Order"], ["order_id", "Order"]),
        (["order_id", "ORDER ID"], ["order_id", "order_id"]),
        (["Colour"], ["Colour"]),
    ],
)
def test_columns_have_one_name_each(header: list[str], wanted: list[str]) -> None:
    """Our own name wins over an alias, the first alias over the second."""
    assert named(header) == wanted


def test_a_report_is_no_approval() -> None:
    """When an order was reported counts only where nothing is approved; actual times go first."""
    cells = {"status": "APPR", "reported_at": "r", "planned_start": "p", "planned_end": "q"}
    assert order_cells(cells)["recorded_at"] == ""
    assert order_cells({**cells, "status": "WAPPR"})["recorded_at"] == "r"
    assert order_cells({**cells, "actual_start": "a"})["start"] == "p"
    assert order_cells({**cells, "actual_start": "a", "actual_end": "b"})["start"] == "a"
