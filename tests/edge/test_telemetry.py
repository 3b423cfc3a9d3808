"""Telemetry: figures since the last report, and a health report from which nothing is missing."""

from __future__ import annotations

import math
import re
import threading
import time
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import MQTTMessage

from edge.boxes.fence_key import fence_key_of
from edge.boxes.fencing import Fence
from edge.boxes.identity import new_box
from edge.brokers.endpoint import Endpoint
from edge.brokers.link import Link
from edge.brokers.link_counts import LinkCounts
from edge.brokers.transport import Will
from edge.gateway.faults import Faults
from edge.gateway.lapse import Lapse
from edge.gateway.telemetry import LAG_SAMPLES_MAX, TICKS_MAX, Telemetry, health, rss_mb
from edge.records import MessageReceived, Publish
from edge.storage.disk import CLOCK
from edge.storage.journal_writer import JournalWriter
from edge.storage.outbox import Outbox
from edge.storage.patience import NoPatience
from edge.storage.standby import StandbyOutbox
from edge.wire.outgoing import HealthPayload
from edge.wire.topics import Topics
from tests.edge.rig import Rig

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20


def took(telemetry: Telemetry, *lags_ms: float) -> None:
    """Messages that waited for so long."""
    now_ns = 10**18
    telemetry.took([now_ns - int(lag_ms * 1e6) for lag_ms in lags_ms], now_ns=now_ns)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=30), st.lists(st.floats(0, 1e4)))
def test_a_report_says_how_it_was_since_the_last_one(lags: list[int], ticks: list[float]) -> None:
    """As many lags lie below the one told as above it; of the ticks it tells the longest."""
    telemetry = Telemetry()
    took(telemetry, 1e9)
    telemetry.ticked(1e9)
    telemetry.report()
    for lag_ms in lags:
        took(telemetry, lag_ms)
    for took_ms in ticks:
        telemetry.ticked(took_ms)
    _, median_ms, tick_ms = telemetry.report()
    assert median_ms is not None
    assert sum(lag_ms < median_ms for lag_ms in lags) * 2 <= len(lags)
    assert sum(lag_ms > median_ms for lag_ms in lags) * 2 <= len(lags)
    assert tick_ms == max(ticks, default=0.0)
    assert telemetry.report()[1:] == (None, 0.0), "no message has no lag, which is not lag 0"


def test_the_rate_is_of_the_messages_since_the_last_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second report does not count the first one's messages again."""
    now_s = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    telemetry = Telemetry()
    for _ in range(30):
        took(telemetry, 1.0)
    now_s += 10.0
    assert telemetry.report()[0] == 3.0
    for _ in range(10):
        took(telemetry, 1.0)
    now_s += 5.0
    assert telemetry.report()[0] == 2.0
    assert telemetry.report()[0] == 0.0, "two reports in one moment"
    assert telemetry.messages == 40


def test_a_flood_keeps_its_newest_lags_only() -> None:
    """What is remembered is bounded, and it is what the lag was last."""
    telemetry = Telemetry()
    for _ in range(LAG_SAMPLES_MAX):
        took(telemetry, 9_000.0)
    for _ in range(LAG_SAMPLES_MAX):
        took(telemetry, 1.0)
    assert len(telemetry.lags_ms) == LAG_SAMPLES_MAX
    assert telemetry.report()[1] == 1.0
    assert telemetry.messages == 2 * LAG_SAMPLES_MAX


def test_ticks_about_their_pace_are_told_once() -> None:
    """Who swings about the bound is late until ticks are clearly within it."""
    telemetry, faults = Telemetry(), Faults()
    told = []
    for turn in range(20):
        telemetry.ticks_ms.extend([95.0 if turn % 2 else 105.0] * TICKS_MAX)
        told += faults.judge("ticks_late", telemetry.late(100.0))
    assert [fault.active for fault in told] == [True]
    telemetry.ticks_ms.extend([81.0] * TICKS_MAX)
    assert telemetry.late(100.0)
    telemetry.ticks_ms.extend([79.0] * TICKS_MAX)
    assert not telemetry.late(100.0)
    telemetry.ticks_ms.extend([99.0] * TICKS_MAX)
    assert not telemetry.late(100.0), "and below the bound nothing begins"


