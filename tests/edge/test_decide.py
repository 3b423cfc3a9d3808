"""The decision rule: every clause alone can stop a suppression, and nothing unknown suppresses."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge.decide import Facts, decide
from edge.records import Job, JobState, Verdict, Witness
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


@pytest.mark.parametrize(
    ("clause", "change"),
    [
        ("witness", {"job_live": False}),
        ("witness", {"job": msgspec.structs.replace(JOB, state=JobState.CANCELLED)}),
        ("began_after_witness", {"begin_ns": 99}),
        ("scope", {"mask": ()}),
        ("mask", {"rest_quiet": False}),
        ("mask", {"rest_quiet": None}),
        ("channels", {"masked_share": 0.3}),
        ("channels", {"masked_share": None}),
        ("channels", {"top_masked": False}),
        ("channels", {"top_masked": None}),
        ("fuse", {"now_ns": 1000}),
        ("budget", {"suppressions_left": 0}),
        ("source", {"source_alive": False}),
        ("source", {"source_alive": None}),
        ("clock", {"clock_agrees": False}),
        ("clock", {"clock_agrees": None}),
        ("knowledge", {"knowledge_verified": False}),
        ("knowledge", {"knowledge_verified": None}),
    ],
)
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
