"""What is usual at this hour of the day, taken off the values of an asset that follows one.

A machine that runs at three at night as it should at noon is within its overall range, and moves as
it always does: a model of how values follow one another sees nothing. What is left of a value when
the usual one of its hour is taken off shows it; `season_fit` says how the usual is learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import numpy as np

from models.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]
    I64 = NDArray[np.int64]
    Mask = NDArray[np.bool_]

SECOND_NS: Final = 1_000_000_000
DAY_S: Final = 86_400
BINS: Final = 48  # half hours of a day
BIN_S: Final = DAY_S // BINS
CLOCKS_CHANGE_S: Final = 900  # daylight saving begins and ends on a quarter of an hour
CLOCKS_YEARS: Final = 10
FIRST_WEEKDAY: Final = 3  # 1970-01-01 was a Thursday, and Monday is 0
FAR: Final = 1e6  # spreads; further off is as absurd, and no float32
USUAL_SPREADS: Final = 2.5  # either side of the middle, what is told as usual at an hour


class Clocks(msgspec.Struct, frozen=True, kw_only=True):
    """What the clocks of a place are ahead of UTC, so that nobody has to look it up when scoring.

    zone: IANA name of that place. since_s: (m,) seconds since 1970 at which they change, ahead_s:
    (m,) what they are ahead from then on, the first also before.
    """

    zone: str
    since_s: tuple[int, ...]
    ahead_s: tuple[int, ...]


UTC_CLOCKS: Final = Clocks(zone="UTC", since_s=(0,), ahead_s=(0,))


class Season(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Usual levels by the clocks of a place.

    days: (7,) which table a weekday has, Monday first; -1: none. middle, spread: (k, BINS, c)
    float64 in engineering units, at the middle of each half hour; spread 0: not known at that hour,
    or the channel follows none.
    """

    clocks: Clocks
    days: tuple[int, ...]
    middle: np.ndarray
    spread: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hours:
    """What a record of too few days for a season was at each half hour of it.

    t_ns: (m,) int64, the middles of half hours by UTC   values: (m, c) means of them, NaN: none
    """

    t_ns: I64
    values: F64


def followed(season: Season) -> Mask:
    """Which channels (c,) follow the hour."""
    return np.asarray((season.spread > 0.0).any(axis=(0, 1)))


def clocks_of(zone: str, first_ns: int) -> Clocks:
    """The clocks of a place from a time on, for CLOCKS_YEARS; beyond, they stay as they are then.

    Raises ModelError for a zone that this machine does not know.
    """
    if zone == UTC_CLOCKS.zone:
        return UTC_CLOCKS
    try:
        place = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        known = "use a name such as 'UTC' or 'Europe/Berlin'"
        raise ModelError(f"time zone {zone!r} is unknown; {known}") from error
    day = first_ns // SECOND_NS // DAY_S * DAY_S
    since, ahead = [day], [_ahead_s(day, place)]
    for begin in range(day, day + CLOCKS_YEARS * 366 * DAY_S, DAY_S):
        if _ahead_s(begin + DAY_S, place) == ahead[-1]:
            continue
        for at in range(begin, begin + DAY_S + 1, CLOCKS_CHANGE_S):
            if _ahead_s(at, place) != ahead[-1]:
                since.append(at)
                ahead.append(_ahead_s(at, place))
    return Clocks(zone=zone, since_s=tuple(since), ahead_s=tuple(ahead))


def _ahead_s(second: int, place: ZoneInfo) -> int:
    ahead = datetime.fromtimestamp(second, place).utcoffset()
    assert ahead is not None, "a time with a zone has one"
    return int(ahead.total_seconds())


def local_s(t_ns: I64, clocks: Clocks) -> I64:
    """What clocks show at times (n,), in seconds since they showed 1970 (n,)."""
    seconds: I64 = np.asarray(t_ns, np.int64) // SECOND_NS
    at = np.searchsorted(np.array(clocks.since_s), seconds, side="right") - 1
    return np.asarray(seconds + np.array(clocks.ahead_s)[np.maximum(at, 0)])


