"""Replay: a recording, published over MQTT at its own pace, faster, or as fast as the broker can.

The first round of a journal is byte for byte what was recorded, times in payloads included. These
are moved only in the later rounds of a loop, and for tables that begin now (asked for, or because
they have no time stamps). Everything goes out with QoS 1; topics and retain flags are kept.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from edge.errors import RecordingError
from edge.recordings.recording import (
    check_shape,
    is_journal,
    journal_messages,
    read_table,
    table_messages,
)
from edge.wire.topics import CLOCK_TOPIC
from simulator.progress import ReplayProgress
from simulator.publish import SECOND_NS, Pace, shifted, with_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from rich.console import Console

    from edge.recordings.mapping import Mapping
    from edge.recordings.recording import TimedMessage

MILLISECOND_NS: Final = 1_000_000


class Broker(Protocol):
    """What a replay needs of an MQTT connection; `edge.brokers.mqtt.Publisher` is one."""

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """Hand over a message, waiting while too many are unconfirmed."""

    def drain(self) -> None:
        """Return once the broker has confirmed everything."""


class Connection(Protocol):
    """Opens a Broker and closes it again."""

    def __enter__(self) -> Broker:
        """Connect."""

    def __exit__(self, *_: object) -> None:
        """Disconnect."""


class Progress(Protocol):
    """Hears how far a replay is."""

    def advance(self, played: Played) -> None:
        """Take note; called after every message, so this has to be cheap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A recording that is ready to be replayed, in any number of rounds."""

    name: str
    unit: str  # what is counted: rows or messages
    unit_count: int  # in one round
    message_count: int  # in one round, clock tags aside
    span_ns: int  # from the start of one round to the start of the next
    period_ns: int  # usual distance of messages
    has_clock: bool  # it brings clock tags of its own
    open_round: Callable[[int], Iterator[TimedMessage]]  # number of the round -> its messages
    notes: tuple[str, ...] = field(default=())


@dataclass(slots=True, kw_only=True)
class Played:
    """What a replay has sent so far."""

    messages: int = 0  # of the recording
    clock_tags: int = 0
    payload_bytes: int = 0
    rounds: int = 0  # begun
    elapsed_s: float = 0.0
    late_s_max: float = 0.0  # how far the broker or this machine fell behind the pace
    interrupted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOptions:
    """How a recording is replayed. What is for tables only is refused for journals."""

    speed: float = 1.0  # plant seconds a second; inf: as fast as the broker confirms
    loop: bool = False
    clock_topic: str = CLOCK_TOPIC  # "": no clock tags
    # for tables
    mapping: Mapping | None = None  # None: the shipped one that fits exactly
    rows: tuple[int | None, int | None] | None = None  # half-open
    asset: str = ""  # "": the mapping's
    batch_rows: int | None = None  # a message; None: 1
    shape: str | None = None  # None: wide, and columnar for batches of more than one
    topic: str = "plant/{asset}"
    now: bool = False  # begin now rather than at the table's own time


def open_recording(path: Path, options: ReplayOptions, *, now_ns: int) -> Recording:
    """Open a journal or a table. Raises RecordingError for options that do not go with it."""
    if not is_journal(path):
        return open_table(path, options, now_ns=now_ns)
    given = {
        "--mapping": options.mapping,
        "--rows": options.rows,
        "--asset": options.asset,
        "--batch": options.batch_rows,
        "--shape": options.shape,
        "--now": options.now,
    }
    unfit = [option for option, value in given.items() if value]
    if unfit:
        message = f"{path} is a journal and replayed as it was recorded: {unfit[0]} is for tables"
        raise RecordingError(message)
    return open_journal(path, clock_topic=options.clock_topic)


def open_table(path: Path, options: ReplayOptions, *, now_ns: int) -> Recording:
    """Open a table. It begins at its own time, or now where it has none. Raises RecordingError."""
    table = read_table(path, mapping=options.mapping, rows=options.rows, asset=options.asset)
    own = table.has_time and not options.now
    # Whole milliseconds keep the payload's times short.
    begin_ns = int(table.t_ns[0]) if own else now_ns - now_ns % MILLISECOND_NS
    batch_rows = 1 if options.batch_rows is None else options.batch_rows
    shape = options.shape or ("wide" if batch_rows == 1 else "columnar")
    check_shape(shape, batch_rows)
    span_ns = int(table.t_ns.max() - table.t_ns.min()) + table.period_ns
    row_count = table.t_ns.size
    count = {
        "columnar": -(-row_count // batch_rows),
        "block": -(-row_count // batch_rows),
        "sparkplug": row_count + 1,
        "single": row_count * (len(table.channels) + len(table.context)),
    }.get(shape, row_count)

    def open_round(number: int) -> Iterator[TimedMessage]:
        return table_messages(
            table,
            topic=options.topic,
            batch_rows=batch_rows,
            shape=shape,
            t0_ns=begin_ns + number * span_ns,
        )

    return Recording(
        name=path.name,
        unit="rows",
        unit_count=row_count,
        message_count=count,
        span_ns=span_ns,
        period_ns=table.period_ns * batch_rows,
        has_clock=False,
        open_round=open_round,
        notes=table.notes,
    )


def open_journal(path: Path, *, clock_topic: str) -> Recording:
    """Open a journal; it is read once to learn its length. Raises Recording- or JournalError."""
    count, has_clock, first_ns, last_ns = 0, False, 0, 0
    for message in journal_messages(path):
        first_ns = message.t_ns if count == 0 else min(first_ns, message.t_ns)
        last_ns = max(last_ns, message.t_ns)
        has_clock |= message.topic == clock_topic
        count += 1
    if count == 0:
        message_text = f"{path}: the journal holds no messages"
        raise RecordingError(message_text)
    # Whole seconds, so that times keep their unit whatever unit a payload has them in.
    span_ns = ((last_ns - first_ns) // SECOND_NS + 1) * SECOND_NS

    def open_round(number: int) -> Iterator[TimedMessage]:
        return shifted(journal_messages(path), number * span_ns)

    return Recording(
        name=path.name,
        unit="messages",
        unit_count=count,
        message_count=count,
        span_ns=span_ns,
        period_ns=SECOND_NS,
        has_clock=has_clock,
        open_round=open_round,
    )


def rounds(recording: Recording, *, loop: bool, clock_topic: str) -> Iterator[TimedMessage]:
    """Yield what is to be sent, one round or endlessly many. `clock_topic` "": no clock tags."""
    numbers: Iterable[int] = itertools.count() if loop else (0,)
    messages = itertools.chain.from_iterable(map(recording.open_round, numbers))
    if not clock_topic:
        return messages
    return with_clock(messages, topic=clock_topic, cadence_ns=recording.period_ns)


def play(
    recording: Recording,
    broker: Broker,
    options: ReplayOptions,
    *,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Played:
    """Send a recording and return the counts, also when the keyboard ends it.

    Raises RecordingError for a speed that is none; what the broker raises passes through.
    """
    if not options.speed > 0:
        complaint = f"speed is {options.speed}, expected a number above 0, or inf"
        raise RecordingError(complaint)
    pace = Pace(speed=options.speed, clock=clock, sleep=sleep)
    played = Played()
    begin_s = clock()
    own_clock = "" if recording.has_clock else options.clock_topic
    try:
        for message in rounds(recording, loop=options.loop, clock_topic=own_clock):
            pace.wait(message.t_ns)
            broker.publish(message.topic, message.payload, qos=1, retain=message.retain)
            if message.topic == own_clock:
                played.clock_tags += 1
            else:
                played.messages += 1
                played.payload_bytes += len(message.payload)
                played.rounds = -(-played.messages // recording.message_count)
            if progress is not None:
                played.elapsed_s = clock() - begin_s
                progress.advance(played)
        broker.drain()
    except KeyboardInterrupt:
        played.interrupted = True
    played.elapsed_s = clock() - begin_s
    played.late_s_max = pace.late_s_max
    return played


def replay(
    path: Path,
    options: ReplayOptions,
    *,
    connect: Callable[[], Connection],
    console: Console,
) -> tuple[Recording, Played]:
    """Replay a recording and show how far it is: opens it, connects, plays.

    `connect` makes the connection, for example `lambda: Publisher(host, port)`. The console also
    gets what was odd in a table. Raises RecordingError, JournalError and what `connect` raises.
    """
    recording = open_recording(path, options, now_ns=time.time_ns())
    for note in recording.notes:
        console.print(f"{path.name}: {note}", highlight=False, markup=False)
    with (
        connect() as broker,
        ReplayProgress(recording, console=console, loop=options.loop) as progress,
    ):
        return recording, play(recording, broker, options, progress=progress)
