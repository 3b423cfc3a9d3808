"""The box's own clock leaps: nothing floods, nothing is emptied, nothing lives longer for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest

from edge.audit.chain import audit_files
from edge.audit.trail import AuditTrail
from edge.records import Audited, Started, TickDue
from edge.storage.disk import Clock
from edge.storage.journal import segments
from edge.storage.journal_writer import JournalWriter
from tests.edge.rig import Rig, S, bundle, settings
from tests.edge.test_rulings import at_work

if TYPE_CHECKING:
    from pathlib import Path

MONTHS_S: Final = 200 * 86_400


class Stepping(Clock):
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.ns = 1_760_000_000 * S

    def wall_ns(self) -> int:
        """What it was set to."""
        return self.ns


@pytest.mark.parametrize("leap_s", [120, 1_800, 4_800])
def test_a_leap_forward_is_no_silence_of_the_plant(leap_s: int) -> None:
    """No asset rings for it; one that really stays silent does, after its own time."""
    rig = Rig()
    rig.run(120)
    rig.at += leap_s
    rig.give(TickDue())
    assert rig.said(track="comms") == []
    rig.run(20, silent=["r11"])
    assert rig.said(track="comms") == []
    assert rig.said("r11", track="comms") == []
    rig.run(20, silent=["r11"])
    assert rig.said(track="comms") == [], "it spoke on"
    assert rig.said("r11", track="comms") == ["ALERT"]
    assert rig.engine.counts()["clock_steps_forward"] == 1


def start_again(rig: Rig, away_s: int) -> None:
    """Another process begins where one ended so long ago, and ticks before anything comes."""
    rig.at += away_s
    rig.restart()
    sha256 = bundle().sha256
    rig.give(Started(version="", bundle_sha256=sha256, snapshot_sha256="kb", settings_sha256=""))
    rig.give(TickDue())


@pytest.mark.parametrize("away_s", [2, 31, 60, 89, 91, 1_800])
@pytest.mark.parametrize("clock", ["wall", "plant"])
def test_while_no_process_was_there_nobody_was_silent(clock: str, away_s: int) -> None:
    """No asset rings for a box that starts again; one that stays silent does, after its own time.

    By plant time a start takes no time; the first that speak bring it all at once.
    """
    rig = Rig(conf=settings(clock=clock))
    rig.run(120)
    start_again(rig, away_s)
    assert rig.said(track="comms") == rig.said("r11", track="comms") == []
    rig.run(3, silent=["r11"])
    rig.run(2)
    assert rig.said(track="comms") == rig.said("r11", track="comms") == []
    start_again(rig, away_s)
    rig.run(45, silent=["r11"])
    assert rig.said(track="comms") == []
    # where time is what sources show, one of two alone shows none
    assert rig.said("r11", track="comms") == (["ALERT"] if clock == "wall" else [])


def test_who_says_nothing_over_several_starts_is_silent() -> None:
    """Processes that live for ten seconds each never see a silence of half a minute."""
    rig = Rig()
    rig.run(60)
    for _ in range(3):
        start_again(rig, 2)
        rig.run(10, silent=["r11"])
        assert rig.said("r11", track="comms") == []
    start_again(rig, 2)
    assert rig.said("r11", track="comms") == ["ALERT"]
    assert rig.said(track="comms") == []


def test_a_box_that_learns_the_time_late_rings_for_nobody() -> None:
    """It starts with the time of its last shutdown, and 40 s later is told what it really is."""
    rig = Rig()
    rig.run(60)
    start_again(rig, 0)
    rig.at += 40
    rig.give(TickDue())
    assert rig.said(track="comms") == rig.said("r11", track="comms") == []
    rig.run(20)
    assert rig.said(track="comms") == rig.said("r11", track="comms") == []


def test_silence_counts_again_when_a_leap_was_a_mistake() -> None:
    """A day ahead for a minute, and back: what is silent from there on rings in its own time."""
    rig = Rig()
    rig.run(60)
    rig.at += 86_400
    rig.give(TickDue())
    rig.at -= 86_400
    rig.give(TickDue())
    rig.run(30)
    assert rig.said("r11", track="comms")[-1:] != ["ALERT"]
    rig.run(60, silent=["r11"])
    assert rig.said("r11", track="comms")[-1] == "ALERT"


def test_who_was_silent_before_the_leap_stays_so() -> None:
    """What rings does not clear because a clock was set."""
    rig = Rig()
    rig.run(60)
    rig.run(60, silent=["r1"])
    assert rig.said(track="comms") == ["ALERT"]
    rig.at += 3_600
    rig.give(TickDue())
    rig.give(TickDue())
    assert rig.said(track="comms") == ["ALERT"]


def test_a_leap_forward_ends_what_is_open_and_a_step_back_too() -> None:
    """A fuse burns at the latest when its time has come by either clock."""
    for step_s in (4_000, -86_400):
        rig = at_work(Rig())
        rig.run(20, {"c1": 6})
        assert rig.said() == ["suppressed"]
        rig.at += step_s
        rig.give(TickDue())
        assert rig.said()[-1] != "suppressed"
        assert not any(run.live for run in rig.runs)


@pytest.mark.parametrize("hour_s", [3_600, -3_600])
def test_one_device_an_hour_off_is_suspect_alone(hour_s: int) -> None:
    """Its values do not count or come late; the other asset is scored as ever."""
    rig = Rig()
    rig.run(120)
    seen = rig.engine.state.assets["r11"].last_t_ns
    now_ns = rig.now_ns
    for _ in range(5):
        rig.at += 1
        payload = b'{"ts": %d, "c0": 1.0}' % ((rig.now_ns + hour_s * S) // 1_000_000)
        rig.send("plant/r1", payload)
        rig.give(TickDue())
    assert rig.engine.state.suspects == ["r1"]
    assert rig.engine.state.assets["r11"].last_t_ns == seen
    assert rig.engine.now_ns > now_ns
    assert rig.engine.now_ns == rig.now_ns, "time goes on as it did"


def test_a_leap_forward_empties_no_journal(tmp_path: Path) -> None:
    """Few segments go for their age with each new one; put right, the rest is still there."""
    clock = Stepping()
    writer = JournalWriter(tmp_path, segment_bytes_max=200, days_max=30, clock=clock)
    for _ in range(60):
        writer.append([(1, TickDue())])
    for _, path in segments(tmp_path):
        os.utime(path, ns=(clock.ns, clock.ns))
    before = len(segments(tmp_path))
    assert before > 8
    clock.ns += MONTHS_S * S
    rolls = len(segments(tmp_path))
    while len(segments(tmp_path)) and writer.position.segment < rolls + 2:
        writer.append([(1, TickDue())])
    assert len(segments(tmp_path)) >= before - 2 * 2
    clock.ns -= MONTHS_S * S
    kept = len(segments(tmp_path))
    for _ in range(20):
        writer.append([(1, TickDue())])
    assert len(segments(tmp_path)) >= kept
    writer.close()


def test_a_leap_forward_empties_no_trail(tmp_path: Path) -> None:
    """One file goes for its age with each new one."""
    clock = Stepping()
    trail = AuditTrail(tmp_path, bytes_max=16_000, days_max=30, clock_ns=clock.wall_ns)

    def write(n: int) -> None:
        facts: dict[str, str | int] = {"alert_id": f"a{n}", "revision": n}
        trail.write([Audited(what="suppressed", asset="r1", t_ns=n, facts=facts)])

    for n in range(30):
        write(n)
    before = len(audit_files(tmp_path))
    assert before >= 4
    clock.ns += MONTHS_S * S
    write(100)
    assert len(audit_files(tmp_path)) >= before
    trail.close()
