"""Times in documents: ISO 8601 with a zone, or with the zone that the file declares, as int ns UTC."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kb.errors import KnowledgeError

SECOND_NS: Final = 1_000_000_000
YEAR_MIN: Final = 1970
YEAR_MAX: Final = 2200  # later is a typing error, and int64 nanoseconds end in 2262

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def zone_of(name: str) -> tzinfo:
    """Return the zone called `name`, such as "Europe/Berlin" or "UTC". Raises KnowledgeError."""
    if name.upper() in {"UTC", "Z"}:  # needs no time zone database, which small boxes lack
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        message = f"time zone {name!r} is unknown; use a name such as 'UTC' or 'Europe/Berlin'"
        raise KnowledgeError(message) from error


def parse_moment(cell: str, *, zone: tzinfo | None = None, later: bool = False) -> datetime:
    """Read one time stamp as an aware datetime.

    zone: declared by the file for stamps without one; None: such a stamp is refused.
    later: read an hour that clocks repeat in autumn as its second occurrence; otherwise it is refused.
    Raises KnowledgeError, also for local times that clocks skip in spring.
    """
    try:
        moment = datetime.fromisoformat(cell.strip())
    except ValueError as error:
        message = f"{cell.strip()!r} is not a time; write it as 2026-03-02T06:10:00+01:00"
        raise KnowledgeError(message) from error
    if not YEAR_MIN <= moment.year <= YEAR_MAX:
        raise KnowledgeError(f"{cell.strip()!r} lies outside the years {YEAR_MIN} to {YEAR_MAX}")
    if moment.tzinfo is not None:
        return moment
    if zone is None:
        message = f"{cell.strip()!r} has no time zone; add an offset, or a first line '# zone: ...'"
        raise KnowledgeError(message)
    return _placed(moment, zone, later=later)


def parse_time(cell: str, *, zone: tzinfo | None = None, later: bool = False) -> int:
    """Read one time stamp as int ns UTC; see `parse_moment`. Raises KnowledgeError."""
    return to_ns(parse_moment(cell, zone=zone, later=later))


def to_ns(moment: datetime) -> int:
    """Return an aware time as int ns UTC, exactly."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND_NS + since.microseconds * 1_000


def iso_utc(t_ns: int) -> str:
    """Return a time as people read it, UTC to the second."""
    return f"{datetime.fromtimestamp(t_ns // SECOND_NS, tz=UTC):%Y-%m-%dT%H:%M:%SZ}"


def _placed(moment: datetime, zone: tzinfo, *, later: bool) -> datetime:
    first, second = (moment.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return first
    back = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None)
    if back != moment:
        raise KnowledgeError(f"{moment} does not exist: clocks were put forward; add an offset")
    if not later:
        raise KnowledgeError(f"{moment} came twice: clocks were put back; add an offset")
    return second
