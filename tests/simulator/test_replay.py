"""Replay without a broker: what is sent, in which order, at which times, and how it ends."""

from __future__ import annotations

import io
import itertools
import json
import math
from typing import TYPE_CHECKING, Final

import pytest
from rich.console import Console

from edge.errors import RecordingError
from edge.recordings.mapping import Mapping, parse_mapping
from edge.records import MessageReceived
from edge.storage.journal_writer import JournalWriter
from simulator.progress import ReplayProgress
from simulator.replay import Recording, ReplayOptions, open_recording, play, rounds

if TYPE_CHECKING:
    from pathlib import Path

SECOND: Final = 10**9
NOW: Final = 1_800_000_000 * SECOND
MAPPING: Final = 'asset = "a"\n[time]\n{time}\n[channels]\nx = {{}}\ny = {{}}\n'
UNSTAMPED: Final = parse_mapping(MAPPING.format(time="rate_hz = 2"), where="m")
STAMPED: Final = parse_mapping(MAPPING.format(time='column = "t"'), where="m")


class FakeBroker:
    """Keeps what is published; may end the program in the middle, as Ctrl-C does."""

    def __init__(self, *, interrupt_at: int = -1) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.drained = False
        self._interrupt_at = interrupt_at

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """Keep a message."""
        if len(self.sent) == self._interrupt_at:
            raise KeyboardInterrupt
        assert qos == 1
        assert not retain
        self.sent.append((topic, payload))

    def drain(self) -> None:
        """Remember that somebody waited for the end."""
        self.drained = True

    def stamps(self, topic: str) -> list[int]:
        """Return the times in the payloads of one topic, in ms."""
        return [json.loads(payload)["ts"] for t, payload in self.sent if t == topic]


@pytest.fixture
def unstamped(tmp_path: Path) -> Path:
    """Four rows at 2 Hz without time stamps."""
    path = tmp_path / "unstamped.csv"
    path.write_text("x,y\n1,2\n3,4\n5,6\n7,8\n", encoding="utf-8")
    return path


@pytest.fixture
def stamped(tmp_path: Path) -> Path:
    """Three rows a second apart with time stamps of their own."""
    path = tmp_path / "stamped.csv"
    lines = [f"2024-01-01T00:00:0{i}Z,{i},{i}" for i in range(3)]
    path.write_text("\n".join(["t,x,y", *lines]), encoding="utf-8")
    return path


def opened(path: Path, mapping: Mapping, **options: bool | float | str) -> Recording:
    """Open a table with these options."""
    return open_recording(path, ReplayOptions(mapping=mapping, **options), now_ns=NOW)  # type: ignore[arg-type]


def test_a_table_without_time_stamps_begins_now(unstamped: Path) -> None:
    """Its rows follow at the mapping's rate."""
    broker = FakeBroker()
    options = ReplayOptions(speed=math.inf)
    played = play(opened(unstamped, UNSTAMPED), broker, options)
    first = NOW // 10**6
    assert broker.stamps("plant/a") == [first, first + 500, first + 1000, first + 1500]
    assert broker.stamps("plant/_clock") == [first, first + 1000, first + 3000]
    assert (played.messages, played.clock_tags, played.rounds) == (4, 3, 1)
    assert broker.drained
    assert not played.interrupted


