"""What shift logs say, and what they do not."""

from __future__ import annotations

import pytest

from kb.records import WorkKind
from kb.wording.asset_names import asset_words, assets_in
from kb.wording.shopfloor import work_said

ASSETS = asset_words(["r1", "r2", "WC1-ROB3", "dup", "DUP"])
INSTRUMENTS = {"r1": ("gas_flow", "tcp", "wire_feed"), "r2": ("gas_flow", "tcp")}
CAL, VER, REP, CLEAN, TEST, STOP = (
    WorkKind.CALIBRATION,
    WorkKind.VERIFICATION,
    WorkKind.REPLACEMENT,
    WorkKind.CLEANING,
    WorkKind.FUNCTION_TEST,
    WorkKind.PLANNED_STOP,
)

WORK = (
    ("R1 gas flow cal done, JT", [("r1", CAL, "gas_flow", "done")]),
    ("r1 TCP recal finshed op-03", [("r1", CAL, "tcp", "done")]),
    ("R1: tcp cal started", [("r1", CAL, "tcp", "begun")]),
    ("R1, R2 tcp cal done", [("r1", CAL, "tcp", "done"), ("r2", CAL, "tcp", "done")]),
    ("R1 and R2 tcp cal ok", [("r1", CAL, "tcp", "done"), ("r2", CAL, "tcp", "done")]),
    ("R1/R2 tcp cal ok", [("r1", CAL, "tcp", "done"), ("r2", CAL, "tcp", "done")]),
    ("R1 tcp cal done, not R2", [("r1", CAL, "tcp", "done")]),
    ("R1 tcp cal done, no issues", [("r1", CAL, "tcp", "done")]),
    ("R1 tcp cal done w/o problems", [("r1", CAL, "tcp", "done")]),
    ("R2 tcp cal after collision done", [("r2", CAL, "tcp", "done")]),
    ("R1 tcp cal planned tomorrow", [("r1", CAL, "tcp", "planned")]),
    ("R1 joint temp check done, op-22", [("r1", VER, "", "done")]),
    ("R1 flow verif w/ test meter", [("r1", VER, "", "")]),
    ("R1 contact tip replcd finshed", [("r1", REP, "", "done")]),
    ("R1 new tip + test welds", [("r1", REP, "", "")]),
    ("R2 torch reamed + antispatter ok", [("r2", CLEAN, "", "done")]),
    ("R1 function test done", [("r1", TEST, "", "done")]),
    ("R1 planned stop 06:00", [("r1", STOP, "", "planned")]),
    ("cal R2 not R1, done", [("r2", CAL, "", "done")]),
    ("R1 cal done, R2 cal cancelled", [("r1", CAL, "", "done")]),
    ("R2 cal cancelled, R1 cal done", [("r1", CAL, "", "done")]),
    ("tcp cal done on R1 and R2", [("r1", CAL, "tcp", "done"), ("r2", CAL, "tcp", "done")]),
    ("wc1-rob3 calibration complete", [("WC1-ROB3", CAL, "", "done")]),
)  # fmt: skip

NO_WORK = (
    "R12 gas flow cal done, JT",  # r1 is another robot
    "XR1 gas flow cal done",
    "R-1 gas flow cal done",
    "gas flow cal done, JT",  # on which robot?
    "dup gas flow cal done",  # two ids differ in case only
    "not R2",
    "no cal today R1",
    "R1 no cal today",
    "R1 gas flow cal NOT done, cancelled, op-31",
    "R1 gas flow cal, not done",
    "R1 tcp cal cancelled",
    "R1 tcp cal postponed to friday",
    "R1 tcp cal called off: no gauge",
    "R1 tcp cal skipped",
    "R1 tcp cal aborted halfway",
    "R1 tcp cal failed",
    "R1 tcp cal wasn't done",
    "R1 needs cal",
    "R1 pls calibrate gas flow",
    "R1 cal overdue",
    "R1 cal done?",
    "R1 should get a tcp cal",
    "R1 drifting since last cal",
    "R1 reading odd after cal",
    "R1 worn tip repaired",
    "R1 flow sensor check: broken, fixed",
    "R1 cal put off",
    "R1 cal put back to friday",
    "R1 cal interrupted, fire drill",
    "R1 gas cal done on R2 yesterday",
    "R1 gas cal done on R2",  # on which of them?
    "R1 gas cal done yesterday",  # not when the line was written
    "R1 cal done last shift",
    "R1 cal done, cancelled R1",
    "R1 cal done, not R13",  # an id that nobody knows
    "R2 cal cancelled, tip changed",
    "R1 wire stutters",
    "R1 pores on 2 parts, chkd cup ok",
    "R1 spool chgd, op-11",
    "R1 fixture 2 clamp sticky, greased",
    "R1 scale parts moved, local stop",  # cal inside other words
    "R1 prod ok, R12 gas flow cal done",
    "",
)


@pytest.mark.parametrize(("line", "expected"), WORK)
def test_plain_words_propose(line: str, expected: list[tuple[str, WorkKind, str, str]]) -> None:
    """A line that says what was done on which asset is understood."""
    found = work_said(line, assets=ASSETS, instruments=INSTRUMENTS)
    assert [(w.asset, w.kind, w.instrument, w.stage) for w in found] == expected
    assert all(0 < w.confidence < 1 for w in found)


@pytest.mark.parametrize("line", NO_WORK)
def test_doubt_proposes_nothing(line: str) -> None:
    """Other assets, negations, wishes, complaints and repairs are no proposals."""
    assert work_said(line, assets=ASSETS, instruments=INSTRUMENTS) == []


def test_ids_are_whole_words_in_any_case() -> None:
    """An id is found in any case, never as a part of another."""
    assert assets_in("R1 then r2: and wc1-rob3.", ASSETS) == ["r1", "r2", "WC1-ROB3"]
    assert assets_in("R12 r1x xr1 r_1 DUP", ASSETS) == []
