"""Time in tables: stamps in, int64 ns since the Unix epoch out; and how columns of it are told."""

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

DATES: Final = (
    *("%d.%m.%Y", "%d.%m.%y", "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%Y/%m/%d"),
    *("%Y-%m-%d", "%d-%m-%Y", "%m-%d-%Y", "%y-%m-%d", "%d-%m-%y", "%d-%b-%Y", "%Y.%m.%d"),
)
TIMES: Final = (
    *("%H:%M:%S", "%H:%M:%S.%f", "%H:%M:%S,%f", "%H:%M", "%I:%M:%S %p", "%I:%M %p"),
    "%I:%M:%S.%f %p",
)
DATES_WITH_TIMES: Final = tuple(f"{d}{gap}{t}" for gap in (" ", ", ") for d in DATES for t in TIMES)
"""Formats that are tried on the stamps of a table that has no mapping."""

_DAY: Final = r"\d{1,4}([-/.])(?:\d{1,2}|[A-Za-z]{3})\1\d{1,4}"
_CLOCK: Final = (
    r"\d{1,2}:\d{2}(?::\d{2}(?:[.,:]\d+)?)?(?:\s?[AaPp]\.?[Mm]\.?)?"
    r"(?:\s?(?:[Zz]|UTC|GMT|[+-]\d{2}(?::?\d{2})?))?"
)
# Its end is strict: "2024-01-01T00:00:00,1.5,Part 7" is a line, not a stamp.
_STAMP: Final = re.compile(
    rf"\s*(?:{_DAY}(?:(?:T|,?\s+){_CLOCK})?|{_CLOCK}|\d{{4}}[-/]\d{{1,2}}|\d{{8}}T\d{{6}}[Zz]?)\s*"
)
_UNREAD_SHARE_MAX: Final = 0.1  # of sampled stamps: a torn line, or a line of units
ROWS_TELLING_MIN: Final = 8  # in fewer rows, a measurement may rise evenly by chance
SHARE_MOST: Final = 0.9  # of the steps of a clock: the rest are gaps and restarts

