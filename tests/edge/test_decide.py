"""The decision rule: every clause alone can stop a suppression, and nothing unknown suppresses."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from edge.records import Job, JobState, Verdict, Witness
from edge.verdicts.decide import Facts, LateFacts, decide, excuse
from kb.records import WorkKind

JOB = Job(
    job_id="job-1",
    kind=WorkKind.CALIBRATION,
    asset="r1",
    functional_location="tcp",
    valid_from_ns=100,
    valid_to_ns=None,
    witness=Witness.PLANT,
    opened_by="cal_mode",
    opened_at_ns=100,
    recorded_at_ns=100,
    source="cal_mode",
    scope=("TCP Deviation",),
    expected_effect=0.5,
    settle_s=120,
    fuse_s=3600,
    state=JobState.OPEN,
)
EXPECTED = Facts(
    begin_ns=150,
    now_ns=160,
    job=JOB,
    job_live=True,
    fuse_end_ns=1000,
    mask=("TCP Deviation",),
    rest_quiet=True,
    masked_share=0.8,
    top_masked=True,
    suppressions_left=1,
)


def test_all_clauses_together_suppress() -> None:
    """The one way to be expected."""
    decision = decide(EXPECTED)
    assert decision.verdict is Verdict.SUPPRESSED
    assert decision.job_id == "job-1"
    assert all(clause.outcome is True for clause in decision.clauses)


FLIPS: Final[list[tuple[str, dict[str, Any]]]] = [
    ("witness", {"job_live": False}),
    ("witness", {"job": msgspec.structs.replace(JOB, state=JobState.CANCELLED)}),
    ("began_after_witness", {"begin_ns": 99}),
    ("scope", {"mask": ()}),
    ("scope", {"scope_stands": False}),
    ("signed", {"unsigned": "job-1 was told without a valid signature"}),
    ("mask", {"rest_quiet": False}),
    ("mask", {"rest_quiet": None}),
    ("mask", {"unmaskable": "it cannot be asked"}),
    ("partner", {"partners_usual": False}),
    ("partner", {"partners_usual": None}),
    ("limits", {"limits_kept": False}),
    ("limits", {"limits_kept": None}),
    ("severity", {"severity": 1_000}),
    ("severity", {"severity_max": 1}),
    ("heartbeat", {"heartbeat_alive": False}),
    ("heartbeat", {"heartbeat_alive": None}),
    ("channels", {"masked_share": 0.3}),
    ("channels", {"masked_share": 0.3, "rest_calm": True}),
    ("channels", {"top_masked": None, "rest_calm": True}),
    ("channels", {"masked_share": None}),
    ("channels", {"top_masked": False}),
    ("channels", {"top_masked": None}),
    ("fuse", {"now_ns": 1000}),
    ("budget", {"suppressions_left": 0}),
    ("source", {"source_alive": False}),
    ("source", {"source_alive": None}),
    ("source", {"gave_up": True}),
    ("source", {"names_known": False}),
    ("clock", {"clock_agrees": False}),
    ("clock", {"clock_agrees": None}),
    ("knowledge", {"knowledge_verified": False}),
    ("knowledge", {"knowledge_verified": None}),
    ("signed", {"unsigned": "nobody signed it"}),
    ("durable", {"not_durable": "the disk is full"}),
]
LATE: Final = LateFacts(facts=EXPECTED, inside=True, over_in_time=True, level_kept=True)
LATE_FLIPS: Final[list[tuple[str, dict[str, Any]]]] = [
    ("inside", {"inside": False}),
    ("inside", {"inside": None}),
    ("over_in_time", {"over_in_time": False}),
    ("over_in_time", {"over_in_time": None}),
    ("level", {"level_kept": False}),
    ("level", {"level_kept": None}),
    ("told_later", {"facts": {"job": msgspec.structs.replace(JOB, state=JobState.CANCELLED)}}),
    ("told_later", {"facts": {"job": msgspec.structs.replace(JOB, state=JobState.PROPOSED)}}),
    *(
        (clause, {"facts": change})
        for clause, change in FLIPS
        if clause not in ("witness", "began_after_witness", "fuse", "budget")
    ),
]


@pytest.mark.parametrize(("clause", "change"), FLIPS)
def test_each_clause_alone_stops_the_suppression(clause: str, change: dict[str, Any]) -> None:
    """Flip one fact: exactly that clause fails, and the event is not suppressed."""
    decision = decide(msgspec.structs.replace(EXPECTED, **change))
    failed = {c.name for c in decision.clauses if c.outcome is not True}
    assert decision.verdict is not Verdict.SUPPRESSED
    assert failed == {clause}


def test_work_without_an_approved_scope_only_annotates() -> None:
    """A witnessed job that may disturb nothing still tells the operator about itself."""
    assert decide(msgspec.structs.replace(EXPECTED, mask=())).verdict is Verdict.ANNOTATED


def test_a_text_alone_annotates_and_never_suppresses() -> None:
    """Text finds; it never decides."""
    told = decide(msgspec.structs.replace(EXPECTED, job=None, proposal="log-7"))
    assert told.verdict is Verdict.ANNOTATED
    assert decide(msgspec.structs.replace(EXPECTED, job=None)).verdict is Verdict.ALERT


def test_every_clause_has_a_fact_that_flips_it_alone() -> None:
    """A clause that is added without one of its own fails here."""
    assert {clause for clause, _ in FLIPS} == {clause.name for clause in decide(EXPECTED).clauses}
    assert {clause for clause, _ in LATE_FLIPS} == {clause.name for clause in excuse(LATE).clauses}


def test_a_job_told_later_annotates_and_never_suppresses() -> None:
    """Where every clause holds; what makes a suppression too late does not matter to it."""
    late = excuse(LATE)
    assert (late.verdict, late.job_id) == (Verdict.ANNOTATED, "job-1")
    spent = msgspec.structs.replace(EXPECTED, begin_ns=1, suppressions_left=0, job_live=False)
    assert excuse(msgspec.structs.replace(LATE, facts=spent)).verdict is Verdict.ANNOTATED


@pytest.mark.parametrize(("clause", "change"), LATE_FLIPS)
def test_each_clause_alone_keeps_it_ringing(clause: str, change: dict[str, Any]) -> None:
    """Flip one fact: exactly that clause fails, and what rang goes on as it was."""
    change = dict(change)
    if "facts" in change:
        change["facts"] = msgspec.structs.replace(EXPECTED, **change["facts"])
    decision = excuse(msgspec.structs.replace(LATE, **change))
    assert decision.verdict is Verdict.ALERT
    assert {c.name for c in decision.clauses if c.outcome is not True} == {clause}


@pytest.mark.parametrize("state", list(JobState))
@pytest.mark.parametrize("live", [True, False])
def test_only_an_open_job_suppresses(state: JobState, *, live: bool) -> None:
    """Open, or closed and settling."""
    job = msgspec.structs.replace(JOB, state=state)
    verdict = decide(msgspec.structs.replace(EXPECTED, job=job, job_live=live)).verdict
    expected = live and state in (JobState.OPEN, JobState.CLOSED)
    assert (verdict is Verdict.SUPPRESSED) is expected


def test_of_channels_that_move_together_either_may_carry_most() -> None:
    """Where nothing is left without the work's own channels, they carried it."""
    decision = decide(msgspec.structs.replace(EXPECTED, top_masked=False, rest_calm=True))
    assert decision.verdict is Verdict.SUPPRESSED
    (clause,) = (c for c in decision.clauses if c.name == "channels")
    assert "without it the asset was calm" in clause.detail
