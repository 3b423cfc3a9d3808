"""Lines of logs that take an approved order back, and those that leave it, through a build."""
# ruff: noqa: E501 - rows of tables are as long as they are

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot
from kb.times import iso_ns

if TYPE_CHECKING:
    from pathlib import Path

    from kb.records import Proposal

ASSETS: Final = """asset,aliases,functional_location
r1,left hand welder,WC1-ROB1
r2,right hand welder,WC1-ROB2
"""
HEAD: Final = (
    "order_id,asset,kind,instrument,status,start,end,recorded_at,approved_by,description\n"
)
ORDERS: Final = (
    HEAD
    + """\
4711,r1,calibration,gas_flow,APPR,2026-03-02T06:31:00+01:00,2026-03-02T07:05:00+01:00,2026-03-01T10:00:00+01:00,planner,gas flow cal
4712,r2,cleaning,torch,APPR,2026-03-02T06:40:00+01:00,2026-03-02T07:09:00+01:00,2026-03-01T10:00:00+01:00,planner,clean
"""
)
NOW_NS: Final = iso_ns("2026-03-20T00:00:00+01:00")


def _built(tmp_path: Path, log: str) -> list[Proposal]:
    source = tmp_path / "texts"
    (source / "logs").mkdir(parents=True)
    (source / "assets.csv").write_text(ASSETS, encoding="utf-8")
    (source / "orders.csv").write_text(ORDERS, encoding="utf-8")
    (source / "logs" / "shift.log").write_text(f"# zone: Europe/Berlin\n{log}", encoding="utf-8")
    build(source, tmp_path / "kb", now_ns=NOW_NS)
    with Snapshot.open(tmp_path / "kb") as snapshot:
        return list(snapshot.proposals())


def _approved(tmp_path: Path, said: str, at: str = "2026-03-02 05:50") -> dict[str, bool]:
    """Whether each order is approved in the end, after one line of a log."""
    found = sorted(_built(tmp_path, f"{at} {said}\n"), key=lambda p: p.recorded_at_ns)
    return {p.proposal_id: p.approved for p in found if p.source == "order"}


@pytest.mark.parametrize(
    "said",
    [
        "all cals today cancelled",
        "gas flow cal cancelled",
        "no gas flow cal today",
        "calibrations suspended until further notice",
        "R1 gas flow cal faellt aus",
        "R1 Kal. fällt aus",
        "R1 Kalibrierung fällt heute aus",
        "R1 gas flow cal verschb. auf 11",
        "r1 gas flow cal cnxl",
        "r1 gas flow cal pushed to tomorrow",
        "r1 gas flow cal now 1000-1030",
        "r1 gas flow cal 0631 -> 1100",
        "r1 gas flow cal has been handed to C shift",
        "r1 gas flow cal off",
        "forget r1 gas flow cal",
        "scratch r1 gas flow cal",
        "swap: r2 instead of r1 for gas flow cal",
        "technician sick, r1 gas flow cal open",
        "r2 gas cal, not r1!!",
        "correction: it is r2 not r1",
        "wrong robot, r2 not r1, gas flow cal 0631-0705",
        "r1 gas flow cal?",
        "r1 gas flow cal maybe",
        "r1 gas flow cal c a n c e l l e d",
        "r1 gas flow cal \u0441ancelled",  # its first letter is Cyrillic
        "r1 gas cal kicked down the road",
        "r1 called off today",
        "left hand welder: cal on the back burner",
    ],
)
def test_work_is_taken_back(tmp_path: Path, said: str) -> None:
    """Whichever way it is said, and though it names no machine or no work; other work stands."""
    assert _approved(tmp_path, said) == {"4711": False, "4712": True}


@pytest.mark.parametrize("said", ["all PMs cancelled today", "everything called off today"])
def test_all_work_is_taken_back(tmp_path: Path, said: str) -> None:
    """A line that names neither machine nor kind."""
    assert not any(_approved(tmp_path, said).values())


@pytest.mark.parametrize(
    "said",
    [
        "no parts today",
        "coffee machine not working",
        "canteen closed, no lunch",
        "R1 no signal",
        "R1 number never moves, op-16",
        "R2 pressure dropped to 3 bar",
        "R1 handed over to B shift",
        "nothing special",
        "r1 drifting since last cal",
        "r1 gas flow cal planned 0631-0705",
        "r1 gas flow cal will be done today, JT",
        "r1 tip change cancelled",
        "handover: all good, R2 valve open",
        "r1 gas flow cal done, no issues",
    ],
)
def test_talk_takes_nothing_back(tmp_path: Path, said: str) -> None:
    """Small talk, faults, plans as they are, other work."""
    assert all(_approved(tmp_path, said).values())


