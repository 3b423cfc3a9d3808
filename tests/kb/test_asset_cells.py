"""Machines of orders and calendars whose cells hold no id that tables know."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pytest

from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot
from kb.times import iso_ns

if TYPE_CHECKING:
    from pathlib import Path

    from kb.records import Proposal

ASSETS: Final = """asset,aliases,functional_location
r1,left hand welder,WC1-ROB1
r2,right hand welder,WC1-ROB2
r3,,WC1-SHARED
r4,,WC1-SHARED
"""
HEAD: Final = (
    "order_id,asset,kind,instrument,status,start,end,recorded_at,approved_by,description,location\n"
)
NOW_NS: Final = iso_ns("2026-03-20T00:00:00+01:00")


def _row(
    asset: str, *, oid: str = "4711", status: str = "APPR", words: str = "cal", location: str = "",
    at: str = "01",
) -> str:  # fmt: skip
    times = "2026-03-02T06:31:00+01:00,2026-03-02T07:05:00+01:00"
    return (
        f"{oid},{asset},calibration,gas_flow,{status},{times},2026-03-{at}T10:00:00+01:00,planner,"
        f"{words},{location}\n"
    )


def _built(tmp_path: Path, files: dict[str, str]) -> tuple[list[Proposal], list[dict[str, object]]]:
    source = tmp_path / "texts"
    for name, text in {"assets.csv": ASSETS, **files}.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text, encoding="utf-8")
    build(source, tmp_path / "kb", now_ns=NOW_NS)
    manifest = json.loads((tmp_path / "kb" / "manifest.json").read_text(encoding="utf-8"))
    with Snapshot.open(tmp_path / "kb") as snapshot:
        found = sorted(snapshot.proposals(), key=lambda p: p.recorded_at_ns)
    return found, manifest["quarantined"]


@pytest.mark.parametrize(
    ("row", "asset", "approved"),
    [
        (_row("r1"), "r1", True),
        (_row("WC1-ROB1"), "r1", True),
        (_row("left hand welder"), "r1", True),
        (_row("", location="WC1-ROB2"), "r2", True),
        (_row("R1"), "r1", False),  # a guess only proposes
        (_row("r1", words="cal for r3"), "r1", False),
        (_row("r1", words="cal r1 as on r3"), "r1", True),
        (_row("r1", words="right hand welder cal"), "r1", False),
    ],
)
def test_machines_of_orders(tmp_path: Path, row: str, asset: str, *, approved: bool) -> None:
    """Names of tables are master data; other letters and other machines in the words withdraw."""
    (proposal,), quarantined = _built(tmp_path, {"orders.csv": HEAD + row})
    assert (proposal.asset, proposal.approved) == (asset, approved)
    assert not quarantined


@pytest.mark.parametrize("name", ["r01", "rob1", "r-1", "r77", "WC1-SHARED"])
def test_what_fits_no_machine_is_told(tmp_path: Path, name: str) -> None:
    """A near miss, and a place of two machines, are of none; each stands in the report."""
    (proposal,), quarantined = _built(tmp_path, {"orders.csv": HEAD + _row(name)})
    assert proposal.asset == name
    (note,) = quarantined
    assert (note["path"], note["line"]) == ("orders.csv", 2)
    assert f"asset {name!r} is in no table" in str(note["cause"])


def test_an_order_of_two_names_is_one(tmp_path: Path) -> None:
    """Its machine under both names is the same; a cancellation counts in either."""
    rows = _row("WC1-ROB1") + _row("r1", status="CAN", at="02")
    found, quarantined = _built(tmp_path, {"orders.csv": HEAD + rows})
    assert [p.approved for p in found] == [True, False]
    assert found[-1].cancelled
    assert not quarantined


@pytest.mark.parametrize(
    ("first", "second"), [("4711", "00004711"), ("4000001", "000004000001"), ("007", "7")]
)
def test_numbers_without_zeros_are_one_order(tmp_path: Path, first: str, second: str) -> None:
    """The cancellation of another system is found."""
    files = {
        "a.csv": HEAD + _row("r1", oid=first),
        "b.csv": HEAD + _row("r1", oid=second, status="CAN", at="02"),
    }
    found, _ = _built(tmp_path, files)
    assert len({p.proposal_id for p in found}) == 1
    assert [(p.approved, p.cancelled) for p in found] == [(True, False), (False, True)]


def test_a_text_may_pad_a_number(tmp_path: Path) -> None:
    """A line of prose that calls off order 0004711 is about order 4711, and none of 14711."""
    rows = _row("r1") + _row("r2", oid="14711").replace("07:05", "07:09")
    files = {"orders.csv": HEAD + rows, "note.md": "# Note\n\nOrder 0004711 is cancelled.\n"}
    found, _ = _built(tmp_path, files)
    assert {p.proposal_id: p.approved for p in found} == {"4711": False, "14711": True}


def test_a_calendar_names_a_place(tmp_path: Path) -> None:
    """`LOCATION` may be a functional location, or hold one among other words."""
    event = (
        "BEGIN:VEVENT\nUID:{uid}\nDTSTAMP:20260301T090000Z\nDTSTART:20260302T090000Z\n"
        "DTEND:20260302T093000Z\nSUMMARY:gas flow calibration\nLOCATION:{place}\nEND:VEVENT\n"
    )
    events = event.format(uid=1, place="WC1-ROB2") + event.format(uid=2, place="Hall 3 WC1-ROB1")
    text = f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\n{events}END:VCALENDAR\n"
    found, quarantined = _built(tmp_path, {"plan.ics": text})
    assert sorted(p.asset for p in found) == ["r1", "r2"]
    assert not any(p.approved for p in found)
    assert not quarantined
