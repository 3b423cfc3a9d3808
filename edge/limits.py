"""Engineering limits: what an approved table says a channel must never be, sample by sample.

Limits need no fit: they ring from the first sample on. Between two levels of one side the outer one
counts more. A limit in another unit than the channel's cannot be compared, and is reported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from kb.records import Limit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.bundle import Channel

OUTER: Final = 2  # beyond LL or HH
INNER: Final = 1  # beyond L or H
FOREVER_NS: Final = 2**63 - 1


class LimitWatch(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one asset's channels as they stand. Arrays (4, c): LL, L, H, HH; inf: none."""

    levels: np.ndarray
    limits: tuple[Limit | None, ...]  # of each channel
    unlike: tuple[Limit, ...] = ()  # of another unit

    def excess(self, values: NDArray[np.float32]) -> NDArray[np.int8]:
        """How far values (n, c) are beyond: 0 within or unknown, INNER, OUTER."""
        low_low, low, high, high_high = self.levels
        inner = (values < low) | (values > high)
        outer = (values < low_low) | (values > high_high)
        found: NDArray[np.int8] = np.where(outer, OUTER, np.where(inner, INNER, 0)).astype(np.int8)
        return found


def newest_limits(limits: Sequence[Limit], *, now_ns: int) -> dict[str, Limit]:
    """The newest approved limits by channel, of those known by now."""
    newest: dict[str, Limit] = {}
    for limit in sorted(limits, key=lambda one: (one.recorded_at_ns, one.limit_id)):
        if limit.recorded_at_ns <= now_ns:
            newest[limit.channel] = limit
    return newest


def watch_of(
    limits: Sequence[Limit], *, channels: Sequence[Channel], now_ns: int
) -> LimitWatch | None:
    """The newest approved limits of one asset known by now; None: there are none."""
    newest = newest_limits(limits, now_ns=now_ns)
    mine = [newest.get(channel.name) for channel in channels]
    unlike = tuple(
        limit
        for limit, channel in zip(mine, channels, strict=True)
        if limit is not None and limit.unit and limit.unit != channel.unit
    )
    fits = tuple(None if limit in unlike else limit for limit in mine)
    if not any(fits) and not unlike:
        return None
    # as wide as a sample: a value that stands exactly at a level is not beyond it
    bare = np.array([[-np.inf], [-np.inf], [np.inf], [np.inf]], np.float32)
    levels = np.tile(bare, len(channels))
    for k, fit in enumerate(fits):
        if fit is not None:
            told = (fit.low_low, fit.low, fit.high, fit.high_high)
            for row, level in enumerate(told):
                if level is not None:
                    levels[row, k] = level
    return LimitWatch(levels=levels, limits=fits, unlike=unlike)


class Watchman:
    """Watches one asset's limits along plant time, whichever are known when."""

    def __init__(self, channels: Sequence[Channel]) -> None:
        self._channels = channels
        self._limits: Sequence[Limit] = ()
        self._watch: LimitWatch | None = None
        self._from_ns = self._to_ns = 0
        self._unsaid: list[Limit] = []
        self._said: set[str] = set()

    def excess(
        self,
        limits: Sequence[Limit],
        *,
        t_ns: NDArray[np.int64],
        values: NDArray[np.float32],
        running: NDArray[np.bool_],
    ) -> NDArray[np.int8] | None:
        """How far values (n, c) are beyond the limits of their time t_ns (n,); None: no limits.

        limits: all of the asset, whenever they become known. running: (n,); what stands still is
        not watched.
        """
        if not limits:
            return None
        found = np.zeros(values.shape, np.int8)
        first = 0
        while first < len(t_ns):
            watch = self.at(limits, int(t_ns[first]))
            last = int(np.searchsorted(t_ns, self._to_ns, side="left"))
            if watch is not None:
                found[first:last] = watch.excess(values[first:last])
            first = last
        found[~running] = 0
        return found

    def at(self, limits: Sequence[Limit], t_ns: int) -> LimitWatch | None:
        """The limits that stand at a time."""
        if limits is not self._limits or not self._from_ns <= t_ns < self._to_ns:
            times = sorted(limit.recorded_at_ns for limit in limits)
            self._limits = limits
            self._from_ns = max((t for t in times if t <= t_ns), default=-FOREVER_NS)
            self._to_ns = min((t for t in times if t > t_ns), default=FOREVER_NS)
            self._watch = watch_of(limits, channels=self._channels, now_ns=t_ns)
            unlike = self._watch.unlike if self._watch is not None else ()
            self._unsaid += [limit for limit in unlike if limit.limit_id not in self._said]
            self._said.update(limit.limit_id for limit in unlike)
        return self._watch

    def news(self) -> list[Limit]:
        """Limits of another unit than their channel's, each once."""
        unsaid, self._unsaid = self._unsaid, []
        return unsaid


def level_name(limit: Limit, value: float) -> tuple[str, float] | None:
    """The outermost level that a value is beyond, as (name, level); None: within."""
    for name, level in (("HH", limit.high_high), ("H", limit.high)):
        if level is not None and value > level:
            return name, level
    for name, level in (("LL", limit.low_low), ("L", limit.low)):
        if level is not None and value < level:
            return name, level
    return None