@pytest.mark.parametrize(
    "said",
    [
        "r1 gas flow cal handed over to late shift, still going",
        "r1 gas flow cal handed over to late shift",
        "r1 gas flow cal ongoing, 10 min to go",
    ],
)
def test_running_work_that_goes_on_stands(tmp_path: Path, said: str) -> None:
    """Work that somebody else goes on with is not called off; its order stands too."""
    log = f"2026-03-02 06:33 r1 gas flow cal started\n2026-03-02 06:50 {said}\n"
    assert not [p for p in _built(tmp_path, log) if p.cancelled]
    assert all(_approved(tmp_path / "order", said, "2026-03-02 06:50").values())


@pytest.mark.parametrize(
    "said", ["r1 gas cal aborted", "r1 gas flow cal stopped early, handed over"]
)
def test_running_work_that_ends_is_taken_back(tmp_path: Path, said: str) -> None:
    """Handed over or not."""
    assert not _approved(tmp_path, said, "2026-03-02 06:50")["4711"]


@pytest.mark.parametrize(
    ("at", "said", "stands"),
    [
        ("2026-03-01 05:50", "all cals cancelled", True),  # its day is over a day ahead
        ("2026-03-01 05:50", "all cals cancelled tomorrow", False),
        ("2026-02-27 05:50", "all cals cancelled until further notice", True),  # told later
        ("2026-03-02 07:06", "all cals cancelled", True),  # it is over
    ],
)
def test_how_far_a_line_reaches(tmp_path: Path, at: str, said: str, *, stands: bool) -> None:
    """A day ahead, further where it speaks of it; never what was approved after it."""
    late = "2026-03-01 05:50" in at
    source = ORDERS.replace("2026-03-01T10:00:00", "2026-02-28T10:00:00") if late else ORDERS
    (tmp_path / "texts" / "logs").mkdir(parents=True)
    for name, text in (
        ("assets.csv", ASSETS),
        ("orders.csv", source),
        ("logs/a.log", f"# zone: Europe/Berlin\n{at} {said}\n"),
    ):
        (tmp_path / "texts" / name).write_text(text, encoding="utf-8")
    build(tmp_path / "texts", tmp_path / "kb", now_ns=NOW_NS)
    with Snapshot.open(tmp_path / "kb") as snapshot:
        found = sorted(snapshot.proposals(), key=lambda p: p.recorded_at_ns)
    assert {p.proposal_id: p.approved for p in found}["4711"] is stands


WORDS: Final = (
    "r1 r2 R-1 all no not gas flow cal clean done planned cancelled off now 0631 1100 -> handed over to"
    " ok started late shift tomorrow ? maybe APPROVED approve order 4711 4712 witnessed status APPR"
)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from(WORDS.split()), min_size=1, max_size=9), min_size=1, max_size=4
    )
)
def test_no_log_gives_an_approval(
    tmp_path_factory: pytest.TempPathFactory, lines: list[list[str]]
) -> None:
    """Whatever its lines say: every approval of the orders was there without them."""
    said = "".join(f"2026-03-02 0{5 + i}:50 {' '.join(line)}\n" for i, line in enumerate(lines))
    found = _built(tmp_path_factory.mktemp("log"), said)
    approved = {(p.proposal_id, p.recorded_at_ns) for p in found if p.approved}
    told = iso_ns("2026-03-01T10:00:00+01:00")
    assert approved == {("4711", told), ("4712", told)}


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("R-1 gas flow cal cancelled", {"4711": False, "4712": True}),
        ("r-02 torch clean cancelled", {"4711": True, "4712": False}),
        ("PT-101A calibration cancelled", {"4711": True, "4712": True}),
    ],
)
def test_a_tag_that_nobody_knows(tmp_path: Path, said: str, left: dict[str, bool]) -> None:
    """An id that is written almost so may be meant; any other tag is of another machine."""
    assert _approved(tmp_path, said) == left


def test_another_machine_was_meant(tmp_path: Path) -> None:
    """The proposal of the wrong one is cancelled; the right one is proposed where work is said."""
    log = "2026-03-02 05:00 r1 gas cal 0800-0830\n2026-03-02 05:10 r2 gas cal, not r1!!\n"
    logs = [p for p in _built(tmp_path, log) if p.source == "log"]
    assert [(p.asset, p.cancelled) for p in sorted(logs, key=lambda p: p.recorded_at_ns)][:1] == [
        ("r1", False)
    ]
    assert {(p.asset, p.cancelled) for p in logs} == {
        ("r1", False),
        ("r1", True),
        ("r2", False),
    }
