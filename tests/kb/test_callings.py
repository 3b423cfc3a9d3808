"""What an order's own words and other texts take back, and from when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kb.proposals import callings
from kb.times import iso_ns
from tests.kb.test_orders import EARLY, HEAD, LATER, _built, _row, _said, _witnesses

if TYPE_CHECKING:
    from pathlib import Path

SCHEDULE = "asset,kind,instrument,planned_start,planned_end,recorded_at,description\n"
PLAN = f"r1,calibration,gas_flow,2026-03-02T06:00:00Z,2026-03-02T07:00:00Z,{LATER},"


@pytest.mark.parametrize(
    "description",
    [
        "CANCELLED by phone - not done",
        "gas flow cal postponed",
        "gas flow cal; abgesagt",
        "do not carry out",
        "gas flow cal because sensor is faulty",
        "replace leaking hose",
        "troubleshoot low flow",
        "Störung Gasfluss",
    ],
)
def test_words_of_a_description_withdraw(tmp_path: Path, description: str) -> None:
    """A denied or called-off order, or one that follows a fault, is no witness."""
    text = HEAD + _row("W1", description=description) + _row("W2", description="cal no issues")
    assert _witnesses(_built(tmp_path, {"o.csv": text})[1]) == ["W2"]


@pytest.mark.parametrize("by", ["", "TBD", "-", "?"])
def test_an_order_that_nobody_approved_only_proposes(tmp_path: Path, by: str) -> None:
    """The column is there and names nobody."""
    text = HEAD + _row("W1").replace(",PL,", f",{by},")
    assert [p.approved for p in _built(tmp_path, {"o.csv": text})[1]] == [False]


@pytest.mark.parametrize(
    "status",
    ["canc", "Cancelled by planner", "STORNIERT", "storno", "VOID", "REL CANC", "DLFL REL"],
)
def test_cancelled_states_are_known_by_how_they_begin(tmp_path: Path, status: str) -> None:
    """Any code of the status cell counts."""
    text = HEAD + _row("W1") + _row("W1", status, recorded=LATER)
    (first, last) = _built(tmp_path, {"o.csv": text})[1]
    assert (first.approved, last.approved, last.cancelled) == (True, False, True)


@pytest.mark.parametrize("status", ["APPR?", "REL TECO", "REL CNF", "NOT APPR", "APPR WMATL"])
def test_unknown_codes_beside_a_release_do_not_approve(tmp_path: Path, status: str) -> None:
    """Nothing unknown suppresses."""
    (found,) = _built(tmp_path, {"o.csv": HEAD + _row("W1", status)})[1]
    assert (found.approved, found.cancelled) == (False, False)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.csv", SCHEDULE + PLAN + "W1 CANCELLED\n"),
        ("l.log", "2026-03-01 09:00+01:00 W1 cancelled\n"),
        ("l.log", "2026-03-01 09:00+01:00 w1: not today, no gauge\n"),
        ("more.csv", HEAD + _row("W9", recorded=LATER, description="instead of W1 cancelled")),
    ],
)
def test_a_row_or_line_withdraws_from_when_it_was_known(
    tmp_path: Path, name: str, text: str
) -> None:
    """Before it was recorded the order stood, as it was known then."""
    files: dict[str, str | bytes] = {"o.csv": HEAD + _row("W1") + _row("W11"), name: text}
    manifest, proposals, _ = _built(tmp_path, files)
    mine = [(p.recorded_at_ns, p.approved) for p in proposals if p.proposal_id == "W1"]
    assert mine == [(iso_ns(EARLY), True), (iso_ns(LATER), False)]
    assert "W11" in _witnesses(proposals)
    assert f"may have called it off ({name}" in _said(manifest)


def test_a_text_takes_back_what_was_approved_after_it_too(tmp_path: Path) -> None:
    """A text without a date has always been known; later versions stay in doubt."""
    files: dict[str, str | bytes] = {
        "o.csv": HEAD + _row("W1") + _row("W1", recorded=LATER) + _row("W2"),
        "note.txt": "W1 was called off by phone.\nW2 as planned.\n",
    }
    assert _witnesses(_built(tmp_path, files)[1]) == ["W2"]


def test_a_cancelled_order_does_not_come_back(tmp_path: Path) -> None:
    """A line that says so again after the system did adds no version."""
    rows = _row("W1") + _row("W1", "CAN", recorded="2026-03-01T07:00:00+01:00")
    files: dict[str, str | bytes] = {
        "o.csv": HEAD + rows,
        "l.log": "2026-03-01 09:00+01:00 W1 cancelled\n",
    }
    assert [p.cancelled for p in _built(tmp_path, files)[1] if p.source == "order"] == [False, True]


def test_a_line_that_only_names_an_order_changes_nothing(tmp_path: Path) -> None:
    """No issues are no denial, and W12 is another order."""
    log = "2026-03-01 09:00+01:00 W1 started, no issues\n2026-03-01 09:01+01:00 W12 cancelled\n"
    files: dict[str, str | bytes] = {"o.csv": HEAD + _row("W1"), "l.log": log}
    assert _witnesses(_built(tmp_path, files)[1]) == ["W1"]


def test_the_text_of_a_series_is_looked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its occurrences has it, however long it is."""
    looked: list[str] = []

    def noted(said: str) -> bool:
        looked.append(said)
        return False

    monkeypatch.setattr(callings, "calls_off", noted)
    event = (
        "UID:1\nDTSTART:20260302T060000Z\nRRULE:FREQ=DAILY;COUNT=20\nSUMMARY:gas flow calibration"
    )
    event = f"BEGIN:VEVENT\n{event}\nLOCATION:r1\nEND:VEVENT"
    text = f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\n{event}\nEND:VCALENDAR\n"
    _built(tmp_path, {"plan.ics": text})
    assert looked.count(event) == 1
