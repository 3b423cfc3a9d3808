"""One calibration told in several files of several systems: the same facts come out."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import msgspec
import pytest
from openpyxl import Workbook

from kb.records import Proposal, WorkKind
from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SECOND_NS: Final = 1_000_000_000
START_NS: Final = 1_772_438_400 * SECOND_NS  # 2026-03-02T08:00Z, 09:00 in Berlin
NOW_NS: Final = START_NS - 86_400 * SECOND_NS
WORDS: Final = "gas flow calibration"
HEAD: Final = "order_id,asset,kind,instrument,status,start,end,recorded_at,approved_by,description"
ORDER: Final = {
    "order_id": "WO-1",
    "asset": "r1",
    "kind": "calibration",
    "instrument": "gas_flow",
    "status": "APPR",
    "start": "2026-03-02T09:00:00+01:00",
    "end": "2026-03-02T09:40:00+01:00",
    "recorded_at": "2026-03-01T08:00:00Z",
    "approved_by": "planner",
    "description": WORDS,
}
ICS: Final = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//plant//maintenance//EN
BEGIN:VTIMEZONE
TZID:Europe/Berlin
BEGIN:STANDARD
DTSTART:19701025T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:19700329T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU
END:DAYLIGHT
END:VTIMEZONE
BEGIN:VEVENT
UID:cal-1@plant
DTSTAMP:20260301T080000Z
DTSTART;TZID=Europe/Berlin:20260302T090000
DTEND;TZID=Europe/Berlin:20260302T094000
SUMMARY:gas flow calibration
LOCATION:r1
RESOURCES:gas_flow
END:VEVENT
END:VCALENDAR
"""
MAXIMO: Final = """\
WONUM,ASSETNUM,WORKTYPE,LOCATION,STATUS,SCHEDSTART,SCHEDFINISH,CHANGEDATE,DESCRIPTION
WO-1,r1,CAL,gas_flow,APPR,02/03/2026 09:00,02/03/2026 09:40,01/03/2026 09:00,gas flow calibration
"""
MAXIMO_MAPPING: Final = """\
zone = "Europe/Berlin"
day_first = true
[columns]
LOCATION = "instrument"
[status]
APPR = "approved"
WAPPR = "proposed"
CAN = "cancelled"
"""
SAP: Final = """\
Order;Equipment;Act.type;Meas.point;System status;Bas. start date;Start time;Bas. fin. date;\
Fin. time;Changed on;Description
WO-1;r1;ZCAL;gas_flow;REL PRT MANC;02.03.2026;09:00;02.03.2026;09:40;01.03.2026 09:00;\
gas flow calibration
"""
SAP_MAPPING: Final = """\
zone = "Europe/Berlin"
[columns]
"Act.type" = "kind"
"Meas.point" = "instrument"
"System status" = "status"
[join]
start = ["Bas. start date", "Start time"]
end = ["Bas. fin. date", "Fin. time"]
[status]
REL = "approved"
PRT = "beside"
MANC = "beside"
TECO = "done"
DLFL = "cancelled"
[kind]
ZCAL = "calibration"
"""


def csv_of(**changes: str) -> str:
    """The order as a table of ours."""
    row = {**ORDER, **changes}
    return f"{HEAD}\n{','.join(row[name] for name in HEAD.split(','))}\n"


def workbook() -> bytes:
    """The order on the second sheet of a workbook, times as a spreadsheet has them."""
    book = Workbook()
    book.worksheets[0].append(["notes", "of the week"])
    sheet = book.create_sheet("Orders")
    sheet.append(list(ORDER))
    sheet.append(list(ORDER.values()))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def proposals(folder: Path, files: Mapping[str, str | bytes]) -> tuple[Proposal, ...]:
    """What a folder of these files proposes."""
    source = folder / "kb"
    source.mkdir(parents=True)
    for name, said in files.items():
        stored = said if isinstance(said, bytes) else said.encode()
        (source / name).write_bytes(stored)
    build(source, folder / "out", now_ns=NOW_NS)
    with Snapshot.open(folder / "out") as snapshot:
        found = snapshot.proposals()
        for proposal in found:
            cited = proposal.citation
            assert snapshot.text(cited.doc_id, "")[cited.start : cited.end] == cited.quote
    return found


