"""Time stamps of tables: text in, int64 ns since the Unix epoch out."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from edge.errors import RecordingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

EPOCH_SCALES_NS: Final = {"epoch_s": 10**9, "epoch_ms": 10**6, "epoch_us": 10**3, "epoch_ns": 1}
"""Formats of numbers since 1970-01-01 UTC, and the nanoseconds in one of their units."""

T_NS_MAX: Final = (
    7_258_118_400 * 10**9
)  # the year 2200: later is a typing error, and int64 ends in 2262

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PLAIN_ISO: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)?[Zz]?")


def zone_of(name: str) -> tzinfo:
    """Return the time zone called `name`, such as "Europe/Berlin". Raises RecordingError."""
    if name == "UTC":  # needs no time zone database, which small boxes lack
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        message = f"time zone {name!r} is unknown; use a name such as 'UTC' or 'Europe/Berlin'"
        raise RecordingError(message) from error


def parse_times(
    cells: Sequence[str], *, time_format: str, zone: str
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Read time stamps.

    cells: (n,) text; `time_format` is "iso", one of EPOCH_SCALES_NS or a strptime format; `zone`
    is where stamps without a zone of their own were written ("" is: nowhere, they cannot be used).
    Returns t_ns (n,) and ok (n,); t_ns is 0 where ok is False. An hour that clocks repeat in autumn
    is read as its first occurrence. Raises RecordingError for stamps that need a zone without one.
    """
    if time_format in EPOCH_SCALES_NS:
        parsed = [_epoch_ns(cell, EPOCH_SCALES_NS[time_format]) for cell in cells]
    elif time_format == "iso":
        fast = _plain_iso(cells, zone)
        if fast is not None:
            return fast
        parsed = [_iso_ns(cell, zone) for cell in cells]
    else:
        parsed = [_formatted_ns(cell, time_format, zone) for cell in cells]
    ok = np.fromiter((t is not None for t in parsed), np.bool_, len(parsed))
    t_ns = np.fromiter((0 if t is None else t for t in parsed), np.int64, len(parsed))
    return t_ns, ok


def _plain_iso(
    cells: Sequence[str], zone: str
) -> tuple[NDArray[np.int64], NDArray[np.bool_]] | None:
    """Read ISO stamps all alike, without offsets, in one call; None if that cannot be done."""
    stripped = [cell.strip() for cell in cells]
    if not stripped or not all(map(_PLAIN_ISO.fullmatch, stripped)):
        return None
    zoned = [cell[-1] in "Zz" for cell in stripped]
    if any(zoned):
        if not all(zoned):
            return None
        stripped = [cell[:-1] for cell in stripped]
    try:
        seconds = np.array(stripped, dtype="datetime64[s]").astype(np.int64)
        t_ns = np.array(stripped, dtype="datetime64[ns]").astype(np.int64)
    except ValueError:
        return None
    if seconds.min() < 0 or seconds.max() > T_NS_MAX // 10**9:
        return None
    if not any(zoned):
        t_ns = t_ns - _offsets_ns(seconds, zone, example=cells[0])
    return t_ns, np.ones(len(cells), np.bool_)


def _offsets_ns(seconds: NDArray[np.int64], zone: str, *, example: str) -> NDArray[np.int64]:
    """Return how far `zone` is ahead of UTC at local times. seconds: (n,); returns (n,) ns."""
    if zone == "UTC":
        return np.zeros(seconds.shape, np.int64)
    place = zone_of(_zone_needed(zone, example))
    # Offsets change on quarter hours; asking once for each of them keeps this fast.
    quarters, which = np.unique(seconds // 900, return_inverse=True)
    offsets = []
    for quarter in quarters.tolist():
        local = (_EPOCH + timedelta(seconds=quarter * 900)).replace(tzinfo=place)
        offset = local.utcoffset() or timedelta(0)
        offsets.append(round(offset.total_seconds()) * 10**9)
    return np.array(offsets, np.int64)[which.reshape(-1)]


def _zone_needed(zone: str, example: str) -> str:
    if zone:
        return zone
    message = (
        f"time stamps such as {example!r} carry no time zone; "
        "add zone to [time] of the mapping, for example zone = 'UTC'"
    )
    raise RecordingError(message)


def _epoch_ns(cell: str, scale_ns: int) -> int | None:
    text = cell.strip().replace(",", ".")  # files with decimal commas may stamp with a point
    try:
        # Decimal, because a float64 of seconds since 1970 is only good to 0.2 us.
        t_ns = int((Decimal(text) * scale_ns).to_integral_value())
    except (InvalidOperation, ValueError, OverflowError):
        return None
    return t_ns if 0 <= t_ns <= T_NS_MAX else None


def _iso_ns(cell: str, zone: str) -> int | None:
    try:
        stamp = datetime.fromisoformat(cell.strip())
    except ValueError:
        return None
    return _stamp_ns(stamp, zone, cell)


def _formatted_ns(cell: str, time_format: str, zone: str) -> int | None:
    try:
        stamp = datetime.strptime(cell.strip(), time_format)  # noqa: DTZ007 - the zone is added below
    except ValueError:
        return None
    return _stamp_ns(stamp, zone, cell)


def _stamp_ns(stamp: datetime, zone: str, cell: str) -> int | None:
    if stamp.tzinfo is None:
        stamp = stamp.replace(tzinfo=zone_of(_zone_needed(zone, cell)))
    since = stamp - _EPOCH
    t_ns = (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1_000
    return t_ns if 0 <= t_ns <= T_NS_MAX else None
