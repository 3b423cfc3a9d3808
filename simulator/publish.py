"""When each message of a recording is sent: pacing, the plant's clock, moved times. No IO here.

Plant time is in the recording; wall time comes in through `clock` and goes out through `sleep`, so
that tests pace hours in no time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge.recordings.recording import TimedMessage
from edge.wire.block import is_block, shift_block
from edge.wire.readings import TIME_KEYS as PLANT_TIME_KEYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SECOND_NS: Final = 1_000_000_000
CADENCE_TAGS: Final = 10  # clock tags between two rows of the usual distance, if that is long
SILENCE_TAGS_MAX: Final = 3_600  # clock tags in one silence: a second each for an hour
TIME_KEYS: Final = frozenset({*PLANT_TIME_KEYS, "t0", "valid_to"})
"""Where generic JSON payloads and commands carry plant time."""


@dataclass(slots=True, kw_only=True)
class Pace:
    """Holds each message back until its wall time has come; never waits to make up for lateness.

    The schedule is absolute: a message that was sent late does not delay the next one. Where rows
    go back in time, the newest time so far counts. `speed` is plant seconds a second; inf: no wait.
    """

    speed: float
    clock: Callable[[], float]  # monotonic, seconds
    sleep: Callable[[float], None]
    begin_s: float | None = None  # on the clock, when the first message was sent
    first_ns: int = 0
    newest_ns: int = 0
    late_s_max: float = 0.0

    def wait(self, t_ns: int) -> None:
        """Return when the message of plant time `t_ns` is due."""
        if self.begin_s is None:
            self.begin_s, self.first_ns, self.newest_ns = self.clock(), t_ns, t_ns
        self.newest_ns = max(self.newest_ns, t_ns)
        if math.isinf(self.speed):
            return
        due_s = self.begin_s + (self.newest_ns - self.first_ns) / SECOND_NS / self.speed
        left_s = due_s - self.clock()
        if left_s > 0:
            self.sleep(left_s)
        else:
            self.late_s_max = max(self.late_s_max, -left_s)


def with_clock(
    messages: Iterable[TimedMessage], *, topic: str, cadence_ns: int
) -> Iterator[TimedMessage]:
    """Weave clock tags into messages: one every plant second, and one more second at the end.

    A tag follows all data of its second and before, so that it makes none of them late: where a
    message holds many rows, the tags of its rows shrink to one after it. Where messages are further
    apart than CADENCE_TAGS seconds, there are CADENCE_TAGS tags to a usual distance (`cadence_ns`),
    or SILENCE_TAGS_MAX to a longer silence.
    """
    newest_ns: int | None = None
    for message in messages:
        begin_ns = message.t_ns if message.begin_ns is None else message.begin_ns
        if newest_ns is not None:
            for tag_ns in _tags_between(newest_ns, begin_ns, cadence_ns):
                yield clock_message(tag_ns, topic)
        yield message
        second_ns = message.t_ns - message.t_ns % SECOND_NS
        if newest_ns is None or message.t_ns > newest_ns:
            if second_ns >= begin_ns and (newest_ns is None or second_ns > newest_ns):
                yield clock_message(second_ns, topic)
            newest_ns = message.t_ns
    if newest_ns is not None:
        # The last samples wait for their late values; this lets them close.
        yield clock_message(newest_ns - newest_ns % SECOND_NS + 2 * SECOND_NS, topic)


def clock_message(t_ns: int, topic: str) -> TimedMessage:
    """Return the message that says what the time in the plant is."""
    payload = msgspec.json.encode({"ts": t_ns // 1_000_000})
    return TimedMessage(t_ns=t_ns, topic=topic, payload=payload)


def _tags_between(after_ns: int, before_ns: int, cadence_ns: int) -> range:
    """Return whole plant seconds inside both bounds, all of them or evenly thinned out."""
    gap_ns = before_ns - after_ns
    usual = gap_ns <= cadence_ns + cadence_ns // 2
    seconds = math.ceil(gap_ns / (CADENCE_TAGS if usual else SILENCE_TAGS_MAX) / SECOND_NS)
    step_ns = max(1, seconds) * SECOND_NS
    return range(after_ns - after_ns % step_ns + step_ns, before_ns, step_ns)


def shifted(messages: Iterable[TimedMessage], shift_ns: int) -> Iterator[TimedMessage]:
    """Yield messages moved in plant time, in their payloads as well; 0 leaves every byte alone."""
    for message in messages:
        yield (
            message
            if shift_ns == 0
            else replace(
                message,
                t_ns=message.t_ns + shift_ns,
                payload=shift_payload(message.payload, shift_ns),
            )
        )


def shift_payload(payload: bytes, shift_ns: int) -> bytes:
    """Return a generic JSON payload, or a block, with its times moved, in the units they are in.

    What is neither, or carries no time, comes back as it is.
    """
    if is_block(payload):
        return shift_block(payload, shift_ns)
    try:
        body = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return payload
    moved = _shift_body(body, shift_ns)
    return payload if moved == body else msgspec.json.encode(moved)


def _shift_body(body: Any, shift_ns: int) -> Any:  # noqa: ANN401 - whatever JSON holds
    if isinstance(body, list):
        return [_shift_body(one, shift_ns) for one in body]
    if not isinstance(body, dict):
        return body
    return {
        key: _shift_time(value, shift_ns) if key in TIME_KEYS else value
        for key, value in body.items()
    }


def _shift_time(value: Any, shift_ns: int) -> Any:  # noqa: ANN401 - whatever JSON holds
    if isinstance(value, list):
        return [_shift_time(item, shift_ns) for item in value]
    if isinstance(value, str):
        try:
            return (
                datetime.fromisoformat(value) + timedelta(microseconds=shift_ns // 1_000)
            ).isoformat()
        except ValueError:
            return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    size = abs(value)
    unit_ns = next(
        (
            unit
            for below, unit in ((1e11, SECOND_NS), (1e14, 1_000_000), (1e17, 1_000))
            if size < below
        ),
        1,
    )
    return value + (shift_ns // unit_ns if shift_ns % unit_ns == 0 else shift_ns / unit_ns)
