"""The weld cell through the whole engine: what rings, what stays quiet, and a golden shift.

`SIM_SEED=8127 pytest tests/sim` runs another shift through the same checks, but for the golden one.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Final

import pytest

from kb.snapshots.snapshot import Snapshot
from simulator.cells import weld
from simulator.trial import SNAPSHOT, Outcome, run_trial

GOLDEN: Final = Path(__file__).parent.parent / "golden" / "weld_shift.json"
GOLDEN_SEED: Final = 20_261_121
SLACK_S: Final = 10  # another processor rounds otherwise; a few samples at a threshold
SEED: Final = int(os.environ.get("SIM_SEED", GOLDEN_SEED))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the shift was written."""
    return tmp_path_factory.mktemp("weld")


@pytest.fixture(scope="module")
def outcome(folder: Path) -> Outcome:
    """One shift of four robots, fitted, read and run."""
    return run_trial(weld.simulate(seed=SEED), folder)


def test_no_fault_is_missed_and_no_suppression_is_wrong(outcome: Outcome) -> None:
    """The promise, on a shift with faults alone, hidden, beside a job and after a cancelled one."""
    figures = outcome.figures
    assert figures.faults_total >= 5
    assert (figures.faults_missed, figures.wrong_suppressions) == (0, 0)
    assert figures.faults_found + figures.faults_undetected == figures.faults_total


def test_alarms_of_witnessed_jobs_stay_quiet(outcome: Outcome) -> None:
    """At least four of five are gone, and there were some."""
    figures = outcome.figures
    assert figures.calibration_false_alarms_without_kb >= 2
    assert (
        figures.calibration_false_alarms_with_kb
        <= 0.2 * figures.calibration_false_alarms_without_kb
    )


def test_every_citation_resolves_to_its_bytes(outcome: Outcome, folder: Path) -> None:
    """Each quote is the verbatim span of the cited revision, and its hash matches."""
    cited = {
        (c["doc_id"], c["revision"], c["start"], c["end"], c["quote"], c["sha256"])
        for event in outcome.revisions
        for sentence in event["explanation"]
        if (c := sentence["citation"]) is not None
    }
    assert len(cited) >= 10
    with Snapshot.open(folder / SNAPSHOT) as snapshot:
        for doc_id, revision, start, end, quote, sha256 in cited:
            assert snapshot.text(doc_id, revision)[start:end] == quote
            assert hashlib.sha256(quote.encode()).hexdigest() == sha256


def test_every_alert_says_what_why_and_from_what(outcome: Outcome) -> None:
    """A verdict at once as revision one with all clauses; an explanation as a later revision."""
    first = {e["id"]: e for e in reversed(outcome.revisions) if e["revision"] == 1}
    last = {e["id"]: e for e in outcome.revisions}
    assert set(first) == set(last)
    for event in first.values():
        assert event["decision"] in {"ALERT", "ANNOTATED", "SUPPRESSED"}
        assert event["clauses"]
        assert not event["explained"]
    for event in last.values():
        assert event["explained"]
        assert event["lineage"]["bundle_sha256"]
        assert event["lineage"]["snapshot_sha256"]
        if event["track"] == "process":
            shares = [part["share"] for part in event["contributions"]]
            assert sum(shares) == pytest.approx(1.0, abs=0.01)
            assert all(share >= 0 for share in shares)


def test_no_key_has_two_contents(outcome: Outcome) -> None:
    """Revisions of an id only count up."""
    seen: dict[str, int] = {}
    for event in outcome.revisions:
        assert event["revision"] == seen.get(event["id"], 0) + 1
        seen[event["id"]] = event["revision"]


def test_the_golden_shift_tells_the_same_story(outcome: Outcome) -> None:
    """Faults and expected disturbances of one shift, as they were when last looked at.

    `GOLDEN_WRITE=1 pytest tests/sim` writes the story anew; read the difference before keeping it.
    """
    if SEED != GOLDEN_SEED:
        pytest.skip(f"SIM_SEED={SEED} is not the golden shift")
    story = [
        {
            "fault": f.fault_id,
            "kind": f.kind,
            "situation": f.situation,
            "outcome": f.outcome,
            "delay_s": f.delay_s,
        }
        for f in outcome.figures.faults
    ]
    quiet = [
        {"asset": e.asset, "track": e.track, "job": e.job_id, "begin_s": e.begin_ns // 10**9}
        for e in outcome.episodes
        if e.suppressed and not e.rang
    ]
    if os.environ.get("GOLDEN_WRITE"):
        GOLDEN.write_text(json.dumps({"faults": story, "quiet": quiet}, indent=1) + "\n", "utf-8")
    golden = json.loads(GOLDEN.read_text("utf-8"))
    for now, then in zip(story, golden["faults"], strict=True):
        assert abs(now.pop("delay_s") - then.pop("delay_s")) <= SLACK_S
        assert now == then
    for event in golden["quiet"]:
        assert any(
            (e["asset"], e["track"], e["job"]) == (event["asset"], event["track"], event["job"])
            and abs(e["begin_s"] - event["begin_s"]) <= SLACK_S
            for e in quiet
        )
