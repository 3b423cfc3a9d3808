"""Record: what crosses a broker, kept as a journal that replays byte for byte.

Andon's own outputs are left out, so that a replay does not repeat verdicts; commands of operators
stay.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from rich.progress import Progress, SpinnerColumn, TextColumn

from edge.brokers.mqtt import Collector
from edge.records import MessageReceived
from edge.storage.journal import read_journal, segments
from edge.storage.journal_records import RECORD_BYTES_MAX
from edge.storage.journal_writer import JournalWriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import FrameType

    from rich.console import Console

    from edge.brokers.endpoint import Endpoint
    from edge.brokers.inbox import Incoming

WAIT_S: Final = 0.1  # a message is written at most this long after it came
GROUP_MAX: Final = 5_000
RECORD_HEAD_BYTES: Final = 1 << 18  # of a record beside its payload: a topic has at most 64 KiB
KEPT_BYTES_MAX: Final = 1 << 50  # a recording is kept on purpose: nothing of it is dropped
KEPT_DAYS_MAX: Final = 36_500


class Follower(Protocol):
    """Sees each message that is kept, says how far it is, and when it has seen enough."""

    def take(self, came: Incoming) -> None:
        """See one message."""

    def says(self) -> str:
        """How far it is, for the line of progress."""

    @property
    def enough(self) -> bool:
        """Whether the recording may end."""


def record(
    out: Path,
    endpoint: Endpoint,
    *,
    filters: tuple[str, ...],
    prefix: str,
    seconds: float,
    messages_max: int,
    console: Console,
    follower: Follower | None = None,
) -> int:
    """Record messages into the journal `out` until a limit, Ctrl-C or SIGTERM.

    Messages that are there already stay. `seconds` and `messages_max` of 0 are no limits; follower:
    ends it too. Returns 0, or 1 when nothing was recorded. Raises BrokerError, JournalError.
    """

    def tell(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    there = _messages_there(out)
    collector = Collector(endpoint, filters)
    with stop_on_signals() as stop, collector, _display(console) as progress:
        recording = _Recording(out, prefix=prefix, messages_max=messages_max, follower=follower)
        if there:
            tell(f"{out}: adding to {there} messages that are there")
        try:
            _collect(recording, collector, stop=stop, seconds=seconds, progress=progress)
        finally:
            recording.writer.close()
    tell(f"{out}: {recording.count} messages recorded")
    if recording.oversize or collector.dropped:
        lost = f"{recording.oversize} too large for a journal, {collector.dropped} came too fast"
        tell(f"{out}: not recorded: {lost}")
    elif not recording.count:
        asked = ", ".join(filters)
        if recording.own:
            tell(f"nothing came on {asked} but Andon's own outputs: check topic and --prefix")
        else:
            tell(f"nothing came on {asked}: check host, port and topic")
    return 0 if recording.count else 1


def _messages_there(out: Path) -> int:
    """How many messages a recording has that is gone on with. Raises JournalError."""
    if not (out.is_dir() and segments(out)):
        return 0
    return sum(isinstance(entry.stimulus, MessageReceived) for entry in read_journal(out))


class _Recording:
    """The journal that is written, and what has been counted."""

    def __init__(
        self, out: Path, *, prefix: str, messages_max: int, follower: Follower | None
    ) -> None:
        self.writer = JournalWriter(out, bytes_max=KEPT_BYTES_MAX, days_max=KEPT_DAYS_MAX)
        self.count = 0
        self.oversize = 0
        self.own = 0  # of our own outputs, left out
        self._prefix = prefix
        self._messages_max = messages_max
        self._follower = follower

    @property
    def full(self) -> bool:
        """Whether the limit of messages is reached, or who follows has seen enough."""
        if self._follower is not None and self._follower.enough:
            return True
        return bool(self._messages_max) and self.count >= self._messages_max

    @property
    def said(self) -> str:
        """How far it is."""
        told = f"{self.count} messages recorded"
        return told if self._follower is None else f"{told}, {self._follower.says()}"

    def keep(self, messages: Sequence[Incoming]) -> None:
        """Write a group without our own outputs, up to the limit. Raises JournalError."""
        entries = []
        for came in messages:
            if self.full:
                break
            if not is_recorded(came.topic, self._prefix):
                self.own += 1
                continue
            if len(came.payload) + RECORD_HEAD_BYTES > RECORD_BYTES_MAX:
                self.oversize += 1
                continue
            entries.append((came.received_ns, _stimulus(came)))
            self.count += 1
            if self._follower is not None:
                self._follower.take(came)
        self.writer.append(entries)


def _collect(
    recording: _Recording,
    collector: Collector,
    *,
    stop: _Stop,
    seconds: float,
    progress: Progress,
) -> None:
    """Move messages from the collector into the journal until it is time to end."""
    shown = progress.add_task("recording", total=None)
    end_s = time.monotonic() + seconds if seconds > 0 else math.inf
    last = False
    while not last:
        last = stop.asked or time.monotonic() >= end_s
        waiting = len(collector.queue)  # at the end, what waits now is the last
        group = waiting if last else min(waiting, GROUP_MAX)
        recording.keep([collector.queue.popleft() for _ in range(group)])
        last = last or recording.full
        progress.update(shown, description=recording.said)
        if not last and not collector.queue:
            collector.arrived.wait(max(0.0, min(WAIT_S, end_s - time.monotonic())))
            collector.arrived.clear()


def is_recorded(topic: str, prefix: str) -> bool:
    """Whether a topic belongs into a recording: everything but Andon's own outputs."""
    levels = topic.split("/")
    if levels[0] != prefix or len(levels) == 1:
        return True
    return len(levels) > 3 and levels[2] == "cmd"


def _stimulus(came: Incoming) -> MessageReceived:
    return MessageReceived(
        topic=came.topic,
        payload=came.payload,
        received_ns=came.received_ns,
        qos=came.qos,
        retain=came.retain,
        dup=came.dup,
    )


def _display(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(), TextColumn("{task.description}"), console=console, transient=True
    )


class _Stop:
    """Whether somebody asked us to end.

    Not an Event: a handler that interrupts a thread inside the lock of one would wait for itself.
    """

    asked = False


@contextmanager
def stop_on_signals() -> Iterator[_Stop]:
    """SIGINT and SIGTERM ask to stop; their handlers are put back at the end.

    Outside the main thread signals cannot be taken, and the limits alone end the recording.
    """
    stop = _Stop()

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.asked = True

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
