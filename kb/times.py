"""Times as people and systems write them, to int ns since the Unix epoch."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
DATE_CHARS: Final = 10


def iso_ns(text: str) -> int:
    """ISO 8601 with zone, from 1970 on. Raises ValueError, saying what is wrong."""
    return _held(to_ns(_zoned(text)), text)


def ever_ns(text: str) -> int:
    """Like `iso_ns`, before 1970 too: what holds from of old. Raises ValueError."""
    t_ns = to_ns(_zoned(text))
    return t_ns if -(1 << 63) <= t_ns < 0 else _held(t_ns, text)


def date_or_iso_ns(text: str) -> int:
    """Like `iso_ns`; a date alone is its first moment in UTC, of any year. Raises ValueError."""
    if len(text) == DATE_CHARS:
        day = date.fromisoformat(text)
        t_ns = to_ns(datetime(day.year, day.month, day.day, tzinfo=UTC))
        return t_ns if t_ns < 0 else _held(t_ns, text)
    return iso_ns(text)


def clock_of(text: str) -> tuple[int, int, int]:
    """Hour, minute and second of a time with zone on its own wall clock. Raises ValueError."""
    at = _zoned(text)
    return at.hour, at.minute, at.second


def local_ns(wall: datetime, zone: ZoneInfo, *, first: bool = False) -> int:
    """A wall-clock time in a zone.

    The hour that happens twice in autumn counts as its second, so that nothing counts as known, or
    as begun, earlier than it was; as its first only for the end of work (`first`), so that nothing
    lasts longer. A time that the clocks skip in spring raises ValueError.
    """
    at = wall.replace(tzinfo=zone, fold=0 if first else 1)
    t_ns = _held(to_ns(at), f"{wall:%Y-%m-%d %H:%M}")
    if at.astimezone(UTC).astimezone(zone).replace(tzinfo=None, fold=0) != wall:
        raise ValueError(f"{wall:%Y-%m-%d %H:%M} does not exist in {zone.key}")
    return t_ns


def wall_of(t_ns: int, zone: str) -> datetime | None:
    """The wall clock, without zone, of a time in a zone by name; None where the zone is ""."""
    if not zone:
        return None
    at = EPOCH + timedelta(microseconds=t_ns // 1000)
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def to_ns(at: datetime) -> int:
    """A datetime with zone, exactly."""
    return (at - EPOCH) // MICROSECOND * 1000


def _held(t_ns: int, text: str) -> int:
    """A time that a table can hold. Raises ValueError for any other."""
    if not 0 <= t_ns < 1 << 63:
        raise ValueError(f"{text!r} is no time from 1970 to 2262")
    return t_ns


def _zoned(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not an ISO 8601 time") from error
    if at.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; write +01:00 or Z after it")
    return at