_TIME_NAME: Final = re.compile(
    r"time|stamp|date|epoch|elapsed|clock|zeit|datum|uhr|(?<![a-z0-9])ts(?![a-z0-9])|^t(?![a-z0-9])",
    re.IGNORECASE,
)
_UNITS_S: Final = {
    **dict.fromkeys(("ns", "nsec"), 1e-9),
    **dict.fromkeys(("us", "µs", "μs", "usec"), 1e-6),
    **dict.fromkeys(("ms", "msec", "millis", "milliseconds"), 1e-3),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds", "sek"), 1.0),
    **dict.fromkeys(("min", "mins", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hours"), 3600.0),
}
_UNIT: Final = re.compile(r"(?:^|[^a-zµμ])([a-zµμ]+)[\s\])]*$")  # the last word of a name
_EXCEL_DAYS: Final = (25_569.0, 73_051.0)  # 1970 to 2100, in days since 1899-12-30
_FOREIGN_S: Final = (946_684_800.0, 4_102_444_800.0)  # 2000 to 2100: what a name does not promise
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PLAIN_ISO: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)?[Zz]?")


def looks_like_stamp(cell: str) -> bool:
    """Tell whether a cell is written like a date, a time of day, or both."""
    return _STAMP.fullmatch(cell) is not None


def is_iso(cell: str) -> bool:
    """Tell whether a cell is an ISO 8601 date with a time of day."""
    try:
        datetime.fromisoformat(cell)
    except ValueError:
        return False
    return len(cell) >= 15 and any(mark in cell for mark in "-T:")


def has_zone(cell: str) -> bool:
    """Tell whether an ISO stamp carries its own zone."""
    return is_iso(cell) and datetime.fromisoformat(cell).tzinfo is not None


def iso_reads(cells: Sequence[str]) -> bool:
    """Tell whether (nearly) all cells are ISO stamps."""
    return bool(cells) and sum(map(is_iso, cells)) >= (1 - _UNREAD_SHARE_MAX) * len(cells)


def stamp_formats(cells: Sequence[str], formats: Sequence[str]) -> dict[str, list[datetime]]:
    """Return the formats that read most cells, each with what it reads; {} if none reads enough.

    More than one is returned where the cells do not tell, as 01/02/2024 does not tell its month.
    """
    best: dict[str, list[datetime]] = {}
    most = max(1.0, (1 - _UNREAD_SHARE_MAX) * len(cells))
    assert "" not in cells
    marks = {frozenset(c for c in cell if not c.isalnum()) for cell in cells}
    for form in formats:
        if frozenset(re.sub(r"%\w", "", form)) not in marks:
            continue  # for speed: strptime compiles each format anew
        read = [t for cell in cells if (t := _strptime(cell, form)) is not None]
        if len(read) >= most:
            best = best if len(read) == most and best else {}
            best[form] = read
            most = len(read)
    return best


def _strptime(cell: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(cell, form)  # noqa: DTZ007 - only whether, and in which order
    except ValueError:
        return None


def zone_of(name: str) -> tzinfo:
    """Return the time zone called `name`, such as "Europe/Berlin". Raises RecordingError."""
    if name == "UTC":  # needs no time zone database, which small boxes lack
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, RecursionError) as error:  # of many parts
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
    except (ValueError, re.error):  # a format with one field twice is no pattern
        return None
    return _stamp_ns(stamp, zone, cell)


def _stamp_ns(stamp: datetime, zone: str, cell: str) -> int | None:
    if stamp.tzinfo is None:
        stamp = stamp.replace(tzinfo=zone_of(_zone_needed(zone, cell)))
    since = stamp - _EPOCH
    t_ns = (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1_000
    return t_ns if 0 <= t_ns <= T_NS_MAX else None


def speaks_of_time(name: str) -> bool:
    """Tell whether a column is called like a time."""
    return _TIME_NAME.search(name) is not None


def epoch_format(name: str, values: NDArray[np.float64]) -> str:
    """Return the epoch format of values (n,) in a column `name`; "" if they are in none.

    Their size tells. Where the name does not speak of time, they must also advance evenly.
    """
    finite, named = values[np.isfinite(values)], speaks_of_time(name)
    if not finite.size or finite.size < SHARE_MOST * len(values):
        return ""
    steps = np.diff(finite)
    low_s, high_s = (1e8, T_NS_MAX / 1e9) if named else _FOREIGN_S
    low, high = float(finite.min()), float(finite.max())
    for form, scale_ns in EPOCH_SCALES_NS.items():
        per_s = 1e9 / scale_ns
        if not low_s * per_s <= low <= high < high_s * per_s:
            continue
        if named:
            way = max(share_of(steps >= 0), share_of(steps <= 0))
            return form if len(finite) == 1 or (way >= SHARE_MOST and high > low) else ""
        one_way = bool((steps >= 0).all() or (steps <= 0).all())
        moved = steps[steps != 0]
        telling = len(finite) >= ROWS_TELLING_MIN and moved.size > 0
        return form if telling and one_way and is_even(moved) else ""
    return ""


def is_clock(name: str, values: NDArray[np.float64]) -> bool:
    """Tell whether values (n,) are called like a clock and advance, or are times since 1970."""
    if epoch_format(name, values):
        return True
    steps = np.diff(values[np.isfinite(values)])
    named = speaks_of_time(name) or name.strip().lower() in _UNITS_S
    return named and max(share_of(steps > 0), share_of(steps < 0)) >= SHARE_MOST


def clock_period(name: str, values: NDArray[np.float64]) -> tuple[float, str]:
    """Return the seconds from row to row of a clock that advances, values (n,), and its unit.

    The unit is what the name says, or what is said in place of it; negative: the clock runs back.
    """
    finite = values[np.isfinite(values)]
    steps = np.diff(finite)
    step = float(np.mean(steps)) if close_to_line(steps) else float(np.median(steps))
    found = _UNIT.search(name.strip().lower())
    if found is not None and found[1] in _UNITS_S:
        unit_s, unit = _UNITS_S[found[1]], found[1]
    else:
        whole = bool(np.all(finite == np.rint(finite)))
        days = _EXCEL_DAYS[0] <= finite.min() and finite.max() < _EXCEL_DAYS[1]
        unit_s, unit = 1.0, "seconds (a guess: its name has no unit)"
        if days and (not whole or "dat" in name.lower()):
            unit_s, unit = 86_400.0, "days, as spreadsheets do,"
    return float(f"{step * unit_s:.6g}"), unit


def share_of(which: NDArray[np.bool_]) -> float:
    """Return the share of True in which (k,); 0 where there is none."""
    return float(which.mean()) if which.size else 0.0


def is_even(steps: NDArray[np.float64]) -> bool:
    """Tell whether steps (k,) are mostly alike, or their sums keep close to a straight line."""
    middle = float(np.median(steps))
    alike = np.abs(steps - middle) <= 0.1 * abs(middle)
    return share_of(alike) >= SHARE_MOST or close_to_line(steps)


def close_to_line(steps: NDArray[np.float64]) -> bool:
    """Tell whether rounding alone could explain how steps (k,) differ."""
    mean = float(np.mean(steps))
    return bool(np.all(np.abs(np.cumsum(steps - mean)) <= 0.75 * abs(mean)))