def test_a_table_with_time_stamps_keeps_them_unless_asked(stamped: Path) -> None:
    """`now` moves the recording to the present."""
    first = 1_704_067_200_000
    for now, begin in ((False, first), (True, NOW // 10**6)):
        broker = FakeBroker()
        play(opened(stamped, STAMPED, now=now), broker, ReplayOptions(speed=math.inf))
        assert broker.stamps("plant/a") == [begin, begin + 1000, begin + 2000]


def test_a_loop_moves_time_on_by_length_and_a_period(stamped: Path) -> None:
    """No round repeats a time stamp, and the distance across the seam is a period."""
    recording = opened(stamped, STAMPED)
    sent = itertools.islice(rounds(recording, loop=True, clock_topic=""), 7)
    stamps = [json.loads(message.payload)["ts"] - 1_704_067_200_000 for message in sent]
    assert stamps == [0, 1000, 2000, 3000, 4000, 5000, 6000]


def test_the_keyboard_ends_a_replay_with_its_counts(unstamped: Path) -> None:
    """Ctrl-C is no error: what was sent is known."""
    broker = FakeBroker(interrupt_at=9)
    options = ReplayOptions(speed=math.inf, loop=True, clock_topic="")
    played = play(opened(unstamped, UNSTAMPED), broker, options)
    assert (played.messages, played.rounds, played.interrupted) == (9, 3, True)
    assert not broker.drained


@pytest.mark.parametrize(
    ("options", "count", "messages"),
    [({}, 4, 4), ({"batch_rows": 3}, 4, 2), ({"shape": "single"}, 4, 8), ({"asset": "b"}, 4, 4)],
)
def test_counts_are_in_rows_whatever_the_shape(
    unstamped: Path, options: dict[str, str | int], count: int, messages: int
) -> None:
    """Progress speaks of rows; how many messages they make is known before."""
    recording = opened(unstamped, UNSTAMPED, **options)
    played = play(recording, FakeBroker(), ReplayOptions(speed=math.inf))
    assert (recording.unit_count, recording.message_count) == (count, messages)
    assert played.messages == messages


@pytest.mark.parametrize("speed", [0.0, -1.0, math.nan])
def test_a_speed_that_is_none_is_refused(unstamped: Path, speed: float) -> None:
    """Time does not stand still or run backwards."""
    with pytest.raises(RecordingError, match="above 0"):
        play(opened(unstamped, UNSTAMPED), FakeBroker(), ReplayOptions(speed=speed))


def test_options_for_tables_are_refused_for_journals(tmp_path: Path) -> None:
    """A journal is replayed as it was recorded."""
    with pytest.raises(RecordingError, match="--rows is for tables"):
        open_recording(tmp_path, ReplayOptions(rows=(0, 1)), now_ns=NOW)


def test_a_journal_loops_with_its_times_moved_from_the_second_round_on(tmp_path: Path) -> None:
    """The first round keeps every byte; the clock tags that it brings are its only ones."""
    begin = 1_700_000_000_000
    payloads = [
        b'{ "ts":1700000000000, "a":0.10 }',
        b"not json",
        b'{"ts":1700000002000,"alert_id":"x"}',
    ]
    topics = ["plant/r1", "plant/_clock", "andon/s/cmd/joe/ack"]
    writer = JournalWriter(tmp_path / "j")
    for i, (topic, payload) in enumerate(zip(topics, payloads, strict=True)):
        t_ns = (begin + 1000 * i) * 10**6
        message = MessageReceived(topic=topic, payload=payload, received_ns=t_ns)
        writer.append([(t_ns, message)])
    writer.close()
    recording = open_recording(tmp_path / "j", ReplayOptions(), now_ns=NOW)
    assert recording.has_clock
    first, second = list(recording.open_round(0)), list(recording.open_round(1))
    assert [m.payload for m in first] == payloads
    assert [m.topic for m in second] == topics
    assert [m.t_ns - n.t_ns for m, n in zip(second, first, strict=True)] == [3 * SECOND] * 3
    assert json.loads(second[0].payload) == {"ts": begin + 3000, "a": 0.1}
    assert second[1].payload == payloads[1]
    assert json.loads(second[2].payload)["ts"] == begin + 5000
    broker = FakeBroker(interrupt_at=5)
    played = play(recording, broker, ReplayOptions(speed=math.inf, loop=True))
    assert (played.messages, played.clock_tags, played.rounds) == (5, 0, 2)


def test_a_journal_without_messages_is_refused(tmp_path: Path) -> None:
    """There is nothing to replay."""
    JournalWriter(tmp_path / "j").close()
    with pytest.raises(RecordingError, match="no messages"):
        open_recording(tmp_path / "j", ReplayOptions(), now_ns=NOW)


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_counts_rows(unstamped: Path, terminal: bool) -> None:  # noqa: FBT001
    """A bar in a terminal, lines elsewhere; both name rows, rate and time left."""
    recording = opened(unstamped, UNSTAMPED, shape="single")
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=120)
    times = itertools.count(0, 7)  # every look at the clock is seven seconds later
    with ReplayProgress(recording, console=console, loop=False, clock=lambda: next(times)) as bar:
        play(
            recording,
            FakeBroker(),
            ReplayOptions(speed=math.inf, clock_topic=""),
            progress=bar,
            clock=lambda: float(next(times)),
        )
    assert "rows/s" in text.getvalue()
    assert ("2 of 4 rows" in text.getvalue()) is not terminal
