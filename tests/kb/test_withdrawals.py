"""Logs with aliases, times and work taken back, through a whole build."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot
from kb.times import iso_ns

if TYPE_CHECKING:
    from pathlib import Path

    from kb.records import Proposal

ALIASES: Final = """asset,aliases,functional_location
r12,robot 12;#12;left hand welder,WC1-ROB12
r21,robot 21,WC1-ROB21
"""
ORDERS: Final = """\
order_id,asset,kind,instrument,status,start,end,recorded_at,approved_by,description
WO-1,r12,calibration,,APPR,2026-03-02T14:00:00+01:00,2026-03-02T14:31:00+01:00,2026-03-01T10:00:00+01:00,planner,cal
WO-2,r12,calibration,,APPR,2026-03-09T14:00:00+01:00,2026-03-09T14:33:00+01:00,2026-03-01T10:00:00+01:00,planner,cal
WO-3,r12,cleaning,,APPR,2026-03-02T14:00:00+01:00,2026-03-02T14:35:00+01:00,2026-03-01T10:00:00+01:00,planner,clean
WO-4,r21,calibration,,APPR,2026-03-02T14:00:00+01:00,2026-03-02T14:37:00+01:00,2026-03-01T10:00:00+01:00,planner,cal
"""
NOW_NS: Final = iso_ns("2026-03-20T00:00:00+01:00")


def _proposals(tmp_path: Path, log: str) -> list[Proposal]:
    source = tmp_path / "texts"
    (source / "logs").mkdir(parents=True)
    (source / "assets.csv").write_text(ALIASES, encoding="utf-8")
    (source / "orders.csv").write_text(ORDERS, encoding="utf-8")
    (source / "logs" / "shift.log").write_text(log, encoding="utf-8")
    build(source, tmp_path / "kb", now_ns=NOW_NS)
    with Snapshot.open(tmp_path / "kb") as snapshot:
        return list(snapshot.proposals())


def _approved(proposals: list[Proposal]) -> dict[str, bool]:
    """Whether each order is approved as its last version says."""
    orders = sorted((p for p in proposals if p.source == "order"), key=lambda p: p.recorded_at_ns)
    return {p.proposal_id: p.approved for p in orders}


def _spans(proposals: list[Proposal]) -> list[tuple[str, int | None, int | None]]:
    return [(p.asset, p.valid_from_ns, p.valid_to_ns) for p in proposals if p.source == "log"]


@pytest.mark.parametrize("name", ["robot 12", "#12", "left hand welder", "WC1-ROB12", "robto 12"])
def test_aliases_name_a_machine(tmp_path: Path, name: str) -> None:
    """Aliases and functional locations of a table, with a slip in the letters."""
    log = f"# zone: Europe/Berlin\n2026-03-02 07:00 {name} gas flow cal 0610-0640 done\n"
    at = iso_ns("2026-03-02T06:10:00+01:00"), iso_ns("2026-03-02T06:40:00+01:00")
    assert _spans(_proposals(tmp_path, log)) == [("r12", *at)]


@pytest.mark.parametrize(
    ("said", "asset"),
    [
        ("calibrated the welder on the left hand", "r12"),
        ("welder on the right hand cleaned", ""),  # another machine, however alike it sounds
        ("calibrated welder number 4 left hand", ""),  # what has a number is an id
        ("left hand welder broken, calibrated", "r12 not"),
        ("coffee machine cleaned", ""),
    ],
)
def test_a_machine_in_words_of_its_own(tmp_path: Path, said: str, asset: str) -> None:
    """Found by sense, with little confidence; never an id, never the other side."""
    proposals = _proposals(tmp_path, f"# zone: Europe/Berlin\n2026-03-02 07:00 {said}\n")
    found = [(p.asset, p.confidence < 0.3) for p in proposals if p.source == "log"]
    assert found == ([(asset, True)] if asset == "r12" else [])


def test_declared_shifts_give_times(tmp_path: Path) -> None:
    """Only a log that says when its shifts are has times of shifts."""
    log = (
        "# zone: Europe/Berlin\n# shifts: early 06:00-14:00, late 14:00-22:00\n"
        "2026-03-02 07:00 robot 21 cleaning planned late shift\n"
    )
    at = iso_ns("2026-03-02T14:00:00+01:00"), iso_ns("2026-03-02T22:00:00+01:00")
    assert _spans(_proposals(tmp_path, log)) == [("r21", *at)]


def test_clocks_that_jump(tmp_path: Path) -> None:
    """A span in the hour that is skipped has no times; the hour that comes twice is its second."""
    log = (
        "# zone: Europe/Berlin\n"
        "2026-03-29 05:00 robot 21 cleaned 02:10-02:40\n"
        "2026-10-25 05:00 robot 21 cleaned 02:10-02:40\n"
    )
    spring, autumn = _spans(_proposals(tmp_path, log))
    assert spring[1:] == (None, iso_ns("2026-03-29T05:00:00+02:00"))
    assert autumn[1:] == (
        iso_ns("2026-10-25T02:10:00+01:00"),
        iso_ns("2026-10-25T02:40:00+01:00"),
    )


def test_without_a_zone_of_its_own_a_line_has_its_minute_only(tmp_path: Path) -> None:
    """An offset in the stamp says when it was written, not by which clock people speak."""
    log = "2026-03-02T07:00+01:00 robot 21 cleaned 06:10-06:40\n".replace("T07:00", " 07:00")
    assert _spans(_proposals(tmp_path, log)) == [("r21", None, iso_ns("2026-03-02T07:00:00+01:00"))]


def test_a_line_takes_back_what_it_may_be_about(tmp_path: Path) -> None:
    """Approval of the same work on the same machine within a day; nothing else."""
    log = "# zone: Europe/Berlin\n2026-03-02 09:00 cal robot 12 called off, no gauge\n"
    proposals = _proposals(tmp_path, log)
    assert _approved(proposals) == {"WO-1": False, "WO-2": True, "WO-3": True, "WO-4": True}
    before = [p for p in proposals if p.proposal_id == "WO-1" and p.approved]
    assert len(before) == 1  # as it was known until nine


@pytest.mark.parametrize(
    "said",
    [
        "robot 12 cal not done yet",
        "robot 21 nozzle clean called off",
        "robot 12 drifting since last cal",
        "robot 12 gas leak fixed",
        "robot 12 cal done, robot 21 not",
    ],
)
def test_other_lines_take_nothing_back_of_an_order(tmp_path: Path, said: str) -> None:
    """Work still to be done, other work, other machines, complaints."""
    approved = _approved(_proposals(tmp_path, f"# zone: Europe/Berlin\n2026-03-02 09:00 {said}\n"))
    assert approved.pop("WO-4") is ("21 not" not in said)
    assert all(approved.values())


def test_a_planned_job_is_moved(tmp_path: Path) -> None:
    """The old proposal is cancelled from then on, the new one has the new time."""
    log = (
        "# zone: Europe/Berlin\n"
        "2026-03-02 07:00 robot 21 tcp cal planned 10:00\n"
        "2026-03-02 09:00 robot 21 tcp cal moved to 14:00\n"
    )
    logs = [p for p in _proposals(tmp_path, log) if p.source == "log"]
    told = sorted((p.recorded_at_ns, p.cancelled, p.valid_from_ns or 0) for p in logs)
    seven, nine, ten, two = (
        iso_ns(f"2026-03-02T{h}:00:00+01:00") for h in ("07", "09", "10", "14")
    )
    assert told == [(seven, False, ten), (nine, False, two), (nine, True, ten)]