@pytest.mark.parametrize("tick_ms", [10.0, 100.0, 4_000.0])
def test_a_few_quick_ticks_do_not_end_late_ones(tick_ms: float) -> None:
    """Nor does a promotion, which counts them anew; ten seconds at their pace do, or all kept."""
    telemetry = Telemetry()
    telemetry.ticks_ms.extend([3 * tick_ms] * TICKS_MAX)
    assert telemetry.late(tick_ms)
    telemetry.ticks_ms.clear()
    assert telemetry.late(tick_ms)
    needed = min(max(math.ceil(1e4 / tick_ms), 5), TICKS_MAX)
    telemetry.ticks_ms.extend([0.1 * tick_ms] * (needed - 1))
    assert telemetry.late(tick_ms)
    telemetry.ticks_ms.append(0.1 * tick_ms)
    assert not telemetry.late(tick_ms)


class Shell:
    """Everything that a report of health is about, real, without a broker."""

    def __init__(self, folder: Path) -> None:
        self.rig = Rig()
        self.telemetry = Telemetry()
        self.faults = Faults()
        self.fence = Fence(Topics("andon", "s"), new_box(), folder, fence_key_of(folder))
        self.outbox = StandbyOutbox(lambda: Outbox(folder / "outbox.sqlite"), patience=NoPatience())
        self.journal = JournalWriter(folder / "journal", segment_bytes_max=200, bytes_max=1_000)
        self.link = Link(
            Endpoint(client_id="andon"),
            filters=["plant/#"],
            queue_messages_max=3,
            will=Will(topic="status", payload=b"gone"),
            on_connected=lambda: None,
            wake=threading.Event(),
        )

    def report(self) -> HealthPayload:
        """Say how it is, and read that back."""
        data = health(
            self.telemetry,
            engine=self.rig.engine,
            link=self.link,
            journal=self.journal,
            outbox=self.outbox,
            lapse=Lapse(self.faults, clock=CLOCK, leap=lambda: 1 << 20),
            faults=self.faults,
            fence=self.fence,
            queue_depth_max=3,
        )
        return msgspec.json.decode(data, type=HealthPayload, strict=True)

    def arrive(self, message: Any) -> None:  # noqa: ANN401 - also what paho would never hand over
        """Let something come as paho hands it over."""
        callback: Any = self.link._client.on_message
        callback(self.link._client, None, message)

    def decide(self, alert_id: str, payload: bytes) -> None:
        """Put an alert into the outbox."""
        key = (alert_id, 1)
        self.outbox.put([Publish(topic="t", payload=payload, qos=1, retain=True, key=key)])


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """Put the parts together."""
    made = Shell(tmp_path)
    yield made
    made.journal.close()
    made.outbox.close()
    made.link.stop()


def test_a_gateway_that_has_done_nothing_says_so(shell: Shell) -> None:
    """All assets are blind, no lag is not lag 0, nothing was dropped."""
    said = shell.report()
    assert said.lag_ms is None
    assert set(said.blind) == {"r1", "r11"}
    assert not any(said.drops.values())
    assert (said.queue_depth, said.outbox_pending, said.messages_per_s) == (0, 0, 0.0)