def facts(proposal: Proposal) -> tuple[object, ...]:
    """What a job would be made of."""
    return (
        proposal.kind, proposal.asset, proposal.instrument, proposal.valid_from_ns,
        proposal.valid_to_ns, proposal.recorded_at_ns, proposal.real_times, proposal.cancelled,
    )  # fmt: skip


WANTED: Final = (
    WorkKind.CALIBRATION, "r1", "gas_flow", START_NS, START_NS + 2400 * SECOND_NS,
    START_NS - 86_400 * SECOND_NS, True, False,
)  # fmt: skip


@pytest.mark.parametrize(
    ("files", "approved"),
    [
        ({"orders.csv": csv_of()}, True),
        ({"orders.jsonl": msgspec.json.encode(ORDER).decode() + "\n"}, True),
        ({"orders.xlsx": workbook()}, True),
        ({"wo.csv": MAXIMO, "wo.mapping.toml": MAXIMO_MAPPING}, True),
        ({"pm.csv": SAP, "mapping.toml": SAP_MAPPING}, True),
        ({"plan.ics": ICS}, False),
    ],
    ids=["csv", "jsonl", "xlsx", "maximo", "sap", "ics"],
)
def test_the_same_calibration_comes_out(
    tmp_path: Path,
    files: dict[str, str | bytes],
    approved: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Kind, asset, instrument, times; only an order can be approved."""
    (proposal,) = proposals(tmp_path, files)
    assert facts(proposal) == WANTED
    assert proposal.approved is approved


@pytest.mark.parametrize("status", ["WMATL", "REL XYZ", "CAN", "", "approved?"])
def test_a_status_that_no_mapping_names_never_approves(tmp_path: Path, status: str) -> None:
    """Of several codes each has to be known."""
    files = {"pm.csv": SAP.replace("REL PRT MANC", status), "mapping.toml": SAP_MAPPING}
    assert not any(p.approved for p in proposals(tmp_path, files))


@pytest.mark.parametrize(
    ("mapping", "said"),
    [("zone = 'Mars/Base'", "Mars"), ("[status]\nA = 'yes'", "yes"), ("colour = 1", "colour")],
)
def test_a_mapping_that_cannot_be_read_takes_its_tables_with_it(
    tmp_path: Path, mapping: str, said: str
) -> None:
    """Quarantined, with what is wrong in the mapping."""
    assert proposals(tmp_path, {"orders.csv": csv_of(), "mapping.toml": mapping}) == ()
    with Snapshot.open(tmp_path / "out") as snapshot:
        assert said in snapshot.manifest.quarantined[0].cause


def with_event(*lines: str) -> str:
    """The calendar with more lines in its event."""
    return ICS.replace("RESOURCES:gas_flow\n", "RESOURCES:gas_flow\n" + "\n".join(lines) + "\n")


def test_a_series_has_its_exceptions(tmp_path: Path) -> None:
    """Weekly, once left out, once moved, once called off, over the change of clocks."""
    series = with_event("RRULE:FREQ=WEEKLY;COUNT=6", "EXDATE;TZID=Europe/Berlin:20260309T090000")
    other = "BEGIN:VEVENT\nUID:cal-1@plant\nDTSTAMP:20260301T080000Z\n"
    moved = (
        f"{other}RECURRENCE-ID;TZID=Europe/Berlin:20260316T090000\n"
        "DTSTART;TZID=Europe/Berlin:20260317T140000\nDTEND;TZID=Europe/Berlin:20260317T150000\n"
        "SUMMARY:gas flow calibration\nLOCATION:r1\nRESOURCES:gas_flow\nEND:VEVENT\n"
    )
    off = (
        f"{other}RECURRENCE-ID;TZID=Europe/Berlin:20260323T090000\n"
        "DTSTART;TZID=Europe/Berlin:20260323T090000\nDTEND;TZID=Europe/Berlin:20260323T094000\n"
        "STATUS:CANCELLED\n"
        "SUMMARY:gas flow calibration\nLOCATION:r1\nRESOURCES:gas_flow\nEND:VEVENT\n"
    )
    text = series.replace("END:VCALENDAR", f"{moved}{off}END:VCALENDAR")
    found = sorted(proposals(tmp_path, {"plan.ics": text}), key=lambda p: p.valid_from_ns or 0)
    hour = 3600 * SECOND_NS
    day = 24 * hour
    begins = [((p.valid_from_ns or 0) - START_NS, p.cancelled) for p in found]
    assert begins == [
        (0, False),
        (15 * day + 5 * hour, False),  # moved
        (21 * day, True),  # called off
        (28 * day - hour, False),  # after the clocks were changed: still nine o'clock
        (35 * day - hour, False),
    ]
    assert len({p.proposal_id for p in found}) == len(found)


def test_a_floating_time_needs_a_zone(tmp_path: Path) -> None:
    """Without one it is only searched; with one, declared by the calendar, it is a time."""
    floating = ICS.replace(";TZID=Europe/Berlin", "")
    assert proposals(tmp_path / "a", {"plan.ics": floating}) == ()
    declared = floating.replace("VERSION:2.0", "VERSION:2.0\nX-WR-TIMEZONE:Europe/Berlin")
    (proposal,) = proposals(tmp_path / "b", {"plan.ics": declared})
    assert facts(proposal) == WANTED


def test_the_hour_that_happens_twice_makes_no_work_longer(tmp_path: Path) -> None:
    """It begins at its second and ends at its first; an hour that does not exist is refused."""
    autumn = ("25/10/2026 02:10", "25/10/2026 02:50")
    spring = ("29/03/2026 02:10", "29/03/2026 03:30")
    for name, (start, end) in (("autumn", autumn), ("spring", spring)):
        text = MAXIMO.replace("02/03/2026 09:00", start).replace("02/03/2026 09:40", end)
        files: dict[str, str | bytes] = {"wo.csv": text, "mapping.toml": MAXIMO_MAPPING}
        # both ends ambiguous: at best it lasts nothing, so it is no time that anybody meant
        assert not any(p.real_times for p in proposals(tmp_path / name, files))
    half = MAXIMO.replace("02/03/2026 09:00", "25/10/2026 01:30")
    half = half.replace("02/03/2026 09:40", "25/10/2026 02:30")
    (proposal,) = proposals(tmp_path / "half", {"wo.csv": half, "mapping.toml": MAXIMO_MAPPING})
    assert proposal.valid_from_ns is not None
    assert proposal.valid_to_ns is not None
    assert proposal.valid_to_ns - proposal.valid_from_ns == 3600 * SECOND_NS


def test_a_status_column_that_no_mapping_names_is_mapped_too(tmp_path: Path) -> None:
    """Of whatever name: what `[status]` leaves out never approves."""
    mapping = SAP_MAPPING.replace('"System status" = "status"\n', "").replace(
        'REL = "approved"\n', ""
    )
    (proposal,) = proposals(tmp_path, {"pm.csv": SAP, "mapping.toml": mapping})
    assert not proposal.approved


def test_a_hidden_sheet_is_told_and_only_withdraws(tmp_path: Path) -> None:
    """It says that the order is called off: nobody may approve past it."""
    book = Workbook()
    book.worksheets[0].append(["notes"])
    sheet = book.create_sheet("old")
    sheet.append(list(ORDER))
    sheet.append([*{**ORDER, "status": "CAN"}.values()])
    sheet.sheet_state = "hidden"
    out = io.BytesIO()
    book.save(out)
    (proposal,) = proposals(tmp_path, {"orders.csv": csv_of(), "book.xlsx": out.getvalue()})
    assert not proposal.approved
    with Snapshot.open(tmp_path / "out") as snapshot:
        causes = {item.path: item.cause for item in snapshot.manifest.quarantined}
    assert "hidden" in causes["book.xlsx#old"]
