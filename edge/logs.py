"""Logging: one line a transition, as data, to stderr; no event so often that it fills a disk."""

from __future__ import annotations

import json
import logging
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.records import Note

BURST: Final = 100  # lines of one event at once
PER_S: Final = 1.0  # and so many a second behind them
TELL_S: Final = 60.0  # what is held back is told as a number after that
EVENTS_MAX: Final = 1_000  # that are told apart; the rest are one
HELD_BACK: Final = "lines_held_back"
OWN: Final = frozenset({"ts", "level", "event", "error"})  # a field of such a name gets a _

Event = tuple[str, int, str]  # logger, level and the words without what varies in them
OTHERS: Final[Event] = ("", logging.WARNING, "others")


def shown(text: str) -> str:
    """A text for a terminal: what comes from elsewhere makes no lines and commands no screen."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


@dataclass(slots=True)
class _Bucket:
    """What is known of an event. since_s: of the first line that is held back and was not told."""

    room: float
    seen_s: float
    held: int = 0
    since_s: float = 0.0


class RateLimit:
    """Which lines are written: of each event a burst, then an even rate. What is not is counted."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """now: seconds that never go back."""
        self._now, self._buckets = now, dict[Event, _Bucket]()

    def admits(self, event: Event) -> bool:
        """Whether the next line of an event may be written."""
        now_s = self._now()
        bucket = self._buckets.get(event)
        if bucket is None:
            if len(self._buckets) >= EVENTS_MAX and event != OTHERS:
                return self.admits(OTHERS)
            bucket = self._buckets[event] = _Bucket(float(BURST), now_s)
        bucket.room = min(bucket.room + (now_s - bucket.seen_s) * PER_S, float(BURST))
        bucket.seen_s = now_s
        if bucket.room >= 1.0:
            bucket.room -= 1.0
            return True
        if not bucket.held:
            bucket.since_s = now_s
        bucket.held += 1
        return False

    def owed(self, *, all_of_it: bool = False) -> list[tuple[Event, int, float]]:
        """Events, lines held back of each, and over how many seconds; then they count as told."""
        now_s, found = self._now(), []
        for event, bucket in self._buckets.items():
            if bucket.held and (all_of_it or now_s - bucket.since_s >= TELL_S):
                found.append((event, bucket.held, now_s - bucket.since_s))
                bucket.held = 0
        return found


class Limited(logging.StreamHandler[Any]):
    """Writes to a stream what the limit admits, and in a minute how many lines it did not."""

    def __init__(self, stream: TextIO | None = None, *, limit: RateLimit | None = None) -> None:
        super().__init__(stream)
        self._limit = RateLimit() if limit is None else limit

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or count it. Whoever logs holds the handler's lock."""
        self._tell(self._limit.owed())
        if self._limit.admits((record.name, record.levelno, str(record.msg))):
            super().emit(record)

    def close(self) -> None:
        """Tell what was held back so far."""
        with self.lock:  # type: ignore[union-attr]
            self._tell(self._limit.owed(all_of_it=True))
        super().close()

    def _tell(self, owed: list[tuple[Event, int, float]]) -> None:
        for (name, level, words), held, seconds in owed:
            record = logging.makeLogRecord(
                {
                    "name": name,
                    "levelno": level,
                    "levelname": logging.getLevelName(level),
                    "msg": HELD_BACK,
                    "fields": {"of": words, "lines": held, "in_s": round(seconds, 1)},
                }
            )
            super().emit(record)


class JsonLines(logging.Formatter):
    """One JSON object a line: ts (UTC), level, event, what it tells, and error."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        fields = getattr(record, "fields", {}).items()
        line = {
            **{f"{name}_" if name in OWN else str(name): value for name, value in fields},
            "ts": _stamp(record),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        try:
            return json.dumps(line, allow_nan=False, default=str)
        except ValueError:
            return json.dumps(_finite(line), default=str)


def _finite(told: Any) -> Any:  # noqa: ANN401 - whatever a field holds
    """The same without what JSON has no number for."""
    if isinstance(told, dict):
        return {str(key): _finite(value) for key, value in told.items()}
    if isinstance(told, list | tuple):
        return [_finite(value) for value in told]
    return str(told) if isinstance(told, float) and not math.isfinite(told) else told


def _stamp(record: logging.LogRecord) -> str:
    told = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{told}.{int(record.created % 1 * 1_000):03}Z"


class _Plain(logging.Formatter):
    """Date and time, level, event and its fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        given = getattr(record, "fields", {}).items()
        fields = " ".join(f"{name}={shown(str(value))}" for name, value in given)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        text = f"{stamp} {record.levelname.lower():7} {record.getMessage()} {fields}".rstrip()
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def configure(*, level: str, as_json: bool) -> None:
    """Send the log of this process to stderr. Raises ValueError for a level that is none."""
    handler = Limited()
    handler.setFormatter(JsonLines() if as_json else _Plain())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # It tells on each start which of its builds this processor cannot use, like errors.
    logging.getLogger("faiss").setLevel(logging.WARNING)


def write(log: logging.Logger, note: Note) -> None:
    """Write a note of the engine."""
    log.log(getattr(logging, note.level.upper()), note.name, extra={"fields": note.fields})