def test_each_drop_has_its_own_counter(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """One, two, three ... of each kind: none is forgotten, and none stands under another's name."""
    monkeypatch.setattr("edge.storage.outbox.PENDING_ROWS_MAX", 2)
    shell.arrive(None)
    for mid in range(5):  # the queue holds three
        shell.arrive(MQTTMessage(mid, b"plant/r1"))
    for _ in range(4):
        shell.link.publish("t", b"", qos=0, retain=False)
    for i in range(7):
        shell.decide(f"a{i}", b"first")
    for i in range(3):
        shell.decide(f"a{i}", b"other")
    drops = shell.report().drops
    assert drops == {
        "callback_error": 1,
        "shed": 2,
        "outbox_conflict": 3,
        "not_sent": 4,
        "misplaced": 0,
        "fence_refused": 0,
        "outbox_given_up": 5,
        "journal_torn_bytes": 0,
        "journal_segments_retired": 0,
        "broker": 0,
        "dead_letters": 0,
        "not_journaled": 0,
        "not_audited": 0,
        "journal_damaged_segments": 0,
        "journal_damaged_bytes": 0,
        "redelivered": 0,
    }


def test_what_the_journal_cut_off_or_retired_is_told(shell: Shell, tmp_path: Path) -> None:
    """Torn bytes of a power cut, and segments that went because of their age or size."""
    for i in range(60):
        message = MessageReceived(topic="t", payload=b"x" * 30, received_ns=i)
        shell.journal.append([(i, message)])
    first = min(int(path.stem) for path in (tmp_path / "journal").iterdir())
    assert shell.report().drops["journal_segments_retired"] == first - 1 > 0
    shell.journal.close()
    newest = max((tmp_path / "journal").iterdir())
    newest.write_bytes(newest.read_bytes() + b"\0" * 17)
    shell.journal = JournalWriter(tmp_path / "journal")
    assert shell.report().drops["journal_torn_bytes"] == 17


def test_the_journal_is_told_in_millions_of_bytes(shell: Shell) -> None:
    """A disk is sold in them."""
    payload = b"x" * (3 * MIB)
    shell.journal.append([(1, MessageReceived(topic="t", payload=payload, received_ns=1))])
    assert shell.report().journal_mb == 3.1


def test_every_count_of_link_and_engine_is_in_the_report(shell: Shell) -> None:
    """Under the link's own names, so that none can be added and left unsaid."""
    for number, field in enumerate(fields(LinkCounts), start=10):
        setattr(shell.link.counts, field.name, number)
    shell.rig.run(3)
    shell.rig.send("plant/r1", b"{")
    shell.faults.judge("one", "is wrong")
    shell.faults.judge("two", "is wrong")
    counts = shell.report().counts
    for number, field in enumerate(fields(LinkCounts), start=10):
        assert counts[f"link_{field.name}"] == number
    assert counts["faults_active"] == 2
    assert shell.rig.engine.counts().items() <= counts.items()
    assert any(name.startswith("invalid_") for name in counts)


def test_what_waits_and_where_the_plant_is_are_told_as_they_are_now(shell: Shell) -> None:
    """Queue, outbox, plant time in ms, and only the assets that cannot be scored."""
    shell.rig.run(60, silent=["r11"])
    shell.arrive(MQTTMessage(1, b"plant/r1"))
    shell.arrive(MQTTMessage(2, b"plant/r1"))
    shell.decide("a1", b"x")
    said = shell.report()
    assert (said.queue_depth, said.queue_depth_max) == (2, 3)
    assert said.outbox_pending == 1
    assert said.plant_ms == shell.rig.engine.now_ns // 1_000_000 > 0
    assert said.blind == ("r11",)
    assert abs(said.ts_ms / 1000 - time.time()) < 3_600


def resident_mb() -> float:
    """Ask the kernel by its other page."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"VmRSS:\s+(\d+) kB", text)
    assert found is not None
    return int(found[1]) * 1024 / 1e6


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_memory_is_what_is_resident_now_and_not_the_peak() -> None:
    """It grows with what is held and comes down again, in millions of bytes."""
    before = rss_mb()
    assert before == pytest.approx(resident_mb(), abs=10)
    held = bytearray(b"x") * (200 * MIB)
    assert rss_mb() - before == pytest.approx(len(held) / 1e6, abs=30)
    del held
    assert rss_mb() == pytest.approx(before, abs=30)


@pytest.mark.parametrize("text", [None, "", "12", "a b c"])
def test_without_proc_memory_is_the_peak(text: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that does not tell gives a figure of the same unit, never none."""
    now = rss_mb()

    def read(_path: Path, **_options: str) -> str:
        if text is None:
            raise OSError("no /proc here")
        return text

    monkeypatch.setattr(Path, "read_text", read)
    assert 0.9 * now <= rss_mb() < 100 * now
