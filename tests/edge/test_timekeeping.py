"""What is told of clocks that are wrong, and what a clock that was never set must not do."""

from __future__ import annotations

import os
import ssl
import time
from typing import TYPE_CHECKING, Final

import pytest

from edge.audit.chain import audit_files
from edge.audit.trail import AuditTrail
from edge.brokers.failures import failure_of
from edge.brokers.tls import Span, TlsFiles
from edge.gateway.faults import Faults
from edge.gateway.timekeeping import ClockWatch, clock_payload, synchronised
from edge.records import Audited, TickDue
from edge.storage.journal import segments
from edge.storage.journal_writer import JournalWriter
from tests.edge.rig import S
from tests.edge.test_clock_steps import Stepping
from tests.edge.test_own_clock import BOOT, YEARS, Box, box

if TYPE_CHECKING:
    from pathlib import Path

DAY_S: Final = 86_400


def told(rig: Box, watch: ClockWatch, faults: Faults, now_s: float) -> dict[str, str]:
    """What begins, by name, and what ends, with "" for it."""
    found = watch.look(now_s, state=rig.engine.state, faults=faults)
    return {one.name: one.detail * one.active for one in found}


def test_a_clock_that_sources_outvote_is_told_until_it_is_right() -> None:
    """What it shows, who says otherwise, and what to do."""
    rig, watch, faults = box(-YEARS), ClockWatch(), Faults()
    said = told(rig, watch, faults, 0.0)["clock_wrong"]
    assert "shows 1970-01-01 00:02 UTC" in said
    assert "2 of 2 sources agree that it is 20370 days later" in said
    health = clock_payload(rig.engine.state)
    assert (health.doubted, health.agree, health.sources, health.suspect) == (1, 2, 2, 0)
    assert health.behind_s == pytest.approx(YEARS / S, abs=2)
    rig.off_ns = 0
    rig.run(2, step=1)
    assert told(rig, watch, faults, 10.0) == {}, "one at the bound would come and go"
    assert told(rig, watch, faults, 31.0) == {"clock_wrong": ""}
    assert clock_payload(rig.engine.state).doubted == 0


def test_sources_that_may_all_be_in_a_wrong_zone() -> None:
    """The box may be right, and one bridge stamps for everybody: nobody can say that here."""
    said = told(box(-2 * 3_600 * S), ClockWatch(), Faults(), 0.0)["clock_wrong"]
    assert "they send the local time of +02:00 as UTC" in said


def test_a_start_behind_the_time_that_was_known_is_told_at_once() -> None:
    """Before any source has spoken."""
    rig = box(0)
    rig.off_ns = -YEARS
    rig.starts()
    said = told(rig, ClockWatch(), Faults(), 0.0)["clock_wrong"]
    assert "no source has said yet what time it is; orders" in said
    rig.off_ns = -DAY_S * S
    rig.starts()
    said = told(rig, ClockWatch(), Faults(), 0.0)["clock_wrong"]
    assert "while none does, it counts after 10 min" in said


@pytest.mark.parametrize(
    ("off_s", "words"),
    [
        (7_200, "r1 is 2 h ahead (looks like the local time of a zone of +02:00, sent as UTC)"),
        (-19_800, "r1 is 6 h behind (looks like the local time of a zone of -05:30, sent as UTC)"),
        (3_000, "r1 is 50 min ahead: nothing"),
        (30, ""),
    ],
)
def test_a_device_that_is_off_is_told_with_what_it_looks_like(off_s: int, words: str) -> None:
    """Once it has been for ten seconds; it is over with its first honest time."""
    rig, watch, faults = box(0), ClockWatch(), Faults()
    for second in range(12):
        rig.run(1, silent=["r1"])
        rig.send("plant/r1", b'{"ts": %d, "c0": 1.0}' % ((rig.now_ns + off_s * S) // 1_000_000))
        found = told(rig, watch, faults, float(second))
        if second < 10:
            assert found == {}
        elif second == 10:
            assert words in found.get("clocks_suspect", "")
            assert bool(found) == bool(words)
    (suspect,) = clock_payload(rig.engine.state).suspects
    assert suspect.ahead_s == pytest.approx(off_s, abs=1)
    rig.run(1)
    assert told(rig, watch, faults, 12.0) == ({"clocks_suspect": ""} if words else {})


def test_whether_the_clock_is_kept_is_true_false_or_not_known() -> None:
    """Whatever this machine says."""
    assert synchronised() in (True, False, None)


# --- a clock that was never set ---


def test_no_segment_goes_for_an_age_that_nobody_knows(tmp_path: Path) -> None:
    """Written in 1970, minutes ago: when the clock is set they are not 56 years old."""
    clock = Stepping()
    set_ns, clock.ns = clock.ns, BOOT
    writer = JournalWriter(tmp_path, segment_bytes_max=200, days_max=30, clock=clock)
    while len(segments(tmp_path)) < 8:
        writer.append([(1, TickDue())])
    for _, path in segments(tmp_path):
        os.utime(path, ns=(BOOT, BOOT))
    clock.ns = set_ns
    before = [path.name for _, path in segments(tmp_path)]
    while len(segments(tmp_path)) < 12:
        writer.append([(1, TickDue())])
        os.utime(segments(tmp_path)[-1][1], ns=(clock.ns, clock.ns))
    assert [path.name for _, path in segments(tmp_path)][:8] == before
    clock.ns += 31 * DAY_S * S
    while len(segments(tmp_path)) >= 12:
        writer.append([(1, TickDue())])
    assert segments(tmp_path)[0][1].name > before[0], "they are as old as what follows"
    writer.close()


def test_no_file_of_the_trail_goes_for_an_age_that_nobody_knows(tmp_path: Path) -> None:
    """Likewise."""
    clock = Stepping()
    set_ns, clock.ns = clock.ns, BOOT
    trail = AuditTrail(tmp_path, bytes_max=64_000, days_max=30, clock_ns=clock.wall_ns)

    def write(n: int) -> None:
        facts: dict[str, str | int] = {"alert_id": f"a{n}", "revision": n}
        trail.write([Audited(what="suppressed", asset="r1", t_ns=n, facts=facts)])

    n = 0
    while len(audit_files(tmp_path)) < 3:
        write(n := n + 1)
    clock.ns = set_ns
    first = audit_files(tmp_path)[0]
    while len(audit_files(tmp_path)) < 5:
        write(n := n + 1)
    assert audit_files(tmp_path)[0] == first
    trail.close()


def test_a_certificate_that_is_not_valid_yet_is_no_fault_of_the_broker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The clock is the cause, and the message says so."""
    error = ssl.SSLCertVerificationError("certificate verify failed")
    error.verify_code, error.verify_message = 9, "certificate is not yet valid"
    files = TlsFiles(ca="ca.crt")
    assert "renew it, or set the clock" in str(failure_of(error, files, host="b"))
    monkeypatch.setattr(time, "time", lambda: 60.0)
    said = str(failure_of(error, files, host="b"))
    assert "was never set" in said
    assert "it says 1970-01-01 00:01 UTC" in said


def test_a_certificate_from_the_future_is_trouble() -> None:
    """With what our clock shows; a day before it is nobody's fault."""
    span = Span(what="the certificate", begin_s=1.7e9, end_s=1.8e9, todo="renew it")
    assert "clock of this box says 1970-01-01" in span.trouble(60.0)
    assert span.trouble(1.7e9 - 3_600) == ""
