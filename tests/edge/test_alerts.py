"""The life of an alert id: recurrence, suppression, acknowledgement, revisions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.alerts.alerts import AlertRecord, AlertState, alert_id
from edge.records import Decision, Track, Verdict

ALERT = Decision(verdict=Verdict.ALERT, clauses=())
EXPECTED = Decision(verdict=Verdict.SUPPRESSED, clauses=(), job_id="job-1")


def opened(begin_ns: int = 1_000) -> AlertRecord:
    """An alert that rings."""
    record = AlertRecord(asset="r1", track=Track.PROCESS)
    record.begin_event(begin_ns=begin_ns, job_id="")
    record.ring(ALERT)
    record.turn(t_ns=begin_ns, reason="opened")
    return record


def test_a_recurrence_before_acknowledgement_keeps_the_id_and_counts() -> None:
    """The operator sees one alert that came back, not two."""
    record = opened()
    first = record.alert_id
    record.clear(t_ns=2_000)
    assert record.state is AlertState.CLEARED_UNACK
    record.begin_event(begin_ns=9_000_000_000, job_id="")
    record.ring(ALERT)
    assert (record.alert_id, record.count) == (first, 2)


def test_after_acknowledgement_a_recurrence_is_a_new_alert() -> None:
    """An acknowledged and cleared alert is history."""
    record = opened()
    first = record.alert_id
    assert record.acknowledge()
    record.clear(t_ns=2_000)
    record.begin_event(begin_ns=9_000_000_000, job_id="")
    assert (record.alert_id != first, record.count, record.revision) == (True, 1, 0)


def test_within_the_cool_down_an_acknowledged_alert_goes_on() -> None:
    """The same id, counted, and it rings; a moment later it is another one."""
    for later_ns, same in ((59_000_000_000, True), (60_000_000_000, False)):
        record = opened()
        first, revision = record.alert_id, record.revision
        assert record.acknowledge()
        record.clear(t_ns=2_000)
        begin_ns = 2_000 + later_ns
        record.begin_event(begin_ns=begin_ns, job_id="", cooldown_ns=60_000_000_000)
        record.ring(ALERT)
        record.turn(t_ns=begin_ns, reason="opened")
        assert (record.alert_id == first, record.count, record.rings) == (same, 1 + same, True)
        assert record.state is AlertState.ACTIVE_UNACK
        assert record.revision == (revision + 1 if same else 1)


def test_a_suppressed_event_rings_under_its_own_id() -> None:
    """Suppressed is a flag beside NORMAL, and the id stays when it rings."""
    record = AlertRecord(asset="r1", track=Track.PROCESS)
    record.begin_event(begin_ns=1_000, job_id="job-1")
    record.suppress(EXPECTED, rings_again_ns=5_000)
    first = record.alert_id
    assert (record.state, record.suppressed, record.active) == (AlertState.NORMAL, True, False)
    record.ring(ALERT)
    assert (record.alert_id, record.state, record.suppressed) == (
        first,
        AlertState.ACTIVE_UNACK,
        False,
    )


@given(st.lists(st.sampled_from(["event", "job", "clear", "ack"]), max_size=40))
def test_ids_and_revisions_only_move_forward(steps: list[str]) -> None:
    """Whatever happens, no (id, revision) comes twice and flags never contradict the state."""
    record = AlertRecord(asset="r1", track=Track.PROCESS)
    seen = set()
    for i, step in enumerate(steps):
        t_ns = (i + 1) * 1_000_000_000
        if step in ("event", "job") and not (record.active or record.suppressed):
            job_id = "job-1" if step == "job" else ""
            record.begin_event(begin_ns=t_ns, job_id=job_id)
            if job_id:
                record.suppress(EXPECTED, rings_again_ns=t_ns)
            else:
                record.ring(ALERT)
        elif step == "clear" and (record.active or record.suppressed):
            record.clear(t_ns=t_ns)
        elif step != "ack" or not record.acknowledge():
            continue
        record.turn(t_ns=t_ns, reason=step)
        assert (record.alert_id, record.revision) not in seen
        seen.add((record.alert_id, record.revision))
        assert not (record.active and record.suppressed)
        assert record.count >= 1


def test_an_id_says_asset_track_and_time() -> None:
    """Ids are made of what happened."""
    assert alert_id("r1", Track.PROCESS, 1_760_000_000_123_000_000) == (
        "r1-process-20251009T085320.123Z"
    )