def weekday(day: I64) -> I64:
    """Monday is 0; of days (n,) since 1970 by local clocks."""
    return np.asarray((day + FIRST_WEEKDAY) % 7)


def usual_at(season: Season, local: I64) -> tuple[F64, F64]:
    """Middle and spread (n, c) when clocks show `local` (n,) seconds; spread 0: not known.

    Between the middles of two half hours linear, over midnight into the table of the next day.
    """
    before, past = np.divmod(local - BIN_S // 2, BIN_S)
    share = (past / BIN_S)[:, None]
    days = np.array(season.days)
    middle = spread = np.zeros((len(local), season.middle.shape[2]))
    known = np.ones(middle.shape, np.bool_)
    for slot, weight in ((before, 1.0 - share), (before + 1, share)):
        table = days[weekday(slot // BINS)]
        at = np.maximum(table, 0), slot % BINS
        middle = middle + weight * season.middle[at]
        spread = spread + weight * season.spread[at]
        known &= (season.spread[at] > 0.0) & (table >= 0)[:, None]
    return middle, np.where(known, spread, 0.0)


def off_season(season: Season, values: NDArray[np.floating], t_ns: I64) -> F64:
    """How many spreads values (n, c) at times (n,) are from what is usual at their hour (n, c).

    NaN: no value, nothing known of that hour, or a channel that follows none.
    """
    middle, spread = usual_at(season, local_s(t_ns, season.clocks))
    return in_spreads(values, middle, spread)


def of_no_hour(season: Season, values: NDArray[np.floating], t_ns: I64, center: F64) -> F64:
    """Values (n, c) at times (n,) as far from `center` (c,) as they are from the usual of the hour.

    So levels of different hours can be compared. NaN where a channel follows the hour and nothing
    is known of it; channels that follow none stay as they are.
    """
    middle, spread = usual_at(season, local_s(t_ns, season.clocks))
    level = np.where(spread > 0.0, center + (values - middle), np.nan)
    return np.where(followed(season), level, values)


def in_spreads(values: NDArray[np.floating], middle: F64, spread: F64) -> F64:
    """Values (n, c) in spreads from the middle, both (n, c), at most FAR.

    NaN where the spread is 0, and of a value that is no number.
    """
    known = (spread > 0.0) & np.isfinite(values)
    off = (np.where(known, values, 0.0) - middle) / np.where(known, spread, 1.0)
    return np.where(known, np.clip(off, -FAR, FAR), np.nan)


def moved(season: Season, seen: Hours) -> Season:
    """The season with the channels at other levels whose few hours in another record are beyond it.

    A profile keeps its shape and its clocks, whatever place that record names: hours are found by
    their times. A channel moves by the median of what those hours are off, where that is more than
    USUAL_SPREADS: a level by the clock that work has changed for good.
    """
    middle, spread = usual_at(season, local_s(seen.t_ns, season.clocks))
    known = (spread > 0.0) & np.isfinite(seen.values)
    by = np.zeros(season.middle.shape[2])
    for j in np.flatnonzero(known.any(axis=0)).tolist():
        mine = known[:, j]
        off = (seen.values - middle)[mine, j]
        beyond = abs(float(np.median(off / spread[mine, j]))) > USUAL_SPREADS
        by[j] = float(np.median(off)) if beyond else 0.0
    return msgspec.structs.replace(season, middle=season.middle + by)


def usual_range(season: Season, t_ns: int) -> tuple[F64, F64]:
    """Between which values each channel (c,), (c,) usually is at a time; NaN: not known."""
    middle, spread = usual_at(season, local_s(np.array([t_ns]), season.clocks))
    reach = np.where(spread > 0.0, USUAL_SPREADS * spread, np.nan)
    return (middle - reach)[0], (middle + reach)[0]
